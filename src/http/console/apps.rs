//! The screens of apps: listed, shown, tried, removed.
//!
//! It promises: what deleting an app takes with it is said before.
//! It never: shows a client secret.

use std::collections::BTreeMap;

use super::views::apps as views;
use super::{Visit, ok};
use crate::connect::{UpdateWish, Wish, WishedApp};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::routes::console::Screen;
use crate::limits;
use crate::model::template::Choice;
use crate::model::{AppId, Owner, TenantId, UserId};
use crate::refresh::Trouble;
use crate::secret::Secret;
use crate::vault::{Filter, ShownApp};

pub(super) fn list(visit: &Visit<'_>) -> Result<Answer> {
    let apps = visit.app.vault.apps(&visit.at.caller)?;
    let troubles = troubles(visit)?;
    let connect = &visit.app.connect;
    let content = views::table(&apps, &troubles, &|app| connect.is_outdated(app));
    Ok(ok(&visit.frame(Screen::Apps), "Apps", content))
}

fn troubles(visit: &Visit<'_>) -> Result<BTreeMap<AppId, Trouble>> {
    let looked = visit.app.vault.look(&visit.at, "apps", "")?;
    let refresher = &visit.app.refresher;
    let troubles = refresher.troubles(&looked, limits::APPS_MAX)?;
    Ok(troubles.unwrap_or_default())
}

pub(super) fn app_id(visit: &Visit<'_>) -> Result<AppId> {
    AppId::parse(visit.call.capture(0)).map_err(|_| Error::NotFound("app"))
}

pub(super) fn the_app(visit: &Visit<'_>) -> Result<ShownApp> {
    visit.app.vault.app(&visit.at.caller, &app_id(visit)?)
}

pub(super) fn show(visit: &Visit<'_>) -> Result<Answer> {
    shown(visit, None)
}

fn shown(visit: &Visit<'_>, findings: Option<&[crate::connect::Finding]>) -> Result<Answer> {
    let app = the_app(visit)?;
    let connect = &visit.app.connect;
    let trouble = troubles(visit)?.remove(&app.id);
    let page = views::Whole {
        redirect_uri: connect.redirect_uri(&app.id, app.callback()),
        is_outdated: connect.is_outdated(&app),
        template: app
            .template
            .as_ref()
            .and_then(|of| connect.template(&of.id)),
        app: &app,
        trouble,
        findings,
    };
    let content = views::app(&visit.at, &page, visit.now());
    Ok(ok(&visit.frame(Screen::App), app.name.clone(), content))
}

pub(super) async fn check(visit: &Visit<'_>) -> Result<Answer> {
    let id = app_id(visit)?;
    let findings = visit.app.connect.check(&visit.at.caller, &id).await?;
    shown(visit, Some(&findings))
}

/// A connection of the operator's own, to see that it works.
pub(super) async fn connect_me(visit: &Visit<'_>) -> Result<Answer> {
    let form = &visit.form;
    let user = form.text("user").map(UserId::parse).transpose()?;
    let tenant = form.text("tenant").map(TenantId::parse).transpose()?;
    let apps = vec![WishedApp::of(app_id(visit)?)];
    let wish = Wish::of(apps, Owner::new(tenant, user)?);
    let started = visit.app.connect.start(&visit.at.caller, wish).await?;
    let content = views::connecting(&app_id(visit)?, &started, visit.now());
    Ok(ok(
        &visit.frame(Screen::ConnectMe),
        "Connect it yourself",
        content,
    ))
}

pub(super) async fn ask_update(visit: &Visit<'_>) -> Result<Answer> {
    let updated = update_with(visit, UpdateWish::default()).await?;
    let content = views::ask_update(&visit.at, &updated);
    Ok(ok(
        &visit.frame(Screen::AskUpdate),
        "What the catalogue says now",
        content,
    ))
}

async fn update_with(visit: &Visit<'_>, wish: UpdateWish) -> Result<crate::connect::Updated> {
    let connect = &visit.app.connect;
    connect
        .update(&visit.at.caller, &app_id(visit)?, wish)
        .await
}

pub(super) async fn update(visit: &Visit<'_>) -> Result<Answer> {
    let form = &visit.form;
    let taken = form.beginning("take.");
    let secret = form.text("client_secret");
    let wish = UpdateWish {
        choice: Choice::Only(taken.map(|(name, _)| name.to_owned()).collect()),
        client_secret: secret.map(|text| Secret::new(text.to_owned())),
        apply: true,
        ..UpdateWish::default()
    };
    update_with(visit, wish).await?;
    visit.on(&format!(
        "/console/apps/{}?told=app-changed",
        app_id(visit)?
    ))
}

pub(super) fn ask_remove(visit: &Visit<'_>) -> Result<Answer> {
    let app = the_app(visit)?;
    let of_it = Filter {
        app: Some(app.id.clone()),
        ..Filter::default()
    };
    // Who may not list is not told how many there are.
    let page = visit
        .app
        .vault
        .list(&visit.at.caller, &of_it, limits::PAGE_MAX, None);
    let count = page
        .ok()
        .map(|page| (page.tokens.len(), page.cursor.is_some()));
    let content = views::ask_remove(&visit.at, &app, count);
    Ok(ok(
        &visit.frame(Screen::AskRemoveApp),
        "Delete this app?",
        content,
    ))
}

pub(super) async fn remove(visit: &Visit<'_>) -> Result<Answer> {
    let refresher = &visit.app.refresher;
    refresher
        .remove_app(&visit.at.caller, &app_id(visit)?)
        .await?;
    visit.on("/console/apps?told=app-removed")
}
