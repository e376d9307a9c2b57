//! A Strongroom and a sandbox provider on real sockets of this machine, and clients for both.
//!
//! It promises: port 0, one test clock for both sides, bounded waits.
//! It never: sleeps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};
use strongroom::bearer::Issuers;
use strongroom::clock::{Clock, Timestamp};
use strongroom::connect::Connect;
use strongroom::http::app::{App, Parts};
use strongroom::http::guard::HostRule;
use strongroom::http::listen::{ListenAddress, bind};
use strongroom::http::look::{Brand, Look};
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

pub use crate::browser::{Browser, Page};

pub const PASSPHRASE: &str = "violet harbour mumbles often";
/// Longest wait of a test for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const CLIENT_SECRET: &str = "s3cret of the demo client";

/// The origin of a page elsewhere that may call what is made for pages.
pub const PAGE: &str = "https://app.example";

/// A request with this header makes the handler under test panic with its value.
pub const PANIC_HEADER: &str = "x-test-panic";

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
    pub connect: Connect,
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
        let page = (PAGE, Brand::default());
        Self::start(vault, with_scheduler, change, None, page).await
    }

    /// Serves a vault that pages of `origin` may call.
    pub async fn serve_for(vault: Vault, origin: &str, brand: Brand) -> Self {
        let page = (origin, brand);
        Self::start(vault, false, |settings| settings, None, page).await
    }

    /// Serves a vault whose pages people reach under `public_url`.
    pub async fn serve_under(vault: Vault, public_url: &str) -> Self {
        let page = (PAGE, Brand::default());
        Self::start(vault, false, |settings| settings, Some(public_url), page).await
    }

    async fn start(
        vault: Vault,
        with_scheduler: bool,
        change: impl FnOnce(EgressSettings) -> EgressSettings,
        public_url: Option<&str>,
        (page, brand): (&str, Brand),
    ) -> Self {
        let address = ListenAddress::parse("127.0.0.1:0").unwrap();
        let listener = bind(&address).await.unwrap();
        let bound = listener.tcp_address().unwrap();
        let url = format!("http://{bound}");
        let provider = Provider::new(&change(to_loopback()), vault.clock().clone()).unwrap();
        let refresher = Refresher::new(vault.clone(), provider.clone());
        let notice = refresher.clone();
        let public_url = WebUrl::parse("url", public_url.unwrap_or(&url)).unwrap();
        let issuers = Issuers::new(vault.clone(), provider.clone());
        let wake = move || notice.notice();
        let connect = Connect::new(vault.clone(), provider, &public_url, wake);
        let hosts = HostRule::new(&[bound], false).with_page(page).unwrap();
        let app = App::new(Parts {
            issuers,
            vault: vault.clone(),
            refresher: refresher.clone(),
            connect: connect.clone(),
            hosts: hosts.clone(),
            look: Look::new(brand),
            remote_unlock: false,
        });
        let (stop, mut stopped) = watch::channel(false);
        let mut told = stopped.clone();
        let mut settings = ServeSettings::new(hosts);
        settings.connections_max = 16_384;
        let server = tokio::spawn(async move {
            let service = move |request: Request<Incoming>, peer| {
                let app = app.clone();
                async move {
                    // A handler that fails with whatever it held: what becomes of the text?
                    if let Some(text) = request.headers().get(PANIC_HEADER) {
                        panic!("{}", text.to_str().unwrap());
                    }
                    app.handle(request, peer).await
                }
            };
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
            connect,
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
        self.refresher.drain().await;
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

fn to_loopback() -> EgressSettings {
    EgressSettings {
        allowed_hosts: vec!["127.0.0.1".into()],
        ..EgressSettings::default()
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

/// An answer as it came, but for its date.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Raw {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Raw {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
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

    /// One request, as it is; the answer as it came.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Raw {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await.unwrap();
        let mut headers: Vec<(String, String)> = answer
            .headers()
            .iter()
            .filter(|(name, _)| *name != "date")
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        Raw {
            status: answer.status().as_u16(),
            headers,
            body: answer.text().await.unwrap(),
        }
    }

    /// How the latest backup or compaction (`what`) stands, once it runs no more.
    pub async fn ended(&self, what: &str) -> Value {
        let ended = async {
            loop {
                let latest = self.get("/v1/status").await.1[what].clone();
                if latest["state"] != "running" {
                    return latest;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap()
    }

    pub async fn put(&self, path: &str, body: Value) -> Said {
        self.send("PUT", path, Some(body)).await
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
