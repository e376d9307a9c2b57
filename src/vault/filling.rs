//! Indexes that came later, filled in a vault that was made without them, while it serves.
//!
//! ```text
//! unlock --> the ledger says that they are whole: nothing to do
//!   |
//!   +-----> worker, batch by batch through the one writer; other writes go between
//!             clear   what an earlier version left in them goes, uncounted
//!             begin   one commit: from here on whatever is written is entered
//!             walk    token by token, in the order of their keys; the ledger says how far
//!             end     lists use them
//! ```
//! A vault that an earlier version wrote to meanwhile comes back without a word of them in its
//! ledger, and begins anew.
//!
//! It promises: V20 filling goes on after a crash at any point, and loses no write made meanwhile;
//! until it has ended lists answer the same by walking all tokens. A token that is damaged is
//! passed over, as it is by the schedule; one of a later format ends it, for a later version to go
//! on.
//! It never: holds up a lock or a close for longer than one batch, or hands anything out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::index::TokenKey;
use super::kept::{later_entries, open_hot};
use super::labour::{Labour, Word};
use super::ledger::Filled;
use super::rotation::passes_by_itself;
use super::writer::Tx;
use super::{Inner, Vault};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::seal::Sealed;
use crate::store::{Index, Records, Scan, View};

/// Whether the indexes that came later are whole, and who fills them where they are not.
#[derive(Default)]
pub(super) struct Filler {
    is_whole: AtomicBool,
    labour: Labour,
}

impl Filler {
    /// True where lists may use them.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }

    /// Takes over what the ledger says.
    pub(super) fn set_whole(&self, is_whole: bool) {
        self.is_whole.store(is_whole, Ordering::Release);
    }

    /// Tells the worker to stop, and waits for the batch it is at.
    pub(super) fn stop(&self) {
        self.labour.stop();
    }
}

/// What one batch came to.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Batch {
    /// They are whole.
    is_whole: bool,
    /// Tokens looked at.
    looked: u64,
    /// Tokens that do not open.
    damaged: u64,
}

impl Vault {
    /// Fills the indexes that came later, where they are not whole.
    pub(super) fn resume_filling(&self) -> Result<()> {
        if self.0.filler.is_whole() {
            return Ok(());
        }
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Lock, &Target::vault())?;
        permit.record("the indexes of lists are being filled", None)?;
        drop(permit);
        let word = Arc::new(Word::default());
        let filling = Filling {
            vault: Arc::downgrade(&self.0),
            word: Arc::clone(&word),
            looked: 0,
            damaged: 0,
        };
        let labour = &self.0.filler.labour;
        labour.start("filling", word, move || filling.run())
    }
}

/// A worker. It keeps the vault from nothing: neither from its end, nor from a lock.
struct Filling {
    vault: Weak<Inner>,
    word: Arc<Word>,
    looked: u64,
    damaged: u64,
}

impl Filling {
    fn run(mut self) {
        let mut pause = limits::FILL_PAUSE_FIRST;
        while !self.word.is_said() {
            let Some(inner) = self.vault.upgrade() else {
                return;
            };
            let step = self.step(&Vault(inner));
            match step {
                Ok(true) => return,
                Ok(false) => pause = limits::FILL_PAUSE_FIRST,
                Err(Error::Locked | Error::ShuttingDown) => return,
                Err(error) if passes_by_itself(&error) => {
                    tracing::warn!(%error, "the filling of the lists' indexes waits");
                    self.word.pause(pause);
                    pause = (pause * 2).min(limits::FILL_PAUSE_MAX);
                }
                Err(error) => {
                    tracing::error!(%error, "the filling of the lists' indexes stopped");
                    return;
                }
            }
        }
    }

    /// One batch. True where nothing is left to do.
    fn step(&mut self, vault: &Vault) -> Result<bool> {
        let me = Caller::local();
        let permit = vault.gate().permit(&me, Action::Lock, &Target::vault())?;
        let written = permit.write_step(fill)?;
        let batch = written.wait()?;
        self.looked += batch.looked;
        self.damaged += batch.damaged;
        if !batch.is_whole {
            return Ok(false);
        }
        let (looked, damaged) = (self.looked, self.damaged);
        if damaged > 0 {
            tracing::error!(damaged, "tokens that do not open are in no list's index");
        }
        let word = format!("the indexes of lists are filled: {looked} tokens since the unlock");
        permit.record(&word, None)?;
        vault.0.filler.set_whole(true);
        tracing::info!(looked, "the indexes of lists are filled");
        Ok(true)
    }
}

/// Stages one batch, from wherever the last one ended.
fn fill(tx: &mut Tx<'_>) -> Result<Batch> {
    match tx.filled() {
        Filled::Not => clear(tx),
        Filled::UpTo(last) => {
            let last = *last;
            walk(tx, last.as_ref().map(|last| last.as_slice()))
        }
        Filled::Whole => Ok(Batch {
            is_whole: true,
            ..Batch::default()
        }),
    }
}

/// Takes away what lies there; where nothing does, they are kept from here on.
fn clear(tx: &mut Tx<'_>) -> Result<Batch> {
    let mut left = Vec::new();
    for index in Index::LATER {
        tx.view().scan_index(index, b"", None, &mut |key, _| {
            left.push((index, key.to_vec()));
            let is_full = left.len() >= limits::FILL_BATCH_MAX;
            Ok(if is_full { Scan::Stop } else { Scan::Go })
        })?;
    }
    if left.is_empty() {
        tx.set_filled(Filled::UpTo(None));
    }
    for (index, key) in left {
        tx.clear_entry(index, &key);
    }
    Ok(Batch::default())
}

/// Enters the tokens from behind `after`.
fn walk(tx: &mut Tx<'_>, after: Option<&[u8]>) -> Result<Batch> {
    let mut batch = Batch {
        is_whole: true,
        ..Batch::default()
    };
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let mut last: Option<TokenKey> = None;
    let keys = tx.keys();
    tx.view()
        .scan_bytes(Records::Tokens, b"", after, &mut |key, value| {
            batch.looked += 1;
            bytes += value.len();
            last = key.try_into().ok().or(last);
            match Sealed::parse(value).and_then(|sealed| open_hot(keys, key, &sealed)) {
                Ok((place, record, _)) => entries.extend(later_entries(&place, &record)),
                // A check names it. Where it is stored anew, it is entered then.
                Err(Error::Damaged(_)) => batch.damaged += 1,
                Err(other) => return Err(other),
            }
            let is_full = batch.looked >= limits::FILL_BATCH_MAX as u64
                || bytes >= limits::FILL_BATCH_BYTES_MAX;
            batch.is_whole &= !(is_full && last.is_some());
            Ok(if batch.is_whole { Scan::Go } else { Scan::Stop })
        })?;
    for (index, key) in entries {
        tx.put_entry(index, &key, b"");
    }
    tx.set_filled(match batch.is_whole {
        true => Filled::Whole,
        false => Filled::UpTo(last),
    });
    Ok(batch)
}

#[cfg(test)]
mod tests;
