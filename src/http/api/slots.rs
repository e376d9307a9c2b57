//! Key slots and key terms of a running vault.
//!
//! It promises: what opens the vault is asked for anew with every change of a slot, from where
//! unlocking is allowed; derivations run apart from who is served, one at a time.
//! It never: shows a secret but the recovery code it made, once.

use super::system::{blocking, only_from_here};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::wire::slots::{MadeSlot, PassphraseRequest, Proof, SlotRequest};
use crate::http::wire::status::RotationShape;
use crate::http::wire::{ok, read};
use crate::model::access::Action;

pub(super) async fn add(app: &App, call: &Call) -> Result<Answer> {
    only_from_here(app, call, Action::Lock)?;
    let new = read::<SlotRequest>(&call.body)?.into_slot()?;
    let (vault, caller) = (app.vault.clone(), call.caller()?.clone());
    let code = new.recovery_code;
    let add = move || {
        let slot = || vault.add_slot(&caller, new.unlocker, &new.label, new.kdf);
        vault.with_proof(&caller, &new.current, slot)
    };
    let number = blocking(add).await?;
    Ok(ok(&MadeSlot::of(number, code.as_ref())))
}

pub(super) async fn remove(app: &App, call: &Call) -> Result<Answer> {
    only_from_here(app, call, Action::Lock)?;
    let number: u32 = call
        .capture(0)
        .parse()
        .map_err(|_| Error::NotFound("key slot"))?;
    let current = read::<Proof>(&call.body)?.into_unlocker()?;
    let (vault, caller) = (app.vault.clone(), call.caller()?.clone());
    blocking(move || vault.with_proof(&caller, &current, || vault.remove_slot(&caller, number)))
        .await?;
    Ok(ok(&serde_json::json!({ "deleted": true })))
}

pub(super) async fn change(app: &App, call: &Call) -> Result<Answer> {
    only_from_here(app, call, Action::Lock)?;
    let (current, passphrase, kdf) = read::<PassphraseRequest>(&call.body)?.into_change()?;
    let (vault, caller) = (app.vault.clone(), call.caller()?.clone());
    let change = move || {
        let change = || vault.change_passphrase(&caller, passphrase, kdf);
        vault.with_proof(&caller, &current, change)
    };
    blocking(change).await?;
    Ok(ok(&serde_json::json!({ "changed": true })))
}

pub(super) async fn rotate(app: &App, call: &Call) -> Result<Answer> {
    let (vault, caller) = (app.vault.clone(), call.caller()?.clone());
    let begun = blocking(move || vault.rotate_keys(&caller)).await?;
    Ok(ok(&RotationShape::of(&begun)))
}
