//! The server's side of one TLS connection, without its socket.
//!
//! rustls does the protocol on buffers of ours: one for all connections of a thread. A connection owns bytes only while a
//! record has come in part, or the socket has not taken all of one; an idle one owns none. That is why it is not
//! `rustls::ServerConnection`, which keeps 4 KiB once it has read.

use std::{
    cell::RefCell,
    fmt,
    io::{self, ErrorKind, IoSlice, Read, Write},
    mem,
    sync::Arc,
};

use bytes::{Buf, BytesMut};
use rustls::{
    ServerConfig,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus, WriteTraffic},
};

/// Plaintext of one record (RFC 8446 section 5.1).
const RECORD_BYTES: usize = 16 << 10;
/// More than a record is longer than its plaintext, with an update of keys before it.
const OVERHEAD_BYTES: usize = 512;
/// Ciphertext that a write hands to the socket at once, and so the most that a connection holds for a socket that is full.
const SEALED_BYTES: usize = 2 * (RECORD_BYTES + OVERHEAD_BYTES);
/// Ciphertext read at once. A record has to fit, and the first message of a client, which may be several.
const OPENED_BYTES: usize = 32 << 10;
/// How often a socket is read in one call, so that a client that floods does not keep the others waiting.
const READS_MAX: usize = 4;

thread_local! {
    /// One for all connections of a thread.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { opened: Vec::new(), sealed: Vec::new() }) };
}

struct Scratch {
    opened: Vec<u8>,
    sealed: Vec<u8>,
}

/// One TLS connection. Whoever has its socket, which never blocks, passes it to each call.
pub struct Secure {
    session: UnbufferedServerConnection,
    /// The beginning of a record, or of a message of the handshake, whose rest has not come.
    received: Vec<u8>,
    /// What a client said and nobody has read, because it was more than the reader's buffer.
    decrypted: BytesMut,
    /// Records, or what is left of them, that the socket did not take.
    held: BytesMut,
    /// The client has said its last word.
    is_ended: bool,
    /// It broke the protocol, or its bytes were changed on the way.
    is_broken: bool,
    is_notified: bool,
    may_have_more: bool,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure")
            .field("held", &self.held.len())
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}

impl Secure {
    /// A connection whose client has not said anything yet.
    ///
    /// # Errors
    /// If `config` cannot be served with.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self {
            session: UnbufferedServerConnection::new(config)?,
            received: Vec::new(),
            decrypted: BytesMut::new(),
            held: BytesMut::new(),
            is_ended: false,
            is_broken: false,
            is_notified: false,
            may_have_more: false,
        })
    }

    /// Goes on with the handshake until it is done.
    ///
    /// # Errors
    /// `WouldBlock` until then: wait for room in the socket if [`Secure::is_holding`], else for bytes. `UnexpectedEof` if the
    /// client left; `Unsupported` if it speaks plain text; `InvalidData` with the reason if there can be no connection else, of
    /// which the client has been told.
    pub fn shake_hands(&mut self, socket: &mut (impl Read + Write)) -> io::Result<()> {
        while self.session.is_handshaking() {
            self.flush(socket)?;
            match self.open(socket)? {
                Opened::Some | Opened::Last => {}
                Opened::Blocked => return self.flush(socket).and(Err(ErrorKind::WouldBlock.into())),
                Opened::End => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        self.flush(socket)
    }

    /// Reads what the client said. It goes on until the buffer is full or the socket empty; if it stops before for the sake of
    /// others, [`Secure::may_have_more`].
    ///
    /// # Errors
    /// The socket's, `InvalidData` if the client's bytes are wrong.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.take_decrypted(buffer);
        self.may_have_more = true;
        for _ in 0..READS_MAX {
            if filled == buffer.len() {
                return Ok(filled);
            }
            let opened = self.open(socket);
            filled += self.take_decrypted(&mut buffer[filled..]);
            match opened {
                Ok(Opened::Some) => {}
                Ok(Opened::Last | Opened::Blocked) => {
                    self.may_have_more = !self.decrypted.is_empty() || self.is_ended;
                    return if filled > 0 { Ok(filled) } else { Err(ErrorKind::WouldBlock.into()) };
                }
                Ok(Opened::End) => return Ok(filled),
                Err(error) => return if filled > 0 { Ok(filled) } else { Err(error) },
            }
        }
        if filled > 0 { Ok(filled) } else { Err(ErrorKind::Interrupted.into()) }
    }

    /// Writes in records. What it took is as good as sent, though it may be held for a while: [`Secure::is_holding`].
    ///
    /// # Errors
    /// `WouldBlock` if none was taken, the socket's.
    pub fn write_vectored(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(socket)?;
        if self.is_broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let sealed = &mut scratch.sealed;
            sealed.resize(SEALED_BYTES, 0);
            let (mut used, mut taken) = (0, 0);
            for record in slices.iter().flat_map(|slice| slice.chunks(RECORD_BYTES)) {
                if used + record.len() + OVERHEAD_BYTES > SEALED_BYTES {
                    self.send(socket, &sealed[..used])?;
                    used = 0;
                    if self.is_holding() {
                        return Ok(taken);
                    }
                }
                used += self.seal(record, &mut sealed[used..])?;
                taken += record.len();
            }
            self.send(socket, &sealed[..used]).map(|()| taken)
        })
    }

    /// Sends what is held.
    ///
    /// # Errors
    /// `WouldBlock` if the socket does not take all of it, the socket's.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while !self.held.is_empty() {
            match socket.write(&self.held) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.held.advance(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.held = BytesMut::new();
        Ok(())
    }

    /// Whether [`Secure::flush`] has something to send.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// What the client said and nobody has read; no poll tells of it.
    pub fn take_unread(&mut self) -> BytesMut {
        mem::take(&mut self.decrypted)
    }

    /// Whether another read may find something although the last one did not fill its buffer.
    pub fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    /// Puts the end of what we say behind all that is held; once.
    pub fn close_notify(&mut self) {
        if self.is_notified || self.is_broken || self.session.is_handshaking() {
            return;
        }
        self.is_notified = true;
        let mut sealed = [0; OVERHEAD_BYTES];
        let Ok(Some(count)) = self.with_traffic(|mut traffic| traffic.queue_close_notify(&mut sealed)) else { return };
        self.held.extend_from_slice(&sealed[..count]);
    }

    /// Makes a record of at most [`RECORD_BYTES`]; gives its length.
    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> io::Result<usize> {
        let sealing = self.with_traffic(|mut traffic| traffic.encrypt(plain, sealed));
        sealing.map_err(io::Error::other)?.ok_or_else(|| ErrorKind::BrokenPipe.into())
    }

    /// Has the session do something that it can do once the handshake is over; `None` if it cannot.
    fn with_traffic<T, E>(
        &mut self,
        act: impl FnOnce(WriteTraffic<'_, ServerConnectionData>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        // Of what was received nothing is whole, so that the session has nothing else to do first; if it had, the
        // connection would end, since records must not change places.
        match self.session.process_tls_records(&mut self.received).state {
            Ok(ConnectionState::WriteTraffic(traffic)) => act(traffic).map(Some),
            _ => Ok(None),
        }
    }

    /// Sends records; what the socket does not take is held.
    fn send(&mut self, socket: &mut impl Write, mut sealed: &[u8]) -> io::Result<()> {
        while !sealed.is_empty() {
            match socket.write(sealed) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => sealed = &sealed[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.held.extend_from_slice(sealed);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take_decrypted(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.decrypted.len());
        buffer[..count].copy_from_slice(&self.decrypted[..count]);
        self.decrypted.advance(count);
        if self.decrypted.is_empty() {
            self.decrypted = BytesMut::new();
        }
        count
    }

    /// Reads the socket once and has the session understand it.
    fn open(&mut self, socket: &mut (impl Read + Write)) -> io::Result<Opened> {
        if self.is_broken {
            return Err(ErrorKind::InvalidData.into());
        }
        if self.is_ended {
            return Ok(Opened::End);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let opened = &mut scratch.opened;
            opened.resize(OPENED_BYTES, 0);
            let before = self.received.len();
            if before == OPENED_BYTES {
                self.is_broken = true;
                return Err(io::Error::new(ErrorKind::InvalidData, "a message of the handshake is too long"));
            }
            let count = match socket.read(&mut opened[before..]) {
                Ok(0) => {
                    // With or without its close_notify: the protocol above has an end of its own.
                    self.is_ended = true;
                    return Ok(Opened::End);
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Opened::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Opened::Some),
                Err(error) => return Err(error),
            };
            opened[..before].copy_from_slice(&self.received);
            // No record begins with a letter, but `GET` does.
            if self.session.protocol_version().is_none() && opened[0].is_ascii_uppercase() {
                self.is_broken = true;
                return Err(io::Error::new(ErrorKind::Unsupported, "the client speaks plain text"));
            }
            let all = before + count;
            let understood = self.understand(&mut opened[..all]);
            let rest = &opened[understood.bytes.min(all)..all];
            if rest.is_empty() {
                self.received = Vec::new();
            } else {
                self.received.clear();
                self.received.extend_from_slice(rest);
            }
            if self.is_holding() {
                // An answer of TLS itself. If it does not go now, it goes with the next notice of room.
                match self.flush(socket) {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
            }
            if let Some(error) = understood.error {
                self.is_broken = true;
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            Ok(if all < OPENED_BYTES { Opened::Last } else { Opened::Some })
        })
    }

    /// What the client is to be told of an error. A session that failed must not be given bytes again.
    fn encode_alert(&mut self) {
        while self.session.wants_write() {
            let Ok(ConnectionState::EncodeTlsData(mut data)) = self.session.process_tls_records(&mut []).state else {
                return;
            };
            encode(&mut data, &mut self.held);
        }
    }

    /// Has the session process `incoming` as far as it is whole.
    fn understand(&mut self, incoming: &mut [u8]) -> Understood {
        let mut understood = Understood { bytes: 0, error: None };
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut incoming[understood.bytes..]);
            let mut is_all = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        self.decrypted.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, &mut self.held),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_ended = true,
                Ok(_) => is_all = true,
                Err(error) => {
                    understood.error = Some(error);
                    self.encode_alert();
                    is_all = true;
                }
            }
            understood.bytes += discard;
            if is_all {
                return understood;
            }
        }
    }
}

/// What came of reading once.
enum Opened {
    /// There may be more.
    Some,
    /// It was all that was there.
    Last,
    Blocked,
    End,
}

/// How far a client's bytes were whole, and what was wrong with them.
struct Understood {
    bytes: usize,
    error: Option<rustls::Error>,
}

fn encode(data: &mut EncodeTlsData<'_, ServerConnectionData>, held: &mut BytesMut) {
    let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) else { return };
    let before = held.len();
    held.resize(before + needed.required_size, 0);
    if data.encode(&mut held[before..]).is_err() {
        held.truncate(before);
    }
}

#[cfg(test)]
mod tests;
