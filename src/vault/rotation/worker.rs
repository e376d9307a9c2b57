//! The thread that reseals: it walks, waits where the disk is in trouble, and ends with the vault.
//!
//! It promises: one batch at a time, so that whoever else writes goes between; told to stop, it
//! ends with the batch it is at; what it cannot mend it says, and stops.
//! It never: keeps the vault alive, or a permit while it waits.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use super::super::access::{Open, Permit};
use super::super::labour::{Labour, Word};
use super::super::writer::{Batch, Ending, count, tables};
use super::super::{Inner, Vault};
use super::{Rotation, RotationState};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::store::Records;

/// The worker of an unlocked vault, where there is one, and what it says of itself.
#[derive(Default)]
pub(in crate::vault) struct Rotator {
    labour: Labour,
    board: Mutex<Option<Arc<Board>>>,
}

impl Rotator {
    /// Starts a worker, in the place of one that has ended.
    pub(super) fn start(&self, board: Arc<Board>, rotating: Rotating) -> Result<()> {
        self.stop();
        // Held until it runs: of two who start at one time the later one's board is shown.
        let mut shown = self.board();
        let word = Arc::clone(&board.word);
        self.labour
            .start("rotation", word, move || rotating.run())?;
        *shown = Some(board);
        Ok(())
    }

    /// Tells the worker to stop, and waits for the batch it is at.
    pub(in crate::vault) fn stop(&self) {
        *self.board() = None;
        self.labour.stop();
    }

    /// How far it is; `None` where nothing is left to do.
    pub(in crate::vault) fn status(&self) -> Option<Rotation> {
        self.board()
            .as_ref()
            .and_then(|board| board.shown().clone())
    }

    fn board(&self) -> MutexGuard<'_, Option<Arc<Board>>> {
        self.board.lock().expect("no holder panics")
    }
}

/// What the worker says of itself, and what it is told.
pub(super) struct Board {
    shown: Mutex<Option<Rotation>>,
    word: Arc<Word>,
}

impl Board {
    pub(super) fn new(rotation: Rotation) -> Self {
        Self {
            shown: Mutex::new(Some(rotation)),
            word: Arc::default(),
        }
    }

    fn shown(&self) -> MutexGuard<'_, Option<Rotation>> {
        self.shown.lock().expect("no holder panics")
    }

    fn change(&self, change: impl FnOnce(&mut Rotation)) {
        if let Some(rotation) = &mut *self.shown() {
            change(rotation);
        }
    }

    fn says(&self, state: RotationState, error: Option<Error>) {
        self.change(|rotation| {
            rotation.state = state;
            rotation.error = error;
        });
    }

    fn done(&self) {
        *self.shown() = None;
    }
}

/// Where a walk stands.
enum Stage {
    /// The records are to be counted.
    Count,
    /// These tables are left, the first from after a key.
    Walk(Vec<Records>, Option<Vec<u8>>),
    /// The old terms are to go.
    End,
    /// They are gone; whoever read before may still be at work.
    Wait(Weak<Open>, Duration),
    /// Nothing is left to do.
    Done,
}

/// A rotation at work.
pub(super) struct Rotating {
    vault: Weak<Inner>,
    board: Arc<Board>,
    stage: Stage,
    walks: u32,
    resealed: u64,
    damaged: u64,
}

impl Rotating {
    pub(super) fn new(vault: Weak<Inner>, board: Arc<Board>) -> Self {
        Self {
            vault,
            board,
            stage: Stage::Count,
            walks: 1,
            resealed: 0,
            damaged: 0,
        }
    }

    pub(super) fn run(mut self) {
        let _tells = TellsOfAPanic(Arc::clone(&self.board));
        let mut pause = limits::ROTATION_PAUSE_FIRST;
        while !self.board.word.is_said() {
            let Some(inner) = self.vault.upgrade() else {
                return;
            };
            let step = self.step(&Vault(inner));
            match step {
                Ok(()) if matches!(self.stage, Stage::Done) => return self.board.done(),
                Ok(()) => {
                    pause = limits::ROTATION_PAUSE_FIRST;
                    self.board.says(RotationState::Running, None);
                    if matches!(self.stage, Stage::Wait(..)) {
                        self.board.word.pause(limits::ROTATION_LOOK_EVERY);
                    }
                }
                Err(Error::Locked | Error::ShuttingDown) => return,
                Err(error) if passes_by_itself(&error) => {
                    tracing::warn!(%error, "the key rotation waits");
                    self.board.says(RotationState::Waiting, Some(error));
                    self.board.word.pause(pause);
                    pause = (pause * 2).min(limits::ROTATION_PAUSE_MAX);
                }
                Err(error) => {
                    tracing::error!(%error, "the key rotation stopped; the old key term stays");
                    return self.board.says(RotationState::Failed, Some(error));
                }
            }
        }
    }

    /// One step: no longer than a batch.
    fn step(&mut self, vault: &Vault) -> Result<()> {
        let me = Caller::local();
        let permit = vault.gate().permit(&me, Action::Lock, &Target::vault())?;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Count) {
            Stage::Count => self.count(vault, &permit)?,
            Stage::Walk(tables, after) => match tables.first().copied() {
                None => Stage::End,
                Some(table) => {
                    let from = after.clone();
                    let written = permit.write_step(move |tx| tx.reseal(table, from.as_deref()));
                    drop(permit);
                    match written.and_then(super::super::Receipt::wait) {
                        Ok(batch) => self.walked(tables, batch),
                        Err(error) => {
                            self.stage = Stage::Walk(tables, after);
                            return Err(error);
                        }
                    }
                }
            },
            Stage::End => {
                self.stage = Stage::End;
                self.end(vault, permit)?
            }
            Stage::Wait(before, waited) => {
                let waited = waited + limits::ROTATION_LOOK_EVERY;
                if before.strong_count() > 0 && waited < limits::ROTATION_READERS_MAX {
                    Stage::Wait(before, waited)
                } else {
                    permit.keys().forget_old_terms();
                    Stage::Done
                }
            }
            Stage::Done => Stage::Done,
        };
        Ok(())
    }

    fn count(&self, vault: &Vault, permit: &Permit) -> Result<Stage> {
        let (term, _) = permit.keys().current_term();
        let (all, old) = count(&vault.store().read()?, term)?;
        self.board.change(|rotation| {
            rotation.term = term;
            rotation.records_total = all;
            rotation.records_done = all - old;
        });
        Ok(Stage::Walk(tables().collect(), None))
    }

    fn walked(&mut self, mut tables: Vec<Records>, batch: Batch) -> Stage {
        self.damaged += batch.damaged;
        self.resealed += batch.resealed;
        self.board.change(|rotation| {
            let done = rotation.records_done + batch.resealed;
            rotation.records_done = done.min(rotation.records_total);
        });
        if batch.next.is_none() {
            tables.remove(0);
        }
        Stage::Walk(tables, batch.next)
    }

    fn end(&mut self, vault: &Vault, permit: Permit) -> Result<Stage> {
        let resealed = self.resealed;
        let written = permit.write_told(move |tx| {
            let (term, _) = tx.keys().current_term();
            let ending = tx.drop_old_terms()?;
            let word = match &ending {
                Ending::Left(left) => format!("key rotation not ended: {left} records are left"),
                Ending::Gone(old) => format!(
                    "key rotation ended: term {term} alone is left, {} went, {resealed} records \
                     resealed",
                    old.len()
                ),
            };
            Ok((ending, word))
        });
        drop(permit);
        match written?.wait()? {
            Ending::Gone(_) => Ok(Stage::Wait(
                vault.gate().begin_generation()?,
                Duration::ZERO,
            )),
            Ending::Left(left) if self.damaged > 0 => Err(Error::Damaged(format!(
                "{left} records do not open under the old key term, which stays for them"
            ))),
            Ending::Left(left) if self.walks >= limits::RESEAL_WALKS_MAX => {
                Err(Error::Damaged(format!(
                    "{left} records are of the old key term after {} walks, which is a bug",
                    self.walks
                )))
            }
            Ending::Left(_) => {
                self.walks += 1;
                Ok(Stage::Count)
            }
        }
    }
}

/// True for trouble that ends without anybody doing something to this vault's records.
pub(in crate::vault) fn passes_by_itself(error: &Error) -> bool {
    matches!(
        error,
        Error::Storage(_) | Error::OutcomeUnknown(_) | Error::Busy(_) | Error::AuditUnavailable(_)
    )
}

/// Shows a rotation that panicked as one that stopped.
struct TellsOfAPanic(Arc<Board>);

impl Drop for TellsOfAPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = "it panicked, which is a bug; what could be read before still can";
            let error = Error::Damaged(what.into());
            self.0.says(RotationState::Failed, Some(error));
        }
    }
}
