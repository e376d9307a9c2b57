//! What is the same with every server: an app by each way, and the whole life of a token of it.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::Clock;

use crate::server::{BETTER_AUTH, Kind, Server, TOOLKIT, refresh_token};
use crate::support::{Api, Browser, Inside, Page, clock, new_home};

/// A second more than either server's access tokens last.
const PAST_LIFE: Duration = Duration::from_secs(601);
/// More than any wait after a refusal.
const PAST_WAITS: Duration = Duration::from_secs(7200);
/// By what way the app is made, and how its client proves itself.
const WAYS: [(&str, &str); 4] = [
    ("issuer", "basic"),
    ("issuer", "post"),
    ("hand", "basic"),
    ("hand", "post"),
];

struct Story {
    server: Server,
    clock: Clock,
    inside: Inside,
    api: Api,
    _home: tempfile::TempDir,
}

impl Story {
    async fn begin(kind: &'static Kind, test: &str) -> Option<Self> {
        let clock = clock();
        let home = new_home(&clock);
        let inside = Inside::serve(home.vault, false).await;
        let app = |(way, auth)| format!("{}/callback/{way}-{auth}", inside.url);
        let redirect_uris = WAYS.map(app);
        let Some(server) = Server::start(kind, test, &redirect_uris) else {
            inside.end().await;
            return None;
        };
        let api = inside.api(&home.admin);
        Some(Self {
            server,
            clock,
            inside,
            api,
            _home: home.home,
        })
    }

    /// What an operator says of the server and of the client it gave them.
    fn app(&self, way: &str, auth: &str, secret: &str) -> Value {
        let kind = self.server.kind;
        let (client_id, _) = self.server.client(auth);
        let mut app = json!({
            "id": format!("{way}-{auth}"), "kind": "oauth", "client_id": client_id,
            "client_secret": secret, "client_auth": auth, "scopes": kind.scopes,
        });
        if way == "issuer" {
            app["issuer"] = json!(self.server.issuer);
        } else {
            let fields = ["authorization_url", "token_url", "revocation_url"];
            for (field, path) in fields.iter().zip(kind.paths) {
                app[*field] = json!(self.server.url(path));
            }
        }
        app
    }

    /// Through our pages and the server's login, to wherever that leads: its consent page, or ours
    /// where it remembers a consent.
    async fn log_in(&self, app: &str) -> (Browser, Page) {
        let ask = json!({ "app": app, "user": "u1", "connect": {} });
        let (_, said) = self.api.post("/v1/token", ask).await;
        let link = said["connect"]["url"].as_str().unwrap().to_owned();
        let code = said["connect"]["code"].as_str().unwrap().to_owned();
        let mut browser = Browser::new();
        let page = browser.open(&link).await;
        let ticket = link.split("/c/").nth(1).unwrap();
        let page = browser.submit(&page, ticket, &[]).await;
        let page = browser.submit(&page, "/code", &[("code", &code)]).await;
        let login = browser.submit(&page, &format!("/{app}/go"), &[]).await;
        let is_there = self.server.issuer.starts_with(&origin(&login.url));
        assert!(is_there, "{}: {}", login.url, login.text);
        let page = browser.submit(&login, "", &self.server.kind.login).await;
        (browser, page)
    }

    async fn connect(&self, app: &str) -> Value {
        let (mut browser, mut page) = self.log_in(app).await;
        if !page.url.starts_with(&self.inside.url) {
            let consent = [self.server.kind.consent];
            page = browser.submit(&page, "", &consent).await;
        }
        let is_done = page.text.contains("Connected");
        assert!(is_done, "{}: {}", page.url, page.text);
        self.working(app).await
    }

    /// A person who leaves the button of consent alone comes back, and nothing is stored.
    async fn refuse(&self, app: &str) {
        let (mut browser, consent) = self.log_in(app).await;
        let page = browser.submit(&consent, "", &[]).await;
        assert!(page.url.starts_with(&self.inside.url), "{}", page.url);
        assert!(page.text.contains("You declined this"), "{}", page.text);
        let token = self.token(app).await;
        assert_eq!(token["outcome"], "declined", "{app}: {token}");
    }

    async fn token(&self, app: &str) -> Value {
        let ask = json!({ "app": app, "user": "u1" });
        self.api.post("/v1/token", ask).await.1
    }

    /// The token, which is real.
    async fn working(&self, app: &str) -> Value {
        let token = self.token(app).await;
        assert_eq!(token["outcome"], "ok", "{app}: {token}");
        let person = self.server.person(&token).await;
        assert_eq!(person, Some(json!(self.server.kind.person)), "{app}");
        token
    }

    /// The token once the one before has ended.
    async fn refreshed(&self, app: &str) -> Value {
        self.clock.advance(PAST_LIFE);
        self.working(app).await
    }

    async fn is_lost(&self, app: &str) {
        self.clock.advance(PAST_LIFE);
        let lost = self.token(app).await;
        assert_eq!(lost["outcome"], "reconnect_required", "{app}: {lost}");
        assert_eq!(lost["reason"], "revoked", "{app}: {lost}");
    }

    /// Refreshed, and what the server says of the refresh token before.
    async fn rotates(&self, app: &str, auth: &str, first: &Value) {
        assert!(first["subject"].is_string(), "{app}: {first}");
        assert_eq!(first["missing_scopes"], json!([]), "{app}: {first}");
        let old = refresh_token(&self.api, first).await;
        let next = self.refreshed(app).await;
        assert_ne!(next["access_token"], first["access_token"], "{app}");
        assert_ne!(refresh_token(&self.api, &next).await, old, "{app}");
        assert_eq!(self.server.refusal(auth, &old).await, "invalid_grant");
        if self.server.kind.reuse_ends_the_grant {
            self.is_lost(app).await;
            self.connect(app).await;
        } else {
            self.refreshed(app).await;
        }
    }

    /// The client's secret is changed at the server alone, and then here too.
    async fn survives_a_wrong_secret(&self, way: &str, auth: &str) {
        let id = format!("{way}-{auth}");
        let path = format!("/v1/apps/{id}");
        let before = self.working(&id).await;
        let kept = refresh_token(&self.api, &before).await;
        let (status, said) = self.api.put(&path, self.app(way, auth, "another")).await;
        assert_eq!(status, 200, "{said}");
        self.clock.advance(PAST_LIFE);
        let refused = self.token(&id).await;
        assert_eq!(refused["outcome"], "unavailable", "{id}: {refused}");
        let path_of_token = format!("/v1/tokens/{}", before["token_id"].as_str().unwrap());
        let (_, summary) = self.api.get(&path_of_token).await;
        assert_eq!(summary["state"], "active", "{id}: {summary}");
        let code = &summary["last_refresh_error"]["code"];
        assert_eq!(code, "invalid_client", "{id}: {summary}");
        let (_, secret) = self.server.client(auth);
        let (status, said) = self.api.put(&path, self.app(way, auth, &secret)).await;
        assert_eq!(status, 200, "{said}");
        self.clock.advance(PAST_WAITS);
        let again = self.working(&id).await;
        assert_ne!(refresh_token(&self.api, &again).await, kept, "{id}");
    }

    /// The server takes the grant back by itself.
    async fn loses_what_the_server_revokes(&self, app: &str, auth: &str) {
        let token = self.working(app).await;
        let held = refresh_token(&self.api, &token).await;
        let fields = [
            ("token", held.as_str()),
            ("token_type_hint", "refresh_token"),
        ];
        let revoke = self.server.kind.paths[2];
        let (status, said) = self.server.ask(revoke, auth, &fields).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(self.server.person(&token).await, None, "{app}");
        self.is_lost(app).await;
        self.connect(app).await;
    }

    /// Removed here, and revoked there.
    async fn removes(&self, app: &str) -> (Value, String) {
        let token = self.working(app).await;
        let held = refresh_token(&self.api, &token).await;
        let path = format!("/v1/tokens/{}", token["token_id"].as_str().unwrap());
        let (_, said) = self.api.delete(&path).await;
        assert_eq!(said["revocation"]["result"], "revoked", "{app}: {said}");
        (token, held)
    }

    async fn of_a_given_client(&self, way: &str, auth: &str) {
        let id = format!("{way}-{auth}");
        let (_, secret) = self.server.client(auth);
        let new = self.app(way, auth, &secret);
        let (status, app) = self.api.post("/v1/apps", new).await;
        assert_eq!(status, 201, "{app}");
        // Later a server may remember that this client has the person's consent.
        if way == "issuer" {
            self.refuse(&id).await;
        }
        let first = self.connect(&id).await;
        self.rotates(&id, auth, &first).await;
        self.survives_a_wrong_secret(way, auth).await;
        self.loses_what_the_server_revokes(&id, auth).await;
        let (token, held) = self.removes(&id).await;
        assert_eq!(self.server.person(&token).await, None, "{id}");
        assert_eq!(self.server.refusal(auth, &held).await, "invalid_grant");
    }

    /// Strongroom registers itself: that is for servers of resources that name their issuer.
    async fn of_a_registered_client(&self) {
        let new = json!({ "id": "registered", "server_url": self.server.resource });
        let (status, app) = self.api.post("/v1/apps", new).await;
        assert_eq!(status, 201, "{app}");
        let issuer = app["remote"]["issuer"].as_str().unwrap();
        assert_eq!(issuer.trim_end_matches('/'), self.server.issuer);
        assert_eq!(app["remote"]["client"], "registered");
        let first = self.connect("registered").await;
        let old = refresh_token(&self.api, &first).await;
        let next = self.refreshed("registered").await;
        assert_ne!(refresh_token(&self.api, &next).await, old);
        let (token, held) = self.removes("registered").await;
        if self.server.kind.signs_for_a_resource {
            let client_id = app["client_id"].as_str().unwrap();
            let refused = self.server.refusal_of_public(client_id, &held).await;
            assert_eq!(refused, "invalid_grant");
        } else {
            assert_eq!(self.server.person(&token).await, None);
        }
    }

    async fn end(self) {
        let (_, verified) = self.api.post("/v1/audit/verify", json!({})).await;
        assert_eq!(verified["problems"], json!([]));
        self.inside.end().await;
    }
}

fn origin(url: &str) -> String {
    reqwest::Url::parse(url)
        .unwrap()
        .origin()
        .ascii_serialization()
}

async fn whole(kind: &'static Kind, test: &str) {
    let Some(story) = Story::begin(kind, test).await else {
        return;
    };
    for (way, auth) in WAYS {
        story.of_a_given_client(way, auth).await;
    }
    story.of_a_registered_client().await;
    println!(
        "{}: {} ways, and a registered client",
        kind.name,
        WAYS.len()
    );
    story.end().await;
}

/// Goal: the main job is done with a server of another language, by every way to it (issue 6, point
/// 3). Method: by issuer and by hand, with both ways of client authentication: connect through its
/// own pages, use the token, refresh, reuse, a wrong secret, its revocation and ours; then a client
/// that registers itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_django_oauth_toolkit() {
    whole(&TOOLKIT, "every_way_to_django_oauth_toolkit").await;
}

/// The same with `better-auth`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_better_auth() {
    whole(&BETTER_AUTH, "every_way_to_better_auth").await;
}
