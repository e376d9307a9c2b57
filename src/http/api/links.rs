//! Connect links, for whoever makes them.
//!
//! It promises: what the module above does.
//! It never: tells one asker of another's link.

use std::time::Duration;

use super::with_reason;
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::wire::links::{LinkShape, StartRequest, StartedShape, VouchRequest};
use crate::http::wire::{json, ok, read};
use crate::limits;
use crate::model::LinkId;
use crate::model::link::Link;

fn id(call: &Call) -> Result<LinkId> {
    LinkId::parse(call.capture(0)).ok_or(Error::NotFound("link"))
}

fn shown(app: &App, link: &Link) -> Answer {
    ok(&LinkShape::of(link, app.vault.clock().now()))
}

pub(super) async fn start(app: &App, call: Call) -> Result<Answer> {
    let mut request = read::<StartRequest>(&call.body)?;
    let caller = with_reason(&call, request.reason.take())?;
    let started = app.connect.start(&caller, request.into_wish()?).await?;
    Ok(json(http::StatusCode::CREATED, &StartedShape::of(&started)))
}

pub(super) async fn show(app: &App, call: &Call) -> Result<Answer> {
    call.takes(&["wait"])?;
    let wait = match call.optional("wait") {
        None => Duration::ZERO,
        Some(text) => text
            .parse()
            .ok()
            .map(Duration::from_secs)
            .filter(|wait| *wait <= limits::LINK_WAIT_MAX)
            .ok_or_else(|| Error::invalid("`wait` is from 0 to 55 seconds"))?,
    };
    Ok(shown(
        app,
        &app.connect.state(call.caller()?, id(call)?, wait).await?,
    ))
}

pub(super) async fn vouch(app: &App, call: &Call) -> Result<Answer> {
    let (ticket, owner) = read::<VouchRequest>(&call.body)?.into_parts()?;
    let (link, back) = app
        .connect
        .vouch(call.caller()?, id(call)?, &ticket, owner)
        .await?;
    let shape = LinkShape::of(&link, app.vault.clock().now());
    Ok(ok(&shape.returning(back.as_ref())))
}

pub(super) async fn withdraw(app: &App, call: &Call) -> Result<Answer> {
    Ok(shown(
        app,
        &app.connect.withdraw(call.caller()?, id(call)?).await?,
    ))
}
