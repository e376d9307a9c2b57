//! Rotation of the key that seals records, while the vault serves.
//!
//! ```text
//! rotate_keys --> one commit: header with a new term, current from then on
//!                   |
//!   unlock ------> worker: batch by batch through the one writer, what is of an older term is
//!  (terms > 1)      |      sealed anew; other writes go between
//!                   +----> one transaction that finds no record of an older term: header without
//!                          the old terms
//!                   +----> when everybody who read before it is done: their keys are wiped
//! ```
//!
//! It promises: V14 A rotation goes on after a crash at any point and loses no record and no write
//! made meanwhile; it ends with a header that has the new term alone, and from then on the old one
//! opens nothing. A record that does not open stops the end, not the vault: the old term stays and
//! the status says why.
//! It never: holds up a lock or a close for longer than one batch, or hands anything out.

use std::sync::Arc;

use serde::Serialize;

use self::worker::{Board, Rotating};
use super::Vault;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::access::{Action, Caller, Target};
use crate::seal::Header;

mod worker;

pub(super) use self::worker::{Rotator, passes_by_itself};

/// A generation of the key that seals records.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct KeyTerm {
    /// Counts up from 1.
    pub number: u32,
    /// When it began.
    pub began_at: Timestamp,
}

impl From<(u32, Timestamp)> for KeyTerm {
    fn from((number, began_at): (u32, Timestamp)) -> Self {
        Self { number, began_at }
    }
}

/// How far a rotation is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// The new term.
    pub term: u32,
    /// Records of the new term. What is stored meanwhile is of the new term too, and not counted.
    pub records_done: u64,
    /// Records there were when the walk began; 0 until they are counted.
    pub records_total: u64,
    /// Whether it is getting on.
    pub state: RotationState,
    /// What it waits for, or why it stopped.
    pub error: Option<Error>,
}

/// Whether a rotation is getting on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationState {
    /// Records are being resealed.
    Running,
    /// The store or the trail is in trouble; it is tried again by itself.
    Waiting,
    /// It stopped, mostly because a record does not open. What could be read before still can.
    /// Rotating again takes it up.
    Failed,
}

impl Vault {
    /// Begins a new key term, and reseals every record under it in the background. One that has
    /// failed is taken up again, without a further term. Blocks for a commit; not to be called on a
    /// thread that serves others.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Conflict`] while one is under way; [`Error::Storage`],
    /// [`Error::OutcomeUnknown`].
    pub fn rotate_keys(&self, caller: &Caller) -> Result<Rotation> {
        let permit = self.gate().permit(caller, Action::Lock, &Target::vault())?;
        let running = self.0.rotator.status();
        if let Some(running) = running {
            if running.state != RotationState::Failed {
                permit.record("conflict", None)?;
                return Err(under_way(running.term));
            }
            permit.record("key rotation taken up again", None)?;
            drop(permit);
            return self.start_worker();
        }
        let now = self.clock().now();
        let written = permit.write_as("key rotation begins", None, move |tx| tx.add_term(now));
        drop(permit);
        match written?.wait() {
            Ok(_) => self.start_worker(),
            // The term may have begun all the same: then its worker is at work, not missing.
            Err(error @ Error::OutcomeUnknown(_)) => {
                self.start_worker()?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Goes on with a rotation that an earlier process, or an earlier unlock, has begun.
    pub(super) fn resume_rotation(&self) -> Result<()> {
        let header = Header::parse(&self.store().header()?)?;
        if header.terms().len() < 2 {
            return Ok(());
        }
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Lock, &Target::vault())?;
        let word = format!("key rotation resumed: term {}", header.current_term());
        permit.record(&word, None)?;
        drop(permit);
        self.start_worker().map(|_| ())
    }

    fn start_worker(&self) -> Result<Rotation> {
        let (_, _, _, (term, _)) = self.gate().status().ok_or(Error::Locked)?;
        let begun = Rotation {
            term,
            records_done: 0,
            records_total: 0,
            state: RotationState::Running,
            error: None,
        };
        let board = Arc::new(Board::new(begun.clone()));
        let rotating = Rotating::new(Arc::downgrade(&self.0), Arc::clone(&board));
        self.0.rotator.start(board, rotating)?;
        Ok(begun)
    }
}

pub(super) fn under_way(term: u32) -> Error {
    Error::Conflict(format!(
        "a key rotation is under way, to term {term}; `strongroom status` shows how far it is"
    ))
}

#[cfg(test)]
mod tests;
