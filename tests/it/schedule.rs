//! The scheduler by the test clock: ahead of time, apart, through outages (R3, R4, R9, R10).

use std::time::Duration;

use serde_json::json;
use strongroom::model::access::Caller;
use strongroom::sandbox::Misbehaviour;

use crate::rig::{Rig, Setup, give_way, until};
use crate::support::{CLIENT_SECRET, Outside};

const LATER: &str = "503 unavailable";

/// A second provider, and the app `other` at it.
async fn second_provider(rig: &Rig) -> Outside {
    let outside = Outside::start(&rig.clock).await;
    let app = json!({
        "id": "other", "kind": "oauth", "name": "Other", "client_id": "demo",
        "client_secret": CLIENT_SECRET, "issuer": outside.issuer, "scopes": ["calendar.read"],
    });
    let (status, said) = rig.api.post("/v1/apps", app).await;
    assert_eq!(status, 201, "{said}");
    outside
}

/// Stores a token of `other` that ended a second ago.
async fn store_other(rig: &Rig, outside: &Outside, user: &str) {
    let issued = outside.sandbox.grant("demo", user, &["calendar.read"]);
    let body = json!({
        "app": "other", "user": user, "access_token": issued.access_token.expose(),
        "refresh_token": issued.refresh_token.expose(),
        "expires_at": rig.now().minus(Duration::from_secs(1)),
    });
    let (status, said) = rig.api.put("/v1/tokens", body).await;
    assert_eq!(status, 200, "{said}");
}

/// How many tokens are due by a moment this many seconds from now.
fn due_in(rig: &Rig, seconds: u64) -> usize {
    let at = rig.now().plus(Duration::from_secs(seconds));
    let due = rig.inside.vault.due(&Caller::scheduler(), at, 1000);
    due.unwrap().0.len()
}

/// Goal: tokens born together fall due ahead of their end and not together, short lives included.
/// Method: a hundred of each of three lives, looked at without a scheduler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_tokens_born_together_fall_due_ahead_and_apart() {
    for (life, first, last) in [(3600, 3150, 3300), (600, 300, 375), (60, 30, 38)] {
        let rig = Rig::new().await;
        for number in 0..100 {
            rig.store(&format!("u{number}"), life).await;
        }
        assert_eq!(due_in(&rig, first - 1), 0, "{life}");
        let half = due_in(&rig, (first + last) / 2);
        assert!((20..=80).contains(&half), "{life}: {half}");
        assert_eq!(due_in(&rig, last), 100, "{life}");
        rig.inside.end().await;
    }
}

/// Goal: what is due is refreshed ahead of its end, and nobody who fetches waits for a provider.
/// Method: fifty tokens, the clock moved through their first life and their second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_tokens_are_refreshed_ahead_of_their_end() {
    let rig = Rig::with(Setup::scheduled()).await;
    for number in 0..50 {
        rig.store(&format!("u{number}"), 3600).await;
    }
    rig.advance(3149);
    give_way().await;
    assert_eq!(rig.asked(), 0);
    rig.advance(151);
    until("all are refreshed", || rig.refreshed() == 50).await;
    until("and stored", || due_in(&rig, 0) == 0).await;
    rig.advance(3149);
    give_way().await;
    for number in 0..50 {
        rig.access(&format!("u{number}")).await;
    }
    assert_eq!(rig.asked(), 50);
    rig.advance(151);
    until("all are refreshed again", || rig.refreshed() == 100).await;
    assert_eq!(rig.outside.sandbox.counts().reuse_detected, 0);
    rig.inside.end().await;
}

/// Goal: a life of a second or a minute is no circle. Method: tokens of such lives; while the clock
/// stands nothing is asked for twice, neither by schedule nor by callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_a_short_life_is_not_refreshed_in_a_circle() {
    for life in [1, 2, 10, 40] {
        let rig = Rig::with(Setup {
            life: Duration::from_secs(life),
            ..Setup::scheduled()
        })
        .await;
        rig.store_expired("u").await;
        until("it is refreshed", || rig.refreshed() == 1).await;
        for _ in 0..20 {
            rig.access("u").await;
            give_way().await;
        }
        assert_eq!(rig.asked(), 1, "{life}");
        for round in 2..=5 {
            rig.advance(life);
            until("it is refreshed again", || rig.refreshed() == round).await;
            rig.access("u").await;
            assert_eq!(rig.asked(), round, "{life}");
        }
        rig.inside.end().await;
    }
}

/// Goal: an outage of an hour kills nothing, valid tokens are served all along, and within a minute
/// of the provider's return all is as before. Method: tokens that fall due and end in the outage,
/// tokens that outlive it, a provider that answers 500 or hangs up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_an_outage_of_an_hour_kills_nothing() {
    for how in [Misbehaviour::Html500, Misbehaviour::CloseBefore] {
        let rig = Rig::with(Setup {
            life: Duration::from_secs(86_400),
            ..Setup::scheduled()
        })
        .await;
        for number in 0..40 {
            rig.store(&format!("ends{number}"), 1800).await;
            rig.store(&format!("lasts{number}"), 4200).await;
        }
        rig.at_token(how, None);
        for minute in 0..60 {
            rig.advance(60);
            rig.quiet().await;
            if minute % 10 == 9 {
                rig.access("lasts7").await;
            }
        }
        assert_eq!(rig.fetch("ends7").await.0, LATER);
        let (_, dead) = rig.api.get("/v1/tokens?state=reconnect_required").await;
        assert_eq!(dead["tokens"], json!([]));
        assert_eq!(rig.refreshed(), 0);
        let tries = rig.asked();
        assert!((100..4000).contains(&tries), "{tries}");
        rig.behave();
        rig.refreshed_within_a_minute("all that ended are refreshed", 40)
            .await;
        for number in 0..40 {
            rig.access(&format!("ends{number}")).await;
        }
        rig.inside.end().await;
    }
}

/// Goal: `Retry-After` is honoured, whoever asks, capped at an hour; others are not held up.
/// Method: seconds, a date, an absurd one, at one provider, while another has work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_retry_after_is_honoured_and_holds_up_nobody_else() {
    let date = "Mon, 21 Sep 2026 14:23:20 GMT"; // Ten minutes after the test clock's beginning.
    for (status, value, least) in [
        (429, "600", 600),
        (503, date, 600),
        (503, "600", 600),
        (429, "315360000", 3600),
    ] {
        let rig = Rig::with(Setup::scheduled()).await;
        let other = second_provider(&rig).await;
        let how = Misbehaviour::RetryAfter {
            status,
            value: value.into(),
        };
        rig.at_token(how, Some(1));
        rig.store_expired("u").await;
        until("it is asked", || rig.asked() == 1).await;
        store_other(&rig, &other, "u").await;
        let elsewhere = || other.sandbox.counts().refreshes_ok;
        until("the other is refreshed", || elsewhere() == 1).await;
        // A second token of the same provider is held back as well.
        rig.store_expired("v").await;
        for _ in 0..least / 60 - 1 {
            rig.advance(60);
            give_way().await;
            for user in ["u", "v"] {
                assert_eq!(rig.fetch(user).await.0, LATER);
            }
        }
        assert_eq!(rig.asked(), 1, "{value}");
        rig.advance(60 + least / 20);
        until("both are refreshed", || rig.refreshed() == 2).await;
        rig.inside.end().await;
    }
}

/// Goal: a wrong client secret kills no token, and when it is mended all go on within a minute.
/// Method: 401 `invalid_client` for a quarter of an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_a_wrong_client_secret_kills_nothing() {
    let rig = Rig::with(Setup::scheduled()).await;
    let app = json!({ "client_secret": "an old one" });
    let (status, said) = rig.api.get("/v1/apps/demo").await;
    assert_eq!(status, 200);
    let change = |secret: &str| {
        let mut app = json!({
            "kind": "oauth", "name": "Demo", "client_id": "demo", "client_secret": secret,
            "issuer": rig.outside.issuer, "scopes": ["calendar.read", "openid"],
        });
        app["id"] = said["id"].clone();
        app
    };
    drop(app);
    let (status, said) = rig.api.put("/v1/apps/demo", change("wrong")).await;
    assert_eq!(status, 200, "{said}");
    for number in 0..10 {
        rig.store_expired(&format!("u{number}")).await;
    }
    for _ in 0..15 {
        rig.advance(60);
        rig.quiet().await;
    }
    let (line, said) = rig.fetch("u3").await;
    assert_eq!(line, LATER, "{said}");
    let (_, dead) = rig.api.get("/v1/tokens?state=reconnect_required").await;
    assert_eq!(dead["tokens"], json!([]));
    let (status, said) = rig.api.put("/v1/apps/demo", change(CLIENT_SECRET)).await;
    assert_eq!(status, 200, "{said}");
    rig.refreshed_within_a_minute("all are refreshed", 10).await;
    assert_eq!(rig.refreshed(), 10);
    rig.inside.end().await;
}

/// Goal: a provider that hangs delays its own tokens only. Method: a hundred due tokens of one that
/// hangs come first; those of another are refreshed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_a_provider_that_hangs_delays_nobody_else() {
    let rig = Rig::with(Setup::scheduled()).await;
    let other = second_provider(&rig).await;
    rig.at_token(Misbehaviour::Hang, None);
    for number in 0..100 {
        rig.store_expired(&format!("u{number}")).await;
    }
    until("the first is asked", || rig.asked() > 0).await;
    for number in 0..50 {
        store_other(&rig, &other, &format!("u{number}")).await;
    }
    let elsewhere = || other.sandbox.counts().refreshes_ok;
    until("the others are refreshed", || elsewhere() == 50).await;
    assert!(rig.asked() <= 16 && rig.refreshed() == 0, "{}", rig.asked());
    rig.behave();
    until("the first are refreshed too", || rig.refreshed() == 100).await;
    assert_eq!(rig.asked(), 100);
    rig.inside.end().await;
}

/// Goal: with nothing due there is nothing to do. Method: a day passes over tokens without an end;
/// no provider is asked, nothing is written but what is swept every ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_an_idle_day_asks_nobody() {
    let rig = Rig::with(Setup::scheduled()).await;
    rig.store("u", 40 * 86_400).await;
    give_way().await;
    let before = rig.inside.vault.status().audit_seq.unwrap();
    for _ in 0..24 * 60 {
        rig.advance(60);
        tokio::task::yield_now().await;
    }
    give_way().await;
    let status = rig.inside.vault.status();
    assert_eq!(rig.asked(), 0);
    assert!(status.audit_seq.unwrap() - before <= 24 * 6 + 1);
    rig.inside.end().await;
}

/// Goal: a lone refresh token is made use of at once, and an access token whose end nobody said is
/// not trusted for long. Method: one uploaded without an access token, one without an end: that is
/// handed out, and refreshed within a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_what_was_uploaded_without_an_end_is_refreshed_soon() {
    let rig = Rig::with(Setup::scheduled()).await;
    let issued = rig.grant("u");
    let body = json!({
        "app": "demo", "user": "u", "refresh_token": issued.refresh_token.expose(),
    });
    assert_eq!(rig.api.put("/v1/tokens", body).await.0, 200);
    until("it is used", || rig.refreshed() == 1).await;
    rig.inside.end().await;

    let rig = Rig::with(Setup::scheduled()).await;
    let issued = rig.grant("v");
    let body = json!({
        "app": "demo", "user": "v", "refresh_token": issued.refresh_token.expose(),
        "access_token": issued.access_token.expose(),
    });
    assert_eq!(rig.api.put("/v1/tokens", body).await.0, 200);
    assert_eq!(rig.access("v").await, *issued.access_token.expose());
    rig.advance(60);
    until("it is refreshed", || rig.refreshed() == 1).await;
    rig.quiet().await;
    assert_ne!(rig.access("v").await, *issued.access_token.expose());
    rig.inside.end().await;
}

/// Goal: a locked vault is left alone, and goes on when it is unlocked. Method: lock, let tokens
/// fall due, unlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_a_locked_vault_is_left_alone() {
    let rig = Rig::with(Setup::scheduled()).await;
    rig.store("u", 3600).await;
    let (status, _) = rig.api.post("/v1/lock", json!({})).await;
    assert_eq!(status, 200);
    rig.advance(7200);
    give_way().await;
    assert_eq!(rig.asked(), 0);
    let unlock = json!({ "passphrase": crate::support::PASSPHRASE });
    let (status, said) = rig.api.post("/v1/unlock", unlock).await;
    assert_eq!(status, 200, "{said}");
    until("it is refreshed", || rig.refreshed() == 1).await;
    rig.inside.end().await;
}
