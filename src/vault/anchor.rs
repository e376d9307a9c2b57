//! The anchor: a small file elsewhere that remembers the last commit it was told of, so that an
//! older copy of the vault shows.
//!
//! ```text
//! at unlock                                 the ledger says "anchored"    it does not
//! no anchor given                           refused                       -
//! given, not there                          refused                       begun
//! given, damaged                            refused                       refused
//! the file's commit < the anchor's          refused                       refused
//! the same number, another ledger           refused: a fork               refused: a fork
//! the same number, the same ledger          -                             anchored (again)
//! the file's commit > the anchor's          -                             refused
//! ```
//! `accept_rollback` takes each refusal back, once, and puts it on record. The ledger itself says
//! whether and by which anchor it is held, so that the word cannot be taken out of the file.
//!
//! It promises: V15 where there is an anchor, an older state of the vault, whole or a fork of the
//! same age, stays locked and says why. A commit is in the anchor's file before its waiters hear of
//! it, so a killed process loses none; it is on the anchor's disk a second later, and at the
//! latest when the vault is locked or closed: a power cut may lose that second.
//! It never: holds up a vault whose anchor's disk fails: that is logged, shown, and tried again.

mod file;
mod moor;

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use serde::Serialize;

use self::file::Half;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::seal::Keyring;

/// Length of what names an anchor, in bytes.
pub(super) const ANCHOR_ID: usize = 16;
/// What names an anchor: a fresh one is not the one that was lost.
pub(super) type AnchorId = [u8; ANCHOR_ID];

/// What an anchor remembers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    /// Which anchor this is.
    pub(super) anchor: AnchorId,
    /// Number of the commit.
    pub(super) epoch: u64,
    /// When it was made.
    pub(super) at: Timestamp,
    /// Hash of the sealed ledger, which no other commit shares.
    pub(super) ledger: [u8; 32],
}

/// How an anchor stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct AnchorStatus {
    /// The last commit it was told of.
    pub epoch: u64,
    /// Its disk fails: what it holds is older than that.
    pub behind: bool,
}

/// The anchor of an unlocked vault.
pub(super) struct Anchor {
    shared: Arc<Shared>,
    syncer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    // Held while a half is written: a memory copy, unless the anchor's disk hangs.
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    file: Arc<File>,
    number: u64,
    mark: Mark,
    half: Half,
    undone: Undone,
    /// Its first mark is written: what was accepted is on record.
    begun: bool,
    behind: bool,
    stopping: bool,
}

/// What is still to be done for the newest mark.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Undone {
    Nothing,
    Sync,
    Write,
}

impl Anchor {
    fn new(file: File, number: u64, mark: Mark, keys: &Keyring) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    file: Arc::new(file),
                    number,
                    mark,
                    half: file::half(keys, number, &mark),
                    undone: Undone::Nothing,
                    begun: false,
                    behind: false,
                    stopping: false,
                }),
                wake: Condvar::new(),
            }),
            syncer: Mutex::new(None),
        }
    }

    /// Starts the thread that makes marks durable.
    fn start(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("anchor".into())
            .spawn(move || shared.keep_synced())
            .map_err(|error| Error::Storage(format!("cannot start the anchor: {error}")))?;
        *self.syncer.lock().expect("no holder panics") = Some(thread);
        Ok(())
    }

    /// Writes the first mark, or the newest commit since, durable before it returns.
    fn begin(&self, keys: &Keyring, mark: Mark) -> std::io::Result<()> {
        let mut state = self.shared.lock();
        if mark.epoch >= state.mark.epoch {
            state.put(keys, mark);
        }
        file::write(&state.file, state.number, &state.half)?;
        state.file.sync_data()?;
        state.undone = Undone::Nothing;
        state.begun = true;
        Ok(())
    }

    /// Remembers a commit. A disk that refuses is logged, and tried again once a second.
    pub(super) fn note(&self, keys: &Keyring, epoch: u64, ledger: [u8; 32], at: Timestamp) {
        let mut state = self.shared.lock();
        if epoch < state.mark.epoch {
            tracing::error!(
                epoch,
                known = state.mark.epoch,
                "a commit older than the anchor's"
            );
            return;
        }
        let anchor = state.mark.anchor;
        state.put(
            keys,
            Mark {
                anchor,
                epoch,
                at,
                ledger,
            },
        );
        if state.begun {
            let written = file::write(&state.file, state.number, &state.half);
            state.came_to(written, Undone::Sync);
            self.shared.wake.notify_all();
        }
    }

    pub(super) fn status(&self) -> AnchorStatus {
        let state = self.shared.lock();
        AnchorStatus {
            epoch: state.mark.epoch,
            behind: state.behind,
        }
    }

    /// Syncs what is written and ends the thread.
    pub(super) fn stop(&self) {
        self.shared.lock().stopping = true;
        self.shared.wake.notify_all();
        let thread = self.syncer.lock().expect("no holder panics").take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn put(&mut self, keys: &Keyring, mark: Mark) {
        self.number += 1;
        self.mark = mark;
        self.half = file::half(keys, self.number, &mark);
        self.undone = Undone::Write;
    }

    /// Notes how a step went. What the kernel could not write it may have dropped: after a failure
    /// everything is written anew.
    fn came_to(&mut self, outcome: std::io::Result<()>, undone: Undone) {
        match outcome {
            Ok(()) => {
                self.undone = undone;
                if self.behind && undone == Undone::Nothing {
                    self.behind = false;
                    tracing::info!(epoch = self.mark.epoch, "the anchor has caught up");
                }
            }
            Err(error) => {
                self.undone = Undone::Write;
                if !std::mem::replace(&mut self.behind, true) {
                    tracing::error!(%error, epoch = self.mark.epoch,
                        "the anchor cannot be written; the vault goes on without, and tries again");
                }
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn keep_synced(&self) {
        let mut state = self.lock();
        loop {
            while !state.stopping && state.undone == Undone::Nothing {
                state = self.wake.wait(state).expect("no holder panics");
            }
            if !state.stopping {
                let every = limits::ANCHOR_SYNC_EVERY;
                let wait = self
                    .wake
                    .wait_timeout_while(state, every, |state| !state.stopping);
                state = wait.expect("no holder panics").0;
            }
            state = self.settle(state);
            if state.stopping {
                return;
            }
        }
    }

    /// Writes what is not written, and syncs without holding the lock.
    fn settle<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.undone == Undone::Nothing {
            return state;
        }
        if state.undone == Undone::Write {
            let written = file::write(&state.file, state.number, &state.half);
            state.came_to(written, Undone::Sync);
            if state.undone == Undone::Write {
                return state;
            }
        }
        let (file, number) = (Arc::clone(&state.file), state.number);
        drop(state);
        let synced = file.sync_data();
        let mut state = self.lock();
        // A mark that came meanwhile has its own turn.
        if state.number == number || synced.is_err() {
            state.came_to(synced, Undone::Nothing);
        }
        state
    }
}

#[cfg(test)]
mod tests;
