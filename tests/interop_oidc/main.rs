//! npm `oidc-provider`, which others wrote and certified, driven through its real login and consent
//! pages by a client without a browser.
//!
//! Needs Node and the packages of `tests/interop/package.json`, in `tests/interop/node_modules` or
//! where `STRONGROOM_INTEROP_NODE_MODULES` says. Where they are missing, each test says so aloud
//! and passes; where `STRONGROOM_INTEROP=require` is set, it fails.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use strongroom::secret::{base64url, random};
use url::Url;

use provider::{CLIENT_ID, CLIENT_SECRET, OidcProvider, REDIRECT_URI};

#[path = "../it/browser.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod browser;
#[path = "../it/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod support;

mod provider;
#[expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod strongroom_itself;

const END_MAX: Duration = Duration::from_secs(30);
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A browser of the plainest kind: keeps cookies by name, follows nothing by itself.
struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new() -> Self {
        // Plain http to loopback, but the client wants a TLS library before it is built.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ANSWER_MAX)
            .build()
            .expect("a client of plain settings");
        Self {
            client,
            cookies: BTreeMap::new(),
        }
    }

    async fn get(&mut self, url: &Url) -> Response {
        self.send(self.client.get(url.clone())).await
    }

    async fn post(&mut self, url: &Url, fields: &[(&str, &str)]) -> Response {
        self.send(with_form(self.client.post(url.clone()), fields))
            .await
    }

    async fn send(&mut self, request: RequestBuilder) -> Response {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let request = request.header(COOKIE, cookies.join("; "));
        let answer = request.send().await.expect("the provider answers");
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("a cookie is text");
            let pair = cookie.split(';').next().unwrap_or(cookie);
            let (name, value) = pair.split_once('=').expect("a cookie has a name");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Opens the page an answer leads to, and sends its form with `fields`.
    async fn submit(&mut self, led_here: &Response, fields: &[(&str, &str)]) -> Response {
        let page = self.get(&location(led_here)).await;
        assert_eq!(page.status(), StatusCode::OK);
        let page = page.text().await.expect("a page is text");
        let action = attribute(&page, "<form", "action");
        self.post(&action, fields).await
    }

    /// From the authorization URL to the consent page, by way of the login page.
    async fn log_in(&mut self, authorize: &Url, name: &str) -> Response {
        let login = self.get(authorize).await;
        let fields = [("prompt", "login"), ("login", name), ("password", "any")];
        let resumed = self.submit(&login, &fields).await;
        self.get(&location(&resumed)).await
    }

    /// From the consent page to the redirect URI, which is returned and not visited.
    async fn consent(&mut self, consent: &Response) -> Url {
        let resumed = self.submit(consent, &[("prompt", "consent")]).await;
        let back = self.get(&location(&resumed)).await;
        assert_eq!(back.status(), StatusCode::SEE_OTHER);
        location(&back)
    }
}

/// A form as a body. The client's own helper for it is a feature we do without.
fn with_form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.finish())
}

fn location(answer: &Response) -> Url {
    assert!(answer.status().is_redirection(), "{}", answer.status());
    let header = answer
        .headers()
        .get(LOCATION)
        .expect("a redirect says where");
    let target = header.to_str().expect("a location is text");
    answer.url().join(target).expect("a location is a URL")
}

/// The URL in attribute `name` of the first `element` of a page.
fn attribute(page: &str, element: &str, name: &str) -> Url {
    let (_, rest) = page.split_once(element).expect("the element is there");
    let (_, rest) = rest.split_once(&format!("{name}=\"")).expect("with it");
    let (value, _) = rest.split_once('"').expect("quoted");
    Url::parse(&value.replace("&amp;", "&")).expect("an absolute URL")
}

/// One run of the authorization code flow: what it is asked with, and what proves it was us.
struct Flow {
    authorize: Url,
    state: String,
    verifier: String,
}

impl Flow {
    fn new(provider: &OidcProvider) -> Self {
        let state = base64url(&random::<32>());
        let verifier = base64url(&random::<32>());
        let mut authorize = provider.endpoint("/auth");
        authorize.query_pairs_mut().extend_pairs([
            ("client_id", CLIENT_ID),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("scope", "openid offline_access"),
            ("prompt", "consent"),
            ("state", &state),
            ("code_challenge", &base64url(&Sha256::digest(&verifier))),
            ("code_challenge_method", "S256"),
        ]);
        Self {
            authorize,
            state,
            verifier,
        }
    }

    /// The parameters the person came back with; state and issuer are checked.
    fn answer(&self, provider: &OidcProvider, back: &Url) -> BTreeMap<String, String> {
        assert!(back.as_str().starts_with(REDIRECT_URI), "{back}");
        let answer: BTreeMap<String, String> = back.query_pairs().into_owned().collect();
        assert_eq!(answer["state"], self.state);
        let issuer = provider.issuer.as_str().trim_end_matches('/');
        assert_eq!(answer["iss"], issuer);
        answer
    }
}

/// What the application behind the redirect URI does, without cookies.
async fn ask(provider: &OidcProvider, path: &str, fields: &[(&str, &str)]) -> Response {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let request = Browser::new().client.post(provider.endpoint(path));
    let request = request.basic_auth(encode(CLIENT_ID), Some(encode(CLIENT_SECRET)));
    let answer = with_form(request, fields).send().await;
    answer.expect("the provider answers")
}

async fn token(provider: &OidcProvider, fields: &[(&str, &str)]) -> (StatusCode, Value) {
    let answer = ask(provider, "/token", fields).await;
    let status = answer.status();
    let body = answer.text().await.expect("an answer is text");
    (status, serde_json::from_str(&body).expect("it is JSON"))
}

async fn refresh(provider: &OidcProvider, refresh_token: &str) -> (StatusCode, Value) {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
    ];
    token(provider, &fields).await
}

/// The whole way: login, consent, code, tokens.
async fn connect(provider: &OidcProvider, person: &str) -> Value {
    let mut browser = Browser::new();
    let flow = Flow::new(provider);
    let consent = browser.log_in(&flow.authorize, person).await;
    let back = browser.consent(&consent).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &flow.answer(provider, &back)["code"]),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", &flow.verifier),
    ];
    let (status, tokens) = token(provider, &fields).await;
    assert_eq!(status, StatusCode::OK, "{}", tokens["error"]);
    tokens
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().expect("the answer has it, as text")
}

/// Goal: the provider behaves as the suite relies on: short tokens, rotation, reuse ends the grant.
/// Method: connect, refresh, use the old refresh token again, then the new one.
#[tokio::test]
async fn a_refresh_token_used_twice_takes_the_grant_with_it() {
    let Some(provider) = OidcProvider::start("reuse of a refresh token") else {
        return;
    };
    let first = connect(&provider, "alice").await;
    assert_eq!(first["expires_in"], 5);
    assert_eq!(first["scope"], "openid offline_access");
    let old = text(&first, "refresh_token");

    let (status, second) = refresh(&provider, old).await;
    assert_eq!(status, StatusCode::OK);
    let new = text(&second, "refresh_token");
    assert_ne!(old, new);
    assert_ne!(text(&first, "access_token"), text(&second, "access_token"));

    let me = Browser::new().client.get(provider.endpoint("/me"));
    let me = me.bearer_auth(text(&second, "access_token")).send().await;
    let me = me.expect("the provider answers").text().await;
    assert_eq!(me.expect("as text"), r#"{"sub":"alice"}"#);

    for dead in [old, new] {
        let (status, refused) = refresh(&provider, dead).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(refused["error"], "invalid_grant");
    }
}

/// Goal: revocation (RFC 7009) is real. Method: revoke the refresh token, then use it.
#[tokio::test]
async fn a_revoked_refresh_token_is_refused() {
    let Some(provider) = OidcProvider::start("revocation") else {
        return;
    };
    let tokens = connect(&provider, "bob").await;
    let refresh_token = text(&tokens, "refresh_token");
    let answer = ask(&provider, "/token/revocation", &[("token", refresh_token)]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let (status, refused) = refresh(&provider, refresh_token).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(refused["error"], "invalid_grant");
}

/// Goal: a person who refuses comes back with `access_denied`. Method: follow the page's own link.
#[tokio::test]
async fn a_person_who_refuses_comes_back_with_access_denied() {
    let Some(provider) = OidcProvider::start("refusal") else {
        return;
    };
    let mut browser = Browser::new();
    let flow = Flow::new(&provider);
    let consent = browser.log_in(&flow.authorize, "carol").await;
    let page = browser.get(&location(&consent)).await.text().await;
    let page = page.expect("a page is text");
    let abort = attribute(&page, "<a ", "href");
    let aborted = browser.get(&abort).await;
    let back = browser.get(&location(&aborted)).await;
    let answer = flow.answer(&provider, &location(&back));
    assert_eq!(answer["error"], "access_denied");
    assert!(!answer.contains_key("code"));
}

/// Goal: no process is left behind. Method: close its standard input, as our death would.
#[test]
fn the_provider_ends_with_whoever_started_it() {
    let Some(mut provider) = OidcProvider::start("end of the provider") else {
        return;
    };
    drop(provider.stdin.take());
    let (told, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| told.send(provider.child.wait()));
        let status = ended.recv_timeout(END_MAX).expect("it ends in time");
        assert!(status.expect("it can be waited for").success());
    });
}
