//! The pages a person meets while connecting: plain forms that work without scripts.
//!
//! It promises: a GET changes nothing; every page carries a strict content policy, is not framed,
//! not stored, and tells no other host where the person was; a redirect after a form is a 303
//! (RFC 9700 4.12); what a person typed is never shown again.
//! It never: loads anything from elsewhere, or puts a request's text into a page.

mod card;
mod endings;
mod views;
mod words;

use http::StatusCode;
use http::header::SET_COOKIE;

use crate::connect::{Came, Next, Started, Typed, Visit};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::cookie::Cookie;
use crate::http::look::{Look, Page};
use crate::http::routes::Route;
use crate::http::wire;
use crate::limits;
use crate::model::link::{LinkEnd, LinkStatus};
use crate::model::{AppId, LinkId};
use crate::secret::Secret;
use crate::vault::{Landing, NoWay};

/// Answers a page's route. What goes wrong is told as a page.
pub async fn answer(app: &App, route: Route, call: Call) -> Answer {
    let outcome = match route {
        Route::Ticket => look(app, &call),
        Route::Enter => enter(app, &call).await,
        Route::Page => page(app, &call),
        Route::Code => code(app, &call).await,
        Route::ToVouch => to_vouch(app, &call).await,
        Route::Vouched => vouched(app, &call).await,
        Route::Go => go(app, &call).await,
        Route::ApiKey => api_key(app, &call).await,
        Route::Decline => decline(app, &call).await,
        Route::Cancel => cancel(app, &call).await,
        Route::Callback => match app_id(&call, 0) {
            Ok(which) => callback(app, call, Landing::Own(which)).await,
            Err(error) => Err(error),
        },
        Route::SharedCallback => callback(app, call, Landing::Shared).await,
        _ => Err(Error::NotFound("page")),
    };
    outcome.unwrap_or_else(|error| trouble(&app.look, &error))
}

/// What went wrong, as a page.
pub fn trouble(look: &Look, error: &Error) -> Answer {
    let mut answer = look.answer(wire::status_of(error), &endings::trouble(error));
    wire::say_when(error, &mut answer);
    answer
}

fn look(app: &App, call: &Call) -> Result<Answer> {
    let ticket = Secret::new(call.capture(0).to_owned());
    let cookie = ticket_cookie(app, call, &ticket);
    Ok(
        match app
            .connect
            .look(&ticket, cookie.as_ref(), &call.peer.address)?
        {
            // Bound, and to this browser: whatever else is in the jar says nothing.
            Ok(visit) if visit.link.browser_hash.is_some() => to_page(app, visit.link.id),
            Ok(visit) => {
                let page = match ending(&visit).is_some() {
                    true => endings::over_for_anybody(&visit),
                    false => views::invitation(&visit, ticket.expose()),
                };
                app.look.answer(StatusCode::OK, &page)
            }
            Err(no_way) => nowhere(app, no_way),
        },
    )
}

async fn enter(app: &App, call: &Call) -> Result<Answer> {
    let ticket = Secret::new(call.capture(0).to_owned());
    let cookie = ticket_cookie(app, call, &ticket);
    let (next, bound) = app
        .connect
        .enter(&ticket, cookie.as_ref(), &call.peer.address)
        .await?;
    if let Next::Nowhere(NoWay::Over(_)) = next {
        // What opens it now says how it ended.
        return look(app, call);
    }
    let mut answer = follow(app, next);
    if let Some(bound) = bound {
        let named = link_cookie(app, bound.link);
        let value = named.set(bound.value.expose(), limits::LINK_LIFE_MAX)?;
        answer.headers_mut().append(SET_COOKIE, value);
    }
    Ok(answer)
}

fn page(app: &App, call: &Call) -> Result<Answer> {
    let id = link_id(call)?;
    let cookie = cookie_of(app, call, id);
    let visit = match app.connect.page(id, cookie.as_ref(), &call.peer.address)? {
        Ok(visit) => visit,
        Err(no_way) => return Ok(nowhere(app, no_way)),
    };
    let link = &visit.link;
    Ok(
        match (ending(&visit), &link.opener_origin, &link.return_url) {
            (Some(end), Some(origin), _) => {
                let page = endings::told_to_opener(&visit, end, origin);
                app.look.answer(StatusCode::OK, &page)
            }
            (Some(_), None, Some(url)) if is_decided(&visit) => see_other(app, url.as_str()),
            (Some(end), None, _) => app.look.answer(StatusCode::OK, &end),
            (None, ..) if link.proven => app.look.answer(StatusCode::OK, &views::apps(&visit)),
            (None, ..) => app.look.answer(StatusCode::OK, &views::proof(&visit)),
        },
    )
}

/// The page of a link that is over.
fn ending(visit: &Visit) -> Option<Page> {
    match visit.status {
        LinkStatus::Issued | LinkStatus::Visited => None,
        LinkStatus::Finished => Some(endings::finished(visit)),
        LinkStatus::Dead(LinkEnd::Cancelled) => Some(endings::cancelled(visit)),
        status => Some(endings::no_way(NoWay::Over(status))),
    }
}

/// True where its person has brought it to its end, one way or the other.
fn is_decided(visit: &Visit) -> bool {
    matches!(
        visit.status,
        LinkStatus::Finished | LinkStatus::Dead(LinkEnd::Cancelled)
    )
}

async fn code(app: &App, call: &Call) -> Result<Answer> {
    let id = link_id(call)?;
    let typed = form_secret(call, "code")?;
    let cookie = cookie_of(app, call, id);
    let next = app
        .connect
        .type_code(id, cookie.as_ref(), typed, &call.peer.address)
        .await?;
    Ok(follow(app, next))
}

async fn to_vouch(app: &App, call: &Call) -> Result<Answer> {
    let id = link_id(call)?;
    let cookie = cookie_of(app, call, id);
    Ok(follow(
        app,
        app.connect
            .to_vouch(id, cookie.as_ref(), &call.peer.address)
            .await?,
    ))
}

async fn vouched(app: &App, call: &Call) -> Result<Answer> {
    let id = link_id(call)?;
    let cookie = cookie_of(app, call, id);
    let back = Secret::new(call.capture(1).to_owned());
    let from = &call.peer.address;
    Ok(follow(
        app,
        app.connect
            .come_vouched(id, cookie.as_ref(), &back, from)
            .await?,
    ))
}

async fn go(app: &App, call: &Call) -> Result<Answer> {
    let (id, which) = (link_id(call)?, app_id(call, 1)?);
    let typed = typed(call)?;
    let cookie = cookie_of(app, call, id);
    let from = &call.peer.address;
    Ok(follow(
        app,
        app.connect
            .go(id, cookie.as_ref(), &which, &typed, from)
            .await?,
    ))
}

async fn api_key(app: &App, call: &Call) -> Result<Answer> {
    let (id, which) = (link_id(call)?, app_id(call, 1)?);
    let typed = typed(call)?;
    let cookie = cookie_of(app, call, id);
    let from = &call.peer.address;
    Ok(follow(
        app,
        app.connect
            .submit_key(id, cookie.as_ref(), &which, &typed, from)
            .await?,
    ))
}

async fn decline(app: &App, call: &Call) -> Result<Answer> {
    let (id, which) = (link_id(call)?, app_id(call, 1)?);
    let cookie = cookie_of(app, call, id);
    Ok(follow(
        app,
        app.connect
            .decline(id, cookie.as_ref(), &which, &call.peer.address)
            .await?,
    ))
}

async fn callback(app: &App, call: Call, landing: Landing) -> Result<Answer> {
    let mut came = Came::default();
    let mut seen = std::collections::BTreeSet::new();
    for (name, value) in &call.query {
        // A parameter that comes twice is refused (RFC 6749 3.1).
        if !seen.insert(name.as_str()) {
            return Err(Error::invalid("a parameter of the answer came twice"));
        }
        came.params.push((name.clone(), Secret::new(value.clone())));
        match name.as_str() {
            "state" => came.state = Some(Secret::new(value.clone())),
            "code" => came.code = Some(Secret::new(value.clone())),
            "error" => came.error = Some(value.clone()),
            "error_description" => came.error_description = Some(value.clone()),
            "iss" => came.iss = Some(value.clone()),
            _ => {}
        }
    }
    let cookie = came
        .state
        .as_ref()
        .and_then(|state| ticket_cookie(app, &call, state));
    let cookies: Vec<Secret<String>> = cookie.into_iter().collect();
    Ok(follow(
        app,
        app.connect
            .come_back(landing, came, &cookies, &call.peer.address)
            .await?,
    ))
}

async fn cancel(app: &App, call: &Call) -> Result<Answer> {
    let id = link_id(call)?;
    let cookie = cookie_of(app, call, id);
    let from = &call.peer.address;
    let next = app.connect.cancel(id, cookie.as_ref(), from).await?;
    Ok(follow(app, next))
}

fn follow(app: &App, next: Next) -> Answer {
    match next {
        Next::Page(id) => to_page(app, id),
        Next::Away(url) => see_other(app, url.expose()),
        Next::Nowhere(no_way) => nowhere(app, no_way),
    }
}

fn nowhere(app: &App, no_way: NoWay) -> Answer {
    let page = endings::no_way(no_way);
    app.look.answer(StatusCode::NOT_FOUND, &page)
}

fn to_page(app: &App, id: LinkId) -> Answer {
    see_other(app, &format!("/connect/{id}"))
}

fn see_other(app: &App, place: &str) -> Answer {
    let failed = || {
        let page = endings::trouble(&Error::NotFound("page"));
        app.look.answer(StatusCode::BAD_GATEWAY, &page)
    };
    app.look.see_other(place).unwrap_or_else(failed)
}

fn link_id(call: &Call) -> Result<LinkId> {
    LinkId::parse(call.capture(0)).ok_or(Error::NotFound("link"))
}

fn app_id(call: &Call, place: usize) -> Result<AppId> {
    AppId::parse(call.capture(place)).map_err(|_| Error::NotFound("app"))
}

/// Gives the browser behind a page elsewhere what binds it to its link, no longer than that lives:
/// a page may ask for many.
///
/// # Errors
/// [`Error::Invalid`] where it cannot stand in a cookie.
pub fn bind_for_page(app: &App, started: &Started, mut answer: Answer) -> Result<Answer> {
    if let Some(bound) = &started.cookie {
        let named = link_cookie(app, bound.link);
        let value = named.set_for_page(bound.value.expose(), limits::LINK_LIFE_DEFAULT)?;
        answer.headers_mut().append(SET_COOKIE, value);
    }
    Ok(answer)
}

fn link_cookie(app: &App, id: LinkId) -> Cookie {
    Cookie::new(&format!("sr_{id}"), app.connect.is_secure())
}

fn cookie_of(app: &App, call: &Call, id: LinkId) -> Option<Secret<String>> {
    link_cookie(app, id)
        .read(&call.headers)
        .map(|value| Secret::new(value.to_owned()))
}

/// The cookie of the link that a ticket or state belongs to.
fn ticket_cookie(app: &App, call: &Call, ticket: &Secret<String>) -> Option<Secret<String>> {
    let id = crate::vault::Vault::link_of(ticket)?;
    cookie_of(app, call, id)
}

/// What was typed, by the names of the inputs; nothing where the form has none.
fn typed(call: &Call) -> Result<Typed> {
    if call.body.is_empty() {
        return Ok(Typed::default());
    }
    let mut typed = Typed::default();
    for (name, value) in call.form()? {
        typed.0.insert(name, Secret::new(value.trim().to_owned()));
    }
    Ok(typed)
}

fn form_secret(call: &Call, name: &str) -> Result<Secret<String>> {
    let field = call.form()?.into_iter().find(|(field, _)| field == name);
    let (_, value) = field.ok_or_else(|| Error::invalid(format!("`{name}` is missing")))?;
    Ok(Secret::new(value.trim().to_owned()))
}
