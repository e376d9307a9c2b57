//! Tokens over the API: stored, shown, listed in pages, revealed, removed (DESIGN 5).

use serde_json::{Value, json};
use strongroom::sandbox::{Endpoint, Misbehaviour};

use crate::scene::Scene;
use crate::support::{Api, PASSPHRASE};

async fn store(api: &Api, user: &str, more: Value) -> Value {
    let mut body = json!({ "app": "demo", "user": user, "access_token": format!("at-{user}") });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let (status, said) = api.put("/v1/tokens", body).await;
    assert_eq!(status, 200, "{said}");
    said
}

async fn users(api: &Api, query: &str) -> Vec<String> {
    let (status, said) = api.get(&format!("/v1/tokens?{query}")).await;
    assert_eq!(status, 200, "{query}: {said}");
    let mut found: Vec<String> = said["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| format!("{}/{}", token["tenant"], token["user"]).replace('"', ""))
        .collect();
    found.sort();
    found
}

/// Goal: each route does its job, and a summary has every field and no secret.
/// Method: one token from upload to removal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_from_upload_to_removal() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let stored = api.seed(&scene.outside, "u1").await;
    let names: Vec<&String> = stored.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "account",
            "app",
            "created_at",
            "expires_at",
            "granted_by",
            "has_refresh_token",
            "id",
            "kind",
            "last_refresh_error",
            "last_refreshed_at",
            "reason",
            "requested_scopes",
            "scopes",
            "state",
            "subject",
            "tenant",
            "type",
            "user",
        ]
    );
    assert_eq!(
        (&stored["state"], &stored["kind"]),
        (&json!("active"), &json!("oauth"))
    );
    let id = stored["id"].as_str().unwrap();
    let path = format!("/v1/tokens/{id}");
    assert_eq!(api.get(&path).await, (200, stored.clone()));

    let (status, shown) = api
        .post(&format!("{path}/reveal"), json!({ "reason": "audit" }))
        .await;
    assert_eq!(status, 200, "{shown}");
    let (_, fetched) = api.token("u1").await;
    assert_eq!(shown["access_token"], fetched["access_token"]);
    assert!(shown["refresh_token"].is_string());
    assert_eq!(shown["history"][0]["what"], "uploaded");
    let entry = &scene.record().await[1..6];
    let entry = entry
        .iter()
        .find(|entry| entry["action"] == "reveal")
        .unwrap();
    assert_eq!(
        (&entry["reason"], &entry["token"]),
        (&json!("audit"), &json!(id))
    );
    // Without a body as well.
    let bearer = format!("Bearer {}", api.key);
    let auth = [("authorization", bearer.as_str())];
    let bare = api
        .raw("POST", &format!("{path}/reveal"), &auth, vec![])
        .await;
    assert_eq!(bare.status, 200);

    let (status, said) = api.post(&format!("{path}/refresh"), json!({})).await;
    assert_eq!((status, &said["outcome"]), (200, &json!("ok")), "{said}");
    assert_eq!(scene.outside.sandbox.counts().refreshes_ok, 1);
    assert!(said["token"]["last_refreshed_at"].is_string());
    let (_, renewed) = api.token("u1").await;
    assert_ne!(renewed["access_token"], fetched["access_token"]);
    assert_eq!(renewed["token_id"], id);

    let with_refresh = json!({ "app": "demo", "user": "u1", "with_refresh_token": true });
    let (_, both) = api.post("/v1/token", with_refresh).await;
    assert!(both["refresh_token"].is_string(), "{both}");

    let (status, said) = api.delete(&path).await;
    assert_eq!(status, 200);
    assert_eq!(
        said,
        json!({ "deleted": true, "revocation": { "result": "revoked", "message": null } })
    );
    for (method, rest) in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/refresh"),
        ("POST", "/reveal"),
    ] {
        let (status, said) = api.send(method, &format!("{path}{rest}"), None).await;
        assert_eq!(
            (status, &said["error"]["code"]),
            (404, &json!("not_found")),
            "{method}"
        );
    }
    scene.end().await;
}

/// Goal: what cannot be a token is not stored. Method: a table of wishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_checked() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let keyed = json!({ "id": "keyed", "kind": "api_key" });
    assert_eq!(api.post("/v1/apps", keyed).await.0, 201);
    let wrong = [
        (400, json!({ "app": "demo", "user": "u" })),
        (400, json!({ "app": "demo", "access_token": "a" })),
        (
            400,
            json!({ "app": "demo", "user": "u", "access_token": "" }),
        ),
        (400, json!({ "app": "demo", "user": "u", "api_key": "k" })),
        (
            400,
            json!({ "app": "keyed", "user": "u", "access_token": "a" }),
        ),
        (
            400,
            json!({ "app": "keyed", "user": "u", "api_key": "k", "access_token": "a" }),
        ),
        (
            400,
            json!({ "app": "keyed", "user": "u", "api_key": "k\n" }),
        ),
        (
            400,
            json!({ "app": "keyed", "user": "u", "api_key": "k", "verify_refresh": true }),
        ),
        (
            400,
            json!({ "app": "demo", "user": "u", "access_token": "a", "verify_refresh": true }),
        ),
        (
            400,
            json!({ "app": "demo", "user": "u", "access_token": "a", "expires_at": "soon" }),
        ),
        (
            400,
            json!({ "app": "demo", "user": "u", "access_token": "x".repeat(65_537) }),
        ),
        (
            404,
            json!({ "app": "none", "user": "u", "access_token": "a" }),
        ),
        (
            400,
            json!({ "app": "../x", "user": "u", "access_token": "a" }),
        ),
    ];
    for (expected, body) in wrong {
        let shown = body.to_string();
        let (status, said) = api.put("/v1/tokens", body).await;
        assert_eq!(
            status,
            expected,
            "{}: {said}",
            &shown[..shown.len().min(90)]
        );
    }
    let bad = json!({
        "app": "demo", "user": "u", "refresh_token": "spent-long-ago", "verify_refresh": true,
    });
    let (status, said) = api.put("/v1/tokens", bad).await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (502, &json!("provider_refused")),
        "{said}"
    );
    assert!(users(api, "").await.is_empty(), "nothing was kept");
    let long = json!({ "app": "keyed", "user": "u", "api_key": "x".repeat(65_536) });
    assert_eq!(api.put("/v1/tokens", long).await.0, 200);
    scene.end().await;
}

/// Goal: a list comes in pages of the size asked for, each token once, and by filter.
/// Method: 25 tokens in three levels and two apps, read one at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_comes_in_pages_and_by_filter() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let second = json!({ "id": "second", "kind": "api_key" });
    assert_eq!(api.post("/v1/apps", second).await.0, 201);
    for n in 0..10 {
        store(api, &format!("u{n}"), json!({})).await;
        store(api, &format!("u{n}"), json!({ "tenant": "t1" })).await;
    }
    for n in 0..4 {
        let body = json!({ "app": "second", "user": format!("u{n}"), "api_key": "k" });
        assert_eq!(api.put("/v1/tokens", body).await.0, 200);
    }
    let tenant = json!({ "app": "demo", "tenant": "t1", "access_token": "a" });
    assert_eq!(api.put("/v1/tokens", tenant).await.0, 200);

    for query in ["", "app=demo", "tenant=t1", "user=u3", "app=demo&tenant=t1"] {
        let whole = users(api, query).await;
        let mut found = Vec::new();
        let mut cursor = String::new();
        for _ in 0..30 {
            let path = format!("/v1/tokens?{query}&limit=1&cursor={cursor}");
            let (status, said) = api.get(&path).await;
            assert_eq!(status, 200, "{said}");
            let tokens = said["tokens"].as_array().unwrap();
            assert!(tokens.len() <= 1);
            for token in tokens {
                let name = format!("{}/{}", token["tenant"], token["user"]);
                found.push(name.replace('"', ""));
            }
            match said["cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        found.sort();
        assert_eq!(found, whole, "{query}");
    }
    assert_eq!(users(api, "").await.len(), 25);
    assert_eq!(users(api, "app=demo").await.len(), 21);
    assert_eq!(users(api, "tenant=t1").await.len(), 11);
    assert_eq!(users(api, "user=u3").await, ["null/u3", "null/u3", "t1/u3"]);
    assert_eq!(users(api, "tenant=t1&user=u3").await, ["t1/u3"]);
    assert_eq!(users(api, "app=second&user=u9").await.len(), 0);
    assert_eq!(
        users(api, "app=null&user=undefined&tenant=").await.len(),
        25
    );
    assert_eq!(users(api, "app=none").await.len(), 0);
    assert_eq!(users(api, "state=active").await.len(), 25);
    assert_eq!(users(api, "state=reconnect_required").await.len(), 0);

    let (_, page) = api.get("/v1/tokens?app=demo&limit=1").await;
    let cursor = page["cursor"].as_str().unwrap();
    for wrong in [
        format!("app=second&cursor={cursor}"),
        format!("tenant=t1&cursor={cursor}"),
        format!("app=demo&cursor={}", &cursor[1..]),
        "cursor=x".into(),
        "cursor=%20".into(),
        "limit=0".into(),
        "limit=1001".into(),
        "limit=x".into(),
        "limit=-1".into(),
        "state=dead".into(),
        "apps=demo".into(),
        "app=demo&app=second".into(),
        "app=a%2Fb".into(),
    ] {
        let (status, said) = api.get(&format!("/v1/tokens?{wrong}")).await;
        assert_eq!(
            (status, &said["error"]["code"]),
            (400, &json!("invalid_request")),
            "{wrong}"
        );
    }
    scene.end().await;
}

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
