//! Apps.
//!
//! It promises: what the module above does.
//! It never: shows a client secret.

use super::failure::{Failure, Result};
use super::wire::apps::{AppFields, NamedApp, UpdateRequest, all_loaded, loaded};
use super::wire::templates::TemplateRequest;
use super::wire::{done, needed, read};
use crate::error::Error;
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::model::AppId;

pub(super) async fn create(app: &App, call: &Call) -> Result<Answer> {
    let fields: AppFields = read(&call.body)?;
    let (mut new, secret) = fields.into_new(app.connect.domain(), app.vault.clock().now())?;
    app.connect.discover(call.caller()?, &mut new).await?;
    let stored = app.vault.add_app(call.caller()?, new, secret)?.await;
    Ok(loaded(&stored.map_err(Failure::of_app)?))
}

pub(super) async fn create_of_template(app: &App, call: &Call) -> Result<Answer> {
    let request: TemplateRequest = read(&call.body)?;
    let template = app.connect.template(request.template()?).ok_or_else(|| {
        Failure::argument("there is no such template: `GET /v1/templates` lists them")
    })?;
    let now = app.vault.clock().now();
    let (mut new, secret) = request.into_new(&template, app.connect.domain(), now)?;
    app.connect.discover(call.caller()?, &mut new).await?;
    let stored = app.vault.add_app(call.caller()?, new, secret)?.await;
    Ok(loaded(&stored.map_err(Failure::of_app)?))
}

/// Presets are made in Descope's console, which is not here.
pub(super) fn create_of_preset() -> Result<Answer> {
    let what = "there is no such preset here: create the app of a template, or with its settings";
    Err(Failure::argument(what))
}

pub(super) async fn update(app: &App, call: &Call) -> Result<Answer> {
    let request: UpdateRequest = read(&call.body)?;
    let before = app.vault.app(call.caller()?, &request.id()?)?;
    let now = app.vault.clock().now();
    let (mut new, secret) = request.over(&before, app.connect.domain(), now)?;
    app.connect.discover(call.caller()?, &mut new).await?;
    let stored = app.vault.change_app(call.caller()?, new, secret)?.await;
    Ok(loaded(&stored.map_err(Failure::of_app)?))
}

pub(super) async fn delete(app: &App, call: &Call) -> Result<Answer> {
    let id = read::<NamedApp>(&call.body)?.id()?;
    app.refresher.remove_app(call.caller()?, &id).await?;
    Ok(done())
}

pub(super) fn load(app: &App, call: &Call) -> Result<Answer> {
    let in_path = call.captures.first().map(String::as_str);
    let id = needed(in_path.or(call.optional("id")), "id")?;
    // What is no app id is answered like one that is not there.
    let id = AppId::parse(id).map_err(|_| Error::NotFound("app"))?;
    let found = app.vault.app(call.caller()?, &id)?;
    Ok(loaded(&found))
}

pub(super) fn load_all(app: &App, call: &Call) -> Result<Answer> {
    Ok(all_loaded(&app.vault.apps(call.caller()?)?))
}
