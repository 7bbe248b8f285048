//! Sends to many sockets with one system call.
//!
//! The only `unsafe` of the crate, as nothing safe hands a borrowed buffer to the kernel's queue. What makes it sound is
//! narrow: no call returns before the kernel has answered each of its sends, so every borrow outlives its use.
#![allow(unsafe_code, reason = "the submission queue takes raw buffers; measured in docs/decisions/012-io-uring.md")]

use std::{
    io::{self, ErrorKind},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    os::unix::net::UnixStream,
};

use io_uring::{IoUring, opcode, squeue::Entry, types::Fd};
use rustix::net::SendFlags;

/// Sends in one system call. Beyond some dozen the call itself is paid for; more would only hold their bytes apart.
const SENDS_MAX: u32 = 128;

/// A send that cannot go at once is answered at once, so that no buffer is held beyond the call; a socket that is gone is an
/// error, not a signal.
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// A queue of sends, for one thread.
pub(super) struct Uring {
    ring: IoUring,
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Uring").finish_non_exhaustive()
    }
}

impl Uring {
    /// How many sends one call of [`Uring::send_all`] takes.
    pub(super) const SENDS_MAX: usize = SENDS_MAX as usize;

    /// A queue, if the kernel gives one to this process and it was seen to send. It belongs to the calling thread.
    ///
    /// # Errors
    /// The kernel's: it is too old, or a container or a setting forbids io_uring.
    pub(super) fn open() -> io::Result<Self> {
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(SENDS_MAX)?;
        let mut uring = Self { ring };
        let (ours, _theirs) = UnixStream::pair()?;
        let mut results = Vec::new();
        uring.send_all([(ours.as_fd(), &b"?"[..])].into_iter(), &mut results);
        match results.pop() {
            Some(Ok(1)) => Ok(uring),
            Some(Err(error)) => Err(error),
            other => Err(io::Error::other(format!("a send of one byte gave {other:?}"))),
        }
    }

    /// Sends the bytes of each of `sends`, at most [`Uring::SENDS_MAX`], as far as its socket takes them now, and puts how many
    /// went, or what is wrong with the socket, into `results`, in the same order.
    ///
    /// # Panics
    /// If the kernel refuses the queue itself, which has worked before: nobody could say then what it still reads.
    pub(super) fn send_all<'a>(
        &mut self,
        sends: impl ExactSizeIterator<Item = (BorrowedFd<'a>, &'a [u8])>,
        results: &mut Vec<io::Result<usize>>,
    ) {
        let count = sends.len();
        assert!(count <= Self::SENDS_MAX, "{count} sends in a queue of {SENDS_MAX}");
        results.clear();
        results.resize_with(count, || Err(ErrorKind::Interrupted.into()));
        let unanswered = Unanswered;
        for (index, (socket, bytes)) in sends.enumerate() {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let send =
                opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length).flags(FLAGS.bits() as i32).build();
            self.push(&send.user_data(index as u64));
        }
        let mut answered = 0;
        while answered < count {
            match self.ring.submit_and_wait(count - answered) {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(error) => abort(&error),
            }
            for answer in self.ring.completion() {
                let sent = answer.result();
                results[answer.user_data() as usize] =
                    if sent < 0 { Err(io::Error::from_raw_os_error(-sent)) } else { Ok(sent as usize) };
                answered += 1;
            }
        }
        std::mem::forget(unanswered);
    }

    fn push(&mut self, send: &Entry) {
        // SAFETY: the descriptor and the bytes behind the pointer are borrowed by the caller of `send_all` for longer than
        // that call, which does not return (nor unwind: it aborts) before the kernel has answered this entry.
        let pushed = unsafe { self.ring.submission().push(send) };
        if pushed.is_err() {
            abort(&io::Error::other("the queue is full although every call empties it"));
        }
    }
}

/// Whether asking again is all that an error means.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::ResourceBusy)
}

/// Sends are under way: a panic that unwound now would free what the kernel reads.
struct Unanswered;

impl Drop for Unanswered {
    fn drop(&mut self) {
        abort(&io::Error::other("a panic while sends were under way"));
    }
}

/// Nobody can say what the kernel still reads of the buffers, so they may never be freed.
fn abort(error: &io::Error) -> ! {
    tracing::error!(%error, "io_uring failed in the middle of its work; set delivery.sender to \"epoll\"");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// A queue, or nothing where the kernel gives none: the sender is an option then, and the tests of the others stand for it.
    fn uring() -> Option<Uring> {
        Uring::open().inspect_err(|error| println!("no io_uring here: {error}")).ok()
    }

    #[test]
    fn each_send_is_answered_in_its_place() {
        let Some(mut uring) = uring() else { return };
        let pairs: Vec<_> = (0..Uring::SENDS_MAX).map(|_| UnixStream::pair().unwrap()).collect();
        let texts: Vec<Vec<u8>> = (0..pairs.len()).map(|index| vec![index as u8; index + 1]).collect();
        let mut results = Vec::new();
        for _ in 0..3 {
            uring.send_all(pairs.iter().zip(&texts).map(|(pair, text)| (pair.0.as_fd(), &text[..])), &mut results);
            for ((pair, text), result) in pairs.iter().zip(&texts).zip(&results) {
                assert_eq!(*result.as_ref().unwrap(), text.len());
                let mut got = vec![0; text.len()];
                (&pair.1).read_exact(&mut got).unwrap();
                assert_eq!(got, *text);
            }
        }
    }

    #[test]
    fn a_full_socket_and_a_dead_one_are_told_apart_from_the_others() {
        let Some(mut uring) = uring() else { return };
        let (full, _kept) = UnixStream::pair().unwrap();
        let (dead, gone) = UnixStream::pair().unwrap();
        let (well, mut reader) = UnixStream::pair().unwrap();
        drop(gone);
        let bytes = vec![7; 1 << 20];
        let mut results = Vec::new();
        let first = uring_send(&mut uring, &full, &bytes, &mut results).unwrap();
        assert!(first < bytes.len(), "a part of it: {first}");
        let sends = [(full.as_fd(), &bytes[..]), (dead.as_fd(), &bytes[..1]), (well.as_fd(), &bytes[..5])];
        uring.send_all(sends.into_iter(), &mut results);
        assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(*results[2].as_ref().unwrap(), 5);
        let mut got = [0; 5];
        reader.read_exact(&mut got).unwrap();
        assert_eq!(got, [7; 5]);
    }

    fn uring_send(
        uring: &mut Uring,
        socket: &UnixStream,
        bytes: &[u8],
        results: &mut Vec<io::Result<usize>>,
    ) -> io::Result<usize> {
        uring.send_all([(socket.as_fd(), bytes)].into_iter(), results);
        results.pop().expect("one answer")
    }
}
