//! How a link ends, who is told, and what a page says of what was there before.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scene::{Link, Scene};
use crate::support::{Api, Browser, Page};

/// Long enough for its end to be shown.
const KEY: &str = "sk-live-9f8e7d6czq7w";
const DONE: &str = "https://agent.example/done";

async fn add_key_app(scene: &Scene) {
    let app = json!({ "id": "keyed", "kind": "api_key", "name": "Keyed" });
    assert_eq!(scene.admin.post("/v1/apps", app).await.0, 201);
}

async fn both(scene: &Scene, api: &Api, more: Value) -> Link {
    let mut body = json!({ "apps": [{ "app": "demo" }, { "app": "keyed" }] });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    scene.link(api, body).await
}

fn holds(page: &Page, text: &str) {
    assert!(page.text.contains(text), "no `{text}` in {}", page.text);
}

/// Goal: a person's no to all of it ends the link, keeps what is connected, and is told to the
/// asker at once, by the link and by the token call. Method: connect one of two, cancel; a long
/// poll waits meanwhile; go on with the link, and with the trip that was under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_ends_a_link_keeps_what_is_connected_and_tells_the_asker() {
    let scene = Scene::new().await;
    add_key_app(&scene).await;
    let api = scene.asker(&["code"]).await;
    let link = both(&scene, &api, json!({})).await;
    let mut browser = Browser::new();
    let page = scene.prove(&mut browser, &link).await;
    holds(&page, "0 of 2 connected");
    let page = browser
        .submit(&page, "/keyed/key", &[("api_key", KEY)])
        .await;
    holds(&page, "1 of 2 connected");
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    let path = format!("/v1/connect/{}?wait=55", link.id);
    let cancel = browser.submit(&page, "/cancel", &[]);
    let (polled, page) = tokio::join!(api.get(&path), cancel);
    assert_eq!(polled.1["status"], "cancelled", "{}", polled.1);
    let states: Vec<&Value> = [0, 1].map(|at| &polled.1["apps"][at]["state"]).into();
    assert_eq!(states, ["declined", "connected"]);
    holds(&page, "Cancelled");
    let (status, said) = api
        .post("/v1/token", json!({ "app": "demo", "user": "u1" }))
        .await;
    assert_eq!(
        (status, &said["outcome"]),
        (409, &json!("declined")),
        "{said}"
    );
    let (_, said) = api
        .post("/v1/token", json!({ "app": "keyed", "user": "u1" }))
        .await;
    assert_eq!(said["access_token"], KEY);
    // Whatever comes later changes nothing.
    let late = browser.open(&back).await;
    assert_eq!(late.status, 404, "{}", late.text);
    for rest in ["/cancel", "/demo/go", "/keyed/decline"] {
        let page = browser
            .follow("POST", &scene.page(&link, rest), Some(&[]))
            .await;
        holds(&page, "Cancelled");
    }
    assert_eq!(scene.status(&api, &link).await, "cancelled");
    assert_eq!(scene.outside.sandbox.counts().token_requests, 0);
    assert_eq!(scene.on_record("cancelled").await, 1);
    scene.end().await;
}

/// Goal: before the proof nobody's no counts as the owner's, though the link ends; another browser
/// cannot even do that. Method: cancel unproven, and without the cookie; ask for a token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_proof_a_cancel_ends_the_link_and_declines_nothing() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    let page = scene.enter(&mut browser, &link).await;
    let other = Browser::new()
        .follow("POST", &scene.page(&link, "/cancel"), Some(&[]))
        .await;
    assert_eq!(other.status, 404);
    assert_eq!(scene.status(&api, &link).await, "visited");
    holds(&browser.submit(&page, "/cancel", &[]).await, "Cancelled");
    let state = scene.state(&api, &link).await;
    assert_eq!(
        (&state["status"], &state["apps"][0]["state"]),
        (&json!("cancelled"), &json!("waiting"))
    );
    let (status, said) = api
        .post("/v1/token", json!({ "app": "demo", "user": "u1" }))
        .await;
    assert_eq!(
        (status, &said["outcome"]),
        (404, &json!("connect_required"))
    );
    scene.end().await;
}

/// Goal: who cancels is sent home too, where there is one. Method: a link with a return URL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cancels_is_sent_to_the_return_url() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({ "return_url": DONE })).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    browser
        .send("POST", &scene.page(&link, "/cancel"), Some(&[]))
        .await;
    let page = browser.send("GET", &scene.page(&link, ""), None).await;
    assert_eq!(page.location().as_deref(), Some(DONE));
    scene.end().await;
}

/// Goal: a page says how a stored key ends, only where that gives nothing away, and nobody else is
/// told. Method: a long key, a short one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_long_key_is_shown_once_it_is_stored() {
    let scene = Scene::new().await;
    add_key_app(&scene).await;
    let api = scene.asker(&["code"]).await;
    for (key, end) in [(KEY, Some("zq7w")), ("k-1234567-x", None)] {
        let link = both(&scene, &api, json!({})).await;
        let mut browser = Browser::new();
        let page = scene.prove(&mut browser, &link).await;
        let page = browser
            .submit(&page, "/keyed/key", &[("api_key", key)])
            .await;
        holds(&page, "Connected");
        assert_eq!(
            page.text.contains("The key ends in"),
            end.is_some(),
            "{key}"
        );
        holds(&page, end.unwrap_or("Connected"));
        assert!(!page.text.contains(key));
        let state = scene.state(&api, &link).await.to_string();
        assert!(!state.contains("zq7w"), "{state}");
    }
    scene.end().await;
}

/// Goal: the owner sees what is connected already, and nobody sees it before the proof; what was
/// chosen apart (another account) is not it. Method: connect, ask again, look at each page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_connected_already_is_shown_to_its_owner_alone() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let first = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    let page = scene.prove(&mut browser, &first).await;
    assert!(!page.text.contains("Connected"), "{}", page.text);
    let back = scene.come_back_url(&mut browser, &first, "demo").await;
    browser.open(&back).await;
    let again = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    for page in [
        browser.open(&again.url).await,
        scene.enter(&mut browser, &again).await,
    ] {
        assert!(!page.text.contains("Connected"), "{}", page.text);
    }
    let form = [("code", again.code.as_str())];
    let code = scene.page(&again, "/code");
    let page = browser.follow("POST", &code, Some(&form)).await;
    holds(&page, "Connected already as <strong>");
    let apps = json!([{ "app": "demo", "account": "work" }]);
    for more in [json!({ "apps": apps }), json!({ "user": "u2" })] {
        let other = scene.link(&api, more).await;
        let page = scene.prove(&mut Browser::new(), &other).await;
        assert!(!page.text.contains("Connected"), "{}", page.text);
    }
    scene.end().await;
}

/// Goal: a pop-up tells the page that opened it, and no other origin, how it ended. Method: the
/// last page, read: origin, message, and a policy that lets its one script run and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_page_of_a_pop_up_tells_its_opener() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let more = json!({ "opener_origin": "https://agent.example", "return_url": DONE });
    let link = scene.link(&api, more).await;
    let mut browser = Browser::new();
    let page = scene.prove(&mut browser, &link).await;
    assert!(!page.text.contains("<script"), "not before the end");
    let page = browser.submit(&page, "/decline", &[]).await;
    holds(&page, "data-origin=\"https://agent.example\"");
    holds(&page, "&quot;status&quot;:&quot;finished&quot;");
    holds(&page, "&quot;state&quot;:&quot;declined&quot;");
    holds(&page, &format!("&quot;id&quot;:&quot;{}&quot;", link.id));
    holds(&page, &format!("data-next=\"{DONE}\""));
    let script = page.text.split("<script>").nth(1).unwrap();
    let script = script.split("</script>").next().unwrap();
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let hash = {
        use base64::Engine;
        use sha2::Digest;
        base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(script))
    };
    assert!(
        policy.ends_with(&format!("; script-src 'sha256-{hash}'")),
        "{policy}"
    );
    scene.end().await;
}

/// Goal: a pop-up that is pressed too late tells its opener too, wherever its person had come to.
/// Method: a link that lapses on its first page, before a browser is bound; one that lapses before
/// the proof; one whose person is at the provider meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pop_up_that_comes_too_late_tells_its_opener() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let more = json!({ "opener_origin": "https://agent.example", "expires_in_s": 60 });
    let links = [
        scene.link(&api, more.clone()).await,
        scene.link(&api, with(&more, "user", "u2")).await,
        scene.link(&api, with(&more, "user", "u3")).await,
    ];
    let mut browsers = [Browser::new(), Browser::new(), Browser::new()];
    browsers[0].open(&links[0].url).await;
    let second = scene.enter(&mut browsers[1], &links[1]).await;
    scene.prove(&mut browsers[2], &links[2]).await;
    let back = scene
        .come_back_url(&mut browsers[2], &links[2], "demo")
        .await;
    scene.clock.advance(Duration::from_secs(60));
    let pages = [
        browsers[0].follow("POST", &links[0].url, Some(&[])).await,
        browsers[1]
            .submit(&second, "/code", &[("code", &links[1].code)])
            .await,
        browsers[2].open(&back).await,
    ];
    for (page, link) in pages.iter().zip(&links) {
        holds(page, "This link has expired");
        holds(page, "data-origin=\"https://agent.example\"");
        holds(page, "&quot;status&quot;:&quot;expired&quot;");
        holds(page, &format!("&quot;id&quot;:&quot;{}&quot;", link.id));
    }
    assert_eq!(scene.outside.sandbox.counts().token_requests, 0);
    scene.end().await;
}

fn with(more: &Value, name: &str, value: &str) -> Value {
    let mut more = more.clone();
    more[name] = value.into();
    more
}

/// Goal: nobody has the end of a link told to an origin that its key and apps do not list.
/// Method: near misses; by the link call and by the token call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opener_is_one_of_the_listed_origins_to_the_letter() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    for (origin, expected) in [
        ("https://agent.example", 201),
        ("", 201),
        ("https://agent.example/", 400),
        ("https://agent.example/done", 400),
        ("http://agent.example", 400),
        ("https://agent.example:444", 400),
        ("https://evil.example", 400),
        ("*", 400),
        ("null", 400),
    ] {
        let body = json!({
            "apps": [{ "app": "demo" }], "user": "u1", "opener_origin": origin,
        });
        assert_eq!(api.post("/v1/connect", body).await.0, expected, "{origin}");
        let connect = json!({ "opener_origin": origin });
        let body = json!({ "app": "demo", "user": "u1", "connect": connect });
        let status = api.post("/v1/token", body).await.0;
        assert_eq!(status == 400, expected == 400, "{origin}: {status}");
    }
    scene.end().await;
}

/// Goal: an app's picture is shown where it stands in the page, and fetched from nowhere.
/// Method: an app with each kind of logo.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logo_is_shown_where_it_is_written_out() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let data = "data:image/png;base64,iVBORw0KGgo=";
    for (logo, is_shown) in [(data, true), ("https://example.com/logo.png", false)] {
        let app = json!({
            "id": "pictured", "kind": "api_key", "name": "Pictured", "logo": logo,
        });
        let (_, said) = scene.admin.put("/v1/apps/pictured", app.clone()).await;
        if said["id"].is_null() {
            assert_eq!(scene.admin.post("/v1/apps", app).await.0, 201);
        }
        let apps = json!([{ "app": "pictured" }]);
        let link = scene.link(&api, json!({ "apps": apps })).await;
        let page = Browser::new().open(&link.url).await;
        let img = format!("<img src=\"{data}\" alt=\"\">");
        assert_eq!(page.text.contains(&img), is_shown, "{}", page.text);
        assert!(!page.text.contains("example.com/logo"), "{}", page.text);
        let (_, app) = scene.admin.get("/v1/apps/pictured").await;
        assert_eq!(app["logo"], logo);
    }
    scene.end().await;
}
