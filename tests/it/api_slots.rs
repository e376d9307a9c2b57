//! Key slots and key terms over the API (V14): what opens the vault is asked for anew, and a new
//! key takes the old one's place while the vault serves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::{Api, PASSPHRASE, PATIENCE};

const NEW: &str = "granite otters whistle downwind";

/// The code of an error, or "ok".
fn code((status, said): &(u16, Value)) -> (u16, String) {
    let code = said["error"]["code"].as_str().unwrap_or("ok");
    (*status, code.to_owned())
}

fn is(answer: &(u16, Value), status: u16, expected: &str) {
    assert_eq!(code(answer), (status, expected.to_owned()), "{}", answer.1);
}

async fn unlock(scene: &Scene, typed: &str) -> (u16, Value) {
    let body = json!({ "passphrase": typed });
    scene.inside.api("").post("/v1/unlock", body).await
}

async fn lock(scene: &Scene) {
    assert_eq!(scene.admin.post("/v1/lock", json!({})).await.0, 200);
}

/// Goal: a stolen access key that may do everything changes no way in: what opens the vault is
/// asked for, with the patience of an unlock. Method: change the passphrase with none, a wrong one,
/// at once again, with a weak new one, and rightly; unlock with the old and the new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v14_a_passphrase_changes_only_with_what_opens_the_vault_now() {
    let scene = Scene::new().await;
    let change = |current: Value, new: &str| {
        let mut body = json!({ "passphrase": new, "kdf_memory_mib": 64 });
        body["current"] = current;
        let api = scene.admin.clone();
        async move { api.put("/v1/passphrase", body).await }
    };
    is(&change(Value::Null, NEW).await, 400, "invalid_request");
    is(&change(json!("wrong"), NEW).await, 401, "unlock_failed");
    is(&change(json!(PASSPHRASE), NEW).await, 429, "busy");
    scene.clock.advance(Duration::from_secs(1));
    is(
        &change(json!(PASSPHRASE), "password123").await,
        400,
        "invalid_request",
    );
    is(&change(json!(PASSPHRASE), NEW).await, 200, "ok");
    lock(&scene).await;
    is(&unlock(&scene, PASSPHRASE).await, 401, "unlock_failed");
    scene.clock.advance(Duration::from_secs(1));
    is(&unlock(&scene, NEW).await, 200, "ok");
    let refused = scene
        .on_record("what opens the vault was not presented")
        .await;
    assert_eq!(refused, 1);
    scene.end().await;
}

/// Goal: slots come and go while the vault serves, a recovery code is shown once, and the last slot
/// stays. Method: add each kind, open with it, take the others away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v14_slots_are_added_used_and_removed() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    let code = json!({ "kind": "recovery_code", "current": PASSPHRASE, "label": "safe" });
    let made = api.post("/v1/slots", code).await;
    is(&made, 200, "ok");
    assert_eq!(made.1["number"], 3);
    let recovery_code = made.1["recovery_code"].as_str().unwrap().to_owned();

    let file = "+/+/".repeat(11);
    let add = json!({ "kind": "key_file", "key_file": file, "current": recovery_code });
    let made = api.post("/v1/slots", add).await;
    assert_eq!(made, (200, json!({ "number": 4 })));
    let add = json!({ "kind": "passphrase", "passphrase": NEW, "kdf_memory_mib": 64,
        "current_key_file": file.trim_end_matches('=').replace('+', "-").replace('/', "_") });
    assert_eq!(
        api.post("/v1/slots", add).await,
        (200, json!({ "number": 5 }))
    );

    let remove = |number: u32| {
        let (api, body) = (api.clone(), json!({ "current": recovery_code }));
        async move {
            api.send("DELETE", &format!("/v1/slots/{number}"), Some(body))
                .await
        }
    };
    is(&api.delete("/v1/slots/1").await, 400, "invalid_request");
    for number in [1, 2, 4, 5] {
        is(&remove(number).await, 200, "ok");
        is(&remove(number).await, 404, "not_found");
    }
    is(&remove(3).await, 400, "invalid_request");
    let (_, status) = api.get("/v1/status").await;
    let slots = status["slots"].as_array().unwrap();
    assert_eq!((slots.len(), &slots[0]["label"]), (1, &json!("safe")));
    assert!(!status.to_string().contains(&recovery_code));
    lock(&scene).await;
    is(&unlock(&scene, &recovery_code).await, 200, "ok");
    scene.end().await;
}

/// Goal: what opens the vault is taken from this machine alone, and from who may lock. Method:
/// requests that a proxy marked; a key with every role but the operator's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v14_slots_change_from_this_machine_and_for_who_may_lock() {
    let scene = Scene::new().await;
    let (server, _) = scene.key(json!({ "name": "s", "role": "server" })).await;
    let routes = [
        (
            "POST",
            "/v1/slots",
            json!({ "kind": "recovery_code", "current": PASSPHRASE }),
        ),
        (
            "PUT",
            "/v1/passphrase",
            json!({ "passphrase": NEW, "current": PASSPHRASE }),
        ),
        ("DELETE", "/v1/slots/2", json!({ "current": PASSPHRASE })),
    ];
    let bearer = format!("Bearer {}", scene.admin.key);
    for (method, path, body) in routes {
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        let far = body.to_string().into_bytes();
        let far = scene.admin.raw(method, path, &headers, far).await;
        assert_eq!(far.status, 403, "{path}: {far:?}");
        is(&server.send(method, path, Some(body)).await, 403, "denied");
    }
    is(&server.post("/v1/rotate", json!({})).await, 403, "denied");
    let far = scene.on_record("asked for from another machine").await;
    assert_eq!(far, 3, "each is on record");
    assert_eq!(
        scene.admin.get("/v1/status").await.1["slots"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    scene.end().await;
}

async fn ended(api: &Api) -> Value {
    let begun = Instant::now();
    loop {
        let (status, said) = api.get("/v1/status").await;
        assert_eq!(status, 200, "{said}");
        if said["rotation"].is_null() {
            return said;
        }
        assert!(begun.elapsed() < PATIENCE, "{said}");
    }
}

/// Goal: a rotation begins by one call, shows how far it is, and ends by itself; tokens stay as
/// they were; it is on record, by whom. Method: rotate, watch, fetch, lock and unlock, fetch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v14_a_rotation_is_begun_watched_and_ended() {
    let scene = Scene::new().await;
    let api = &scene.admin;
    api.seed(&scene.outside, "u1").await;
    let (_, before) = api.token("u1").await;
    let (_, status) = api.get("/v1/status").await;
    assert_eq!(
        (&status["key_term"]["number"], &status["rotation"]),
        (&json!(1), &Value::Null)
    );
    let begun = api.post("/v1/rotate", json!({})).await;
    is(&begun, 200, "ok");
    assert_eq!(
        (&begun.1["term"], &begun.1["state"]),
        (&json!(2), &json!("running"))
    );
    let status = ended(api).await;
    assert_eq!(status["key_term"]["number"], 2);
    assert!(status["key_term"]["began_at"].is_string(), "{status}");
    let (_, after) = api.token("u1").await;
    assert_eq!(after["access_token"], before["access_token"]);
    lock(&scene).await;
    is(&unlock(&scene, PASSPHRASE).await, 200, "ok");
    let (_, later) = api.token("u1").await;
    assert_eq!(later["access_token"], before["access_token"]);
    assert_eq!(scene.on_record("key rotation begins").await, 1);
    assert_eq!(scene.on_record("key rotation ended: term 2 alone").await, 1);
    let record = scene.record().await;
    let begins = record
        .iter()
        .find(|entry| entry["outcome"] == "key rotation begins");
    let by = begins.unwrap()["caller"].as_str().unwrap();
    assert!(by.starts_with("key:"), "{by}");
    scene.end().await;
}
