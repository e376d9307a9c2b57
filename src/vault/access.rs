//! Who is asking, whether they may, and the record of it: the gate before every key.
//!
//! It promises:
//! * V4 The keys of an unlocked vault are reached through a [`Permit`] alone, and a permit is made
//!   here alone, by [`Gate::permit`]: after [`decide`] allowed it. A refusal is on record.
//!   While the file is being checked there is no writer, and no permit but to fetch, to lock and to
//!   read the trail.
//! * V5 What a permit allowed is put on record before its result is handed out; where that fails,
//!   the operation is refused.
//! * V6 An unknown key, a wrong secret and an expired key are answered alike.
//!
//! It never: lets a decision depend on what is stored.

mod known;
mod people;
mod permit;
mod sessions;
mod strangers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, Weak};

pub(super) use self::known::hash_key_secret;
use self::known::{KnownKeys, LastUse, known_key};
pub(super) use self::permit::Permit;
use self::sessions::Sessions;
pub use self::sessions::{AtConsole, Attention, Looked};
use self::strangers::Strangers;
use super::anchor::{Anchor, AnchorStatus};
use super::audit::{Audit, Entry};
use super::behind::{Board, Checking};
use super::project;
use super::writer::Writer;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::model::LinkId;
use crate::model::access::{AccessKey, Action, Caller, Decision, Target, Who, decide};
use crate::seal::Keyring;
use crate::secret::Secret;
use crate::store::Store;

/// What an unlocked vault holds. Its fields are this file's. A copy holds the same.
#[derive(Clone)]
pub(super) struct Open {
    keys: Arc<Keyring>,
    audit: Arc<Audit>,
    hand: Hand,
    anchor: Option<Arc<Anchor>>,
    access_keys: KnownKeys,
    sessions: Sessions,
    /// Asked for with every request of a client that names it.
    project_id: Arc<str>,
}

/// Whom changes go through.
#[derive(Clone)]
enum Hand {
    /// The one writer.
    Writer(Arc<Writer>),
    /// Nobody yet: the file is being checked.
    Check(Arc<Board>),
}

impl Open {
    fn writer(&self) -> Result<&Writer> {
        match &self.hand {
            Hand::Writer(writer) => Ok(writer),
            Hand::Check(board) => Err(board.refusal()),
        }
    }

    /// Refuses what has to wait for the check.
    fn may_begin(&self, action: Action) -> Result<()> {
        match (&self.hand, action) {
            (Hand::Writer(_), _) => Ok(()),
            (Hand::Check(_), Action::Fetch | Action::Lock | Action::Audit) => Ok(()),
            (Hand::Check(board), _) => Err(board.refusal()),
        }
    }
}

/// An access key and the keyed hash of its secret.
pub(super) struct KeptKey {
    pub(super) key: Arc<AccessKey>,
    hash: [u8; 32],
    use_: LastUse,
}

impl KeptKey {
    pub(super) fn new(key: AccessKey, hash: [u8; 32]) -> Self {
        Self {
            key: Arc::new(key),
            hash,
            use_: LastUse::default(),
        }
    }
}

/// The gate.
pub(super) struct Gate {
    open: RwLock<Option<Arc<Open>>>,
    /// What takes its place as soon as all is settled. The vault itself settles it with this.
    next: RwLock<Option<Arc<Open>>>,
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
            next: RwLock::new(None),
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

    /// Lets callers in: the vault is unlocked. Where a check goes on, `board` tells how far it is.
    pub(super) fn open(
        &self,
        store: &Arc<Store>,
        keys: Arc<Keyring>,
        audit: Audit,
        access_keys: HashMap<String, Arc<KeptKey>>,
        anchor: Option<Arc<Anchor>>,
        board: Option<Arc<Board>>,
    ) -> Result<()> {
        let audit = Arc::new(audit);
        let access_keys = KnownKeys::new(access_keys);
        let hand = match board {
            Some(board) => Hand::Check(board),
            None => self.writer(store, &keys, &audit, &access_keys, anchor.clone())?,
        };
        let open = Open {
            project_id: project::of(keys.vault_id()).into(),
            keys,
            audit,
            hand,
            anchor,
            access_keys,
            sessions: Sessions::default(),
        };
        *self.open.write().expect("no holder panics") = Some(Arc::new(open));
        Ok(())
    }

    fn writer(
        &self,
        store: &Arc<Store>,
        keys: &Arc<Keyring>,
        audit: &Arc<Audit>,
        access_keys: &KnownKeys,
        anchor: Option<Arc<Anchor>>,
    ) -> Result<Hand> {
        let known = access_keys.clone();
        let writer = Writer::start(
            Arc::clone(store),
            Arc::clone(keys),
            Arc::clone(audit),
            anchor,
            self.clock.clone(),
            Box::new(move |keys, view| {
                known.read_anew(super::keys::load(keys, view)?);
                Ok(())
            }),
        )?;
        Ok(Hand::Writer(Arc::new(writer)))
    }

    /// The file was checked, and `store` has what was: the vault itself may write from here on, and
    /// all others with [`Self::let_write`].
    ///
    /// # Errors
    /// [`Error::Locked`], also where the vault was locked and unlocked since the check with this
    /// board began; what keeps the store from being read.
    pub(super) fn begin_writing(&self, store: &Arc<Store>, board: &Arc<Board>) -> Result<()> {
        let open = self.opened()?;
        match &open.hand {
            Hand::Check(current) if Arc::ptr_eq(current, board) => {}
            _ => return Err(Error::Locked),
        }
        let known = super::keys::load(&open.keys, &store.read()?)?;
        open.access_keys.read_anew(known);
        let anchor = open.anchor.clone();
        let hand = self.writer(store, &open.keys, &open.audit, &open.access_keys, anchor)?;
        let next = Open {
            hand,
            ..Open::clone(&open)
        };
        *self.next.write().expect("no holder panics") = Some(Arc::new(next));
        Ok(())
    }

    /// Lets everybody write.
    pub(super) fn let_write(&self) {
        if let Some(next) = self.take_next() {
            *self.open.write().expect("no holder panics") = Some(next);
        }
    }

    fn take_next(&self) -> Option<Arc<Open>> {
        self.next.write().expect("no holder panics").take()
    }

    /// How far the check is, while one goes on.
    pub(super) fn checking(&self) -> Option<Checking> {
        match &self.opened().ok()?.hand {
            Hand::Writer(_) => None,
            Hand::Check(board) => Some(board.progress()),
        }
    }

    /// Why nothing is written yet, while a check goes on.
    pub(super) fn must_wait(&self) -> Option<Error> {
        self.opened().ok()?.writer().err()
    }

    /// Shuts the gate: what is queued is committed and synced, then the keys are dropped, with the
    /// last permit that is still out.
    pub(super) fn shut(&self) {
        let open = self.open.write().expect("no holder panics").take();
        // What was not let in yet has the same trail, and a writer that the other has not.
        for open in [self.take_next(), open].into_iter().flatten() {
            if let Err(error) = open.audit.flush() {
                tracing::warn!(%error, "the last entries of the trail may not be on the disk");
            }
            if let Hand::Writer(writer) = &open.hand {
                writer.stop();
            }
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
        *gate = Some(Arc::new(Open::clone(&old)));
        Ok(Arc::downgrade(&old))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.read().expect("no holder panics").is_some()
    }

    /// What is open to `caller`; none is a stranger.
    fn opened_to(&self, caller: Option<&Caller>) -> Result<Arc<Open>> {
        let is_own = caller.is_some_and(|caller| matches!(caller.who, Who::Local));
        if is_own && let Some(next) = &*self.next.read().expect("no holder panics") {
            return Ok(Arc::clone(next));
        }
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
        let epoch = match &open.hand {
            Hand::Writer(writer) => writer.epoch(),
            Hand::Check(board) => board.epoch(),
        };
        Some((
            epoch,
            open.audit.last_seq(),
            open.keys.is_locked_in_memory(),
            open.keys.current_term(),
        ))
    }

    /// The project id, while the vault is unlocked.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub(super) fn project_id(&self) -> Result<Arc<str>> {
        self.opened().map(|open| Arc::clone(&open.project_id))
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
    /// now; [`Error::Checking`] for all of that while nobody can tell whether a key is missing.
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
                self.record_stranger(&open, &from, now, None)?;
                match &open.hand {
                    Hand::Check(board) if bearer.is_some() => Err(board.refusal()),
                    _ => Err(Error::Unauthenticated),
                }
            }
        }
    }

    /// `why` is what was wrong with what the last of them presented, where we can tell.
    fn record_stranger(
        &self,
        open: &Open,
        from: &str,
        now: Timestamp,
        why: Option<&'static str>,
    ) -> Result<()> {
        let Some(count) = self.strangers.count(now) else {
            return Ok(());
        };
        let last = why.map_or(String::new(), |why| format!("; the last one's JWT: {why}"));
        open.audit.append(Entry {
            at: now,
            caller: "unknown",
            action: "authenticate",
            outcome: &format!("refused {count} without a valid access key{last}"),
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
    /// [`Error::Locked`], [`Error::Denied`], [`Error::AuditUnavailable`]; [`Error::Checking`] for
    /// what has to wait for the check.
    pub(super) fn permit(
        &self,
        caller: &Caller,
        action: Action,
        target: &Target<'_>,
    ) -> Result<Permit> {
        let open = self.opened_to(Some(caller))?;
        open.may_begin(action)?;
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
