//! The authorization endpoint: a person signs in and says which scopes a client may have.
//!
//! It promises:
//! 1. nobody is redirected before client and redirect URI are known to belong together
//!    (RFC 6749 4.1.2.1); after that every error goes back to the client;
//! 2. a request can be answered only in the browser it came in, by whoever is signed in there;
//! 3. signing in changes the session's token (no session is planted), an answer uses a request up.
//!
//! It never: changes a grant on a GET.

use hyper::StatusCode;

use super::State;
use super::ledger::{Approval, mint};
use super::pages;
use super::reply::Reply;
use super::request::{Fields, Request};
use super::rules::{Refusal, scopes};
use super::settings::{Client, Settings};
use super::shelf::{Fingerprint, Shelf};
use crate::clock::Timestamp;
use crate::limits;

/// Browsers and what they are being asked.
pub(super) struct Visits {
    sessions: Shelf<Fingerprint, Session>,
    waiting: Shelf<Fingerprint, Waiting>,
}

struct Session {
    /// Who is signed in; nobody at first.
    user: Option<String>,
    expires_at: Timestamp,
}

struct Waiting {
    session: Fingerprint,
    asked: Asked,
    expires_at: Timestamp,
}

/// An authorization request that passed every check.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) client_id: String,
    pub(super) scopes: Vec<String>,
    redirect_uri: String,
    redirect_uri_given: bool,
    state: Option<String>,
    challenge: Option<String>,
    nonce: Option<String>,
}

impl Visits {
    /// Nobody is here yet.
    pub(super) fn new() -> Self {
        Self {
            sessions: Shelf::new(limits::SANDBOX_VISITS_MAX),
            waiting: Shelf::new(limits::SANDBOX_VISITS_MAX),
        }
    }

    /// The browser's session, and who is signed in there.
    fn session(&self, now: Timestamp, request: &Request) -> Option<(Fingerprint, Option<&str>)> {
        let key = Fingerprint::of(request.cookie("sbx_session")?);
        let session = self.sessions.get(&key)?;
        (now < session.expires_at).then_some((key, session.user.as_deref()))
    }

    /// Opens a session; answers the token for the cookie.
    fn open(&mut self, now: Timestamp, user: Option<String>) -> (String, Fingerprint) {
        let token = mint("sbx_ses_").expose().clone();
        let key = Fingerprint::of(&token);
        let expires_at = now.plus(limits::SANDBOX_SESSION_LIFE);
        self.sessions.put(key, Session { user, expires_at });
        (token, key)
    }

    /// The request that waits under this id in this browser, and who is signed in there.
    fn waiting(
        &self,
        now: Timestamp,
        id: &str,
        request: &Request,
    ) -> Option<(Asked, Option<String>)> {
        let (session, user) = self.session(now, request)?;
        let waiting = self.waiting.get(&Fingerprint::of(id))?;
        let ours = waiting.session == session && now < waiting.expires_at;
        ours.then(|| (waiting.asked.clone(), user.map(str::to_owned)))
    }
}

/// `GET /authorize`.
pub(super) fn authorize(state: &mut State, now: Timestamp, request: &Request) -> Reply {
    let asked = match Asked::read(&state.settings, &request.query) {
        Ok(asked) => asked,
        Err(Fault::Page(text)) => return pages::problem(StatusCode::BAD_REQUEST, text),
        Err(Fault::Back(back, refusal)) => return back.error(&state.settings, &refusal),
    };
    let prompt = request.query.one("prompt").ok().flatten();
    let session = state.visits.session(now, request);
    let session = session.map(|(key, user)| (key, user.map(str::to_owned)));
    if prompt == Some("none") {
        let code = match session {
            Some((_, Some(_))) => "consent_required",
            _ => "login_required",
        };
        let refusal = Refusal::new(code, "nothing is allowed here without asking");
        return asked.back().error(&state.settings, &refusal);
    }
    let (cookie, session, user) = match session {
        Some((session, user)) => (None, session, user),
        None => {
            let (token, session) = state.visits.open(now, None);
            (Some(token), session, None)
        }
    };
    let id = mint("sbx_req_");
    let page = match user.filter(|_| prompt != Some("login")) {
        Some(user) => pages::consent(id.expose(), &asked, &user),
        None => pages::login(
            StatusCode::OK,
            &state.settings,
            id.expose(),
            &asked.client_id,
        ),
    };
    state.visits.waiting.put(
        Fingerprint::of(id.expose()),
        Waiting {
            session,
            asked,
            expires_at: now.plus(limits::SANDBOX_REQUEST_LIFE),
        },
    );
    match cookie {
        Some(token) => page.with_session(&token),
        None => page,
    }
}

/// `POST /login`.
pub(super) fn login(state: &mut State, now: Timestamp, request: &Request) -> Reply {
    let field = |name| request.form.one(name).ok().flatten().unwrap_or_default();
    let id = field("request");
    let Some((asked, _)) = state.visits.waiting(now, id, request) else {
        return pages::lapsed();
    };
    let (name, password) = (field("user"), field("password"));
    let known = state.settings.users.iter().any(|user| {
        let password_fits =
            |expected: &crate::secret::Secret<String>| expected.equals(password.as_bytes());
        user.name == name && user.password.as_ref().is_none_or(password_fits)
    });
    if !known {
        return pages::login(StatusCode::FORBIDDEN, &state.settings, id, &asked.client_id);
    }
    if let Some((old, _)) = state.visits.session(now, request) {
        state.visits.sessions.take(&old);
    }
    let (token, session) = state.visits.open(now, Some(name.to_owned()));
    if let Some(waiting) = state.visits.waiting.get_mut(&Fingerprint::of(id)) {
        waiting.session = session;
    }
    match Reply::see_other(&format!("/consent?request={id}")) {
        Some(reply) => reply.with_session(&token),
        None => pages::lapsed(),
    }
}

/// `GET /consent`: where signing in leads.
pub(super) fn consent_page(state: &State, now: Timestamp, request: &Request) -> Reply {
    let id = request
        .query
        .one("request")
        .ok()
        .flatten()
        .unwrap_or_default();
    match state.visits.waiting(now, id, request) {
        Some((asked, Some(user))) => pages::consent(id, &asked, &user),
        _ => pages::lapsed(),
    }
}

/// `POST /consent`.
pub(super) fn consent(state: &mut State, now: Timestamp, request: &Request) -> Reply {
    let id = request
        .form
        .one("request")
        .ok()
        .flatten()
        .unwrap_or_default();
    let Some((asked, Some(user))) = state.visits.waiting(now, id, request) else {
        return pages::lapsed();
    };
    state.visits.waiting.take(&Fingerprint::of(id));
    let back = asked.back();
    let allowed = request.form.one("decision") == Ok(Some("allow"));
    let ticked: Vec<&str> = request.form.all("scope").collect();
    let mut granted = asked.scopes.clone();
    granted.retain(|scope| ticked.contains(&scope.as_str()));
    if !allowed || (granted.is_empty() && !asked.scopes.is_empty()) {
        let refusal = Refusal::new("access_denied", "the person said no");
        return back.error(&state.settings, &refusal);
    }
    let code = state.ledger.code(
        now,
        Approval {
            client_id: asked.client_id,
            user,
            scopes: granted,
            redirect_uri: asked.redirect_uri_given.then_some(asked.redirect_uri),
            challenge: asked.challenge,
            nonce: asked.nonce,
        },
    );
    back.answer(&state.settings, &[("code", code.expose())])
}

/// What is wrong with an authorization request.
enum Fault {
    /// The client is not to be trusted with an answer: tell the person.
    Page(&'static str),
    /// Tell the client.
    Back(Back, Refusal),
}

/// The way back to the client.
#[derive(Clone)]
struct Back {
    redirect_uri: String,
    state: Option<String>,
}

impl Back {
    fn error(&self, settings: &Settings, refusal: &Refusal) -> Reply {
        let fields = [
            ("error", refusal.code),
            ("error_description", refusal.description),
        ];
        self.answer(settings, &fields)
    }

    fn answer(&self, settings: &Settings, fields: &[(&str, &str)]) -> Reply {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(fields);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        if settings.iss_parameter {
            query.append_pair("iss", &settings.issuer);
        }
        // A redirect URI may have a query of its own, which stays (RFC 6749 3.1.2).
        let joint = match self.redirect_uri.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        let to = format!("{}{joint}{}", self.redirect_uri, query.finish());
        Reply::see_other(&to).unwrap_or_else(|| {
            let text = "the client's redirect URI cannot stand in a header";
            pages::problem(StatusCode::BAD_REQUEST, text)
        })
    }
}

impl Asked {
    fn back(&self) -> Back {
        Back {
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
        }
    }

    fn read(settings: &Settings, query: &Fields) -> Result<Self, Fault> {
        let unknown = "no such client is registered here";
        let id = query.one("client_id").map_err(|_| Fault::Page(unknown))?;
        let client = id
            .and_then(|id| settings.clients.iter().find(|client| client.id == id))
            .ok_or(Fault::Page(unknown))?;
        let wrong = "the redirect URI is not one of this client's";
        let given = query.one("redirect_uri").map_err(|_| Fault::Page(wrong))?;
        let redirect_uri = match (given, &*client.redirect_uris) {
            (Some(given), known) => known.iter().find(|uri| *uri == given),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let redirect_uri = redirect_uri.ok_or(Fault::Page(wrong))?;
        // A `state` that came twice is not returned: nobody knows which one is meant.
        let back = Back {
            redirect_uri: redirect_uri.clone(),
            state: query.one("state").ok().flatten().map(str::to_owned),
        };
        Self::rest(settings, client, query, given.is_some(), &back)
            .map_err(|refusal| Fault::Back(back, refusal))
    }

    fn rest(
        settings: &Settings,
        client: &Client,
        query: &Fields,
        redirect_uri_given: bool,
        back: &Back,
    ) -> Result<Self, Refusal> {
        query.one("state")?;
        if query.needed("response_type", "`response_type` is missing")? != "code" {
            return Err(Refusal::new(
                "unsupported_response_type",
                "only `response_type=code` is served here",
            ));
        }
        if query
            .one("response_mode")?
            .is_some_and(|mode| mode != "query")
        {
            return Err(Refusal::new(
                "invalid_request",
                "only `response_mode=query` is served here",
            ));
        }
        let pkce_required = settings.pkce_required || client.secret.is_none();
        let mut asked = match query.one("scope")? {
            Some(parameter) => scopes(parameter)?,
            None => settings.default_scopes.clone(),
        };
        if asked.is_empty() {
            asked.clone_from(&settings.default_scopes);
        }
        let known = |scope| settings.scopes.is_empty() || settings.scopes.contains(scope);
        if !asked.iter().all(known) {
            return Err(Refusal::new("invalid_scope", "there is no such scope here"));
        }
        Ok(Self {
            client_id: client.id.clone(),
            scopes: asked,
            redirect_uri: back.redirect_uri.clone(),
            redirect_uri_given,
            state: back.state.clone(),
            challenge: challenge(query, pkce_required)?.map(str::to_owned),
            nonce: query.one("nonce")?.map(str::to_owned),
        })
    }
}

/// The PKCE challenge (RFC 7636 4.3): S256 alone, since `plain` protects nobody.
fn challenge(query: &Fields, required: bool) -> Result<Option<&str>, Refusal> {
    let problem = |what| Err(Refusal::new("invalid_request", what));
    let method = query.one("code_challenge_method")?;
    let Some(challenge) = query.one("code_challenge")? else {
        return match (required, method) {
            (true, _) => problem("`code_challenge` is missing"),
            (false, Some(_)) => problem("`code_challenge_method` without `code_challenge`"),
            (false, None) => Ok(None),
        };
    };
    if method != Some("S256") {
        return problem("only `code_challenge_method=S256` is served here");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if challenge.len() != 43 || !challenge.bytes().all(allowed) {
        return problem("`code_challenge` is not a SHA-256 digest in base64url");
    }
    Ok(Some(challenge))
}
