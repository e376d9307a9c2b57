//! A connection whose peer must keep pace: it takes what it is sent, or it is let go.
//!
//! It promises: an answer that nobody takes ends the connection after a stated time, and a refusal
//! sent in the middle of a request is not lost to a reset. What is done at once sets no clock
//! going.
//! It never: waits for a peer without a clock running.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Sleep, timeout};

use crate::limits;

/// [`tokio::time::timeout`], but that the clock is set going only once there is something to wait
/// for: most requests are answered without a wait.
///
/// # Errors
/// [`Elapsed`] where the wait was longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let first = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    match first {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => timeout(limit, future).await,
    }
}

/// Read and thrown away in one go while lingering, in bytes.
const SCRAP_BYTES: usize = 4096;

/// A byte stream with a limit on how long its peer may stall our writes.
///
/// Closing it lingers (RFC 9112 9.6): a socket closed with unread input is reset, and a reset
/// destroys an answer on its way. So where input is at hand, or `unread` says that some is to
/// come, a bounded part of it is read and thrown away first.
pub struct Paced<I> {
    io: I,
    answer_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    unread: Arc<AtomicBool>,
    closing: Closing,
}

enum Closing {
    Open,
    Lingering { until: Pin<Box<Sleep>>, left: usize },
    Closed,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Paced<I> {
    /// Wraps a stream. `unread` is set by whoever knows that a request was answered before it was
    /// read to its end.
    pub fn new(io: I, answer_timeout: Duration, unread: Arc<AtomicBool>) -> Self {
        Self {
            io,
            answer_timeout,
            stalled: None,
            unread,
            closing: Closing::Open,
        }
    }

    /// Starts the clock at the first stall. It is stopped by a flush alone, which hyper does when
    /// everything is written: a peer that takes a byte at a time gains nothing by it.
    fn stall<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let timeout = self.answer_timeout;
        let clock = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(clock.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Throws input away until its end, the limit or the time is reached.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let wait_for_input = self.unread.load(Ordering::Relaxed);
        loop {
            let mut scrap = [0; SCRAP_BYTES];
            let mut scrap = ReadBuf::new(&mut scrap);
            let read = Pin::new(&mut self.io).poll_read(context, &mut scrap);
            let count = scrap.filled().len();
            match (&mut self.closing, read) {
                (Closing::Open, Poll::Pending) if !wait_for_input => return Poll::Ready(()),
                (_, Poll::Ready(Err(_))) => return Poll::Ready(()),
                (_, Poll::Ready(Ok(()))) if count == 0 => return Poll::Ready(()),
                (Closing::Open, _) => {
                    let until = Instant::now() + limits::LINGER_MAX;
                    self.closing = Closing::Lingering {
                        until: Box::pin(tokio::time::sleep_until(until)),
                        left: limits::LINGER_BYTES_MAX.saturating_sub(count),
                    };
                }
                (Closing::Lingering { until, .. }, Poll::Pending) => {
                    return until.as_mut().poll(context);
                }
                (Closing::Lingering { left, .. }, Poll::Ready(Ok(()))) => {
                    *left = left.saturating_sub(count);
                    if *left == 0 {
                        return Poll::Ready(());
                    }
                }
                (Closing::Closed, _) => return Poll::Ready(()),
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Paced<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(context, bytes) {
            Poll::Pending => self.stall(context),
            done => done,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_flush(context) {
            Poll::Pending => self.stall(context),
            done => {
                self.stalled = None;
                done
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Closing::Open = self.closing {
            // Safe to call again while it is pending: both TCP and TLS remember how far they came.
            match Pin::new(&mut self.io).poll_shutdown(context) {
                Poll::Pending => return self.stall(context),
                Poll::Ready(done) => done?,
            }
        }
        ready!(self.linger(context));
        self.closing = Closing::Closed;
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write_vectored(context, slices) {
            Poll::Pending => self.stall(context),
            done => done,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
