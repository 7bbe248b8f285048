//! How far the requests of a connection are: told by its socket and by who answers, asked by who has to wait.

use std::{
    future, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    time::timeout,
};

/// The requests of one connection, shared by all that follow them.
#[derive(Clone, Debug)]
pub(super) struct Requests(watch::Sender<Progress>);

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// How many have come whole.
    whole: u64,
    /// Whether a part of another one is there, or has to be.
    has_begun: bool,
    /// Whether the last whole one was answered to the end.
    is_answered: bool,
    /// There are to be no more.
    is_over: bool,
}

impl Requests {
    /// The first is expected: its time runs from now on.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Progress { has_begun: true, ..Progress::default() }))
    }

    /// A request has come whole, and its answer is under way.
    pub(super) fn whole(&self) {
        self.0.send_modify(|progress| {
            (progress.whole, progress.has_begun, progress.is_answered) = (progress.whole + 1, false, false);
        });
    }

    /// Bytes came.
    fn heard(&self) {
        self.set(|progress| &mut progress.has_begun);
    }

    /// All that was to be written is with the kernel.
    pub(super) fn flushed(&self) {
        self.set(|progress| &mut progress.is_answered);
    }

    /// The connection is to end with the answer that is under way, if there is one.
    pub(super) fn end(&self) {
        self.set(|progress| &mut progress.is_over);
    }

    fn set(&self, flag: impl FnOnce(&mut Progress) -> &mut bool) {
        self.0.send_if_modified(|progress| !std::mem::replace(flag(progress), true));
    }

    /// Whether no answer is under way.
    pub(super) fn are_answered(&self) -> bool {
        self.0.borrow().is_answered
    }

    /// Whether [`Requests::end`] was said.
    #[cfg(test)]
    pub(super) fn are_over(&self) -> bool {
        self.0.borrow().is_over
    }

    /// Ready once [`Requests::end`] was said.
    pub(super) async fn ended(&self) {
        // An error would mean that the sender is gone, which is here.
        let _ = self.0.subscribe().wait_for(|progress| progress.is_over).await;
    }

    /// Ready once a request is not whole so long after it began. Silence between two is no beginning.
    pub(super) async fn overdue(&self, patience: Duration) {
        let mut progress = self.0.subscribe();
        loop {
            let Ok(begun) = progress.wait_for(|progress| progress.has_begun).await.map(|begun| begun.whole) else {
                return future::pending().await;
            };
            if timeout(patience, progress.wait_for(|progress| progress.whole != begun)).await.is_err() {
                return;
            }
        }
    }
}

/// A socket that tells of what it brings and takes.
#[derive(Debug)]
pub(super) struct Heard<S> {
    socket: S,
    requests: Requests,
}

impl<S> Heard<S> {
    pub(super) fn new(socket: S, requests: Requests) -> Self {
        Self { socket, requests }
    }

    pub(super) fn into_inner(self) -> S {
        self.socket
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.requests.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// hyper flushes when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.requests.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_ready(future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => true,
            () = tokio::task::yield_now() => false,
        }
    }

    #[tokio::test]
    async fn a_request_is_late_from_its_first_byte_on_and_silence_never() {
        let requests = Requests::new();
        let mut patient = Box::pin(requests.overdue(Duration::from_secs(3600)));
        let late = || requests.overdue(Duration::ZERO);
        late().await;
        for _ in 0..3 {
            assert!(!is_ready(&mut patient).await);
            requests.whole();
            requests.flushed();
            assert!(!is_ready(late()).await, "silence between two requests");
            requests.heard();
            late().await;
        }
    }

    #[tokio::test]
    async fn an_answer_is_under_way_until_it_is_flushed() {
        let requests = Requests::new();
        assert!(!requests.are_answered());
        requests.flushed();
        assert!(requests.are_answered());
        requests.whole();
        assert!(!requests.are_answered() && !is_ready(requests.ended()).await);
        requests.end();
        assert!(is_ready(requests.ended()).await);
    }
}
