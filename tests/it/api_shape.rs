//! The native API as a whole: every route, and what each says when it is used wrongly (N4, A1).

use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::{PASSPHRASE, Raw};

/// Every native route of DESIGN 5 that needs a key, with a path that fits.
const ROUTES: [(&str, &str); 32] = [
    ("GET", "/v1/status"),
    ("POST", "/v1/lock"),
    ("POST", "/v1/backup"),
    ("POST", "/v1/compact"),
    ("POST", "/v1/slots"),
    ("DELETE", "/v1/slots/1"),
    ("PUT", "/v1/passphrase"),
    ("POST", "/v1/rotate"),
    ("GET", "/v1/apps"),
    ("POST", "/v1/apps"),
    ("GET", "/v1/apps/demo"),
    ("PUT", "/v1/apps/demo"),
    ("DELETE", "/v1/apps/demo"),
    ("POST", "/v1/apps/demo/update"),
    ("POST", "/v1/apps/demo/check"),
    ("GET", "/v1/templates/github"),
    ("POST", "/v1/token"),
    ("PUT", "/v1/tokens"),
    ("GET", "/v1/tokens"),
    ("DELETE", "/v1/tokens?app=demo"),
    ("GET", "/v1/tokens/tok_00000000000000000000000000000000"),
    ("DELETE", "/v1/tokens/tok_00000000000000000000000000000000"),
    (
        "POST",
        "/v1/tokens/tok_00000000000000000000000000000000/refresh",
    ),
    (
        "POST",
        "/v1/tokens/tok_00000000000000000000000000000000/reveal",
    ),
    ("POST", "/v1/connect"),
    ("GET", "/v1/connect/con_00000000000000000000000000000000"),
    ("DELETE", "/v1/connect/con_00000000000000000000000000000000"),
    (
        "POST",
        "/v1/connect/con_00000000000000000000000000000000/vouch",
    ),
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/0000"),
    ("GET", "/v1/audit"),
];

/// Routes that take a JSON body, each with one that is right up to what is laid over it.
pub fn bodies() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("POST", "/v1/unlock", json!({ "passphrase": PASSPHRASE })),
        (
            "POST",
            "/v1/slots",
            json!({ "kind": "passphrase", "passphrase": "p", "label": "l", "current": "c" }),
        ),
        ("DELETE", "/v1/slots/9", json!({ "current": "c" })),
        (
            "PUT",
            "/v1/passphrase",
            json!({ "passphrase": "p", "current": "c" }),
        ),
        (
            "POST",
            "/v1/apps",
            json!({ "id": "new", "kind": "api_key" }),
        ),
        (
            "PUT",
            "/v1/apps/demo",
            json!({ "kind": "oauth", "client_id": "demo" }),
        ),
        (
            "POST",
            "/v1/apps/demo/update",
            json!({ "keep": ["pkce"], "values": { "site": "x" } }),
        ),
        ("POST", "/v1/backup", json!({ "directory": "/tmp" })),
        ("POST", "/v1/token", json!({ "app": "demo", "user": "u1" })),
        (
            "PUT",
            "/v1/tokens",
            json!({ "app": "demo", "user": "u1", "access_token": "a" }),
        ),
        (
            "POST",
            "/v1/connect",
            json!({ "apps": [{ "app": "demo" }], "user": "u1" }),
        ),
        (
            "POST",
            "/v1/connect/con_00000000000000000000000000000000/vouch",
            json!({ "ticket": "t", "user": "u1" }),
        ),
        ("POST", "/v1/keys", json!({ "name": "n", "role": "reader" })),
        (
            "POST",
            "/v1/tokens/tok_00000000000000000000000000000000/reveal",
            json!({ "reason": "why" }),
        ),
    ]
}

/// An error has a code, a message and a hint, each a text, and nothing besides.
fn error_code(answer: &Raw) -> String {
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let said = answer.json();
    let error = said["error"]
        .as_object()
        .unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(said.as_object().unwrap().len(), 1, "{said}");
    let names: Vec<&String> = error.keys().collect();
    assert_eq!(names, ["code", "hint", "message"], "{said}");
    for text in error.values() {
        assert!(!text.as_str().unwrap().trim().is_empty(), "{said}");
    }
    error["code"].as_str().unwrap().to_owned()
}

/// Goal: a path under another method says which it takes; no path is no path.
/// Method: every route under every other method, and paths that are nearly one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_method_is_told_the_right_ones_and_an_unknown_path_is_not_there() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.admin.key);
    let headers = [("authorization", bearer.as_str())];
    let open = [
        ("GET", "/health"),
        ("POST", "/v1/unlock"),
        ("POST", "/v1/audit/verify"),
    ];
    for (_, path) in ROUTES.iter().chain(&open) {
        let plain = path.split('?').next().unwrap();
        let methods: Vec<&str> = ROUTES
            .iter()
            .chain(&open)
            .filter(|(_, other)| other.split('?').next() == Some(plain))
            .map(|(method, _)| *method)
            .collect();
        for method in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE",
        ] {
            if methods.contains(&method) {
                continue;
            }
            let answer = scene.admin.raw(method, plain, &headers, vec![]).await;
            assert_eq!(answer.status, 405, "{method} {plain}");
            let mut allowed: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
            let mut expected = methods.clone();
            allowed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(allowed, expected, "{plain}");
            if method != "HEAD" {
                assert_eq!(error_code(&answer), "method_not_allowed");
            }
        }
    }
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/apps",
        "/V1/apps",
        "/v1/apps/",
        "/v1//apps",
        "/v1/apps/a/b",
        "/v1/tokens/x/steal",
        "/health/",
        "/v1/keys/a/b",
        "/.git/config",
        "/v1/audit/",
        "/v1/connect/x/y/z",
        "/metrics",
        "/v1/apps/%FF",
        "/v1/%61pps",
    ] {
        let answer = scene.admin.raw("GET", path, &headers, vec![]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(error_code(&answer), "unknown_route", "{path}");
    }
    scene.end().await;
}

type Fields = Vec<(String, String)>;

/// Every way to present no valid key.
fn wrong_ways(good: &str, removed: &str, expired: &str) -> Vec<Fields> {
    let (id, secret) = good[3..].split_once('_').unwrap();
    let bearer = |text: &str| vec![("authorization".to_owned(), format!("Bearer {text}"))];
    let raw = |text: &str| vec![("authorization".to_owned(), text.to_owned())];
    let mut twice = bearer(good);
    twice.extend(bearer(good));
    vec![
        vec![],
        twice,
        raw(""),
        raw("Bearer"),
        raw("Bearer "),
        raw(good),
        raw(&format!("Basic {good}")),
        raw(&format!("Token {good}")),
        raw(&format!("Bearer:{good}")),
        raw(&format!("Bearer {good}, Bearer {good}")),
        bearer(removed),
        bearer(expired),
        bearer(&good[..good.len() - 1]),
        bearer(&format!("{good}A")),
        bearer(&good.to_uppercase()),
        bearer(&format!("sr_{id}_")),
        bearer(&format!("sr_{id}")),
        bearer(&format!("sr__{secret}")),
        bearer(&format!("sr_0000000000000000_{secret}")),
        bearer(&format!("sr_{id}_{}", "A".repeat(43))),
        bearer(&format!("sk_{id}_{secret}")),
        bearer(&"x".repeat(4000)),
        vec![("x-api-key".to_owned(), good.to_owned())],
        vec![("cookie".to_owned(), format!("key={good}"))],
    ]
}

/// Goal: whoever has no valid key learns nothing, not even why.
/// Method: every wrong way to present one, on every route; the answers are one, byte for byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v6_everybody_without_a_valid_key_hears_the_same() {
    let scene = Scene::new().await;
    let removed = scene.key(json!({ "name": "gone", "role": "admin" })).await;
    let path = format!("/v1/keys/{}", removed.1);
    assert_eq!(scene.admin.delete(&path).await.0, 200);
    let soon = scene
        .clock
        .now()
        .plus(std::time::Duration::from_secs(60))
        .to_string();
    let short = json!({ "name": "short", "role": "admin", "expires_at": soon });
    let (expired, _) = scene.key(short).await;
    assert_eq!(expired.get("/v1/apps").await.0, 200);
    scene.clock.advance(std::time::Duration::from_secs(60));

    let good = scene.admin.key.clone();
    let ways = wrong_ways(&good, &removed.0.key, &expired.key);
    let mut first: Option<Raw> = None;
    for (method, path) in ROUTES {
        for way in &ways {
            let headers: Vec<(&str, &str)> = way
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let answer = scene.admin.raw(method, path, &headers, vec![]).await;
            let first = first.get_or_insert_with(|| answer.clone());
            assert_eq!(&answer, first, "{method} {path} {way:?}");
        }
        // The key in the address is no key, and a body of a stranger is not read.
        let query = if path.contains('?') { "&" } else { "?" };
        let path = format!("{path}{query}access_token={good}&key={good}");
        let json = [("content-type", "application/json")];
        let mut answer = scene.admin.raw(method, &path, &json, b"{".to_vec()).await;
        // It is unread for good: the connection ends.
        assert_eq!(answer.header("connection"), Some("close"));
        answer.headers.retain(|(name, _)| name != "connection");
        assert_eq!(Some(&answer), first.as_ref(), "{method} {path}");
    }
    let first = first.unwrap();
    assert_eq!(
        (first.status, error_code(&first).as_str()),
        (401, "unauthenticated")
    );
    assert_eq!(
        first.header("www-authenticate"),
        Some("Bearer realm=\"strongroom\"")
    );
    let spaced = [("authorization", format!("bEaReR   {good} "))];
    let spaced = [("authorization", spaced[0].1.as_str())];
    assert_eq!(
        scene
            .admin
            .raw("GET", "/v1/apps", &spaced, vec![])
            .await
            .status,
        200
    );
    assert_eq!(
        scene.admin.raw("GET", "/health", &[], vec![]).await.status,
        200
    );
    scene.end().await;
}

/// Goal: a body that is not what a route takes is refused with what is wrong, and without a word
/// of what it said. Method: bend the right body of every route in every way; look for a canary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n4_a_wrong_body_is_refused_and_never_quoted() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.admin.key);
    let auth = ("authorization", bearer.as_str());
    let canary = "CANARYc4n4ry";
    let (_, before) = scene.admin.get("/v1/status").await;
    for (method, path, right) in bodies() {
        let mut wrong: Vec<Vec<u8>> = [
            "{",
            "[]",
            "[\"demo\",\"u1\"]",
            "null",
            "1",
            "\"CANARYc4n4ry\"",
            "{\"a\":1}}",
            "\u{feff}{}",
            "{'a':1}",
            "{\"a\":NaN}",
            "{\"a\":1,}",
            "CANARYc4n4ry",
            "{\"\\ud800\":1}",
            "true",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
        wrong.push(vec![0xff, 0xfe, b'{']);
        wrong.push("[".repeat(10_000).into_bytes());
        wrong.push(format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000)).into_bytes());
        for name in right.as_object().unwrap().keys() {
            for value in [
                json!(7),
                json!({ "x": canary }),
                json!([canary]),
                json!(true),
            ] {
                let mut body = right.clone();
                body[name] = value;
                wrong.push(body.to_string().into_bytes());
            }
            // The same field twice.
            let text = right.to_string();
            let doubled = format!("{},\"{name}\":\"{canary}\"}}", &text[..text.len() - 1]);
            wrong.push(doubled.into_bytes());
        }
        let mut extra = right.clone();
        extra["no_such_field"] = json!(canary);
        wrong.push(extra.to_string().into_bytes());
        for body in wrong {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let headers = [auth, ("content-type", "application/json")];
            let answer = scene.admin.raw(method, path, &headers, body).await;
            assert_eq!(answer.status, 400, "{method} {path} {shown}: {answer:?}");
            assert_eq!(error_code(&answer), "invalid_request");
            assert!(!answer.body.contains("CANARY"), "{answer:?}");
        }
        let extra = extra.to_string();
        let headers = [auth, ("content-type", "application/json")];
        let answer = scene
            .admin
            .raw(method, path, &headers, extra.into_bytes())
            .await;
        let told = answer.body.contains("does not belong here; known: ");
        assert!(told && !answer.body.contains("no_such"), "{answer:?}");
    }
    let (_, after) = scene.admin.get("/v1/status").await;
    assert_eq!(before["epoch"], after["epoch"], "nothing was stored");
    scene.end().await;
}

/// Goal: only JSON is read, and only as much as a route takes.
/// Method: other types, compressed and missing ones; bodies at and past the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n3_a_body_of_another_type_or_too_long_is_refused() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.admin.key);
    let auth = ("authorization", bearer.as_str());
    for (method, path, right) in bodies() {
        let body = right.to_string().into_bytes();
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "text/json",
            "application/json; charset=latin1",
            "application/xml",
            "*/*",
        ] {
            let headers = [auth, ("content-type", kind)];
            let answer = scene.admin.raw(method, path, &headers, body.clone()).await;
            assert_eq!(
                (answer.status, error_code(&answer).as_str()),
                (400, "invalid_request")
            );
        }
        let answer = scene.admin.raw(method, path, &[auth], body.clone()).await;
        assert_eq!(answer.status, 400, "no type at all");
        let zipped = [
            auth,
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ];
        assert_eq!(
            scene.admin.raw(method, path, &zipped, body).await.status,
            400
        );

        let most = match path {
            "/v1/token" | "/v1/tokens" => 256 * 1024,
            "/v1/slots" | "/v1/slots/9" | "/v1/passphrase" => 256 * 1024,
            _ => 64 * 1024,
        };
        let json = [auth, ("content-type", "application/json")];
        let padded = |length: usize| {
            let text = right.to_string();
            format!("{text}{}", " ".repeat(length - text.len())).into_bytes()
        };
        let answer = scene.admin.raw(method, path, &json, padded(most + 1)).await;
        assert_eq!(
            (answer.status, error_code(&answer).as_str()),
            (413, "too_large"),
            "{path}"
        );
        let answer = scene.admin.raw(method, path, &json, padded(most)).await;
        assert_ne!(answer.status, 413, "{path}");
    }
    scene.end().await;
}
