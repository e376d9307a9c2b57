//! Which host a vault lives on.
//!
//! It promises: V12 a vault that was copied to another host starts with refresh paused, until told
//! that it is this host's own.
//! It never: keeps or shows the host's name; a keyed hash of it is enough.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::Vault;
use super::records::{decode, encode, unix_ms};
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::model::access::{Action, Caller, Target};
use crate::seal::Purpose;
use crate::secret::hex;
use crate::store::{Records, View};

const HOME: &[u8] = b"home";
/// There while a restored vault was not yet told to go on.
pub(super) const RESTORED: &[u8] = b"restored";

/// Which host a vault lives on, as a keyed hash.
#[derive(Serialize, Deserialize)]
struct Home {
    host: String,
}

/// What a vault was restored from.
#[derive(Serialize, Deserialize)]
pub(super) struct RestoredFrom {
    pub(super) epoch: u64,
    #[serde(with = "unix_ms")]
    pub(super) at: Timestamp,
}

impl Vault {
    /// Compares the host with the one the vault lived on, and writes it down where it is new.
    pub(super) fn settle_in(&self) -> Result<()> {
        let Some(host) = host_id() else {
            self.0.refresh_paused.store(false, Ordering::Release);
            return Ok(());
        };
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Lock, &Target::vault())?;
        let host = hex(&permit
            .keys()
            .hash(Purpose::Index, &[b"host", host.as_bytes()])[..16]);
        let sealed = self.store().read()?.record(Records::Meta, HOME)?;
        let known = sealed
            .map(|sealed| permit.keys().open(Records::Meta.name(), HOME, &sealed, 0))
            .transpose()?
            .map(|plain| decode::<Home>(&plain))
            .transpose()?;
        let moved = known.as_ref().is_some_and(|home| home.host != host);
        let paused = moved && !self.0.settings.accept_host;
        self.0.refresh_paused.store(paused, Ordering::Release);
        if paused {
            permit.record(
                "refresh paused: the vault was copied from another host",
                None,
            )?;
        } else if moved || known.is_none() {
            let home = Home { host };
            let write = permit.write(None, move |tx| {
                tx.put(Records::Meta, HOME, &[&encode(&home)]).map(|_| ())
            })?;
            write.wait()?;
        }
        Ok(())
    }
}

/// Marks a vault as restored: its refresh tokens may be spent, so it does not refresh until told.
pub(super) fn mark_restored(tx: &mut Tx<'_>, from: &RestoredFrom) -> Result<()> {
    tx.put(Records::Meta, RESTORED, &[&encode(from)])
        .map(|_| ())
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
