//! Who strays: another site's form, a path that is not there, a form's address typed by hand.

use super::{Operator, heading, says, says_not};
use crate::scene::Scene;
use crate::support::Raw;

const HTML: (&str, &str) = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const EVIL: (&str, &str) = ("origin", "https://evil.example");

fn is_page(answer: &Raw) -> bool {
    answer.header("content-type") == Some("text/html; charset=utf-8")
}

fn is_strict(answer: &Raw) {
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
}

/// Goal: a browser is told in a page what happened and what to do; a program gets what it got
/// before, and the status is the same. Method: each way to stray, with and without `Accept`.
#[tokio::test]
async fn who_strays_with_a_browser_gets_a_page_and_a_program_gets_json() {
    let scene = Scene::new().await;
    for (method, path, status, text) in [
        ("POST", "/console/sign-in", 403, "Another web site"),
        ("POST", "/console/lock", 403, "Another web site"),
        ("POST", "/connect/x/cancel", 403, "Another web site"),
        ("GET", "/console/nothing", 404, "no such page"),
        ("GET", "/console/", 404, "no such page"),
        ("GET", "/connect/x/y/z", 404, "no such page"),
        ("GET", "/c/x/y", 404, "no such page"),
        ("GET", "/callback/x/y", 404, "no such page"),
        ("GET", "/console/lock", 405, "by its address"),
        ("GET", "/connect/x/cancel", 405, "by its address"),
    ] {
        let mut headers = vec![HTML];
        if status == 403 {
            headers.extend([FORM, EVIL]);
        }
        let answer = scene.admin.raw(method, path, &headers, vec![]).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(is_page(&answer), "{path}: {answer:?}");
        assert!(answer.body.contains(text), "{path}: {}", answer.body);
        assert!(!answer.body.contains("evil.example"));
        is_strict(&answer);
        let is_wrong_method = status == 405;
        assert_eq!(answer.header("allow").is_some(), is_wrong_method, "{path}");
        headers.remove(0);
        let answer = scene.admin.raw(method, path, &headers, vec![]).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.json()["error"]["code"].is_string(), "{path}");
    }
    // The API's own paths are for programs, whatever they say that they take.
    let answer = scene.admin.raw("GET", "/v1/nothing", &[HTML], vec![]).await;
    assert!(!is_page(&answer));
    let answer = scene.admin.raw("GET", "/consoles", &[HTML], vec![]).await;
    assert!(!is_page(&answer));
    scene.end().await;
}

/// Goal: the page is of nobody: it says nothing of a session, and repeats nothing of the request.
/// Method: an operator's cookie with a path that holds markup.
#[tokio::test]
async fn a_page_for_who_strays_says_nothing_of_who_is_signed_in() {
    let operator = Operator::new().await;
    let cookie = operator.browser.cookies()[0].clone();
    let cookie = format!("{}={}", cookie.0, cookie.1);
    let headers = [HTML, ("cookie", cookie.as_str())];
    let path = "/console/%3Cb%3Ehostile";
    let answer = operator
        .scene
        .admin
        .raw("GET", path, &headers, vec![])
        .await;
    assert_eq!(answer.status, 404);
    assert!(!answer.body.contains("hostile") && !answer.body.contains("form_token"));
    assert!(answer.body.contains("href=\"/console\""));
    operator.scene.end().await;
}

/// Goal: a person who follows the page's advice gets there. Method: from a stray path to the
/// console, signed in still.
#[tokio::test]
async fn the_way_back_leads_to_the_console() {
    let mut operator = Operator::new().await;
    let page = operator.open("/console").await;
    assert_eq!(heading(&page), "Health");
    says(&page, "/console/sign-out");
    says_not(&page, "no such page");
    operator.scene.end().await;
}
