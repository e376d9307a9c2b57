//! The screens of tokens: the table, one token, and what is done to it.
//!
//! It promises: what is shown in plain text was asked for twice, the second time with the access
//! key, is on record with the reason given, and leaves the page by itself.
//! It never: puts a credential into an address, or into a page but that one.

use http::StatusCode;

use super::views::tokens as views;
use super::{Visit, leave_after, ok};
use crate::connect::{Wish, WishedApp};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::api;
use crate::http::routes::console::Screen;
use crate::http::wire;
use crate::limits;
use crate::model::access::Caller;
use crate::model::{Owner, TokenId};
use crate::refresh::Landing;

/// What a table is narrowed to, as it was typed.
pub(super) struct Search<'a> {
    pub(super) app: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) tenant: Option<&'a str>,
    pub(super) state: Option<&'a str>,
}

impl<'a> Search<'a> {
    fn of(visit: &'a Visit<'_>) -> Result<Self> {
        let call = visit.call;
        call.takes(&["app", "user", "tenant", "state", "cursor", "told"])?;
        let typed = |name| call.optional(name).map(str::trim);
        Ok(Self {
            app: typed("app"),
            user: typed("user"),
            tenant: typed("tenant"),
            state: typed("state"),
        })
    }
}

pub(super) fn list(visit: &Visit<'_>) -> Result<Answer> {
    let search = Search::of(visit)?;
    let cursor = visit.call.optional("cursor");
    let (vault, caller) = (&visit.app.vault, &visit.at.caller);
    let found = api::filter(|name| visit.call.optional(name).map(str::trim))
        .and_then(|filter| vault.list(caller, &filter, limits::CONSOLE_PAGE, cursor));
    let (status, content) = match found {
        Ok(page) => {
            let content = views::table(&search, &page, cursor.is_some(), visit.now());
            (StatusCode::OK, content)
        }
        // What was typed stands in the form again.
        Err(error @ Error::Invalid(_)) => {
            let content = views::not_searched(&search, &wire::message_of(&error));
            (wire::status_of(&error), content)
        }
        Err(error) => return Err(error),
    };
    let frame = visit.frame(Screen::Tokens);
    Ok(frame.answer(status, "Tokens", content))
}

pub(super) fn show(visit: &Visit<'_>) -> Result<Answer> {
    let id = token_id(visit)?;
    let (token, history) = visit.app.vault.token_with_history(&visit.at.caller, id)?;
    let content = views::token(&visit.at, &token, &history, visit.now());
    Ok(ok(
        &visit.frame(Screen::Token),
        views::title(&token),
        content,
    ))
}

pub(super) async fn refresh(visit: &Visit<'_>) -> Result<Answer> {
    let id = token_id(visit)?;
    let refresher = &visit.app.refresher;
    let (landing, _) = refresher.refresh_now(&visit.at.caller, id).await?;
    let told = match landing {
        Landing::Renewed | Landing::Unstored => "refreshed",
        Landing::Dead(_) | Landing::Hopeless => "reconnect",
        Landing::Later(..) => "later",
        Landing::Failed(error) => return Err(error),
    };
    visit.on(&format!("/console/tokens/{id}?told={told}"))
}

pub(super) fn ask_reveal(visit: &Visit<'_>) -> Result<Answer> {
    let token = visit.app.vault.token(&visit.at.caller, token_id(visit)?)?;
    let content = views::ask_reveal(&visit.at, &token, false);
    Ok(ok(
        &visit.frame(Screen::AskReveal),
        "Show in plain text?",
        content,
    ))
}

pub(super) fn reveal(visit: &Visit<'_>) -> Result<Answer> {
    let id = token_id(visit)?;
    let form = &visit.form;
    let key = form.secret("key")?;
    match visit.app.vault.holds_key(&visit.at.caller, &key) {
        Ok(()) => {}
        Err(error @ Error::UnlockFailed) => {
            let token = visit.app.vault.token(&visit.at.caller, id)?;
            let content = views::ask_reveal(&visit.at, &token, true);
            let frame = visit.frame(Screen::AskReveal);
            let status = wire::status_of(&error);
            return Ok(frame.answer(status, "Show in plain text?", content));
        }
        Err(error) => return Err(error),
    }
    let caller = with_reason(visit, form.text("reason"))?;
    visit.spend()?;
    let (record, cold) = visit.app.vault.reveal(&caller, id)?;
    let content = views::revealed(&record, &cold);
    let mut answer = ok(&visit.frame(Screen::Reveal), "In plain text", content);
    let place = format!("/console/tokens/{id}");
    leave_after(&mut answer, limits::CONSOLE_REVEAL.as_secs(), &place);
    Ok(answer)
}

fn with_reason(visit: &Visit<'_>, reason: Option<&str>) -> Result<Caller> {
    if let Some(reason) = reason {
        crate::model::check_text("reason", reason)?;
    }
    Ok(Caller {
        reason: reason.map(str::to_owned),
        ..visit.at.caller.clone()
    })
}

pub(super) fn ask_delete(visit: &Visit<'_>) -> Result<Answer> {
    let token = visit.app.vault.token(&visit.at.caller, token_id(visit)?)?;
    let content = views::ask_delete(&visit.at, &token);
    Ok(ok(
        &visit.frame(Screen::AskDelete),
        "Delete this token?",
        content,
    ))
}

pub(super) async fn delete(visit: &Visit<'_>) -> Result<Answer> {
    let refresher = &visit.app.refresher;
    let outcome = refresher.remove(&visit.at.caller, token_id(visit)?).await?;
    visit.on(&format!("/console/tokens?told={}", outcome.as_str()))
}

pub(super) async fn reconnect(visit: &Visit<'_>) -> Result<Answer> {
    let token = visit.app.vault.token(&visit.at.caller, token_id(visit)?)?;
    let again = WishedApp {
        scopes: Some(token.requested_scopes.clone()).filter(|scopes| !scopes.is_empty()),
        account: token.account.clone(),
        ..WishedApp::of(token.app.clone())
    };
    let owner = Owner::new(token.tenant.clone(), token.user.clone())?;
    let wish = Wish {
        life: Some(limits::LINK_LIFE_MAX),
        ..Wish::of(vec![again], owner)
    };
    let started = visit.app.connect.start(&visit.at.caller, wish).await?;
    let content = views::link(&token, &started, visit.now());
    Ok(ok(
        &visit.frame(Screen::Reconnect),
        "A link to send",
        content,
    ))
}

fn token_id(visit: &Visit<'_>) -> Result<TokenId> {
    TokenId::parse(visit.call.capture(0)).ok_or(Error::NotFound("token"))
}
