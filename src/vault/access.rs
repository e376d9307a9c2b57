//! Who is asking, whether they may, and the record of it: the gate before every key.
//!
//! It promises:
//! * V4 The keys of an unlocked vault are reached through a [`Permit`] alone, and a permit is made
//!   here alone, by [`Gate::permit`]: after [`decide`] allowed it. A refusal is on record.
//! * V5 What a permit allowed is put on record before its result is handed out; where that fails,
//!   the operation is refused.
//! * V6 An unknown key, a wrong secret and an expired key are answered alike.
//!
//! It never: lets a decision depend on what is stored.

mod known;
mod strangers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, Weak};

pub(super) use self::known::hash_key_secret;
use self::known::{KnownKeys, known_key};
use self::strangers::Strangers;
use super::anchor::{Anchor, AnchorStatus};
use super::audit::{Audit, Entry};
use super::receipt::Receipt;
use super::writer::{Quiet, Tx, Writer};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::model::access::{AccessKey, Action, Caller, Decision, Target, Who, decide};
use crate::model::{LinkId, Scopes, TokenId};
use crate::seal::Keyring;
use crate::secret::Secret;
use crate::store::Store;

/// What an unlocked vault holds. Its fields are this file's.
pub(super) struct Open {
    keys: Arc<Keyring>,
    audit: Arc<Audit>,
    writer: Arc<Writer>,
    anchor: Option<Arc<Anchor>>,
    access_keys: KnownKeys,
}

/// An access key and the keyed hash of its secret.
pub(super) struct KeptKey {
    pub(super) key: Arc<AccessKey>,
    pub(super) hash: [u8; 32],
}

/// The gate.
pub(super) struct Gate {
    open: RwLock<Option<Arc<Open>>>,
    clock: Clock,
    strangers: Strangers,
    visitors: Strangers,
    /// An unlock is not on record yet: nobody but the vault itself is let in.
    held: AtomicBool,
}

impl Gate {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            open: RwLock::new(None),
            clock,
            strangers: Strangers::default(),
            visitors: Strangers::default(),
            held: AtomicBool::new(false),
        }
    }

    /// Keeps everybody but the vault itself out, or no more.
    pub(super) fn hold(&self, is_held: bool) {
        self.held.store(is_held, Ordering::Release);
    }

    /// Lets callers in: the vault is unlocked.
    pub(super) fn open(
        &self,
        store: &Arc<Store>,
        keys: Arc<Keyring>,
        audit: Audit,
        access_keys: HashMap<String, Arc<KeptKey>>,
        anchor: Option<Arc<Anchor>>,
    ) -> Result<()> {
        let audit = Arc::new(audit);
        let access_keys = KnownKeys::new(access_keys);
        let known = access_keys.clone();
        let writer = Writer::start(
            Arc::clone(store),
            Arc::clone(&keys),
            Arc::clone(&audit),
            anchor.clone(),
            self.clock.clone(),
            Box::new(move |keys, view| {
                known.read_anew(super::keys::load(keys, view)?);
                Ok(())
            }),
        )?;
        let open = Open {
            keys,
            audit,
            writer: Arc::new(writer),
            anchor,
            access_keys,
        };
        *self.open.write().expect("no holder panics") = Some(Arc::new(open));
        Ok(())
    }

    /// Shuts the gate: what is queued is committed and synced, then the keys are dropped, with the
    /// last permit that is still out.
    pub(super) fn shut(&self) {
        let open = self.open.write().expect("no holder panics").take();
        if let Some(open) = open {
            if let Err(error) = open.audit.flush() {
                tracing::warn!(%error, "the last entries of the trail may not be on the disk");
            }
            open.writer.stop();
            open.audit.stop();
            if let Some(anchor) = &open.anchor {
                anchor.stop();
            }
        }
    }

    /// Begins a new generation of permits; what comes back is there for as long as one of those
    /// before it is out.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub(super) fn begin_generation(&self) -> Result<Weak<Open>> {
        let mut gate = self.open.write().expect("no holder panics");
        let old = gate.take().ok_or(Error::Locked)?;
        *gate = Some(Arc::new(Open {
            keys: Arc::clone(&old.keys),
            audit: Arc::clone(&old.audit),
            writer: Arc::clone(&old.writer),
            anchor: old.anchor.clone(),
            access_keys: old.access_keys.clone(),
        }));
        Ok(Arc::downgrade(&old))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.read().expect("no holder panics").is_some()
    }

    /// What is open to `caller`; none is a stranger.
    fn opened_to(&self, caller: Option<&Caller>) -> Result<Arc<Open>> {
        let is_own = caller.is_some_and(|caller| matches!(caller.who, Who::Local));
        match self.held.load(Ordering::Acquire) && !is_own {
            true => Err(Error::Locked),
            false => self.opened(),
        }
    }

    fn opened(&self) -> Result<Arc<Open>> {
        self.open
            .read()
            .expect("no holder panics")
            .clone()
            .ok_or(Error::Locked)
    }

    /// Number of the last commit, last audit entry, whether the keys are locked in memory, and the
    /// current key term with its beginning.
    pub(super) fn status(&self) -> Option<(u64, u64, bool, (u32, Timestamp))> {
        let open = self.opened().ok()?;
        Some((
            open.writer.epoch(),
            open.audit.last_seq(),
            open.keys.is_locked_in_memory(),
            open.keys.current_term(),
        ))
    }

    /// How the anchor stands, where there is one.
    pub(super) fn anchor_status(&self) -> Option<AnchorStatus> {
        let open = self.opened().ok()?;
        open.anchor.as_ref().map(|anchor| anchor.status())
    }

    /// Makes a caller of a bearer token.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::Unauthenticated`] for anything that is no key of ours, valid
    /// now.
    pub(super) fn authenticate(
        &self,
        bearer: Option<&Secret<String>>,
        from: Arc<str>,
    ) -> Result<Caller> {
        let open = self.opened_to(None)?;
        let now = self.clock.now();
        let (keys, known) = (&open.keys, &open.access_keys);
        let known = bearer.and_then(|bearer| known_key(keys, known, bearer.expose(), now));
        match known {
            Some(key) => Ok(Caller {
                who: Who::Key(key),
                from,
                reason: None,
            }),
            None => {
                self.record_stranger(&open, &from, now)?;
                Err(Error::Unauthenticated)
            }
        }
    }

    fn record_stranger(&self, open: &Open, from: &str, now: Timestamp) -> Result<()> {
        let Some(count) = self.strangers.count(now) else {
            return Ok(());
        };
        open.audit.append(Entry {
            at: now,
            caller: "unknown",
            action: "authenticate",
            outcome: &format!("refused {count} without a valid access key"),
            from,
            ..Entry::default()
        })
    }

    /// Puts on record that somebody presented what does not fit a link, or a link that is over.
    /// Counted like strangers: who knows a link's URL shall not fill the disk with it.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::AuditUnavailable`].
    pub(super) fn record_visitor(&self, link: LinkId, from: &str, why: &str) -> Result<()> {
        let now = self.clock.now();
        let Some(count) = self.visitors.count(now) else {
            return Ok(());
        };
        self.opened()?.audit.append(Entry {
            at: now,
            caller: "unknown",
            action: Action::Connect.as_str(),
            outcome: &format!("refused {count} on connect links, the last on {link}: {why}"),
            from,
            ..Entry::default()
        })
    }

    /// Decides, and makes a permit of a yes. A no is put on record here.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Denied`], [`Error::AuditUnavailable`].
    pub(super) fn permit(
        &self,
        caller: &Caller,
        action: Action,
        target: &Target<'_>,
    ) -> Result<Permit> {
        let open = self.opened_to(Some(caller))?;
        let now = self.clock.now();
        let entry = Entry {
            at: now,
            caller: caller.name(),
            action: action.as_str().into(),
            app: target.app.map(ToString::to_string),
            tenant: target
                .owner
                .and_then(|owner| owner.tenant())
                .map(ToString::to_string),
            user: target
                .owner
                .and_then(|owner| owner.user())
                .map(ToString::to_string),
            reason: caller.reason.clone(),
            from: caller.from.to_string(),
            ..Entry::default()
        };
        match decide(caller, action, target, now) {
            Decision::Allowed { ceilings } => {
                let entry = Entry {
                    allowed: true,
                    ..entry
                };
                Ok(Permit {
                    open,
                    entry,
                    ceilings,
                })
            }
            Decision::Refused(why) => {
                open.audit.append(Entry {
                    outcome: why,
                    ..entry.lent()
                })?;
                Err(Error::Denied)
            }
        }
    }
}

/// Leave to do one thing. The keys are reached through it.
pub(super) struct Permit {
    open: Arc<Open>,
    entry: Entry,
    ceilings: Vec<Scopes>,
}

impl Permit {
    /// The keys.
    pub(super) fn keys(&self) -> &Keyring {
        &self.open.keys
    }

    /// True where a token with these scopes may be handed out under the ceilings that apply.
    pub(super) fn may_hand_out(&self, granted: &Scopes) -> bool {
        self.ceilings.is_empty() || self.ceilings.iter().any(|ceiling| ceiling.covers(granted))
    }

    /// Puts on record how it went. To be called before anything is handed out or changed.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`]: the operation is refused.
    pub(super) fn record(&self, outcome: &str, token: Option<TokenId>) -> Result<()> {
        let token = token.map(|id| id.to_string());
        self.open.audit.append(Entry {
            outcome,
            token: token.as_deref(),
            ..self.entry.lent()
        })
    }

    /// Records that the change is about to be made, and queues it.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`], [`Error::Busy`].
    pub(super) fn write<T: Send + 'static>(
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
    pub(super) fn write_as<T: Send + 'static>(
        &self,
        outcome: &str,
        token: Option<TokenId>,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Receipt<T>> {
        self.record(outcome, token)?;
        self.open.writer.submit(self.announced(operation))
    }

    /// [`Self::write`], and `then` once it is durable, before anybody hears of it.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(super) fn write_then<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
        then: impl FnOnce(&T) + Send + 'static,
    ) -> Result<Receipt<T>> {
        self.record("accepted", None)?;
        let writer = &self.open.writer;
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
    /// [`Error::Busy`].
    pub(super) fn write_step<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Receipt<T>> {
        self.open.writer.submit(operation)
    }

    /// [`Permit::write`] for an operation that says what came of it. That is put on record too,
    /// before anybody hears of it; where it cannot be, nothing is changed.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`], [`Error::Busy`].
    pub(super) fn write_told<T: Send + 'static>(
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
    /// [`Error::Busy`].
    pub(super) fn between_writes(
        &self,
        work: impl FnOnce(Result<Quiet<'_>>, &dyn Fn(String) -> Result<()>) + Send + 'static,
    ) -> Result<()> {
        let (audit, entry) = (Arc::clone(&self.open.audit), self.entry.clone());
        self.open.writer.submit_between(Box::new(move |quiet| {
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
    pub(super) fn audit(&self) -> &Audit {
        &self.open.audit
    }

    /// The access keys, for those who may see or change them.
    pub(super) fn access_keys(&self) -> &KnownKeys {
        &self.open.access_keys
    }
}
