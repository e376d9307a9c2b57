//! `POST /v1/compact`: who may, how it is told, and what is done meanwhile (T5).

use serde_json::{Value, json};

use crate::scene::Scene;

/// Goal: a compaction is begun at once and told of as it goes, to who may ask for one, and who did
/// is on record; what is stored meanwhile is stored. Method: have one made, store a token at once,
/// and look with a key that may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_is_begun_followed_and_on_record() {
    let scene = Scene::new().await;
    let nothing = scene.admin.get("/v1/status").await.1;
    assert_eq!(nothing["compaction"], Value::Null);
    let (operator, _) = scene.key(json!({ "name": "o", "role": "operator" })).await;
    let (status, begun) = operator.post("/v1/compact", json!({})).await;
    assert_eq!(
        (status, &begun["bytes_after"]),
        (200, &Value::Null),
        "{begun}"
    );
    let token = json!({ "app": "demo", "user": "u1", "access_token": "at" });
    let (status, said) = scene.admin.send("PUT", "/v1/tokens", Some(token)).await;
    assert_eq!(status, 200, "{said}");
    let done = operator.ended("compaction").await;
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(done["done"], done["total"]);
    let bytes = |field: &str| done[field].as_u64().unwrap();
    assert!(
        bytes("bytes_before") > 0 && bytes("bytes_after") > 0,
        "{done}"
    );
    assert_eq!(scene.admin.token("u1").await.1["access_token"], "at");
    for told in ["compaction begins", "compaction done"] {
        assert_eq!(scene.on_record(told).await, 1, "{told}");
    }
    let (reader, _) = scene.key(json!({ "name": "r", "role": "reader" })).await;
    let shown = reader.get("/v1/status").await.1;
    assert_eq!(shown["compaction"], Value::Null);
    scene.end().await;
}

/// Goal: no right, no compaction, and that is on record. Method: roles without the right, a key
/// that has it and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_is_for_who_may_back_up() {
    let scene = Scene::new().await;
    for role in ["server", "reader"] {
        let (lesser, _) = scene.key(json!({ "name": role, "role": role })).await;
        let (status, said) = lesser.post("/v1/compact", json!({})).await;
        assert_eq!(
            (status, &said["error"]["code"]),
            (403, &json!("denied")),
            "{role}"
        );
    }
    assert_eq!(scene.on_record("compaction").await, 0);
    let grants = json!({ "name": "b", "grants": [{ "actions": ["backup"] }] });
    let (keeper, _) = scene.key(grants).await;
    let (status, said) = keeper.post("/v1/compact", json!({})).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(keeper.ended("compaction").await["state"], "done");
    scene.end().await;
}
