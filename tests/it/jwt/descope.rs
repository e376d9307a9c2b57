//! JWTs in the forms that Descope's clients send them.

use serde_json::json;

use super::*;
use crate::descope::{Client, TENANT_LATEST, USER, USER_LATEST};

const CONNECTED: &str = "/v1/mgmt/outbound/apps-with-user-token?userId=alice";
const APPS: &str = "/v1/mgmt/outbound/apps";

/// Goal: each form of the header works with a JWT, for its own user alone. Method: Python's and
/// agent-auth's, Java's, that of a second key; the user, another, a tenant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_form_of_the_header_takes_a_jwt_for_its_own_user() {
    let stage = Stage::new().await;
    let jwt = stage.jwt("alice", &json!({ "tenants": { "t1": {} } }));
    let project = stage.scene.inside.vault.project_id().unwrap();
    let client = Client::new(&stage.scene, "").await;
    for bearer in [
        format!("Bearer {project}:{jwt}"),
        format!("Bearer {project}:{jwt}:second"),
        format!("Bearer {jwt}"),
    ] {
        let client = client.presenting(&bearer, &[]);
        let ask = json!({ "appId": "demo", "userId": "alice", "options": null });
        for path in [USER, USER_LATEST] {
            let token = client.token(path, ask.clone()).await;
            assert_eq!(token["accessToken"], "token-of-none-alice");
        }
        let within = json!({ "appId": "demo", "userId": "alice", "tenantId": "t1" });
        let token = client.token(USER_LATEST, within).await;
        assert_eq!(token["accessToken"], "token-of-t1-alice");
        for (path, ask) in [
            (USER_LATEST, json!({ "appId": "demo", "userId": "bob" })),
            (
                USER_LATEST,
                json!({ "appId": "demo", "userId": "alice", "tenantId": "t2" }),
            ),
            (TENANT_LATEST, json!({ "appId": "demo", "tenantId": "t1" })),
        ] {
            let (status, said) = client.post(path, ask).await;
            assert_eq!(
                (status, &said["errorCode"]),
                (403, &json!("S000403")),
                "{said}"
            );
        }
        let apps = client.get(CONNECTED).await;
        assert_eq!(apps, (200, json!({ "appIds": ["demo"] })));
        let bobs = CONNECTED.replace("alice", "bob");
        assert_eq!(client.get(&bobs).await, (200, json!({ "appIds": [] })));
    }
    let other = client.presenting(&format!("Bearer Pother:{jwt}"), &[]);
    assert_eq!(other.get(CONNECTED).await.0, 401);
    stage.scene.end().await;
}

/// Goal: a session's cookie counts where a page of ours asks, and nowhere else. Method: with and
/// without an origin; routes that pages have no business with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sessions_cookie_counts_for_pages_of_a_listed_origin() {
    let stage = Stage::new().await;
    let project = stage.scene.inside.vault.project_id().unwrap();
    let cookie = format!("theme=dark; DSR={}", stage.jwt("alice", &json!({})));
    let bearer = format!("Bearer {project}");
    let client = Client::new(&stage.scene, "").await;
    let ours = stage.scene.inside.url.clone();
    let with = |origin: &str| {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        client.presenting(
            &bearer,
            if origin.is_empty() {
                &headers[..1]
            } else {
                &headers
            },
        )
    };
    for path in [CONNECTED, APPS] {
        assert_eq!(with(&ours).get(path).await.0, 200, "{path}");
        assert_eq!(with("").get(path).await.0, 401, "{path}");
        assert_eq!(
            with("https://evil.example").get(path).await.0,
            403,
            "{path}"
        );
    }
    let ask = json!({ "appId": "demo", "userId": "alice" });
    assert_eq!(with(&ours).post(USER_LATEST, ask).await.0, 401);
    stage.scene.end().await;
}

/// Goal: an issuer out of reach is a 502 to these clients, which they try again later. Method: it
/// goes down before its keys were fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_out_of_reach_is_a_502() {
    let stage = Stage::new().await;
    stage.issuer.be(Mood::Failing(500));
    let bearer = format!("Bearer {}", stage.jwt("alice", &json!({})));
    let client = Client::new(&stage.scene, "").await.presenting(&bearer, &[]);
    let answer = client.raw("GET", APPS, None).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (502, Some("10"))
    );
    assert_eq!(answer.json()["errorCode"], "S000502");
    stage.scene.end().await;
}
