//! Registers a client of ours at an authorization server (RFC 7591), and describes it where the
//! server fetches the description itself.
//!
//! It promises: one request, within the bounds of the way out; an answer is a client only if it
//! can be used as one; each app has one turn at a time, whoever wants to register for it.
//! It never: keeps what was registered (that is the vault's), or shows one server what another
//! gave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Map, Value, json};
use tokio::sync::OwnedMutexGuard;

use super::Provider;
use super::answer::{self, Answer};
use super::classify::{Failure, FailureKind};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::app::ClientAuth;
use crate::model::url::WebUrl;
use crate::model::{AppId, Scopes};
use crate::secret::Secret;

/// What people at a provider see us called.
const CLIENT_NAME: &str = "Strongroom";

/// What a server is to register.
pub struct NewClient<'a> {
    /// Where (its `registration_endpoint`).
    pub place: &'a WebUrl,
    /// Where people come back to.
    pub redirect_uri: &'a str,
    /// How the client is to prove itself.
    pub auth: ClientAuth,
    /// The scopes that will be asked for; none where empty.
    pub scopes: &'a Scopes,
}

/// A client as the server registered it.
pub struct Registered {
    /// Its id.
    pub client_id: String,
    /// Its secret, where it has one.
    pub client_secret: Option<Secret<String>>,
    /// How it proves itself.
    pub auth: ClientAuth,
    /// When the secret ends, if it does.
    pub secret_expires_at: Option<Timestamp>,
}

/// The turns of apps.
#[derive(Default)]
pub struct Turns {
    // Held for lines, never across an await.
    apps: Mutex<HashMap<AppId, Arc<tokio::sync::Mutex<State>>>>,
}

/// What is remembered of an app's turns.
#[derive(Default)]
struct State {
    failed_at: Option<Timestamp>,
    /// The client that is refused, and since when, with nothing better in between.
    refused: Option<(String, Timestamp)>,
}

/// An app's turn to register. The next one waits until it is dropped.
pub struct Turn(OwnedMutexGuard<State>);

impl Turn {
    /// Whether a registration failed so short a time ago that another is not to be tried.
    pub fn has_just_failed(&self, now: Timestamp) -> bool {
        let until = self
            .0
            .failed_at
            .map(|at| at.plus(limits::CLIENT_RENEWED_PAUSE));
        until.is_some_and(|until| now < until)
    }

    /// Remembers that one failed.
    pub fn failed(&mut self, now: Timestamp) {
        self.0.failed_at = Some(now);
    }

    /// Remembers that a client was refused. Says whether it had been before, so long ago that this
    /// is no hiccup.
    pub fn is_refused_for_long(&mut self, client_id: &str, now: Timestamp) -> bool {
        match &self.0.refused {
            Some((known, since)) if known == client_id => {
                since.plus(limits::CLIENT_REFUSED_FOR) <= now
            }
            _ => {
                self.0.refused = Some((client_id.to_owned(), now));
                false
            }
        }
    }
}

impl Turns {
    fn of(&self, app: &AppId) -> Arc<tokio::sync::Mutex<State>> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if apps.len() >= limits::REMOTE_APPS_TURNS_MAX && !apps.contains_key(app) {
            // Whose turn nobody holds or waits for is forgotten.
            apps.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(apps.entry(app.clone()).or_default())
    }
}

impl Provider {
    /// Waits for an app's turn to register.
    pub async fn turn_to_register(&self, app: &AppId) -> Turn {
        Turn(self.0.turns.of(app).lock_owned().await)
    }

    /// Notes that an app's client was not refused: what was refused before was a hiccup.
    pub fn client_served(&self, app: &AppId) {
        let apps = &self.0.turns.apps;
        let apps = apps.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has the turn now decides on what it was told itself.
        if let Some(Ok(mut state)) = apps.get(app).map(|turn| turn.try_lock()) {
            state.refused = None;
        }
    }

    /// Registers a client.
    ///
    /// # Errors
    /// See [`FailureKind`]; an answer that makes no client is [`FailureKind::ClientRefused`].
    pub async fn register(&self, new: &NewClient<'_>) -> std::result::Result<Registered, Failure> {
        let mut body = description(new.redirect_uri, new.auth);
        if !new.scopes.is_empty() {
            body.insert("scope".into(), json!(new.scopes.joined(" ")));
        }
        let request = http::Request::post(new.place.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Value::Object(body).to_string().into_bytes())
            .map_err(|_| unfit("the registration endpoint is no URL that can be asked"))?;
        let most = limits::METADATA_BYTES_MAX;
        let answer = self.send(&new.place.authority(), request, most).await?;
        read(&answer, new.auth, self.0.clock.now())
    }
}

/// The client id metadata document of an app: what an authorization server fetches from
/// `client_id`, which is this document's own URL.
pub fn document(client_id: &str, redirect_uri: &str) -> Value {
    let mut fields = description(redirect_uri, ClientAuth::None);
    fields.insert("client_id".into(), json!(client_id));
    Value::Object(fields)
}

/// What a client of ours is (RFC 7591 2).
fn description(redirect_uri: &str, auth: ClientAuth) -> Map<String, Value> {
    let method = match auth {
        ClientAuth::Basic | ClientAuth::BasicRaw => "client_secret_basic",
        ClientAuth::Post => "client_secret_post",
        ClientAuth::None => "none",
        ClientAuth::PrivateKeyJwt => "private_key_jwt",
    };
    let fields = json!({
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": application_type(redirect_uri),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// OpenID Connect Registration 2: what comes back to this machine is a native application's.
fn application_type(redirect_uri: &str) -> &'static str {
    let is_here =
        WebUrl::parse("redirect_uri", redirect_uri).is_ok_and(|url| match url.as_url().host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        });
    if is_here { "native" } else { "web" }
}

/// How to ask a server to let us prove ourselves: as a public client where it knows those, for that
/// is what servers for MCP are made for; else with a secret, by the way it lists. RFC 8414 2: no
/// list stands for `client_secret_basic`.
pub fn auth_to_ask(listed: &[String]) -> ClientAuth {
    let lists = |method: &str| listed.iter().any(|known| known == method);
    match () {
        () if lists("none") => ClientAuth::None,
        () if listed.is_empty() || lists("client_secret_basic") => ClientAuth::Basic,
        () if lists("client_secret_post") => ClientAuth::Post,
        () => ClientAuth::None,
    }
}

fn unfit(what: &str) -> Failure {
    Failure::ours(FailureKind::ClientRefused, "registration", what)
}

/// Reads the answer (RFC 7591 3.2): any status of success will do, for servers differ.
fn read(
    answer: &Answer,
    asked: ClientAuth,
    now: Timestamp,
) -> std::result::Result<Registered, Failure> {
    let fields = answer::read_success(answer, &" ".into(), now)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let client_id = text("client_id").unwrap_or_default();
    let is_long = client_id.len() > limits::TEXT_BYTES_MAX;
    if client_id.is_empty() || is_long || client_id.chars().any(char::is_control) {
        return Err(unfit("the answer holds no `client_id` that can be used"));
    }
    let secret = text("client_secret").filter(|secret| !secret.is_empty());
    if secret.is_some_and(|secret| secret.len() > limits::CREDENTIAL_BYTES_MAX) {
        return Err(unfit("the answer holds a `client_secret` that is too long"));
    }
    let auth = match (text("token_endpoint_auth_method"), secret) {
        (Some("none"), _) | (_, None) => ClientAuth::None,
        (Some("client_secret_basic"), _) => ClientAuth::Basic,
        (Some("client_secret_post"), _) => ClientAuth::Post,
        // RFC 7591 2: unsaid is `client_secret_basic`. What was asked for may be meant as well.
        (None, _) if asked == ClientAuth::Post => ClientAuth::Post,
        (None, _) => ClientAuth::Basic,
        (Some(_), _) => {
            return Err(unfit(
                "the server wants another `token_endpoint_auth_method` than it was asked for",
            ));
        }
    };
    let secret = secret.filter(|_| auth != ClientAuth::None);
    let ends = whole_seconds(fields.get("client_secret_expires_at")).filter(|at| *at > 0);
    Ok(Registered {
        client_id: client_id.to_owned(),
        secret_expires_at: ends
            .filter(|_| secret.is_some())
            .map(|at| Timestamp::from_unix_ms(at.saturating_mul(1000))),
        client_secret: secret.map(|secret| Secret::new(secret.to_owned())),
        auth,
    })
}

/// A moment in seconds, as a number or, as some write it, as text. 0 is never.
fn whole_seconds(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64().or(number.as_f64().map(|at| at as u64)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Says at which step it failed.
pub fn in_words(failure: Failure, place: &WebUrl) -> Error {
    let description = match failure.description.as_str() {
        "" => format!("registering at {place}"),
        said => format!("registering at {place}: {said}"),
    };
    Failure {
        description,
        ..failure
    }
    .into()
}

/// The id of an app's client id metadata document's URL, as the route captures it.
///
/// # Errors
/// [`Error::NotFound`] where it is none.
pub fn app_of_document(name: &str) -> Result<AppId> {
    let id = name.strip_suffix(".json").ok_or(Error::NotFound("app"))?;
    AppId::parse(id).map_err(|_| Error::NotFound("app"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            content_type: "application/json".into(),
            retry_after: String::new(),
            kept_for: None,
            www_authenticate: String::new(),
            body: Ok(Secret::new(body.as_bytes().to_vec())),
        }
    }

    fn of(body: &str) -> std::result::Result<(String, ClientAuth, Option<u64>), String> {
        let read = read(&answer(201, body), ClientAuth::Basic, NOW);
        read.map(|made| {
            let ends = made.secret_expires_at.map(Timestamp::unix_ms);
            assert_eq!(made.client_secret.is_some(), made.auth != ClientAuth::None);
            (made.client_id, made.auth, ends)
        })
        .map_err(|failure| failure.code)
    }

    #[test]
    fn what_a_server_registers_is_read_as_it_is_meant() {
        let id = String::from("c1");
        for (body, auth, ends) in [
            (r#"{"client_id":"c1"}"#, ClientAuth::None, None),
            (
                r#"{"client_id":"c1","client_secret":""}"#,
                ClientAuth::None,
                None,
            ),
            (
                r#"{"client_id":"c1","client_secret":"s"}"#,
                ClientAuth::Basic,
                None,
            ),
            (
                r#"{"client_id":"c1","client_secret":"s","client_secret_expires_at":0}"#,
                ClientAuth::Basic,
                None,
            ),
            (
                r#"{"client_id":"c1","client_secret":"s","client_secret_expires_at":"9",
                    "token_endpoint_auth_method":"client_secret_post"}"#,
                ClientAuth::Post,
                Some(9000),
            ),
            (
                r#"{"client_id":"c1","client_secret":"s","client_secret_expires_at":9.5,
                    "token_endpoint_auth_method":"none"}"#,
                ClientAuth::None,
                None,
            ),
            (
                r#"{"client_id":"c1","token_endpoint_auth_method":"client_secret_basic"}"#,
                ClientAuth::None,
                None,
            ),
        ] {
            assert_eq!(of(body), Ok((id.clone(), auth, ends)), "{body}");
        }
    }

    #[test]
    fn what_makes_no_client_is_refused() {
        let long = format!(r#"{{"client_id":"{}"}}"#, "x".repeat(2000));
        for (body, code) in [
            ("{}", "registration"),
            (r#"{"client_id":""}"#, "registration"),
            (r#"{"client_id":7}"#, "registration"),
            (r#"{"client_id":"a\nb"}"#, "registration"),
            (&long, "registration"),
            (
                r#"{"client_id":"c","client_secret":"s",
                    "token_endpoint_auth_method":"private_key_jwt"}"#,
                "registration",
            ),
            (
                r#"{"error":"invalid_redirect_uri"}"#,
                "invalid_redirect_uri",
            ),
        ] {
            assert_eq!(of(body), Err(code.to_owned()), "{body}");
        }
        let refused = read(
            &answer(400, r#"{"error":"invalid_client_metadata"}"#),
            ClientAuth::None,
            NOW,
        );
        let failure = refused.err().unwrap();
        assert_eq!(failure.code, "invalid_client_metadata");
        assert_eq!(failure.kind, FailureKind::ClientRefused);
        assert!(of("<html>").is_err());
    }

    #[test]
    fn what_comes_back_to_this_machine_is_native() {
        for (uri, kind) in [
            ("http://127.0.0.1:7420/callback/x", "native"),
            ("http://[::1]/callback/x", "native"),
            ("http://localhost:7420/callback/x", "native"),
            ("https://vault.example.com/callback/x", "web"),
            ("https://localhost.example.com/callback/x", "web"),
        ] {
            assert_eq!(application_type(uri), kind, "{uri}");
        }
    }

    #[test]
    fn a_server_is_asked_for_what_it_lists() {
        for (listed, auth) in [
            (&[][..], ClientAuth::Basic),
            (&["none", "client_secret_basic"][..], ClientAuth::None),
            (&["client_secret_post"][..], ClientAuth::Post),
            (
                &["client_secret_post", "client_secret_basic"][..],
                ClientAuth::Basic,
            ),
            (&["private_key_jwt"][..], ClientAuth::None),
        ] {
            let listed: Vec<String> = listed.iter().map(|&word| word.into()).collect();
            assert_eq!(auth_to_ask(&listed), auth, "{listed:?}");
        }
    }
}
