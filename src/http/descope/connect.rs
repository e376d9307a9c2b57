//! Connect links, for who asks for them in person, from a browser or not, and for who speaks for
//! others.
//!
//! It promises: what the module above does; a page that asks for the person in its browser gets
//! that browser's cookie with the link.
//! It never: answers with a provider's URL: the person is proven first, or is by having asked.

use super::failure::Result;
use super::wire::links::{ConnectRequest, linked};
use super::wire::read;
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::pages::bind_for_page;
use crate::model::access::Action;

pub(super) async fn connect(app: &App, call: &Call) -> Result<Answer> {
    let (request, caller) = (read::<ConnectRequest>(&call.body)?, call.caller()?);
    let settings = app
        .vault
        .app_settings(caller, Action::Connect, &request.app()?)?;
    let wish = request.into_wish(caller, &settings, call.from_page)?;
    let started = app.connect.start(caller, wish).await?;
    Ok(bind_for_page(app, &started, linked(&started))?)
}
