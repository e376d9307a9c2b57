//! What callers may see around a refresh (R1): each refresh once, and nothing old after the new.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use crate::rig::Rig;
use crate::support::Api;

/// What a caller got, and whether it asked after the new token had been acknowledged to anybody.
type Seen = (String, bool);

/// The fault of R1, where these show it.
fn fault(old: &str, seen: &[Seen]) -> Option<String> {
    let late: Vec<&Seen> = seen.iter().filter(|(_, late)| *late).collect();
    if late.is_empty() {
        return Some("nobody asked after the acknowledgement".into());
    }
    let stale = late.iter().filter(|(token, _)| token == old).count();
    (stale > 0).then(|| format!("{stale} callers got the old token after the new one"))
}

/// The fault of R1 in how often a provider was asked.
fn miscount(asked: u64, wanted: u64) -> Option<String> {
    (asked != wanted).then(|| format!("{asked} calls for {wanted} tokens"))
}

async fn fetches(api: Api, acknowledged: Arc<AtomicBool>, rounds: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    for _ in 0..rounds {
        let late = acknowledged.load(Ordering::SeqCst);
        let (status, said) = api.token("u").await;
        assert_eq!(status, 200, "{said}");
        seen.push((said["access_token"].as_str().unwrap().to_owned(), late));
    }
    seen
}

/// Goal: once anybody has the new token nobody who asks gets the old one, though it is valid still.
/// Method: callers that fetch over and over around a forced refresh, each noting whether the new
/// one had been handed out when it asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_nobody_gets_an_old_token_after_the_new_one_was_acknowledged() {
    let rig = Rig::new().await;
    for round in 1..=10 {
        let stored = rig.store("u", 3600).await;
        let acknowledged = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for _ in 0..8 {
            callers.spawn(fetches(rig.api.clone(), Arc::clone(&acknowledged), 25));
        }
        let body = json!({ "app": "demo", "user": "u", "force_refresh": true });
        let (status, said) = rig.api.post("/v1/token", body).await;
        assert_eq!(status, 200, "{said}");
        assert_ne!(said["access_token"], stored.access);
        acknowledged.store(true, Ordering::SeqCst);
        callers.spawn(fetches(rig.api.clone(), Arc::clone(&acknowledged), 5));
        let seen: Vec<Seen> = callers.join_all().await.into_iter().flatten().collect();
        assert_eq!(fault(&stored.access, &seen), None);
        assert_eq!(miscount(rig.asked(), round), None);
        rig.advance(10);
    }
    rig.inside.end().await;
}

/// Goal: the checks above can fail. Method: an old token seen late, nobody late, a call too few and
/// one too many.
#[test]
fn r1_the_checks_see_an_old_token_and_a_miscount() {
    let seen = |token: &str, late| (token.to_owned(), late);
    assert!(fault("old", &[seen("old", false), seen("new", true)]).is_none());
    assert!(fault("old", &[seen("new", true), seen("old", true)]).is_some());
    assert!(fault("old", &[seen("old", false)]).is_some());
    assert!(miscount(1, 1).is_none() && miscount(0, 1).is_some() && miscount(2, 1).is_some());
}
