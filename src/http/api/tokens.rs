//! Tokens.
//!
//! It promises: what the module above does.
//! It never: tells "not yours" from "not there".

use super::{limit, token_id, with_reason};
use crate::connect::{Wish, WishedApp};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::wire::store::StoreRequest;
use crate::http::wire::tokens::{
    ConnectWish, SummaryShape, TokenRequest, denied, handed, not_handed, refreshed, removed,
    revealed, revocations, unavailable,
};
use crate::http::wire::{links, ok, read, read_or_default};
use crate::model::{AppId, TenantId, UserId};
use crate::refresh::{Outcome, TokenAsk};
use crate::vault::{Filter, TokenPage};

/// `POST …/reveal`: the body may be absent.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RevealRequest {
    #[serde(default)]
    reason: Option<String>,
}

pub(super) async fn token(app: &App, call: Call) -> Result<Answer> {
    let mut request = read::<TokenRequest>(&call.body)?;
    let caller = with_reason(&call, request.reason.take())?;
    let connect = request.connect.take();
    let wanted = request.into_ask()?;
    let reason = match app.refresher.token(&caller, &wanted).await {
        Ok(Outcome::Ok(found)) => return Ok(handed(&found)),
        Ok(Outcome::Unavailable {
            retry_after,
            message,
            ..
        }) => {
            return Ok(unavailable(retry_after, &message));
        }
        Ok(Outcome::Missing) => None,
        Ok(Outcome::Reconnect(reason)) => Some(reason),
        Err(Error::Denied) => return Ok(denied()),
        Err(error) => return Err(error),
    };
    let wish = connect.map(|connect| wish(connect, &wanted)).transpose()?;
    let ask = &wanted.ask;
    let offer = app.connect.offer(&caller, &ask.app, &ask.owner, wish);
    let offer = Box::pin(offer).await?;
    Ok(not_handed(reason, &offer))
}

fn wish(connect: ConnectWish, wanted: &TokenAsk) -> Result<Wish> {
    let ask = &wanted.ask;
    let app = WishedApp {
        scopes: ask.scopes.clone(),
        account: ask.account.clone(),
        ..WishedApp::of(ask.app.clone())
    };
    Ok(Wish {
        return_url: links::return_url(connect.return_url)?,
        opener_origin: connect.opener_origin.filter(|origin| !origin.is_empty()),
        proof: connect.verify,
        ..Wish::of(vec![app], ask.owner.clone())
    })
}

pub(super) async fn store(app: &App, call: &Call) -> Result<Answer> {
    let request = read::<StoreRequest>(&call.body)?;
    let (verify, if_absent) = (request.verify_refresh, request.if_absent);
    let (caller, new) = (call.caller()?, request.into_token()?);
    let summary = match if_absent {
        true => app.refresher.store_if_absent(caller, new).await?,
        false => app.refresher.store(caller, new, verify).await?,
    };
    Ok(ok(&SummaryShape::of(&summary)))
}

/// What a list is narrowed to, by what is said of each of these.
pub(in crate::http) fn filter<'a>(said: impl Fn(&str) -> Option<&'a str>) -> Result<Filter> {
    let active = match said("state") {
        None => None,
        Some("active") => Some(true),
        Some("reconnect_required") => Some(false),
        Some(_) => {
            return Err(Error::invalid(
                "`state` is `active` or `reconnect_required`",
            ));
        }
    };
    Ok(Filter {
        app: said("app").map(AppId::parse).transpose()?,
        tenant: said("tenant").map(TenantId::parse).transpose()?,
        user: said("user").map(UserId::parse).transpose()?,
        active,
        ..Filter::default()
    })
}

pub(super) fn list(app: &App, call: &Call) -> Result<Answer> {
    call.takes(&["app", "user", "tenant", "state", "limit", "cursor"])?;
    let TokenPage { tokens, cursor } = app.vault.list(
        call.caller()?,
        &filter(|name| call.optional(name))?,
        limit(call)?,
        call.optional("cursor"),
    )?;
    let shapes: Vec<SummaryShape<'_>> = tokens.iter().map(SummaryShape::of).collect();
    Ok(ok(
        &serde_json::json!({ "tokens": shapes, "cursor": cursor }),
    ))
}

pub(super) async fn remove_fitting(app: &App, call: &Call) -> Result<Answer> {
    call.takes(&["app", "user", "tenant", "state"])?;
    let tally = app
        .refresher
        .remove_fitting(call.caller()?, &filter(|name| call.optional(name))?)
        .await?;
    Ok(ok(&serde_json::json!({
        "deleted": tally.deleted,
        "more": tally.more,
        "revocations": revocations(&tally),
    })))
}

pub(super) fn summary(app: &App, call: &Call) -> Result<Answer> {
    Ok(ok(&SummaryShape::of(
        &app.vault.token(call.caller()?, token_id(call)?)?,
    )))
}

pub(super) async fn refresh(app: &App, call: &Call) -> Result<Answer> {
    let (landing, summary) = app
        .refresher
        .refresh_now(call.caller()?, token_id(call)?)
        .await?;
    refreshed(&landing, &summary)
}

pub(super) fn reveal(app: &App, call: Call) -> Result<Answer> {
    let request = read_or_default::<RevealRequest>(&call.body)?;
    let caller = with_reason(&call, request.reason)?;
    let (record, cold) = app.vault.reveal(&caller, token_id(&call)?)?;
    Ok(revealed(&record, &cold))
}

pub(super) async fn remove(app: &App, call: &Call) -> Result<Answer> {
    let outcome = app
        .refresher
        .remove(call.caller()?, token_id(call)?)
        .await?;
    Ok(removed(&outcome))
}
