//! Where the trail ends: the last entry, the last one on the disk, and the thread in between.
//!
//! It promises: `durable` names an entry only once a sync that covers it has succeeded; a file
//! whose sync failed is not synced again (the kernel may have dropped what it could not write, and
//! then says that all is well) and takes no entry more: the next one begins a new segment.
//! It never: refuses for ever. An entry that finds no segment to go to is refused, and the one
//! after it tries anew.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::medium::Directory;
use super::segment::{Body, Segment};
use super::{Entry, Head};
use crate::error::Result;
use crate::limits;
use crate::seal::Keyring;

/// The trail's end, shared with the thread that syncs it.
pub(super) struct Shared {
    // Held while one entry is sealed and written: the order of entries is the order of the chain.
    state: Mutex<State>,
    wake: Condvar,
}

/// The trail's end.
pub(super) struct State {
    pub(super) sink: Sink,
    head: Head,
    durable: Head,
    pub(super) stopping: bool,
    /// The syncing thread sleeps until there is something to sync. While it waits for a group to
    /// gather it is woken for a full one alone: else there would be a switch of threads for every
    /// entry.
    is_at_rest: bool,
}

/// Where entries go.
pub(super) enum Sink {
    Files {
        directory: Directory,
        segment: Segment,
    },
    /// For a vault without files: the newest entries, opened, bounded.
    Memory(VecDeque<Entry>),
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Tells the syncing thread that there is something to sync, or enough of it.
    pub(super) fn wake_from_rest(&self, state: &mut State) {
        let is_full = state.unsynced() == limits::AUDIT_GROUP_ENTRIES_MAX;
        if std::mem::take(&mut state.is_at_rest) || is_full {
            self.wake.notify_all();
        }
    }

    /// Tells the syncing thread to end.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_all();
    }

    /// The syncing thread: ends when the trail is closed and what can be synced is.
    pub(super) fn sync_in_groups(&self) {
        let mut state = self.lock();
        loop {
            while !state.stopping && state.to_sync().is_none() {
                state.is_at_rest = true;
                state = self.wake.wait(state).expect("no holder panics");
            }
            state.is_at_rest = false;
            // The window in which more entries join the group.
            state = self.gather(state, limits::AUDIT_FSYNC_EVERY);
            if let Some(body) = state.to_sync() {
                state = self.sync_unlocked(state, &body);
            }
            if state.stopping {
                return;
            }
        }
    }

    /// Waits for the group to gather, or to be full, or for a stop.
    fn gather<'a>(&self, state: MutexGuard<'a, State>, window: Duration) -> MutexGuard<'a, State> {
        let gathers = |state: &mut State| {
            !state.stopping && state.unsynced() < limits::AUDIT_GROUP_ENTRIES_MAX
        };
        let waited = self.wake.wait_timeout_while(state, window, gathers);
        waited.expect("no holder panics").0
    }

    /// Syncs without holding the lock, so that entries go on being written meanwhile.
    fn sync_unlocked<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        body: &Body,
    ) -> MutexGuard<'a, State> {
        let head = state.head;
        drop(state);
        let outcome = body.sync();
        let mut state = self.lock();
        match outcome {
            Ok(()) => state.now_durable(head),
            Err(error) => {
                tracing::error!(%error, "the trail could not be synced; a new segment begins");
            }
        }
        state
    }
}

impl State {
    pub(super) fn new(sink: Sink, head: Head) -> Self {
        Self {
            sink,
            head,
            durable: head,
            stopping: false,
            is_at_rest: false,
        }
    }

    /// The last entry.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// The last entry known to be on the disk.
    pub(super) fn durable(&self) -> Head {
        self.durable
    }

    /// How many entries are written and not known to be on the disk.
    fn unsynced(&self) -> u64 {
        self.head.seq.saturating_sub(self.durable.seq)
    }

    /// Writes an entry behind the last one.
    ///
    /// # Errors
    /// [`crate::error::Error::AuditUnavailable`]: nothing was written, and the next one may be.
    pub(super) fn append(&mut self, keys: &Keyring, entry: &Entry<&str>) -> Result<()> {
        self.head = match &mut self.sink {
            Sink::Memory(entries) => {
                if entries.len() == limits::AUDIT_MEMORY_ENTRIES_MAX {
                    entries.pop_front();
                }
                entries.push_back(entry.owned());
                Head {
                    seq: entry.seq,
                    hash: [0; 32],
                }
            }
            Sink::Files { directory, segment } => {
                if segment.is_full() {
                    // Synced before the next begins, so that only the last can have a torn end.
                    match segment.body().sync() {
                        Ok(()) => self.durable = self.head,
                        Err(error) => {
                            tracing::error!(%error, "an audit segment ends without being synced");
                        }
                    }
                    *segment = Segment::begin(directory, keys, segment.number() + 1, self.head)?;
                }
                segment.append(keys, self.head, entry)?
            }
        };
        Ok(())
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// [`crate::error::Error::AuditUnavailable`].
    pub(super) fn sync(&mut self) -> Result<()> {
        if let Sink::Files { segment, .. } = &self.sink {
            segment.body().sync()?;
        }
        self.durable = self.head;
        Ok(())
    }

    /// What there is to sync, if it can be.
    fn to_sync(&self) -> Option<Arc<Body>> {
        match &self.sink {
            Sink::Files { segment, .. } if self.durable != self.head => {
                Some(Arc::clone(segment.body())).filter(|body| !body.is_given_up())
            }
            _ => None,
        }
    }

    fn now_durable(&mut self, head: Head) {
        if head.seq > self.durable.seq {
            self.durable = head;
        }
    }
}
