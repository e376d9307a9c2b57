//! The way in and out of the console, and who is kept out (T21, T22, V21).

use std::time::Duration;

use serde_json::json;

use super::{Operator, heading, says, says_not, sign_in};
use crate::scene::Scene;
use crate::support::{Browser, PASSPHRASE};

fn cookie(browser: &Browser) -> Option<String> {
    let cookies = browser.cookies();
    let own = cookies.iter().find(|(name, _)| name == "sr_console");
    own.map(|(_, value)| value.clone())
        .filter(|value| !value.is_empty())
}

/// Goal: in with a key, out with a click, and the cookie is worth nothing afterwards. Method: sign
/// in, look, sign out, bring the cookie again.
#[tokio::test]
async fn an_access_key_signs_in_and_signing_out_ends_it() {
    let mut operator = Operator::new().await;
    let kept = cookie(&operator.browser).unwrap();
    let page = operator.open("/console").await;
    assert_eq!(heading(&page), "Health");
    let page = operator.submit(&page, "/console/sign-out", &[]).await;
    assert_eq!(heading(&page), "Sign in");
    says(&page, "You are signed out.");
    assert_eq!(cookie(&operator.browser), None);
    let url = operator.url("");
    operator.browser.plant(&url, "sr_console", &kept);
    let page = operator.open("/console/tokens").await;
    assert_eq!(heading(&page), "Sign in");
    operator.scene.end().await;
}

/// Goal: what is wrong is said, and a wrong key is told from nothing. Method: nothing, garbage, a
/// key that sees nothing here.
#[tokio::test]
async fn who_may_not_come_in_learns_why_and_no_more() {
    let scene = Scene::new().await;
    let (reader, _) = scene.key(json!({ "name": "r", "role": "reader" })).await;
    for (key, status, text) in [
        ("", 400, "Type an access key."),
        ("sr_0011223344556677_garbage", 401, "That is no access key"),
        (reader.key.as_str(), 403, "may not look at anything here"),
    ] {
        let mut browser = Browser::new();
        let page = sign_in(&mut browser, &scene.inside.url, key).await;
        assert_eq!(page.status, status);
        says(&page, text);
        assert_eq!(cookie(&browser), None);
        if !key.is_empty() {
            says_not(&page, key);
        }
    }
    scene.end().await;
}

/// Goal: a cookie alone does nothing: every form needs the session's own token, and another site's
/// form is refused before that. Method: forms without, with another session's, from elsewhere.
#[tokio::test]
async fn a_form_that_is_not_the_sessions_own_does_nothing() {
    let mut operator = Operator::new().await;
    let mut other = Browser::new();
    sign_in(
        &mut other,
        &operator.scene.inside.url,
        &operator.scene.admin.key,
    )
    .await;
    let page = other.open(&operator.url("/console")).await;
    let (_, hidden) = page.form("/console/lock");
    let lock = operator.url("/console/lock");
    let theirs = hidden[0].1.as_str();
    for form in [
        &[][..],
        &[("form_token", "")][..],
        &[("form_token", theirs)][..],
    ] {
        let page = operator.browser.send("POST", &lock, Some(form)).await;
        assert_eq!(page.status, 400, "{}", page.text);
        says(&page, "does not belong to this session");
    }
    let cookie = cookie(&operator.browser).unwrap();
    let own = operator.open("/console").await.form("/console/lock").1;
    let body = format!("form_token={}", own[0].1);
    let sent = crate::support::client()
        .post(&lock)
        .header("cookie", format!("sr_console={cookie}"))
        .header("origin", "https://evil.example")
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send();
    let refused = sent.await.unwrap();
    assert_eq!(refused.status(), 403);
    // Whoever pressed a button over there is a person.
    assert_eq!(
        refused.headers()["content-type"],
        "text/html; charset=utf-8"
    );
    let text = refused.text().await.unwrap();
    assert!(
        text.contains("Another web site made this request"),
        "{text}"
    );
    assert!(!operator.scene.inside.vault.status().locked);
    operator.scene.end().await;
}

/// Goal: idle sessions end, and a page that asks by itself does not keep one alive. Method: the
/// live part asks every minute for longer than idling is allowed.
#[tokio::test]
async fn a_session_that_nobody_uses_ends_though_its_page_is_open() {
    let mut operator = Operator::new().await;
    let now = operator.url("/console/health/now");
    for _ in 0..14 {
        operator.scene.clock.advance(Duration::from_secs(60));
        assert_eq!(operator.browser.send("GET", &now, None).await.status, 200);
    }
    operator.scene.clock.advance(Duration::from_secs(60));
    assert_eq!(operator.browser.send("GET", &now, None).await.status, 401);
    let page = operator.open("/console/health").await;
    assert_eq!(heading(&page), "Sign in");
    says(&page, "Sign in again.");
    operator.scene.end().await;
}

/// Goal: the lock is a click away, takes every session along, and the form that opens the vault is
/// where one signs in. Method: lock; a wrong passphrase, the right one.
#[tokio::test]
async fn a_locked_vault_shows_the_form_that_opens_it() {
    let mut operator = Operator::new().await;
    let page = operator.open("/console").await;
    let page = operator.submit(&page, "/console/lock", &[]).await;
    assert_eq!(heading(&page), "The vault is locked");
    let wrong = [("passphrase", "not the passphrase at all")];
    let page = operator.submit(&page, "/console/unlock", &wrong).await;
    assert_eq!(page.status, 401);
    says(&page, "That did not unlock the vault.");
    operator.scene.clock.advance(Duration::from_secs(60));
    let right = [("passphrase", PASSPHRASE)];
    let page = operator.submit(&page, "/console/unlock", &right).await;
    assert_eq!(heading(&page), "Sign in", "its sessions went with the lock");
    operator.scene.end().await;
}

/// Goal: the cookie is an operator's: of this host, unseen by scripts, never sent along from
/// elsewhere; on https of the host alone. Method: read the header.
#[tokio::test]
async fn the_cookie_is_strict() {
    let scene = Scene::new().await;
    let mut browser = Browser::new();
    let page = browser.open(&format!("{}/console", scene.inside.url)).await;
    let (url, _) = page.form("/console/sign-in");
    let form = [("key", scene.admin.key.as_str())];
    let answer = browser.send("POST", &url, Some(&form)).await;
    assert_eq!(answer.status, 303);
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    assert!(set.contains("; Path=/; Max-Age=43200"), "{set}");
    scene.end().await;
}

/// Goal: a page of the console carries what keeps others out of it, with the one script by hash.
/// Method: the headers of the first screen.
#[tokio::test]
async fn a_screen_is_not_framed_not_stored_and_runs_one_script() {
    let mut operator = Operator::new().await;
    let page = operator.open("/console/health").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "connect-src 'self'",
        "script-src 'sha256-",
        "style-src 'sha256-",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["x-frame-options"], "DENY");
    assert_eq!(page.text.matches("<script").count(), 1);
    operator.scene.end().await;
}

/// Goal: what is done here is on record as the key's, from the console. Method: read the trail.
#[tokio::test]
async fn what_is_done_at_the_console_is_on_record() {
    let mut operator = Operator::new().await;
    operator.open("/console/tokens").await;
    let entries = operator.scene.record().await;
    let listed = entries.iter().find(|e| e["action"] == "list").unwrap();
    assert!(listed["from"].as_str().unwrap().starts_with("console, "));
    assert!(entries.iter().any(|e| e["action"] == "sign_in"));
    operator.scene.end().await;
}
