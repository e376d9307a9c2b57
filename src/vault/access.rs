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

mod hook;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock, Weak};

use self::hook::KeyHook;
use super::anchor::{Anchor, AnchorStatus};
use super::audit::{Audit, Entry};
use super::ledger::Ledger;
use super::receipt::Receipt;
use super::writer::{Tx, Writer};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{AccessKey, Action, Caller, Decision, Target, Who, decide};
use crate::model::{LinkId, Scopes, TokenId};
use crate::seal::{Keyring, Purpose};
use crate::secret::Secret;
use crate::store::Store;

/// Counts one more; how many there were since the last entry, where another is due.
fn count_stranger(strangers: &Mutex<Strangers>, now: Timestamp) -> Option<u64> {
    let mut strangers = strangers.lock().expect("no holder panics");
    strangers.since_last_entry += 1;
    // A clock that was set back must not silence the trail until it has caught up.
    let is_past = strangers.last_entry_at <= now;
    if is_past && now.since(strangers.last_entry_at) < limits::STRANGERS_EVERY {
        return None;
    }
    strangers.last_entry_at = now;
    Some(std::mem::take(&mut strangers.since_last_entry))
}

/// What an unlocked vault holds. Its fields are this file's.
pub(super) struct Open {
    keys: Arc<Keyring>,
    audit: Arc<Audit>,
    writer: Arc<Writer>,
    anchor: Option<Arc<Anchor>>,
    /// Every access key, so that a request costs no read of the store. Held for lines.
    access_keys: Arc<RwLock<HashMap<String, Arc<KeptKey>>>>,
}

/// An access key and the keyed hash of its secret.
pub(super) struct KeptKey {
    pub(super) key: Arc<AccessKey>,
    pub(super) hash: [u8; 32],
}

/// Failed authentications, counted so that a flood of them cannot fill the disk.
#[derive(Default)]
struct Strangers {
    since_last_entry: u64,
    last_entry_at: Timestamp,
}

/// The gate.
pub(super) struct Gate {
    open: RwLock<Option<Arc<Open>>>,
    clock: Clock,
    strangers: Mutex<Strangers>,
    visitors: Mutex<Strangers>,
}

impl Gate {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            open: RwLock::new(None),
            clock,
            strangers: Mutex::default(),
            visitors: Mutex::default(),
        }
    }

    /// Lets callers in: the vault is unlocked.
    pub(super) fn open(
        &self,
        store: &Arc<Store>,
        keys: Arc<Keyring>,
        ledger: Ledger,
        audit: Audit,
        access_keys: HashMap<String, Arc<KeptKey>>,
        anchor: Option<Arc<Anchor>>,
    ) -> Result<()> {
        let audit = Arc::new(audit);
        let writer = Writer::start(
            Arc::clone(store),
            Arc::clone(&keys),
            ledger,
            Arc::clone(&audit),
            anchor.clone(),
            self.clock.clone(),
        )?;
        let open = Open {
            keys,
            audit,
            writer: Arc::new(writer),
            anchor,
            access_keys: Arc::new(RwLock::new(access_keys)),
        };
        *self.open.write().expect("no holder panics") = Some(Arc::new(open));
        Ok(())
    }

    /// Shuts the gate: what is queued is committed and synced, then the keys are dropped, with the
    /// last permit that is still out.
    pub(super) fn shut(&self) {
        let open = self.open.write().expect("no holder panics").take();
        if let Some(open) = open {
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
            access_keys: Arc::clone(&old.access_keys),
        }));
        Ok(Arc::downgrade(&old))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.read().expect("no holder panics").is_some()
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
        from: &str,
    ) -> Result<Caller> {
        let open = self.opened()?;
        let now = self.clock.now();
        let known = bearer.and_then(|bearer| known_key(&open, bearer.expose(), now));
        match known {
            Some(key) => Ok(Caller {
                who: Who::Key(key),
                from: from.to_owned(),
                reason: None,
            }),
            None => {
                self.record_stranger(&open, from, now)?;
                Err(Error::Unauthenticated)
            }
        }
    }

    fn record_stranger(&self, open: &Open, from: &str, now: Timestamp) -> Result<()> {
        let Some(count) = count_stranger(&self.strangers, now) else {
            return Ok(());
        };
        open.audit.append(Entry {
            at: now,
            caller: "unknown".into(),
            action: "authenticate".into(),
            outcome: format!("refused {count} without a valid access key"),
            from: from.to_owned(),
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
        let Some(count) = count_stranger(&self.visitors, now) else {
            return Ok(());
        };
        self.opened()?.audit.append(Entry {
            at: now,
            caller: "unknown".into(),
            action: Action::Connect.as_str().into(),
            outcome: format!("refused {count} on connect links, the last on {link}: {why}"),
            from: from.to_owned(),
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
        let open = self.opened()?;
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
            from: caller.from.clone(),
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
                    outcome: why.into(),
                    ..entry
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
        self.open.audit.append(Entry {
            outcome: outcome.to_owned(),
            token: token.map(|id| id.to_string()),
            ..self.entry.clone()
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
        let audit = Arc::clone(&self.open.audit);
        let entry = self.entry.clone();
        self.open.writer.submit(move |tx| {
            operation(tx).inspect_err(|error| {
                // The change was announced; that it was not made is said as well. A trail that
                // cannot be written to keeps the announcement, which errs on the safe side.
                let _ = audit.append(Entry {
                    outcome: error.code().into(),
                    ..entry
                });
            })
        })
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
            audit.append(Entry { outcome, ..entry })?;
            Ok(value)
        })
    }

    /// The trail, for those who may read it.
    pub(super) fn audit(&self) -> &Audit {
        &self.open.audit
    }

    /// The access keys, for those who may see or change them.
    pub(super) fn access_keys(&self) -> Vec<Arc<AccessKey>> {
        let kept = self.open.access_keys.read().expect("no holder panics");
        kept.values().map(|kept| Arc::clone(&kept.key)).collect()
    }

    /// A hook that makes a stored key known, or a removed one unknown, once the store has it.
    pub(super) fn key_hook(&self) -> KeyHook {
        KeyHook(Arc::clone(&self.open.access_keys))
    }
}

/// How an access key's secret is kept: a keyed hash. The secret has 256 bits, so nothing slower
/// would make guessing harder (T17).
pub(super) fn hash_key_secret(keys: &Keyring, id: &str, secret: &str) -> [u8; 32] {
    keys.hash(Purpose::AccessKeys, &[id.as_bytes(), secret.as_bytes()])
}

/// `sr_<id>_<secret>`: found by id, compared in constant time.
fn known_key(open: &Open, bearer: &str, now: Timestamp) -> Option<Arc<AccessKey>> {
    let (id, secret) = bearer.strip_prefix("sr_")?.split_once('_')?;
    let kept = open
        .access_keys
        .read()
        .expect("no holder panics")
        .get(id)
        .cloned();
    // An unknown id is compared too, with a hash that nothing has, so that it takes as long.
    let hash = hash_key_secret(&open.keys, id, secret);
    let expected = kept.as_ref().map_or([0; 32], |kept| kept.hash);
    let equal = Secret::new(expected).equals(&hash);
    kept.filter(|kept| equal && kept.key.expires_at.is_none_or(|end| end > now))
        .map(|kept| Arc::clone(&kept.key))
}
