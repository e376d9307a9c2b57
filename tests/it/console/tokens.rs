//! The console's tokens: found, looked at, shown in plain text, refreshed, deleted.

use serde_json::json;

use super::{Operator, heading, says, says_not};
use crate::scene::Scene;

async fn with_tokens() -> (Operator, String) {
    let operator = Operator::new().await;
    let scene = &operator.scene;
    let app = json!({ "id": "keyed", "kind": "api_key", "name": "Keyed" });
    assert_eq!(scene.admin.post("/v1/apps", app).await.0, 201);
    for (user, tenant) in [("ada", None), ("grace", Some("navy"))] {
        let token = json!({ "app": "keyed", "user": user, "tenant": tenant,
            "api_key": format!("sk-secret-of-{user}") });
        assert_eq!(scene.admin.put("/v1/tokens", token).await.0, 200);
    }
    let seeded = scene.admin.seed(&scene.outside, "ada").await;
    let id = seeded["id"].as_str().unwrap().to_owned();
    (operator, id)
}

/// Goal: the table has what is asked for and nothing else, and no secret. Method: each filter.
#[tokio::test]
async fn the_table_is_searched_by_app_user_tenant_and_state() {
    let (mut operator, id) = with_tokens().await;
    let page = operator.open("/console/tokens").await;
    for text in [id.as_str(), "keyed", "demo", "grace", "navy"] {
        says(&page, text);
    }
    says_not(&page, "sk-secret");
    for (query, has, has_not) in [
        ("app=demo", "demo", "grace"),
        ("user=grace", "navy", "ada"),
        ("tenant=navy", "grace", "ada"),
        ("state=reconnect_required", "Nothing fits.", "keyed"),
        ("user=nobody", "Nothing fits.", "grace"),
    ] {
        let page = operator.open(&format!("/console/tokens?{query}")).await;
        assert_eq!(page.status, 200);
        says(&page, has);
        says_not(&page, &format!(">{has_not}</td>"));
    }
    for wrong in [
        "state=odd&user=grace",
        "app=a%20b&user=grace",
        "cursor=zz&user=grace",
    ] {
        let page = operator.open(&format!("/console/tokens?{wrong}")).await;
        assert_eq!(page.status, 400);
        says(&page, "That cannot be searched for");
        // What was typed is not lost.
        says(&page, "value=\"grace\"");
    }
    operator.scene.end().await;
}

/// Goal: in plain text only after the key was typed again, with the reason on record, for half a
/// minute. Method: a wrong key, the right one; the answer's own header leads away.
#[tokio::test]
async fn a_token_is_shown_to_who_types_the_key_again() {
    let (mut operator, id) = with_tokens().await;
    let path = format!("/console/tokens/{id}/reveal");
    let access = operator.scene.admin.token("ada").await.1["access_token"].clone();
    let access = access.as_str().unwrap();
    let page = operator.open(&path).await;
    says_not(&page, access);
    let wrong = [("key", "sr_0011223344556677_wrong")];
    let page = operator.submit(&page, &path, &wrong).await;
    assert_eq!(page.status, 401);
    says(&page, "That is not the key you are signed in with.");
    says_not(&page, access);
    let key = operator.scene.admin.key.clone();
    let right = [("key", key.as_str()), ("reason", "ticket 12")];
    let page = operator.submit(&page, &path, &right).await;
    assert_eq!(heading(&page), "In plain text");
    says(&page, access);
    says_not(&page, &key);
    let leaves = page.headers["refresh"].to_str().unwrap();
    assert_eq!(leaves, format!("30; url=/console/tokens/{id}"));
    let entries = operator.scene.record().await;
    let shown = entries.iter().find(|e| e["action"] == "reveal").unwrap();
    assert_eq!(shown["reason"], "ticket 12");
    assert!(entries.iter().any(|e| e["action"] == "confirm"));
    operator.scene.end().await;
}

/// Goal: refreshed now, with its history. Method: refresh; the history says so; the provider was
/// asked once.
#[tokio::test]
async fn a_token_is_refreshed_by_hand_and_its_history_says_so() {
    let (mut operator, id) = with_tokens().await;
    let page = operator.open(&format!("/console/tokens/{id}")).await;
    assert_eq!(heading(&page), "demo of ada");
    let page = operator.submit(&page, "/refresh", &[]).await;
    says(&page, "The token was refreshed.");
    says(&page, "refreshed");
    let page = operator.open("/console/health").await;
    says(&page, "refreshed <strong>1</strong>");
    operator.scene.end().await;
}

/// Goal: deleting asks first, and says how revoking went. Method: look at the question, delete,
/// look for it again.
#[tokio::test]
async fn a_token_is_deleted_after_a_question() {
    let (mut operator, id) = with_tokens().await;
    let path = format!("/console/tokens/{id}/delete");
    let page = operator.open(&path).await;
    says(&page, "Its owner has to connect again.");
    let page = operator.submit(&page, &path, &[]).await;
    assert_eq!(heading(&page), "Tokens");
    says(&page, "revoked at its service and deleted here");
    let page = operator.open(&format!("/console/tokens/{id}")).await;
    assert_eq!(page.status, 404);
    operator.scene.end().await;
}

/// Goal: a link for the owner, made by the operator's key. Method: make it; it opens for the
/// owner.
#[tokio::test]
async fn a_link_to_reconnect_is_made_for_the_owner() {
    let (mut operator, id) = with_tokens().await;
    let page = operator.open(&format!("/console/tokens/{id}")).await;
    let page = operator.submit(&page, "/reconnect", &[]).await;
    assert_eq!(heading(&page), "A link to send", "{}", page.text);
    says(&page, "/c/");
    operator.scene.end().await;
}

/// Goal: the caller's own grants, no more. Method: a key that may list one app's tokens and see
/// nothing else.
#[tokio::test]
async fn a_key_sees_what_its_grants_allow() {
    let (operator, id) = with_tokens().await;
    let grants = json!([{ "actions": ["list"], "apps": ["keyed"] }]);
    let (key, _) = operator
        .scene
        .key(json!({ "name": "narrow", "grants": grants }))
        .await;
    let mut narrow = Operator::with_key(operator.scene, Some(&key.key)).await;
    let page = narrow.open("/console/tokens").await;
    says(&page, "grace");
    says_not(&page, "demo");
    assert_eq!(
        narrow.open(&format!("/console/tokens/{id}")).await.status,
        404
    );
    for path in ["/console/apps", "/console/keys", "/console/audit"] {
        let page = narrow.open(path).await;
        assert_eq!(
            (page.status, heading(&page)),
            (403, "Not with this key"),
            "{path}"
        );
    }
    narrow.scene.end().await;
}

/// Goal: page by page, each token once. Method: more tokens than stand on a page.
#[tokio::test]
async fn the_table_goes_page_by_page() {
    let mut operator = Operator::with_key(Scene::new().await, None).await;
    let app = json!({ "id": "keyed", "kind": "api_key", "name": "Keyed" });
    assert_eq!(operator.scene.admin.post("/v1/apps", app).await.0, 201);
    for number in 0..120 {
        let token = json!({ "app": "keyed", "user": format!("user-{number}"), "api_key": "k-123" });
        assert_eq!(operator.scene.admin.put("/v1/tokens", token).await.0, 200);
    }
    let mut page = operator.open("/console/tokens").await;
    let mut seen = Vec::new();
    loop {
        let users = page.text.split("title=\"user-").skip(1);
        seen.extend(users.map(|rest| rest.split('"').next().unwrap().to_owned()));
        let Some(rest) = page
            .text
            .split("rel=\"next\"")
            .next()
            .filter(|_| page.text.contains("rel=\"next\""))
        else {
            break;
        };
        let next = rest
            .rsplit("href=\"")
            .next()
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        page = operator.open(&next.replace("&amp;", "&")).await;
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 120);
    operator.scene.end().await;
}
