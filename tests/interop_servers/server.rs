//! The servers, what differs between them, and what their own clients ask of them.
//!
//! It promises: what is missing is said aloud, and fails the test where nothing may be; a server
//! ends when its handle is dropped, or when this process dies.
//! It never: installs anything.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::foreign::{Process, folder_of, node_packages, or_skip, runs};
use crate::support::{Api, client};

/// A server, and its habits.
pub struct Kind {
    pub name: &'static str,
    /// The command that starts it, or a sentence on what is missing.
    command: fn() -> Result<Command, String>,
    /// Below the issuer: authorization, token and revocation, as its documentation says.
    pub paths: [&'static str; 3],
    pub scopes: &'static [&'static str],
    /// What the form of its login page is filled in with.
    pub login: [(&'static str, &'static str); 2],
    /// The button of its consent page that says yes; without it the form says no.
    pub consent: (&'static str, &'static str),
    /// What its resource calls the person.
    pub person: &'static str,
    /// Whether a refresh token that is used twice takes the grant with it.
    pub reuse_ends_the_grant: bool,
    /// Whether tokens for a named resource are signed, so that nobody can take them back.
    pub signs_for_a_resource: bool,
}

/// PyPI `django-oauth-toolkit`.
pub const TOOLKIT: Kind = Kind {
    name: "toolkit",
    command: python,
    paths: ["/authorize/", "/token/", "/revoke_token/"],
    scopes: &["openid", "read"],
    login: [("username", "ada"), ("password", "engine")],
    consent: ("allow", "Authorize"),
    person: "ada",
    reuse_ends_the_grant: false,
    signs_for_a_resource: false,
};

/// npm `better-auth` with its OAuth provider.
pub const BETTER_AUTH: Kind = Kind {
    name: "better-auth",
    command: node,
    paths: ["/oauth2/authorize", "/oauth2/token", "/oauth2/revoke"],
    scopes: &["openid", "email", "offline_access"],
    login: [("user", "ada@example.com"), ("password", "engine of ada")],
    consent: ("accept", "yes"),
    person: "ada@example.com",
    reuse_ends_the_grant: true,
    signs_for_a_resource: true,
};

/// A server.
pub struct Server {
    _process: Process,
    pub kind: &'static Kind,
    pub issuer: String,
    /// What its tokens are for.
    pub resource: String,
    clients: Value,
}

impl Server {
    /// Starts it, and waits until it listens; nothing where something is missing.
    ///
    /// # Panics
    /// Where something is missing and `STRONGROOM_INTEROP=require` says that nothing may be.
    pub fn start(kind: &'static Kind, test: &str, redirect_uris: &[String]) -> Option<Self> {
        let mut command = or_skip(test, (kind.command)())?;
        command.arg(json!({ "redirect_uris": redirect_uris }).to_string());
        let process = Process::start(command);
        Some(Self {
            kind,
            issuer: process.text("issuer"),
            resource: process.text("server_url"),
            clients: process.said["clients"].clone(),
            _process: process,
        })
    }

    /// The id and the secret of the client that proves itself by this way.
    pub fn client(&self, auth: &str) -> (String, String) {
        let text = |name: &str| self.clients[auth][name].as_str().unwrap().to_owned();
        (text("client_id"), text("client_secret"))
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// What a client sends by itself: by the way it is registered with, its secret and all.
    pub async fn ask(&self, path: &str, auth: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let (id, secret) = self.client(auth);
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let mut request = client().post(self.url(path));
        if auth == "post" {
            body.extend_pairs([("client_id", &id), ("client_secret", &secret)]);
        } else {
            let encode =
                |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encode(&id), Some(encode(&secret)));
        }
        sent(request, body.finish()).await
    }

    /// The error that the server answers a refresh token with.
    pub async fn refusal(&self, auth: &str, refresh_token: &str) -> Value {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        error_of(self.ask(self.kind.paths[1], auth, &fields).await)
    }

    /// The same, for a client without a secret.
    pub async fn refusal_of_public(&self, client_id: &str, refresh_token: &str) -> Value {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs([
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", client_id),
        ]);
        let request = client().post(self.url(self.kind.paths[1]));
        error_of(sent(request, body.finish()).await)
    }

    /// Whose a token is, if the server's resource takes it.
    pub async fn person(&self, token: &Value) -> Option<Value> {
        let answer = client()
            .get(&self.resource)
            .bearer_auth(token["access_token"].as_str().unwrap())
            .send()
            .await
            .unwrap();
        match answer.status().as_u16() {
            200 => {
                let said = answer.text().await.unwrap();
                Some(serde_json::from_str::<Value>(&said).unwrap()["person"].clone())
            }
            status => {
                assert_eq!(status, 401);
                None
            }
        }
    }
}

async fn sent(request: reqwest::RequestBuilder, form: String) -> (u16, String) {
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn error_of((status, said): (u16, String)) -> Value {
    assert_eq!(status, 400, "{said}");
    serde_json::from_str::<Value>(&said).unwrap()["error"].clone()
}

/// The refresh token of a token, as it is stored.
pub async fn refresh_token(api: &Api, token: &Value) -> String {
    let path = format!("/v1/tokens/{}/reveal", token["token_id"].as_str().unwrap());
    let (status, said) = api.post(&path, json!({})).await;
    assert_eq!(status, 200, "{said}");
    said["refresh_token"].as_str().unwrap().to_owned()
}

fn folder() -> PathBuf {
    folder_of("interop_servers")
}

fn python() -> Result<Command, String> {
    let named = std::env::var_os("STRONGROOM_INTEROP_PYTHON");
    let python = named.unwrap_or_else(|| "python3".into());
    if !runs(Command::new(&python).args(["-c", "import oauth2_provider"])) {
        return Err(format!(
            "`{}` has no `django-oauth-toolkit`; make a venv, have it `pip install -r \
             tests/interop_servers/requirements.txt`, and set STRONGROOM_INTEROP_PYTHON to its \
             interpreter",
            python.display()
        ));
    }
    let mut command = Command::new(python);
    command.arg(folder().join("toolkit.py"));
    Ok(command)
}

fn node() -> Result<Command, String> {
    let variable = "STRONGROOM_INTEROP_SERVERS_NODE_MODULES";
    let names = ["@better-auth/oauth-provider"];
    let packages = node_packages("interop_servers", variable, &names)?;
    let program = folder().join("better-auth.mjs");
    Ok(crate::foreign::node(program, &packages))
}
