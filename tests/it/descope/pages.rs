//! Pages elsewhere: which may call what, and read which answers (CORS).

use serde_json::{Value, json};
use strongroom::http::routes::descope::TABLE as THEIRS;
use strongroom::http::routes::{Row, TABLE};

use super::{Client, set_up};
use crate::scene::Scene;
use crate::support::{PAGE, Raw};

/// Method and path of what is made for pages.
const FOR_PAGES: [(&str, &str); 3] = [
    ("POST", "/v1/outbound/oauth/connect"),
    ("GET", "/v1/mgmt/outbound/apps"),
    ("GET", "/v1/mgmt/outbound/apps-with-user-token"),
];
const FOREIGN: [&str; 7] = [
    "https://evil.example",
    "https://app.example.evil.example",
    "https://app.example:8443",
    "http://app.example",
    "https://app.example/",
    "https://APP.example",
    "null",
];

fn cors(answer: &Raw) -> Vec<(&str, &str)> {
    let headers = answer.headers.iter();
    headers
        .filter(|(name, _)| name.starts_with("access-control-"))
        .map(|(name, value)| (&name["access-control-".len()..], value.as_str()))
        .collect()
}

async fn preflight(scene: &Scene, path: &str, origin: &str, method: &str, fields: &str) -> Raw {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", fields),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "cors"),
    ];
    scene.admin.raw("OPTIONS", path, &headers, vec![]).await
}

/// Goal: a page on the list is told what it may send, and a page that is not is told nothing.
/// Method: each route made for pages; the fields that the web SDK sends, and others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_tells_a_page_on_the_list_what_it_may_send() {
    let scene = Scene::new().await;
    let sdk = "authorization, content-type,x-descope-project-id,X-Descope-SDK-Name";
    for (method, path) in FOR_PAGES {
        let answer = preflight(&scene, path, PAGE, method, sdk).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{path}");
        let let_through = "authorization, content-type, x-descope-project-id, x-descope-sdk-name";
        let expected = [
            ("allow-credentials", "true"),
            ("allow-headers", let_through),
            ("allow-methods", method),
            ("allow-origin", PAGE),
            ("max-age", "600"),
        ];
        assert_eq!(cors(&answer), expected, "{path}");
        assert_eq!(answer.header("vary"), Some("Origin"));
        let odd = "cookie, x-other, x-descope-, x-descope-a b, *, , authorization";
        let answer = preflight(&scene, path, PAGE, method, odd).await;
        let allowed = cors(&answer)
            .into_iter()
            .find(|(name, _)| *name == "allow-headers");
        assert_eq!(
            allowed,
            Some(("allow-headers", "x-descope-, authorization"))
        );
        let many: Vec<String> = (0..100).map(|n| format!("x-descope-{n}")).collect();
        let answer = preflight(&scene, path, PAGE, method, &many.join(",")).await;
        let allowed = answer.header("access-control-allow-headers").unwrap();
        assert_eq!(allowed.split(", ").count(), 32);

        for origin in FOREIGN {
            let answer = preflight(&scene, path, origin, method, sdk).await;
            assert_eq!(answer.status, 405, "{origin} {path}");
            assert_eq!(cors(&answer), [], "{origin} {path}");
        }
        for other in ["DELETE", "PUT", "OPTIONS", "", "GET POST"] {
            let answer = preflight(&scene, path, PAGE, other, sdk).await;
            assert_eq!(
                (answer.status, cors(&answer)),
                (405, vec![]),
                "{other} {path}"
            );
        }
    }
    scene.end().await;
}

/// Goal: nothing but what is made for pages is open to one, whatever its origin. Method: each row
/// of both tables, preflighted and asked, with a key that may do everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_route_is_open_to_a_page() {
    let (scene, _) = set_up().await;
    let key = format!("Bearer {}", scene.admin.key);
    let rows: Vec<&Row> = TABLE.iter().chain(&THEIRS).collect();
    let is_for_pages = |row: &&&Row| FOR_PAGES.contains(&(row.method.as_str(), row.path));
    assert_eq!(rows.iter().filter(is_for_pages).count(), FOR_PAGES.len());
    for row in rows.iter().filter(|row| !is_for_pages(row)) {
        let (method, path) = (row.method.as_str(), row.path.replace("{}", "demo"));
        let answer = preflight(&scene, &path, PAGE, method, "authorization").await;
        assert_eq!(
            (answer.status, cors(&answer)),
            (405, vec![]),
            "{method} {path}"
        );
        let headers = [("origin", PAGE), ("authorization", key.as_str())];
        let answer = scene.admin.raw(method, &path, &headers, vec![]).await;
        assert_eq!(
            (answer.status, cors(&answer)),
            (403, vec![]),
            "{method} {path}"
        );
    }
    scene.end().await;
}

/// The same client, as a page sends it.
async fn from_page(client: &Client, origin: &str, method: &str, path: &str) -> Raw {
    let headers = [("origin", origin), ("sec-fetch-site", "cross-site")];
    let body = (method == "POST").then(|| json!({ "appId": "demo" }));
    let client = client.presenting(&client.authorization, &headers);
    client.raw(method, path, body).await
}

/// Goal: the page that may call may read the answer too, an error's above all: what else should it
/// tell its person. Method: an answer of each kind, the vault locked at the end; then the same from
/// a page that may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_on_the_list_reads_every_answer_and_another_none() {
    let (scene, admin) = set_up().await;
    let asker = Client::new(&scene, &scene.asker(&[]).await.key).await;
    let nobody = admin.presenting("Bearer nobody", &[]);
    let [connect, apps, connected] = FOR_PAGES;
    let user = "/v1/mgmt/outbound/apps-with-user-token?userId=u1";
    let exchanges: Vec<(&Client, (&str, &str), u16)> = vec![
        (&admin, apps, 200),
        (&admin, ("GET", user), 200),
        (&admin, connected, 400),
        (&nobody, apps, 401),
        (&nobody, connect, 401),
        (&asker, connect, 403),
    ];
    let readable = [
        ("allow-credentials", "true"),
        ("allow-origin", PAGE),
        ("expose-headers", "Retry-After"),
    ];
    for (client, (method, path), status) in exchanges {
        let answer = from_page(client, PAGE, method, path).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(cors(&answer), readable, "{method} {path}");
        assert_eq!(answer.header("vary"), Some("Origin"));
        let plain = client.raw(method, path, None).await;
        assert_eq!(cors(&plain), [], "{method} {path}: no page asks");
        for origin in FOREIGN {
            let answer = from_page(client, origin, method, path).await;
            assert_eq!((answer.status, cors(&answer)), (403, vec![]), "{origin}");
        }
    }
    assert_eq!(scene.admin.post("/v1/lock", json!({})).await.0, 200);
    for (method, path) in FOR_PAGES {
        let answer = from_page(&admin, PAGE, method, path).await;
        let told: Value = answer.json()["errorCode"].clone();
        assert_eq!((answer.status, told), (429, json!("E130429")), "{path}");
        assert_eq!(cors(&answer), readable, "{path}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    scene.end().await;
}
