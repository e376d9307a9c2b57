//! A thread that works for an unlocked vault until it is done or told to stop.
//!
//! It promises: one at a time; told to stop, it has ended when whoever told it goes on.
//! It never: knows what is done.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};

/// The thread, where there is one.
#[derive(Default)]
pub(super) struct Labour(Mutex<Option<Running>>);

struct Running {
    word: Arc<Word>,
    thread: JoinHandle<()>,
}

impl Labour {
    /// Starts it, in the place of one that has ended.
    ///
    /// # Errors
    /// [`Error::Storage`] where the system has no thread to give.
    pub(super) fn start(
        &self,
        name: &str,
        word: Arc<Word>,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        self.stop();
        let mut running = self.0.lock().expect("no holder panics");
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(work)
            .map_err(|error| Error::Storage(format!("cannot start the {name}: {error}")))?;
        // Of two who start at one time the later one's stays; the other is told to end.
        if let Some(other) = running.replace(Running { word, thread }) {
            other.word.stop();
        }
        Ok(())
    }

    /// Tells it to stop, and waits for the step it is at.
    pub(super) fn stop(&self) {
        let running = self.0.lock().expect("no holder panics").take();
        if let Some(running) = running {
            running.word.stop();
            // A panic has been told by the hook.
            let _ = running.thread.join();
        }
    }
}

/// The word to stop.
#[derive(Default)]
pub(super) struct Word {
    is_said: Mutex<bool>,
    told: Condvar,
}

impl Word {
    fn stop(&self) {
        *self.is_said.lock().expect("no holder panics") = true;
        self.told.notify_all();
    }

    /// True once it is said.
    pub(super) fn is_said(&self) -> bool {
        *self.is_said.lock().expect("no holder panics")
    }

    /// Waits, unless told to stop.
    pub(super) fn pause(&self, length: Duration) {
        let is_said = self.is_said.lock().expect("no holder panics");
        let waited = self
            .told
            .wait_timeout_while(is_said, length, |is_said| !*is_said);
        drop(waited.expect("no holder panics"));
    }
}
