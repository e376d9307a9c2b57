//! The way in and out: unlock, sign in, sign out, lock.
//!
//! It promises: who may not come in learns what to do, and nothing of what is inside; signing in
//! makes a new session, so that none can be planted (T22).
//! It never: keeps what was typed.

use http::StatusCode;
use http::header::SET_COOKIE;

use super::form::Form;
use super::views::entry as views;
use super::{Visit, cookie, cookie_of, on};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::api;
use crate::http::app::{App, Call};
use crate::http::look::Page;
use crate::http::routes::console::Screen;
use crate::http::wire;
use crate::limits;
use crate::vault::Attention;

/// The first screen: on, where somebody is signed in; else the way in.
pub(super) fn show(app: &App, call: &Call) -> Result<Answer> {
    let from = std::sync::Arc::clone(&call.peer.address);
    let is_in = cookie_of(app, call)
        .is_some_and(|cookie| app.vault.at_console(&cookie, from, Attention::Page).is_ok());
    if is_in {
        return on(app, "/console/health");
    }
    Ok(way_in(
        app,
        call,
        StatusCode::OK,
        views::told(call.optional("told")),
    ))
}

fn way_in(app: &App, call: &Call, status: StatusCode, told: Option<&str>) -> Answer {
    let stands = app.vault.status();
    let is_wrong = status.is_client_error();
    let page = match stands.locked {
        true => {
            let can_unlock = api::from_here(app, call);
            let content = views::unlock((told, is_wrong), stands.locked_because, can_unlock);
            Page::new("The vault is locked", content)
        }
        false => Page::new("Sign in", views::sign_in(told, is_wrong)),
    };
    app.look.answer(status, &page)
}

pub(super) fn sign_in(app: &App, call: &Call) -> Result<Answer> {
    let signed_in = Form::of(call)?.secret("key").and_then(|key| {
        let from = std::sync::Arc::clone(&call.peer.address);
        // What is copied from a terminal has space around it.
        let key = crate::secret::Secret::new(key.expose().trim().to_owned());
        app.vault.sign_in(&key, from)
    });
    let session = match signed_in {
        Ok(session) => session,
        Err(error @ (Error::Unauthenticated | Error::Denied | Error::Invalid(_))) => {
            let told = views::not_in(&error);
            return Ok(way_in(app, call, wire::status_of(&error), Some(told)));
        }
        Err(Error::Locked) => return on(app, "/console"),
        Err(error) => return Err(error),
    };
    end_the_one_before(app, call);
    let mut answer = on(app, "/console/health")?;
    let value = cookie(app).set_strict(session.expose(), limits::CONSOLE_LIFE)?;
    answer.headers_mut().append(SET_COOKIE, value);
    Ok(answer)
}

/// Nobody sees a session any more whose cookie is replaced: it must not wait for who copied it.
fn end_the_one_before(app: &App, call: &Call) {
    let Some(before) = cookie_of(app, call) else {
        return;
    };
    let from = std::sync::Arc::clone(&call.peer.address);
    if let Ok(at) = app.vault.at_console(&before, from, Attention::Page)
        && let Err(error) = app.vault.sign_out(&before, &at.caller)
    {
        tracing::warn!(%error, "the session before was ended, and that is not on record");
    }
}

pub(super) async fn unlock(app: &App, call: &Call) -> Result<Answer> {
    let typed = || Form::of(call)?.secret("passphrase");
    match api::unlock_with(app, call, typed).await {
        Ok(()) | Err(Error::AlreadyUnlocked) => on(app, "/console"),
        Err(error @ (Error::UnlockFailed | Error::Invalid(_) | Error::Busy(_))) => {
            let told = views::not_unlocked(&error);
            let mut answer = way_in(app, call, wire::status_of(&error), Some(told));
            wire::say_when(&error, &mut answer);
            Ok(answer)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn sign_out(visit: &Visit<'_>) -> Result<Answer> {
    if let Some(session) = cookie_of(visit.app, visit.call) {
        visit.app.vault.sign_out(&session, &visit.at.caller)?;
    }
    out(visit, "/console?told=out")
}

pub(super) fn sign_out_everywhere(visit: &Visit<'_>) -> Result<Answer> {
    visit.app.vault.sign_out_everywhere(&visit.at.caller)?;
    out(visit, "/console?told=out-everywhere")
}

pub(super) async fn lock(visit: &Visit<'_>) -> Result<Answer> {
    visit.app.refresher.lock(&visit.at.caller).await?;
    out(visit, "/console?told=locked")
}

fn out(visit: &Visit<'_>, place: &str) -> Result<Answer> {
    let mut answer = visit.on(place)?;
    let value = cookie(visit.app).clear_strict()?;
    answer.headers_mut().append(SET_COOKIE, value);
    Ok(answer)
}

/// Somebody who is not signed in, or not any more.
pub(super) fn turned_away(app: &App, screen: Screen, error: &Error) -> Result<Answer> {
    match (error, screen) {
        // The page itself goes to the sign-in.
        (Error::Unauthenticated | Error::Locked, screen) if screen.is_asked_by_itself() => {
            Ok(app.look.answer(StatusCode::UNAUTHORIZED, &views::ended()))
        }
        (Error::Unauthenticated, _) => on(app, "/console?told=ended"),
        (Error::Locked, _) => on(app, "/console"),
        (error, _) => Err(error.clone()),
    }
}

/// What went wrong before anybody was known.
pub(super) fn trouble(app: &App, error: &Error) -> Answer {
    let (title, content) = views::refused(error);
    let page = Page::new(title, content);
    let mut answer = app.look.answer(wire::status_of(error), &page);
    wire::say_when(error, &mut answer);
    answer
}
