//! The vault: the only meeting place of policy, seal, store and audit.
//!
//! Every operation takes the caller first, gets a permit (decided by `model/access`, put on record
//! by `audit`), and only then reaches a key. Reads run inline; writes are queued and answered when
//! they are durable ([`Receipt`]).
//!
//! It promises, beside what its rooms promise (V1 to V9 in `ledger`, `writer`, `access`, `renew`;
//! V13 in `links`, V14 in `rotation`, V15 in `anchor`, V16 in `backup`, V17 in `restore`, V18 in
//! `compact`, V19 in `behind`, V20 in `filling`, V21 in `access/sessions`; A1 to A3 in `audit`):
//! * V10 A locked vault holds no key, and answers "locked" to everything but unlocking.
//! * V11 Unlock tries go one at a time, each wrong one makes the next of its source wait longer,
//!   and none locks the owner out for ever (`line`).
//! * V12 A vault that was copied to another host, restored from a backup or salvaged starts with
//!   refresh paused: two copies would spend the same refresh tokens.
//!
//! It never: waits for a network, or knows what a provider is.

mod access;
mod anchor;
mod apps;
mod audit;
mod backup;
mod behind;
mod check;
mod compact;
mod create;
mod due;
mod fetch;
mod filling;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod host;
mod index;
mod intents;
mod kept;
mod keys;
mod labour;
mod ledger;
mod line;
mod links;
mod lists;
mod overview;
mod project;
mod receipt;
mod records;
mod renew;
mod restore;
mod rotation;
mod salvage;
mod slots;
#[cfg(test)]
mod tests;
mod time;
mod tokens;
mod trail;
mod trial;
mod unlock;
mod uploads;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

pub use self::access::{AtConsole, Attention, Looked};
pub use self::anchor::AnchorStatus;
pub use self::apps::{AppRemoval, AppSecrets, RenewedClient, SecretChange, ShownApp};
pub use self::audit::{AuditMode, Entry as AuditEntry, Page as AuditPage, Verified};
pub use self::backup::{Backup, BackupState};
pub use self::behind::Checking;
pub use self::check::{Problem, Report};
pub use self::compact::{Compaction, CompactionState};
pub use self::create::NewVault;
pub use self::due::{Due, Lane, Pick, Place};
pub use self::fetch::{Ask, Besides, Found, Handed};
pub use self::host::Pause;
pub use self::kept::{Doomed, NewCredential, NewToken, Upload};
pub use self::keys::NewKey;
pub use self::line::{Source, Turn};
pub use self::links::{Before, Landing, MadeLink, NewLink, NoWay, Returned, Vouched, Way};
pub use self::lists::{Filter, TokenPage, Waiting};
pub use self::overview::Overview;
pub use self::receipt::Receipt;
pub use self::renew::{Begin, Finish, Need, RefreshAsk, RefreshJob};
pub use self::restore::Restored;
pub use self::rotation::{KeyTerm, Rotation, RotationState};
pub use self::salvage::{Lost, SalvageProgress, Salvaged, SalvagedTable, Wreck};
pub use self::slots::SlotInfo;
pub use self::trail::AuditFilter;
pub use self::uploads::Refusals;
pub use crate::seal::{KdfParams, RecoveryCode, SlotKind, Unlocker, check_passphrase};
pub use crate::store::Progress;

use self::access::Gate;
use self::audit::Directory;
use self::backup::Desk;
use self::behind::Behind;
use self::due::Spoilt;
use self::filling::Filler;
use self::line::Line;
use self::rotation::Rotator;
use self::time::Doubt;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::Scopes;
use crate::model::access::{Action, Caller, Decision, Target, Who, decide};
use crate::secret::Secret;
use crate::store::{Medium, Store, file_system};

/// How a vault is run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// When an audit entry counts as written.
    pub audit: AuditMode,
    /// Take a vault that was copied from another host for this host's own.
    pub accept_host: bool,
    /// The file, elsewhere, that remembers the last commit; made where it does not exist yet.
    pub anchor: Option<PathBuf>,
    /// Take a vault that is older than its anchor, or does not fit it, as it is: once.
    pub accept_rollback: bool,
    /// Check the file behind the first answers: until that is done only what is found valid is
    /// handed out. Where [`Settings::accept_rollback`] is said the check comes first all the same.
    pub check_behind: bool,
}

/// What anybody who reaches the endpoint may know, and, unlocked, an operator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Whether it is locked.
    pub locked: bool,
    /// What clients that speak of projects call it.
    pub project_id: Option<String>,
    /// Number of the last commit.
    pub epoch: Option<u64>,
    /// How far the check of the file is, while it goes on behind the first answers.
    pub checking: Option<Checking>,
    /// Number of the last audit entry.
    pub audit_seq: Option<u64>,
    /// Whether the keys are locked out of swap.
    pub keys_in_locked_memory: Option<bool>,
    /// Whether refreshing is paused (V12).
    pub refresh_paused: bool,
    /// Why, where it is.
    pub refresh_paused_because: Option<Pause>,
    /// The key term that records are sealed under.
    pub key_term: Option<KeyTerm>,
    /// The rotation to that term, while records of an older one are left.
    pub rotation: Option<Rotation>,
    /// How the anchor stands, where there is one.
    pub anchor: Option<AnchorStatus>,
    /// The code of what kept the vault locked when it was last to be unlocked, but for a wrong try.
    pub locked_because: Option<&'static str>,
    /// How far the machine's clock is ahead of ours, in seconds; less than nothing where it was
    /// set back while the process ran.
    pub clock_off_s: i64,
    /// How much earlier the clock was at unlock than when the vault was last written, in seconds.
    pub clock_set_back_s: Option<u64>,
}

/// A token vault. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    gate: Gate,
    store: Arc<Store>,
    clock: Clock,
    settings: Settings,
    /// Where the audit trail lies; `None` for a vault without files.
    trail: Option<Directory>,
    /// Who may try to unlock, and when.
    line: Arc<Line>,
    refresh_paused: AtomicBool,
    pause: Mutex<Option<Pause>>,
    backups: Desk,
    compactions: Arc<compact::Desk>,
    behind: Behind,
    rotator: Rotator,
    filler: Filler,
    /// Taken for the length of a verification of the trail.
    verifying: Mutex<()>,
    /// The operator's word for what does not fit the anchor, not used yet.
    accept_rollback: AtomicBool,
    /// Why the last try to unlock failed though what was presented opens the vault.
    locked_because: Mutex<Option<&'static str>>,
    /// What was written before the clock was found to be set back.
    doubt: Mutex<Doubt>,
    /// What the schedule passed over, since it does not open.
    spoilt: Spoilt,
}

impl Vault {
    fn assemble(store: Store, trail: Option<Directory>, settings: Settings, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            gate: Gate::new(clock.clone()),
            store: Arc::new(store),
            clock,
            accept_rollback: AtomicBool::new(settings.accept_rollback),
            settings,
            trail,
            line: Arc::default(),
            refresh_paused: AtomicBool::new(false),
            pause: Mutex::default(),
            backups: Desk::default(),
            compactions: Arc::default(),
            behind: Behind::default(),
            rotator: Rotator::default(),
            filler: Filler::default(),
            verifying: Mutex::default(),
            locked_because: Mutex::default(),
            doubt: Mutex::default(),
            spoilt: Spoilt::default(),
        }))
    }

    /// Makes a caller of a presented access key.
    ///
    /// # Errors
    /// [`crate::error::Error::Unauthenticated`] for anything that is no key of ours, valid now.
    pub fn authenticate(
        &self,
        bearer: Option<&Secret<String>>,
        from: impl Into<Arc<str>>,
    ) -> Result<Caller> {
        self.0.gate.authenticate(bearer, from.into())
    }

    /// How the vault stands.
    pub fn status(&self) -> Status {
        let open = self.0.gate.status();
        let checking = self.checking();
        Status {
            locked: open.is_none(),
            project_id: self.project_id().ok().map(|id| id.to_string()),
            epoch: open.map(|(epoch, _, _, _)| epoch),
            checking,
            audit_seq: open.map(|(_, seq, _, _)| seq),
            keys_in_locked_memory: open.map(|(_, _, locked, _)| locked),
            refresh_paused: self.is_refresh_paused() && checking.is_none(),
            refresh_paused_because: self.pause().filter(|_| self.is_refresh_paused()),
            key_term: open.map(|(_, _, _, term)| KeyTerm::from(term)),
            rotation: open.and_then(|_| self.0.rotator.status()),
            anchor: self.gate().anchor_status(),
            locked_because: *self.locked_because(),
            clock_off_s: self.0.clock.off_s(),
            clock_set_back_s: self.doubt().set_back_s(),
        }
    }

    fn locked_because(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.0.locked_because.lock().expect("no holder panics")
    }

    /// True where refreshing is paused (V12).
    pub fn is_refresh_paused(&self) -> bool {
        self.0.refresh_paused.load(Ordering::Acquire)
    }

    /// How far the check of the file is, while it goes on behind the first answers.
    pub fn checking(&self) -> Option<Checking> {
        self.gate().checking()
    }

    /// Why a refresh has to wait, while the check of the file goes on.
    pub fn must_wait_for_check(&self) -> Option<Error> {
        self.gate().must_wait()
    }

    /// The vault's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// The data directory; `None` for a vault without files.
    fn directory(&self) -> Option<&Path> {
        self.0.trail.as_ref()?.path().parent()
    }

    /// What its files lie on, and its backups are written to.
    fn medium(&self) -> Arc<dyn Medium> {
        let trail = self.0.trail.as_ref();
        trail.map_or_else(file_system, |trail| Arc::clone(trail.medium()))
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    /// Refuses while the disk refuses writes. What is read then may be what a failed commit left in
    /// the system's memory, so that "not there" would be said of what a power cut brings back.
    ///
    /// # Errors
    /// [`Error::Storage`].
    fn takes_writes(&self) -> Result<()> {
        match self.store().is_for_reading_alone() {
            false => Ok(()),
            true => Err(Error::Storage(
                "the disk refuses writes; nothing is removed until it takes them again".into(),
            )),
        }
    }

    /// True where `caller` may do `action` on `target`: for filtering what a permit already covers.
    fn would_allow(&self, caller: &Caller, action: Action, target: &Target<'_>) -> bool {
        let decision = decide(caller, action, target, self.0.clock.now());
        matches!(decision, Decision::Allowed { .. })
    }

    /// True where `caller` may do `action` on `target` with a token of these scopes: the ceilings
    /// are those of the grants that fit this very target.
    fn would_hand_out(
        &self,
        caller: &Caller,
        action: Action,
        target: &Target<'_>,
        granted: &Scopes,
    ) -> bool {
        match decide(caller, action, target, self.0.clock.now()) {
            Decision::Allowed { ceilings } => {
                ceilings.is_empty() || ceilings.iter().any(|ceiling| ceiling.covers(granted))
            }
            Decision::Refused(_) => false,
        }
    }

    /// The owner a caller is confined to by its nature, as a target.
    fn own<'a>(&self, caller: &'a Caller) -> Target<'a> {
        match &caller.who {
            Who::Link { owner, .. } => Target {
                owner: Some(owner),
                ..Target::default()
            },
            _ => Target::default(),
        }
    }
}
