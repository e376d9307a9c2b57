//! The vault itself over the API: health, status, unlocking, the audit trail (DESIGN 5, 8).

use std::time::Duration;

use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::PASSPHRASE;

/// Goal: health needs no key, status needs any, and both say what is so.
/// Method: read both with no key, a reader's and an admin's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_open_and_status_needs_any_key() {
    let scene = Scene::new().await;
    let nobody = scene.inside.api("");
    let healthy = json!({ "locked": false, "version": env!("CARGO_PKG_VERSION") });
    assert_eq!(nobody.get("/health").await, (200, healthy));
    assert_eq!(nobody.get("/v1/status").await.0, 401);
    let (reader, _) = scene.key(json!({ "name": "r", "role": "reader" })).await;
    let (status, said) = reader.get("/v1/status").await;
    assert_eq!(status, 200, "{said}");
    let names: Vec<&String> = said.as_object().unwrap().keys().collect();
    let expected = [
        "anchor",
        "audit_seq",
        "backup",
        "checking",
        "clock_off_s",
        "clock_set_back_s",
        "compaction",
        "epoch",
        "key_term",
        "keys_in_locked_memory",
        "locked",
        "project_id",
        "refresh_paused",
        "refresh_paused_because",
        "rotation",
        "slots",
        "version",
    ];
    assert_eq!(names, expected);
    let kinds: Vec<&Value> = said["slots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["kind"])
        .collect();
    assert_eq!(kinds.len(), 2, "{said}");
    assert!(
        said["slots"][0]["kdf_memory_kib"].as_u64().unwrap() >= 65_536,
        "{said}"
    );
    assert_eq!(said["slots"][1]["kdf_memory_kib"], Value::Null);
    scene.end().await;
}

/// Goal: guessing is slow and always answered alike, and the owner's next try counts (N7, V11).
/// Method: wrong tries on a standing clock and on a moving one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v11_each_wrong_try_makes_the_next_wait_longer_and_none_locks_out() {
    let scene = Scene::new().await;
    let api = scene.inside.api("");
    let already = api
        .post("/v1/unlock", json!({ "passphrase": PASSPHRASE }))
        .await;
    assert_eq!(
        (already.0, &already.1["error"]["code"]),
        (409, &json!("already_unlocked"))
    );
    assert_eq!(scene.admin.post("/v1/lock", json!({})).await.0, 200);
    let headers = [("content-type", "application/json")];
    let body = |text: &str| json!({ "passphrase": text }).to_string().into_bytes();
    let mut refusals = Vec::new();
    let mut waits: Vec<u64> = Vec::new();
    for guess in [
        "wrong",
        "violet harbour mumbles ofte",
        "a\u{0}b\tc",
        "VIOLET HARBOUR",
    ] {
        let answer = api.raw("POST", "/v1/unlock", &headers, body(guess)).await;
        refusals.push(answer);
        // At once again, with the right one: it is not even tried.
        let early = api
            .raw("POST", "/v1/unlock", &headers, body(PASSPHRASE))
            .await;
        assert_eq!(early.status, 429, "{early:?}");
        assert_eq!(early.json()["error"]["code"], "busy");
        let wait = early.header("retry-after").unwrap().parse().unwrap();
        waits.push(wait);
        scene.clock.advance(Duration::from_secs(wait));
    }
    assert_eq!(waits, [1, 1, 2, 4]);
    assert_eq!(
        (refusals[0].status, &refusals[0].json()["error"]["code"]),
        (401, &json!("unlock_failed"))
    );
    assert!(
        refusals.iter().all(|refusal| *refusal == refusals[0]),
        "{refusals:?}"
    );
    for empty in [
        json!({}),
        json!({ "passphrase": "" }),
        json!({ "passphrase": null }),
    ] {
        assert_eq!(api.post("/v1/unlock", empty).await.0, 400);
    }
    // The recovery code goes in the same field.
    let code = json!({ "passphrase": scene.recovery_code });
    assert_eq!(
        api.post("/v1/unlock", code).await,
        (200, json!({ "locked": false }))
    );
    assert_eq!(scene.on_record("unlocked after 4 wrong tries").await, 1);
    scene.end().await;
}

/// Goal: only who is on this machine may try. Method: requests that a proxy marked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlocking_is_for_this_machine_alone() {
    let scene = Scene::new().await;
    assert_eq!(scene.admin.post("/v1/lock", json!({})).await.0, 200);
    let body = json!({ "passphrase": PASSPHRASE }).to_string().into_bytes();
    let json = ("content-type", "application/json");
    for mark in [
        "forwarded",
        "x-forwarded-for",
        "x-real-ip",
        "via",
        "x-forwarded-host",
    ] {
        let headers = [json, (mark, "for=127.0.0.1")];
        let answer = scene
            .admin
            .raw("POST", "/v1/unlock", &headers, body.clone())
            .await;
        assert_eq!(answer.status, 403, "{mark}");
    }
    for origin in ["https://evil.example", "null"] {
        let headers = [json, ("origin", origin)];
        let answer = scene
            .admin
            .raw("POST", "/v1/unlock", &headers, body.clone())
            .await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    let answer = scene.admin.raw("POST", "/v1/unlock", &[json], body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    scene.end().await;
}

/// Goal: the trail says who did what, newest first, without a gap.
/// Method: store and fetch; read it whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_says_who_did_what() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    api.seed(&scene.outside, "u1").await;
    let ask = json!({ "app": "demo", "user": "u1", "reason": "because" });
    assert_eq!(api.post("/v1/token", ask).await.0, 200);
    let whole = scene.record().await;
    let numbers: Vec<u64> = whole
        .iter()
        .map(|entry| entry["seq"].as_u64().unwrap())
        .collect();
    let last = numbers[0];
    let expected: Vec<u64> = (1..=last).rev().collect();
    assert_eq!(numbers, expected, "newest first, without a gap");
    let fetch = whole
        .iter()
        .find(|entry| entry["action"] == "fetch")
        .unwrap();
    assert_eq!(
        (&fetch["reason"], &fetch["outcome"]),
        (&json!("because"), &json!("ok"))
    );
    assert!(
        fetch["from"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{fetch}"
    );
    assert!(
        fetch["caller"].as_str().unwrap().starts_with("key:"),
        "{fetch}"
    );

    scene.end().await;
}

/// Goal: a page holds as many entries as asked for, and together they hold each once; who may not
/// read is on record. Method: read three by three; as a reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_comes_in_pages() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let last = scene.record().await[0]["seq"].as_u64().unwrap();
    let (mut cursor, mut found) = (String::new(), Vec::new());
    loop {
        let (status, page) = api.get(&format!("/v1/audit?limit=3&cursor={cursor}")).await;
        assert_eq!(status, 200, "{page}");
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 3);
        found.extend(entries.iter().map(|entry| entry["seq"].as_u64().unwrap()));
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let newest = found[0];
    assert!(newest > last, "the reading is on record");
    assert_eq!(found, (1..=newest).rev().collect::<Vec<u64>>());
    for wrong in [
        "limit=0",
        "limit=1001",
        "cursor=zz",
        "cursor=-1",
        "seq=1",
        "limit=1&limit=2",
    ] {
        assert_eq!(
            api.get(&format!("/v1/audit?{wrong}")).await.0,
            400,
            "{wrong}"
        );
    }
    let (status, verified) = api.post("/v1/audit/verify", json!({})).await;
    assert_eq!(
        (status, &verified["problems"]),
        (200, &json!([])),
        "{verified}"
    );
    assert_eq!(verified["entries"], verified["last_seq"]);
    let (reader, _) = scene.key(json!({ "name": "r", "role": "reader" })).await;
    assert_eq!(reader.get("/v1/audit").await.0, 403);
    assert_eq!(reader.post("/v1/audit/verify", json!({})).await.0, 403);
    assert!(
        scene
            .record()
            .await
            .iter()
            .any(|e| e["action"] == "audit" && e["allowed"] == false)
    );
    scene.end().await;
}
