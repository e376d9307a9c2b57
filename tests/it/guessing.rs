//! Guessing over the API: at the passphrase and at access keys (N7, T18).
//!
//! | catalogue row N7 | here |
//! |---|---|
//! | wrong tries: alike, 429 with a wait, nothing changed | `n7_wrong_tries_are_answered_alike_and_change_nothing` |
//! | one derivation at a time, memory, the owner over the Unix socket | `flood::guess`, `vault::line` |
//! | access keys | `n7_wrong_access_keys_are_answered_alike_and_not_put_on_record` |

use std::time::Duration;

use serde_json::json;
use strongroom::model::access::Caller;

use crate::scene::Scene;
use crate::seeded::Seeded;
use crate::support::Raw;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn guess(scene: &Scene, text: &str) -> Raw {
    let body = json!({ "passphrase": text }).to_string().into_bytes();
    scene
        .inside
        .api("")
        .raw("POST", "/v1/unlock", &[JSON], body)
        .await
}

/// Goal: no number of wrong tries tells one from another, changes a byte or locks the owner out.
/// Method: wrong recovery codes by chance against a vault without a passphrase, where a try is
/// cheap; the clock is moved by the wait that each 429 states; then the right code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n7_wrong_tries_are_answered_alike_and_change_nothing() {
    let mut chance = Seeded::new("N7");
    let tries = chance.runs(150);
    let scene = Scene::new().await;
    let vault = scene.inside.vault.clone();
    let slot = vault
        .slots()
        .unwrap()
        .into_iter()
        .find(|slot| slot.kind == "passphrase");
    let number = slot.unwrap().number;
    let removed = tokio::task::spawn_blocking(move || {
        vault.remove_slot(&Caller::local(), number).unwrap();
        vault.lock(&Caller::local()).unwrap();
    });
    removed.await.unwrap();
    let file = || std::fs::read(scene.directory.join("vault.redb")).unwrap();
    let before = file();
    let mut first: Option<Raw> = None;
    for _ in 0..tries {
        let length = chance.rng().usize(1..200);
        let text: String = (0..length)
            .map(|_| chance.rng().char('\u{20}'..'\u{2ff}'))
            .collect();
        let answer = guess(&scene, &text).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let first = first.get_or_insert_with(|| answer.clone());
        assert_eq!(&answer, first, "every wrong try is answered alike");
        let early = guess(&scene, &scene.recovery_code).await;
        assert_eq!(early.status, 429, "{early:?}");
        let wait: u64 = early.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
        scene.clock.advance(Duration::from_secs(wait));
    }
    assert_eq!(file(), before, "a wrong try changes nothing");
    let right = guess(&scene, &scene.recovery_code).await;
    assert_eq!(right.status, 200, "{right:?}");
    let told = format!("unlocked after {tries} wrong tries");
    assert_eq!(scene.on_record(&told).await, 1);
    scene.end().await;
}

/// Goal: guessing at access keys finds nothing, fills no trail and holds up nobody. Method: wrong
/// bearers by chance, near the right one and far from it; the number of entries before and after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n7_wrong_access_keys_are_answered_alike_and_not_put_on_record() {
    let mut chance = Seeded::new("N7");
    let tries = chance.runs(500);
    let scene = Scene::new().await;
    let good = scene.admin.key.clone();
    let entries = || scene.inside.vault.status().audit_seq.unwrap();
    let before = entries();
    let mut first: Option<Raw> = None;
    for number in 0..tries {
        let mut guess = good.clone().into_bytes();
        let rng = chance.rng();
        let place = rng.usize(3..guess.len());
        match rng.u8(0..3) {
            0 => guess[place] = if guess[place] == b'A' { b'B' } else { b'A' },
            1 => guess.truncate(place),
            _ => guess.extend((0..rng.usize(1..90)).map(|_| b'a')),
        }
        let guess = format!("Bearer {}", String::from_utf8(guess).unwrap());
        let headers = [("authorization", guess.as_str())];
        let answer = scene.admin.raw("GET", "/v1/tokens", &headers, vec![]).await;
        assert_eq!(answer.status, 401, "{}", chance.at("a guess"));
        let first = first.get_or_insert_with(|| answer.clone());
        assert_eq!(&answer, first);
        if number % 100 == 0 {
            assert_eq!(scene.admin.get("/v1/apps").await.0, 200);
        }
    }
    let told = entries() - before;
    assert!(
        told <= tries / 100 + 1,
        "{told} entries about {tries} guesses"
    );
    assert_eq!(scene.admin.get("/v1/apps").await.0, 200);
    scene.end().await;
}
