//! Which apps a user is connected to, and tokens that are deleted.

use serde_json::json;

use super::uploads::stored;
use super::{CREATE, TENANT_LATEST, UPLOAD, UPLOAD_TENANT, USER_LATEST, set_up};

/// Goal: the apps of a user are those whose token works or can be made to, at that very level.
/// Method: a token that is valid, one that ended, one that can be refreshed, one in a tenant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apps_of_a_user_are_those_with_a_token_that_works() {
    let (scene, client) = set_up().await;
    let keyed = json!({ "id": "weather", "name": "Weather", "appType": "apikey" });
    assert_eq!(client.post(CREATE, keyed).await.0, 200);
    let over = 1_789_999_000;
    for body in [
        json!({ "appId": "demo", "userId": "ended", "accessToken": "a",
            "accessTokenExpiry": over }),
        json!({ "appId": "demo", "userId": "renewed", "accessToken": "a",
            "refreshToken": "r", "accessTokenExpiry": over }),
        json!({ "appId": "demo", "userId": "member", "tenantId": "t1", "accessToken": "a" }),
        json!({ "appId": "demo", "userId": "both", "accessToken": "a" }),
    ] {
        client.done(UPLOAD, body).await;
    }
    let key = json!({ "appId": "weather", "userId": "both", "apiKey": "k" });
    client
        .done("/v1/mgmt/outbound/app/user/apikey/upload", key)
        .await;
    for (query, expected) in [
        ("userId=ended", json!([])),
        ("userId=renewed&tenantId=", json!(["demo"])),
        ("userId=member", json!([])),
        ("userId=member&tenantId=t1", json!(["demo"])),
        ("userId=both&tenantId=undefined", json!(["demo", "weather"])),
        ("userId=both&tenantId=t1", json!([])),
        ("userId=nobody", json!([])),
    ] {
        let path = format!("/v1/mgmt/outbound/apps-with-user-token?{query}");
        assert_eq!(
            client.get(&path).await,
            (200, json!({ "appIds": expected })),
            "{query}"
        );
    }
    let (status, said) = client
        .get("/v1/mgmt/outbound/apps-with-user-token?userId=")
        .await;
    assert_eq!(
        (status, &said["errorCode"]),
        (400, &json!("E011002")),
        "{said}"
    );
    scene.end().await;
}

/// Goal: a deletion takes the tokens it names, of users, and no other. Method: two apps, three
/// levels, by user, by app and by both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_users_are_deleted_by_app_and_by_user() {
    let (scene, client) = set_up().await;
    let keyed = json!({ "id": "weather", "name": "Weather", "appType": "apikey" });
    assert_eq!(client.post(CREATE, keyed).await.0, 200);
    for user in ["u1", "u2", "u 3"] {
        for more in [json!({}), json!({ "tenantId": "t1" })] {
            let mut token = json!({ "appId": "demo", "userId": user, "accessToken": "a" });
            let mut key = json!({ "appId": "weather", "userId": user, "apiKey": "k" });
            for (name, value) in more.as_object().unwrap() {
                token[name] = value.clone();
                key[name] = value.clone();
            }
            client.done(UPLOAD, token).await;
            client
                .done("/v1/mgmt/outbound/app/user/apikey/upload", key)
                .await;
        }
    }
    let tenant = json!({ "appId": "demo", "tenantId": "t1", "accessToken": "a" });
    client.done(UPLOAD_TENANT, tenant).await;
    for (query, left) in [
        ("appId=demo&userId=nobody", 13),
        ("appId=demo&userId=u1&tenantId=t1", 12),
        ("appId=demo&userId=u1", 11),
        ("userId=u%203&appId=", 7),
        ("appId=weather", 3),
        // What belongs to the tenant itself is no user's.
        ("appId=demo&userId=null", 1),
    ] {
        let path = format!("/v1/mgmt/outbound/user/tokens?{query}");
        assert_eq!(client.delete(&path).await, (200, json!({})), "{query}");
        assert_eq!(stored(&scene).await, left, "{query}");
    }
    client
        .token(TENANT_LATEST, json!({ "appId": "demo", "tenantId": "t1" }))
        .await;
    scene.end().await;
}

/// Goal: no client's mistake deletes anything. Method: what each is known to send when an argument
/// is missing, and what would be a wider deletion than was meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_names_nothing_deletes_nothing() {
    let (scene, client) = set_up().await;
    client
        .done(
            UPLOAD,
            json!({ "appId": "demo", "userId": "u1", "accessToken": "a" }),
        )
        .await;
    for path in [
        "user/tokens",
        "user/tokens?",
        "user/tokens?appId=&userId=",
        "user/tokens?appId=undefined&userId=undefined",
        "user/tokens?appId=null",
        "user/tokens?tenantId=t1",
        "user/tokens?appId=demo&user=u2",
        "user/tokens?appId=demo&userId=undefined&userId=u2",
        "tokens",
        "tokens?userId=undefined",
        "token",
        "token?id=",
        "token?id=undefined",
        "token?token=tok_00000000000000000000000000000000",
    ] {
        let (status, said) = client.delete(&format!("/v1/mgmt/outbound/{path}")).await;
        assert_eq!(status, 400, "{path}: {said}");
        assert_eq!(stored(&scene).await, 1, "{path}");
    }
    scene.end().await;
}

/// Goal: any token is deleted by its id, a key's too, and revoked where that can be done. Method:
/// one of each; then once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_any_kind_is_deleted_by_its_id() {
    let (scene, client) = set_up().await;
    scene.admin.seed(&scene.outside, "u1").await;
    let keyed = json!({ "id": "weather", "name": "Weather", "appType": "apikey" });
    assert_eq!(client.post(CREATE, keyed).await.0, 200);
    let key = json!({ "appId": "weather", "tenantId": "t1", "apiKey": "k" });
    client
        .done("/v1/mgmt/outbound/app/tenant/apikey/upload", key)
        .await;
    for (path, ask) in [
        (USER_LATEST, json!({ "appId": "demo", "userId": "u1" })),
        (
            TENANT_LATEST,
            json!({ "appId": "weather", "tenantId": "t1" }),
        ),
    ] {
        let token = client.token(path, ask.clone()).await;
        let one = format!(
            "/v1/mgmt/outbound/token?id={}",
            token["id"].as_str().unwrap()
        );
        assert_eq!(client.delete(&one).await, (200, json!({})));
        client.no_token(path, ask).await;
        let (status, said) = client.delete(&one).await;
        assert_eq!(
            (status, &said["errorCode"]),
            (404, &json!("E152102")),
            "{said}"
        );
    }
    let (status, _) = client.delete("/v1/mgmt/outbound/token?id=not-an-id").await;
    assert_eq!(status, 404);
    assert!(scene.outside.sandbox.counts().revocations > 0);
    scene.end().await;
}
