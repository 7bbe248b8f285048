//! A client's connection while it is with the doors: plain, or with TLS.

use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::shard::{Secure, Transport};

/// A socket of the runtime, and the state of its TLS if it has one.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Box<Secure>>,
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }
}

impl Stream {
    /// Shakes hands, as the server.
    ///
    /// # Errors
    /// `UnexpectedEof` if the client leaves, `Unsupported` if it speaks plain text, in which it can still be answered, and
    /// `InvalidData` if it speaks no TLS that goes together with ours.
    pub(super) async fn secure(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let mut tls = Box::new(Secure::new(config).map_err(io::Error::other)?);
        loop {
            match tls.shake_hands(&mut Direct(&self.socket)) {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if tls.is_holding() {
                self.socket.writable().await?;
            } else {
                self.socket.readable().await?;
            }
        }
        self.tls = Some(tls);
        Ok(())
    }

    /// Leaves the runtime; with it come bytes that the client sent and nobody has read.
    ///
    /// # Errors
    /// If the runtime does not let go of the socket.
    pub(super) fn leave(self) -> io::Result<(Transport, Bytes)> {
        let Self { socket, mut tls } = self;
        let unread = tls.as_mut().map(|tls| tls.take_unread().freeze()).unwrap_or_default();
        Ok((Transport { socket: socket.into_std()?, tls }, unread))
    }
}

/// The socket without waiting.
struct Direct<'a>(&'a TcpStream);

impl Read for Direct<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tries until it does not block, or until the runtime is to wake the task.
fn poll_read<T>(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    mut attempt: impl FnMut(&mut Direct<'_>) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        match attempt(&mut Direct(socket)) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                ready!(socket.poll_read_ready(cx))?;
            }
            result => return Poll::Ready(result),
        }
    }
}

fn poll_write<T>(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    mut attempt: impl FnMut(&mut Direct<'_>) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        match attempt(&mut Direct(socket)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(socket.poll_write_ready(cx))?,
            result => return Poll::Ready(result),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { socket, tls } = &mut *self;
        let Some(tls) = tls else { return Pin::new(socket).poll_read(cx, buffer) };
        let free = buffer.initialize_unfilled();
        let count = ready!(poll_read(socket, cx, |direct| tls.read(direct, free)))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, tls } = &mut *self;
        let Some(tls) = tls else { return Pin::new(socket).poll_write_vectored(cx, slices) };
        poll_write(socket, cx, |direct| tls.write_vectored(direct, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, tls } = &mut *self;
        let Some(tls) = tls else { return Poll::Ready(Ok(())) };
        poll_write(socket, cx, |direct| tls.flush(direct))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &mut self.tls {
            tls.close_notify();
        }
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
