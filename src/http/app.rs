//! What serves a request: the vault, the flows, and the way from a request to an answer.
//!
//! ```text
//!   origin -> route -> who is asking -> body (bounded) -> handler -> answer, or error in words
//! ```
//!
//! It promises: each request takes exactly this way; a handler gets a caller or is a route that
//! needs none, and the table in `routes` says which.
//! It never: decides who may do what (the vault does), or shows a stranger what went wrong inside.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts as Head;
use http::{HeaderMap, Method, Request, Uri};
use hyper::body::Incoming;

use crate::bearer::{self, Issuers};
use crate::connect::Connect;
use crate::error::{Error, Result};
use crate::http::answer::{Answer, before_body};
use crate::http::body::{ContentType, content_type, parse_form, read_body};
use crate::http::cors::Page;
use crate::http::descope::who;
use crate::http::guard::HostRule;
use crate::http::look::Look;
use crate::http::routes::{self, Entrance, Lookup, Route};
use crate::http::serve::Peer;
use crate::http::tongue::Tongue;
use crate::http::{api, console, descope, pages, wire};
use crate::model::access::Caller;
use crate::refresh::Refresher;
use crate::secret::Secret;
use crate::vault::Vault;

/// The endpoint's own. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
pub struct Parts {
    /// The vault.
    pub vault: Vault,
    /// Keeps tokens fresh.
    pub refresher: Refresher,
    /// Takes people through connecting.
    pub connect: Connect,
    /// Makes callers of JWTs.
    pub issuers: Issuers,
    /// The names we answer under.
    pub hosts: HostRule,
    /// How pages look.
    pub look: Look,
    /// Unlocking is taken from other machines too.
    pub remote_unlock: bool,
}

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// One request, as a handler gets it.
pub struct Call {
    /// Who is asking. On routes that need no key: nobody with any right.
    pub caller: Option<Caller>,
    /// What the path names, in order.
    pub captures: Vec<String>,
    /// The query's fields.
    pub query: Vec<(String, String)>,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: bytes::Bytes,
    /// Who is at the other end.
    pub peer: Peer,
    /// It is a page's, of an origin that may call this route.
    pub from_page: bool,
    /// It is to change something, as a form does.
    pub is_form: bool,
}

impl Call {
    /// The caller.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] on a route that has none.
    pub fn caller(&self) -> Result<&Caller> {
        self.caller.as_ref().ok_or(Error::Unauthenticated)
    }

    /// A query field; empty, `null` and `undefined` count as absent.
    pub fn optional(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !matches!(*value, "" | "null" | "undefined"))
    }

    /// Refuses query fields other than `names`, one that comes twice, and a body: on a route that
    /// filters, what is overlooked widens what is meant.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn takes(&self, names: &[&str]) -> Result<()> {
        for (at, (name, _)) in self.query.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                let known = names.join("`, `");
                return Err(Error::invalid(format!(
                    "there is a query field that does not belong here; known are `{known}`"
                )));
            }
            if self.query[..at].iter().any(|(other, _)| other == name) {
                return Err(Error::invalid("a query field came twice"));
            }
        }
        if !self.body.is_empty() {
            return Err(Error::invalid("this takes query fields and no body"));
        }
        Ok(())
    }

    /// The fields of the form that the body is, in their order.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is none.
    pub fn form(&self) -> Result<Vec<(String, String)>> {
        if content_type(&self.headers) != Some(ContentType::Form) {
            return Err(Error::invalid("this takes a form"));
        }
        let body =
            std::str::from_utf8(&self.body).map_err(|_| Error::invalid("the form is not text"))?;
        parse_form(body)
    }

    /// What the path names at `place`.
    pub fn capture(&self, place: usize) -> &str {
        self.captures.get(place).map_or("", String::as_str)
    }
}

/// Who asks, as far as that is known at once.
enum Asker {
    Known(Option<Caller>),
    /// Whoever this JWT is of, if it is good: its issuer may have to be asked for its keys.
    OfJwt(Secret<String>),
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Answers a request.
    pub async fn handle(self, request: Request<Incoming>, peer: Peer) -> Answer {
        let (head, body) = request.into_parts();
        let page = match Page::of(&head, &self.hosts).map(Box::new) {
            Some(page) if page.is_preflight() => return before_body(page.preflighted()),
            page => page,
        };
        let answer = self.answer(head, body, peer, page.is_some()).await;
        match page {
            Some(page) => page.lets_read(answer),
            None => answer,
        }
    }

    /// Answers a request; `from_page` says that it is a page's of an origin that may call here.
    async fn answer(self, head: Head, body: Incoming, peer: Peer, from_page: bool) -> Answer {
        let found = routes::look_up(&head.method, head.uri.path());
        let tongue = Tongue::of(&found, head.uri.path(), &head.headers);
        let (route, captures) = match found {
            Lookup::Found(row, captures) => (row, captures),
            Lookup::WrongMethod(allowed) => {
                return before_body(tongue.wrong_method(&self.look, allowed));
            }
            Lookup::Unknown => return before_body(tongue.unknown_route(&self.look)),
        };
        let check_origin = |door| self.hosts.check_origin(&head.headers, &head.method, door);
        if !from_page && let Err(refusal) = check_origin(tongue.door()) {
            return before_body(tongue.refusal(&self.look, &head.headers, refusal));
        }
        let knock = || {
            let query = read_query(&head.uri)?;
            let asker = match route.entrance {
                // Before the body: a stranger's is not read.
                Entrance::Key => self.who_asks(&head.headers, &peer, route.route)?,
                Entrance::Open | Entrance::Page => Asker::Known(None),
            };
            Ok((query, asker))
        };
        let known = match knock() {
            Ok((query, Asker::Known(caller))) => Ok((query, caller)),
            // In a place of its own: no other request has to carry the room for it.
            Ok((query, Asker::OfJwt(jwt))) => Box::pin(self.caller_of(jwt, &peer))
                .await
                .map(|caller| (query, Some(caller))),
            Err(error) => Err(error),
        };
        let (query, caller) = match known {
            Ok(known) => known,
            Err(error) => return before_body(tongue.error(&self.look, &error)),
        };
        let body = match read_body(body, route.body_bytes_max).await {
            Ok(body) => body,
            Err(error) => return before_body(tongue.error(&self.look, &error)),
        };
        if !body.is_empty()
            && tongue != Tongue::Page
            && let Err(error) = require_json(&head.headers)
        {
            return tongue.error(&self.look, &error);
        }
        let call = Call {
            is_form: route.method == Method::POST,
            caller,
            captures,
            query,
            headers: head.headers,
            body,
            peer,
            from_page,
        };
        match (route.entrance, route.route) {
            (Entrance::Page, Route::Console(screen)) => {
                Box::pin(console::answer(&self, screen, call)).await
            }
            (Entrance::Page, route) => Box::pin(pages::answer(&self, route, call)).await,
            (_, Route::Descope(operation)) => {
                Box::pin(descope::answer(&self, operation, call)).await
            }
            (Entrance::Open | Entrance::Key, route) => api::dispatch(&self, route, call)
                .await
                .unwrap_or_else(|error| wire::error(&error)),
        }
    }

    async fn caller_of(&self, jwt: Secret<String>, peer: &Peer) -> Result<Caller> {
        self.issuers.caller(&jwt, Arc::clone(&peer.address)).await
    }

    /// Makes a caller of the `Authorization` header (RFC 6750 2.1).
    fn who_asks(&self, headers: &HeaderMap, peer: &Peer, route: Route) -> Result<Asker> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let bearer = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(bearer),
            _ => None,
        };
        let credential = match route {
            Route::Descope(operation) => {
                let project = self.vault.project_id().ok();
                let presented =
                    |bearer| who::credential(bearer, headers, project.as_deref(), operation);
                bearer.and_then(presented)
            }
            _ => bearer.map(|bearer| Secret::new(bearer.to_owned())),
        };
        match credential {
            Some(jwt) if bearer::is_jwt(&jwt) => Ok(Asker::OfJwt(jwt)),
            key => {
                let caller = self
                    .vault
                    .authenticate(key.as_ref(), Arc::clone(&peer.address))?;
                Ok(Asker::Known(Some(caller)))
            }
        }
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn read_query(uri: &Uri) -> Result<Vec<(String, String)>> {
    uri.query().map_or(Ok(Vec::new()), parse_form)
}

fn require_json(headers: &HeaderMap) -> Result<()> {
    match content_type(headers) {
        Some(ContentType::Json) => Ok(()),
        _ => Err(Error::invalid(
            "send the body as `Content-Type: application/json`",
        )),
    }
}
