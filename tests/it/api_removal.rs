//! Tokens removed over the API, and the vault locked over them (DESIGN 5, O9, V10).

use serde_json::json;
use strongroom::sandbox::{Endpoint, Misbehaviour};

use crate::api_tokens::{store, users};
use crate::scene::Scene;
use crate::support::PASSPHRASE;

/// Goal: a removal by filter removes what fits, and an empty or misspelt filter removes nothing.
/// Method: every way to name no filter; then real ones, counted, with a provider that fails some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_without_a_true_filter_removes_nothing() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    for n in 0..3 {
        api.seed(&scene.outside, &format!("u{n}")).await;
        store(api, &format!("u{n}"), json!({ "tenant": "t1" })).await;
    }
    for query in [
        "",
        "?",
        "?app=",
        "?app=null",
        "?app=undefined",
        "?user=&tenant=&app=",
        "?state=active",
        "?user=null&tenant=undefined",
        "?userId=u1",
        "?app=demo&userId=u1",
        "?app=demo&limit=1",
        "?app=demo&cursor=x",
        "?App=demo",
        "?app=&app=demo",
        "?user=u1&user=u2",
        "?app=demo&x",
        "?app=demo&state=dead",
        "?all=true",
        "?app=*",
        "?user=%FF",
        "?app=demo&user=%20u1",
    ] {
        let (status, said) = api.delete(&format!("/v1/tokens{query}")).await;
        assert_eq!(
            (status, &said["error"]["code"]),
            (400, &json!("invalid_request")),
            "{query}"
        );
    }
    // A filter in a body is not overlooked.
    let body = Some(json!({ "user": "u1" }));
    assert_eq!(api.send("DELETE", "/v1/tokens?app=demo", body).await.0, 400);
    assert_eq!(users(api, "").await.len(), 6, "nothing was removed");

    let (status, said) = api.delete("/v1/tokens?user=u1&app=none").await;
    assert_eq!((status, &said["deleted"]), (200, &json!(0)));
    let sandbox = &scene.outside.sandbox;
    sandbox.misbehave(Endpoint::Revoke, Misbehaviour::Html500, None);
    let (_, said) = api.delete("/v1/tokens?user=u0").await;
    assert_eq!(
        (&said["deleted"], &said["more"]),
        (&json!(2), &json!(false)),
        "{said}"
    );
    assert_eq!(said["revocations"]["failed"], 2, "{said}");
    sandbox.behave();
    scene.clock.advance(std::time::Duration::from_secs(3600));
    let (_, said) = api.delete("/v1/tokens?user=u1&tenant=t1").await;
    assert_eq!(said["deleted"], 1, "{said}");
    assert_eq!(users(api, "").await, ["null/u1", "null/u2", "t1/u2"]);
    let (_, said) = api.delete("/v1/tokens?app=demo").await;
    assert_eq!(said["deleted"], 3, "{said}");
    assert!(users(api, "").await.is_empty());
    scene.end().await;
}

/// Goal: a removal says truly how the provider took it, and is made here whatever it said (O9).
/// Method: each answer of a revocation endpoint, and an app that has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o9_a_token_is_gone_here_whatever_its_provider_says() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let sandbox = &scene.outside.sandbox;
    let troubles = [
        (None, "revoked"),
        (Some(Misbehaviour::Empty400), "failed"),
        (Some(Misbehaviour::Html500), "failed"),
        (Some(Misbehaviour::CloseBefore), "failed"),
        (Some(Misbehaviour::LoseAnswer), "failed"),
        (
            Some(Misbehaviour::Redirect(307, "https://evil.example/".into())),
            "failed",
        ),
    ];
    for (trouble, expected) in troubles {
        let id = api.seed(&scene.outside, "u1").await["id"].clone();
        if let Some(trouble) = trouble.clone() {
            sandbox.misbehave(Endpoint::Revoke, trouble, None);
        }
        let path = format!("/v1/tokens/{}", id.as_str().unwrap());
        let (status, said) = api.delete(&path).await;
        assert_eq!(status, 200, "{trouble:?}: {said}");
        assert_eq!(
            said["revocation"]["result"], expected,
            "{trouble:?}: {said}"
        );
        assert_eq!(api.get(&path).await.0, 404);
        assert!(scene.on_record(expected).await >= 1);
        sandbox.behave();
        scene.clock.advance(std::time::Duration::from_secs(3600));
    }
    let issuer = &scene.outside.issuer;
    let plain = json!({
        "id": "plain", "kind": "oauth", "client_id": "demo",
        "authorization_url": format!("{issuer}/authorize"), "token_url": format!("{issuer}/token"),
    });
    let (status, said) = api.post("/v1/apps", plain).await;
    assert_eq!(status, 201, "{said}");
    let keyed = json!({ "id": "keyed", "kind": "api_key" });
    assert_eq!(api.post("/v1/apps", keyed).await.0, 201);
    for (body, expected) in [
        (
            json!({ "app": "plain", "user": "u", "access_token": "a" }),
            "not_supported",
        ),
        (
            json!({ "app": "keyed", "user": "u", "api_key": "a" }),
            "nothing_to_revoke",
        ),
    ] {
        let (_, stored) = api.put("/v1/tokens", body).await;
        let path = format!("/v1/tokens/{}", stored["id"].as_str().unwrap());
        assert_eq!(api.delete(&path).await.1["revocation"]["result"], expected);
    }
    scene.end().await;
}

/// Goal: nothing of the vault is to be had while it is locked, and all of it after.
/// Method: lock; knock at the routes that read, write and list; unlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v10_a_locked_vault_answers_locked_to_everything() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    api.seed(&scene.outside, "u1").await;
    let (_, token) = api.token("u1").await;
    assert_eq!(
        api.post("/v1/lock", json!({})).await,
        (200, json!({ "locked": true }))
    );
    let id = token["token_id"].as_str().unwrap();
    let reveal = format!("/v1/tokens/{id}/reveal");
    for (method, path, body) in [
        ("GET", "/v1/status", None),
        ("GET", "/v1/apps", None),
        ("GET", "/v1/tokens", None),
        (
            "POST",
            "/v1/token",
            Some(json!({ "app": "demo", "user": "u1" })),
        ),
        ("POST", reveal.as_str(), None),
        ("DELETE", "/v1/tokens?app=demo", None),
        ("GET", "/v1/keys", None),
        ("GET", "/v1/audit", None),
        ("POST", "/v1/lock", None),
        ("POST", "/v1/backup", None),
    ] {
        let (status, said) = api.send(method, path, body).await;
        assert_eq!(
            (status, &said["error"]["code"]),
            (503, &json!("locked")),
            "{method} {path}"
        );
    }
    let health = scene.inside.api("").get("/health").await;
    assert_eq!(health, (200, json!({ "locked": true, "version": "0.1.0" })));
    let unlock = json!({ "passphrase": PASSPHRASE });
    assert_eq!(
        api.post("/v1/unlock", unlock).await,
        (200, json!({ "locked": false }))
    );
    let (_, again) = api.token("u1").await;
    assert_eq!(again["access_token"], token["access_token"]);
    scene.end().await;
}
