//! The audit trail: who did what to what, sealed, chained, append-only.
//!
//! It promises:
//! * A1 An entry is handed to the operating system (`write(2)`) before the answer leaves; where it
//!   cannot be, the operation is refused.
//! * A2 Entries reach the disk at most 50 ms later, in groups, earlier where there are many; in
//!   strict mode before the answer.
//! * A3 Each entry is bound to its number and to the bytes of the one before, so that a changed,
//!   removed or moved entry shows; the ledger remembers how far the trail reached, so that a cut
//!   end shows.
//!
//! It never: holds a secret, changes an entry, or is switched off.

mod frames;
mod medium;
mod reading;
mod segment;
mod state;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

pub(super) use self::medium::Directory;
use self::segment::{Position, Segment};
use self::state::{Shared, Sink, State};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::seal::{Keyring, Purpose, digest};

/// One line of the trail. Its texts are borrowed while it is written.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Entry<S: AsRef<str> = String> {
    /// Counts up from 1, without a gap.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub caller: S,
    /// What was to be done.
    pub action: S,
    /// On which app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<S>,
    /// Of which tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<S>,
    /// Of which user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<S>,
    /// Which token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<S>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// How it went: an outcome, an error's code, or why it was refused.
    pub outcome: S,
    /// The reason the caller gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<S>,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub from: S,
}

fn is_empty(text: &impl AsRef<str>) -> bool {
    text.as_ref().is_empty()
}

impl<S: AsRef<str>> Entry<S> {
    /// The same, with every text made by `text`.
    fn each<'a, T: AsRef<str>>(&'a self, text: impl Fn(&'a str) -> T) -> Entry<T> {
        let perhaps = |own: &'a Option<S>| own.as_ref().map(|own| text(own.as_ref()));
        Entry {
            seq: self.seq,
            at: self.at,
            caller: text(self.caller.as_ref()),
            action: text(self.action.as_ref()),
            app: perhaps(&self.app),
            tenant: perhaps(&self.tenant),
            user: perhaps(&self.user),
            token: perhaps(&self.token),
            allowed: self.allowed,
            outcome: text(self.outcome.as_ref()),
            reason: perhaps(&self.reason),
            from: text(self.from.as_ref()),
        }
    }

    /// The same, lent.
    pub(super) fn lent(&self) -> Entry<&str> {
        self.each(|text| text)
    }

    fn owned(&self) -> Entry {
        self.each(str::to_owned)
    }
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

/// The last entry: its number, and the hash of its sealed bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: [u8; 32],
}

impl Audit {
    /// Opens the trail in `directory`, or one in memory. A torn last entry is cut off: nobody was
    /// answered on its strength. What is wrong with the end comes back, to be put on record:
    /// `remembered` is the entry that the ledger knows to be on the disk.
    pub(super) fn open(
        keys: Arc<Keyring>,
        directory: Option<Directory>,
        mode: AuditMode,
        remembered: Head,
    ) -> Result<(Self, Option<String>)> {
        let is_kept = directory.is_some();
        let (sink, head, fault) = match directory {
            Some(directory) => {
                let (segment, head, fault) = Segment::open_last(&directory, &keys, remembered)?;
                (Sink::Files { directory, segment }, head, fault)
            }
            None => (Sink::Memory(VecDeque::new()), Head::default(), None),
        };
        let shared = Arc::new(Shared::new(State::new(sink, head)));
        let audit = Self {
            keys,
            mode,
            shared,
            syncer: Mutex::new(None),
        };
        if is_kept {
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
    pub(super) fn append(&self, mut entry: Entry<&str>) -> Result<()> {
        let mut state = self.shared.lock();
        if state.stopping {
            // A permit that outlived a lock must not write behind a later unlock's entries.
            return Err(Error::Locked);
        }
        entry.seq = state.head().seq + 1;
        state.append(&self.keys, &entry)?;
        match self.mode {
            AuditMode::Grouped => {
                self.shared.wake_from_rest(&mut state);
                Ok(())
            }
            AuditMode::Strict => state.sync(),
        }
    }

    /// The last entry known to be on the disk.
    pub(super) fn durable_head(&self) -> (u64, [u8; 32]) {
        let durable = self.shared.lock().durable();
        (durable.seq, durable.hash)
    }

    /// Makes everything that is written durable.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`].
    pub(super) fn flush(&self) -> Result<()> {
        self.shared.lock().sync()
    }

    /// The last entry's number.
    pub(super) fn last_seq(&self) -> u64 {
        self.shared.lock().head().seq
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
            Some(cursor) => Position::parse(&self.keys, cursor)
                .filter(|position| *position <= end)
                .ok_or_else(|| Error::invalid("`cursor` is not one that was given out"))?,
            None => end,
        };
        let (entries, next) = reading::read_back(&directory, &self.keys, start, limit)?;
        Ok(Page {
            entries,
            cursor: next.map(|position| position.to_cursor(&self.keys)),
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
                        last_seq: state.head().seq,
                        problems: Vec::new(),
                    });
                }
                Sink::Files { directory, .. } => directory.clone(),
            }
        };
        reading::verify(
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
        self.shared.stop();
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

/// Reads the whole trail of a vault that is not open and checks it, up to what its ledger
/// remembers.
pub(super) fn verify_directory(
    directory: &Directory,
    keys: &Keyring,
    ledger: Head,
) -> Result<Verified> {
    reading::verify(directory, keys, ledger)
}

/// Opens the trail's end as an unlock does, without a thread to sync it, and verifies all of it, as
/// far as `wanted` at least, where that is given. What is wrong comes back.
#[cfg(test)]
pub(super) fn recover(
    keys: &Keyring,
    directory: &Directory,
    remembered: Head,
    wanted: Option<Head>,
) -> Result<Vec<String>> {
    let (_, _, fault) = Segment::open_last(directory, keys, remembered)?;
    let lost = segment::cut_or_changed(remembered);
    let mut problems: Vec<String> = fault.into_iter().filter(|fault| *fault == lost).collect();
    if let Some(wanted) = wanted {
        problems.extend(reading::verify(directory, keys, wanted)?.problems);
    }
    Ok(problems)
}

/// Room taken at first, in bytes, so that a usual entry is not copied while it grows.
const ENTRY_CAPACITY: usize = 512;

/// What an entry is bound to: the vault, and the bytes of the entry before, which were bound alike.
fn associated(keys: &Keyring, before_hash: &[u8; 32]) -> Vec<u8> {
    [
        b"strongroom 1 audit".as_slice(),
        keys.vault_id(),
        before_hash,
    ]
    .concat()
}

fn seal_entry(keys: &Keyring, before: Head, entry: &Entry<&str>) -> (Vec<u8>, Head) {
    let mut plain = Vec::with_capacity(ENTRY_CAPACITY);
    serde_json::to_writer(&mut plain, entry).expect("plain data, written to memory");
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
