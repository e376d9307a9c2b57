//! A link from its making to its end, as whoever asked sees it: outcomes, long polls, return URLs
//! (C4, security.md O5).

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::model::access::Caller;

use crate::scene::{Link, Scene};
use crate::support::{Api, Browser};

/// Asks for the token of `demo` and user `u1`; with a link where `connect` says so.
async fn ask(api: &Api, connect: bool) -> (u16, Value) {
    let mut body = json!({ "app": "demo", "user": "u1" });
    if connect {
        body["connect"] = json!({});
    }
    api.post("/v1/token", body).await
}

async fn outcome(api: &Api, connect: bool) -> (u16, String) {
    let (status, said) = ask(api, connect).await;
    (status, said["outcome"].as_str().unwrap().to_owned())
}

/// Goal: whoever asks for a token hears at each moment what to do.
/// Method: ask at every step of a link's life, with and without a wish for a link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_give_me_a_token_follows_the_life_of_the_link() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let said = |status: u16, word: &str| (status, word.to_owned());
    let (status, first) = ask(&api, false).await;
    assert_eq!((status, &first["connect"]), (404, &Value::Null), "{first}");
    assert_eq!(first["outcome"], "connect_required");

    let (status, first) = ask(&api, true).await;
    assert_eq!(status, 404);
    let old = Link::of(&first["connect"]);
    assert!(first["connect"]["expires_at"].is_string());
    assert_eq!(outcome(&api, false).await, said(202, "pending"));
    // Another agent of the same owner knows nothing of it.
    let other = scene.asker(&["code"]).await;
    assert_eq!(outcome(&other, false).await, said(404, "connect_required"));
    // Asked again before anybody opened it: a new one, and the old one is void.
    let link = Link::of(&ask(&api, true).await.1["connect"]);
    assert_eq!(scene.status(&api, &old).await, "replaced");
    let page = Browser::new().open(&old.url).await;
    assert!(page.text.contains("taken back"), "{}", page.text);

    let mut browser = Browser::new();
    scene.enter(&mut browser, &link).await;
    for connect in [false, true] {
        let (status, pending) = ask(&api, connect).await;
        assert_eq!((status, &pending["outcome"]), (202, &json!("pending")));
        assert_eq!(pending["connect_id"], link.id.as_str());
        assert!(pending["retry_after_s"].as_u64().unwrap() >= 1);
    }
    let page = browser.open(&scene.page(&link, "")).await;
    let page = browser
        .submit(&page, "/code", &[("code", &link.code)])
        .await;
    let page = browser.submit(&page, "/demo/decline", &[]).await;
    assert!(page.text.contains("You declined this"), "{}", page.text);
    assert_eq!(outcome(&api, false).await, said(409, "declined"));
    assert_eq!(outcome(&other, false).await, said(404, "connect_required"));

    let link = Link::of(&ask(&api, true).await.1["connect"]);
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    assert_eq!(outcome(&api, true).await, said(202, "pending"));
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&back).await;
    let (status, token) = ask(&api, true).await;
    assert_eq!((status, &token["outcome"]), (200, &json!("ok")));
    // Any key that may fetch it gets it: the token is the owner's, not the asker's.
    assert_eq!(outcome(&other, false).await, said(200, "ok"));

    let path = format!("/v1/tokens/{}", token["token_id"].as_str().unwrap());
    assert_eq!(scene.admin.delete(&path).await.0, 200);
    assert_eq!(outcome(&api, false).await, said(404, "connect_required"));
    scene.end().await;
}

/// Goal: connecting again mends the same record. Method: revoke at the provider, hear why, connect
/// again by the link that comes with it; compare ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_again_keeps_the_token_id() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&back).await;
    let id = scene.state(&api, &link).await["apps"][0]["token_id"].clone();
    scene.outside.sandbox.revoke_user("ada");
    scene.clock.advance(Duration::from_secs(7200));
    let (status, said) = ask(&api, true).await;
    assert_eq!(
        (status, &said["outcome"]),
        (409, &json!("reconnect_required"))
    );
    assert_eq!(said["reason"], "revoked", "{said}");
    let link = Link::of(&said["connect"]);
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&back).await;
    let (status, token) = ask(&api, false).await;
    assert_eq!((status, &token["token_id"]), (200, &id), "{token}");
    scene.end().await;
}

/// Goal: a long poll answers when something happens, and when the link lapses, and no later.
/// Method: poll for 55 s in the background; act, or move the test clock. The test would take a
/// minute if either did not wake it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_ends_with_a_change_and_with_the_link() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let began = std::time::Instant::now();
    let link = scene.link(&api, json!({})).await;
    let path = format!("/v1/connect/{}?wait=55", link.id);
    let mut browser = Browser::new();
    let act = async {
        scene.enter(&mut browser, &link).await;
        // Changes too, in case the poll came only now.
        for _ in 0..2 {
            let url = scene.page(&link, "/code");
            browser.send("POST", &url, Some(&[("code", "x")])).await;
        }
    };
    let (polled, ()) = tokio::join!(api.get(&path), act);
    assert_eq!(polled.1["status"], "visited");
    // A change of another link does not end it, the withdrawal does.
    let other = scene.link(&api, json!({ "user": "u2" })).await;
    let act = async {
        scene.enter(&mut Browser::new(), &other).await;
        api.delete(&format!("/v1/connect/{}", link.id)).await
    };
    let (polled, withdrawn) = tokio::join!(api.get(&path), act);
    assert_eq!(polled.1["status"], "withdrawn");
    assert_eq!(withdrawn, polled);
    // Over already: answered at once.
    assert_eq!(api.get(&path).await.1["status"], "withdrawn");

    let link = scene.link(&api, json!({ "expires_in_s": 30 })).await;
    let path = format!("/v1/connect/{}?wait=55", link.id);
    let (polled, ()) = tokio::join!(api.get(&path), async {
        scene.clock.advance(Duration::from_secs(30));
    });
    assert_eq!(polled.1["status"], "expired");
    assert!(began.elapsed() < Duration::from_secs(45));
    for wait in ["56", "-1", "x", "1.5", "99999999999999999999"] {
        let path = format!("/v1/connect/{}?wait={wait}", link.id);
        assert_eq!(api.get(&path).await.0, 400, "{wait}");
    }
    scene.end().await;
}

/// Goal: a link lapses for person and asker alike, is remembered for a day, and then forgotten.
/// Method: the test clock, and the scheduler's own call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_lapses_is_remembered_and_then_forgotten() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({ "expires_in_s": 60 })).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    scene.clock.advance(Duration::from_secs(60));
    let page = browser.open(&scene.page(&link, "")).await;
    assert!(page.text.contains("has expired"), "{}", page.text);
    for step in ["/code", "/vouch", "/demo/go", "/demo/key", "/demo/decline"] {
        let form = [("code", link.code.as_str()), ("api_key", "k")];
        let page = browser
            .send("POST", &scene.page(&link, step), Some(&form))
            .await;
        assert_eq!(page.status, 303, "{step}: back to its page");
    }
    assert_eq!(scene.status(&api, &link).await, "expired");
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);
    scene.clock.advance(Duration::from_secs(86_399));
    let forget = || async {
        let vault = &scene.inside.vault;
        vault.forget_links(&Caller::scheduler()).unwrap().await
    };
    assert_eq!(forget().await, Ok(0));
    assert_eq!(scene.status(&api, &link).await, "expired");
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(forget().await, Ok(1));
    let (status, _) = api.get(&format!("/v1/connect/{}", link.id)).await;
    assert_eq!(status, 404);
    let page = browser.open(&link.url).await;
    assert!(page.text.contains("does not work"), "{}", page.text);
    scene.end().await;
}

/// Goal: a link is its asker's business. Method: another key reads, withdraws and vouches for it,
/// and does the same with one that is not there; the answers are one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_of_another_key_and_a_link_that_is_not_there_are_one_answer() {
    let scene = Scene::new().await;
    let api = scene.asker(&["vouch"]).await;
    let other = scene.asker(&["vouch"]).await;
    let link = scene.link(&api, json!({})).await;
    let none = format!("con_{}", "0".repeat(32));
    for (method, rest, body) in [
        ("GET", "", None),
        ("DELETE", "", None),
        (
            "POST",
            "/vouch",
            Some(json!({ "ticket": "x", "user": "u1" })),
        ),
    ] {
        for (id, who) in [(&link.id, &other), (&none, &other), (&none, &api)] {
            let path = format!("/v1/connect/{id}{rest}");
            let (status, said) = who.send(method, &path, body.clone()).await;
            assert_eq!(
                (status, &said["error"]["message"]),
                (404, &json!("there is no such link"))
            );
        }
    }
    assert_eq!(scene.status(&api, &link).await, "issued");
    scene.end().await;
}

/// Goal: nobody is sent back anywhere but where the operator said, to the letter.
/// Method: a corpus of addresses that other programs were fooled by; then the true ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c4_a_return_url_is_exactly_one_that_was_registered() {
    let scene = Scene::new().await;
    let api = scene.asker(&["none"]).await;
    let good = "https://agent.example/done";
    let mut corpus: Vec<String> = include_str!("open_redirects.txt")
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            line.replace("\\t", "\t")
                .replace("\\n", "\n")
                .replace("\\0", "\0")
        })
        .collect();
    corpus.push(format!("{good}?{}", "a".repeat(3000)));
    assert!(corpus.len() >= 60, "{}", corpus.len());
    let body = |url: &str| json!({ "apps": [{ "app": "demo" }], "user": "u1", "return_url": url });
    for url in &corpus {
        let (status, said) = api.post("/v1/connect", body(url)).await;
        assert_eq!(status, 400, "{url:?} was taken: {said}");
        let wish = json!({ "app": "demo", "user": "u1", "connect": { "return_url": url } });
        assert_eq!(api.post("/v1/token", wish).await.0, 400, "{url:?}");
    }
    for url in [good, "https://agent.example/other?x=1"] {
        let link = scene.link(&api, json!({ "return_url": url })).await;
        let mut browser = Browser::new();
        scene.enter(&mut browser, &link).await;
        let back = scene.come_back_url(&mut browser, &link, "demo").await;
        // A query cannot name another way home.
        let bent = format!("{back}&return_url=https%3A%2F%2Fevil.example");
        let page = browser.send("GET", &bent, None).await;
        assert_eq!(page.status, 303);
        let place = page.location().unwrap();
        assert_eq!(place, scene.page(&link, ""));
        let page = browser.send("GET", &place, None).await;
        assert_eq!((page.status, page.location()), (303, Some(url.to_owned())));
        assert_eq!(page.text, "");
    }
    scene.end().await;
}

/// Goal: a wish that cannot be is refused with what is wrong. Method: a table of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_for_a_link_is_checked() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let demo = json!([{ "app": "demo" }]);
    let many: Vec<Value> = (0..17).map(|n| json!({ "app": format!("a{n}") })).collect();
    let wishes = [
        (400, json!({ "apps": [], "user": "u1" })),
        (400, json!({ "apps": many, "user": "u1" })),
        (400, json!({ "apps": demo })),
        (400, json!({ "apps": demo, "user": "" })),
        (400, json!({ "apps": demo, "user": " u1" })),
        (
            400,
            json!({ "apps": [{ "app": "demo" }, { "app": "demo" }], "user": "u1" }),
        ),
        (404, json!({ "apps": [{ "app": "none" }], "user": "u1" })),
        (
            400,
            json!({ "apps": demo, "user": "u1", "expires_in_s": 29 }),
        ),
        (
            400,
            json!({ "apps": demo, "user": "u1", "expires_in_s": 3601 }),
        ),
        (
            400,
            json!({ "apps": demo, "user": "u1", "expires_in_s": -1 }),
        ),
        (
            400,
            json!({ "apps": demo, "user": "u1", "reason": "x".repeat(1025) }),
        ),
        (
            400,
            json!({ "apps": demo, "user": "u1", "reason": "a\u{7}b" }),
        ),
        (
            400,
            json!({ "apps": [{ "app": "demo", "scopes": [" a"] }], "user": "u1" }),
        ),
        (400, json!({ "user": "u1" })),
    ];
    for (expected, wish) in wishes {
        let (status, said) = api.post("/v1/connect", wish.clone()).await;
        assert_eq!(status, expected, "{wish}: {said}");
    }
    scene.end().await;
}

/// Goal: an app that was removed meanwhile is said to be gone, and breaks nothing.
/// Method: remove it while the link is open, and while the person is at its provider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_went_away_is_said_to_be_gone() {
    let scene = Scene::new().await;
    let keyed = json!({ "id": "keyed", "kind": "api_key" });
    assert_eq!(scene.admin.post("/v1/apps", keyed).await.0, 201);
    let api = scene.asker(&["code"]).await;
    let apps = json!([{ "app": "demo" }, { "app": "keyed" }]);
    let link: Link = scene.link(&api, json!({ "apps": apps })).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    assert_eq!(scene.admin.delete("/v1/apps/demo").await.0, 200);
    let page = browser.send("GET", &back, None).await;
    assert_eq!(page.status, 404);
    let page = browser.open(&scene.page(&link, "")).await;
    assert!(page.text.contains("not set up any more"), "{}", page.text);
    let page = browser
        .submit(&page, "/keyed/key", &[("api_key", "k-1")])
        .await;
    let page = browser.submit(&page, "/demo/decline", &[]).await;
    assert!(page.text.contains("Done"), "{}", page.text);
    assert_eq!(scene.outside.sandbox.counts().token_requests, 0);
    scene.end().await;
}
