//! Who finishes a link must be who was asked: the three ways of proof, over real pages (C1).

use serde_json::json;

use crate::scene::{Link, Scene};
use crate::support::{Api, Browser};

/// What the asking application is sent: the link's id, the ticket, the way back.
struct Sent {
    connect_id: String,
    ticket: String,
    page: String,
}

/// Goes as far as the redirect to the asking application, and reads it.
async fn to_asker(scene: &Scene, browser: &mut Browser, link: &Link) -> Sent {
    scene.enter(browser, link).await;
    let url = scene.page(link, "/vouch");
    let page = browser.send("POST", &url, Some(&[])).await;
    assert_eq!(page.status, 303);
    let place = page.location().unwrap();
    assert!(
        place.starts_with("https://agent.example/verify?"),
        "{place}"
    );
    let place = reqwest::Url::parse(&place).unwrap();
    let field = |name: &str| {
        let found = place.query_pairs().find(|(key, _)| key == name).unwrap();
        found.1.into_owned()
    };
    Sent {
        connect_id: field("connect_id"),
        ticket: field("ticket"),
        page: scene.page(link, ""),
    }
}

async fn vouch(api: &Api, link: &Link, ticket: &str, owner: serde_json::Value) -> (u16, String) {
    let mut body = owner;
    body["ticket"] = json!(ticket);
    let (status, said) = api
        .post(&format!("/v1/connect/{}/vouch", link.id), body)
        .await;
    let word = said["status"].as_str().or(said["error"]["code"].as_str());
    (status, word.unwrap_or_default().to_owned())
}

/// Vouches, and says where the person's browser is to be sent.
async fn vouched(api: &Api, link: &Link, ticket: &str, owner: serde_json::Value) -> String {
    let mut body = owner;
    body["ticket"] = json!(ticket);
    let path = format!("/v1/connect/{}/vouch", link.id);
    let (status, said) = api.post(&path, body).await;
    assert_eq!(
        (status, &said["status"]),
        (200, &json!("visited")),
        "{said}"
    );
    said["return_to"].as_str().unwrap().to_owned()
}

/// Goal: the word for one person does not open another's browser.
/// Method: a thief opens the link first, and has its owner carry the ticket to the application;
/// the owner is vouched for, and comes back in a browser the link is not bound to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_ticket_carried_by_somebody_else_proves_nobody() {
    let scene = Scene::new().await;
    let api = scene.asker(&["vouch"]).await;
    let link = scene.link(&api, json!({})).await;
    let mut thief = Browser::new();
    let sent = to_asker(&scene, &mut thief, &link).await;
    let owner = json!({ "user": "u1" });
    let back = vouched(&api, &link, &sent.ticket, owner).await;
    let mut owners = Browser::new();
    assert_eq!(owners.open(&back).await.status, 404);
    let made_up = format!("{}/vouched/{}", sent.page, "A".repeat(43));
    for place in [&sent.page, &made_up] {
        let page = thief.open(place).await;
        assert!(page.text.contains("will confirm"), "{}", page.text);
    }
    let go = scene.page(&link, "/demo/go");
    assert_eq!(thief.send("POST", &go, Some(&[])).await.status, 403);
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);
    scene.end().await;
}

/// Goal: the asking application's word opens the way to the provider, once.
/// Method: take its place by hand; use the ticket twice, and as another key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_person_who_is_vouched_for_goes_on_and_the_ticket_works_once() {
    let scene = Scene::new().await;
    let api = scene.asker(&["vouch"]).await;
    let other = scene.asker(&["vouch"]).await;
    let link = scene.link(&api, json!({})).await;
    assert_eq!(link.code, "", "no code where the application vouches");
    let mut browser = Browser::new();
    let sent = to_asker(&scene, &mut browser, &link).await;
    assert_eq!(sent.connect_id, link.id);
    assert_ne!(sent.ticket, link.ticket);

    let owner = json!({ "user": "u1" });
    let refused = (404, "not_found".to_owned());
    assert_eq!(
        vouch(&other, &link, &sent.ticket, owner.clone()).await,
        refused
    );
    assert_eq!(
        vouch(&api, &link, &link.ticket, owner.clone()).await,
        refused
    );
    let cut = &sent.ticket[..40];
    assert_eq!(vouch(&api, &link, cut, owner.clone()).await, refused);
    let page = browser.open(&sent.page).await;
    assert!(
        page.text.contains("will confirm that it is you"),
        "{}",
        page.text
    );
    let back = vouched(&api, &link, &sent.ticket, owner.clone()).await;
    assert_eq!(vouch(&api, &link, &sent.ticket, owner).await, refused);
    let page = browser.open(&sent.page).await;
    assert!(page.text.contains("will confirm"), "not before it is back");

    let page = browser.open(&back).await;
    assert_eq!(page.url, sent.page, "a clean address");
    let login = browser.submit(&page, "/demo/go", &[]).await;
    let done = browser.consent(&login, "ada", "engine").await;
    assert!(done.text.contains("Connected"), "{}", done.text);
    assert_eq!(scene.status(&api, &link).await, "finished");
    assert_eq!(scene.on_record("the person was vouched for").await, 1);
    scene.end().await;
}

/// Goal: the wrong person ends the link, no provider hears of it, and it is on record.
/// Method: vouch for every owner that is nearly the right one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_the_wrong_person_ends_the_link_before_any_provider_is_asked() {
    let scene = Scene::new().await;
    let api = scene.asker(&["vouch"]).await;
    let wrong = [
        json!({ "user": "u2" }),
        json!({ "user": "U1" }),
        json!({ "user": "u1", "tenant": "t1" }),
        json!({ "tenant": "u1" }),
    ];
    for owner in &wrong {
        let link = scene.link(&api, json!({})).await;
        let mut browser = Browser::new();
        let sent = to_asker(&scene, &mut browser, &link).await;
        let said = vouch(&api, &link, &sent.ticket, owner.clone()).await;
        assert_eq!(said, (200, "wrong_person".to_owned()), "{owner}");
        let page = browser.open(&sent.page).await;
        assert!(page.text.contains("for somebody else"), "{}", page.text);
        // It stays dead, for the right person too.
        let said = vouch(&api, &link, &sent.ticket, json!({ "user": "u1" })).await;
        assert_eq!(said.0, 404);
        for step in ["/vouch", "/demo/go", "/demo/decline"] {
            let page = browser
                .send("POST", &scene.page(&link, step), Some(&[]))
                .await;
            assert_eq!(page.status, 303, "{step}: back to its page");
        }
        assert_eq!(scene.status(&api, &link).await, "wrong_person");
    }
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);
    assert_eq!(scene.outside.sandbox.counts().token_requests, 0);
    let dead = scene.on_record("somebody else was vouched for").await;
    assert_eq!(dead, wrong.len());
    scene.end().await;
}

/// Goal: a ticket vouches on its own link alone, and only the last one sent does.
/// Method: two links of one asker; swap their tickets; ask for a second ticket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_of_another_link_or_an_older_one_vouches_for_nobody() {
    let scene = Scene::new().await;
    let api = scene.asker(&["vouch"]).await;
    let first = scene.link(&api, json!({})).await;
    let second = scene.link(&api, json!({ "user": "u2" })).await;
    let (mut one, mut two) = (Browser::new(), Browser::new());
    let to_first = to_asker(&scene, &mut one, &first).await;
    let to_second = to_asker(&scene, &mut two, &second).await;
    for (link, ticket, user) in [
        (&first, &to_second.ticket, "u1"),
        (&first, &to_second.ticket, "u2"),
        (&second, &to_first.ticket, "u2"),
    ] {
        let said = vouch(&api, link, ticket, json!({ "user": user })).await;
        assert_eq!(said.0, 404);
    }
    let again = one
        .send("POST", &scene.page(&first, "/vouch"), Some(&[]))
        .await;
    assert_eq!(again.status, 303);
    let said = vouch(&api, &first, &to_first.ticket, json!({ "user": "u1" })).await;
    assert_eq!(said.0, 404, "a newer ticket was sent");
    let said = vouch(&api, &second, &to_second.ticket, json!({ "user": "u2" })).await;
    assert_eq!(said, (200, "visited".to_owned()));
    scene.end().await;
}

/// Goal: a code is guessed five times at most. Method: type wrong ones, then the right one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_five_wrong_codes_end_the_link_and_the_right_one_comes_too_late() {
    let scene = Scene::new().await;
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({})).await;
    assert_eq!(link.code.len(), 6);
    let mut wrong: Vec<String> = ["", "abc", "12345", "0000000"].map(str::to_owned).into();
    let near: String = link.code.chars().rev().collect();
    wrong.push(format!("{near}1"));
    let mut browser = Browser::new();
    scene.enter(&mut browser, &link).await;
    for (tries, typed) in wrong.iter().enumerate() {
        assert_eq!(scene.status(&api, &link).await, "visited", "after {tries}");
        let url = scene.page(&link, "/code");
        let page = browser
            .follow("POST", &url, Some(&[("code", typed.as_str())]))
            .await;
        assert!(!page.text.contains("/demo/go"), "{}", page.text);
    }
    assert_eq!(scene.status(&api, &link).await, "too_many_codes");
    let page = browser
        .follow(
            "POST",
            &scene.page(&link, "/code"),
            Some(&[("code", &link.code)]),
        )
        .await;
    assert!(page.text.contains("Too many wrong codes"), "{}", page.text);
    assert_eq!(scene.on_record("so the link is dead").await, 1);
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);

    // Four wrong ones and the right one, spaced as people type: that is let in.
    let link = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    scene.enter(&mut browser, &link).await;
    let url = scene.page(&link, "/code");
    for _ in 0..4 {
        browser.send("POST", &url, Some(&[("code", "x")])).await;
    }
    let spaced = format!("{} {}", &link.code[..3], &link.code[3..]);
    let page = browser
        .follow("POST", &url, Some(&[("code", &spaced)]))
        .await;
    assert!(page.text.contains("/demo/go"), "{}", page.text);
    scene.end().await;
}

/// Goal: a way of proof that the key does not have is not to be had. Method: ask for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proof_is_asked_for_only_where_the_key_allows_none() {
    let scene = Scene::new().await;
    let strict = scene.asker(&["vouch", "code"]).await;
    let body =
        |verify: &str| json!({ "apps": [{ "app": "demo" }], "user": "u1", "verify": verify });
    let (status, said) = strict.post("/v1/connect", body("none")).await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (400, &json!("invalid_request"))
    );
    let (status, said) = strict.post("/v1/connect", body("maybe")).await;
    assert_eq!(status, 400, "{said}");
    // The strongest comes first where none is named.
    assert_eq!(scene.link(&strict, json!({})).await.code, "");
    assert_ne!(
        scene.link(&strict, json!({ "verify": "code" })).await.code,
        ""
    );
    let mute = scene.asker(&[]).await;
    let (status, _) = mute.post("/v1/connect", body("code")).await;
    assert_eq!(status, 400);
    let wish = json!({ "app": "demo", "user": "u1", "connect": { "verify": "none" } });
    assert_eq!(strict.post("/v1/token", wish).await.0, 400);

    let trusted = scene.asker(&["none"]).await;
    let link = scene.link(&trusted, json!({})).await;
    let mut browser = Browser::new();
    let page = scene.enter(&mut browser, &link).await;
    let login = browser.submit(&page, "/demo/go", &[]).await;
    let done = browser.consent(&login, "ada", "engine").await;
    assert!(done.text.contains("Connected"), "{}", done.text);
    scene.end().await;
}

/// Goal: before the proof no step of the link can be taken, not even a no (which would be
/// anybody's). Method: knock at each, with the right cookie and with none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_before_the_proof_nobody_is_sent_anywhere_and_nothing_is_decided() {
    let scene = Scene::new().await;
    let api = scene.asker(&["vouch", "code"]).await;
    for verify in ["vouch", "code"] {
        let link = scene.link(&api, json!({ "verify": verify })).await;
        let mut bound = Browser::new();
        scene.enter(&mut bound, &link).await;
        for step in ["/demo/go", "/demo/key", "/demo/decline"] {
            let form = [("api_key", "k-123")];
            let page = bound
                .send("POST", &scene.page(&link, step), Some(&form))
                .await;
            assert_eq!(page.status, 403, "{step}");
            let stranger = Browser::new()
                .send("POST", &scene.page(&link, step), Some(&form))
                .await;
            assert_eq!(stranger.status, 404, "{step}");
        }
        let state = scene.state(&api, &link).await;
        assert_eq!(state["status"], "visited");
        assert_eq!(state["apps"][0]["state"], "waiting");
    }
    // Codes typed where none was asked for do not end a link.
    let link = scene.link(&api, json!({ "verify": "vouch" })).await;
    let mut browser = Browser::new();
    scene.enter(&mut browser, &link).await;
    for _ in 0..6 {
        let url = scene.page(&link, "/code");
        browser.send("POST", &url, Some(&[("code", "1")])).await;
    }
    assert_eq!(scene.status(&api, &link).await, "visited");
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);
    scene.end().await;
}
