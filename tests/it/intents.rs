//! The refresh protocol cut at its joints: answers lost, crashes, removals and new connections in
//! mid-flight (R2, R4, R5; V7 to V9).

use std::time::Duration;

use serde_json::json;
use strongroom::sandbox::{Endpoint, Misbehaviour, Rotation};

use crate::rig::{Rig, Setup, WITH_GRACE, WITHOUT_GRACE, give_way, until};

const LATER: &str = "503 unavailable";
const INTERRUPTED: &str = "409 reconnect_required interrupted_refresh";

async fn rig(rotation: Rotation) -> Rig {
    Rig::with(Setup {
        rotation,
        ..Setup::default()
    })
    .await
}

/// Goal: an answer that is lost is asked for once more with the same refresh token, and inside the
/// provider's grace nobody notices. Method: the first answer is lost, the second comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_lost_answer_is_asked_for_once_more_inside_the_grace() {
    for rotation in [WITH_GRACE, Rotation::PreviousUntilNewUsed, Rotation::Off] {
        let rig = rig(rotation).await;
        let stored = rig.store_expired("u").await;
        rig.at_token(Misbehaviour::LoseAnswer, Some(1));
        let access = rig.access("u").await;
        assert_ne!(access, stored.access);
        assert_eq!((rig.asked(), rig.refreshed()), (2, 2), "{rotation:?}");
        let seen = rig.outside.sandbox.last_requests();
        let sent: Vec<_> = seen.iter().filter(|seen| seen.path == "/token").collect();
        assert_eq!(sent.len(), 2);
        for request in sent {
            assert_eq!(request.form("refresh_token"), Some(stored.refresh.as_str()));
            assert_eq!(request.form("scope"), None);
        }
        // And again, with what the second answer brought.
        rig.advance(7200);
        rig.access("u").await;
        assert_eq!(rig.outside.sandbox.counts().reuse_detected, 0);
        rig.inside.end().await;
    }
}

/// Goal: where the provider gives no grace and revokes on reuse, the loss is told as what it is.
/// Method: as above, without grace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_lost_answer_without_grace_is_an_interrupted_refresh_and_no_revocation() {
    let rig = rig(WITHOUT_GRACE).await;
    let stored = rig.store_expired("u").await;
    rig.at_token(Misbehaviour::LoseAnswer, Some(1));
    assert_eq!(rig.fetch("u").await.0, INTERRUPTED);
    assert_eq!(
        (rig.asked(), rig.outside.sandbox.counts().reuse_detected),
        (2, 1)
    );
    let summary = rig.summary(&stored.id).await;
    assert_eq!(summary["reason"], "interrupted_refresh");
    assert_eq!(summary["last_refresh_error"]["code"], "invalid_grant");
    let trail = rig.trail(&stored.id).await;
    assert!(
        trail.contains(&"dead: interrupted_refresh (invalid_grant)".to_owned()),
        "{trail:?}"
    );
    // A true revocation is told as one.
    let other = rig.store_expired("v").await;
    rig.outside.sandbox.revoke_user("v");
    assert_eq!(rig.fetch("v").await.0, "409 reconnect_required revoked");
    assert_eq!(rig.summary(&other.id).await["reason"], "revoked");
    rig.inside.end().await;
}

/// Goal: two lost answers end the attempt and not the token; what is not known stays not known.
/// Method: both answers lost; within the grace a later fetch lives, behind it the refusal is told
/// as an interrupted refresh, even after failures that certainly spent nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v9_two_lost_answers_leave_the_intent_open() {
    for (wait, wanted) in [(6, "200 ok"), (40, INTERRUPTED)] {
        let rig = rig(WITH_GRACE).await;
        let stored = rig.store_expired("u").await;
        rig.at_token(Misbehaviour::LoseAnswer, Some(2));
        let (line, said) = rig.fetch("u").await;
        assert_eq!(line, LATER, "{said}");
        assert!(said["retry_after_s"].as_u64().unwrap() <= 5, "{said}");
        assert_eq!(rig.summary(&stored.id).await["state"], "active");
        if wait > 30 {
            rig.advance(6);
            rig.at_token(Misbehaviour::Empty400, Some(1));
            assert_eq!(rig.fetch("u").await.0, LATER);
        }
        rig.advance(wait);
        assert_eq!(rig.fetch("u").await.0, wanted);
        rig.inside.end().await;
    }
}

/// Goal: a process that dies between the provider's answer and its own commit costs nothing where
/// the provider has a grace, and says what happened where it has none. Method: the answer of a
/// refresh that the provider has processed is held back; the directory is copied as it lies; the
/// copy is started, unlocked, and left to its scheduler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_a_crash_behind_the_providers_commit_is_mended_at_the_next_start() {
    let table = [
        (WITH_GRACE, true),
        (Rotation::PreviousUntilNewUsed, true),
        (WITHOUT_GRACE, false),
    ];
    for (rotation, lives) in table {
        let rig = rig(rotation).await;
        let stored = rig.store_expired("u").await;
        rig.at_token(Misbehaviour::Delay(Duration::from_secs(500)), Some(1));
        let api = rig.api.clone();
        let caller = tokio::spawn(async move { api.token("u").await });
        until("the provider has rotated", || rig.refreshed() == 1).await;
        let rig = rig.crash(Setup::scheduled()).await;
        // Not one request of ours: the start alone tries, at once.
        until("it is tried again", || rig.asked() == 2).await;
        let line = rig.fetch("u").await.0;
        assert_eq!(
            line,
            if lives { "200 ok" } else { INTERRUPTED },
            "{rotation:?}"
        );
        assert_eq!(rig.asked(), 2, "{rotation:?}: once");
        let kept = rig.refresh_token(&stored.id).await;
        assert_eq!(kept != stored.refresh, lives);
        caller.abort();
        rig.inside.end().await;
    }
}

/// Goal: a crash before the provider is reached is no loss either. Method: the request hangs
/// unprocessed while the directory is copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_a_crash_before_the_providers_commit_costs_nothing_even_without_grace() {
    let rig = rig(WITHOUT_GRACE).await;
    rig.store_expired("u").await;
    rig.at_token(Misbehaviour::Hang, Some(1));
    let api = rig.api.clone();
    let caller = tokio::spawn(async move { api.token("u").await });
    until("the provider is asked", || rig.asked() == 1).await;
    let rig = rig.crash(Setup::scheduled()).await;
    until("it is tried again", || rig.refreshed() == 1).await;
    rig.access("u").await;
    assert_eq!((rig.asked(), rig.refreshed()), (2, 1));
    caller.abort();
    rig.inside.end().await;
}

/// Goal: a restart in order keeps what a rotation brought. Method: refresh, restart, refresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_rotated_twice_in_a_row_and_across_restarts() {
    let mut rig = rig(WITHOUT_GRACE).await;
    let stored = rig.store_expired("u").await;
    let mut seen = vec![stored.refresh.clone()];
    for round in 1..=4 {
        rig.access("u").await;
        let newest = rig.refresh_token(&stored.id).await;
        assert!(!seen.contains(&newest), "round {round}");
        seen.push(newest);
        rig.advance(7200);
        if round % 2 == 0 {
            rig = rig.restart(Setup::default()).await;
        }
    }
    let counts = rig.outside.sandbox.counts();
    assert_eq!((counts.refreshes_ok, counts.reuse_detected), (4, 0));
    rig.inside.end().await;
}

/// Goal: who hangs up does not end the refresh, and its result is stored. Method: the only caller
/// goes away while the provider hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_a_caller_that_hangs_up_does_not_end_the_refresh() {
    let rig = rig(WITHOUT_GRACE).await;
    let stored = rig.store_expired("u").await;
    rig.at_token(Misbehaviour::Hang, Some(1));
    let api = rig.api.clone();
    let caller = tokio::spawn(async move { api.token("u").await });
    until("the provider is asked", || rig.asked() == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    rig.behave();
    until("it is refreshed", || rig.refreshed() == 1).await;
    assert_ne!(rig.access("u").await, stored.access);
    assert_eq!(rig.asked(), 1);
    rig.inside.end().await;
}

/// Goal: a removal wins over a refresh in flight, and what the refresh brings is taken back at the
/// provider, being nobody's. Method: remove while the provider hangs, at a provider that does not
/// manage to revoke just then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v8_a_removal_in_mid_refresh_wins_and_its_orphan_is_revoked() {
    let rig = rig(WITH_GRACE).await;
    let stored = rig.store_expired("u").await;
    rig.at_token(Misbehaviour::Hang, Some(1));
    rig.outside
        .sandbox
        .misbehave(Endpoint::Revoke, Misbehaviour::Html500, None);
    let api = rig.api.clone();
    let caller = tokio::spawn(async move { api.token("u").await });
    until("the provider is asked", || rig.asked() == 1).await;
    let (status, said) = rig.api.delete(&format!("/v1/tokens/{}", stored.id)).await;
    assert_eq!(
        (status, &said["revocation"]["result"]),
        (200, &json!("failed")),
        "{said}"
    );
    rig.behave();
    let (status, said) = caller.await.unwrap();
    assert_eq!(
        (status, &said["outcome"]),
        (404, &json!("connect_required")),
        "{said}"
    );
    assert_eq!(rig.refreshed(), 1);
    let sandbox = &rig.outside.sandbox;
    until("the orphan is revoked", || {
        sandbox.counts().revocations == 2
    })
    .await;
    rig.inside.end().await;
}

/// Goal: a new connection wins over a refresh in flight, and is not revoked with the old one's
/// result: both may live on one grant. Method: store anew while the provider hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v8_a_new_connection_in_mid_refresh_wins() {
    let rig = rig(WITH_GRACE).await;
    let old = rig.store_expired("u").await;
    rig.at_token(Misbehaviour::Hang, Some(1));
    let api = rig.api.clone();
    let caller = tokio::spawn(async move { api.token("u").await });
    until("the provider is asked", || rig.asked() == 1).await;
    let new = rig.store("u", 3600).await;
    assert_eq!(new.id, old.id);
    rig.behave();
    let (status, said) = caller.await.unwrap();
    assert_eq!(
        (status, &said["access_token"]),
        (200, &json!(new.access)),
        "{said}"
    );
    assert_eq!(rig.refresh_token(&new.id).await, new.refresh);
    assert_eq!(rig.outside.sandbox.counts().revocations, 0);
    // A removal and a connection after it, both in mid-flight: the same.
    rig.advance(7200);
    rig.at_token(Misbehaviour::Hang, Some(1));
    let (api, asked) = (rig.api.clone(), rig.asked());
    let caller = tokio::spawn(async move { api.token("u").await });
    until("the provider is asked", || rig.asked() == asked + 1).await;
    rig.outside
        .sandbox
        .misbehave(Endpoint::Revoke, Misbehaviour::Html500, None);
    rig.api.delete(&format!("/v1/tokens/{}", new.id)).await;
    let newest = rig.store("u", 3600).await;
    assert_ne!(newest.id, new.id);
    rig.behave();
    let (_, said) = caller.await.unwrap();
    assert_eq!(said["access_token"], newest.access, "{said}");
    assert_eq!(rig.outside.sandbox.counts().revocations, 0);
    rig.inside.end().await;
}

/// Goal: a refresh in flight is finished before the process ends. Method: the provider hangs, the
/// server is told to end, the provider goes on; a restart finds the new token and no open intent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_an_end_in_order_waits_for_refreshes_in_flight() {
    let rig = Rig::with(Setup {
        rotation: WITHOUT_GRACE,
        ..Setup::scheduled()
    })
    .await;
    let sandbox = rig.outside.sandbox.clone();
    rig.at_token(Misbehaviour::Hang, None);
    let stored = rig.store_expired("u").await;
    until("the scheduler asks", || rig.asked() == 1).await;
    let ending = tokio::spawn(rig.restart(Setup::default()));
    give_way().await;
    assert!(!ending.is_finished());
    sandbox.behave();
    let rig = ending.await.unwrap();
    assert_eq!(rig.refreshed(), 1);
    assert_ne!(rig.access("u").await, stored.access);
    assert_eq!(rig.asked(), 1, "what it brought was stored");
    rig.inside.end().await;
}
