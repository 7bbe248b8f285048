//! What a session's bytes go through.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd},
};

/// A socket that never blocks, or a stand-in that tests and benches look into.
pub trait Wire: Read + Write {
    /// Says that nothing more will be written; the other side may still speak.
    fn finish(&mut self);

    /// What the kernel knows it by, if its bytes go to one of the kernel's sockets as they are: those are sent to in batches.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
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
