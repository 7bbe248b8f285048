//! What a session's bytes go through.

mod socket;
mod tls;

pub use socket::{Socket, Transport};
pub use tls::Secure;

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd},
};

/// A socket that never blocks, or a stand-in that tests and benches look into.
///
/// What `write` took is as good as sent. A wire may still hold some of it, which `flush` sends: it fails with
/// `WouldBlock` for as long as the socket does not take all.
pub trait Wire: Read + Write {
    /// Says that nothing more will be written; the other side may still speak. A wire that holds bytes says it once they are
    /// gone, if it is told again then.
    fn finish(&mut self);

    /// What the kernel knows it by, if its bytes go to one of the kernel's sockets as they are: those are sent to in batches.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether it holds bytes that it took and the socket did not.
    fn is_holding(&self) -> bool {
        false
    }

    /// Whether the last read may have left something, although it did not fill its buffer.
    fn may_have_more(&self) -> bool {
        false
    }
}

impl Wire for mio::net::TcpStream {
    fn finish(&mut self) {
        // It fails if the other side is gone already, which its next read tells as well.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}
