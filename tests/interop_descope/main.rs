//! Descope's own SDKs, unmodified, against a live Strongroom and a sandbox provider: PyPI `descope`
//! (its sync, async and by-token classes) and npm `@descope/node-sdk`, through every function they
//! have for outbound applications, with results and errors; and npm `@descope/web-js-sdk` in a page
//! (`web`).
//!
//! Needs Python with the packages of `requirements.txt`, at `STRONGROOM_INTEROP_PYTHON`, and Node
//! with those of `tests/interop/package.json`, as the suite `interop_oidc` does. Where they are
//! missing, each test says so aloud and passes; with `STRONGROOM_INTEROP=require` it fails.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::http::routes::descope::TABLE;
use strongroom::sandbox::{Endpoint, Misbehaviour};
use strongroom::secret::Secret;

use child::Script;
use issuer::{Issuer, Signer};
use scene::{Link, Scene};
use support::{Browser, CLIENT_SECRET};
use table::{CHECKED, Expected};

#[path = "../it/browser.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod browser;
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

#[path = "../harness/issuer.rs"]
#[allow(dead_code, reason = "shared with the suites that use all of it")]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod issuer;

mod child;
mod interpreters;
mod table;
mod web;

/// Goal: no endpoint is left out. Method: hold the table of checks against the table of routes; an
/// endpoint that neither SDK has a function for says so.
#[test]
fn every_endpoint_stands_in_the_table() {
    let routes: Vec<String> = TABLE
        .iter()
        .map(|row| format!("{} {}", row.method, row.path))
        .collect();
    let checked: Vec<&str> = CHECKED.iter().map(|(endpoint, ..)| *endpoint).collect();
    assert_eq!(checked, routes);
    for (endpoint, python, node, checks) in CHECKED {
        let has_function = !(python.is_empty() && node.is_empty());
        assert_eq!(has_function, !checks.is_empty(), "{endpoint}");
    }
}

/// Goal: PyPI `descope` works unmodified. Method: its sync classes, through every function.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_of_pythons_sync_classes_works() {
    let test = "every_function_of_pythons_sync_classes_works";
    let Some(mut command) = interpreters::or_skip(test, interpreters::python()) else {
        return;
    };
    run(command.arg("sync"), json!({}), &table::of_python()).await;
}

/// Goal: PyPI `descope` works unmodified. Method: its async classes, through every function.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_of_pythons_async_classes_works() {
    let test = "every_function_of_pythons_async_classes_works";
    let Some(mut command) = interpreters::or_skip(test, interpreters::python()) else {
        return;
    };
    run(command.arg("async"), json!({}), &table::of_python()).await;
}

/// Goal: npm `@descope/node-sdk` works unmodified. Method: every function; its fetches once more
/// with a key in the place of a token, as its samples do it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_of_nodes_sdk_works() {
    let found = interpreters::node();
    let (found, packages) = match found {
        Ok((command, packages)) => (Ok(command), packages),
        Err(missing) => (Err(missing), Default::default()),
    };
    let test = "every_function_of_nodes_sdk_works";
    let Some(mut command) = interpreters::or_skip(test, found) else {
        return;
    };
    let more = json!({ "node_modules": packages });
    run(&mut command, more, &table::of_node()).await;
}

/// A script, with a Strongroom of its own; then what it says it checked is held to the table.
async fn run(command: &mut Command, more: Value, expected: &Expected) {
    let scene = Scene::new().await;
    let mut settings = furnish(&scene).await;
    for (name, value) in more.as_object().expect("an object") {
        settings[name] = value.clone();
    }
    let mut script = Script::start(command.arg(settings.to_string()));
    let mut functions = BTreeSet::new();
    let mut checked = BTreeSet::new();
    while let Some(said) = script.next().await {
        if let Some(names) = said["functions"].as_array() {
            functions.extend(names.iter().map(text));
        } else if said["checked"].is_object() {
            let check = &said["checked"];
            let endpoint = table::endpoint_of(check["endpoint"].as_str().unwrap_or_default());
            checked.insert((endpoint, text(&check["function"]), text(&check["what"])));
        } else {
            let answer = bring_about(&scene, &said).await;
            script.tell(&answer);
        }
    }
    assert_eq!(functions, expected.functions, "what the SDK has");
    let missing: Vec<_> = expected.checks.difference(&checked).collect();
    let unknown: Vec<_> = checked.difference(&expected.checks).collect();
    assert!(missing.is_empty(), "not checked: {missing:#?}");
    assert!(
        unknown.is_empty(),
        "checked, and not in the table: {unknown:#?}"
    );
    println!("{} checks of {} functions", checked.len(), functions.len());
    scene.end().await;
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is text").to_owned()
}

/// An app for keys, a user `ada` who came by way of the provider's pages, and a key that may do
/// next to nothing. What a script has to know comes back.
async fn furnish(scene: &Scene) -> Value {
    let keyed = json!({ "id": "weather", "kind": "api_key", "name": "Weather" });
    let (status, said) = scene.admin.post("/v1/apps", keyed).await;
    assert_eq!(status, 201, "{said}");
    let asker = scene.asker(&["code"]).await;
    let link: Link = scene.link(&asker, json!({ "user": "ada" })).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&back).await;
    let grants = json!([{ "actions": ["fetch"], "apps": ["other"] }]);
    let (powerless, _) = scene.key(json!({ "name": "p", "grants": grants })).await;
    let (_, status) = scene.admin.get("/v1/status").await;
    let jwt = jwt(scene).await;
    json!({
        "jwt": jwt,
        "url": scene.inside.url,
        "project": status["project_id"],
        "key": scene.admin.key,
        "powerless": powerless.key,
        "issuer": scene.outside.issuer,
        "client_secret": CLIENT_SECRET,
    })
}

/// A JWT of `u1`, who is in `t1`, by an issuer for which there is a key.
async fn jwt(scene: &Scene) -> String {
    let signer = Signer::new("RS256", "first");
    let issuer = Issuer::start(&[&signer]).await;
    let rule = json!({
        "issuer": issuer.url, "no_audience": true, "scope": "outbound.token.fetch",
        "tenant_tokens": true,
    });
    let body = json!({ "name": "agents", "role": "reader", "jwt": rule });
    let (status, said) = scene.admin.post("/v1/keys", body).await;
    assert_eq!(status, 200, "{said}");
    // The scripts move the clock by hours.
    let end = scene.clock.now().plus(Duration::from_secs(30 * 86_400));
    signer.token(&json!({
        "iss": issuer.url, "sub": "u1", "exp": end.unix_ms() / 1000,
        "scope": "openid outbound.token.fetch", "tenants": { "t1": { "roles": [] } },
    }))
}

/// What only this side can bring about; the answer to the script.
async fn bring_about(scene: &Scene, asked: &Value) -> Value {
    let sandbox = &scene.outside.sandbox;
    let named = |name: &str| asked[name].as_str().unwrap_or_default();
    match named("do") {
        "grant" => {
            let issued = sandbox.grant("demo", named("user"), &["calendar.read"]);
            let end = scene.clock.now().plus(issued.expires_in);
            json!({
                "access_token": issued.access_token.expose(),
                "refresh_token": issued.refresh_token.expose(),
                "expires_at": end.unix_ms() / 1000,
            })
        }
        "is_live" => json!(sandbox.is_live(&Secret::new(named("token").to_owned()))),
        "revocations" => json!(sandbox.counts().revocations),
        "revoke" => {
            sandbox.revoke_user(named("user"));
            json!(true)
        }
        "down" => {
            sandbox.misbehave(Endpoint::Token, Misbehaviour::Html500, None);
            json!(true)
        }
        "up" => {
            sandbox.behave();
            json!(true)
        }
        "advance" => {
            let seconds = asked["seconds"].as_u64().expect("a number");
            scene.clock.advance(Duration::from_secs(seconds));
            json!(true)
        }
        "lock" => json!(scene.admin.post("/v1/lock", json!({})).await.0 == 200),
        other => panic!("a script asked for `{other}`"),
    }
}
