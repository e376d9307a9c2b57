//! Tokens and keys that are uploaded, one and many.

use serde_json::{Value, json};
use strongroom::sandbox::{Endpoint, Misbehaviour};

use super::{CREATE, Client, TENANT_LATEST, UPLOAD, UPLOAD_TENANT, USER, USER_LATEST, set_up};
use crate::scene::Scene;

const BATCH: &str = "/v1/mgmt/outbound/app/user/oauthtoken/batch/upload";
const BATCH_TENANT: &str = "/v1/mgmt/outbound/app/tenant/oauthtoken/batch/upload";

pub async fn stored(scene: &Scene) -> usize {
    let (status, said) = scene.admin.get("/v1/tokens?limit=1000").await;
    assert_eq!(status, 200, "{said}");
    said["tokens"].as_array().unwrap().len()
}

/// Goal: a key is handed out to its owner as an access token without an end. Method: one for a
/// user and one for a tenant; a key for an OAuth app, a token for a key's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_is_stored_for_a_user_and_for_a_tenant() {
    let (scene, client) = set_up().await;
    let app = json!({ "id": "weather", "name": "Weather", "appType": "apikey" });
    assert_eq!(client.post(CREATE, app).await.0, 200);
    let path = |level: &str| format!("/v1/mgmt/outbound/app/{level}/apikey/upload");
    let of_user = json!({ "appId": "weather", "userId": "u1", "apiKey": "k-user" });
    client.done(&path("user"), of_user).await;
    let of_tenant = json!({ "appId": "weather", "tenantId": "t1", "apiKey": "k-tenant" });
    client.done(&path("tenant"), of_tenant).await;
    for (at, ask, value) in [
        (
            USER_LATEST,
            json!({ "appId": "weather", "userId": "u1" }),
            "k-user",
        ),
        (
            USER,
            json!({ "appId": "weather", "userId": "u1", "scopes": ["x"] }),
            "k-user",
        ),
        (
            TENANT_LATEST,
            json!({ "appId": "weather", "tenantId": "t1" }),
            "k-tenant",
        ),
    ] {
        let token = client.token(at, ask).await;
        assert_eq!(
            (&token["accessToken"], &token["scopes"]),
            (&json!(value), &json!([]))
        );
        assert!(token.get("accessTokenExpiry").is_none(), "{token}");
        assert_eq!(token["hasRefreshToken"], false);
    }
    for (at, body) in [
        (
            path("user"),
            json!({ "appId": "demo", "userId": "u1", "apiKey": "k" }),
        ),
        (
            path("user"),
            json!({ "appId": "weather", "userId": "u1", "apiKey": "" }),
        ),
        (path("user"), json!({ "appId": "weather", "apiKey": "k" })),
        (path("user"), json!({ "userId": "u1", "apiKey": "k" })),
        (
            path("tenant"),
            json!({ "appId": "weather", "userId": "u1", "apiKey": "k" }),
        ),
        (
            UPLOAD.into(),
            json!({ "appId": "weather", "userId": "u1", "accessToken": "a" }),
        ),
    ] {
        let (status, said) = client.post(&at, body.clone()).await;
        assert_eq!(status, 400, "{body}: {said}");
    }
    let (status, said) = client
        .post(
            &path("user"),
            json!({ "appId": "none", "userId": "u1", "apiKey": "k" }),
        )
        .await;
    assert_eq!(
        (status, &said["errorCode"]),
        (404, &json!("S000404")),
        "{said}"
    );
    scene.end().await;
}

/// Goal: what comes with an upload comes back with a fetch. Method: every field, for a user and a
/// tenant, the end as a number and as text; then uploads that lack what they need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_handed_out_with_all_that_was_said_of_it() {
    let (scene, client) = set_up().await;
    let end = 1_790_009_000;
    let full = json!({
        "appId": "demo", "userId": "u1", "tenantId": "t1", "accessToken": "at-1",
        "refreshToken": "rt-1", "accessTokenExpiry": end, "accessTokenType": "DPoP",
        "scopes": ["a", "b"], "externalIdentifier": "work", "idToken": "id-1",
        "grantedBy": "u7", "verifyRefresh": false,
    });
    for (upload, fetch, said) in [
        (UPLOAD, USER_LATEST, json!(end)),
        (UPLOAD_TENANT, TENANT_LATEST, json!(end.to_string())),
    ] {
        let mut body = full.clone();
        body["accessTokenExpiry"] = said;
        client.done(upload, body.clone()).await;
        body["options"] = json!({ "withRefreshToken": true });
        let token = client.token(fetch, body).await;
        for name in [
            "appId",
            "tenantId",
            "accessToken",
            "refreshToken",
            "accessTokenType",
            "scopes",
            "externalIdentifier",
            "grantedBy",
        ] {
            assert_eq!(token[name], full[name], "{upload}: {name}");
        }
        assert_eq!(token["accessTokenExpiry"], json!(end.to_string()));
        assert_eq!(token["hasRefreshToken"], true);
    }
    // Go and PHP say what they do not know as nothing.
    let bare = json!({
        "appId": "demo", "userId": "u2", "tenantId": "", "accessToken": "at-2",
        "refreshToken": "", "accessTokenExpiry": 0, "accessTokenType": "", "scopes": null,
        "externalIdentifier": "", "idToken": "", "grantedBy": "", "verifyRefresh": false,
    });
    client.done(UPLOAD, bare).await;
    let token = client
        .token(USER_LATEST, json!({ "appId": "demo", "userId": "u2" }))
        .await;
    assert!(token.get("accessTokenExpiry").is_none(), "{token}");
    assert_eq!(token["accessTokenType"], "Bearer");
    for body in [
        json!({ "appId": "demo", "userId": "u3" }),
        json!({ "appId": "demo", "accessToken": "a" }),
        json!({ "userId": "u3", "accessToken": "a" }),
        json!({ "appId": "demo", "userId": "u3", "accessToken": "a", "verifyRefresh": true }),
        json!({ "appId": "demo", "userId": "u3", "accessToken": "a", "accessTokenExpiry": "soon" }),
        json!({ "appId": "demo", "userId": "u3", "accessToken": "a",
            "accessTokenExpiry": 1_790_009_000_000_u64 }),
        json!({ "appId": "demo", "userId": "u3", "accessToken": ["a"] }),
    ] {
        let (status, said) = client.post(UPLOAD, body.clone()).await;
        assert_eq!(status, 400, "{body}: {said}");
    }
    assert_eq!(stored(&scene).await, 3);
    scene.end().await;
}

/// Goal: a refresh token that is to be tried is stored if it works, and not otherwise. Method: one
/// of the sandbox, one that it never saw, and one that it is too ill to try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_tried_first_where_that_is_asked_for() {
    let (scene, client) = set_up().await;
    let tried = |user: &str, refresh: &str| {
        let of = |name: &str| json!({ "appId": "demo", "userId": name, "verifyRefresh": true });
        let mut body = of(user);
        body["refreshToken"] = json!(refresh);
        body
    };
    let issued = scene
        .outside
        .sandbox
        .grant("demo", "u1", &["calendar.read"]);
    client
        .done(UPLOAD, tried("u1", issued.refresh_token.expose()))
        .await;
    assert_eq!(scene.outside.sandbox.counts().refreshes_ok, 1);
    let token = client
        .token(USER_LATEST, json!({ "appId": "demo", "userId": "u1" }))
        .await;
    assert!(token["lastRefreshTime"].is_string(), "{token}");
    let (status, said) = client.post(UPLOAD, tried("u2", "spent-long-ago")).await;
    assert_eq!(
        (status, &said["errorCode"]),
        (400, &json!("E011004")),
        "{said}"
    );
    client
        .no_token(USER_LATEST, json!({ "appId": "demo", "userId": "u2" }))
        .await;
    let sandbox = &scene.outside.sandbox;
    sandbox.misbehave(Endpoint::Token, Misbehaviour::Html500, None);
    let untried = sandbox.grant("demo", "u3", &[]).refresh_token;
    let answer = client.raw("POST", UPLOAD, Some(tried("u3", untried.expose())));
    let answer = answer.await;
    assert_eq!(
        (answer.status, &answer.json()["errorCode"]),
        (502, &json!("S000502")),
        "{answer:?}"
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(stored(&scene).await, 1);
    scene.end().await;
}

/// Goal: one bad item, and nothing of a batch is stored; the bad ones are named, each with a
/// reason; without one, all are. Method: batches with every kind of fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let (scene, client) = set_up().await;
    let item = |user: &str, app: &str| json!({ "appId": app, "userId": user, "accessToken": "a" });
    let mut long = item("u9", "demo");
    long["accessToken"] = json!("x".repeat(65_536));
    long["refreshToken"] = json!("");
    let by_itself = json!({ "tokens": [item("u1", "demo"), { "appId": "demo", "userId": "u2" },
        { "userId": "u3", "accessToken": "a" }, long] });
    let by_vault = json!({ "tokens": [item("u1", "demo"), item("u2", "none"),
        item("u1", "demo"), item("u4", "a/b")] });
    for (batch, wrong) in [
        (by_itself, vec![("demo", "u2"), ("", "u3")]),
        (by_vault, vec![("a/b", "u4")]),
        (
            json!({ "tokens": [item("u1", "demo"), item("u2", "none"), item("u1", "demo")] }),
            vec![("none", "u2"), ("demo", "u1")],
        ),
    ] {
        let (status, said) = client.post(BATCH, batch).await;
        assert_eq!(status, 200, "{said}");
        let failures = said["failures"].as_array().unwrap();
        let named: Vec<(&str, &str)> = failures
            .iter()
            .map(|f| (f["appId"].as_str().unwrap(), f["userId"].as_str().unwrap()))
            .collect();
        assert_eq!(named, wrong, "{said}");
        for failure in failures {
            let names: Vec<&String> = failure.as_object().unwrap().keys().collect();
            assert_eq!(names, ["appId", "errorCode", "reason", "userId"]);
            assert_eq!(failure["errorCode"], "E152110");
            assert!(!failure["reason"].as_str().unwrap().is_empty());
        }
        assert_eq!(stored(&scene).await, 0, "{said}");
    }
    let many: Vec<Value> = (0..300).map(|n| item(&format!("u{n}"), "demo")).collect();
    let (status, said) = client.post(BATCH, json!({ "tokens": many })).await;
    assert_eq!((status, said), (200, json!({ "failures": [] })));
    let tenants = json!({ "tokens": [{ "appId": "demo", "tenantId": "t1", "accessToken": "t" }] });
    let (status, said) = client.post(BATCH_TENANT, tenants).await;
    assert_eq!((status, said), (200, json!({ "failures": [] })));
    assert_eq!(stored(&scene).await, 301);
    let token = client
        .token(USER_LATEST, json!({ "appId": "demo", "userId": "u299" }))
        .await;
    assert_eq!(token["accessToken"], "a");
    // Stored over what is there, the records stay as many.
    let (_, said) = client
        .post(BATCH, json!({ "tokens": [item("u1", "demo")] }))
        .await;
    assert_eq!(
        (said, stored(&scene).await),
        (json!({ "failures": [] }), 301)
    );
    let tenants = json!({ "tokens": [{ "appId": "demo", "userId": "u1", "accessToken": "t" }] });
    let (_, said) = client.post(BATCH_TENANT, tenants).await;
    let names: Vec<&String> = said["failures"][0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["appId", "errorCode", "reason", "tenantId"]);
    scene.end().await;
}

/// Goal: a batch that is none, or too large, is refused as a whole; an empty one is stored. Method:
/// each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_a_list_of_a_bounded_length() {
    let (scene, client) = set_up().await;
    let item = |user: &str| json!({ "appId": "demo", "userId": user, "accessToken": "a" });
    for body in [
        json!({}),
        json!({ "tokens": null }),
        json!({ "tokens": [7] }),
    ] {
        let (status, said) = client.post(BATCH, body).await;
        assert_eq!(status, 400, "{said}");
    }
    let (status, said) = client.post(BATCH, json!({ "tokens": [] })).await;
    assert_eq!((status, said), (200, json!({ "failures": [] })));
    let many: Vec<Value> = (0..1001).map(|n| item(&format!("u{n}"))).collect();
    let (status, said) = client.post(BATCH, json!({ "tokens": many })).await;
    assert_eq!(status, 400, "{said}");
    assert_eq!(stored(&scene).await, 0);
    scene.end().await;
}

/// Goal: a key stores in a batch what it may store alone, and the refusal of an item is on record.
/// Method: a key confined to one user, with an item of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_key_may_not_store_is_refused_item_by_item() {
    let (scene, _) = set_up().await;
    let grants = json!([{ "actions": ["store"], "users": ["u1"], "tenants": [] }]);
    let (mine, id) = scene.key(json!({ "name": "mine", "grants": grants })).await;
    let mine = Client::new(&scene, &mine.key).await;
    let item = |user: &str| json!({ "appId": "demo", "userId": user, "accessToken": "a" });
    let batch = json!({ "tokens": [item("u1"), item("u2")] });
    let (status, said) = mine.post(BATCH, batch).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["failures"].as_array().unwrap().len(), 1, "{said}");
    assert_eq!(said["failures"][0]["userId"], "u2");
    assert_eq!(stored(&scene).await, 0);
    let refused = scene.record().await.into_iter().any(|entry| {
        entry["caller"] == json!(format!("key:{id}"))
            && entry["user"] == "u2"
            && entry["allowed"] == false
    });
    assert!(refused, "the refusal is on record");
    assert_eq!(scene.on_record("nothing of the batch is stored").await, 1);
    let (_, said) = mine.post(BATCH, json!({ "tokens": [item("u1")] })).await;
    assert_eq!(said, json!({ "failures": [] }));
    assert_eq!(stored(&scene).await, 1);
    scene.end().await;
}
