//! Apps.
//!
//! It promises: what the module above does.
//! It never: shows a client secret.

use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::wire::apps::{
    AppRequest, AppShape, CheckRequest, CheckShape, UpdateRequest, UpdateShape,
};
use crate::http::wire::templates::{TemplateShape, TemplateWhole};
use crate::http::wire::tokens::revocations;
use crate::http::wire::{json, ok, read, read_or_default};
use crate::model::AppId;
use crate::model::access::Caller;
use crate::vault::{SecretChange, ShownApp};

/// An app as it is shown.
pub(in crate::http) fn shape<'a>(app: &App, shown: &'a ShownApp) -> AppShape<'a> {
    let redirect_uri = app.connect.redirect_uri(&shown.id, shown.callback());
    AppShape::of(shown, redirect_uri, app.connect.is_outdated(shown))
}

/// What is no app id is answered like one that is not there.
fn id(call: &Call) -> Result<AppId> {
    AppId::parse(call.capture(0)).map_err(|_| Error::NotFound("app"))
}

pub(super) fn templates(app: &App, call: &Call) -> Result<Answer> {
    call.takes(&["q"])?;
    call.caller()?;
    let found = app
        .connect
        .templates(call.optional("q").unwrap_or_default());
    let shapes: Vec<_> = found.iter().map(|one| TemplateShape::of(one)).collect();
    Ok(ok(&serde_json::json!({ "templates": shapes })))
}

pub(super) fn template(app: &App, call: &Call) -> Result<Answer> {
    call.takes(&[])?;
    call.caller()?;
    let found = app.connect.template(call.capture(0));
    let found = found.ok_or(Error::NotFound("template"))?;
    Ok(ok(&TemplateWhole::of(&found, &app.connect)))
}

pub(super) fn list(app: &App, call: &Call) -> Result<Answer> {
    let apps = app.vault.apps(call.caller()?)?;
    let shapes: Vec<AppShape<'_>> = apps.iter().map(|shown| shape(app, shown)).collect();
    Ok(ok(&serde_json::json!({ "apps": shapes })))
}

pub(super) fn show(app: &App, call: &Call) -> Result<Answer> {
    let shown = app.vault.app(call.caller()?, &id(call)?)?;
    Ok(ok(&shape(app, &shown)))
}

pub(super) async fn add(app: &App, call: &Call) -> Result<Answer> {
    let request = read::<AppRequest>(&call.body)?;
    let stored = make(app, call.caller()?, request).await?;
    Ok(json(http::StatusCode::CREATED, &shape(app, &stored)))
}

/// Makes the app that a request says.
pub(in crate::http) async fn make(
    app: &App,
    caller: &Caller,
    request: AppRequest,
) -> Result<ShownApp> {
    let template = app.connect.template_named(request.template())?;
    let (mut new, secret) = request.into_new(template.as_deref(), app.vault.clock().now())?;
    let settling = app.connect.settle(caller, (&mut new, secret), true);
    let mut ready = Box::pin(settling).await?;
    let secret = match ready.take_secret() {
        SecretChange::Set(secret) => Some(secret),
        SecretChange::Keep | SecretChange::Remove => None,
    };
    app.vault.add_app(caller, new, secret)?.await
}

pub(super) async fn change(app: &App, call: &Call) -> Result<Answer> {
    let request = read::<AppRequest>(&call.body)?;
    let stored = make_over(app, call.caller()?, (id(call)?, request)).await?;
    Ok(ok(&shape(app, &stored)))
}

/// Makes an app what a request says, whole.
pub(in crate::http) async fn make_over(
    app: &App,
    caller: &Caller,
    (id, request): (AppId, AppRequest),
) -> Result<ShownApp> {
    let (mut new, secret) = request.into_changed(id, app.vault.clock().now())?;
    let settling = app.connect.settle(caller, (&mut new, secret), false);
    let mut ready = Box::pin(settling).await?;
    let secret = ready.take_secret();
    app.vault.change_app(caller, new, secret)?.await
}

pub(super) async fn update(app: &App, call: &Call) -> Result<Answer> {
    let wish = read_or_default::<UpdateRequest>(&call.body)?.into_wish()?;
    let updated = app.connect.update(call.caller()?, &id(call)?, wish).await?;
    Ok(ok(&UpdateShape::of(&updated, shape(app, &updated.app))))
}

pub(super) async fn check(app: &App, call: &Call) -> Result<Answer> {
    let CheckRequest {} = read_or_default(&call.body)?;
    let id = id(call)?;
    let findings = app.connect.check(call.caller()?, &id).await?;
    Ok(ok(&CheckShape::of(&id, &findings)))
}

/// What an authorization server fetches from our client id. No key: it is for anybody.
pub(super) fn client_document(app: &App, call: &Call) -> Result<Answer> {
    Ok(ok(&app.connect.client_document(call.capture(0))?))
}

pub(super) async fn remove(app: &App, call: &Call) -> Result<Answer> {
    let tally = app.refresher.remove_app(call.caller()?, &id(call)?).await?;
    Ok(ok(&serde_json::json!({
        "deleted": true,
        "tokens_deleted": tally.deleted,
        "revocations": revocations(&tally),
    })))
}
