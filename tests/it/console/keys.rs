//! The console's access keys and audit trail.

use serde_json::json;

use super::{Operator, heading, says, says_not, sign_in};
use crate::support::Browser;

/// Goal: a key is made with what was ticked, shown once, and works. Method: make one that is
/// confined; use it; look for it in the table.
#[tokio::test]
async fn a_key_is_made_shown_once_and_does_what_was_said() {
    let mut operator = Operator::new().await;
    let page = operator.open("/console/keys/new").await;
    let form = [
        ("name", "Calendar server"),
        ("role", "none"),
        ("days", "30"),
        ("action.list", "yes"),
        ("action.connect", "yes"),
        ("apps", "demo"),
        ("proof.code", "yes"),
        (
            "return_urls",
            "https://app.example/back\nhttps://app.example/other",
        ),
    ];
    let page = operator.submit(&page, "/console/keys/new", &form).await;
    assert_eq!(heading(&page), "Your new access key", "{}", page.text);
    let text = page
        .text
        .split("code class=\"secret\" data-once=\"\">")
        .nth(1)
        .unwrap();
    let key = text.split('<').next().unwrap().to_owned();
    assert!(key.starts_with("sr_"));
    let api = operator.scene.inside.api(&key);
    assert_eq!(api.get("/v1/tokens").await.0, 200);
    assert_eq!(api.get("/v1/keys").await.0, 403);
    let page = operator.open("/console/keys").await;
    says(&page, "Calendar server");
    says(&page, "connect, list · apps <code>demo</code>");
    says(&page, "in 30 days");
    says(&page, "just now");
    says_not(&page, &key);
    let keys = operator.scene.admin.get("/v1/keys").await.1;
    let made = keys["keys"].as_array().unwrap();
    let made = made
        .iter()
        .find(|key| key["name"] == "Calendar server")
        .unwrap();
    assert_eq!(made["return_urls"].as_array().unwrap().len(), 2);
    assert!(made["last_used_at"].is_string(), "{made}");
    operator.scene.end().await;
}

/// Goal: what is wrong is said, nothing is made, and what was typed stands there still. Method: a
/// life that is no number; a role beyond the maker's.
#[tokio::test]
async fn what_is_wrong_with_a_key_is_said_above_the_form() {
    let mut operator = Operator::new().await;
    let page = operator.open("/console/keys/new").await;
    let form = [("name", "Mine & <b>"), ("role", "server"), ("days", "soon")];
    let page = operator.submit(&page, "/console/keys/new", &form).await;
    assert_eq!(page.status, 400);
    says(&page, "No key was made");
    says(&page, "value=\"Mine &amp; &lt;b&gt;\"");
    let made = operator
        .scene
        .admin
        .post("/v1/keys", json!({ "name": "o", "role": "operator" }));
    let made = made.await.1["key"].as_str().unwrap().to_owned();
    let mut narrow = Operator::with_key(operator.scene, Some(&made)).await;
    let page = narrow.open("/console/keys/new").await;
    let form = [("name", "more"), ("role", "admin")];
    let page = narrow.submit(&page, "/console/keys/new", &form).await;
    assert_eq!(page.status, 403);
    says(&page, "No key was made");
    narrow.scene.end().await;
}

/// Goal: a key that is removed signs out whoever is there by it. Method: one removes the other's.
#[tokio::test]
async fn removing_a_key_ends_its_sessions() {
    let mut operator = Operator::new().await;
    let made = json!({ "name": "other", "role": "operator" });
    let made = operator.scene.admin.post("/v1/keys", made).await.1;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let mut other = Browser::new();
    let page = sign_in(&mut other, &operator.scene.inside.url, key).await;
    assert_eq!(heading(&page), "Health");
    let path = format!("/console/keys/{id}/remove");
    let page = operator.open(&path).await;
    says(&page, "other");
    let page = operator.submit(&page, &path, &[]).await;
    says(&page, "The access key was removed.");
    let page = other.open(&operator.url("/console/tokens")).await;
    assert_eq!(heading(&page), "Sign in");
    operator.scene.end().await;
}

/// Goal: the trail is searched, verified and taken along. Method: a refused request among others;
/// the export is JSON lines, oldest first.
#[tokio::test]
async fn the_trail_is_searched_verified_and_exported() {
    let mut operator = Operator::new().await;
    let reader = json!({ "name": "nosy", "role": "reader" });
    let (reader, _) = operator.scene.key(reader).await;
    assert_eq!(reader.get("/v1/keys").await.0, 403);
    let page = operator.open("/console/audit?refused=yes").await;
    says(&page, "no grant covers this");
    says(&page, "<td>nosy<br>");
    says_not(&page, "signed in");
    let page = operator.open("/console/audit?action=sign_in").await;
    says(&page, "signed in");
    says_not(&page, "no grant covers this");
    let page = operator.submit(&page, "/console/audit/verify", &[]).await;
    says(&page, "The trail is whole");
    let page = operator.open("/console/audit/export?action=keys").await;
    let kind = page.headers["content-type"].to_str().unwrap();
    assert_eq!(kind, "application/jsonl");
    let entries: Vec<serde_json::Value> = page
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(entries.len() >= 2);
    let seqs: Vec<u64> = entries.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted());
    assert!(entries.iter().all(|entry| entry["action"] == "keys"));
    // Who may not see keys sees ids alone.
    let auditor = json!({ "name": "auditor", "grants": [{ "actions": ["audit"] }] });
    let (auditor, _) = operator.scene.key(auditor).await;
    let mut browser = Browser::new();
    sign_in(&mut browser, &operator.scene.inside.url, &auditor.key).await;
    let page = browser
        .open(&operator.url("/console/audit?refused=yes"))
        .await;
    says(&page, "no grant covers this");
    says_not(&page, "nosy");
    operator.scene.end().await;
}
