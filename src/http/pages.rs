//! The pages a person meets while connecting: plain forms that work without scripts.
//!
//! It promises: a GET changes nothing; every page carries a strict content policy, is not framed,
//! not stored, and tells no other host where the person was; a redirect after a form is a 303
//! (RFC 9700 4.12); what a person typed is never shown again.
//! It never: loads anything from elsewhere, or puts a request's text into a page.

mod views;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use maud::Markup;

use crate::connect::{Came, Next, Started, Typed, Visit};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::body::{ContentType, content_type, parse_form};
use crate::http::cookie::Cookie;
use crate::http::routes::Route;
use crate::http::wire;
use crate::limits;
use crate::model::link::LinkStatus;
use crate::model::{AppId, LinkId};
use crate::secret::Secret;
use crate::vault::Landing;

/// `form-action` is left out: browsers hold it against every redirect that follows a form, and
/// these forms lead to providers. Nothing on these pages comes from elsewhere, so that nothing but
/// our own forms is there to be sent.
const POLICY: &str = "default-src 'none'; style-src 'sha256-STYLE'; base-uri 'none'; \
                      frame-ancestors 'none'";

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
        Route::Callback => match app_id(&call, 0) {
            Ok(which) => callback(app, call, Landing::Own(which)).await,
            Err(error) => Err(error),
        },
        Route::SharedCallback => callback(app, call, Landing::Shared).await,
        _ => Err(Error::NotFound("page")),
    };
    outcome.unwrap_or_else(|error| trouble(&error))
}

/// What went wrong, as a page.
pub fn trouble(error: &Error) -> Answer {
    let mut answer = html(wire::status_of(error), views::trouble(error));
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
            Ok(visit) if visit.link.browser_hash.is_some() => to_page(visit.link.id),
            Ok(visit) => html(StatusCode::OK, views::invitation(&visit, ticket.expose())),
            Err(no_way) => html(StatusCode::NOT_FOUND, views::no_way(no_way)),
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
    let mut answer = follow(next);
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
        Err(no_way) => return Ok(html(StatusCode::NOT_FOUND, views::no_way(no_way))),
    };
    Ok(match (&visit.status, &visit.link.return_url) {
        (LinkStatus::Finished, Some(url)) => see_other(url.as_str()),
        _ => html(StatusCode::OK, shown(&visit)),
    })
}

fn shown(visit: &Visit) -> Markup {
    match visit.status {
        LinkStatus::Issued | LinkStatus::Visited if visit.link.proven => views::apps(visit),
        LinkStatus::Issued | LinkStatus::Visited => views::proof(visit),
        LinkStatus::Finished => views::finished(visit),
        status => views::no_way(crate::vault::NoWay::Over(status)),
    }
}

async fn code(app: &App, call: &Call) -> Result<Answer> {
    let id = link_id(call)?;
    let typed = form_secret(call, "code")?;
    let cookie = cookie_of(app, call, id);
    let next = app
        .connect
        .type_code(id, cookie.as_ref(), typed, &call.peer.address)
        .await?;
    Ok(follow(next))
}

async fn to_vouch(app: &App, call: &Call) -> Result<Answer> {
    let id = link_id(call)?;
    let cookie = cookie_of(app, call, id);
    Ok(follow(
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
        app.connect
            .submit_key(id, cookie.as_ref(), &which, &typed, from)
            .await?,
    ))
}

async fn decline(app: &App, call: &Call) -> Result<Answer> {
    let (id, which) = (link_id(call)?, app_id(call, 1)?);
    let cookie = cookie_of(app, call, id);
    Ok(follow(
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
        app.connect
            .come_back(landing, came, &cookies, &call.peer.address)
            .await?,
    ))
}

fn follow(next: Next) -> Answer {
    match next {
        Next::Page(id) => to_page(id),
        Next::Away(url) => see_other(url.expose()),
        Next::Nowhere(no_way) => html(StatusCode::NOT_FOUND, views::no_way(no_way)),
    }
}

fn to_page(id: LinkId) -> Answer {
    see_other(&format!("/connect/{id}"))
}

fn see_other(place: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(b"")));
    *answer.status_mut() = StatusCode::SEE_OTHER;
    match HeaderValue::from_str(place) {
        Ok(value) => answer.headers_mut().insert(LOCATION, value),
        Err(_) => {
            return html(
                StatusCode::BAD_GATEWAY,
                views::trouble(&Error::NotFound("page")),
            );
        }
    };
    strict(answer.headers_mut());
    answer
}

fn html(status: StatusCode, page: Markup) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(page.into_string())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    strict(headers);
    answer
}

fn strict(headers: &mut HeaderMap) {
    let policy = POLICY.replace("STYLE", views::STYLE_HASH);
    let policy = HeaderValue::from_str(&policy).expect("a policy is visible ASCII");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Other hosts learn nothing; our own forms keep an `Origin` that the guard can read.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
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
    for (name, value) in form(call)? {
        typed.0.insert(name, Secret::new(value.trim().to_owned()));
    }
    Ok(typed)
}

fn form_secret(call: &Call, name: &str) -> Result<Secret<String>> {
    let field = form(call)?.into_iter().find(|(field, _)| field == name);
    let (_, value) = field.ok_or_else(|| Error::invalid(format!("`{name}` is missing")))?;
    Ok(Secret::new(value.trim().to_owned()))
}

fn form(call: &Call) -> Result<Vec<(String, String)>> {
    if content_type(&call.headers) != Some(ContentType::Form) {
        return Err(Error::invalid("this takes a form"));
    }
    let body =
        std::str::from_utf8(&call.body).map_err(|_| Error::invalid("the form is not text"))?;
    parse_form(body)
}
