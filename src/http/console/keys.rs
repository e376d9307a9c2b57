//! The screens of access keys: listed, made, removed.
//!
//! It promises: a key's text stands on one page, once.
//! It never: makes a key that may do more than the one signed in with (the vault refuses).

use std::time::Duration;

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::form::Form;
use super::views::keys as views;
use super::{Visit, ok};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::routes::console::Screen;
use crate::http::wire;
use crate::limits;
use crate::model::Scopes;
use crate::model::access::{Action, Grant, Match, Role};
use crate::model::url::WebUrl;
use crate::vault::NewKey;

pub(super) fn list(visit: &Visit<'_>) -> Result<Answer> {
    let content = listed(visit)?;
    Ok(ok(&visit.frame(Screen::Keys), "Access keys", content))
}

fn listed(visit: &Visit<'_>) -> Result<maud::Markup> {
    let keys = visit.app.vault.keys(&visit.at.caller)?;
    let uses = visit.app.vault.last_uses(&visit.at.caller)?;
    Ok(views::table(&visit.at, &keys, &uses, visit.now()))
}

pub(super) fn ask_new(visit: &Visit<'_>) -> Result<Answer> {
    // Who may not make keys learns it here, and not after filling in a form.
    visit.app.vault.keys(&visit.at.caller)?;
    let content = views::new(&visit.at, None);
    Ok(ok(&visit.frame(Screen::NewKey), "New access key", content))
}

pub(super) async fn make(visit: &Visit<'_>) -> Result<Answer> {
    let form = &visit.form;
    visit.spend()?;
    let made = match wanted(visit, form) {
        Ok(new) => visit.app.vault.add_key(&visit.at.caller, new).await,
        Err(error) => Err(error),
    };
    match made {
        Ok((key, text)) => {
            let content = views::made(&key, &text);
            Ok(ok(
                &visit.frame(Screen::MakeKey),
                "Your new access key",
                content,
            ))
        }
        // What was typed stands in a form anew.
        Err(error @ (Error::Invalid(_) | Error::Denied)) => {
            let said = wire::message_of(&error);
            let at = super::visit(visit.app, Screen::MakeKey, visit.call)?.at;
            let content = views::new(&at, Some((form, &said)));
            let frame = visit.frame(Screen::NewKey);
            Ok(frame.answer(wire::status_of(&error), "New access key", content))
        }
        Err(error) => Err(error),
    }
}

/// Reads the form.
fn wanted(visit: &Visit<'_>, form: &Form) -> Result<NewKey> {
    let role = match form.text("role") {
        None | Some("none") => None,
        Some(word) => Some(read::<Role>("role", word)?),
    };
    let actions: std::collections::BTreeSet<Action> = Action::ALL
        .into_iter()
        .filter(|action| form.text(&format!("action.{action}")).is_some())
        .collect();
    let (mut grants, narrowed) = (Vec::new(), narrowed(form)?);
    let actions = match (role, narrowed.is_some()) {
        // A role that is narrowed is its actions, on what was named.
        (Some(role), true) => role.actions().into_iter().chain(actions).collect(),
        _ => actions,
    };
    if !actions.is_empty() {
        let everywhere = Grant::everywhere(actions.clone());
        grants.push(match &narrowed {
            Some(narrowed) => Grant {
                actions,
                ..narrowed.clone()
            },
            None => everywhere,
        });
    }
    let lines = |name| form.text(name).unwrap_or_default().lines().map(str::trim);
    let urls = lines("return_urls").filter(|line| !line.is_empty());
    let verify_url = form.text("verify_url");
    Ok(NewKey {
        name: form.text("name").unwrap_or_default().to_owned(),
        role: role.filter(|_| narrowed.is_none()),
        grants,
        expires_at: days(form)?.map(|life| visit.now().plus(life)),
        return_urls: urls
            .map(|url| WebUrl::parse("return_urls", url))
            .collect::<Result<_>>()?,
        verify_url: verify_url
            .map(|url| WebUrl::parse("verify_url", url))
            .transpose()?,
        connect_verify: form
            .beginning("proof.")
            .map(|(word, _)| read("way of proof", word))
            .collect::<Result<_>>()?,
    })
}

/// A word as the wire has it.
fn read<T: DeserializeOwned>(what: &str, word: &str) -> Result<T> {
    serde_json::from_value(json!(word)).map_err(|_| Error::invalid(format!("no such {what}")))
}

/// What the key is confined to; nothing where nothing was named.
fn narrowed(form: &Form) -> Result<Option<Grant>> {
    let names = ["apps", "tenants", "users", "scopes"];
    if names.iter().all(|name| form.text(name).is_none()) {
        return Ok(None);
    }
    Ok(Some(Grant {
        actions: Default::default(),
        apps: matching(form.text("apps"))?,
        tenants: matching(form.text("tenants"))?,
        users: matching(form.text("users"))?,
        scopes: form
            .text("scopes")
            .map(|text| Scopes::parse(words(text)))
            .transpose()?,
    }))
}

fn matching<T>(text: Option<&str>) -> Result<Match<T>>
where
    T: Ord + TryFrom<String, Error = Error>,
{
    match text {
        None => Ok(Match::Any),
        Some(text) => words(text)
            .map(|word| T::try_from(word.to_owned()))
            .collect::<Result<_>>()
            .map(Match::OneOf),
    }
}

/// Several of something in one field.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', '\n', '\r', '\t'])
        .filter(|word| !word.is_empty())
}

fn days(form: &Form) -> Result<Option<Duration>> {
    let Some(text) = form.text("days") else {
        return Ok(None);
    };
    let days: Option<u64> = text.parse().ok();
    days.filter(|days| (1..=limits::CONSOLE_KEY_DAYS_MAX).contains(days))
        .map(|days| Some(Duration::from_secs(days * 86_400)))
        .ok_or_else(|| {
            let most = limits::CONSOLE_KEY_DAYS_MAX;
            Error::invalid(format!("the key ends after 1 to {most} days, or never"))
        })
}

pub(super) fn ask_remove(visit: &Visit<'_>) -> Result<Answer> {
    let keys = visit.app.vault.keys(&visit.at.caller)?;
    let wanted = visit.call.capture(0);
    let key = keys.iter().find(|key| key.id == wanted);
    let key = key.ok_or(Error::NotFound("access key"))?;
    let is_own = visit.at.caller.key().is_some_and(|own| own.id == key.id);
    let content = views::ask_remove(&visit.at, key, is_own);
    let frame = visit.frame(Screen::AskRemoveKey);
    Ok(frame.answer(StatusCode::OK, "Remove this key?", content))
}

pub(super) async fn remove(visit: &Visit<'_>) -> Result<Answer> {
    let (vault, id) = (&visit.app.vault, visit.call.capture(0));
    vault.remove_key(&visit.at.caller, id).await?;
    visit.on("/console/keys?told=key-removed")
}
