//! The edges of a connection: the call, the upgrade, the last word.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use mio::net::TcpStream;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use socket2::{Domain, Protocol, Socket, Type};

/// Begins a connection.
pub(super) fn call(
    address: SocketAddr,
    source: Option<SocketAddr>,
    buffer_bytes: Option<usize>,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Hanging up is a cut: ports that linger after an orderly end would run out in a storm.
    socket.set_linger(Some(Duration::ZERO))?;
    if let Some(bytes) = buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(source) = source {
        socket.bind(&source.into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if is_on_its_way(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn is_on_its_way(error: &io::Error) -> bool {
    let in_progress = rustix::io::Errno::INPROGRESS.raw_os_error();
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(in_progress)
}

/// What a close frame says, as a reason.
pub(super) fn close_reason(payload: &[u8]) -> String {
    match payload {
        [high, low, text @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let text = String::from_utf8_lossy(text);
            format!("closed with {code} {text}").trim_end().to_owned()
        }
        _ => "closed without a reason".to_owned(),
    }
}

/// Appends the request for an upgrade with these streams, combined, in microseconds (binance.md section 1.2).
pub(super) fn request<'a>(
    out: &mut Vec<u8>,
    host: &str,
    path: &str,
    streams: impl Iterator<Item = &'a str>,
    key: &str,
) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b"/stream?streams=");
    for (nth, name) in streams.enumerate() {
        if nth > 0 {
            out.push(b'/');
        }
        utf8_percent_encode(name, RESERVED).for_each(|part| out.extend_from_slice(part.as_bytes()));
    }
    let rest = [
        "&timeUnit=MICROSECOND HTTP/1.1\r\nHost: ",
        host,
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        key,
        "\r\n\r\n",
    ];
    rest.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// What would end or split the parameter; the rest of a name may stand in a URL as it is.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'<').add(b'>').add(b'?');

/// Where the head of the answer ends, if it is there and the upgrade is granted.
///
/// # Errors
/// What the server answered instead.
pub(super) fn upgraded(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err("a response without end".to_owned()) } else { Ok(None) };
    };
    let status = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    if status.starts_with(b"HTTP/1.1 101") {
        return Ok(Some(end + 4));
    }
    let status = String::from_utf8_lossy(&status[..status.len().min(100)]);
    Err(format!("the server answered {}", status.trim_start_matches("HTTP/1.1 ")))
}

/// Longest head of a response.
const HEAD_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_gives_its_reason() {
        assert_eq!(close_reason(b"\x03\xf0Slow consumer"), "closed with 1008 Slow consumer");
        assert_eq!(close_reason(b"\x03\xe9"), "closed with 1001");
        assert_eq!(close_reason(b""), "closed without a reason");
    }

    #[test]
    fn a_connection_comes_from_the_address_it_is_given() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let source = "127.0.0.2:0".parse().expect("an address");
        let wire = call(address, Some(source), None);
        if cfg!(target_os = "linux") {
            assert!(wire.is_ok(), "{wire:?}");
        }
        let Ok(_wire) = wire else {
            // Systems other than Linux have to be told of a second loopback address first.
            return;
        };
        let (_accepted, peer) = listener.accept().expect("it comes");
        assert_eq!(peer.ip().to_string(), "127.0.0.2");
    }

    #[test]
    fn the_request_names_the_streams_and_the_unit() {
        let mut out = Vec::new();
        request(&mut out, "h:1", "/kraken", ["a@trade", "币@depth"].into_iter(), "key");
        let expected =
            "GET /kraken/stream?streams=a@trade/%E5%B8%81@depth&timeUnit=MICROSECOND HTTP/1.1\r\nHost: h:1\r\n";
        assert!(out.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&out));
        assert!(out.ends_with(b"Sec-WebSocket-Key: key\r\n\r\n"));
    }

    #[test]
    fn an_upgrade_is_granted_or_the_answer_is_quoted() {
        let granted = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00";
        assert_eq!(upgraded(granted), Ok(Some(granted.len() - 2)));
        (0..granted.len() - 2).for_each(|cut| assert_eq!(upgraded(&granted[..cut]), Ok(None)));
        let refused = upgraded(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\n\r\n");
        assert_eq!(refused, Err("the server answered 429 Too Many Requests".to_owned()));
        assert!(upgraded(&[b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }
}
