//! The pages that people see, in a headless Chromium: the whole way of connecting, what it looks
//! like, and what it keeps to itself.
//!
//! | what is shown | where |
//! |---|---|
//! | each page, light and dark, on a phone and a desk: no violation of axe-core, nothing cut off, no request elsewhere | `pages.mjs` |
//! | OAuth, keys, several apps, code, refusal, partial consent, expiry, another browser, cancel | `pages.mjs` |
//! | the same with scripts off, and by keyboard alone | `pages.mjs` |
//! | no token or key in history, referrer, page or header | `pages.mjs` |
//! | a pop-up tells the page that opened it, and no other | `pages.mjs` |
//! | odd names, sixteen apps, sixty scopes, an operator's brand, the rarer ends | `odd.mjs` |
//! | the operator's console: each screen, by the same measure, and what it keeps to itself | `console.mjs` |
//! | a step of a sign-in, with npm `oidc-provider` as the sign-in server | `sign_in.mjs` |
//!
//! Needs Node with the packages of `tests/interop/package.json`, and a Chromium, as the suite
//! `interop_descope` does. `STRONGROOM_PICTURES` names a folder that pictures of all pages go to.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::secret::Secret;

use child::Script;
use scene::Scene;

#[path = "../it/browser.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod browser;
#[path = "../interop_descope/child.rs"]
mod child;
#[path = "../interop_descope/interpreters.rs"]
#[allow(dead_code, reason = "shared with the suite `interop_descope`")]
mod interpreters;
mod odd;
#[path = "../it/scene.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod scene;
#[path = "../it/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod support;

/// What `pages.mjs` checks, in its order.
const PAGES: [&str; 15] = [
    "a code proves who is there",
    "several apps, by OAuth and by key, to the return URL",
    "nothing is left behind",
    "what is connected already",
    "refused at the provider, and not now",
    "partial consent",
    "the provider fails",
    "cancelled",
    "expired",
    "another browser",
    "for somebody else",
    "with scripts off",
    "by keyboard",
    "a pop-up tells its opener",
    "a pop-up of another origin is not told",
];
/// What `sign_in.mjs` checks, in its order.
const SIGN_IN: [&str; 3] = [
    "signed in by way of a connect link",
    "who declines is signed in without it",
    "who is somebody else gets nowhere",
];
/// What `odd.mjs` checks, in its order.
const ODD: [&str; 5] = [
    "odd names, many apps and many scopes",
    "the operator's brand",
    "withdrawn",
    "too many wrong codes",
    "a locked vault",
];
/// What `console.mjs` checks, in its order.
const CONSOLE: [&str; 9] = [
    "signing in",
    "health is kept fresh without reloading",
    "a token is found and refreshed",
    "a token is shown, handed on and deleted",
    "apps are made, checked, changed, tried and deleted",
    "keys, and the trail",
    "nothing is left behind",
    "with scripts off",
    "out, locked and in again",
];
/// An operator's logo.
const LOGO: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>\
                    <rect width='32' height='32' rx='8' fill='#0f6e5c'/>\
                    <path d='M9 17l5 5 9-12' stroke='#fff' stroke-width='3' fill='none'/></svg>";

/// Goal: a person can connect, and sees what happens, on every page there is. Method: a real
/// browser walks every way through the pages; each is judged as it comes up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_works_and_looks_right() {
    let test = "every_page_works_and_looks_right";
    run(test, "pages.mjs", &["axe-core"], &PAGES).await;
}

/// Goal: no name, number or colour breaks a page. Method: a real browser, names of every script and
/// length, sixteen apps, an accent that takes dark words; and the ends that nobody meets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_names_and_an_operators_brand_break_no_page() {
    let test = "odd_names_and_an_operators_brand_break_no_page";
    run(test, "odd.mjs", &["axe-core"], &ODD).await;
}

/// Goal: an operator sees what needs a hand and mends it, on every screen there is. Method: a real
/// browser walks every screen of a vault in which something is wrong; each is judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_screen_of_the_console_works_and_looks_right() {
    let test = "every_screen_of_the_console_works_and_looks_right";
    run(test, "console.mjs", &["axe-core"], &CONSOLE).await;
}

/// Goal: any sign-in can send its user through a connect link as a step of it. Method: a sign-in
/// server of npm `oidc-provider` whose interaction goes by way of a link, proven by its own word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_goes_by_way_of_a_connect_link() {
    let test = "a_sign_in_goes_by_way_of_a_connect_link";
    run(test, "sign_in.mjs", &["oidc-provider"], &SIGN_IN).await;
}

/// A script with a Strongroom of its own; then what it says it checked is held to `expected`.
async fn run(test: &str, name: &str, needed: &[&str], expected: &[&str]) {
    let found = interpreters::web(&format!("tests/interop_pages/{name}"), needed);
    let (found, given) = match found {
        Ok((command, given)) => (Ok(command), given),
        Err(missing) => (Err(missing), Value::Null),
    };
    let Some(mut command) = interpreters::or_skip(test, found) else {
        return;
    };
    let mut script = Script::start(command.arg(given.to_string()));
    let said = script.next().await.expect("it says where its pages are");
    let origin = said["origin"].as_str().expect("an origin").to_owned();
    let scene = match name {
        "odd.mjs" => Scene::branded(odd::brand()).await,
        _ => Scene::for_pages(&origin).await,
    };
    script.tell(&match name {
        "console.mjs" => run_down(&scene).await,
        "odd.mjs" => odd::furnish(&scene).await,
        _ => furnish(&scene, &origin).await,
    });
    let mut checked = Vec::new();
    while let Some(said) = script.next().await {
        if let Some(what) = said["checked"].as_str() {
            checked.push(what.to_owned());
            continue;
        }
        match said["advance"].as_u64() {
            Some(seconds) => scene.clock.advance(Duration::from_secs(seconds)),
            None => {
                assert_eq!(said, json!({ "lock": true }), "it asks for nothing else");
                assert_eq!(scene.admin.post("/v1/lock", json!({})).await.0, 200);
            }
        }
        script.tell(&json!(true));
    }
    assert_eq!(checked, expected);
    scene.end().await;
}

/// Three apps and an asking application. What the script has to know comes back.
async fn furnish(scene: &Scene, origin: &str) -> Value {
    let calendar = json!({
        "id": "demo", "kind": "oauth", "name": "Demo Calendar", "client_id": "demo",
        "issuer": scene.outside.issuer, "scopes": ["calendar.read", "mail.send"],
        "description": "Your appointments, and letters about them",
    });
    let (status, said) = scene.admin.put("/v1/apps/demo", calendar).await;
    assert_eq!(status, 200, "{said}");
    let logo = written_out(LOGO);
    let weather = json!({
        "id": "weather", "kind": "api_key", "name": "Weather Station", "logo": logo,
        "description": "Forecasts for where you are",
        "fields": [
            { "name": "email", "label": "E-mail", "secret": false, "pattern": "[^@]+@[^@]+" },
            {
                "name": "token", "label": "Key", "secret": true,
                "help": "Under Settings, Developers, at your weather station.",
            },
        ],
        "variables": { "region": {
            "asked_of": "person", "default": "eu", "pattern": "eu|us", "help": "Where you live.",
        } },
        "api": {
            "base_url": scene.outside.issuer,
            "credential": { "in": "headers", "headers": { "X-Api-Key": "{token}" } },
            "verify": { "url": "/api/key", "account_id": "key_of", "account_label": "key_of" },
        },
    });
    let notes = json!({ "id": "notes", "kind": "api_key", "name": "Notes" });
    for app in [weather, notes] {
        let (status, said) = scene.admin.post("/v1/apps", app).await;
        assert_eq!(status, 201, "{said}");
    }
    let key = Secret::new("wx_a_key_of_a_person".to_owned());
    scene
        .outside
        .sandbox
        .register_api_key("ada@example.com", &key);
    let (asker, _) = scene
        .key(json!({
            "name": "Travel Agent", "role": "server",
            "connect_verify": ["vouch", "code", "none"],
            "verify_url": format!("{origin}/verify"),
            "return_urls": [format!("{origin}/done"), format!("{origin}/back")],
        }))
        .await;
    json!({
        "url": scene.inside.url,
        "key": asker.key,
        "sandbox": scene.outside.issuer,
        "weather_key": key.expose(),
        "pictures": std::env::var("STRONGROOM_PICTURES").ok(),
    })
}

/// Half a day of fetches and refreshes, so that there is something to draw.
async fn pass_a_day(scene: &Scene, token: &Value) {
    let refresh = format!(
        "/v1/tokens/{}/refresh",
        token["id"].as_str().expect("an id")
    );
    for turn in 0..18_u64 {
        scene.clock.advance(Duration::from_secs(40 * 60));
        let (status, said) = scene.admin.post(&refresh, json!({})).await;
        assert_eq!(status, 200, "{said}");
        for fetch in 0..=turn * 7 % 5 {
            let user = if fetch == 3 { "nobody" } else { "ada" };
            let wish = json!({ "app": "demo", "user": user });
            let (status, said) = scene.admin.post("/v1/token", wish).await;
            assert_eq!(status, if fetch == 3 { 404 } else { 200 }, "{said}");
        }
    }
}

fn written_out(svg: &str) -> String {
    use base64::Engine;
    let data = base64::engine::general_purpose::STANDARD.encode(svg);
    format!("data:image/svg+xml;base64,{data}")
}

/// A vault in which something is wrong, for an operator. What the script has to know comes back.
async fn run_down(scene: &Scene) -> Value {
    let keyed = json!({ "id": "keyed", "kind": "api_key", "name": "Keyed" });
    let down = json!({
        "id": "down", "kind": "oauth", "name": "Down", "client_id": "x", "client_auth": "none",
        "authorization_url": "http://127.0.0.1:1/a", "token_url": "http://127.0.0.1:1/t",
    });
    for app in [keyed, down] {
        let (status, said) = scene.admin.post("/v1/apps", app).await;
        assert_eq!(status, 201, "{said}");
    }
    let ada = scene.admin.seed(&scene.outside, "ada").await;
    let key = json!({ "app": "keyed", "user": "grace", "tenant": "navy", "api_key": "k-1234567" });
    let (status, said) = scene.admin.put("/v1/tokens", key).await;
    assert_eq!(status, 200, "{said}");
    pass_a_day(scene, &ada).await;
    // One whose grant is gone, and one whose service does not answer.
    for (app, user) in [("demo", "joan"), ("down", "joan")] {
        let token = json!({ "app": app, "user": user, "access_token": "old",
            "refresh_token": "rt_nobody_knows", "expires_at": "2026-01-01T00:00:00Z" });
        let (status, said) = scene.admin.put("/v1/tokens", token).await;
        assert_eq!(status, 200, "{said}");
        let id = said["id"].as_str().expect("an id");
        scene
            .admin
            .post(&format!("/v1/tokens/{id}/refresh"), json!({}))
            .await;
    }
    json!({
        "url": scene.inside.url,
        "key": scene.admin.key,
        "passphrase": support::PASSPHRASE,
        "sandbox": scene.outside.issuer,
        "pictures": std::env::var("STRONGROOM_PICTURES").ok(),
    })
}
