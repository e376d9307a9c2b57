//! Tokens over the API: stored, shown, listed in pages, revealed (DESIGN 5).

use serde_json::{Value, json};

use crate::scene::{Scene, check_rows, rows};
use crate::support::Api;

/// The fields of a summary.
const SUMMARY: &str = "account app created_at expires_at granted_by has_refresh_token id kind \
                       last_refresh_error last_refreshed_at reason requested_scopes scopes state \
                       subject tenant type user";

pub async fn store(api: &Api, user: &str, more: Value) -> Value {
    let mut body = json!({ "app": "demo", "user": user, "access_token": format!("at-{user}") });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let (status, said) = api.put("/v1/tokens", body).await;
    assert_eq!(status, 200, "{said}");
    said
}

pub async fn users(api: &Api, query: &str) -> Vec<String> {
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

/// Goal: a summary has every field and no secret; a reveal has all, and is on record.
/// Method: one token; its summary, and its plain text with a reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_shown_and_revealed() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let stored = api.seed(&scene.outside, "u1").await;
    let names: Vec<&String> = stored.as_object().unwrap().keys().collect();
    assert_eq!(names, SUMMARY.split(' ').collect::<Vec<_>>());
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
    scene.end().await;
}

/// Goal: a token is refreshed and removed by hand, and gone then.
/// Method: each route on one token; then all of them on nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_refreshed_and_removed_by_hand() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let stored = api.seed(&scene.outside, "u1").await;
    let id = stored["id"].as_str().unwrap();
    let path = format!("/v1/tokens/{id}");
    let (_, fetched) = api.token("u1").await;
    // A reason may be left out, and the body with it.
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

const WRONG_UPLOADS: &str = r#"
    400 {"app": "demo", "user": "u"}
    400 {"app": "demo", "access_token": "a"}
    400 {"app": "demo", "user": "u", "access_token": ""}
    400 {"app": "demo", "user": "u", "api_key": "k"}
    400 {"app": "keyed", "user": "u", "access_token": "a"}
    400 {"app": "keyed", "user": "u", "api_key": "k", "access_token": "a"}
    400 {"app": "keyed", "user": "u", "api_key": "k\n"}
    400 {"app": "keyed", "user": "u", "api_key": "k", "verify_refresh": true}
    400 {"app": "demo", "user": "u", "access_token": "a", "verify_refresh": true}
    400 {"app": "demo", "user": "u", "access_token": "a", "expires_at": "soon"}
    400 {"app": "keyed", "user": "u", "api_key": "k", "id_token": "i"}
    400 {"app": "keyed", "user": "u", "api_key": "k", "granted_by": "ann"}
    404 {"app": "none", "user": "u", "access_token": "a"}
    400 {"app": "../x", "user": "u", "access_token": "a"}
"#;

/// Goal: what cannot be a token is not stored. Method: a table of wishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_checked() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let keyed = json!({ "id": "keyed", "kind": "api_key" });
    assert_eq!(api.post("/v1/apps", keyed).await.0, 201);
    let mut table = rows(WRONG_UPLOADS);
    let long = "x".repeat(65_537);
    table.push((
        400,
        json!({ "app": "demo", "user": "u", "access_token": long }),
    ));
    let tried_if_absent = json!({
        "app": "demo", "user": "u", "refresh_token": "r", "verify_refresh": true, "if_absent": true,
    });
    table.push((400, tried_if_absent));
    check_rows(api, "PUT", "/v1/tokens", table).await;
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

/// Goal: what another service knows of a token comes in whole, and is not put back to what it was
/// by a second time. Method: an upload with every field, again, and again with other scopes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_may_be_for_where_nothing_is() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let mut wish = json!({
        "app": "demo", "user": "u", "access_token": "first", "id_token": "i", "token_type": "DPoP",
        "granted_by": "ann", "expires_at": "2100-01-01T00:00:00Z", "if_absent": true,
    });
    let (status, said) = api.put("/v1/tokens", wish.clone()).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(
        (&said["type"], &said["granted_by"]),
        (&json!("DPoP"), &json!("ann"))
    );
    let reveal = format!("/v1/tokens/{}/reveal", said["id"].as_str().unwrap());
    wish["access_token"] = json!("second");
    let (status, said) = api.put("/v1/tokens", wish.clone()).await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (409, &json!("already_there"))
    );
    let (_, shown) = api.post(&reveal, json!({})).await;
    assert_eq!(
        (&shown["access_token"], &shown["id_token"]),
        (&json!("first"), &json!("i"))
    );
    wish["scopes"] = json!(["other"]);
    assert_eq!(
        api.put("/v1/tokens", wish).await.0,
        200,
        "another scope set is another token"
    );
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

    scene.end().await;
}

/// Goal: a cursor serves the list it was given out for; what is no filter is refused.
/// Method: a cursor of one list on others, cut and made up; filters misspelt and doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_cursor_and_a_misspelt_filter_are_refused() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    for n in 0..3 {
        store(api, &format!("u{n}"), json!({})).await;
    }
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
