//! The audit trail: who did what to what, sealed, chained, append-only.
//!
//! It promises:
//! * A1 An entry is handed to the operating system (`write(2)`) before the answer leaves; where it
//!   cannot be, the operation is refused.
//! * A2 Entries reach the disk at most 50 ms later, in groups; in strict mode before the answer.
//! * A3 Each entry is bound to its number and to the bytes of the one before, so that a changed,
//!   removed or moved entry shows; the ledger remembers how far the trail reached, so that a cut
//!   end shows.
//!
//! It never: holds a secret, changes an entry, or is switched off.

mod segment;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use self::segment::{Position, Segment};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::seal::{Keyring, Purpose, digest};

/// One line of the trail.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts up from 1, without a gap.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub caller: String,
    /// What was to be done.
    pub action: String,
    /// On which app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Of which tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Of which user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// How it went: an outcome, an error's code, or why it was refused.
    pub outcome: String,
    /// The reason the caller gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
}

/// When an entry counts as written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AuditMode {
    /// Once the operating system has it; on the disk within 50 ms.
    #[default]
    Grouped,
    /// Once it is on the disk.
    Strict,
}

/// One page of the trail, newest first.
#[derive(Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` at the beginning of the trail.
    pub cursor: Option<String>,
}

/// What verifying found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Entries that authenticate and follow each other.
    pub entries: u64,
    /// The last one's number.
    pub last_seq: u64,
    /// What is wrong; empty where the trail is whole.
    pub problems: Vec<String>,
}

/// The trail of an unlocked vault.
pub(super) struct Audit {
    keys: Arc<Keyring>,
    mode: AuditMode,
    shared: Arc<Shared>,
    syncer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    // Held while one entry is sealed and written: the order of entries is the order of the chain.
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    sink: Sink,
    head: Head,
    durable: Head,
    stopping: bool,
}

/// The last entry: its number, and the hash of its sealed bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: [u8; 32],
}

enum Sink {
    Files {
        directory: PathBuf,
        segment: Segment,
    },
    /// For a vault without files: the newest entries, opened, bounded.
    Memory(VecDeque<Entry>),
}

/// Entries a vault in memory keeps.
const MEMORY_ENTRIES_MAX: usize = 10_000;

impl Audit {
    /// Opens the trail in `directory`, or one in memory. A torn last entry is cut off: nobody was
    /// answered on its strength. What is wrong with the end comes back, to be put on record:
    /// `remembered` is the entry that the ledger knows to be on the disk.
    pub(super) fn open(
        keys: Arc<Keyring>,
        directory: Option<&Path>,
        mode: AuditMode,
        remembered: Head,
    ) -> Result<(Self, Option<String>)> {
        let (sink, head, fault) = match directory {
            Some(directory) => {
                let (segment, head, fault) = Segment::open_last(directory, &keys, remembered)?;
                (
                    Sink::Files {
                        directory: directory.to_owned(),
                        segment,
                    },
                    head,
                    fault,
                )
            }
            None => (Sink::Memory(VecDeque::new()), Head::default(), None),
        };
        let state = State {
            sink,
            head,
            durable: head,
            stopping: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wake: Condvar::new(),
        });
        let audit = Self {
            keys,
            mode,
            shared,
            syncer: Mutex::new(None),
        };
        if directory.is_some() {
            let shared = Arc::clone(&audit.shared);
            let thread = std::thread::Builder::new()
                .name("audit".into())
                .spawn(move || shared.sync_in_groups())
                .map_err(|error| Error::AuditUnavailable(error.to_string()))?;
            *audit.syncer.lock().expect("no holder panics") = Some(thread);
        }
        Ok((audit, fault))
    }

    /// Writes an entry; its number is given here.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`]: the operation is to be refused.
    pub(super) fn append(&self, mut entry: Entry) -> Result<()> {
        let mut state = self.shared.lock();
        if state.stopping {
            // A permit that outlived a lock must not write behind a later unlock's entries.
            return Err(Error::Locked);
        }
        entry.seq = state.head.seq + 1;
        let head = state.append(&self.keys, &entry)?;
        state.head = head;
        match self.mode {
            AuditMode::Grouped => {
                self.shared.wake.notify_one();
                Ok(())
            }
            AuditMode::Strict => state.sync(),
        }
    }

    /// The last entry known to be on the disk.
    pub(super) fn durable_head(&self) -> (u64, [u8; 32]) {
        let durable = self.shared.lock().durable;
        (durable.seq, durable.hash)
    }

    /// The last entry's number.
    pub(super) fn last_seq(&self) -> u64 {
        self.shared.lock().head.seq
    }

    /// Reads a page, newest first.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cursor that is none of ours; [`Error::Damaged`] where an entry does
    /// not authenticate.
    pub(super) fn page(&self, cursor: Option<&str>, limit: usize) -> Result<Page> {
        let (directory, end) = {
            let state = self.shared.lock();
            match &state.sink {
                Sink::Memory(entries) => return page_of_memory(entries, cursor, limit),
                Sink::Files { directory, segment } => (directory.clone(), segment.end()),
            }
        };
        let start = match cursor {
            Some(cursor) => Position::parse(cursor)
                .filter(|position| *position <= end)
                .ok_or_else(|| Error::invalid("`cursor` is not one that was given out"))?,
            None => end,
        };
        let (entries, next) = segment::read_back(&directory, &self.keys, start, limit)?;
        Ok(Page {
            entries,
            cursor: next.map(|position| position.to_string()),
        })
    }

    /// Reads the whole trail and checks that every entry authenticates and follows the one before,
    /// and that it reaches as far as the ledger says.
    pub(super) fn verify(&self, ledger_seq: u64, ledger_hash: &[u8; 32]) -> Result<Verified> {
        let directory = {
            let state = self.shared.lock();
            match &state.sink {
                Sink::Memory(entries) => {
                    return Ok(Verified {
                        entries: entries.len() as u64,
                        last_seq: state.head.seq,
                        problems: Vec::new(),
                    });
                }
                Sink::Files { directory, .. } => directory.clone(),
            }
        };
        segment::verify(
            &directory,
            &self.keys,
            Head {
                seq: ledger_seq,
                hash: *ledger_hash,
            },
        )
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

impl Drop for Audit {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn sync_in_groups(&self) {
        let mut state = self.lock();
        loop {
            while !state.stopping && state.durable == state.head {
                state = self.wake.wait(state).expect("no holder panics");
            }
            if state.durable != state.head {
                // The window in which more entries join the group; ended early by a stop.
                if !state.stopping {
                    let window = limits::AUDIT_FSYNC_EVERY;
                    state = self.wait_for_stop(state, window);
                }
                state = self.sync_unlocked(state);
            }
            if state.stopping {
                return;
            }
        }
    }

    fn wait_for_stop<'a>(
        &self,
        state: MutexGuard<'a, State>,
        window: std::time::Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self
            .wake
            .wait_timeout_while(state, window, |state| !state.stopping);
        waited.expect("no holder panics").0
    }

    /// Syncs without holding the lock, so that entries go on being written meanwhile.
    fn sync_unlocked<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let head = state.head;
        let handle = match &state.sink {
            Sink::Files { segment, .. } => segment.handle(),
            Sink::Memory(_) => return state,
        };
        drop(state);
        let outcome = handle.and_then(|file| file.sync_data());
        let mut state = self.lock();
        match outcome {
            Ok(()) => state.durable = head.max_by_seq(state.durable),
            Err(error) => state.fail(&error),
        }
        state
    }
}

impl Head {
    fn max_by_seq(self, other: Self) -> Self {
        if other.seq > self.seq { other } else { self }
    }
}

impl State {
    fn append(&mut self, keys: &Keyring, entry: &Entry) -> Result<Head> {
        match &mut self.sink {
            Sink::Memory(entries) => {
                if entries.len() == MEMORY_ENTRIES_MAX {
                    entries.pop_front();
                }
                entries.push_back(entry.clone());
                Ok(Head {
                    seq: entry.seq,
                    hash: [0; 32],
                })
            }
            Sink::Files { directory, segment } => {
                if segment.is_full() {
                    // Synced before the next begins, so that only the last can have a torn end.
                    segment.sync()?;
                    self.durable = self.head;
                    *segment = Segment::begin(directory, keys, segment.number() + 1, self.head)?;
                }
                segment.append(keys, self.head, entry)
            }
        }
    }

    fn sync(&mut self) -> Result<()> {
        if let Sink::Files { segment, .. } = &mut self.sink {
            segment.sync()?;
        }
        self.durable = self.head;
        Ok(())
    }

    fn fail(&mut self, error: &std::io::Error) {
        tracing::error!(%error, "the audit trail could not be synced; a new segment begins");
        // After a failed fsync the kernel may have dropped the pages: what is written to this file
        // from now on proves nothing, so the next entry goes to a new one.
        if let Sink::Files { segment, .. } = &mut self.sink {
            segment.give_up();
        }
        self.durable = self.head;
    }
}

/// What an entry is bound to: the vault, and the bytes of the entry before, which were bound alike.
fn associated(keys: &Keyring, before_hash: &[u8; 32]) -> Vec<u8> {
    [
        b"strongroom 1 audit".as_slice(),
        keys.vault_id(),
        before_hash,
    ]
    .concat()
}

fn seal_entry(keys: &Keyring, before: Head, entry: &Entry) -> (Vec<u8>, Head) {
    let plain = serde_json::to_vec(entry).expect("plain data");
    let sealed = keys.seal_apart(Purpose::Audit, &associated(keys, &before.hash), &plain);
    let head = Head {
        seq: entry.seq,
        hash: digest(&[&sealed]),
    };
    (sealed, head)
}

/// Opens the entry that follows the one whose sealed bytes hash to `before_hash`.
fn open_entry(keys: &Keyring, before_hash: &[u8; 32], sealed: &[u8]) -> Result<Entry> {
    keys.open_apart(Purpose::Audit, &associated(keys, before_hash), sealed)
        .and_then(|plain| serde_json::from_slice(&plain).ok())
        .ok_or_else(|| {
            Error::Damaged(
                "an audit entry does not authenticate, or does not follow the one before".into(),
            )
        })
}

fn page_of_memory(entries: &VecDeque<Entry>, cursor: Option<&str>, limit: usize) -> Result<Page> {
    let before: u64 = match cursor {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::invalid("`cursor` is not one that was given out"))?,
        None => u64::MAX,
    };
    let found: Vec<Entry> = entries
        .iter()
        .rev()
        .filter(|entry| entry.seq < before)
        .take(limit)
        .cloned()
        .collect();
    let first = entries.front().map_or(0, |entry| entry.seq);
    let last = found.last().map(|entry| entry.seq);
    let cursor = last.filter(|seq| *seq > first).map(|seq| seq.to_string());
    Ok(Page {
        entries: found,
        cursor,
    })
}

#[cfg(test)]
mod tests;
