//! The handlers of the native API: each calls one vault or flow function and words its answer.
//!
//! It promises: a handler reads, calls, words, and does nothing else.
//! It never: decides who may do what.

mod apps;
mod links;
mod slots;
mod system;
mod tokens;

pub(super) use self::apps::{make, make_over, shape};
pub(super) use self::system::{blocking, from_here, unlock_with};
pub(super) use self::tokens::filter;

use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::routes::Route;
use crate::limits;
use crate::model::TokenId;

/// Calls the handler of a route.
///
/// # Errors
/// The handler's.
pub async fn dispatch(app: &App, route: Route, call: Call) -> Result<Answer> {
    match route {
        Route::Token => tokens::token(app, call).await,
        // Each in a place of its own: the room for the largest of them would have to be moved about
        // with the one that is asked for most.
        _ => Box::pin(dispatch_others(app, route, call)).await,
    }
}

async fn dispatch_others(app: &App, route: Route, call: Call) -> Result<Answer> {
    match route {
        Route::Health => Ok(system::health(app)),
        Route::Status => system::status(app, &call),
        Route::Unlock => system::unlock(app, &call).await,
        Route::Lock => system::lock(app, &call).await,
        Route::Backup => system::backup(app, &call).await,
        Route::Compact => system::compact(app, &call),
        Route::AddSlot => slots::add(app, &call).await,
        Route::RemoveSlot => slots::remove(app, &call).await,
        Route::Passphrase => slots::change(app, &call).await,
        Route::Rotate => slots::rotate(app, &call).await,
        Route::Keys => system::keys(app, &call),
        Route::AddKey => system::add_key(app, &call).await,
        Route::RemoveKey => system::remove_key(app, &call).await,
        Route::Audit => system::audit(app, &call),
        Route::VerifyAudit => system::verify_audit(app, &call).await,
        Route::Templates => apps::templates(app, &call),
        Route::Template => apps::template(app, &call),
        Route::Apps => apps::list(app, &call),
        Route::AddApp => apps::add(app, &call).await,
        Route::App => apps::show(app, &call),
        Route::ChangeApp => apps::change(app, &call).await,
        Route::UpdateApp => apps::update(app, &call).await,
        Route::CheckApp => apps::check(app, &call).await,
        Route::ClientDocument => apps::client_document(app, &call),
        Route::RemoveApp => apps::remove(app, &call).await,
        Route::Store => tokens::store(app, &call).await,
        Route::Tokens => tokens::list(app, &call),
        Route::RemoveTokens => tokens::remove_fitting(app, &call).await,
        Route::Summary => tokens::summary(app, &call),
        Route::Refresh => tokens::refresh(app, &call).await,
        Route::Reveal => tokens::reveal(app, call),
        Route::RemoveToken => tokens::remove(app, &call).await,
        Route::StartLink => links::start(app, call).await,
        Route::Link => links::show(app, &call).await,
        Route::Vouch => links::vouch(app, &call).await,
        Route::Withdraw => links::withdraw(app, &call).await,
        Route::Token
        | Route::Ticket
        | Route::Enter
        | Route::Page
        | Route::Code
        | Route::ToVouch
        | Route::Vouched
        | Route::Go
        | Route::ApiKey
        | Route::Decline
        | Route::Cancel
        | Route::Callback
        | Route::SharedCallback
        | Route::Console(_)
        | Route::Descope(_) => Err(Error::NotFound("route")),
    }
}

/// The `limit` of a list.
fn limit(call: &Call) -> Result<usize> {
    match call.optional("limit") {
        None => Ok(limits::PAGE_DEFAULT),
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=limits::PAGE_MAX).contains(limit))
            .ok_or_else(|| Error::invalid(format!("`limit` is from 1 to {}", limits::PAGE_MAX))),
    }
}

/// The token id in the path. What is no id is answered like one that is not there.
fn token_id(call: &Call) -> Result<TokenId> {
    TokenId::parse(call.capture(0)).ok_or(Error::NotFound("token"))
}

/// The caller, with the reason that was given.
fn with_reason(call: &Call, reason: Option<String>) -> Result<crate::model::access::Caller> {
    let reason = reason.filter(|reason| !reason.is_empty());
    if let Some(reason) = &reason {
        crate::model::check_text("reason", reason)?;
    }
    Ok(crate::model::access::Caller {
        reason,
        ..call.caller()?.clone()
    })
}
