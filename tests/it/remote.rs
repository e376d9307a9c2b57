//! Remote MCP servers as apps, against a scripted server (security.md O4, O6; MCP 2026-07-28).
//!
//! | what | where |
//! |---|---|
//! | a server's URL is enough: found, registered at, connected, refreshed | `whole` |
//! | where metadata is, and what is refused of it | `finding` |
//! | client ids: given, by document, registered; kept, and of one issuer | `clients` |
//! | a client that was forgotten | `forgotten` |
//! | what an issuer says of itself, read again; of any app, a remote server's or not | `reread` |
//! | what of it is not taken over | `withheld` |

mod clients;
mod double;
mod finding;
mod forgotten;
mod reread;
mod whole;
mod withheld;

use serde_json::{Value, json};
use strongroom::clock::Clock;

use self::double::Double;
use crate::support::{Api, Browser, Inside, Page, clock, new_home};

struct Vaulted {
    clock: Clock,
    inside: Inside,
    api: Api,
    directory: std::path::PathBuf,
    admin: String,
    _home: tempfile::TempDir,
}

impl Vaulted {
    async fn new() -> Self {
        Self::under(None).await
    }

    /// People reach it under this URL.
    async fn under(public_url: Option<&str>) -> Self {
        let clock = clock();
        let home = new_home(&clock);
        let inside = match public_url {
            Some(url) => Inside::serve_under(home.vault, url).await,
            None => Inside::serve(home.vault, false).await,
        };
        let api = inside.api(&home.admin);
        Self {
            clock,
            inside,
            api,
            directory: home.directory,
            admin: home.admin,
            _home: home.home,
        }
    }

    /// Makes the app `m` of this server.
    async fn add(&self, double: &Double, more: Value) -> (u16, Value) {
        let mut body = json!({ "id": "m", "server_url": double.mcp() });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.api.post("/v1/apps", body).await
    }

    async fn added(&self, double: &Double, more: Value) -> Value {
        let (status, app) = self.add(double, more).await;
        assert_eq!(status, 201, "{app}");
        app
    }

    /// What is wrong with an app of this server: the code of the answer, and its text. Nothing is
    /// stored then.
    async fn refused(&self, double: &Double, more: Value) -> (u16, String) {
        let (status, said) = self.add(double, more).await;
        assert_ne!(status, 201, "{said}");
        assert_eq!(self.api.get("/v1/apps/m").await.0, 404, "it was stored");
        (
            status,
            said["error"]["message"].as_str().unwrap().to_owned(),
        )
    }

    /// Takes a person through the pages as far as they lead.
    async fn try_to_connect(&self, user: &str) -> (Browser, Page) {
        let ask = json!({ "app": "m", "user": user, "connect": {} });
        let (_, said) = self.api.post("/v1/token", ask).await;
        let link = said["connect"]["url"].as_str().unwrap().to_owned();
        let code = said["connect"]["code"].as_str().unwrap().to_owned();
        let mut browser = Browser::new();
        let page = browser.open(&link).await;
        let ticket = link.split("/c/").nth(1).unwrap();
        let page = browser.submit(&page, ticket, &[]).await;
        let page = browser.submit(&page, "/code", &[("code", &code)]).await;
        let page = browser.submit(&page, "/m/go", &[]).await;
        (browser, page)
    }

    async fn connect(&self, user: &str) {
        let (_, page) = self.try_to_connect(user).await;
        assert!(
            page.text.contains("Connected"),
            "{}: {}",
            page.url,
            page.text
        );
    }

    async fn token(&self, user: &str) -> Value {
        self.api
            .post("/v1/token", json!({ "app": "m", "user": user }))
            .await
            .1
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }
}
