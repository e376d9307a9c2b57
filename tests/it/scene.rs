//! A Strongroom, a provider, an app and an admin: where most tests begin.
//!
//! It promises: one line sets it up, one line ends it; every step a person takes goes over pages.
//! It never: reaches around the endpoint.

use serde_json::{Value, json};
use strongroom::clock::Clock;
use strongroom::http::look::Brand;
use strongroom::sandbox::Settings as SandboxSettings;

use crate::support::{Api, Browser, Inside, Outside, PAGE, Page, clock, new_home};

pub struct Scene {
    pub clock: Clock,
    pub outside: Outside,
    pub inside: Inside,
    pub admin: Api,
    pub directory: std::path::PathBuf,
    pub recovery_code: String,
    _home: tempfile::TempDir,
}

/// A connect link, as whoever asked got it.
#[derive(Clone)]
pub struct Link {
    pub id: String,
    pub url: String,
    pub ticket: String,
    pub code: String,
}

impl Link {
    pub fn of(said: &Value) -> Self {
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        let url = text("url");
        let ticket = url.split("/c/").nth(1).unwrap_or_default().to_owned();
        assert!(!ticket.is_empty(), "no link: {said}");
        Self {
            id: text("id"),
            ticket,
            code: text("code"),
            url,
        }
    }
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut SandboxSettings)) -> Self {
        Self::start(change, PAGE, Brand::default()).await
    }

    /// A scene that pages of `origin` may call; for the suite that has a browser.
    #[allow(dead_code, reason = "the suite `it` has one origin for all")]
    pub async fn for_pages(origin: &str) -> Self {
        Self::start(|_| {}, origin, Brand::default()).await
    }

    /// One whose pages are an operator's own.
    #[allow(dead_code, reason = "for the suite that has a browser")]
    pub async fn branded(brand: Brand) -> Self {
        Self::start(|_| {}, PAGE, brand).await
    }

    async fn start(change: impl FnOnce(&mut SandboxSettings), origin: &str, brand: Brand) -> Self {
        let clock = clock();
        let outside = Outside::with(&clock, change).await;
        let home = new_home(&clock);
        let inside = Inside::serve_for(home.vault, origin, brand).await;
        let admin = inside.api(&home.admin);
        admin.add_demo(&outside).await;
        Self {
            clock,
            outside,
            inside,
            admin,
            directory: home.directory,
            recovery_code: home.recovery_code,
            _home: home.home,
        }
    }

    /// Makes an access key; its client comes back, and its id.
    pub async fn key(&self, body: Value) -> (Api, String) {
        let (status, said) = self.admin.post("/v1/keys", body).await;
        assert_eq!(status, 200, "{said}");
        let api = self.inside.api(said["key"].as_str().unwrap());
        (api, said["id"].as_str().unwrap().to_owned())
    }

    /// A key of an asking application, whose people are proven in these ways.
    pub async fn asker(&self, proofs: &[&str]) -> Api {
        let body = json!({
            "name": "Agent", "role": "server", "connect_verify": proofs,
            "verify_url": "https://agent.example/verify",
            "return_urls": ["https://agent.example/done", "https://agent.example/other?x=1"],
        });
        self.key(body).await.0
    }

    /// Makes a link for user `u1` and the app `demo`; `more` is laid over the request.
    pub async fn link(&self, api: &Api, more: Value) -> Link {
        let mut body = json!({ "apps": [{ "app": "demo" }], "user": "u1" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, said) = api.post("/v1/connect", body).await;
        assert_eq!(status, 201, "{said}");
        Link::of(&said)
    }

    pub async fn state(&self, api: &Api, link: &Link) -> Value {
        let (status, said) = api.get(&format!("/v1/connect/{}", link.id)).await;
        assert_eq!(status, 200, "{said}");
        said
    }

    /// Where a link stands, in a word.
    pub async fn status(&self, api: &Api, link: &Link) -> String {
        let said = self.state(api, link).await;
        said["status"].as_str().unwrap().to_owned()
    }

    pub fn page(&self, link: &Link, rest: &str) -> String {
        format!("{}/connect/{}{rest}", self.inside.url, link.id)
    }

    /// Opens a link and goes on: the browser is bound to it then.
    pub async fn enter(&self, browser: &mut Browser, link: &Link) -> Page {
        let page = browser.open(&link.url).await;
        browser.submit(&page, &link.ticket, &[]).await
    }

    /// Opens a link, goes on, and types the right code.
    pub async fn prove(&self, browser: &mut Browser, link: &Link) -> Page {
        let page = self.enter(browser, link).await;
        browser
            .submit(&page, "/code", &[("code", &link.code)])
            .await
    }

    /// Walks to the provider, signs in as ada, and says yes; stops at the redirect back, whose URL
    /// comes back.
    pub async fn come_back_url(&self, browser: &mut Browser, link: &Link, app: &str) -> String {
        let go = self.page(link, &format!("/{app}/go"));
        let mut page = browser.follow("POST", &go, Some(&[])).await;
        if page.text.contains("/login") {
            let fields = [("user", "ada"), ("password", "engine")];
            page = browser.submit(&page, "/login", &fields).await;
        }
        let (url, hidden) = page.form("/consent");
        let mut fields: Vec<(&str, &str)> = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        fields.push(("decision", "allow"));
        let answer = browser.send("POST", &url, Some(&fields)).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        answer.location().unwrap()
    }

    /// Everything on record, newest first.
    pub async fn record(&self) -> Vec<Value> {
        let (status, said) = self.admin.get("/v1/audit?limit=1000").await;
        assert_eq!(status, 200, "{said}");
        said["entries"].as_array().unwrap().clone()
    }

    /// The outcomes on record that hold `text`.
    pub async fn on_record(&self, text: &str) -> usize {
        let holds = |entry: &&Value| entry["outcome"].as_str().unwrap().contains(text);
        self.record().await.iter().filter(holds).count()
    }

    pub async fn end(self) {
        self.inside.end().await;
    }
}

/// A table of wishes: a status and a JSON body on each line.
pub fn rows(table: &str) -> Vec<(u16, Value)> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (status, body) = line.split_once(' ').unwrap();
            let body = serde_json::from_str(body).unwrap_or_else(|_| panic!("{line}"));
            (status.parse().unwrap(), body)
        })
        .collect()
}

/// Sends each body of a table, and holds the answer's status against the table's.
pub async fn check_rows(api: &Api, method: &str, path: &str, table: Vec<(u16, Value)>) {
    for (expected, body) in table {
        let shown: String = body.to_string().chars().take(120).collect();
        let (status, said) = api.send(method, path, Some(body)).await;
        assert_eq!(status, expected, "{shown}: {said}");
    }
}
