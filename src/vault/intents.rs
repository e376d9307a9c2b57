//! Intents: what says that a refresh token may be spent, until an outcome is stored.
//!
//! It promises: an intent names the refresh token it is about by a hash, and follows it to whatever
//! record lives on it.
//! It never: holds a refresh token.

use super::index::TokenKey;
use super::records::{Intent, decode, encode};
use super::writer::Tx;
use crate::error::Result;
use crate::model::token::Cold;
use crate::seal::{Keyring, Sealed, digest};
use crate::secret::{Secret, hex};
use crate::store::{Records, View};

/// Lets the intent of a record go that a newer one, of this version, has come in the place of;
/// where that lives on the refresh token it names, which may be spent, it stays and names that.
pub(super) fn follow(tx: &mut Tx<'_>, place: &TokenKey, cold: &Cold, version: u64) -> Result<()> {
    let Some(open) = intent(tx, place)? else {
        return Ok(());
    };
    let held = cold.refresh_token.as_ref().map(fingerprint);
    if held.as_ref() != Some(&open.spent) {
        tx.remove(Records::Intents, place);
        return Ok(());
    }
    let follows = Intent { version, ..open };
    tx.put(Records::Intents, place, &[&encode(&follows)])?;
    Ok(())
}

/// Tells a refresh token from another without holding it.
pub(super) fn fingerprint(refresh_token: &Secret<String>) -> String {
    hex(&digest(&[
        b"strongroom 1 refresh token",
        refresh_token.expose().as_bytes(),
    ])[..16])
}

/// The open intent of a record.
pub(super) fn intent(tx: &Tx<'_>, place: &TokenKey) -> Result<Option<Intent>> {
    let Some(sealed) = tx.view().record(Records::Intents, place)? else {
        return Ok(None);
    };
    open_intent(tx.keys(), place, &sealed).map(Some)
}

/// Opens an intent's record.
pub(super) fn open_intent(keys: &Keyring, place: &[u8], sealed: &Sealed) -> Result<Intent> {
    decode(&keys.open(Records::Intents.name(), place, sealed, 0)?)
}
