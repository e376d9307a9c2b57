//! Who is reading, so that the file is not closed under them.
//!
//! It promises: closing waits for reads that have begun, for a bounded time; a read that is longer
//! ends with an error.
//! It never: keeps a read from beginning by itself (the store does, while it is opened anew).

use std::sync::{Arc, Condvar, Mutex};

use crate::limits;

/// How many reads have begun and not ended.
#[derive(Default)]
pub(super) struct Readers {
    count: Mutex<usize>,
    none: Condvar,
}

impl Readers {
    pub(super) fn enter(self: &Arc<Self>) -> Reading {
        *self.count.lock().expect("no holder panics") += 1;
        Reading(Arc::clone(self))
    }

    /// Waits until nobody reads, at most [`limits::STORE_READERS_WAIT_MAX`].
    pub(super) fn drained(&self) {
        let count = self.count.lock().expect("no holder panics");
        let wait = limits::STORE_READERS_WAIT_MAX;
        let waited = self
            .none
            .wait_timeout_while(count, wait, |count| *count > 0);
        if waited.expect("no holder panics").1.timed_out() {
            tracing::warn!("a long read ends early, since the file is opened anew");
        }
    }
}

/// A read that has begun.
pub(super) struct Reading(Arc<Readers>);

impl Drop for Reading {
    fn drop(&mut self) {
        let mut count = self.0.count.lock().expect("no holder panics");
        *count -= 1;
        if *count == 0 {
            self.0.none.notify_all();
        }
    }
}
