//! The ten hardest providers, each by the catalogue's own entry and a double that behaves as its
//! documentation says: page, consent, callback, record, fetch, refresh, revocation (issue 6).
//!
//! | provider | what is hard | where |
//! |---|---|---|
//! | Slack | two tokens in an answer, `ok: false` in a 200, each revoked by itself | `workspaces` |
//! | Notion | Basic beside JSON, a header of its own, no lifetime | `workspaces` |
//! | Atlassian | JSON, rotation, `unauthorized_client` for a dead grant | `workspaces` |
//! | Zoho | the redirect names the region, errors in a 200, throttled refreshes | `regions` |
//! | Salesforce | the API's host in the answer, no lifetime in it | `regions` |
//! | Microsoft | the tenant in every address | `regions` |
//! | Shopify | the shop in every address, a proof on the redirect | `shops` |
//! | QuickBooks | the company is in the redirect alone | `shops` |
//! | Meta | no refresh token: tokens are traded for longer ones | `people` |
//! | TikTok | its own names for what everybody has | `people` |
//!
//! Only hosts are changed: `https://slack.com/api` is `http://127.0.0.1:…/slack.com/api` here.

mod double;
mod people;
mod regions;
mod shops;
mod workspaces;

use std::time::Duration;

use serde_json::{Value, json};

use crate::asked::moved;
use crate::scene::{Link, Scene};
use crate::server::Reply;
use crate::support::{Browser, Page};
use double::{Double, Route};

/// The catalogue's files, as they are built in.
const FILES: [&str; 5] = [
    include_str!("../../src/provider/catalogue/commerce.json"),
    include_str!("../../src/provider/catalogue/microsoft.json"),
    include_str!("../../src/provider/catalogue/sales.json"),
    include_str!("../../src/provider/catalogue/social.json"),
    include_str!("../../src/provider/catalogue/work.json"),
];

/// What the catalogue says of a service.
fn entry(id: &str) -> Value {
    let read = |file: &&str| serde_json::from_str::<Vec<Value>>(file).unwrap();
    let mut entries = FILES.iter().flat_map(read);
    entries.find(|entry| entry["id"] == id).unwrap()
}

/// A Strongroom with one app of the catalogue, and its provider.
struct Hard {
    scene: Scene,
    double: Double,
    id: &'static str,
}

impl Hard {
    /// The app of this entry, for the client `cid` of the secret `s3`; `values` are its operator's.
    async fn new(id: &'static str, routes: &'static [Route], values: Value) -> Self {
        let (scene, double) = (Scene::new().await, Double::start(routes).await);
        let entry = entry(id);
        let mut body = json!({
            "id": id, "template": id, "client_id": "cid", "client_secret": "s3",
            "values": values, "api": moved(&entry["api"], &double.at()),
        });
        let oauth = moved(&entry["oauth"], &double.at());
        for field in [
            "authorization_url",
            "token_url",
            "refresh_url",
            "revocation_url",
            "dialect",
        ] {
            if !oauth[field].is_null() {
                body[field] = oauth[field].clone();
            }
        }
        let (status, said) = scene.admin.post("/v1/apps", body).await;
        assert_eq!(status, 201, "{said}");
        Self { scene, double, id }
    }

    /// Takes a person through the page and the consent; the page they end on comes back.
    async fn connect(&self, variables: Value) -> Page {
        let api = self.scene.asker(&["code"]).await;
        let mut app = json!({ "app": self.id });
        if !variables.is_null() {
            app["variables"] = variables;
        }
        let link: Link = self.scene.link(&api, json!({ "apps": [app] })).await;
        let mut browser = Browser::new();
        self.scene.prove(&mut browser, &link).await;
        let go = self.scene.page(&link, &format!("/{}/go", self.id));
        browser.follow("POST", &go, Some(&[])).await
    }

    /// Connects, which is to succeed.
    async fn connected(&self, variables: Value) {
        let page = self.connect(variables).await;
        let tokens = self.tokens().await;
        assert!(!tokens.is_empty(), "nothing is stored: {}", page.text);
    }

    /// What is stored of the app.
    async fn tokens(&self) -> Vec<Value> {
        let path = format!("/v1/tokens?app={}", self.id);
        let (status, said) = self.scene.admin.get(&path).await;
        assert_eq!(status, 200, "{said}");
        said["tokens"].as_array().unwrap().clone()
    }

    /// The one that is not a further token, as it is listed.
    async fn token(&self) -> Value {
        let mut tokens = self.tokens().await.into_iter();
        tokens.find(|token| token["account"].is_null()).unwrap()
    }

    /// Asks for a token; `more` is laid over the request.
    async fn ask(&self, more: Value) -> (u16, Value) {
        let mut body = json!({ "app": self.id, "user": "u1" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.scene.admin.post("/v1/token", body).await
    }

    /// Asks for a token, which is to be had.
    async fn fetched(&self, more: Value) -> Value {
        let (status, said) = self.ask(more).await;
        assert_eq!(status, 200, "{said}");
        said
    }

    /// Deletes a token; how its revocation went comes back.
    async fn removed(&self, token: &Value) -> Value {
        let path = format!("/v1/tokens/{}", token["id"].as_str().unwrap());
        let (status, said) = self.scene.admin.delete(&path).await;
        assert_eq!(status, 200, "{said}");
        said
    }

    fn advance(&self, seconds: u64) {
        self.scene.clock.advance(Duration::from_secs(seconds));
    }

    async fn end(self) {
        self.scene.end().await;
    }
}
