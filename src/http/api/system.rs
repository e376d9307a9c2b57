//! Health, status, unlocking, backups, access keys, audit.
//!
//! It promises: what the module above does.
//! It never: lets the derivation of a key hold up who is served.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::limit;
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::who;
use crate::http::wire::keys::{KeyRequest, KeyShape};
use crate::http::wire::{ok, read, typed};
use crate::secret::Secret;
use crate::vault::{Backup, KeyTerm, Pause, Rotation, SlotInfo, Unlocker};

#[derive(Serialize)]
struct Health {
    locked: bool,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_because: Option<&'static str>,
}

#[derive(Serialize)]
struct AnchorShape {
    epoch: u64,
    behind: bool,
}

#[derive(Serialize)]
struct StatusShape {
    locked: bool,
    version: &'static str,
    epoch: Option<u64>,
    audit_seq: Option<u64>,
    keys_in_locked_memory: Option<bool>,
    refresh_paused: bool,
    refresh_paused_because: Option<Pause>,
    backup: Option<Backup>,
    key_term: Option<KeyTerm>,
    rotation: Option<Rotation>,
    anchor: Option<AnchorShape>,
    clock_off_s: i64,
    clock_set_back_s: Option<u64>,
    slots: Vec<SlotInfo>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnlockRequest {
    #[serde(deserialize_with = "typed")]
    passphrase: Option<Secret<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    directory: Option<String>,
}

pub(super) fn health(app: &App) -> Answer {
    let status = app.vault.status();
    ok(&Health {
        locked: status.locked,
        version: env!("CARGO_PKG_VERSION"),
        locked_because: status.locked_because.filter(|_| status.locked),
    })
}

pub(super) fn status(app: &App, call: &Call) -> Result<Answer> {
    let caller = call.caller()?;
    let status = app.vault.status();
    Ok(ok(&StatusShape {
        locked: status.locked,
        version: env!("CARGO_PKG_VERSION"),
        epoch: status.epoch,
        audit_seq: status.audit_seq,
        keys_in_locked_memory: status.keys_in_locked_memory,
        refresh_paused: status.refresh_paused,
        refresh_paused_because: status.refresh_paused_because,
        backup: app.vault.latest_backup(caller)?,
        key_term: status.key_term,
        rotation: status.rotation,
        anchor: status.anchor.map(|anchor| AnchorShape {
            epoch: anchor.epoch,
            behind: anchor.behind,
        }),
        clock_off_s: status.clock_off_s,
        clock_set_back_s: status.clock_set_back_s,
        slots: app.vault.slots()?,
    }))
}

pub(super) async fn unlock(app: &App, call: &Call) -> Result<Answer> {
    from_here(app, call)?;
    let typed = read::<UnlockRequest>(&call.body)?.passphrase;
    let typed = typed.ok_or_else(|| Error::invalid("`passphrase` is missing"))?;
    let peer = call.peer.clone();
    let source = blocking(move || Ok(who::source(&peer))).await?;
    let turn = app.vault.turn_to_unlock(source).await?;
    let (vault, from) = (app.vault.clone(), call.peer.address.clone());
    blocking(move || vault.unlock_in_turn(turn, &Unlocker::from_typed(typed), &from)).await?;
    app.refresher.notice();
    Ok(ok(&serde_json::json!({ "locked": false })))
}

pub(super) async fn lock(app: &App, call: &Call) -> Result<Answer> {
    app.refresher.lock(call.caller()?).await?;
    Ok(ok(&serde_json::json!({ "locked": true })))
}

/// Begins a backup. Like unlocking, it is for who is on this machine: the path is this machine's.
pub(super) async fn backup(app: &App, call: &Call) -> Result<Answer> {
    let caller = call.caller()?.clone();
    if !call.peer.loopback_or_unix && !app.remote_unlock {
        return app.vault.refuse_backup_from_afar(&caller).map(|it| ok(&it));
    }
    let directory = read::<BackupRequest>(&call.body)?.directory;
    let directory = directory.ok_or_else(|| Error::invalid("`directory` is missing"))?;
    let vault = app.vault.clone();
    let begun = blocking(move || vault.start_backup(&caller, Path::new(&directory))).await?;
    Ok(ok(&begun))
}

pub(super) fn keys(app: &App, call: &Call) -> Result<Answer> {
    let keys = app.vault.keys(call.caller()?)?;
    let shapes: Vec<KeyShape<'_>> = keys.iter().map(|key| KeyShape::of(key, None)).collect();
    Ok(ok(&serde_json::json!({ "keys": shapes })))
}

pub(super) async fn add_key(app: &App, call: &Call) -> Result<Answer> {
    let new = read::<KeyRequest>(&call.body)?.into_key()?;
    let (key, text) = app.vault.add_key(call.caller()?, new).await?;
    Ok(ok(&KeyShape::of(&key, Some(&text))))
}

pub(super) async fn remove_key(app: &App, call: &Call) -> Result<Answer> {
    app.vault
        .remove_key(call.caller()?, call.capture(0))
        .await?;
    Ok(ok(&serde_json::json!({ "deleted": true })))
}

pub(super) fn audit(app: &App, call: &Call) -> Result<Answer> {
    call.takes(&["limit", "cursor"])?;
    let page = app
        .vault
        .audit(call.caller()?, call.optional("cursor"), limit(call)?)?;
    Ok(ok(
        &serde_json::json!({ "entries": page.entries, "cursor": page.cursor }),
    ))
}

pub(super) async fn verify_audit(app: &App, call: &Call) -> Result<Answer> {
    let (vault, caller) = (app.vault.clone(), call.caller()?.clone());
    Ok(ok(&blocking(move || vault.verify_audit(&caller)).await?))
}

/// What opens the vault is taken from this machine alone, unless told otherwise.
pub(super) fn from_here(app: &App, call: &Call) -> Result<()> {
    if call.peer.loopback_or_unix || app.remote_unlock {
        Ok(())
    } else {
        Err(Error::Denied)
    }
}

/// Runs what takes long apart from who is served.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(Error::ShuttingDown))
}
