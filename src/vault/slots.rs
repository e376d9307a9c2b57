//! Key slots: the ways to unlock the vault, shown, added, replaced, removed.
//!
//! It promises: a key derivation, which is slow on purpose, holds up nobody but its caller: the new
//! header is prepared first and stored in one step, where the old one is still there; a header
//! changed behind the vault's back is refused, not signed again. Where a change asks for proof,
//! what opens the vault is presented anew, with the patience of an unlock: an access key that was
//! stolen takes nothing over.
//! It never: leaves a vault without a way in, or undoes a rotation of the keys beside it.

use serde::Serialize;

use super::Vault;
use super::line::Source;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::seal::{Header, KdfParams, Keyring, Unlocker};
use crate::secret::Secret;

/// A key slot, to show.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SlotInfo {
    /// Names it.
    pub number: u32,
    /// What opens it.
    pub kind: &'static str,
    /// What people call it.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Memory of a try, in KiB, for passphrases.
    pub kdf_memory_kib: Option<u32>,
}

impl Vault {
    /// The key slots. They are known without a key.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`].
    pub fn slots(&self) -> Result<Vec<SlotInfo>> {
        if !self.gate().is_open() {
            self.mend_store()?;
        }
        let header = Header::parse(&self.store().header()?)?;
        let slots = header.slots().iter().map(|slot| SlotInfo {
            number: slot.number,
            kind: slot.kind.as_str(),
            label: slot.label.clone(),
            created_at: slot.created_at,
            kdf_memory_kib: slot.kdf.map(KdfParams::memory_kib),
        });
        Ok(slots.collect())
    }

    /// Adds a way to unlock the vault; the slot's number comes back. Blocks for as long as the key
    /// derivation was made to take, and for the commit: not to be called on a thread that serves
    /// others.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a weak passphrase or too many slots; [`Error::Denied`];
    /// [`Error::Conflict`] where the slots were changed meanwhile.
    pub fn add_slot(
        &self,
        caller: &Caller,
        unlocker: Unlocker,
        label: &str,
        kdf: KdfParams,
    ) -> Result<u32> {
        if let Unlocker::Passphrase(passphrase) = &unlocker {
            crate::seal::check_passphrase(passphrase)?;
        }
        let now = self.clock().now();
        let header = self.change_header(caller, |keys, header| {
            keys.add_slot(header, &unlocker, label, kdf, now)
        })?;
        Ok(header.slots().last().map_or(0, |slot| slot.number))
    }

    /// Takes a way to unlock the vault away. Blocks for the commit.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for the last one; [`Error::Denied`];
    /// [`Error::Conflict`] where the slots were changed meanwhile.
    pub fn remove_slot(&self, caller: &Caller, number: u32) -> Result<()> {
        self.change_header(caller, |keys, header| keys.remove_slot(header, number))
            .map(|_| ())
    }

    /// Puts a new passphrase in the place of every passphrase slot, in one step. Blocks like
    /// [`Vault::add_slot`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for a weak passphrase, or where there is none to replace and no room for
    /// one more; [`Error::Denied`]; [`Error::Conflict`] where the slots were changed meanwhile.
    pub fn change_passphrase(
        &self,
        caller: &Caller,
        passphrase: Secret<String>,
        kdf: KdfParams,
    ) -> Result<()> {
        crate::seal::check_passphrase(&passphrase)?;
        let unlocker = Unlocker::Passphrase(passphrase);
        let now = self.clock().now();
        self.change_header(caller, |keys, header| {
            keys.replace_slots(header, &unlocker, "changed", kdf, now)
        })
        .map(|_| ())
    }

    /// Does `change` once `current` has opened the vault anew. Blocks for the derivation, and for
    /// the change; one at a time.
    ///
    /// # Errors
    /// [`Error::UnlockFailed`]; [`Error::Busy`] while another derivation is under way or the wait
    /// after a wrong try is not over; [`Error::Denied`]; the change's.
    pub fn with_proof<T>(
        &self,
        caller: &Caller,
        current: &Unlocker,
        change: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let permit = self.gate().permit(caller, Action::Lock, &Target::vault())?;
        // Whoever has the right `lock` is one source: a stolen key gets no fresh patience.
        let turn = self.0.line.at_once(Source::Here, self.clock().now())?;
        let header = own_header(permit.keys(), &self.store().header()?)?;
        if let Err(error) = Keyring::unlock(&header, current) {
            if error == Error::UnlockFailed {
                self.0.line.failed(&turn, self.clock().now());
                permit.record("refused: what opens the vault was not presented", None)?;
            }
            return Err(error);
        }
        self.0.line.opened(&turn);
        drop(turn);
        drop(permit);
        change()
    }

    /// Prepares a new header on this thread, and stores it where the one it was made from is still
    /// the stored one. Made from one with other key terms it is prepared anew: a rotation begins
    /// and ends by itself, and nobody is to hear of it here.
    pub(super) fn change_header(
        &self,
        caller: &Caller,
        prepare: impl Fn(&Keyring, &Header) -> Result<Header>,
    ) -> Result<Header> {
        self.takes_writes()?;
        let mut tries = limits::HEADER_TRIES_MAX;
        loop {
            tries -= 1;
            let before = Header::parse(&self.store().header()?)?;
            let outcome = self.try_change_header(caller, &prepare);
            if !matches!(outcome, Err(Error::Conflict(_))) || tries == 0 {
                return outcome;
            }
            let after = Header::parse(&self.store().header()?)?;
            if after.slots() != before.slots() {
                return outcome;
            }
        }
    }

    fn try_change_header(
        &self,
        caller: &Caller,
        prepare: impl Fn(&Keyring, &Header) -> Result<Header>,
    ) -> Result<Header> {
        let permit = self.gate().permit(caller, Action::Lock, &Target::vault())?;
        let stored = self.store().header()?;
        let prepared =
            own_header(permit.keys(), &stored).and_then(|header| prepare(permit.keys(), &header));
        let prepared = match prepared {
            Ok(header) => header,
            Err(error) => {
                permit.record(error.code(), None)?;
                return Err(error);
            }
        };
        let write = permit.write(None, move |tx| {
            if tx.header()? != stored {
                return Err(Error::Conflict(
                    "the key slots were changed meanwhile; ask again".into(),
                ));
            }
            tx.put_header(&prepared);
            Ok(prepared)
        })?;
        write.wait()
    }
}

/// The stored header, as these keys signed it: a header changed behind the vault's back is refused,
/// not signed again.
fn own_header(keys: &Keyring, stored: &[u8]) -> Result<Header> {
    let header = Header::parse(stored)?;
    if keys.signed(&header) {
        Ok(header)
    } else {
        Err(Error::Damaged("the vault's header was changed".into()))
    }
}

#[cfg(test)]
mod tests;
