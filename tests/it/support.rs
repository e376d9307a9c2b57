//! A Strongroom and a sandbox provider on real sockets of this machine, and clients for both.
//!
//! It promises: port 0, one test clock for both sides, bounded waits.
//! It never: sleeps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::{Clock, Timestamp};
use strongroom::connect::Connect;
use strongroom::http::app::{App, Parts};
use strongroom::http::guard::HostRule;
use strongroom::http::listen::{ListenAddress, bind};
use strongroom::http::serve::{ServeSettings, serve};
use strongroom::model::url::WebUrl;
use strongroom::provider::Provider;
use strongroom::provider::egress::EgressSettings;
use strongroom::refresh::Refresher;
use strongroom::sandbox::{
    Client, ClientAuth, Rotation, Sandbox, Settings as SandboxSettings, User,
};
use strongroom::secret::Secret;
use strongroom::vault::{KdfParams, Settings, Vault};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub const PASSPHRASE: &str = "violet harbour mumbles often";
/// Longest wait of a test for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const CLIENT_SECRET: &str = "s3cret of the demo client";

/// A provider under test.
pub struct Outside {
    pub sandbox: Sandbox,
    pub issuer: String,
}

impl Outside {
    pub async fn start(clock: &Clock) -> Self {
        Self::with(clock, |_| {}).await
    }

    pub async fn with(clock: &Clock, change: impl FnOnce(&mut SandboxSettings)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = SandboxSettings::new(&issuer);
        settings.clients = vec![Client {
            id: "demo".into(),
            secret: Some(Secret::new(CLIENT_SECRET.into())),
            redirect_uris: vec![],
            auth: ClientAuth::Any,
        }];
        settings.users = vec![
            User {
                name: "ada".into(),
                password: Some(Secret::new("engine".into())),
            },
            User {
                name: "grace".into(),
                password: Some(Secret::new("cobol".into())),
            },
        ];
        settings.rotation = Rotation::On {
            grace: Duration::from_secs(30),
        };
        settings.access_token_life = Duration::from_secs(3600);
        change(&mut settings);
        let sandbox = Sandbox::new(settings, clock.clone());
        let server = sandbox.clone();
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
        Self { sandbox, issuer }
    }
}

/// A Strongroom under test.
pub struct Inside {
    pub vault: Vault,
    pub refresher: Refresher,
    pub url: String,
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
}

impl Inside {
    /// Serves a vault on a fresh port. `with_scheduler` says whether tokens are refreshed ahead.
    pub async fn serve(vault: Vault, with_scheduler: bool) -> Self {
        Self::serve_with(vault, with_scheduler, |settings| settings).await
    }

    pub async fn serve_with(
        vault: Vault,
        with_scheduler: bool,
        change: impl FnOnce(EgressSettings) -> EgressSettings,
    ) -> Self {
        let address = ListenAddress::parse("127.0.0.1:0").unwrap();
        let listener = bind(&address).await.unwrap();
        let bound = listener.tcp_address().unwrap();
        let url = format!("http://{bound}");
        let egress = EgressSettings {
            allowed_hosts: vec!["127.0.0.1".into()],
            ..EgressSettings::default()
        };
        let provider = Provider::new(&change(egress), vault.clock().clone()).unwrap();
        let refresher = Refresher::new(vault.clone(), provider.clone());
        let notice = refresher.clone();
        let public_url = WebUrl::parse("url", &url).unwrap();
        let connect = Connect::new(vault.clone(), provider, &public_url, move || {
            notice.notice()
        });
        let hosts = HostRule::new(&[bound], false);
        let app = App::new(Parts {
            vault: vault.clone(),
            refresher: refresher.clone(),
            connect,
            hosts: hosts.clone(),
            remote_unlock: false,
        });
        let (stop, mut stopped) = watch::channel(false);
        let mut told = stopped.clone();
        let mut settings = ServeSettings::new(hosts);
        settings.connections_max = 16_384;
        let server = tokio::spawn(async move {
            let service = move |request, peer| app.clone().handle(request, peer);
            let shutdown = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            serve(vec![listener], settings, service, shutdown)
                .await
                .unwrap();
        });
        let mut running = vec![server];
        if with_scheduler {
            let scheduler = refresher.clone();
            running.push(tokio::spawn(async move {
                let shutdown = async move {
                    let _ = told.wait_for(|stop| *stop).await;
                };
                scheduler.run(shutdown).await;
            }));
        }
        Self {
            vault,
            refresher,
            url,
            stop,
            running,
        }
    }

    /// Ends the server in order and closes the vault.
    pub async fn end(self) {
        self.stop.send_replace(true);
        for task in self.running {
            tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
        }
        tokio::task::spawn_blocking(move || self.vault.close())
            .await
            .unwrap()
            .unwrap();
    }

    pub fn api(&self, key: &str) -> Api {
        Api {
            client: client(),
            url: self.url.clone(),
            key: key.to_owned(),
        }
    }
}

/// A vault in a fresh directory.
pub struct NewHome {
    pub home: tempfile::TempDir,
    pub directory: PathBuf,
    pub vault: Vault,
    pub admin: String,
    pub recovery_code: String,
}

pub fn clock() -> Clock {
    Clock::test(Timestamp::from_unix_ms(1_790_000_000_000))
}

pub fn new_home(clock: &Clock) -> NewHome {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    // Creating blocks, which a thread of the runtime must not.
    let made = std::thread::scope(|scope| {
        let passphrase = Secret::new(PASSPHRASE.into());
        let create = || {
            Vault::create(
                &directory,
                passphrase,
                KdfParams::FLOOR,
                Settings::default(),
                clock.clone(),
            )
        };
        scope.spawn(create).join().unwrap().unwrap()
    });
    NewHome {
        home,
        directory,
        vault: made.vault,
        admin: made.access_key.expose().clone(),
        recovery_code: made.recovery_code.expose().clone(),
    }
}

pub fn reopen(directory: &Path, clock: &Clock) -> Vault {
    Vault::open(directory, Settings::default(), clock.clone()).unwrap()
}

pub fn client() -> reqwest::Client {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

/// A client of the native API.
#[derive(Clone)]
pub struct Api {
    pub client: reqwest::Client,
    pub url: String,
    pub key: String,
}

/// Status and body.
pub type Said = (u16, Value);

impl Api {
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Said {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if !self.key.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text:?}"));
        (status, json)
    }

    pub async fn get(&self, path: &str) -> Said {
        self.send("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Said {
        self.send("POST", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Said {
        self.send("DELETE", path, None).await
    }

    /// Asks for a token of `demo`.
    pub async fn token(&self, user: &str) -> Said {
        self.post("/v1/token", json!({ "app": "demo", "user": user }))
            .await
    }

    /// Makes the OAuth app `demo` at the sandbox, and registers its redirect URI there.
    pub async fn add_demo(&self, outside: &Outside) -> Value {
        let (status, app) = self
            .post(
                "/v1/apps",
                json!({
                    "id": "demo", "kind": "oauth", "name": "Demo", "client_id": "demo",
                    "client_secret": CLIENT_SECRET, "issuer": outside.issuer,
                    "scopes": ["calendar.read", "openid"],
                }),
            )
            .await;
        assert_eq!(status, 201, "{app}");
        let redirect_uri = app["redirect_uri"].as_str().unwrap();
        outside
            .sandbox
            .add_redirect_uri("demo", redirect_uri)
            .unwrap();
        app
    }

    /// Stores tokens that the sandbox granted without a browser.
    pub async fn seed(&self, outside: &Outside, user: &str) -> Value {
        let issued = outside.sandbox.grant("demo", user, &["calendar.read"]);
        let expires_at = format!("{}", clock().now().plus(issued.expires_in));
        let (status, token) = self
            .send(
                "PUT",
                "/v1/tokens",
                Some(json!({
                    "app": "demo", "user": user, "scopes": ["calendar.read"],
                    "access_token": issued.access_token.expose(),
                    "refresh_token": issued.refresh_token.expose(),
                    "expires_at": expires_at,
                })),
            )
            .await;
        assert_eq!(status, 200, "{token}");
        token
    }
}

/// A browser without a screen: follows redirects by hand, keeps cookies per host, fills in forms.
pub struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<(String, String), String>,
    pub trail: Vec<String>,
}

/// A page as it came.
pub struct Page {
    pub status: u16,
    pub url: String,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Browser {
    pub fn new() -> Self {
        Self {
            client: client(),
            cookies: BTreeMap::new(),
            trail: vec![],
        }
    }

    /// One request; no redirect is followed.
    pub async fn send(&mut self, method: &str, url: &str, form: Option<&[(&str, &str)]>) -> Page {
        let parsed = reqwest::Url::parse(url).unwrap();
        let host = format!("{}:{:?}", parsed.host_str().unwrap(), parsed.port());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, url);
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| *of == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if let Some(form) = form {
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(form);
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("origin", parsed.origin().ascii_serialization())
                .body(body.finish());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        for set in headers.get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies
                .insert((host.clone(), name.to_owned()), value.to_owned());
        }
        self.trail.push(url.to_owned());
        Page {
            status,
            url: url.to_owned(),
            headers,
            text: answer.text().await.unwrap(),
        }
    }

    /// One request, and every redirect after it.
    pub async fn follow(&mut self, method: &str, url: &str, form: Option<&[(&str, &str)]>) -> Page {
        let mut page = self.send(method, url, form).await;
        for _ in 0..10 {
            let Some(place) = page.location() else {
                return page;
            };
            page = self.send("GET", &place, None).await;
        }
        panic!("too many redirects: {:?}", self.trail);
    }

    pub async fn open(&mut self, url: &str) -> Page {
        self.follow("GET", url, None).await
    }

    /// Submits the form of `page` whose action ends with `action`, hidden fields and all.
    pub async fn submit(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let (url, hidden) = page.form(action);
        let mut all: Vec<(&str, &str)> = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.extend_from_slice(fields);
        self.follow("POST", &url, Some(&all)).await
    }

    /// Signs in at the sandbox and consents; ends wherever that leads.
    pub async fn consent(&mut self, login: &Page, user: &str, password: &str) -> Page {
        let consent = self
            .submit(login, "/login", &[("user", user), ("password", password)])
            .await;
        self.submit(&consent, "/consent", &[("decision", "allow")])
            .await
    }
}

impl Page {
    pub fn location(&self) -> Option<String> {
        let place = self.headers.get("location")?.to_str().unwrap();
        let base = reqwest::Url::parse(&self.url).unwrap();
        Some(base.join(place).unwrap().into())
    }

    /// The action and hidden (or ticked) fields of the form whose action ends with `action`.
    pub fn form(&self, action: &str) -> (String, Vec<(String, String)>) {
        let form = self
            .text
            .split("<form")
            .skip(1)
            .map(|rest| rest.split("</form>").next().unwrap())
            .find(|form| {
                let own = attribute(form, "action").unwrap_or_default();
                own.split('?').next().unwrap().ends_with(action)
            })
            .unwrap_or_else(|| panic!("no form {action} in {}", self.text));
        let base = reqwest::Url::parse(&self.url).unwrap();
        let url = base.join(&attribute(form, "action").unwrap()).unwrap();
        let fields = form.split("<input").skip(1).filter_map(|rest| {
            let tag = rest.split('>').next().unwrap();
            let kind = attribute(tag, "type").unwrap_or_default();
            let ticked = kind == "checkbox" && tag.contains("checked");
            (kind == "hidden" || ticked).then(|| {
                (
                    attribute(tag, "name").unwrap(),
                    attribute(tag, "value").unwrap(),
                )
            })
        });
        (url.into(), fields.collect())
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!("{name}=\""))? + name.len() + 2;
    let value = tag[start..].split('"').next()?;
    Some(value.replace("&amp;", "&").replace("&quot;", "\""))
}
