//! Forms and sessions that somebody brings again, or many of (V21).

use serde_json::json;

use super::{Operator, heading, says, says_not, sign_in};
use crate::support::Browser;

/// Goal: who presses "back" at an unattended screen, and lets the browser send the form once more,
/// does not see the credential again without the key. Method: the form of a reveal, sent twice.
#[tokio::test]
async fn a_reveal_that_is_sent_again_shows_nothing() {
    let mut operator = Operator::new().await;
    let seeded = operator
        .scene
        .admin
        .seed(&operator.scene.outside, "ada")
        .await;
    let access = operator.scene.admin.token("ada").await.1["access_token"].clone();
    let access = access.as_str().unwrap();
    let path = format!("/console/tokens/{}/reveal", seeded["id"].as_str().unwrap());
    let key = operator.scene.admin.key.clone();
    let asked = operator.open(&path).await;
    let wrong = [("key", "sr_0011223344556677_wrong")];
    let asked = operator.submit(&asked, &path, &wrong).await;
    assert_eq!(asked.status, 401);
    let right = [("key", key.as_str())];
    let page = operator.submit(&asked, &path, &right).await;
    says(&page, access);
    let page = operator.submit(&asked, &path, &right).await;
    assert_eq!(page.status, 400);
    says_not(&page, access);
    says(&page, "was sent before");
    let page = operator.open(&path).await;
    let page = operator.submit(&page, &path, &right).await;
    says(&page, access);
    operator.scene.end().await;
}

/// Goal: one form makes one key, however often the page is reloaded. Method: send it twice.
#[tokio::test]
async fn a_form_for_a_key_that_is_sent_again_makes_no_second() {
    let mut operator = Operator::new().await;
    let asked = operator.open("/console/keys/new").await;
    let wrong = [("name", "one"), ("role", "server"), ("days", "soon")];
    let asked = operator.submit(&asked, "/console/keys/new", &wrong).await;
    assert_eq!(asked.status, 400);
    let form = [("name", "one"), ("role", "server"), ("days", "3")];
    let page = operator.submit(&asked, "/console/keys/new", &form).await;
    assert_eq!(heading(&page), "Your new access key");
    let page = operator.submit(&asked, "/console/keys/new", &form).await;
    assert_eq!(page.status, 400);
    says(&page, "was sent before");
    let keys = operator.scene.admin.get("/v1/keys").await.1;
    let keys = keys["keys"].as_array().unwrap().clone();
    assert_eq!(keys.iter().filter(|key| key["name"] == "one").count(), 1);
    operator.scene.end().await;
}

/// Goal: who holds one key cannot sign out who holds another. Method: more sign-ins by a narrow
/// key than there are sessions; the operator is there still, and so is the narrow key's newest.
#[tokio::test]
async fn many_sign_ins_by_one_key_sign_out_nobody_else() {
    let mut operator = Operator::new().await;
    let grant = json!([{ "actions": ["list"], "users": ["ada"] }]);
    let (narrow, _) = operator
        .scene
        .key(json!({ "name": "n", "grants": grant }))
        .await;
    let (url, form) = (
        operator.url("/console/sign-in"),
        [("key", narrow.key.as_str())],
    );
    let mut browser = Browser::new();
    for _ in 0..300 {
        operator
            .scene
            .clock
            .advance(std::time::Duration::from_millis(1));
        // Each is a browser of its own: the one before brings no cookie.
        browser = Browser::new();
        assert_eq!(browser.send("POST", &url, Some(&form)).await.status, 303);
    }
    assert_eq!(heading(&operator.open("/console/tokens").await), "Tokens");
    let page = browser.open(&operator.url("/console/tokens")).await;
    assert_eq!(heading(&page), "Tokens");
    operator.scene.end().await;
}

/// Goal: who signs in anew leaves no session behind that nobody can see. Method: sign in twice in
/// one browser, then bring the first cookie.
#[tokio::test]
async fn signing_in_again_ends_the_session_before() {
    let operator = Operator::new().await;
    let mut browser = operator.browser;
    let first = browser.cookies()[0].clone();
    let url = operator.scene.inside.url.clone();
    let form = [("key", operator.scene.admin.key.as_str())];
    let sent = browser
        .send("POST", &format!("{url}/console/sign-in"), Some(&form))
        .await;
    assert_eq!(sent.status, 303);
    assert_ne!(browser.cookies()[0], first);
    let mut thief = Browser::new();
    thief.plant(&url, &first.0, &first.1);
    assert_eq!(
        heading(&thief.open(&format!("{url}/console/tokens")).await),
        "Sign in"
    );
    let page = browser.open(&format!("{url}/console/tokens")).await;
    assert_eq!(heading(&page), "Tokens");
    operator.scene.end().await;
}

/// Goal: a form that is not the session's own is on record. Method: send one, read the trail.
#[tokio::test]
async fn a_form_that_is_not_the_sessions_own_is_on_record() {
    let mut operator = Operator::new().await;
    let url = operator.url("/console/lock");
    let page = operator.browser.send("POST", &url, Some(&[])).await;
    assert_eq!(page.status, 400);
    let entries = operator.scene.record().await;
    let entry = entries
        .iter()
        .find(|e| e["action"] == "form")
        .expect("it is there");
    assert_eq!(entry["allowed"], false);
    operator.scene.end().await;
}

/// Goal: text that others wrote is text on every screen. Method: markup in all that an asker, a
/// person or a key's maker can fill in; every screen that shows it.
#[tokio::test]
async fn markup_from_others_is_text_everywhere() {
    const MARKUP: &str = "<img src=x onerror=alert(1)>\"'";
    let mut operator = Operator::new().await;
    let app = json!({ "id": "keyed", "kind": "api_key", "name": MARKUP, "description": MARKUP });
    assert_eq!(operator.scene.admin.post("/v1/apps", app).await.0, 201);
    let token = json!({ "app": "keyed", "user": MARKUP, "tenant": MARKUP, "account": MARKUP,
        "api_key": "sk-1" });
    let token = operator.scene.admin.put("/v1/tokens", token).await;
    assert_eq!(token.0, 200, "{}", token.1);
    let id = token.1["id"].as_str().unwrap().to_owned();
    let (asker, _) = operator
        .scene
        .key(json!({ "name": MARKUP, "role": "server" }))
        .await;
    let asked = json!({ "app": "keyed", "user": "u", "reason": MARKUP });
    asker.post("/v1/token", asked).await;
    let mut seen = 0;
    for path in [
        "/console/health",
        "/console/apps",
        "/console/apps/keyed",
        "/console/apps/keyed/edit",
        "/console/apps/keyed/delete",
        "/console/tokens",
        &format!("/console/tokens/{id}"),
        &format!("/console/tokens/{id}/reveal"),
        &format!("/console/tokens/{id}/delete"),
        "/console/keys",
        "/console/audit",
        "/console/audit/now",
        "/console/audit?user=%3Cimg%20src=x%20onerror=alert(1)%3E%22%27",
        "/console/tokens?user=%3Cimg%20src=x%20onerror=alert(1)%3E%22%27",
    ] {
        let page = operator.open(path).await;
        assert_eq!(page.status, 200, "{path}");
        says_not(&page, "<img src=x");
        seen += page.text.matches("&lt;img src=x").count();
    }
    assert!(seen > 12, "{seen}");
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &operator.scene.inside.url, MARKUP).await;
    says_not(&page, "<img src=x");
    operator.scene.end().await;
}
