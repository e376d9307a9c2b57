//! The main job, end to end.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::Clock;

use crate::scene::Link;
use crate::support::{Api, Browser, Inside, Outside, PASSPHRASE, clock, new_home, reopen};

/// Goal: the whole story holds together: app, connect by code, fetch, expiry, refresh with
/// rotation, restart locked, unlock, fetch, revoke, audit verified.
/// Method: a browser-less client follows the pages of Strongroom and of the sandbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_empty_directory_to_a_revoked_token() {
    let clock = clock();
    let outside = Outside::start(&clock).await;
    let home = new_home(&clock);
    let inside = Inside::serve(home.vault, false).await;
    let api = inside.api(&home.admin);
    api.add_demo(&outside).await;

    // Nothing is connected: the answer brings a link and a code.
    let (status, said) = api
        .post(
            "/v1/token",
            json!({ "app": "demo", "user": "u1", "connect": {} }),
        )
        .await;
    assert_eq!(
        (status, &said["outcome"]),
        (404, &json!("connect_required")),
        "{said}"
    );
    let link = Link::of(&said["connect"]);

    connect(&outside, &api, &link.url, &link.code).await;
    let (_, state) = api.get(&format!("/v1/connect/{}?wait=5", link.id)).await;
    assert_eq!(state["status"], "finished");
    let (status, first) = api.token("u1").await;
    assert_eq!((status, &first["outcome"]), (200, &json!("ok")), "{first}");
    assert_eq!(first["subject"], "ada");
    let who = client_asks(&outside, first["access_token"].as_str().unwrap()).await;
    assert_eq!(who["user"], "ada");

    // It expires, is refreshed, and the provider rotates.
    clock.advance(Duration::from_secs(7200));
    let (_, second) = api.token("u1").await;
    assert_eq!(second["outcome"], "ok");
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!(first["token_id"], second["token_id"]);
    assert_eq!(outside.sandbox.counts().refreshes_ok, 1);

    inside.end().await;
    let inside = restart(&home.directory, &home.admin, &clock, &second).await;
    let api = inside.api(&home.admin);
    clock.advance(Duration::from_secs(7200));
    let (_, fourth) = api.token("u1").await;
    assert_eq!(fourth["outcome"], "ok", "{fourth}");

    // Deleted here, revoked there, and all of it on record.
    let path = format!("/v1/tokens/{}", fourth["token_id"].as_str().unwrap());
    let (status, said) = api.delete(&path).await;
    assert_eq!(
        (status, &said["revocation"]["result"]),
        (200, &json!("revoked")),
        "{said}"
    );
    assert!(outside.sandbox.counts().revocations >= 1);
    let (status, said) = api.token("u1").await;
    assert_eq!(
        (status, &said["outcome"]),
        (404, &json!("connect_required")),
        "{said}"
    );
    let (_, verified) = api.post("/v1/audit/verify", json!({})).await;
    assert_eq!(verified["problems"], json!([]), "{verified}");
    assert!(verified["entries"].as_u64().unwrap() > 20);
    inside.end().await;
}

async fn client_asks(outside: &Outside, token: &str) -> serde_json::Value {
    let answer = crate::support::client()
        .get(format!("{}/api/me", outside.issuer))
        .header("authorization", format!("Bearer {token}"))
        .send()
        .await
        .unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// A person follows the link, types the code, and connects.
async fn connect(outside: &Outside, api: &Api, link: &str, code: &str) {
    let mut browser = Browser::new();
    let page = browser.open(link).await;
    assert!(page.text.contains("first admin"), "{}", page.text);
    let page = browser
        .submit(&page, link.split("/c/").nth(1).unwrap(), &[])
        .await;
    let (status, said) = api.token("u1").await;
    assert_eq!(
        (status, &said["outcome"]),
        (202, &json!("pending")),
        "{said}"
    );
    let page = browser.submit(&page, "/code", &[("code", "000000x")]).await;
    assert!(page.text.contains("not right"), "{}", page.text);
    let page = browser.submit(&page, "/code", &[("code", code)]).await;
    let login = browser.submit(&page, "/demo/go", &[]).await;
    assert!(login.url.starts_with(&outside.issuer), "{}", login.url);
    let done = browser.consent(&login, "ada", "engine").await;
    assert!(done.text.contains("Connected"), "{}", done.text);
}

/// A restart: locked, then unlocked, then as before.
async fn restart(directory: &Path, key: &str, clock: &Clock, before: &Value) -> Inside {
    let inside = Inside::serve(reopen(directory, clock), false).await;
    let api = inside.api(key);
    let (status, said) = api.token("u1").await;
    assert_eq!((status, &said["error"]["code"]), (503, &json!("locked")));
    let wrong = json!({ "passphrase": "wrong" });
    let (status, said) = api.post("/v1/unlock", wrong).await;
    let failed = (status, &said["error"]["code"]);
    assert_eq!(failed, (401, &json!("unlock_failed")));
    clock.advance(Duration::from_secs(1));
    let right = json!({ "passphrase": PASSPHRASE });
    assert_eq!(api.post("/v1/unlock", right).await.0, 200);
    let (_, after) = api.token("u1").await;
    assert_eq!(after["access_token"], before["access_token"]);
    inside
}
