//! `POST /v1/backup`: who may, from where, to where, and how it is told (T5, D6).

use serde_json::{Value, json};

use crate::scene::Scene;

/// Goal: a backup is begun at once and told of as it goes, to who may make one. Method: make one,
/// follow it, and look with a key that may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_begun_followed_and_found() {
    let scene = Scene::new().await;
    let home = tempfile::tempdir().unwrap();
    assert_eq!(scene.admin.get("/v1/status").await.1["backup"], Value::Null);
    let (operator, _) = scene.key(json!({ "name": "o", "role": "operator" })).await;
    let body = json!({ "directory": home.path() });
    let (status, begun) = operator.post("/v1/backup", body.clone()).await;
    assert_eq!(status, 200, "{begun}");
    let done = operator.ended("backup").await;
    assert_eq!(
        (&done["state"], &done["file"]),
        (&json!("done"), &begun["file"]),
        "{done}"
    );
    assert_eq!(done["done"], done["total"]);
    let file = done["file"].as_str().unwrap();
    assert!(std::fs::metadata(file).unwrap().len() > 0);
    let (reader, _) = scene.key(json!({ "name": "r", "role": "reader" })).await;
    assert_eq!(reader.get("/v1/status").await.1["backup"], Value::Null);
    scene.end().await;
}

/// Goal: no right, no backup; and from this machine only, unless that was allowed. Method: roles
/// without the right; a request that came through a proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_for_who_may_and_is_here() {
    let scene = Scene::new().await;
    let home = tempfile::tempdir().unwrap();
    let body = json!({ "directory": home.path() });
    for role in ["server", "reader"] {
        let (lesser, _) = scene.key(json!({ "name": role, "role": role })).await;
        assert_eq!(
            lesser.post("/v1/backup", body.clone()).await.0,
            403,
            "{role}"
        );
    }
    let bearer = format!("Bearer {}", scene.admin.key);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("x-forwarded-for", "203.0.113.7"),
    ];
    let bytes = body.to_string().into_bytes();
    let remote = scene
        .admin
        .raw("POST", "/v1/backup", &headers, bytes.clone())
        .await;
    assert_eq!(remote.status, 403, "{remote:?}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    let far = scene.on_record("asked for from another machine").await;
    assert_eq!(far, 1);
    let local = scene
        .admin
        .raw("POST", "/v1/backup", &headers[..2], bytes)
        .await;
    assert_eq!(local.status, 200, "{local:?}");
    scene.admin.ended("backup").await;
    scene.end().await;
}

/// Goal: a directory that cannot be is told at once, and one that refuses is told in the status.
/// Method: relative, missing, absent; one in which nobody makes files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_will_not_do_is_told() {
    let scene = Scene::new().await;
    for wrong in [
        json!({ "directory": "relative" }),
        json!({ "directory": "/no/such/directory" }),
        json!({ "directory": "" }),
        json!({ "directory": scene.directory }),
        json!({ "directory": null }),
        json!({}),
        json!({ "directory": "/tmp", "overwrite": true }),
    ] {
        let (status, said) = scene.admin.post("/v1/backup", wrong.clone()).await;
        assert_eq!(
            (status, &said["error"]["code"]),
            (400, &json!("invalid_request")),
            "{wrong}"
        );
    }
    let (status, begun) = scene
        .admin
        .post("/v1/backup", json!({ "directory": "/proc" }))
        .await;
    assert_eq!(status, 200, "{begun}");
    let failed = scene.admin.ended("backup").await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert_eq!(failed["error"]["code"], "storage");
    assert!(!failed["error"]["hint"].as_str().unwrap().is_empty());
    scene.end().await;
}
