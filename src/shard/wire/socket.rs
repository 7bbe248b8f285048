//! A client's socket: plain, or with TLS on top.

use std::{
    io::{self, IoSlice, Read, Write},
    net,
    os::fd::BorrowedFd,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use super::{Secure, Wire};

/// A connection between its door and its shard: the socket, and the state of its TLS if it has one.
#[derive(Debug)]
pub struct Transport {
    /// The socket.
    pub socket: net::TcpStream,
    /// Its TLS, beyond the handshake.
    pub tls: Option<Box<Secure>>,
}

impl From<net::TcpStream> for Transport {
    fn from(socket: net::TcpStream) -> Self {
        Self { socket, tls: None }
    }
}

impl Transport {
    /// Writes `bytes` if they go at once.
    pub fn try_say(&mut self, bytes: &[u8]) {
        // Whoever cannot be told learns it from the closed socket.
        let _ = match &mut self.tls {
            None => self.socket.write(bytes),
            Some(tls) => tls.write_vectored(&mut self.socket, &[IoSlice::new(bytes)]),
        };
    }
}

/// What a shard has of a client. TLS is behind a pointer, so that a plain socket stays as small as it is.
#[derive(Debug)]
pub enum Socket {
    /// Bytes go as they are.
    Plain(TcpStream),
    /// Bytes go in records of TLS.
    Tls(Tls),
}

/// A socket with TLS.
#[derive(Debug)]
pub struct Tls {
    socket: TcpStream,
    secure: Box<Secure>,
}

impl Socket {
    /// Takes a connection over; its socket is made non-blocking.
    ///
    /// # Errors
    /// If the kernel refuses that.
    pub fn new(transport: Transport) -> io::Result<Self> {
        let Transport { socket, tls } = transport;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let socket = TcpStream::from_std(socket);
        Ok(match tls {
            None => Self::Plain(socket),
            Some(secure) => Self::Tls(Tls { socket, secure }),
        })
    }

    /// Has a poll tell of it.
    ///
    /// # Errors
    /// If the kernel refuses that.
    pub fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Plain(socket) => registry.register(socket, token, interest),
            Self::Tls(tls) => registry.register(&mut tls.socket, token, interest),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.secure.read(&mut tls.socket, buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.secure.write_vectored(&mut tls.socket, &[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_vectored(slices),
            Self::Tls(tls) => tls.secure.write_vectored(&mut tls.socket, slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.secure.flush(&mut tls.socket),
        }
    }
}

impl Wire for Socket {
    fn finish(&mut self) {
        match self {
            Self::Plain(socket) => socket.finish(),
            Self::Tls(tls) => {
                tls.secure.close_notify();
                if tls.secure.flush(&mut tls.socket).is_ok() {
                    tls.socket.finish();
                }
            }
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Plain(socket) => socket.socket(),
            Self::Tls(_) => None,
        }
    }

    fn is_holding(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.secure.is_holding(),
        }
    }

    fn may_have_more(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.secure.may_have_more(),
        }
    }
}

impl Drop for Tls {
    /// Tells a client that still listens that this is the end, as TLS wants it, and what was wrong if something was.
    fn drop(&mut self) {
        self.secure.close_notify();
        let _ = self.secure.flush(&mut self.socket);
    }
}
