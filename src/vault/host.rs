//! Which host a vault lives on, and whether it was put back: from a backup, or by salvage.
//!
//! It promises: V12 a vault that was copied to another host, or put back, starts with refresh
//! paused, until told that it is the one to go on with: the other one may still run, and two that
//! spend the same refresh tokens end the grants of both (RFC 9700 4.14). What says so cannot be
//! taken out of the file: the ledger holds its hash.
//! It never: keeps or shows the host's name; a keyed hash of it is enough.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::Vault;
use super::access::Permit;
use super::records::{decode, encode, unix_ms};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::model::access::{Action, Caller, Target};
use crate::seal::{Keyring, Purpose};
use crate::secret::hex;
use crate::store::{Records, View};

const HOME: &[u8] = b"home";
/// There while a restored vault was not yet told to go on.
const RESTORED: &[u8] = b"restored";
/// What the vault keeps about itself, beside its ledger, which holds their hash.
pub(super) const NOTES: [&[u8]; 2] = [HOME, RESTORED];

/// Why refreshing is paused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// The vault's files were copied from another host.
    CopiedHost,
    /// The vault was restored from a backup, or salvaged.
    Restored,
}

impl Pause {
    fn in_words(self) -> &'static str {
        match self {
            Self::CopiedHost => "the vault was copied from another host",
            Self::Restored => "the vault was restored from a backup or salvaged",
        }
    }
}

/// Which host a vault lives on, as a keyed hash.
#[derive(Serialize, Deserialize)]
struct Home {
    host: String,
}

/// What a vault was restored from.
#[derive(Serialize, Deserialize)]
struct RestoredFrom {
    epoch: u64,
    #[serde(with = "unix_ms")]
    at: Timestamp,
}

impl Vault {
    /// Compares the host with the one the vault lived on, and writes it down where it is new; takes
    /// a restored vault for the one to go on with where that was said.
    pub(super) fn settle_in(&self) -> Result<()> {
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Lock, &Target::vault())?;
        let copied = self.settle_host(&permit)?.then_some(Pause::CopiedHost);
        let restored = self.settle_restored(&permit)?.then_some(Pause::Restored);
        let pause = restored.or(copied);
        *self.0.pause.lock().expect("no holder panics") = pause;
        self.0
            .refresh_paused
            .store(pause.is_some(), Ordering::Release);
        pause.map_or(Ok(()), |pause| {
            permit.record(&format!("refresh paused: {}", pause.in_words()), None)
        })
    }

    /// Why refreshing is paused, should it be.
    pub(super) fn pause(&self) -> Option<Pause> {
        *self.0.pause.lock().expect("no holder panics")
    }

    /// The first commit of a vault that was brought back from epoch `from`: its trail begins with
    /// what is `told`, and it does not refresh until told, since its refresh tokens may be spent.
    pub(super) fn begin_restored(&self, keys: Arc<Keyring>, from: u64, told: &str) -> Result<()> {
        self.let_in(keys, None)?;
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Backup, &Target::vault())?;
        let from = RestoredFrom {
            epoch: from,
            at: self.clock().now(),
        };
        let write = permit.write_as(told, None, move |tx| {
            tx.put(Records::Meta, RESTORED, &[&encode(&from)])
                .map(|_| ())
        })?;
        write.wait()
    }

    /// True where the vault lived on another host and was not told that it is at home.
    fn settle_host(&self, permit: &Permit) -> Result<bool> {
        let Some(host) = host_id() else {
            return Ok(false);
        };
        let host = hex(&permit
            .keys()
            .hash(Purpose::Index, &[b"host", host.as_bytes()])[..16]);
        let known: Option<Home> = self.note(permit, HOME)?;
        let moved = known.as_ref().is_some_and(|home| home.host != host);
        if moved && !self.0.settings.accept_host {
            return Ok(true);
        }
        if moved || known.is_none() {
            let home = Home { host };
            let write = permit.write(None, move |tx| {
                tx.put(Records::Meta, HOME, &[&encode(&home)]).map(|_| ())
            })?;
            write.wait()?;
        }
        Ok(false)
    }

    /// True where the vault was restored and not told to go on.
    fn settle_restored(&self, permit: &Permit) -> Result<bool> {
        let Some(from) = self.note::<RestoredFrom>(permit, RESTORED)? else {
            return Ok(false);
        };
        if !self.0.settings.accept_rollback {
            return Ok(true);
        }
        let told = format!(
            "refresh goes on: the vault restored at {} from epoch {} is taken for the one to go on \
             with",
            from.at, from.epoch
        );
        let write = permit.write_as(&told, None, |tx| {
            tx.remove(Records::Meta, RESTORED);
            Ok(())
        })?;
        write.wait().map(|()| false)
    }

    /// What stands in the vault about itself under `name`.
    fn note<T: serde::de::DeserializeOwned>(
        &self,
        permit: &Permit,
        name: &[u8],
    ) -> Result<Option<T>> {
        let sealed = self.store().read()?.record(Records::Meta, name)?;
        sealed
            .map(|sealed| permit.keys().open(Records::Meta.name(), name, &sealed, 0))
            .transpose()?
            .map(|plain| decode(&plain))
            .transpose()
    }
}

/// What tells this host from another: the machine id, and failing that the host's name.
fn host_id() -> Option<String> {
    let machine_id = std::fs::read_to_string("/etc/machine-id").ok();
    let machine_id = machine_id
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty());
    machine_id.or_else(|| {
        rustix::system::uname()
            .nodename()
            .to_str()
            .ok()
            .map(str::to_owned)
    })
}

#[cfg(test)]
mod tests;
