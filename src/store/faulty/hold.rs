//! The reads of one thread, held where a test wants them.
//!
//! It promises: whoever else reads goes on; what is held goes on when it is let go, when this is
//! dropped, or after a minute.
//! It never: fails a read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::Faulty;

/// Longest time that anything is held, or waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds a thread at its next read of a store's file.
pub(crate) struct Hold(Arc<(Mutex<State>, Condvar)>);

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Held,
    Released,
}

impl Hold {
    /// Holds the thread of this name at the first of its reads from here on.
    pub(crate) fn thread(disk: &Faulty, name: &'static str) -> Self {
        Self::thread_at(disk, name, 0)
    }

    /// Holds the thread of this name once it has read so many times.
    pub(crate) fn thread_at(disk: &Faulty, name: &'static str, reads: usize) -> Self {
        let left = AtomicUsize::new(reads);
        let shared = Arc::new((Mutex::new(State::Waiting), Condvar::new()));
        let inner = Arc::clone(&shared);
        disk.before_reads(move || {
            if std::thread::current().name() != Some(name) {
                return;
            }
            let less = |left: usize| left.checked_sub(1);
            if left
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
                .is_ok()
            {
                return;
            }
            let (state, news) = &*inner;
            let mut state = state.lock().unwrap();
            if *state == State::Waiting {
                *state = State::Held;
                news.notify_all();
            }
            drop(
                news.wait_timeout_while(state, PATIENCE, |state| *state == State::Held)
                    .unwrap(),
            );
        });
        Self(shared)
    }

    /// Waits until it is held.
    pub(crate) fn is_held(&self) {
        let (state, news) = &*self.0;
        let state = state.lock().unwrap();
        let waited = news.wait_timeout_while(state, PATIENCE, |state| *state == State::Waiting);
        assert!(!waited.unwrap().1.timed_out(), "nothing was read");
    }

    /// Waits until it is held, or something has come before that; whether it is held.
    pub(crate) fn is_held_before(&self, has_come: impl Fn() -> bool) -> bool {
        loop {
            if *self.0.0.lock().unwrap() == State::Held {
                return true;
            }
            if has_come() {
                return *self.0.0.lock().unwrap() == State::Held;
            }
            std::thread::yield_now();
        }
    }

    /// Lets it go.
    pub(crate) fn release(&self) {
        let (state, news) = &*self.0;
        *state.lock().unwrap() = State::Released;
        news.notify_all();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}
