//! Failed authentications, counted so that a flood of them cannot fill the disk.
//!
//! It promises: the first one in a while is told at once, and those that follow with the next.
//! It never: forgets one.

use std::sync::Mutex;

use crate::clock::Timestamp;
use crate::limits;

/// How many there were.
#[derive(Default)]
pub(super) struct Strangers(Mutex<Tally>);

#[derive(Default)]
struct Tally {
    since_last_entry: u64,
    last_entry_at: Timestamp,
}

impl Strangers {
    /// Counts one more; how many there were since the last entry, where another is due.
    pub(super) fn count(&self, now: Timestamp) -> Option<u64> {
        let mut tally = self.0.lock().expect("no holder panics");
        tally.since_last_entry += 1;
        // A clock that was set back must not silence the trail until it has caught up.
        let is_past = tally.last_entry_at <= now;
        if is_past && now.since(tally.last_entry_at) < limits::STRANGERS_EVERY {
            return None;
        }
        tally.last_entry_at = now;
        Some(std::mem::take(&mut tally.since_last_entry))
    }
}
