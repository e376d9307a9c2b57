//! The reads of one thread, held where a test wants them.
//!
//! It promises: whoever else reads goes on; what is held goes on when it is let go, when this is
//! dropped, or after a minute.
//! It never: fails a read.

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
        let shared = Arc::new((Mutex::new(State::Waiting), Condvar::new()));
        let inner = Arc::clone(&shared);
        disk.before_reads(move || {
            if std::thread::current().name() != Some(name) {
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
