//! Tokens: fetched, uploaded, deleted.
//!
//! It promises: what the module above does.
//! It never: tells "not yours" from "not there".

use super::failure::{Failure, Result};
use super::wire::tokens::{FetchRequest, filter, handed, owner_in_query, token_id};
use super::wire::uploads::{Batch, KeyUpload, TokenUpload};
use super::wire::{done, read};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::routes::descope::{Level, Pick};
use crate::http::wire::ok;
use crate::refresh::Outcome;

pub(super) async fn fetch(app: &App, call: &Call, level: Level, pick: Pick) -> Result<Answer> {
    let wanted = read::<FetchRequest>(&call.body)?.into_ask(level, pick)?;
    match app.refresher.token(call.caller()?, &wanted).await? {
        Outcome::Ok(found) => Ok(handed(&wanted.ask, &found)),
        other => Err(Failure::of_outcome(&other)),
    }
}

pub(super) fn connected_apps(app: &App, call: &Call) -> Result<Answer> {
    let owner = owner_in_query(call)?;
    let apps = app.vault.connected_apps(call.caller()?, &owner)?;
    Ok(ok(&serde_json::json!({ "appIds": apps })))
}

pub(super) async fn delete_fitting(app: &App, call: &Call) -> Result<Answer> {
    let filter = filter(call)?;
    app.refresher
        .remove_all_fitting(call.caller()?, &filter)
        .await?;
    Ok(done())
}

pub(super) async fn delete(app: &App, call: &Call) -> Result<Answer> {
    app.refresher
        .remove(call.caller()?, token_id(call)?)
        .await?;
    Ok(done())
}

pub(super) async fn upload_key(app: &App, call: &Call, level: Level) -> Result<Answer> {
    let new = read::<KeyUpload>(&call.body)?.into_token(level)?;
    app.refresher.store(call.caller()?, new, false).await?;
    Ok(done())
}

pub(super) async fn upload(app: &App, call: &Call, level: Level) -> Result<Answer> {
    let upload: TokenUpload = read(&call.body)?;
    let verify = upload.verify();
    let new = upload.into_token(level)?;
    app.refresher.store(call.caller()?, new, verify).await?;
    Ok(done())
}

pub(super) async fn upload_batch(app: &App, call: &Call, level: Level) -> Result<Answer> {
    let mut batch = read::<Batch>(&call.body)?.read(level)?;
    let tokens = std::mem::take(&mut batch.tokens);
    let refused = app.refresher.store_all(call.caller()?, tokens).await?;
    Ok(batch.answer(level, refused))
}
