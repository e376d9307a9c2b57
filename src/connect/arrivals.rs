//! Work that goes on when whoever began it goes away, and is waited for at the end.
//!
//! It promises: a code that is being redeemed is redeemed, and what it brings is stored or given
//! back, though the browser has gone.
//! It never: begins anything by itself, or holds more than the requests that came in.

use std::future::Future;

use tokio::sync::watch;

use crate::error::{Error, Result};

/// Counts what is under way.
#[derive(Default)]
pub(super) struct Arrivals(watch::Sender<usize>);

/// One of them. Counted out when it goes, however it ends.
struct Arrival(watch::Sender<usize>);

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Arrivals {
    /// Does `work` to its end, whether or not anybody waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.0.send_modify(|count| *count += 1);
        let arrival = Arrival(self.0.clone());
        let work = tokio::spawn(async move {
            let done = work.await;
            drop(arrival);
            done
        });
        work.await.unwrap_or(Err(Error::ShuttingDown))
    }

    /// Waits until none is under way.
    pub(super) async fn done(&self) {
        // The sender is here, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}
