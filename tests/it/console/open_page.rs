//! What a page that keeps itself fresh leaves on record, and what its parts carry (V5, V21).

use std::time::Duration;

use serde_json::json;

use super::Operator;

/// A page asks so often.
const EVERY: Duration = Duration::from_secs(10);

async fn count(operator: &Operator) -> usize {
    // The look at the trail is an entry too: the same one each time.
    operator.scene.record().await.len()
}

/// Lets a page ask by itself `times` times; how many entries that made.
async fn left_open(operator: &mut Operator, path: &str, times: usize) -> usize {
    let url = operator.url(path);
    let before = count(operator).await;
    for _ in 0..times {
        operator.scene.clock.advance(EVERY);
        let page = operator.browser.send("GET", &url, None).await;
        assert_eq!(page.status, 200, "{}", page.text);
    }
    count(operator).await - before - 1
}

/// Goal: a page left open does not bury the trail, and does not go unseen either. Method: two
/// minutes, then ten, of the parts that are asked for by themselves; the entries of each.
#[tokio::test]
async fn a_page_left_open_is_on_record_now_and_then() {
    let mut operator = Operator::new().await;
    for (screen, part) in [
        ("/console/health", "/console/health/now"),
        (
            "/console/audit?follow=yes",
            "/console/audit/now?action=look",
        ),
    ] {
        let before = count(&operator).await;
        operator.open(screen).await;
        assert!(count(&operator).await > before + 1, "opening is on record");
        let made = left_open(&mut operator, part, 12).await;
        assert!(made <= 1, "{part}: {made} entries in two minutes");
        let made = left_open(&mut operator, part, 60).await;
        assert!((1..=3).contains(&made), "{part}: {made} in ten minutes");
        operator.open("/console").await;
    }
    let entries = operator.scene.record().await;
    let looked = |outcome: &str| {
        let is = |e: &&serde_json::Value| e["action"] == "look" && e["outcome"] == outcome;
        entries.iter().filter(is).count()
    };
    assert_eq!(looked("health opened"), 4, "at signing in, and thrice");
    assert!(looked("health kept open") >= 2);
    assert!(looked("audit kept open") >= 2);
    operator.scene.end().await;
}

/// Goal: what the key may not see is no refusal each time the page asks. Method: a key for the
/// trail alone; no entry says that it was refused.
#[tokio::test]
async fn an_open_page_is_not_refused_what_its_key_may_not_see() {
    let operator = Operator::new().await;
    let grant = json!([{ "actions": ["audit"] }]);
    let made = operator
        .scene
        .key(json!({ "name": "auditor", "grants": grant }))
        .await;
    let mut auditor = Operator::with_key(operator.scene, Some(&made.0.key)).await;
    left_open(&mut auditor, "/console/health/now", 12).await;
    let entries = auditor.scene.record().await;
    let refused: Vec<_> = entries.iter().filter(|e| e["allowed"] == false).collect();
    assert!(refused.is_empty(), "{refused:?}");
    auditor.scene.end().await;
}

/// Goal: nobody reads the trail page by page under the name of a page left open: what is searched
/// for anew is on record anew, and older pages are not handed out. Method: other words; a cursor.
#[tokio::test]
async fn another_search_is_on_record_and_older_pages_are_not_for_a_page_left_open() {
    let mut operator = Operator::new().await;
    operator.open("/console/audit?follow=yes").await;
    let before = count(&operator).await;
    for path in ["/console/audit/now?user=ada", "/console/audit/now?user=eve"] {
        let url = operator.url(path);
        assert_eq!(operator.browser.send("GET", &url, None).await.status, 200);
    }
    assert_eq!(count(&operator).await, before + 3);
    let page = operator.scene.admin.get("/v1/audit?limit=1").await.1;
    let cursor = page["cursor"].as_str().unwrap();
    let url = operator.url(&format!("/console/audit/now?cursor={cursor}"));
    assert_eq!(operator.browser.send("GET", &url, None).await.status, 400);
    operator.scene.end().await;
}

/// Goal: a part of a page, opened by itself, is kept as strictly as a page. Method: its headers.
#[tokio::test]
async fn a_part_of_a_page_runs_nothing_and_is_not_framed() {
    let mut operator = Operator::new().await;
    for part in ["/console/health/now", "/console/audit/now"] {
        let url = operator.url(part);
        let page = operator.browser.send("GET", &url, None).await;
        let policy = page.headers.get("content-security-policy");
        let policy = policy.expect(part).to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("script-src"), "{policy}");
        assert_eq!(page.headers["x-frame-options"], "DENY");
        assert_eq!(page.headers["cache-control"], "no-store");
    }
    operator.scene.end().await;
}
