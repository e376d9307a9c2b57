//! Outages of a provider, by the test clock (R3).
//!
//! | catalogue | here |
//! |---|---|
//! | R3 an hour of refused, time-out, 5xx, half-open, DNS failure, bad TLS | `r3_an_hour_of_any_outage_kills_nothing` |
//! | R3 with 10,000 records: none dead, all refreshed in 60 s, caps kept | `r3_ten_thousand_tokens_outlive_an_hour_of_outage` |
//!
//! `STRONGROOM_RUNS` is the number of tokens of the second.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::json;
use strongroom::limits;
use strongroom::model::access::Caller;
use strongroom::model::token::TokenState;
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::sandbox::Misbehaviour;
use strongroom::vault::{NewCredential, NewToken, Upload};

use crate::rig::{Rig, Setup, give_way, until};
use crate::seeded::Seeded;
use crate::support::{CLIENT_SECRET, PATIENCE};

const LATER: &str = "503 unavailable";

/// A way for a provider to be away.
enum Away {
    /// It answers, or does not, like this.
    Behaves(Misbehaviour),
    /// Its token endpoint is to be had nowhere: this URL, where `HOST` stands for its own.
    At(&'static str),
}

/// The app, with its token endpoint at `url`.
async fn move_to(rig: &Rig, url: &str) {
    let at = |path: &str| format!("{}{path}", rig.outside.issuer);
    let app = json!({
        "kind": "oauth", "name": "Demo", "client_id": "demo", "client_secret": CLIENT_SECRET,
        "authorization_url": at("/authorize"), "token_url": url,
        "scopes": ["calendar.read", "openid"],
    });
    let (status, said) = rig.api.put("/v1/apps/demo", app).await;
    assert_eq!(status, 200, "{said}");
}

async fn begins(rig: &Rig, away: &Away) {
    match away {
        Away::Behaves(how) => rig.at_token(how.clone(), None),
        Away::At(url) => {
            let host = rig.outside.issuer.strip_prefix("http://").unwrap();
            move_to(rig, &url.replace("HOST", host)).await;
        }
    }
}

async fn ends(rig: &Rig, away: &Away) {
    match away {
        Away::Behaves(_) => rig.behave(),
        Away::At(_) => move_to(rig, &format!("{}/token", rig.outside.issuer)).await,
    }
}

/// A name that nobody has (RFC 2606 2). Who has no network learns as little of it.
const UNKNOWN: &str = "https://nowhere.example/token";

/// An outage, the code that is on record for it, and words of its description.
type Kind = (&'static str, Away, &'static str, &'static str);

/// The outages of the catalogue.
const OUTAGES: [Kind; 6] = [
    ("5xx", Away::Behaves(Misbehaviour::Html500), "http_500", ""),
    (
        "half-open",
        Away::Behaves(Misbehaviour::CloseBefore),
        "answer_lost",
        "",
    ),
    (
        "time-out",
        Away::Behaves(Misbehaviour::Hang),
        "timed_out",
        "in time",
    ),
    (
        "refused",
        Away::At("http://127.0.0.1:1/token"),
        "not_reached",
        "refused",
    ),
    (
        "DNS failure",
        Away::At(UNKNOWN),
        "not_reached",
        "could not be",
    ),
    (
        "bad TLS",
        Away::At("https://HOST/token"),
        "not_reached",
        "TLS: ",
    ),
];

/// Goal: whatever an outage is, an hour of it kills nothing, what is valid is served all along, and
/// within a minute of its end all is as before. Method: tokens that end in the outage and tokens
/// that outlive it, for each kind of outage of the catalogue; what is on record of the last try
/// says that it was this kind and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_an_hour_of_any_outage_kills_nothing() {
    for (what, away, code, words) in &OUTAGES {
        let timeout = match away {
            Away::Behaves(Misbehaviour::Hang) => Duration::from_millis(100),
            _ => PATIENCE,
        };
        let rig = Rig::with(Setup {
            life: Duration::from_secs(86_400),
            timeout,
            ..Setup::scheduled()
        })
        .await;
        let mut ending = Vec::new();
        for number in 0..8 {
            ending.push(rig.store(&format!("ends{number}"), 1800).await);
            rig.store(&format!("lasts{number}"), 4200).await;
        }
        begins(&rig, away).await;
        for minute in 0..60 {
            rig.advance(60);
            rig.quiet().await;
            if minute % 10 == 9 {
                rig.access(&format!("lasts{}", minute / 10)).await;
            }
        }
        // Who asks waits for what is under way: none is left to fail when the outage has ended.
        for number in 0..8 {
            let (line, said) = rig.fetch(&format!("ends{number}")).await;
            assert_eq!(line, LATER, "{what}: {said}");
        }
        let error = rig.summary(&ending[7].id).await["last_refresh_error"].clone();
        assert_eq!(error["code"], json!(code), "{what}: {error}");
        let description = error["description"].as_str().unwrap();
        assert!(description.contains(words), "{what}: {error}");
        let (_, dead) = rig.api.get("/v1/tokens?state=reconnect_required").await;
        assert_eq!(dead["tokens"], json!([]), "{what}");
        assert_eq!(rig.refreshed(), 0, "{what}");
        ends(&rig, away).await;
        rig.refreshed_within_a_minute(what, 8).await;
        for number in 0..8 {
            rig.access(&format!("ends{number}")).await;
        }
        assert_eq!(rig.outside.sandbox.counts().reuse_detected, 0, "{what}");
        rig.inside.end().await;
    }
}

/// Stores so many tokens in process: half end in half an hour, half in two.
async fn store_many(rig: &Rig, count: u64) {
    let me = Caller::local();
    for some in (0..count).collect::<Vec<_>>().chunks(250) {
        let mut receipts = Vec::new();
        for number in some {
            let user = format!("u{number}");
            let issued = rig.grant(&user);
            let seconds = if number % 2 == 0 { 1800 } else { 7200 };
            let new = NewToken::of(
                Address {
                    app: AppId::parse("demo").unwrap(),
                    owner: Owner::User(UserId::parse(&user).unwrap()),
                    account: None,
                    scopes: Scopes::default(),
                },
                NewCredential::Uploaded(Upload {
                    access_token: Some(issued.access_token),
                    refresh_token: Some(issued.refresh_token),
                    expires_at: Some(rig.now().plus(Duration::from_secs(seconds))),
                    ..Upload::default()
                }),
            );
            receipts.push(rig.inside.vault.store_token(&me, new).unwrap());
        }
        for receipt in receipts {
            receipt.await.unwrap();
        }
    }
    rig.inside.refresher.notice();
}

/// How many tokens are marked dead, of all.
fn dead(rig: &Rig) -> (usize, usize) {
    let (mut dead, mut all, mut cursor) = (0, 0, None);
    loop {
        let page = rig.inside.vault.list(
            &Caller::local(),
            &Default::default(),
            limits::PAGE_MAX,
            cursor.as_deref(),
        );
        let page = page.unwrap();
        all += page.tokens.len();
        dead += page
            .tokens
            .iter()
            .filter(|one| one.state != TokenState::Active)
            .count();
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return (dead, all),
        }
    }
}

/// Goal: ten thousand tokens outlive an hour of outage: none is marked dead, what is valid is
/// served, and when the provider is back all that ended are refreshed within a minute of the clock
/// and never more than so many at one time. Method: half of them end in the outage; at its end the
/// provider holds all calls, once while it is still thought to be away and once when it is known
/// to be well, which shows how many come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_ten_thousand_tokens_outlive_an_hour_of_outage() {
    let count = Seeded::new("R3").runs(10_000);
    assert!(count >= 1000, "fewer take no seat from each other");
    let rig = Rig::with(Setup {
        life: Duration::from_secs(86_400),
        ..Setup::scheduled()
    })
    .await;
    let begun = Instant::now();
    store_many(&rig, count).await;
    let stored = begun.elapsed();
    rig.at_token(Misbehaviour::Html500, None);
    for minute in 0..60 {
        rig.advance(60);
        give_way().await;
        if minute % 5 == 4 {
            rig.access(&format!("u{}", 2 * (minute % 100) + 1)).await;
        }
    }
    until("somebody is told", || rig.asked() > 10).await;
    rig.quiet().await;
    assert_eq!(rig.refreshed(), 0);
    assert_eq!(dead(&rig), (0, usize::try_from(count).unwrap()));
    let over = begun.elapsed();
    comes_back(&rig, count.div_ceil(2)).await;
    println!(
        "R3: {count} tokens; stored after {stored:?}, the outage over after {over:?}, all done \
         after {:?}",
        begun.elapsed()
    );
    assert_eq!(rig.outside.sandbox.counts().reuse_detected, 0);
    assert_eq!(dead(&rig).0, 0);
    for number in (0..count).step_by(97) {
        rig.access(&format!("u{number}")).await;
    }
    rig.inside.end().await;
}

/// The provider of [`r3_ten_thousand_tokens_outlive_an_hour_of_outage`] is back, and `ended` tokens
/// wait for it.
async fn comes_back(rig: &Rig, ended: u64) {
    let seats = u64::try_from(limits::PROVIDER_CALLS_PER_HOST_MAX).unwrap();
    let before = rig.asked();
    // None succeeded before, and all were answered.
    let held = || {
        let counts = rig.outside.sandbox.counts();
        counts.token_requests - before - counts.refreshes_ok
    };
    rig.at_token(Misbehaviour::Hang, None);
    rig.advance(60);
    until("it is tried whether it is well", || held() > 0).await;
    rig.quiet().await;
    // Those that are let try, and one more whose turn it is by the clock.
    let probes = u64::try_from(limits::LANE_PROBES_MAX).unwrap() + 1;
    assert!(held() <= probes, "{} try at once", held());
    // Those that try are answered, and who comes next is held again at once: were it let go on
    // until it is quiet, on a busy machine nobody would be left to take the seats.
    rig.behave();
    rig.at_token(Misbehaviour::Hang, None);
    until("it is well", || rig.refreshed() > 0).await;
    rig.advance(10);
    until("all its seats are taken", || held() >= seats).await;
    rig.quiet().await;
    assert_eq!(held(), seats, "at one time");
    rig.behave();
    // What is due is tried anew within the minute, by the clock; how long the machine takes is not
    // the clock's.
    rig.advance(50);
    let most = Cell::new(0);
    let done = rig.sees(PATIENCE * 20, |now| {
        let held = now.token_requests - before - now.refreshes_ok;
        most.set(held.max(most.get()));
        now.refreshes_ok >= ended
    });
    done.await;
    assert!(most.get() <= seats, "{} at one time", most.get());
}

/// Goal: [`dead`] sees a dead token. Method: of two the provider refuses one for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_a_dead_token_would_be_seen() {
    let rig = Rig::new().await;
    rig.store("lives", 3600).await;
    rig.store_expired("dies").await;
    let refusal = Misbehaviour::Raw {
        status: 400,
        headers: vec![("content-type".into(), "application/json".into())],
        body: br#"{"error":"invalid_grant"}"#.to_vec(),
    };
    rig.at_token(refusal, Some(1));
    assert_eq!(rig.fetch("dies").await.0, "409 reconnect_required revoked");
    assert_eq!(dead(&rig), (1, 2));
    rig.inside.end().await;
}
