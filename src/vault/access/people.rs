//! People whom a configured issuer names: let in under the issuer's access key, or turned away.
//!
//! It promises: nobody is let in by a key that expired, or whose removal was asked for, also where
//! that was while the issuer's own keys were fetched; who is turned away is on record like any
//! stranger, and cannot tell why.
//! It never: looks at a token (that is `bearer`), or lets anybody have more than the key's grants.

use std::sync::Arc;

use super::{Gate, Hand};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::access::{AccessKey, Caller, Person, Who};
use crate::vault::Vault;
use crate::vault::audit::Entry;

impl Vault {
    /// The access keys that JWTs of this issuer may stand for now.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub fn keys_of_issuer(&self, issuer: &str) -> Result<Vec<Arc<AccessKey>>> {
        let open = self.gate().opened_to(None)?;
        let now = self.clock().now();
        let mut keys = open.access_keys.of_issuer(issuer);
        keys.retain(|key| !key.has_ended(now));
        Ok(keys)
    }

    /// Makes a caller of a person whom a JWT is of that was verified by the rule of `key`, and that
    /// ends at `until`.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::Unauthenticated`] where the key is of no use any more.
    pub fn admit(
        &self,
        key: &AccessKey,
        person: Person,
        until: Timestamp,
        from: Arc<str>,
    ) -> Result<Caller> {
        let kept = self.gate().usable_key(&key.id, self.clock().now())?;
        let Some((key, rule)) = kept.as_ref().and_then(|key| Some((key, key.jwt.as_ref()?))) else {
            return Err(self.turn_away("its access key was removed", &from));
        };
        self.gate()
            .opened_to(None)?
            .access_keys
            .used(&key.id, self.clock().now());
        Ok(Caller {
            who: Who::Person {
                key: Arc::new(rule.narrow(key, &person, until)),
                person: Arc::new(person),
            },
            from,
            reason: None,
        })
    }

    /// Turns away who presented a JWT that is not good, on record. What comes back is what somebody
    /// with an unknown access key is told.
    pub fn turn_away(&self, why: &'static str, from: &str) -> Error {
        match self.gate().turn_away(why, from) {
            Ok(told) => told,
            Err(trouble) => trouble,
        }
    }

    /// How the vault stands is for who runs it, or a program that uses it, and for no one of a
    /// program's users.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn may_see_status(&self, caller: &Caller) -> Result<()> {
        match caller.person() {
            None => Ok(()),
            Some(_) => Err(self.refuse(caller, "status", "it is for access keys")),
        }
    }

    /// Refuses what no grant stands for, on record.
    pub fn refuse(&self, caller: &Caller, action: &'static str, why: &'static str) -> Error {
        let refused = self.gate().refuse(caller, action, why);
        refused.err().unwrap_or(Error::Denied)
    }
}

impl Gate {
    /// An access key that may be used now, by its id.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub(in crate::vault) fn usable_key(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<AccessKey>>> {
        let kept = self.opened_to(None)?.access_keys.usable(id);
        let key = kept.map(|kept| Arc::clone(&kept.key));
        Ok(key.filter(|key| !key.has_ended(now)))
    }

    /// Puts it on record; what the stranger is told comes back.
    fn turn_away(&self, why: &'static str, from: &str) -> Result<Error> {
        let open = self.opened_to(None)?;
        self.record_stranger(&open, from, self.clock.now(), Some(why))?;
        Ok(match &open.hand {
            // Nobody can tell yet whether a key is missing.
            Hand::Check(board) => board.refusal(),
            Hand::Writer(_) => Error::Unauthenticated,
        })
    }

    fn refuse(&self, caller: &Caller, action: &'static str, why: &'static str) -> Result<()> {
        let open = self.opened_to(Some(caller))?;
        open.audit.append(Entry {
            at: self.clock.now(),
            caller: caller.name().as_str(),
            action,
            outcome: why,
            from: &caller.from,
            ..Entry::default()
        })
    }
}
