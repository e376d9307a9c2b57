//! JWTs of a configured issuer as callers, over the native API and in the words of Descope's
//! clients: each user is confined to its own tokens, by the key of the issuer.

mod descope;

use std::time::Duration;

use serde_json::{Value, json};

use crate::issuer::{Issuer, Mood, Signer};
use crate::scene::{Link, Scene};
use crate::support::Api;

/// A scene with an issuer, a key for it, and tokens of several owners.
struct Stage {
    scene: Scene,
    signer: Signer,
    issuer: Issuer,
    key: String,
}

impl Stage {
    /// `more` is laid over the key.
    async fn with(more: Value) -> Self {
        let scene = Scene::new().await;
        let signer = Signer::new("ES256", "first");
        let issuer = Issuer::start(&[&signer]).await;
        let mut stage = Self {
            scene,
            signer,
            issuer,
            key: String::new(),
        };
        stage.key = stage.add("vault", more).await;
        for owner in [
            json!({ "user": "alice" }),
            json!({ "user": "bob" }),
            json!({ "user": "alice", "tenant": "t1" }),
            json!({ "user": "alice", "tenant": "t2" }),
            json!({ "tenant": "t1" }),
            json!({ "tenant": "t2" }),
        ] {
            stage.store(&owner).await;
        }
        stage
    }

    async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// A key for tokens of this audience; its id comes back.
    async fn add(&self, audience: &str, more: Value) -> String {
        let (status, said) = self
            .scene
            .admin
            .post("/v1/keys", self.wish(audience, more))
            .await;
        assert_eq!(status, 200, "{said}");
        said["id"].as_str().unwrap().to_owned()
    }

    fn wish(&self, audience: &str, more: Value) -> Value {
        let mut body = json!({
            "name": "Agents", "role": "server", "connect_verify": ["code"],
            "jwt": { "issuer": self.issuer.url, "audiences": [audience] },
        });
        for (name, value) in more.as_object().unwrap() {
            match value.as_object() {
                Some(fields) => {
                    for (field, value) in fields {
                        body[name][field] = value.clone();
                    }
                }
                None => body[name] = value.clone(),
            }
        }
        body
    }

    async fn store(&self, owner: &Value) {
        let mut body = owner.clone();
        body["app"] = json!("demo");
        body["access_token"] = json!(value_of(owner));
        body["scopes"] = json!(["calendar.read"]);
        let end = self.scene.clock.now().plus(Duration::from_secs(86_400));
        body["expires_at"] = json!(end.to_string());
        let (status, said) = self.scene.admin.put("/v1/tokens", body).await;
        assert_eq!(status, 200, "{said}");
    }

    fn claims(&self, user: &str, more: &Value) -> Value {
        let now = self.scene.clock.now().unix_ms() / 1000;
        let mut claims = json!({
            "iss": self.issuer.url, "aud": "vault", "sub": user, "exp": now + 300,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn jwt(&self, user: &str, more: &Value) -> String {
        self.signer.token(&self.claims(user, more))
    }

    fn api(&self, user: &str, more: &Value) -> Api {
        self.scene.inside.api(&self.jwt(user, more))
    }
}

/// What is stored for an owner.
fn value_of(owner: &Value) -> String {
    let part = |name: &str| owner[name].as_str().unwrap_or("none").to_owned();
    format!("token-of-{}-{}", part("tenant"), part("user"))
}

/// Fetches an owner's token: the status, and the token where one came.
async fn fetch(api: &Api, owner: &Value) -> (u16, Option<String>) {
    let mut body = owner.clone();
    body["app"] = json!("demo");
    let (status, said) = api.post("/v1/token", body).await;
    (status, said["access_token"].as_str().map(str::to_owned))
}

/// Goal: a user gets its own tokens, without a tenant and within its tenants, and nobody else's;
/// tenants' own only where the operator says so. Method: each owner, by two keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_opens_its_own_users_tokens_and_nobody_elses() {
    let stage = Stage::new().await;
    let generous = stage
        .add("tenants", json!({ "jwt": { "tenant_tokens": true } }))
        .await;
    let of_t1 = json!({ "tenants": { "t1": { "roles": [] } } });
    let own = stage.api("alice", &of_t1);
    let also = json!({ "tenants": ["t1"], "aud": ["tenants"] });
    let also = stage.api("alice", &also);
    for (owner, by_own, by_also) in [
        (json!({ "user": "alice" }), 200, 200),
        (json!({ "user": "alice", "tenant": "t1" }), 200, 200),
        (json!({ "user": "alice", "tenant": "t2" }), 403, 403),
        (json!({ "user": "bob" }), 403, 403),
        (json!({ "user": "bob", "tenant": "t1" }), 403, 403),
        (json!({ "tenant": "t1" }), 403, 200),
        (json!({ "tenant": "t2" }), 403, 403),
    ] {
        for (api, expected) in [(&own, by_own), (&also, by_also)] {
            let value = (expected == 200).then(|| value_of(&owner));
            assert_eq!(fetch(api, &owner).await, (expected, value), "{owner}");
        }
    }
    // No tenant named in the token: none is its own.
    let without = stage.api("alice", &json!({}));
    let within = json!({ "user": "alice", "tenant": "t1" });
    assert_eq!(fetch(&without, &within).await.0, 403);
    let (status, listed) = own.get("/v1/tokens").await;
    assert_eq!(
        (status, listed["tokens"].as_array().unwrap().len()),
        (200, 2)
    );
    let record = stage.scene.record().await;
    let by = |name: String| record.iter().any(|entry| entry["caller"] == name.as_str());
    assert!(by(format!("jwt:{}:alice", stage.key)) && by(format!("jwt:{generous}:alice")));
    stage.scene.end().await;
}

/// Goal: what is not about a user's own tokens is not for a JWT, whatever else. Method: every such
/// route, and tokens of others by their ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_is_good_for_its_own_users_tokens_alone() {
    let all = json!([{ "actions":
        ["apps_read", "connect", "delete", "fetch", "list", "refresh", "store"] }]);
    let stage = Stage::with(json!({ "grants": all, "role": null })).await;
    let alice = stage.api("alice", &json!({}));
    for (method, path, body) in [
        ("GET", "/v1/status", None),
        ("GET", "/v1/keys", None),
        (
            "POST",
            "/v1/keys",
            Some(json!({ "name": "n", "role": "reader" })),
        ),
        ("GET", "/v1/audit", None),
        ("POST", "/v1/lock", Some(json!({}))),
        ("POST", "/v1/compact", Some(json!({}))),
        (
            "POST",
            "/v1/apps",
            Some(json!({ "id": "x", "kind": "api_key", "name": "X" })),
        ),
        ("DELETE", "/v1/apps/demo", None),
    ] {
        assert_eq!(
            alice.send(method, path, body).await.0,
            403,
            "{method} {path}"
        );
    }
    let ask = json!({ "app": "demo", "user": "alice", "with_refresh_token": true });
    assert_eq!(alice.post("/v1/token", ask).await.0, 403);
    let (_, listed) = stage.scene.admin.get("/v1/tokens?user=bob").await;
    let bobs = listed["tokens"][0]["id"].as_str().unwrap();
    for (method, rest) in [("GET", ""), ("DELETE", ""), ("POST", "/refresh")] {
        let path = format!("/v1/tokens/{bobs}{rest}");
        let body = (method == "POST").then(|| json!({}));
        assert_eq!(
            alice.send(method, &path, body).await.0,
            404,
            "{method} {path}"
        );
    }
    assert_eq!(
        alice
            .post(&format!("/v1/tokens/{bobs}/reveal"), json!({}))
            .await
            .0,
        403
    );
    let store = |user: &str| json!({ "app": "demo", "user": user, "access_token": "new" });
    assert_eq!(alice.put("/v1/tokens", store("bob")).await.0, 403);
    assert_eq!(alice.put("/v1/tokens", store("alice")).await.0, 200);
    // A filter that names everybody's removes one's own.
    assert_eq!(alice.delete("/v1/tokens?app=demo").await.0, 200);
    let (_, left) = stage.scene.admin.get("/v1/tokens").await;
    let of_alice = |token: &&Value| token["user"] == "alice" && token["tenant"].is_null();
    let left = left["tokens"].as_array().unwrap();
    assert_eq!((left.len(), left.iter().filter(of_alice).count()), (5, 0));
    stage.scene.end().await;
}

/// Goal: a list of a JWT's user is its own, page by page, and its cursor is of no other record.
/// Method: pages of one; an access key's cursor, and cursors that are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwts_list_is_its_own_to_the_cursor() {
    let stage = Stage::new().await;
    stage
        .add("tenants", json!({ "jwt": { "tenant_tokens": true } }))
        .await;
    let alice = stage.api(
        "alice",
        &json!({ "tenants": ["t1", "t9"], "aud": "tenants" }),
    );
    let (mut seen, mut path) = (Vec::new(), "/v1/tokens?limit=1".to_owned());
    loop {
        let (status, said) = alice.get(&path).await;
        assert_eq!(status, 200, "{said}");
        for token in said["tokens"].as_array().unwrap() {
            seen.push((token["tenant"].clone(), token["user"].clone()));
        }
        let Some(cursor) = said["cursor"].as_str() else {
            break;
        };
        path = format!("/v1/tokens?limit=1&cursor={cursor}");
    }
    let expected = [
        (json!(null), json!("alice")),
        (json!("t1"), json!("alice")),
        (json!("t1"), json!(null)),
    ];
    assert_eq!(seen, expected);
    let (_, all) = stage.scene.admin.get("/v1/tokens?limit=1").await;
    let foreign = all["cursor"].as_str().unwrap();
    for cursor in [
        foreign,
        "0.",
        "x.y",
        &format!("0.{foreign}"),
        "9999999999999999999999.a",
    ] {
        let path = format!("/v1/tokens?limit=1&cursor={cursor}");
        assert_eq!(alice.get(&path).await.0, 400, "{cursor}");
    }
    let (_, bobs) = alice.get("/v1/tokens?user=bob").await;
    assert_eq!(bobs["tokens"], json!([]));
    stage.scene.end().await;
}

/// Goal: a JWT's user makes connect links for itself, and sees no other user's, though both come by
/// one key. Method: two users, one link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwts_user_makes_links_for_itself_and_sees_no_other_users() {
    let stage = Stage::new().await;
    let (alice, bob) = (stage.api("alice", &json!({})), stage.api("bob", &json!({})));
    let wish = json!({ "apps": [{ "app": "demo" }], "user": "alice" });
    assert_eq!(bob.post("/v1/connect", wish.clone()).await.0, 403);
    let (status, said) = alice.post("/v1/connect", wish).await;
    assert_eq!(status, 201, "{said}");
    let path = format!("/v1/connect/{}", Link::of(&said).id);
    assert_eq!(alice.get(&path).await.0, 200);
    assert_eq!(bob.get(&path).await.0, 404);
    assert_eq!(bob.delete(&path).await.0, 404);
    assert_eq!(stage.scene.admin.get(&path).await.0, 404);
    assert_eq!(alice.delete(&path).await.1["status"], "withdrawn");
    stage.scene.end().await;
}

/// Goal: a token that is not good is answered byte for byte like an unknown key, and one that lacks
/// a scope by name. Method: both tongues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_that_is_not_good_is_answered_like_an_unknown_key() {
    let stage = Stage::with(json!({ "jwt": { "scope": "fetch" } })).await;
    let own = stage.jwt("alice", &json!({ "scope": "fetch" }));
    let other = Signer::new("ES256", "first").token(&stage.claims("alice", &json!({})));
    let late = stage.jwt("alice", &json!({ "scope": "fetch", "exp": 5 }));
    let api = stage.scene.inside.api("");
    for (path, body) in [
        ("/v1/token", r#"{"app":"demo","user":"alice"}"#),
        (
            "/v1/mgmt/outbound/app/user/token/latest",
            r#"{"appId":"demo","userId":"alice"}"#,
        ),
    ] {
        let ask = async |bearer: &str| {
            let bearer = format!("Bearer {bearer}");
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", "application/json"),
            ];
            api.raw("POST", path, &headers, body.into()).await
        };
        assert_eq!(ask(&own).await.status, 200);
        let unknown = ask("sr_0123456789abcdef_x").await;
        assert_eq!(unknown.status, 401);
        for bad in [&other, &late, "a.b.c", "eyJ.eyJ.eyJ"] {
            assert_eq!(ask(bad).await, unknown, "{bad}");
        }
        let narrow = stage.jwt("alice", &json!({ "scope": "other" }));
        assert_eq!(ask(&narrow).await.status, 403);
    }
    stage.scene.end().await;
}

/// Goal: an issuer out of reach is said to be so; a key that is removed takes its tokens along, and
/// a lock does for JWTs what it does for keys. Method: one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_out_of_reach_a_removed_key_and_a_lock_are_told_apart() {
    let stage = Stage::new().await;
    let alice = json!({ "user": "alice" });
    stage.issuer.be(Mood::Down);
    let body = br#"{"app":"demo","user":"alice"}"#.to_vec();
    let bearer = format!("Bearer {}", stage.jwt("alice", &json!({})));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let api = stage.scene.inside.api("");
    let said = api.raw("POST", "/v1/token", &headers, body).await;
    assert_eq!(said.json()["error"]["code"], "unavailable");
    assert_eq!((said.status, said.header("retry-after")), (503, Some("10")));
    stage.issuer.be(Mood::Well);
    stage.scene.clock.advance(Duration::from_secs(10));
    assert_eq!(fetch(&stage.api("alice", &json!({})), &alice).await.0, 200);
    // A new key of the issuer's is found.
    let second = Signer::new("EdDSA", "second");
    stage.issuer.publish(&[&second]);
    stage.scene.clock.advance(Duration::from_secs(10));
    let jwt = second.token(&stage.claims("alice", &json!({})));
    assert_eq!(fetch(&stage.scene.inside.api(&jwt), &alice).await.0, 200);

    let path = format!("/v1/keys/{}", stage.key);
    assert_eq!(stage.scene.admin.delete(&path).await.0, 200);
    assert_eq!(fetch(&stage.scene.inside.api(&jwt), &alice).await.0, 401);
    stage.add("vault", json!({})).await;
    assert_eq!(fetch(&stage.scene.inside.api(&jwt), &alice).await.0, 200);
    assert_eq!(stage.scene.admin.post("/v1/lock", json!({})).await.0, 200);
    let (status, said) = stage.scene.inside.api(&jwt).get("/v1/apps").await;
    assert_eq!((status, &said["error"]["code"]), (503, &json!("locked")));
    stage.scene.end().await;
}

/// Goal: a key for JWTs is made without a secret, shown with its rule, and refused where it could
/// not work or another takes its tokens. Method: the API for keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_for_jwts_has_a_rule_and_no_secret() {
    let stage = Stage::new().await;
    let admin = &stage.scene.admin;
    let (status, made) = admin
        .post("/v1/keys", stage.wish("second", json!({})))
        .await;
    assert_eq!((status, made.get("key")), (200, None), "{made}");
    let rule = json!({
        "issuer": stage.issuer.url, "audiences": ["second"], "no_audience": false,
        "jwks_url": null, "user_claim": "sub", "tenants_claim": "tenants", "scope": null,
        "tenant_tokens": false,
    });
    assert_eq!(made["jwt"], rule);
    let (_, list) = admin.get("/v1/keys").await;
    assert!(list["keys"].as_array().unwrap().contains(&made), "{list}");
    for (expected, more) in [
        (409, json!({})),
        (409, json!({ "jwt": { "audiences": ["x", "vault"] } })),
        (400, json!({ "jwt": { "audiences": [] } })),
        (400, json!({ "jwt": { "issuer": "no-url" } })),
        (400, json!({ "jwt": { "jwks_url": "ftp://x" } })),
        (400, json!({ "jwt": { "algorithm": "none" } })),
        (400, json!({ "role": "admin" })),
        (400, json!({ "role": "operator" })),
    ] {
        let (status, said) = admin
            .post("/v1/keys", stage.wish("vault", more.clone()))
            .await;
        assert_eq!(status, expected, "{more}: {said}");
    }
    // A key that no JWT could make keys by is not the last that can.
    let (_, first) = admin.get("/v1/keys").await;
    let keys = first["keys"].as_array().unwrap();
    let admins = keys.iter().find(|key| key["role"] == "admin").unwrap();
    let path = format!("/v1/keys/{}", admins["id"].as_str().unwrap());
    assert_eq!(admin.delete(&path).await.0, 409);
    // What it is not: a key with a guessable secret.
    let id = made["id"].as_str().unwrap();
    for secret in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let api = stage.scene.inside.api(&format!("sr_{id}_{secret}"));
        assert_eq!(api.get("/v1/apps").await.0, 401);
    }
    stage.scene.end().await;
}
