//! Leave to do one thing, and the record of how it went.
//!
//! It promises: what is done with a permit is on record before anybody hears of it; where nothing
//! can be written, nothing is said to have been accepted.
//! It never: is made here. That is `Gate::permit` alone.

use std::sync::Arc;

use super::known::KnownKeys;
use super::{Hand, Open};
use crate::error::Result;
use crate::model::{Scopes, ShownId, TokenId};
use crate::seal::Keyring;
use crate::vault::audit::{Audit, Entry};
use crate::vault::receipt::Receipt;
use crate::vault::writer::{Quiet, Tx};

/// Leave to do one thing. The keys are reached through it.
pub(in crate::vault) struct Permit {
    pub(super) open: Arc<Open>,
    pub(super) entry: Entry,
    pub(super) ceilings: Vec<Scopes>,
}

impl Permit {
    /// The keys.
    pub(in crate::vault) fn keys(&self) -> &Keyring {
        &self.open.keys
    }

    /// True where a token with these scopes may be handed out under the ceilings that apply.
    pub(in crate::vault) fn may_hand_out(&self, granted: &Scopes) -> bool {
        self.ceilings.is_empty() || self.ceilings.iter().any(|ceiling| ceiling.covers(granted))
    }

    /// Puts on record how it went. To be called before anything is handed out or changed.
    ///
    /// # Errors
    /// [`crate::error::Error::AuditUnavailable`]: the operation is refused.
    pub(in crate::vault) fn record(&self, outcome: &str, token: Option<TokenId>) -> Result<()> {
        let token = token.map(|id| id.shown());
        self.open.audit.append(Entry {
            outcome,
            token: token.as_ref().map(ShownId::as_str),
            ..self.entry.lent()
        })
    }

    /// Refuses to say that something is not there, or is not as it should be, while nobody can tell
    /// whether a newer record is missing. It is the permit that counts, not the moment: what was
    /// read with it may be what was not checked.
    ///
    /// # Errors
    /// [`crate::error::Error::Checking`]; [`crate::error::Error::AuditUnavailable`].
    pub(in crate::vault) fn may_say_no(&self) -> Result<()> {
        match &self.open.hand {
            Hand::Writer(_) => Ok(()),
            Hand::Check(board) => {
                self.record("unavailable: the file is being checked", None)?;
                Err(board.refusal())
            }
        }
    }

    /// Records that the change is about to be made, and queues it.
    ///
    /// # Errors
    /// [`crate::error::Error::AuditUnavailable`], [`crate::error::Error::Busy`].
    pub(in crate::vault) fn write<T: Send + 'static>(
        &self,
        token: Option<TokenId>,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Receipt<T>> {
        self.write_as("accepted", token, operation)
    }

    /// [`Self::write`], with a word of its own for what is about to be done.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(in crate::vault) fn write_as<T: Send + 'static>(
        &self,
        outcome: &str,
        token: Option<TokenId>,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Receipt<T>> {
        let writer = self.open.writer()?;
        self.record(outcome, token)?;
        writer.submit(self.announced(operation))
    }

    /// [`Self::write`], and `then` once it is durable, before anybody hears of it.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(in crate::vault) fn write_then<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
        then: impl FnOnce(&T) + Send + 'static,
    ) -> Result<Receipt<T>> {
        let writer = self.open.writer()?;
        self.record("accepted", None)?;
        writer.submit_then(self.announced(operation), then)
    }

    /// An operation whose announcement is on record: that it was not made is said as well.
    fn announced<T>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static {
        let audit = Arc::clone(&self.open.audit);
        let entry = self.entry.clone();
        move |tx| {
            operation(tx).inspect_err(|error| {
                // A trail that cannot be written to keeps the announcement, which errs on the safe
                // side.
                let _ = audit.append(Entry {
                    outcome: error.code(),
                    ..entry.lent()
                });
            })
        }
    }

    /// [`Self::write`] for a step of what is on record as a whole, and hands nothing out.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`].
    pub(in crate::vault) fn write_step<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Receipt<T>> {
        self.open.writer()?.submit(operation)
    }

    /// [`Permit::write`] for an operation that says what came of it. That is put on record too,
    /// before anybody hears of it; where it cannot be, nothing is changed.
    ///
    /// # Errors
    /// [`crate::error::Error::AuditUnavailable`], [`crate::error::Error::Busy`].
    pub(in crate::vault) fn write_told<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<(T, String)> + Send + 'static,
    ) -> Result<Receipt<T>> {
        let audit = Arc::clone(&self.open.audit);
        let entry = self.entry.clone();
        self.write(None, move |tx| {
            let (value, outcome) = operation(tx)?;
            audit.append(Entry {
                outcome: &outcome,
                ..entry.lent()
            })?;
            Ok(value)
        })
    }

    /// Has the writer do `work` between two commits. What it says of itself is put on record by the
    /// function it is given.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`].
    pub(in crate::vault) fn between_writes(
        &self,
        work: impl FnOnce(Result<Quiet<'_>>, &dyn Fn(String) -> Result<()>) + Send + 'static,
    ) -> Result<()> {
        let (audit, entry) = (Arc::clone(&self.open.audit), self.entry.clone());
        self.open.writer()?.submit_between(Box::new(move |quiet| {
            let say = |outcome: String| {
                audit.append(Entry {
                    outcome: &outcome,
                    ..entry.lent()
                })
            };
            work(quiet, &say);
        }))
    }

    /// The trail, for those who may read it.
    pub(in crate::vault) fn audit(&self) -> &Audit {
        &self.open.audit
    }

    /// The access keys, for those who may see or change them.
    pub(in crate::vault) fn access_keys(&self) -> &KnownKeys {
        &self.open.access_keys
    }
}
