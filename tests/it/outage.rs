//! Outages of a provider, by the test clock (R3), and what it says of when to come back (R4).
//!
//! | catalogue | here |
//! |---|---|
//! | R3 an hour of refused, time-out, 5xx, half-open, DNS failure, bad TLS | `r3_an_hour_of_any_outage_kills_nothing` |
//! | R3 with 10,000 records: none dead, all refreshed in 60 s, caps kept | `r3_ten_thousand_tokens_outlive_an_hour_of_outage` |
//! | R4 seconds, date, absent, negative, absurd, garbage, several fields | `r4_whatever_retry_after_says_nobody_asks_earlier` |

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::limits;
use strongroom::model::access::Caller;
use strongroom::model::token::TokenState;
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::sandbox::Misbehaviour;
use strongroom::vault::{NewCredential, NewToken};

use crate::rig::{Rig, Setup, give_way, until};
use crate::seeded::Seeded;
use crate::support::CLIENT_SECRET;

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

/// Goal: whatever an outage is, an hour of it kills nothing, what is valid is served all along, and
/// within a minute of its end all is as before. Method: tokens that end in the outage and tokens
/// that outlive it, for each kind of outage of the catalogue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_an_hour_of_any_outage_kills_nothing() {
    let html = Misbehaviour::Html500;
    for (what, away) in [
        ("5xx", Away::Behaves(html)),
        ("half-open", Away::Behaves(Misbehaviour::CloseBefore)),
        ("time-out", Away::Behaves(Misbehaviour::Hang)),
        ("refused", Away::At("http://127.0.0.1:1/token")),
        ("DNS failure", Away::At("https://nowhere.invalid/token")),
        ("bad TLS", Away::At("https://HOST/token")),
    ] {
        let rig = Rig::with(Setup {
            life: Duration::from_secs(86_400),
            timeout: Duration::from_millis(100),
            ..Setup::scheduled()
        })
        .await;
        for number in 0..8 {
            rig.store(&format!("ends{number}"), 1800).await;
            rig.store(&format!("lasts{number}"), 4200).await;
        }
        begins(&rig, &away).await;
        for minute in 0..60 {
            rig.advance(60);
            rig.quiet().await;
            if minute % 10 == 9 {
                rig.access(&format!("lasts{}", minute / 10)).await;
            }
        }
        assert_eq!(rig.fetch("ends7").await.0, LATER, "{what}");
        let (_, dead) = rig.api.get("/v1/tokens?state=reconnect_required").await;
        assert_eq!(dead["tokens"], json!([]), "{what}");
        assert_eq!(rig.refreshed(), 0, "{what}");
        ends(&rig, &away).await;
        for _ in 0..6 {
            rig.advance(10);
            rig.quiet().await;
        }
        until(what, || rig.refreshed() >= 8).await;
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
            let new = NewToken {
                address: Address {
                    app: AppId::parse("demo").unwrap(),
                    owner: Owner::User(UserId::parse(&user).unwrap()),
                    account: None,
                    scopes: Scopes::default(),
                },
                credential: NewCredential::Uploaded {
                    access_token: Some(issued.access_token),
                    refresh_token: Some(issued.refresh_token),
                    expires_at: Some(rig.now().plus(Duration::from_secs(seconds))),
                },
            };
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

/// Goal: thousands of tokens outlive an hour of outage: none is marked dead, what is valid is
/// served, and when the provider is back all that ended are refreshed within a minute of the clock
/// and never more than so many at one time. Method: half of them end in the outage; at its end the
/// provider first takes calls and holds them all, which shows how many come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_ten_thousand_tokens_outlive_an_hour_of_outage() {
    let count = Seeded::new("R3").runs(1000);
    let rig = Rig::with(Setup {
        life: Duration::from_secs(86_400),
        ..Setup::scheduled()
    })
    .await;
    store_many(&rig, count).await;
    rig.at_token(Misbehaviour::Html500, None);
    for minute in 0..60 {
        rig.advance(60);
        give_way().await;
        if minute % 5 == 4 {
            rig.access(&format!("u{}", 2 * (minute % 100) + 1)).await;
        }
    }
    until("somebody is told", || rig.asked() > 10).await;
    assert_eq!(rig.refreshed(), 0);
    assert_eq!(dead(&rig), (0, usize::try_from(count).unwrap()));

    rig.at_token(Misbehaviour::Hang, None);
    rig.quiet().await;
    let before = rig.asked();
    rig.behave();
    // What is due is tried anew within the minute, by the clock; how long the machine takes is not
    // the clock's.
    for _ in 0..6 {
        rig.advance(10);
        rig.quiet().await;
    }
    let ended = count.div_ceil(2);
    until_long("all that ended are refreshed", || rig.refreshed() >= ended).await;
    assert!(rig.asked() > before);
    assert_eq!(rig.outside.sandbox.counts().reuse_detected, 0);
    assert_eq!(dead(&rig).0, 0);
    for number in (0..count).step_by(97) {
        rig.access(&format!("u{number}")).await;
    }
    rig.inside.end().await;
}

/// As [`until`], for what is many times as much.
async fn until_long(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(600), waiting).await;
    assert!(waited.is_ok(), "it did not come to this: {what}");
}

/// An answer of 429 with these `Retry-After` fields.
fn told(fields: &[&str]) -> Misbehaviour {
    let field = |value: &&str| ("retry-after".to_owned(), (*value).to_owned());
    let mut headers: Vec<(String, String)> = fields.iter().map(field).collect();
    headers.push(("content-type".into(), "application/json".into()));
    Misbehaviour::Raw {
        status: 429,
        headers,
        body: b"{}".to_vec(),
    }
}

/// Goal: nobody asks earlier than told, at most an hour later where what is told is absurd, and
/// soon where nothing or nonsense is. Method: each form of the field, by the test clock: the first
/// moment at which a caller is let ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_whatever_retry_after_says_nobody_asks_earlier() {
    let date = "Mon, 21 Sep 2026 14:23:20 GMT"; // Ten minutes after the test clock's beginning.
    let soon = 30 + 5;
    for (fields, least, most) in [
        (&["600"][..], 600, 660),
        (&[date], 600, 660),
        (&[], 0, soon),
        (&["-5"], 0, soon),
        (&["soon"], 0, soon),
        (&["1e3"], 0, soon),
        (&["315360000"], 3600, 3960),
        (&["99999999999999999999999999"], 3600, 3960),
        (&["Fri, 31 Dec 9999 23:59:59 GMT"], 3600, 3960),
        (&["Thu, 01 Jan 1970 00:00:00 GMT"], 0, soon),
        // Of several the longest: none is told a lie.
        (&["5", "600"], 600, 660),
        (&["soon", date], 600, 660),
        (&["600", "nonsense", "60"], 600, 660),
    ] {
        let rig = Rig::new().await;
        rig.store_expired("u").await;
        rig.at_token(told(fields), Some(1));
        let (line, said) = rig.fetch("u").await;
        assert_eq!(line, LATER, "{fields:?}: {said}");
        let wait = said["retry_after_s"].as_u64().unwrap();
        assert!((least..=most).contains(&wait), "{fields:?}: {wait}");
        let early = least.saturating_sub(1).min(wait);
        rig.advance(early);
        if early > 0 {
            assert_eq!(rig.fetch("u").await.0, LATER, "{fields:?}: too early");
            assert_eq!(rig.asked(), 1, "{fields:?}");
        }
        rig.advance(most - early + 1);
        rig.access("u").await;
        assert_eq!(rig.asked(), 2, "{fields:?}");
        rig.inside.end().await;
    }
}

/// Goal: those who were told the same do not come back together (R4, jitter). Method: many tokens
/// whose refresh is put off by one answer each; the waits that the records have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_those_who_are_told_the_same_do_not_come_back_together() {
    let rig = Rig::new().await;
    let mut waits: Vec<Value> = Vec::new();
    for number in 0..20 {
        let user = format!("u{number}");
        rig.store_expired(&user).await;
        rig.at_token(Misbehaviour::Html500, Some(1));
        let (line, _) = rig.fetch(&user).await;
        assert_eq!(line, LATER);
    }
    let me = Caller::scheduler();
    let mut moments = Vec::new();
    for second in 0..120 {
        let at = rig.now().plus(Duration::from_secs(second));
        moments.push(rig.inside.vault.due(&me, at, 1000).unwrap().0.len());
    }
    waits.extend(moments.iter().map(|count| json!(count)));
    let steps = moments.windows(2).filter(|two| two[0] != two[1]).count();
    assert_eq!(moments.last(), Some(&20), "{waits:?}");
    assert!(steps >= 1 && moments[0] < 20, "{waits:?}");
    rig.inside.end().await;
}
