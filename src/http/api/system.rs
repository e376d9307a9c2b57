//! Health, status, unlocking, backups, compaction, access keys, audit.
//!
//! It promises: what the module above does.
//! It never: lets the derivation of a key hold up who is served.

use std::path::Path;

use serde::Deserialize;

use super::limit;
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::who;
use crate::http::wire::keys::{KeyRequest, KeyShape};
use crate::http::wire::status::{BackupShape, CompactionShape, HealthShape, StatusShape};
use crate::http::wire::{ok, read, typed};
use crate::model::access::Action;
use crate::secret::Secret;
use crate::vault::Unlocker;

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
    ok(&HealthShape::of(&app.vault.status()))
}

pub(super) fn status(app: &App, call: &Call) -> Result<Answer> {
    let caller = call.caller()?;
    app.vault.may_see_status(caller)?;
    let backup = app.vault.latest_backup(caller)?;
    let compaction = app.vault.latest_compaction(caller)?;
    let slots = app.vault.slots()?;
    let status = app.vault.status();
    Ok(ok(&StatusShape::of(status, (backup, compaction), slots)))
}

pub(super) async fn unlock(app: &App, call: &Call) -> Result<Answer> {
    unlock_with(app, call, || {
        let typed = read::<UnlockRequest>(&call.body)?.passphrase;
        typed.ok_or_else(|| Error::invalid("`passphrase` is missing"))
    })
    .await?;
    Ok(ok(&serde_json::json!({ "locked": false })))
}

/// Unlocks the vault with what was typed, which is not looked at before it is this one's turn.
///
/// # Errors
/// [`Error::Denied`] from another machine; [`Error::UnlockFailed`]; what is wrong with the vault.
pub(in crate::http) async fn unlock_with(
    app: &App,
    call: &Call,
    typed: impl FnOnce() -> Result<Secret<String>>,
) -> Result<()> {
    if !from_here(app, call) {
        // Nobody is known yet, and no trail is open: there is nothing to put it on record with.
        return Err(Error::Denied);
    }
    let typed = typed()?;
    let peer = call.peer.clone();
    let source = blocking(move || Ok(who::source(&peer))).await?;
    let turn = app.vault.turn_to_unlock(source).await?;
    let (vault, from) = (app.vault.clone(), call.peer.address.clone());
    blocking(move || vault.unlock_in_turn(turn, &Unlocker::from_typed(typed), &from)).await?;
    app.refresher.notice();
    Ok(())
}

pub(super) async fn lock(app: &App, call: &Call) -> Result<Answer> {
    app.refresher.lock(call.caller()?).await?;
    Ok(ok(&serde_json::json!({ "locked": true })))
}

/// Begins a backup. Like unlocking, it is for who is on this machine: the path is this machine's.
pub(super) async fn backup(app: &App, call: &Call) -> Result<Answer> {
    let caller = call.caller()?.clone();
    only_from_here(app, call, Action::Backup)?;
    let directory = read::<BackupRequest>(&call.body)?.directory;
    let directory = directory.ok_or_else(|| Error::invalid("`directory` is missing"))?;
    let vault = app.vault.clone();
    let begun = blocking(move || vault.start_backup(&caller, Path::new(&directory))).await?;
    Ok(ok(&BackupShape::of(&begun)))
}

/// Begins a compaction; the writer does it.
pub(super) fn compact(app: &App, call: &Call) -> Result<Answer> {
    let begun = app.vault.start_compaction(call.caller()?)?;
    Ok(ok(&CompactionShape::of(&begun)))
}

pub(super) fn keys(app: &App, call: &Call) -> Result<Answer> {
    let keys = app.vault.keys(call.caller()?)?;
    let uses = app.vault.last_uses(call.caller()?)?;
    let shape = |key| KeyShape::of(key, uses.get(&key.id).copied());
    let shapes: Vec<KeyShape<'_>> = keys.iter().map(|key| shape(key)).collect();
    Ok(ok(&serde_json::json!({ "keys": shapes })))
}

pub(super) async fn add_key(app: &App, call: &Call) -> Result<Answer> {
    let (new, jwt) = read::<KeyRequest>(&call.body)?.into_key()?;
    let caller = call.caller()?;
    let Some(rule) = jwt else {
        let (key, text) = app.vault.add_key(caller, new).await?;
        return Ok(ok(&KeyShape::of_new(&key, Some(&text))));
    };
    let key = app.vault.add_issuer(caller, new, rule).await?;
    Ok(ok(&KeyShape::of_new(&key, None)))
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

/// Whether what opens the vault, and where a backup goes, is taken from this request: from this
/// machine alone, unless told otherwise.
pub(in crate::http) fn from_here(app: &App, call: &Call) -> bool {
    call.peer.loopback_or_unix || app.remote_unlock
}

/// Refuses what is asked for from another machine, on record.
pub(super) fn only_from_here(app: &App, call: &Call, action: Action) -> Result<()> {
    match from_here(app, call) {
        true => Ok(()),
        false => Err(app.vault.refuse_from_afar(call.caller()?, action)),
    }
}

/// Runs what takes long apart from who is served.
pub(in crate::http) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(Error::ShuttingDown))
}
