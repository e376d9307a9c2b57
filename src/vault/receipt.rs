//! A write that is under way.
//!
//! It promises: V3 it says "done" only when the write is durable, to a future and a thread alike;
//! one that the vault was locked before is told so, and nothing of it was done.
//! It never: cancels the write when it is dropped.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// A write that is under way: a future, or a wait for whoever has no runtime.
pub struct Receipt<T>(pub(super) oneshot::Receiver<Result<T>>);

impl<T> Receipt<T> {
    /// Blocks until the write is durable or has failed. Not to be called from async code.
    ///
    /// # Errors
    /// The operation's, or the commit's.
    pub fn wait(self) -> Result<T> {
        self.0.blocking_recv().unwrap_or(Err(Error::Locked))
    }
}

impl<T> Future for Receipt<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(task)
            .map(|sent| sent.unwrap_or(Err(Error::Locked)))
    }
}
