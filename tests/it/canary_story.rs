//! A long day with every kind of secret, and the search for each in whatever left the process
//! (issue item 6, security.md M3).
//!
//! The day is lived in a process of its own, so that all it prints is caught: log at its most
//! talkative, panic texts, the test harness itself.

use std::path::Path;

use serde_json::{Value, json};
use strongroom::sandbox::{Endpoint, Misbehaviour};

use crate::canary::{CANARY_FILE, Canaries, read_all, watch};
use crate::scene::{Link, Scene};
use crate::support::{Api, Browser, CLIENT_SECRET, PANIC_HEADER, PASSPHRASE, Page};

/// Set where one secret is to be let out, to show that it would be found.
const PLANT: &str = "STRONGROOM_TEST_CANARY_PLANT";
const THE_DAY: &str = "canary_story::m3_nothing_that_leaves_the_process_holds_a_secret";
const API_KEY: &str = "sk-canary-7d4b1e90aa35";

/// What is known to be secret, and what was seen to leave.
struct Day {
    scene: Scene,
    canaries: Canaries,
    seen: Vec<(String, Vec<u8>)>,
}

impl Day {
    async fn begin() -> Self {
        let scene = Scene::new().await;
        let mut canaries = Canaries::default();
        canaries.add("passphrase", PASSPHRASE);
        canaries.add("recovery code", &scene.recovery_code);
        canaries.add("client secret", CLIENT_SECRET);
        canaries.add("API key", API_KEY);
        let mut day = Self {
            scene,
            canaries,
            seen: vec![],
        };
        let admin = day.scene.admin.key.clone();
        day.know_key("admin key", &admin);
        day
    }

    fn know_key(&mut self, what: &str, key: &str) {
        self.canaries.add(what, key.splitn(3, '_').nth(2).unwrap());
    }

    /// A request whose answer must hold no secret.
    async fn quiet(&mut self, api: &Api, method: &str, path: &str, body: Option<Value>) -> Value {
        let bearer = format!("Bearer {}", api.key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = body
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default();
        self.raw(api, method, path, &headers, body).await
    }

    async fn raw(
        &mut self,
        api: &Api,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Value {
        let answer = api.raw(method, path, headers, body).await;
        let number = self.seen.len();
        let route: String = path.chars().take(12).collect();
        let place = format!("answer {number} to {method} {route}");
        self.seen.push((place, format!("{answer:?}").into_bytes()));
        serde_json::from_str(&answer.body).unwrap_or(Value::Null)
    }

    /// A page that must hold no secret.
    fn look(&mut self, page: &Page) {
        let place = format!("page {}", self.seen.len());
        self.seen.push((place, page.text.clone().into_bytes()));
    }

    fn know_token(&mut self, what: &str, said: &Value) {
        for field in ["access_token", "refresh_token", "id_token"] {
            if let Some(secret) = said[field].as_str() {
                self.canaries.add(&format!("{what} {field}"), secret);
            }
        }
    }

    /// A person connects, by code and in trouble; everything that passes by is known after.
    async fn connect(&mut self) {
        let api = self.scene.asker(&["code", "vouch"]).await;
        self.know_key("asker's key", &api.key);
        let more = json!({ "apps": [{ "app": "demo" }, { "app": "keyed" }], "verify": "code" });
        let link = self.scene.link(&api, more).await;
        self.canaries.add_ticket("ticket", &link.ticket);
        self.canaries.add("link code", &link.code);
        let mut browser = Browser::new();
        let page = self.scene.enter(&mut browser, &link).await;
        self.look(&page);
        for (_, value) in browser.cookies() {
            self.canaries.add_ticket("cookie", &value);
        }
        let wrong = [("code", "x1x2x3")];
        let page = browser.submit(&page, "/code", &wrong).await;
        self.look(&page);
        let right = [("code", link.code.as_str())];
        let page = browser.submit(&page, "/code", &right).await;
        self.look(&page);
        for typed in [format!("{API_KEY} {API_KEY}"), API_KEY.to_owned()] {
            let form = [("api_key", typed.as_str())];
            let page = browser.submit(&page, "/keyed/key", &form).await;
            self.look(&page);
        }
        self.be_refused_at_the_callback(&mut browser, &link).await;
        let back = self.scene.come_back_url(&mut browser, &link, "demo").await;
        self.know_callback(&back);
        let done = browser.open(&back).await;
        self.look(&done);
        assert!(done.text.contains("Connected"), "{}", done.text);
        for path in [format!("/v1/connect/{}", link.id), "/v1/tokens".into()] {
            self.quiet(&api, "GET", &path, None).await;
        }
        let other = self.scene.link(&api, json!({ "verify": "vouch" })).await;
        self.canaries.add_ticket("ticket", &other.ticket);
        self.vouch_for_somebody_else(&api, &other).await;
    }

    fn know_callback(&mut self, back: &str) {
        let url = reqwest::Url::parse(back).unwrap();
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "state" => self.canaries.add_ticket("state", &value),
                "code" => self.canaries.add("authorization code", value.as_bytes()),
                _ => {}
            }
        }
    }

    /// Callbacks that fail in every way, with secrets where a careless server would repeat them.
    async fn be_refused_at_the_callback(&mut self, browser: &mut Browser, link: &Link) {
        let back = self.scene.come_back_url(browser, link, "demo").await;
        self.know_callback(&back);
        let foreign = Browser::new().send("GET", &back, None).await;
        self.look(&foreign);
        let page = browser
            .send("GET", &format!("{back}&code=again"), None)
            .await;
        self.look(&page);
        let crossed = back.replace("/callback/demo", "/callback/keyed");
        let page = browser.send("GET", &crossed, None).await;
        self.look(&page);
        // The provider repeats what it was sent, as some do.
        let code = reqwest::Url::parse(&back).unwrap();
        let code = code
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap()
            .1
            .into_owned();
        let said = json!({ "error": "invalid_grant", "error_description":
            format!("code {code} of {CLIENT_SECRET} is wrong") });
        let raw = |status: u16, body: String| Misbehaviour::Raw {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.into_bytes(),
        };
        let sandbox = self.scene.outside.sandbox.clone();
        sandbox.misbehave(Endpoint::Token, raw(400, said.to_string()), Some(1));
        let page = browser.open(&back).await;
        self.look(&page);
        for body in [
            format!("{{\"access_token\": {code}"),
            format!("<p>{code}</p>"),
        ] {
            sandbox.misbehave(Endpoint::Token, raw(200, body), Some(1));
            let back = self.scene.come_back_url(browser, link, "demo").await;
            self.know_callback(&back);
            let page = browser.open(&back).await;
            self.look(&page);
        }
    }

    async fn vouch_for_somebody_else(&mut self, api: &Api, link: &Link) {
        let mut browser = Browser::new();
        self.scene.enter(&mut browser, link).await;
        let url = self.scene.page(link, "/vouch");
        let away = browser
            .send("POST", &url, Some(&[]))
            .await
            .location()
            .unwrap();
        let away = reqwest::Url::parse(&away).unwrap();
        let ticket = away
            .query_pairs()
            .find(|(name, _)| name == "ticket")
            .unwrap()
            .1
            .into_owned();
        self.canaries.add_ticket("vouching ticket", &ticket);
        let path = format!("/v1/connect/{}/vouch", link.id);
        for user in ["u1x", "u1"] {
            let body = json!({ "ticket": ticket, "user": user });
            self.quiet(api, "POST", &path, Some(body)).await;
        }
    }

    /// Tokens are fetched, refreshed well and badly, revealed, stored and removed.
    async fn use_tokens(&mut self) {
        let admin = self.scene.admin.clone();
        let sandbox = self.scene.outside.sandbox.clone();
        let ask = json!({ "app": "demo", "user": "u1", "with_refresh_token": true });
        let (status, first) = admin.post("/v1/token", ask.clone()).await;
        assert_eq!(status, 200, "the day cannot go on");
        self.know_token("first", &first);
        let token = first["refresh_token"].as_str().unwrap();
        let said = json!({ "error": "server_error", "error_description":
            format!("refresh token {token} at https://x.example/?t={token}") });
        for status in [503, 400, 500] {
            let raw = Misbehaviour::Raw {
                status,
                headers: vec![("content-type".into(), "application/json".into())],
                body: said.to_string().into_bytes(),
            };
            sandbox.misbehave(Endpoint::Token, raw, Some(1));
            self.scene
                .clock
                .advance(std::time::Duration::from_secs(7200));
            self.quiet(
                &admin,
                "POST",
                "/v1/token",
                Some(json!({ "app": "demo", "user": "u1" })),
            )
            .await;
            self.quiet(&admin, "GET", "/v1/tokens", None).await;
        }
        self.scene
            .clock
            .advance(std::time::Duration::from_secs(7200));
        let (status, second) = admin.post("/v1/token", ask).await;
        assert_eq!(status, 200, "the day cannot go on");
        self.know_token("second", &second);
        let id = second["token_id"].as_str().unwrap().to_owned();
        let (_, shown) = admin
            .post(&format!("/v1/tokens/{id}/reveal"), json!({}))
            .await;
        self.know_token("revealed", &shown);
        self.quiet(&admin, "POST", &format!("/v1/tokens/{id}/refresh"), None)
            .await;
        let (_, shown) = admin
            .post(&format!("/v1/tokens/{id}/reveal"), json!({}))
            .await;
        self.know_token("third", &shown);
        let uploaded = json!({
            "app": "demo", "user": "u2", "access_token": "at-canary-5f61e2d3",
            "refresh_token": "rt-canary-0b9c8d7e", "scopes": ["a"],
        });
        self.know_token("uploaded", &uploaded);
        self.quiet(&admin, "PUT", "/v1/tokens", Some(uploaded.clone()))
            .await;
        let mut refused = uploaded;
        refused["verify_refresh"] = json!(true);
        self.quiet(&admin, "PUT", "/v1/tokens", Some(refused)).await;
    }

    /// Secrets where they do not belong: in paths, queries, wrong fields, wrong types, headers of
    /// requests that fail, and in a handler that panics.
    async fn misplace(&mut self) {
        let admin = self.scene.admin.clone();
        let secrets = [API_KEY, "at-canary-5f61e2d3", CLIENT_SECRET, PASSPHRASE];
        for secret in secrets {
            // What is an id by its form is put on record as one: whose it is nobody can tell. With
            // a mark at its end no such text is an app's.
            let plain = format!("{}%21", secret.replace(' ', "%20"));
            for path in [
                format!("/v1/tokens/{plain}"),
                format!("/v1/apps/{plain}"),
                format!("/v1/keys/{plain}"),
                format!("/v1/connect/{plain}"),
                format!("/{plain}"),
                format!("/v1/tokens?app={plain}"),
                format!("/v1/tokens?cursor={plain}"),
                format!("/v1/tokens?user=u1&{plain}=1"),
                format!("/v1/audit?cursor={plain}"),
            ] {
                self.quiet(&admin, "GET", &path, None).await;
            }
            for body in [
                json!({ "app": format!("{secret}!") }),
                json!({ "app": "demo", "user": "u9", "scopes": secret }),
                json!({ "app": "demo", "user": "u9", "min_ttl_s": secret }),
                json!({ "app": "demo", "user": [secret] }),
                json!({ "app": "demo", "user": "u9", "connect": { "verify": secret } }),
                json!({ "app": "demo", "user": "u9", "connect": { "return_url": secret } }),
                json!(secret),
            ] {
                self.quiet(&admin, "POST", "/v1/token", Some(body)).await;
            }
            for body in [
                json!({ "id": "x", "kind": "oauth", "client_id": "c", "token_url": secret }),
                json!({ "id": "x", "kind": secret }),
                json!({ "id": "x", "kind": "oauth", "client_secret": [secret] }),
            ] {
                self.quiet(&admin, "POST", "/v1/apps", Some(body)).await;
            }
            self.quiet(
                &admin,
                "POST",
                "/v1/unlock",
                Some(json!({ "passphrase": secret })),
            )
            .await;
            let wrong = format!("Bearer sr_0000000000000000_{}", secret.replace(' ', "-"));
            let stranger = [("authorization", wrong.as_str())];
            self.raw(&admin, "GET", "/v1/apps", &stranger, vec![]).await;
            let hurt = [(PANIC_HEADER, secret)];
            self.raw(&admin, "GET", "/health", &hurt, vec![]).await;
            let cut = format!("{{\"passphrase\":\"{secret}\"");
            let json = [("content-type", "application/json")];
            self.raw(&admin, "POST", "/v1/unlock", &json, cut.into_bytes())
                .await;
        }
    }

    /// The vault is locked and opened with both of its secrets, wrongly first.
    async fn lock_and_unlock(&mut self) {
        let admin = self.scene.admin.clone();
        for right in [PASSPHRASE.to_owned(), self.scene.recovery_code.clone()] {
            self.quiet(&admin, "POST", "/v1/lock", None).await;
            let wrong = format!("{}x", &right[..right.len() - 1]);
            for typed in [wrong, right.clone(), right] {
                self.quiet(
                    &admin,
                    "POST",
                    "/v1/unlock",
                    Some(json!({ "passphrase": typed })),
                )
                .await;
                self.scene.clock.advance(std::time::Duration::from_secs(60));
            }
        }
        self.quiet(&admin, "GET", "/v1/status", None).await;
        self.quiet(&admin, "GET", "/v1/keys", None).await;
        self.quiet(&admin, "GET", "/v1/apps", None).await;
    }

    /// What the provider was sent is secret as well: verifiers, codes, refresh tokens.
    fn know_what_was_sent(&mut self) {
        let mut verifiers = 0;
        for request in self.scene.outside.sandbox.last_requests() {
            for name in ["code_verifier", "code", "refresh_token", "token"] {
                if let Some(secret) = request.form(name).filter(|text| text.len() >= 16) {
                    self.canaries.add(&format!("{name} as sent"), secret);
                    verifiers += usize::from(name == "code_verifier");
                }
            }
            if let Some(header) = request.authorization() {
                self.canaries
                    .add("Authorization as sent", header.rsplit(' ').next().unwrap());
            }
        }
        assert!(verifiers >= 2);
    }

    /// The end: everything is looked at.
    async fn end(mut self, canary_file: &Path) {
        let admin = self.scene.admin.clone();
        for path in ["/v1/audit?limit=1000", "/v1/tokens", "/v1/keys", "/v1/apps"] {
            let said = self.quiet(&admin, "GET", path, None).await;
            assert!(said["error"].is_null(), "{path}");
        }
        self.know_what_was_sent();
        for path in ["/v1/tokens?app=keyed", "/v1/apps/demo"] {
            self.quiet(&admin, "DELETE", path, None).await;
        }
        let directory = self.scene.directory.clone();
        read_all(&directory, &mut self.seen);
        let Self {
            scene,
            canaries,
            mut seen,
        } = self;
        scene.inside.end().await;
        read_all(&directory, &mut seen);
        assert!(canaries.len() >= 30, "{}", canaries.len());
        assert!(seen.len() >= 120, "{}", seen.len());
        std::fs::write(canary_file, canaries.to_text()).unwrap();
        let mut found: Vec<String> = Vec::new();
        for (place, bytes) in &seen {
            let here = canaries.search(bytes);
            found.extend(here.iter().map(|what| format!("{place}: {what}")));
        }
        assert!(found.is_empty(), "{found:#?}");
    }
}

async fn live_the_day(canary_file: &Path) {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(std::io::stderr)
        .init();
    let mut day = Day::begin().await;
    let admin = day.scene.admin.clone();
    let keyed = json!({ "id": "keyed", "kind": "api_key" });
    day.quiet(&admin, "POST", "/v1/apps", Some(keyed)).await;
    day.connect().await;
    day.use_tokens().await;
    day.misplace().await;
    day.lock_and_unlock().await;
    if std::env::var_os(PLANT).is_some() {
        tracing::info!(key = API_KEY, "planted");
    }
    day.end(canary_file).await;
}

/// Goal: no secret leaves by log, error, page, list, panic text, audit trail or file.
/// Method: live the day in another process; search its answers and files there, and what it
/// printed here.
#[test]
fn m3_nothing_that_leaves_the_process_holds_a_secret() {
    if let Some(canary_file) = std::env::var_os(CANARY_FILE) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(live_the_day(Path::new(&canary_file)));
    }
    let (printed, canaries) = watch(THE_DAY, &[]);
    let text = String::from_utf8_lossy(&printed);
    // It was talkative, and the panics were seen.
    for trace in ["a handler panicked", "a wrong unlock try", "TRACE"] {
        assert!(text.contains(trace), "{trace} is not in the log");
    }
    assert_eq!(canaries.search(&printed), Vec::<String>::new());
}

/// Goal: the test above can fail. Method: let one secret out into the log.
#[test]
fn a_secret_that_is_let_out_is_found() {
    let (printed, canaries) = watch(THE_DAY, &[PLANT]);
    assert_eq!(canaries.search(&printed), ["API key, as it is"]);
}
