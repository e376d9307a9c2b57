//! Access keys over the API: what they may, that none makes a greater one, and that one is always
//! left (DESIGN 9).

use std::time::Duration;

use serde_json::{Value, json};

use crate::scene::Scene;

const EVERYTHING: [&str; 13] = [
    "fetch",
    "fetch_refresh",
    "connect",
    "store",
    "list",
    "refresh",
    "reveal",
    "delete",
    "apps_read",
    "apps",
    "keys",
    "audit",
    "lock",
];

/// Goal: a key is shown once, listed without its secret, and dead when removed.
/// Method: make, list, use, remove.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_shown_once_and_dead_when_removed() {
    let scene = Scene::new().await;
    let body = json!({
        "name": "Agent", "role": "server", "connect_verify": ["code", "vouch", "code"],
        "verify_url": "https://a.example/v", "return_urls": ["https://a.example/r"],
    });
    let (status, made) = scene.admin.post("/v1/keys", body).await;
    assert_eq!(status, 200, "{made}");
    let text = made["key"].as_str().unwrap();
    let (id, secret) = text[3..].split_once('_').unwrap();
    assert!(text.starts_with("sr_") && !text.contains(':'), "{text}");
    assert_eq!((made["id"].as_str(), secret.len()), (Some(id), 43));
    let (_, list) = scene.admin.get("/v1/keys").await;
    assert!(!list.to_string().contains(secret), "{list}");
    let mut listed = made.clone();
    listed.as_object_mut().unwrap().remove("key");
    assert!(list["keys"].as_array().unwrap().contains(&listed), "{list}");
    let names: Vec<&String> = listed.as_object().unwrap().keys().collect();
    let expected = [
        "connect_verify",
        "created_at",
        "created_by",
        "expires_at",
        "grants",
        "id",
        "name",
        "return_urls",
        "role",
        "verify_url",
    ];
    assert_eq!(names, expected);
    assert_eq!(listed["connect_verify"], json!(["vouch", "code"]));

    let api = scene.inside.api(text);
    assert_eq!(api.get("/v1/apps").await.0, 200);
    let path = format!("/v1/keys/{id}");
    assert_eq!(
        scene.admin.delete(&path).await,
        (200, json!({ "deleted": true }))
    );
    assert_eq!(api.get("/v1/apps").await.0, 401);
    for gone in [path.as_str(), "/v1/keys/none", "/v1/keys/%2e%2e"] {
        assert_eq!(scene.admin.delete(gone).await.0, 404, "{gone}");
    }
    let secret_in_records = scene
        .record()
        .await
        .iter()
        .any(|e| e.to_string().contains(secret));
    assert!(!secret_in_records);
    scene.end().await;
}

/// Goal: a key that cannot be is refused. Method: a table of wishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_checked() {
    let scene = Scene::new().await;
    let past = scene.clock.now().to_string();
    let with = |name: &str, value: Value| {
        let mut key = json!({ "name": "n", "role": "reader" });
        key[name] = value;
        key
    };
    let grant = |more: Value| {
        let mut grant = json!({ "actions": ["fetch"] });
        for (name, value) in more.as_object().unwrap() {
            grant[name] = value.clone();
        }
        json!({ "name": "n", "grants": [grant] })
    };
    let many: Vec<String> = (0..1025).map(|n| format!("u{n}")).collect();
    let wrong = [
        with("name", json!(" ")),
        with("name", json!("x".repeat(1025))),
        with("role", json!("root")),
        with("role", Value::Null),
        with("expires_at", json!(past)),
        with("expires_at", json!("tomorrow")),
        with("return_urls", json!(["javascript:alert(1)"])),
        with("return_urls", json!(vec!["https://a.example/"; 33])),
        with("connect_verify", json!(["vouch"])),
        with("connect_verify", json!(["trust"])),
        with("verify_url", json!("/verify")),
        with("id", json!("mine")),
        with("key", json!("sr_a_b")),
        json!({ "name": "n", "grants": [] }),
        json!({ "name": "n", "grants": [{ "actions": ["everything"] }] }),
        json!({ "name": "n", "grants": vec![json!({ "actions": ["fetch"] }); 65] }),
        grant(json!({ "apps": "demo" })),
        grant(json!({ "users": many })),
        grant(json!({ "scope": ["a"] })),
        grant(json!({ "tenants": null })),
    ];
    for key in wrong {
        let shown = key.to_string();
        let (status, said) = scene.admin.post("/v1/keys", key).await;
        assert_eq!(status, 400, "{}: {said}", &shown[..shown.len().min(120)]);
    }
    scene.end().await;
}

/// Goal: nobody makes or removes a key that may do more than itself.
/// Method: an operator, each action and role by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_makes_a_key_that_may_do_more_than_its_maker() {
    let scene = Scene::new().await;
    let (operator, _) = scene.key(json!({ "name": "op", "role": "operator" })).await;
    let may = [
        "apps",
        "apps_read",
        "audit",
        "connect",
        "delete",
        "keys",
        "list",
        "lock",
        "refresh",
    ];
    for action in EVERYTHING {
        let key = json!({ "name": "n", "grants": [{ "actions": [action] }] });
        let (status, said) = operator.post("/v1/keys", key).await;
        let expected = if may.contains(&action) { 200 } else { 403 };
        assert_eq!(status, expected, "{action}: {said}");
    }
    for role in ["admin", "server", "reader"] {
        let key = json!({ "name": "n", "role": role });
        assert_eq!(operator.post("/v1/keys", key).await.0, 403, "{role}");
    }
    // Nor does it remove one that may do more.
    let (_, list) = scene.admin.get("/v1/keys").await;
    let admin = list["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["role"] == "admin");
    let path = format!("/v1/keys/{}", admin.unwrap()["id"].as_str().unwrap());
    assert_eq!(operator.delete(&path).await.0, 403);
    scene.end().await;
}

/// Goal: a right to make keys makes none on a part, and none that lasts longer.
/// Method: makers confined each way, and one that expires.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_makes_a_key_on_more_or_for_longer_than_its_maker() {
    let scene = Scene::new().await;
    for confined in [
        json!({ "actions": EVERYTHING, "apps": ["demo"] }),
        json!({ "actions": EVERYTHING, "tenants": ["t1"] }),
        json!({ "actions": EVERYTHING, "users": [] }),
        json!({ "actions": EVERYTHING, "scopes": ["a"] }),
    ] {
        let body = json!({ "name": "part", "grants": [confined] });
        let (part, _) = scene.key(body).await;
        let key = json!({ "name": "n", "role": "reader" });
        for (method, path) in [
            ("POST", "/v1/keys"),
            ("GET", "/v1/keys"),
            ("GET", "/v1/audit"),
        ] {
            let body = (method == "POST").then(|| key.clone());
            assert_eq!(
                part.send(method, path, body).await.0,
                403,
                "{confined} {path}"
            );
        }
        assert_eq!(part.post("/v1/lock", json!({})).await.0, 403);
    }
    let end = scene.clock.now().plus(Duration::from_secs(3600));
    let body = json!({ "name": "short", "role": "admin", "expires_at": end.to_string() });
    let (short, _) = scene.key(body).await;
    let late = end.plus(Duration::from_secs(1)).to_string();
    for (expires_at, expected) in [
        (Value::Null, 403),
        (json!(late), 403),
        (json!(end.to_string()), 200),
    ] {
        let key = json!({ "name": "n", "role": "reader", "expires_at": expires_at });
        assert_eq!(
            short.post("/v1/keys", key).await.0,
            expected,
            "{expires_at}"
        );
    }
    scene.end().await;
}

/// Goal: there is always a key left that can make keys now. Method: try to remove the last one
/// while others only seem to be able to; then remove two at once that are each other's last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_key_that_can_make_keys_stays() {
    let scene = Scene::new().await;
    let (_, list) = scene.admin.get("/v1/keys").await;
    let first = list["keys"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/keys/{first}");
    assert_eq!(scene.admin.delete(&path).await.0, 409);
    let soon = scene.clock.now().plus(Duration::from_secs(60)).to_string();
    let confined = json!([{ "actions": ["keys"], "apps": ["demo"] }]);
    for useless in [
        json!({ "name": "confined", "grants": confined }),
        json!({ "name": "short", "role": "admin", "expires_at": soon }),
        json!({ "name": "reader", "role": "reader" }),
        // It makes keys, but none that fetches, now or ever.
        json!({ "name": "operator", "role": "operator" }),
    ] {
        scene.key(useless).await;
    }
    scene.clock.advance(Duration::from_secs(60));
    let (status, said) = scene.admin.delete(&path).await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (409, &json!("conflict")),
        "{said}"
    );
    assert_eq!(scene.admin.get("/v1/keys").await.0, 200, "it works still");

    for _ in 0..5 {
        let (second, id) = scene
            .key(json!({ "name": "second", "role": "admin" }))
            .await;
        let other = format!("/v1/keys/{id}");
        let (one, two) = tokio::join!(second.delete(&path), scene.admin.delete(&other));
        let mut statuses = [one.0, two.0];
        statuses.sort_unstable();
        let first_lives = scene.admin.get("/v1/keys").await.0 == 200;
        let second_lives = second.get("/v1/keys").await.0 == 200;
        assert!(
            first_lives || second_lives,
            "nobody can make keys: {statuses:?}"
        );
        if !first_lives {
            break;
        }
        assert_eq!(
            scene.admin.delete(&other).await.0 / 100,
            if second_lives { 2 } else { 4 }
        );
    }
    scene.inside.end().await;
}
