//! Who asks, and what they are told when it does not work.

use serde_json::{Value, json};
use strongroom::sandbox::{Endpoint, Misbehaviour};

use super::{CREATE, Client, UPLOAD, USER, USER_LATEST, set_up};

/// Goal: a client's first requests are answered. Method: the license with a key and without; the
/// keys without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_asks_when_it_is_made_is_answered() {
    let (scene, client) = set_up().await;
    let tier = json!({ "rateLimitTier": "tier4" });
    assert_eq!(client.get("/v1/mgmt/license").await, (200, tier.clone()));
    // A base URL with a slash at its end.
    assert_eq!(client.get("//v1/mgmt/license").await, (200, tier));
    let nobody = client.presenting(&format!("Bearer {}", client.project), &[]);
    assert_eq!(nobody.get("/v1/mgmt/license").await.0, 401);
    let path = format!("/v2/keys/{}", client.project);
    assert_eq!(nobody.get(&path).await, (200, json!({ "keys": [] })));
    assert_eq!(
        scene.admin.get("/v1//status").await.0,
        404,
        "no native path is collapsed"
    );
    scene.end().await;
}

/// Goal: the project and the key are read in every form that clients have, and nothing else is.
/// Method: each form on one route; the wrong ones are all told the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_form_of_authorization_is_understood() {
    let (scene, client) = set_up().await;
    let (project, key) = (client.project.clone(), scene.admin.key.clone());
    let header = "x-descope-project-id";
    assert!(project.starts_with('P') && project.len() == 28, "{project}");
    let path = "/v1/mgmt/outbound/apps";
    for (authorization, headers) in [
        (format!("Bearer {project}:{key}"), vec![]),
        (
            format!("bearer {project}:{key}"),
            vec![(header, project.as_str())],
        ),
        (format!("Bearer {project}:{key}:{key}"), vec![]),
        (format!("Bearer {key}"), vec![(header, project.as_str())]),
        (format!("Bearer {key}"), vec![]),
    ] {
        let client = client.presenting(&authorization, &headers);
        assert_eq!(client.get(path).await.0, 200, "{authorization}");
    }
    let other = "P000000000000000000000000000";
    let mut told = std::collections::BTreeSet::new();
    for (authorization, headers) in [
        (format!("Bearer {project}:"), vec![]),
        (format!("Bearer {project}"), vec![]),
        (
            format!("Bearer {project}:sr_0000000000000000_{}", "a".repeat(43)),
            vec![],
        ),
        (
            format!("Bearer {project}:eyJhbGciOiJSUzI1NiJ9.e30.c2ln"),
            vec![],
        ),
        (format!("Bearer {other}:{key}"), vec![]),
        (format!("Bearer {key}:{project}"), vec![]),
        (format!("Bearer :{key}"), vec![]),
        (format!("Bearer {key}"), vec![(header, other)]),
        (format!("Basic {project}:{key}"), vec![]),
        ("Bearer".into(), vec![]),
    ] {
        let client = client.presenting(&authorization, &headers);
        let answer = client.raw("GET", path, None).await;
        assert_eq!(answer.status, 401, "{authorization}");
        assert!(answer.header("www-authenticate").is_some());
        told.insert(answer.body);
    }
    assert_eq!(told.len(), 1, "{told:?}");
    // The native API knows of no projects.
    let (status, _) = scene
        .inside
        .api(&format!("{project}:{key}"))
        .get("/v1/apps")
        .await;
    assert_eq!(status, 401);
    scene.end().await;
}

/// Goal: what an access key may do is what its grants say, here as there. Method: a reader and a
/// key of one app; what each may not is 403, whether it is there or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_grants_decide() {
    let (scene, client) = set_up().await;
    client
        .done(
            UPLOAD,
            json!({ "appId": "demo", "userId": "u1", "accessToken": "a" }),
        )
        .await;
    let (reader, _) = scene.key(json!({ "name": "r", "role": "reader" })).await;
    let reader = Client::new(&scene, &reader.key).await;
    reader
        .token(USER, json!({ "appId": "demo", "userId": "u1" }))
        .await;
    for (path, body) in [
        (
            UPLOAD,
            json!({ "appId": "demo", "userId": "u1", "accessToken": "b" }),
        ),
        (CREATE, json!({ "name": "N", "appType": "apikey" })),
        ("/v1/mgmt/outbound/app/delete", json!({ "id": "demo" })),
        (
            "/v1/mgmt/outbound/app/update",
            json!({ "id": "demo", "name": "N" }),
        ),
    ] {
        let (status, said) = reader.post(path, body).await;
        assert_eq!(
            (status, &said["errorCode"]),
            (403, &json!("S000403")),
            "{path}: {said}"
        );
    }
    for path in [
        "user/tokens?appId=demo",
        "token?id=tok_00000000000000000000000000000000",
    ] {
        let (status, _) = reader.delete(&format!("/v1/mgmt/outbound/{path}")).await;
        assert_eq!(status, 403, "{path}");
    }
    assert_eq!(reader.get("/v1/mgmt/outbound/apps").await.0, 403);
    let grants = json!([{ "actions": ["fetch"], "apps": ["other"] }]);
    let (other, _) = scene.key(json!({ "name": "o", "grants": grants })).await;
    let other = Client::new(&scene, &other.key).await;
    for user in ["u1", "nobody"] {
        let ask = json!({ "appId": "demo", "userId": user });
        let (status, said) = other.post(USER_LATEST, ask).await;
        assert_eq!(
            (status, &said["errorCode"]),
            (403, &json!("S000403")),
            "{said}"
        );
    }
    scene.end().await;
}

/// Goal: clients act upon status and code: connect at 404, come back at 429, leave the provider
/// alone at 502. Method: bring each about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_has_the_status_and_code_that_clients_act_upon() {
    let (scene, client) = set_up().await;
    let ask = |user: &str| json!({ "appId": "demo", "userId": user });
    client.no_token(USER_LATEST, ask("nobody")).await;
    let unknown = json!({ "appId": "none", "userId": "u1" });
    let (status, said) = client.post(USER_LATEST, unknown).await;
    assert_eq!(
        (status, &said["errorCode"]),
        (404, &json!("S000404")),
        "{said}"
    );

    // The provider is down, and nothing valid is left.
    scene.admin.seed(&scene.outside, "u1").await;
    scene.clock.advance(std::time::Duration::from_secs(7200));
    scene
        .outside
        .sandbox
        .misbehave(Endpoint::Token, Misbehaviour::Html500, None);
    let answer = client.raw("POST", USER_LATEST, Some(ask("u1"))).await;
    assert_eq!(
        (answer.status, &answer.json()["errorCode"]),
        (502, &json!("S000502"))
    );
    let wait = answer.header("retry-after").unwrap();
    assert!(wait.parse::<u64>().is_ok(), "{wait}");
    scene.outside.sandbox.behave();

    // The grant is gone: connect again.
    scene.outside.sandbox.revoke_user("u1");
    scene.clock.advance(std::time::Duration::from_secs(7200));
    let (status, said) = client.post(USER_LATEST, ask("u1")).await;
    assert_eq!(
        (status, &said["errorCode"]),
        (404, &json!("E152102")),
        "{said}"
    );
    assert!(
        said["errorMessage"]
            .as_str()
            .unwrap()
            .contains("connect again"),
        "{said}"
    );

    // A locked vault: come back, on whichever route.
    assert_eq!(scene.admin.post("/v1/lock", json!({})).await.0, 200);
    for (method, path, body) in [
        ("POST", USER_LATEST, Some(ask("u1"))),
        ("GET", "/v1/mgmt/outbound/apps", None),
        ("GET", "/v1/mgmt/license", None),
    ] {
        let answer = client.raw(method, path, body).await;
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (429, &json!("E130429"))
        );
        let wait = answer.header("retry-after").unwrap();
        assert!(wait.parse::<u64>().is_ok_and(|wait| wait > 0), "{wait}");
    }
    scene.end().await;
}

/// Goal: what is wrong with a request is told in the clients' own words, and never with what it
/// said. Method: bodies that are none, of another type, too long; methods and paths that are not
/// there; a page of another site.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_request_is_told_in_the_clients_words() {
    let (scene, client) = set_up().await;
    let canary = "CANARYc4n4ry";
    let auth = ("authorization", client.authorization.as_str());
    let json_type = ("content-type", "application/json");
    let send = async |method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>| {
        let answer = client.api.raw(method, path, headers, body).await;
        let said: Value = answer.json();
        assert!(!answer.body.contains("CANARY"), "{answer:?}");
        (
            answer.status,
            said["errorCode"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for body in [
        "",
        "{",
        "[]",
        canary,
        "{\"appId\":[\"CANARYc4n4ry\"]}",
        "\"CANARYc4n4ry\"",
    ] {
        let told = send("POST", USER, &[auth, json_type], body.into()).await;
        assert_eq!(told, (400, "E011001".into()), "{body}");
    }
    for (body, code) in [
        (json!({}), "E011002"),
        (json!({ "appId": "demo" }), "E011002"),
        (json!({ "appId": "demo", "userId": "undefined" }), "E011002"),
        (json!({ "appId": "a/b CANARY", "userId": "u1" }), "E011003"),
        (json!({ "appId": "demo", "userId": "u1\n" }), "E011003"),
    ] {
        let body = body.to_string().into_bytes();
        let told = send("POST", USER, &[auth, json_type], body).await;
        assert_eq!(told, (400, code.into()));
    }
    let plain = ("content-type", "text/plain");
    let told = send("POST", USER, &[auth, plain], b"{}".to_vec()).await;
    assert_eq!(told, (400, "E011003".into()));
    let long = vec![b' '; 64 * 1024 + 1];
    let told = send("POST", USER, &[auth, json_type], long).await;
    assert_eq!(told, (413, "S000413".into()));
    for (method, path) in [
        ("GET", USER),
        ("PATCH", CREATE),
        ("PUT", "/v1//mgmt/license"),
    ] {
        let told = send(method, path, &[auth], vec![]).await;
        assert_eq!(told, (405, "S000405".into()), "{path}");
    }
    for path in [
        "/v1/mgmt/user/create",
        "/v1/outbound/oauth/other",
        "//v1/mgmt/outbound/x",
    ] {
        let told = send("POST", path, &[auth], vec![]).await;
        assert_eq!(told, (404, "S000404".into()), "{path}");
    }
    let origin = ("origin", "https://evil.example");
    let told = send("GET", "/v1/mgmt/outbound/apps", &[auth, origin], vec![]).await;
    assert_eq!(told, (403, "S000403".into()));
    scene.end().await;
}
