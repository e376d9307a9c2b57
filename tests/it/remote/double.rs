//! An MCP server and its authorization server in one, scripted, on loopback.
//!
//! It promises: it behaves as its settings say and remembers every request.
//! It never: asks a person anything: its authorization endpoint consents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::server::{Reply, Server, reply, serve};

/// How a double behaves.
#[derive(Clone)]
pub struct How {
    /// The fields of the 401 behind `Bearer`; `{}` stands for the double's URL. No 401 where none.
    pub challenge: Option<String>,
    /// Where the resource's metadata is.
    pub resource_metadata_at: Vec<String>,
    /// What the metadata calls the resource.
    pub resource: String,
    /// The authorization servers it names; its own where empty.
    pub issuers: Vec<String>,
    /// What the authorization server calls itself, where it lies.
    pub says_issuer: Option<String>,
    pub scopes: Option<Vec<&'static str>>,
    /// Laid over the authorization server's metadata; `null` takes out.
    pub metadata: Value,
    /// The status it comes with; with another than 200 there is none.
    pub metadata_status: u16,
    /// Header fields that come with it, each with its line's end.
    pub metadata_fields: &'static str,
    /// What the other document says, where there is one.
    pub openid: Option<Value>,
    /// The first one is held back until this says so.
    pub metadata_held: Option<watch::Receiver<bool>>,
    /// Status and fields of the answer to a registration, laid over a good one.
    pub registration: (u16, Value),
    /// The authentication method of those it registers.
    pub method: &'static str,
    /// A refresh token is its client's alone.
    pub binds_tokens: bool,
    /// What the token endpoint says to every client.
    pub refuses: Option<&'static str>,
    /// What the token endpoint says is held back until this says so.
    pub held: Option<watch::Receiver<bool>>,
}

impl Default for How {
    fn default() -> Self {
        let place = "/.well-known/oauth-protected-resource/mcp";
        Self {
            challenge: Some(format!(r#"resource_metadata="{{}}{place}""#)),
            resource_metadata_at: vec![place.into()],
            resource: "{}/mcp".into(),
            issuers: vec![],
            says_issuer: None,
            scopes: Some(vec!["notes.read"]),
            metadata: json!({}),
            metadata_status: 200,
            metadata_fields: "",
            openid: None,
            metadata_held: None,
            registration: (201, json!({})),
            method: "none",
            binds_tokens: true,
            refuses: None,
            held: None,
        }
    }
}

#[derive(Default)]
struct State {
    clients: BTreeMap<String, Option<String>>,
    /// Refresh tokens, each with its client.
    refresh_tokens: BTreeMap<String, String>,
    access_tokens: BTreeSet<String>,
    count: u32,
}

pub struct Double {
    server: Server,
    how: Arc<Mutex<How>>,
    state: Arc<Mutex<State>>,
}

/// A request, as far as tests look at it.
pub struct Seen {
    pub path: String,
    pub head: String,
    pub fields: BTreeMap<String, String>,
    pub body: String,
}

impl Seen {
    fn of(request: &str) -> Self {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let target = head.split_whitespace().nth(1).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = |text: &str| {
            let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
            pairs.collect::<Vec<(String, String)>>()
        };
        let mut fields: BTreeMap<String, String> = pairs(query).into_iter().collect();
        if head.contains("application/x-www-form-urlencoded") {
            fields.extend(pairs(body));
        }
        Self {
            path: path.to_owned(),
            head: head.to_owned(),
            fields,
            body: body.to_owned(),
        }
    }

    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Double {
    pub async fn start(how: How) -> Self {
        let how = Arc::new(Mutex::new(how));
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, kept) = (how.clone(), state.clone());
        let server = serve(move |request| {
            let how = shared.lock().unwrap().clone();
            answer(&how, &mut kept.lock().unwrap(), &Seen::of(request))
        })
        .await;
        Self { server, how, state }
    }

    pub fn url(&self) -> String {
        self.server.url("")
    }

    pub fn mcp(&self) -> String {
        self.server.url("/mcp")
    }

    pub fn change(&self, change: impl FnOnce(&mut How)) {
        change(&mut self.how.lock().unwrap());
    }

    /// From now on it knows no client of before.
    pub fn forget_clients(&self) {
        self.state.lock().unwrap().clients.clear();
    }

    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let all = self.server.seen();
        let seen = all.iter().map(|request| Seen::of(request));
        seen.filter(|seen| seen.path == path).collect()
    }

    /// Every byte that was sent to it.
    pub fn everything(&self) -> String {
        self.server.seen().join("\n")
    }

    /// Waits until the token endpoint was asked so many times.
    pub async fn asked(&self, times: usize) {
        let seen = || self.seen("/token").len() >= times;
        crate::rig::until("the token endpoint is asked", seen).await;
    }

    pub fn takes(&self, access_token: &str) -> bool {
        self.state
            .lock()
            .unwrap()
            .access_tokens
            .contains(access_token)
    }
}

fn body(status: u16, value: &Value) -> Reply {
    reply(
        status,
        "Content-Type: application/json\r\n",
        &value.to_string(),
    )
}

fn answer(how: &How, state: &mut State, seen: &Seen) -> Reply {
    let url = format!("http://{}", seen.header("host").unwrap());
    let fill = |text: &str| text.replace("{}", &url);
    if how.resource_metadata_at.contains(&seen.path) {
        let issuers: Vec<String> = match how.issuers.is_empty() {
            true => vec![url.clone()],
            false => how.issuers.clone(),
        };
        let mut document = json!({
            "resource": fill(&how.resource), "authorization_servers": issuers,
        });
        if let Some(scopes) = &how.scopes {
            document["scopes_supported"] = json!(scopes);
        }
        return body(200, &document);
    }
    match seen.path.as_str() {
        "/mcp" => match &how.challenge {
            Some(fields) => {
                let field = format!("WWW-Authenticate: Bearer {}\r\n", fill(fields));
                reply(401, &field, "")
            }
            None => reply(404, "", ""),
        },
        "/.well-known/oauth-authorization-server" => metadata(how, &url),
        "/.well-known/openid-configuration" => match &how.openid {
            Some(document) => body(200, document),
            None => reply(404, "", ""),
        },
        "/register" => register(how, state, seen),
        "/authorize" => authorize(how, state, seen, &url),
        path if path.starts_with("/token") => match (token(how, state, seen), &how.held) {
            (Reply::Bytes(bytes), Some(held)) => Reply::When(held.clone(), bytes),
            (reply, _) => reply,
        },
        "/revoke" => body(200, &json!({})),
        _ => reply(404, "", ""),
    }
}

fn metadata(how: &How, url: &str) -> Reply {
    let mut document = json!({
        "issuer": how.says_issuer.as_deref().unwrap_or(url),
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "revocation_endpoint": format!("{url}/revoke"),
        "registration_endpoint": format!("{url}/register"),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [how.method],
        "authorization_response_iss_parameter_supported": true,
    });
    for (name, value) in how.metadata.as_object().unwrap() {
        document[name] = value.clone();
    }
    let fields = format!("Content-Type: application/json\r\n{}", how.metadata_fields);
    let reply = match how.metadata_status {
        200 => reply(200, &fields, &document.to_string()),
        status => reply(status, how.metadata_fields, ""),
    };
    match (reply, &how.metadata_held) {
        (Reply::Bytes(bytes), Some(held)) => Reply::When(held.clone(), bytes),
        (reply, _) => reply,
    }
}

fn register(how: &How, state: &mut State, seen: &Seen) -> Reply {
    let (status, over) = &how.registration;
    if *status >= 300 {
        return body(*status, over);
    }
    state.count += 1;
    let id = format!("client-{}", state.count);
    let secret = (how.method != "none").then(|| format!("secret of client {}", state.count));
    state.clients.insert(id.clone(), secret.clone());
    let mut said = seen.json();
    said["client_id"] = json!(id);
    said["token_endpoint_auth_method"] = json!(how.method);
    if let Some(secret) = secret {
        said["client_secret"] = json!(secret);
    }
    for (name, value) in over.as_object().unwrap() {
        said[name] = value.clone();
    }
    body(*status, &said)
}

fn authorize(how: &How, state: &mut State, seen: &Seen, url: &str) -> Reply {
    state.count += 1;
    let Ok(mut back) = reqwest::Url::parse(seen.field("redirect_uri")) else {
        return reply(400, "", "");
    };
    back.query_pairs_mut()
        .append_pair(
            "code",
            &format!("code-{}.{}", state.count, seen.field("client_id")),
        )
        .append_pair("state", seen.field("state"))
        .append_pair("iss", how.says_issuer.as_deref().unwrap_or(url));
    reply(302, &format!("Location: {back}\r\n"), "")
}

/// The client of a token request, if it is known and proves itself as it is to.
fn client(how: &How, state: &State, seen: &Seen) -> Option<String> {
    let basic = seen.header("authorization").map(|field| {
        let pair = STANDARD
            .decode(field.strip_prefix("Basic ").unwrap())
            .unwrap();
        let pair = String::from_utf8(pair).unwrap();
        let (id, secret) = pair.split_once(':').unwrap();
        (id.to_owned(), Some(secret.replace('+', " ")))
    });
    let (id, secret) = match (how.method, basic) {
        ("client_secret_basic", Some(pair)) => pair,
        ("client_secret_basic", None) | (_, Some(_)) => return None,
        (_, None) => {
            let secret = seen.fields.get("client_secret").cloned();
            (seen.field("client_id").to_owned(), secret)
        }
    };
    // One that is no registered one is given, or a document's.
    let is_own = id.starts_with("client-");
    let known = match state.clients.get(&id) {
        Some(known) => *known == secret,
        None => !is_own,
    };
    known.then_some(id)
}

fn token(how: &How, state: &mut State, seen: &Seen) -> Reply {
    let refused = |code: &str| body(400, &json!({ "error": code }));
    if let Some(code) = how.refuses {
        return refused(code);
    }
    let Some(id) = client(how, state, seen) else {
        return body(401, &json!({ "error": "invalid_client" }));
    };
    let owner = match seen.field("grant_type") {
        "authorization_code" => seen
            .field("code")
            .split_once('.')
            .map(|(_, of)| of.to_owned()),
        _ => state.refresh_tokens.remove(seen.field("refresh_token")),
    };
    match owner {
        None => return refused("invalid_grant"),
        Some(owner) if owner != id && how.binds_tokens => return refused("invalid_grant"),
        Some(_) => {}
    }
    state.count += 1;
    let (access, refresh) = (format!("at-{}", state.count), format!("rt-{}", state.count));
    state.refresh_tokens.insert(refresh.clone(), id);
    state.access_tokens.insert(access.clone());
    let grant = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": 600,
        "refresh_token": refresh,
    });
    body(200, &grant)
}
