//! The callback for all apps: which apps come back on it, and what may be redeemed there.

use serde_json::json;

use super::{CREATE, Client, USER_LATEST, set_up};
use crate::scene::{Link, Scene};
use crate::support::{Browser, CLIENT_SECRET};

const SHARED: &str = "/v1/outbound/oauth/callback";

/// An app made by a client of Descope's, at the sandbox; its provider knows the shared callback.
async fn shared_app(scene: &Scene, client: &Client) {
    let issuer = &scene.outside.issuer;
    let app = json!({
        "id": "mail", "name": "Mail", "clientId": "demo", "clientSecret": CLIENT_SECRET,
        "discoveryUrl": format!("{issuer}/.well-known/openid-configuration"),
        "defaultScopes": ["calendar.read"],
    });
    let (status, said) = client.post(CREATE, app).await;
    assert_eq!(status, 200, "{said}");
    let (_, native) = scene.admin.get("/v1/apps/mail").await;
    let redirect_uri = format!("{}{SHARED}", scene.inside.url);
    assert_eq!(
        (&native["callback"], &native["redirect_uri"]),
        (&json!("shared"), &json!(redirect_uri)),
    );
    let sandbox = &scene.outside.sandbox;
    sandbox.add_redirect_uri("demo", redirect_uri).unwrap();
}

/// A link for both apps, proven in a browser.
async fn proven(scene: &Scene) -> (Link, Browser) {
    let asker = scene.asker(&["code"]).await;
    let apps = json!({ "apps": [{ "app": "mail" }, { "app": "demo" }] });
    let link = scene.link(&asker, apps).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    (link, browser)
}

async fn open(browser: &mut Browser, url: &str) -> u16 {
    browser.send("GET", url, None).await.status
}

/// Goal: an app made by a client of Descope's comes back on the URL that is registered for Descope,
/// once. Method: a real trip; its answer in another browser, without its cookie, with a parameter
/// twice, then as it came, then again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_of_descopes_comes_back_on_the_shared_callback_once() {
    let (scene, client) = set_up().await;
    shared_app(&scene, &client).await;
    let (link, mut browser) = proven(&scene).await;
    let back = scene.come_back_url(&mut browser, &link, "mail").await;
    let expected = format!("{}{SHARED}?", scene.inside.url);
    assert!(back.starts_with(&expected), "{back}");

    assert_eq!(open(&mut Browser::new(), &back).await, 404);
    let twice = format!("{back}&state=x");
    assert_eq!(open(&mut browser, &twice).await, 400);
    assert_eq!(scene.outside.sandbox.counts().token_requests, 0);
    assert_eq!(open(&mut browser, &back).await, 303);
    assert_eq!(open(&mut browser, &back).await, 404, "a state works once");
    let fetch = json!({ "appId": "mail", "userId": "u1" });
    let token = client.token(USER_LATEST, fetch).await;
    assert_eq!(token["scopes"], json!(["calendar.read"]));
    assert_eq!(scene.outside.sandbox.counts().token_requests, 1);
    scene.end().await;
}

/// Goal: an answer is taken on the redirect URI that its trip was begun with, and on no other.
/// Method: an app of each kind; the answer of each at the callback of the other kind, and at
/// another app's own; then where it belongs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_at_the_wrong_callback_redeems_nothing() {
    let (scene, client) = set_up().await;
    shared_app(&scene, &client).await;
    let (link, mut browser) = proven(&scene).await;
    for (app, own, others) in [
        ("mail", SHARED, ["/callback/mail", "/callback/demo"]),
        ("demo", "/callback/demo", [SHARED, "/callback/mail"]),
    ] {
        let back = scene.come_back_url(&mut browser, &link, app).await;
        let before = scene.outside.sandbox.counts().token_requests;
        for other in others {
            let bent = back.replace(own, other);
            assert_ne!(bent, back);
            assert_eq!(open(&mut browser, &bent).await, 404, "{app} at {other}");
        }
        assert_eq!(scene.outside.sandbox.counts().token_requests, before);
        assert_eq!(open(&mut browser, &back).await, 303, "{app}");
        assert_eq!(scene.outside.sandbox.counts().token_requests, before + 1);
    }
    assert!(scene.on_record("on connect links").await >= 1);
    scene.end().await;
}

/// Goal: a setting that changes while a person is away does not lose them. Method: the callback is
/// changed between the trip and its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trip_comes_back_where_it_was_sent_though_the_setting_changed_meanwhile() {
    let (scene, client) = set_up().await;
    shared_app(&scene, &client).await;
    let (link, mut browser) = proven(&scene).await;
    let back = scene.come_back_url(&mut browser, &link, "mail").await;
    let (_, app) = scene.admin.get("/v1/apps/mail").await;
    let kept = ["id", "kind", "name", "client_id", "issuer", "scopes"];
    let mut body = json!({ "callback": "own" });
    for name in kept {
        body[name] = app[name].clone();
    }
    let (status, said) = scene.admin.put("/v1/apps/mail", body).await;
    assert_eq!((status, &said["callback"]), (200, &json!("own")), "{said}");
    assert_eq!(open(&mut browser, &back).await, 303);
    let fetch = json!({ "appId": "mail", "userId": "u1" });
    client.token(USER_LATEST, fetch).await;
    scene.end().await;
}
