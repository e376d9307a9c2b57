//! Tokens that are fetched: by owner, scopes and account, in the forms of each client.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, TENANT, TENANT_LATEST, UPLOAD, UPLOAD_TENANT, USER, USER_LATEST, set_up};
use crate::scene::Scene;

/// The fields of a token that does not end and was never refreshed.
const FIELDS: &str = "accessToken accessTokenType appId externalIdentifier grantedBy \
                      hasRefreshToken id lastRefreshError scopes tenantId tokenSub userId";

async fn upload(scene: &Scene, client: &Client, value: &str, more: Value) {
    // Each is newer than the one before.
    scene.clock.advance(Duration::from_secs(1));
    let mut body = json!({ "appId": "demo", "userId": "u1", "accessToken": value });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    client.done(UPLOAD, body).await;
}

/// Goal: each client is handed its token for the request that it makes. Method: the bodies of
/// Python, Node, Go, Java, PHP and Ruby, by scopes and for the latest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_client_fetches_in_its_own_form() {
    let (scene, client) = set_up().await;
    upload(&scene, &client, "at-1", json!({ "scopes": ["a"] })).await;
    let forms = [
        // Python, without and with what is optional.
        json!({ "appId": "demo", "userId": "u1", "scopes": ["a"],
            "options": null, "tenantId": null }),
        json!({ "appId": "demo", "userId": "u1", "scopes": ["a"],
            "options": { "withRefreshToken": false }, "tenantId": null }),
        // Node.
        json!({ "appId": "demo", "userId": "u1", "scopes": ["a"] }),
        // Go.
        json!({ "appId": "demo", "userId": "u1", "tenantId": "", "scopes": null,
            "options": { "withRefreshToken": false, "forceRefresh": false } }),
        // Java.
        json!({ "appId": "demo", "userId": "u1", "scopes": ["a"],
            "options": { "withRefreshToken": false, "forceRefresh": false } }),
        // PHP and Ruby leave out what is empty.
        json!({ "appId": "demo", "userId": "u1", "options": {} }),
        json!({ "appId": "demo", "userId": "u1" }),
        // And what nobody asked for.
        json!({ "appId": "demo", "userId": "u1", "scopes": [], "externalIdentifier": "undefined",
            "loginId": "x", "options": { "audience": 1 } }),
    ];
    for form in forms {
        for path in [USER, USER_LATEST] {
            let token = client.token(path, form.clone()).await;
            assert_eq!(token["accessToken"], "at-1", "{form}");
        }
    }
    let token = client
        .token(
            &format!("/{USER}"),
            json!({ "appId": "demo", "userId": "u1" }),
        )
        .await;
    let names: Vec<&String> = token.as_object().unwrap().keys().collect();
    assert_eq!(names, FIELDS.split(' ').collect::<Vec<_>>());
    for (name, value) in [
        ("appId", json!("demo")),
        ("userId", json!("u1")),
        ("tenantId", json!("")),
        ("accessTokenType", json!("Bearer")),
        ("hasRefreshToken", json!(false)),
        ("scopes", json!(["a"])),
        ("externalIdentifier", json!("")),
        ("lastRefreshError", json!("")),
    ] {
        assert_eq!(token[name], value, "{name}");
    }
    assert!(token["grantedBy"].as_str().unwrap().starts_with("key:"));
    scene.end().await;
}

/// Goal: the exact set wins over a newer superset, which wins over nothing. Method: tokens of three
/// sets; asks in any order and twice over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_by_scopes_takes_the_exact_set_and_then_a_superset() {
    let (scene, client) = set_up().await;
    upload(&scene, &client, "only-a", json!({ "scopes": ["a"] })).await;
    upload(&scene, &client, "a-and-b", json!({ "scopes": ["b", "a"] })).await;
    upload(&scene, &client, "only-c", json!({ "scopes": ["c"] })).await;
    for (asked, expected) in [
        (json!(["a"]), "only-a"),
        (json!(["a", "b"]), "a-and-b"),
        (json!(["b", "a", "b", ""]), "a-and-b"),
        (json!(["b"]), "a-and-b"),
        (json!(["c"]), "only-c"),
    ] {
        let ask = json!({ "appId": "demo", "userId": "u1", "scopes": asked });
        assert_eq!(
            client.token(USER, ask).await["accessToken"],
            expected,
            "{asked}"
        );
    }
    for asked in [json!(["d"]), json!(["a", "c"])] {
        let ask = json!({ "appId": "demo", "userId": "u1", "scopes": asked });
        client.no_token(USER, ask).await;
    }
    scene.end().await;
}

/// Goal: the latest is the newest, whatever scopes a request brings along. Method: three of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_token_is_the_newest_whatever_its_scopes() {
    let (scene, client) = set_up().await;
    for (value, scopes) in [("at-1", ["a"]), ("at-2", ["b"]), ("at-3", ["c"])] {
        upload(&scene, &client, value, json!({ "scopes": scopes })).await;
        let ask = json!({ "appId": "demo", "userId": "u1", "scopes": ["a"] });
        assert_eq!(client.token(USER_LATEST, ask).await["accessToken"], value);
    }
    scene.end().await;
}

/// Goal: a user's, a user's in a tenant and a tenant's token are three. Method: one of each; every
/// ask at every level, and at one that has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_levels_of_owners_are_never_interchangeable() {
    let (scene, client) = set_up().await;
    upload(&scene, &client, "of-user", json!({})).await;
    client
        .no_token(
            USER,
            json!({ "appId": "demo", "userId": "u1", "tenantId": "t1" }),
        )
        .await;
    client
        .no_token(
            TENANT,
            json!({ "appId": "demo", "tenantId": "t1", "userId": "u1" }),
        )
        .await;
    upload(&scene, &client, "of-member", json!({ "tenantId": "t1" })).await;
    client
        .no_token(TENANT_LATEST, json!({ "appId": "demo", "tenantId": "t1" }))
        .await;
    let tenant = json!({ "appId": "demo", "tenantId": "t1", "accessToken": "of-tenant",
        "grantedBy": "u9" });
    client.done(UPLOAD_TENANT, tenant).await;
    for (paths, ask, expected) in [
        ([USER, USER_LATEST], json!({ "userId": "u1" }), "of-user"),
        (
            [USER, USER_LATEST],
            json!({ "userId": "u1", "tenantId": "t1" }),
            "of-member",
        ),
        (
            [TENANT, TENANT_LATEST],
            json!({ "tenantId": "t1" }),
            "of-tenant",
        ),
        (
            [TENANT, TENANT_LATEST],
            json!({ "tenantId": "t1", "userId": "u1" }),
            "of-tenant",
        ),
    ] {
        for path in paths {
            let mut ask = ask.clone();
            ask["appId"] = json!("demo");
            let token = client.token(path, ask.clone()).await;
            assert_eq!(token["accessToken"], expected, "{path} {ask}");
            let of_tenant = expected == "of-tenant";
            assert_eq!(token["userId"] == "", of_tenant, "{token}");
            assert_eq!(token["grantedBy"] == "u9", of_tenant, "{token}");
        }
    }
    for (path, ask) in [
        (USER, json!({ "userId": "t1" })),
        (USER, json!({ "userId": "u1", "tenantId": "t2" })),
        (TENANT, json!({ "tenantId": "u1" })),
    ] {
        let mut ask = ask;
        ask["appId"] = json!("demo");
        client.no_token(path, ask).await;
    }
    scene.end().await;
}

/// Goal: one owner's accounts are told apart. Method: two of them, and one that is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_told_by_its_external_identifier() {
    let (scene, client) = set_up().await;
    for account in ["work@example.com", "home@example.com"] {
        upload(
            &scene,
            &client,
            account,
            json!({ "externalIdentifier": account }),
        )
        .await;
    }
    for account in ["work@example.com", "home@example.com"] {
        let ask = json!({ "appId": "demo", "userId": "u1", "externalIdentifier": account });
        for path in [USER, USER_LATEST] {
            let token = client.token(path, ask.clone()).await;
            assert_eq!(token["accessToken"], account);
            assert_eq!(token["externalIdentifier"], account);
        }
    }
    let other = json!({ "appId": "demo", "userId": "u1", "externalIdentifier": "x@example.com" });
    client.no_token(USER_LATEST, other).await;
    scene.end().await;
}

/// Goal: the options do what they say, under both names that clients have for one of them, and the
/// refresh token stays where nobody asks. Method: a token of the sandbox; each option.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_is_forced_and_a_refresh_token_handed_out_on_request() {
    let (scene, client) = set_up().await;
    scene.admin.seed(&scene.outside, "u1").await;
    let ask = |options: Value| json!({ "appId": "demo", "userId": "u1", "options": options });
    let plain = client.token(USER_LATEST, ask(json!(null))).await;
    assert_eq!(plain["hasRefreshToken"], true);
    assert!(plain.get("refreshToken").is_none(), "{plain}");
    let end = plain["accessTokenExpiry"].as_str().unwrap();
    assert_eq!(
        end,
        (1_790_000_000 + 3600).to_string(),
        "whole seconds, as a text"
    );

    scene.clock.advance(Duration::from_secs(60));
    let forced = client
        .token(
            USER_LATEST,
            ask(json!({ "forceRefresh": true, "withRefreshToken": true })),
        )
        .await;
    assert_ne!(forced["accessToken"], plain["accessToken"]);
    assert_eq!(
        forced["lastRefreshTime"],
        json!((1_790_000_000 + 60).to_string())
    );
    assert!(forced["refreshToken"].is_string(), "{forced}");
    assert_eq!(scene.outside.sandbox.counts().refreshes_ok, 1);
    let alias = client
        .token(USER, ask(json!({ "refreshToken": true })))
        .await;
    assert_eq!(alias["refreshToken"], forced["refreshToken"]);
    assert_eq!(alias["accessToken"], forced["accessToken"]);

    // The right to be handed one is a right of its own.
    let (reader, _) = scene.key(json!({ "name": "r", "role": "reader" })).await;
    let reader = Client::new(&scene, &reader.key).await;
    reader.token(USER_LATEST, ask(json!({}))).await;
    let (status, said) = reader
        .post(USER_LATEST, ask(json!({ "refreshToken": true })))
        .await;
    assert_eq!(
        (status, &said["errorCode"]),
        (403, &json!("S000403")),
        "{said}"
    );
    scene.end().await;
}
