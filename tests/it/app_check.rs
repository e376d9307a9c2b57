//! What a check says of an app: each thing that can be wrong, and what is right.

use serde_json::{Value, json};
use strongroom::sandbox::{Endpoint, Misbehaviour};

use crate::scene::Scene;
use crate::support::CLIENT_SECRET;

/// The finding about a setting, as `level: words`.
fn said(checked: &Value, about: &str) -> String {
    let findings = checked["findings"].as_array().unwrap();
    let found = findings.iter().filter(|one| one["about"] == about);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let words = found.map(|one| format!("{}: {}", text(&one["level"]), text(&one["found"])));
    words.collect::<Vec<_>>().join("; ")
}

/// Goal: an app that is right is found to be, and its client accepted without a grant coming of
/// it. Method: the demo app, whose issuer has metadata; what the provider counted; the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_app_is_found_right() {
    let scene = Scene::new().await;
    let (status, checked) = scene.admin.post("/v1/apps/demo/check", json!({})).await;
    assert_eq!(status, 200, "{checked}");
    assert!(
        said(&checked, "token_url").contains("takes the client"),
        "{checked}"
    );
    assert!(
        said(&checked, "authorization_url").contains("is reached"),
        "{checked}"
    );
    assert_eq!(said(&checked, "client_secret"), "ok: there is one");
    assert_eq!(said(&checked, "pkce"), "ok: S256 is advertised, and sent");
    let uri = format!("{}/callback/demo", scene.inside.url);
    assert!(said(&checked, "redirect_uri").contains(&uri), "{checked}");
    // The sandbox is spoken to in the clear, and that is all there is to say.
    assert_eq!(checked["worst"], "warning");
    let (_, tokens) = scene.admin.get("/v1/tokens").await;
    assert_eq!(tokens["tokens"], json!([]));
    assert!(!checked.to_string().contains(CLIENT_SECRET));
    assert!(scene.on_record("app settings used").await >= 1);
    scene.end().await;
}

/// What is laid over the demo app (`ISSUER` is the sandbox, `CLOSED` a port where nobody is), what
/// the finding is about, and how it begins and goes on.
const WRONG: &str = r#"
    {"client_secret": "wrong"} | token_url | error | refuses the client
    {"client_id": "nobody"} | token_url | error | refuses the client
    {"client_secret": ""} | client_secret | error | there is none
    {"token_url": "ISSUER/.well-known/openid-configuration"} | token_url | error | probably not
    {"token_url": "CLOSED/token"} | token_url | error | was not reached
    {"token_url": "http://10.0.0.1/t"} | token_url | error | may not be reached
    {"revocation_url": "https://localhost/r"} | revocation_url | error | may not be reached
    {"issuer": "ISSUER", "token_url": "ISSUER/token?x=1"} | token_url | warning | set by hand
    {"issuer": "ISSUER", "pkce": false} | pkce | warning | advertised, and not sent
    {"client_auth": "none"} | client_secret | warning | never sent
"#;

/// Goal: what is wrong is told apart. Method: the demo app with one thing wrong at a time, and the
/// words that lead to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_each_by_its_name() {
    let scene = Scene::new().await;
    let issuer = scene.outside.issuer.clone();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let lines = WRONG.lines().filter(|line| !line.trim().is_empty());
    for line in lines {
        let mut app = json!({
            "kind": "oauth", "client_id": "demo", "client_secret": CLIENT_SECRET,
            "authorization_url": format!("{issuer}/authorize"),
            "token_url": format!("{issuer}/token"),
        });
        let line = line.replace("ISSUER", &issuer).replace("CLOSED", &closed);
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let over: Value = serde_json::from_str(parts[0]).unwrap();
        for (name, value) in over.as_object().unwrap() {
            app[name] = value.clone();
        }
        let (status, said_of_it) = scene.admin.put("/v1/apps/demo", app).await;
        assert_eq!(status, 200, "{line}: {said_of_it}");
        let (_, checked) = scene.admin.post("/v1/apps/demo/check", json!({})).await;
        let found = said(&checked, parts[1]);
        let level = format!("{}: ", parts[2]);
        assert!(
            found.contains(&level) && found.contains(parts[3]),
            "{line}: {checked}"
        );
        assert!(
            parts[2] != "error" || checked["worst"] == "error",
            "{checked}"
        );
    }
    scene.end().await;
}

/// Goal: a provider that redirects, or is in trouble, is said to; and the secret goes nowhere else.
/// Method: the sandbox misbehaves at its token endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_in_trouble_is_not_called_wrong() {
    let scene = Scene::new().await;
    let elsewhere = "https://elsewhere.example/token".to_owned();
    let page = Misbehaviour::Raw {
        status: 200,
        headers: vec![("content-type".into(), "text/html".into())],
        body: b"<!doctype html><title>Sign in</title>".to_vec(),
    };
    let busy = Misbehaviour::RetryAfter {
        status: 429,
        value: "60".into(),
    };
    let troubles = [
        (
            Misbehaviour::Redirect(307, elsewhere),
            "error: ",
            "redirects",
        ),
        (page, "error: ", "probably not the token URL"),
        (Misbehaviour::Html500, "warning: ", "in trouble"),
        (Misbehaviour::CloseBefore, "error: ", "was not reached"),
        (busy, "warning: ", "in trouble"),
    ];
    for (trouble, level, words) in troubles {
        let sandbox = &scene.outside.sandbox;
        sandbox.misbehave(Endpoint::Token, trouble, Some(1));
        let (_, checked) = scene.admin.post("/v1/apps/demo/check", json!({})).await;
        let found = said(&checked, "token_url");
        assert!(
            found.contains(level) && found.contains(words),
            "{words}: {checked}"
        );
    }
    scene.end().await;
}

/// Goal: a check is for those who may change the app, and an app of keys has one too. Method: a
/// key that may not; apps of keys with and without a call that proves them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_for_who_may_change_the_app() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let (low, _) = scene.key(json!({ "name": "low", "role": "server" })).await;
    assert_eq!(low.post("/v1/apps/demo/check", json!({})).await.0, 403);
    assert_eq!(api.post("/v1/apps/none/check", json!({})).await.0, 404);
    assert_eq!(
        api.post("/v1/apps/demo/check", json!({ "x": 1 })).await.0,
        400
    );
    let base = &scene.outside.issuer;
    let keyed = json!({ "id": "k", "kind": "api_key", "api": { "base_url": base } });
    assert_eq!(api.post("/v1/apps", keyed).await.0, 201);
    let (_, checked) = api.post("/v1/apps/k/check", json!({})).await;
    assert!(
        said(&checked, "api.base_url").contains("is reached"),
        "{checked}"
    );
    assert!(
        said(&checked, "api.verify").starts_with("warning: "),
        "{checked}"
    );
    let proven = json!({ "kind": "api_key",
        "api": { "base_url": "https://{shop}.example", "verify": { "url": "/me" } },
        "variables": { "shop": { "asked_of": "person" } } });
    assert_eq!(api.put("/v1/apps/k", proven).await.0, 200);
    let (_, checked) = api.post("/v1/apps/k/check", json!({})).await;
    assert!(
        said(&checked, "api.base_url").contains("filled by each connection"),
        "{checked}"
    );
    assert_eq!(
        said(&checked, "api.verify"),
        "ok: keys can be tried by GET /me"
    );
    assert_eq!(checked["worst"], "ok");
    scene.end().await;
}

/// Goal: an address that a connection fills in is sent no secret. Method: an app whose token URL
/// has a blank with an example.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t28_an_address_with_blanks_is_not_asked() {
    let scene = Scene::new().await;
    let open = json!({ "id": "open", "kind": "oauth", "client_id": "c", "client_secret": "s",
        "authorization_url": "https://{shop}.example/a", "token_url": "https://{shop}.example/t",
        "variables": { "shop": {
            "asked_of": "person", "example": "acme", "pattern": "[a-z]+",
        } } });
    let (status, app) = scene.admin.post("/v1/apps", open).await;
    assert_eq!(status, 201, "{app}");
    let (_, checked) = scene.admin.post("/v1/apps/open/check", json!({})).await;
    for about in ["authorization_url", "token_url"] {
        assert!(
            said(&checked, about).starts_with("ok: https://{shop}"),
            "{checked}"
        );
    }
    assert_eq!(checked["worst"], "ok", "{checked}");
    scene.end().await;
}
