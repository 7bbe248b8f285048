use std::{collections::VecDeque, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};

use super::*;

/// Both directions of a socket in memory; `room` is what the server may still write.
#[derive(Default)]
struct Ends {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    room: usize,
    /// Most bytes per call.
    most: usize,
    is_hung_up: bool,
}

impl Read for Ends {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.most);
        // A deque reads no further than its own seam; a socket knows none.
        self.to_server.make_contiguous();
        match self.to_server.read(&mut buffer[..most])? {
            0 if self.is_hung_up => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room).min(self.most);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.to_client.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Pair {
    server: Secure,
    client: ClientConnection,
    ends: Ends,
}

impl Pair {
    /// Before the handshake.
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key))
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(trusting), ServerName::try_from("localhost").unwrap()).unwrap();
        client.set_buffer_limit(None);
        let ends = Ends { room: usize::MAX, most: usize::MAX, ..Ends::default() };
        Self { server: Secure::new(Arc::new(config)).unwrap(), client, ends }
    }

    /// Beyond it.
    fn open(version: &'static SupportedProtocolVersion) -> Self {
        let mut pair = Self::new(version);
        pair.shake_hands();
        pair
    }

    fn shake_hands(&mut self) {
        loop {
            self.client_sends();
            match self.server.shake_hands(&mut self.ends) {
                Ok(()) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            self.client_hears(&mut Vec::new());
        }
        self.client_hears(&mut Vec::new());
        assert!(!self.client.is_handshaking());
    }

    fn client_sends(&mut self) {
        while self.client.wants_write() {
            self.client.write_tls(&mut self.ends.to_server).unwrap();
        }
    }

    /// The client takes all that has come; whether it has heard the end.
    fn client_hears(&mut self, heard: &mut Vec<u8>) -> bool {
        while !self.ends.to_client.is_empty() {
            self.client.read_tls(&mut self.ends.to_client).unwrap();
            self.client.process_new_packets().unwrap();
            let mut buffer = vec![0; 64 << 10];
            loop {
                match self.client.reader().read(&mut buffer) {
                    Ok(0) => return true,
                    Ok(count) => heard.extend_from_slice(&buffer[..count]),
                    Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        }
        false
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.server.write_vectored(&mut self.ends, &[IoSlice::new(bytes)])
    }
}

#[test]
fn whatever_the_socket_takes_all_that_was_taken_arrives_in_order() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::open(version);
        let said: Vec<u8> = (0..3_000_000).map(|_| random.u8(..)).collect();
        let (mut taken, mut heard, mut refusals) = (0, Vec::new(), 0);
        while taken < said.len() {
            pair.ends.room = if random.bool() { random.usize(0..100) } else { random.usize(0..100_000) };
            pair.ends.most = random.usize(1..40_000);
            let end = said.len().min(taken + random.usize(1..150_000));
            let parts: Vec<_> = said[taken..end].chunks(random.usize(1..70_000)).map(IoSlice::new).collect();
            match pair.server.write_vectored(&mut pair.ends, &parts) {
                Ok(count) => {
                    assert!(count > 0 && count <= end - taken);
                    taken += count;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    refusals += 1;
                }
            }
            assert!(pair.server.held.len() <= SEALED_BYTES);
            pair.client_hears(&mut heard);
        }
        assert!(refusals > 3, "the socket was full at times");
        pair.ends.room = usize::MAX;
        pair.server.flush(&mut pair.ends).unwrap();
        assert!(!pair.server.is_holding());
        pair.client_hears(&mut heard);
        assert!(heard == said, "{} of {} bytes", heard.len(), said.len());
    }
}

#[test]
fn whatever_the_reader_takes_all_that_was_said_is_read() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::open(version);
        let said: Vec<u8> = (0..1_000_000).map(|_| random.u8(..)).collect();
        let (mut sent, mut heard) = (0, Vec::new());
        while heard.len() < said.len() {
            let end = said.len().min(sent + random.usize(0..50_000));
            pair.client.writer().write_all(&said[sent..end]).unwrap();
            sent = end;
            pair.client_sends();
            pair.ends.most = random.usize(1..40_000);
            // As a shard does it: a read that leaves room in the buffer and does not say that there is more ends the turn.
            for _ in 0..4 {
                let mut buffer = vec![0; random.usize(1..70_000)];
                match pair.server.read(&mut pair.ends, &mut buffer) {
                    Ok(count) => {
                        heard.extend_from_slice(&buffer[..count]);
                        if count < buffer.len() && !pair.server.may_have_more() && pair.ends.most > 32_768 {
                            assert!(pair.ends.to_server.is_empty() && pair.server.decrypted.is_empty());
                            break;
                        }
                    }
                    Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)),
                }
            }
        }
        assert!(heard == said);
        assert!(pair.server.received.is_empty() && pair.server.decrypted.is_empty());
    }
}

#[test]
fn a_connection_at_rest_owns_no_bytes() {
    let mut pair = Pair::open(&TLS13);
    pair.client.writer().write_all(b"ping").unwrap();
    pair.client_sends();
    assert_eq!(pair.server.read(&mut pair.ends, &mut [0; 100]).unwrap(), 4);
    pair.ends.room = 7;
    assert_eq!(pair.write(b"pong").unwrap(), 4);
    assert!(pair.server.is_holding());
    pair.ends.room = usize::MAX;
    pair.server.flush(&mut pair.ends).unwrap();
    let Secure { received, decrypted, held, .. } = &pair.server;
    assert_eq!((received.capacity(), decrypted.capacity(), held.capacity()), (0, 0, 0));
}

#[test]
fn both_ends_are_told() {
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::open(version);
        pair.ends.room = 0;
        pair.server.close_notify();
        assert_eq!(pair.server.flush(&mut pair.ends).unwrap_err().kind(), ErrorKind::WouldBlock);
        pair.ends.room = usize::MAX;
        pair.server.close_notify();
        pair.server.flush(&mut pair.ends).unwrap();
        assert!(pair.client_hears(&mut Vec::new()), "our end, once");
        // The client may still speak.
        pair.client.writer().write_all(b"last words").unwrap();
        pair.client.send_close_notify();
        pair.client_sends();
        let mut buffer = [0; 100];
        assert_eq!(pair.server.read(&mut pair.ends, &mut buffer).unwrap(), 10);
        assert!(pair.server.may_have_more());
        assert_eq!(pair.server.read(&mut pair.ends, &mut buffer).unwrap(), 0);
        // An end without a word of TLS is one as well.
        let mut pair = Pair::open(version);
        pair.ends.is_hung_up = true;
        assert_eq!(pair.server.read(&mut pair.ends, &mut buffer).unwrap(), 0);
    }
}

#[test]
fn changed_bytes_end_it_and_the_client_hears_why() {
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::open(version);
        for word in ["good", "changed", "never read"] {
            pair.client.writer().write_all(word.as_bytes()).unwrap();
            pair.client_sends();
            if word == "changed" {
                *pair.ends.to_server.back_mut().unwrap() ^= 1;
            }
        }
        let mut buffer = [0; 100];
        assert_eq!(pair.server.read(&mut pair.ends, &mut buffer).unwrap(), 4, "what came before it counts");
        for _ in 0..2 {
            let error = pair.server.read(&mut pair.ends, &mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
        assert_eq!(pair.write(b"nothing").unwrap_err().kind(), ErrorKind::BrokenPipe);
        pair.client.read_tls(&mut pair.ends.to_client).unwrap();
        let told = pair.client.process_new_packets().unwrap_err();
        assert!(matches!(told, rustls::Error::AlertReceived(_)), "{told}");
    }
}

#[test]
fn keys_may_be_renewed_by_either_side() {
    let mut pair = Pair::open(&TLS13);
    let mut heard = Vec::new();
    for round in 0..5 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(b"new keys").unwrap();
        pair.client_sends();
        // The answer to it may find the socket full.
        pair.ends.room = if round % 2 == 0 { 3 } else { usize::MAX };
        assert_eq!(pair.server.read(&mut pair.ends, &mut [0; 100]).unwrap(), 8);
        pair.ends.room = usize::MAX;
        assert_eq!(pair.write(b"heard").unwrap(), 5);
        pair.client_hears(&mut heard);
    }
    assert_eq!(heard, b"heard".repeat(5));
}

#[test]
fn any_bytes_are_survived() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..200 {
        // A good first message with some of its bytes changed, or none of it.
        let mut pair = Pair::new(&TLS13);
        pair.client_sends();
        let count = pair.ends.to_server.len();
        for _ in 0..random.usize(1..4) {
            pair.ends.to_server[random.usize(..count)] = random.u8(..);
        }
        pair.ends.is_hung_up = true;
        let error = loop {
            match pair.server.shake_hands(&mut pair.ends) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => break error,
                Ok(()) => panic!("the client has said its first word only"),
            }
        };
        assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::Unsupported));
    }
    let mut pair = Pair::new(&TLS13);
    pair.ends.to_server.extend(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(pair.server.shake_hands(&mut pair.ends).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(pair.ends.to_client.is_empty(), "it is answered in its own words");
}
