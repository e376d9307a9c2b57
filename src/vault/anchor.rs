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
//! It never: holds up a vault whose anchor's disk fails, or does not answer: that is logged, shown,
//! and tried again.

mod file;
mod moor;

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use self::file::Half;
pub(super) use self::moor::Moored;
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
    keeper: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    // Never held while the anchor's disk is waited for: a share that has gone away answers nobody.
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    file: Arc<File>,
    /// Of the newest mark.
    number: u64,
    mark: Mark,
    half: Half,
    undone: Undone,
    /// Its first mark is written: what was accepted is on record.
    begun: bool,
    behind: bool,
    stopping: bool,
    ended: bool,
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
                    ended: true,
                }),
                wake: Condvar::new(),
            }),
            keeper: Mutex::new(None),
        }
    }

    /// Starts the thread that writes marks and makes them durable.
    fn start(&self) -> Result<()> {
        self.shared.lock().ended = false;
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("anchor".into())
            .spawn(move || shared.keep())
            .map_err(|error| Error::Storage(format!("cannot start the anchor: {error}")))?;
        *self.keeper.lock().expect("no holder panics") = Some(thread);
        Ok(())
    }

    /// Writes the first mark, or the newest commit since, durable before it returns.
    fn begin(&self, keys: &Keyring, mark: Mark) -> std::io::Result<()> {
        let (file, number, half) = {
            let mut state = self.shared.lock();
            if mark.epoch >= state.mark.epoch {
                state.put(keys, mark);
            }
            (Arc::clone(&state.file), state.number, state.half)
        };
        file::write(&file, number, &half)?;
        file.sync_data()?;
        let mut state = self.shared.lock();
        state.begun = true;
        if state.number == number {
            state.undone = Undone::Nothing;
        }
        Ok(())
    }

    /// Remembers a commit, and waits until it is written: as long as a disk that is well takes, at
    /// most [`limits::ANCHOR_WAIT_MAX`]. One that refuses or does not answer is logged, and tried
    /// again once a second, with nobody waiting for it.
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
        self.shared.wake.notify_all();
        if !state.begun {
            return;
        }
        let number = state.number;
        let is_unwritten =
            |state: &mut State| state.is_unwritten(number) && !state.behind && !state.ended;
        let waited =
            self.shared
                .wake
                .wait_timeout_while(state, limits::ANCHOR_WAIT_MAX, is_unwritten);
        let mut state = waited.expect("no holder panics").0;
        if state.is_unwritten(number) && !state.behind {
            let silence = std::io::Error::other("it does not answer");
            state.came_to(Err(silence), Undone::Write);
        }
    }

    pub(super) fn status(&self) -> AnchorStatus {
        let state = self.shared.lock();
        AnchorStatus {
            epoch: state.mark.epoch,
            behind: state.behind,
        }
    }

    /// Syncs what is written and ends the thread; one whose disk does not answer is left to itself.
    pub(super) fn stop(&self) {
        let Some(thread) = self.keeper.lock().expect("no holder panics").take() else {
            return;
        };
        let mut state = self.shared.lock();
        state.stopping = true;
        self.shared.wake.notify_all();
        let wait = limits::ANCHOR_WAIT_MAX;
        let waited = self
            .shared
            .wake
            .wait_timeout_while(state, wait, |state| !state.ended);
        let (state, _) = waited.expect("no holder panics");
        let has_ended = state.ended;
        drop(state);
        match has_ended {
            // It says so last of all: this is no wait, and it has not panicked.
            true => drop(thread.join()),
            false => tracing::error!("the anchor's disk does not answer; it is left behind"),
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

    /// True where this mark, or the newest since, is not written.
    fn is_unwritten(&self, number: u64) -> bool {
        self.number == number && self.undone == Undone::Write
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

    /// The keeper's thread: writes each mark at once, syncs once in a while, and ends when it is
    /// told to, with what can be done done.
    fn keep(&self) {
        let mut state = self.lock();
        let mut sync_at = None;
        while !(state.stopping && state.undone == Undone::Nothing) {
            state = match state.undone {
                Undone::Nothing => self.wake.wait(state).expect("no holder panics"),
                Undone::Write => {
                    sync_at.get_or_insert_with(|| Instant::now() + limits::ANCHOR_SYNC_EVERY);
                    self.write(state)
                }
                Undone::Sync => {
                    match sync_at.map(|at| at.saturating_duration_since(Instant::now())) {
                        Some(left) if !left.is_zero() && !state.stopping => self.wait(state, left),
                        _ => {
                            sync_at = None;
                            self.sync(state)
                        }
                    }
                }
            };
            if state.behind && state.undone == Undone::Write {
                if state.stopping {
                    break;
                }
                state = self.wait(state, limits::ANCHOR_SYNC_EVERY);
            }
        }
        state.ended = true;
        drop(state);
        self.wake.notify_all();
    }

    /// Waits so long, or until there is a mark to write or it is to end.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        let number = state.number;
        let waited = self.wake.wait_timeout_while(state, most, |state| {
            !state.stopping && (state.behind || state.number == number)
        });
        waited.expect("no holder panics").0
    }

    /// Writes the newest mark without holding the lock.
    fn write<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (file, number, half) = (Arc::clone(&state.file), state.number, state.half);
        drop(state);
        let written = file::write(&file, number, &half);
        self.took(number, written, Undone::Sync)
    }

    /// Syncs what is written without holding the lock.
    fn sync<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (file, number) = (Arc::clone(&state.file), state.number);
        drop(state);
        let synced = file.sync_data();
        self.took(number, synced, Undone::Nothing)
    }

    fn took(&self, number: u64, done: std::io::Result<()>, left: Undone) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        // A mark that came meanwhile has its own turn.
        if state.number == number || done.is_err() {
            state.came_to(done, left);
        }
        self.wake.notify_all();
        state
    }
}

#[cfg(test)]
mod tests;
