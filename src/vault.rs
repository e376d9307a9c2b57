//! The vault: the only meeting place of policy, seal, store and audit.
//!
//! Every operation takes the caller first, gets a permit (decided by `model/access`, put on record
//! by `audit`), and only then reaches a key. Reads run inline; writes are queued and answered when
//! they are durable ([`Receipt`]).
//!
//! It promises, beside what its rooms promise (V1 to V9 in `ledger`, `writer`, `access`, `renew`;
//! A1 to A3 in `audit`):
//! * V10 A locked vault holds no key, and answers "locked" to everything but unlocking.
//! * V11 Unlock tries go one at a time, each wrong one makes the next wait longer, and none locks
//!   the owner out for ever.
//! * V12 A vault that was copied to another host starts with refresh paused: two copies would spend
//!   the same refresh tokens.
//!
//! It never: waits for a network, or knows what a provider is.

mod access;
mod apps;
mod audit;
mod create;
mod due;
mod host;
mod index;
mod kept;
mod keys;
mod ledger;
mod links;
mod lists;
mod receipt;
mod records;
mod renew;
mod slots;
#[cfg(test)]
mod tests;
mod tokens;
mod trail;
mod unlock;
mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub use self::apps::{AppRemoval, AppSecrets, SecretChange, ShownApp};
pub use self::audit::{AuditMode, Entry as AuditEntry, Page as AuditPage, Verified};
pub use self::create::NewVault;
pub use self::due::{Due, Lane, Pick, Place};
pub use self::kept::{Doomed, NewCredential, NewToken};
pub use self::keys::NewKey;
pub use self::links::{MadeLink, NewLink, NoWay, Returned, Vouched};
pub use self::lists::{Filter, TokenPage};
pub use self::receipt::Receipt;
pub use self::renew::{Begin, Finish, Need, RefreshAsk, RefreshJob};
pub use self::slots::SlotInfo;
pub use self::tokens::{Ask, Besides, Found, Handed};
pub use crate::seal::{KdfParams, RecoveryCode, SlotKind, Unlocker, check_passphrase};

use self::access::Gate;
use self::audit::Directory;
use self::unlock::Patience;
use crate::clock::Clock;
use crate::error::Result;
use crate::model::Scopes;
use crate::model::access::{Action, Caller, Decision, Target, Who, decide};
use crate::secret::Secret;
use crate::store::Store;

/// How a vault is run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// When an audit entry counts as written.
    pub audit: AuditMode,
    /// Take a vault that was copied from another host for this host's own.
    pub accept_host: bool,
}

/// What anybody who reaches the endpoint may know, and, unlocked, an operator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Whether it is locked.
    pub locked: bool,
    /// Number of the last commit.
    pub epoch: Option<u64>,
    /// Number of the last audit entry.
    pub audit_seq: Option<u64>,
    /// Whether the keys are locked out of swap.
    pub keys_in_locked_memory: Option<bool>,
    /// Whether refreshing is paused, since the vault was copied from another host.
    pub refresh_paused: bool,
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
    /// Taken for the length of a try: one at a time.
    patience: Mutex<Patience>,
    refresh_paused: AtomicBool,
    /// Taken for the length of a verification of the trail.
    verifying: Mutex<()>,
}

impl Vault {
    fn assemble(store: Store, trail: Option<Directory>, settings: Settings, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            gate: Gate::new(clock.clone()),
            store: Arc::new(store),
            clock,
            settings,
            trail,
            patience: Mutex::default(),
            refresh_paused: AtomicBool::new(false),
            verifying: Mutex::default(),
        }))
    }

    /// Makes a caller of a presented access key.
    ///
    /// # Errors
    /// [`crate::error::Error::Unauthenticated`] for anything that is no key of ours, valid now.
    pub fn authenticate(&self, bearer: Option<&Secret<String>>, from: &str) -> Result<Caller> {
        self.0.gate.authenticate(bearer, from)
    }

    /// How the vault stands.
    pub fn status(&self) -> Status {
        let open = self.0.gate.status();
        Status {
            locked: open.is_none(),
            epoch: open.map(|(epoch, _, _)| epoch),
            audit_seq: open.map(|(_, seq, _)| seq),
            keys_in_locked_memory: open.map(|(_, _, locked)| locked),
            refresh_paused: self.0.refresh_paused.load(Ordering::Acquire),
        }
    }

    /// True where refreshing is paused (V12).
    pub fn is_refresh_paused(&self) -> bool {
        self.0.refresh_paused.load(Ordering::Acquire)
    }

    /// The vault's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn gate(&self) -> &Gate {
        &self.0.gate
    }

    fn store(&self) -> &Store {
        &self.0.store
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
