//! Connect links for clients of Descope's: made by an access key, for whom it speaks.

use serde_json::{Value, json};

use super::{CONNECT, Client, TENANT_LATEST, USER_LATEST, set_up};
use crate::scene::{Link, Scene};
use crate::support::{Api, Browser};

const CONNECT_FOR: &str = "/v1/mgmt/outbound/app/connect";
const DONE: &str = "https://agent.example/done";

/// An asking application's access key, as a client of Descope's.
async fn asker(scene: &Scene, proofs: &[&str]) -> (Api, Client) {
    let api = scene.asker(proofs).await;
    let client = Client::new(scene, &api.key).await;
    (api, client)
}

/// A link that is to be made.
pub async fn link(client: &Client, path: &str, body: Value) -> Link {
    let shown = body.to_string();
    let (status, said) = client.post(path, body).await;
    assert_eq!(status, 200, "{shown}: {said}");
    let known = ["url", "code"];
    assert!(
        said.as_object()
            .unwrap()
            .keys()
            .all(|name| known.contains(&name.as_str()))
    );
    Link::of(&said)
}

/// Opens a link and types its code; the link's page comes back, and its id with it.
async fn prove(browser: &mut Browser, link: &mut Link) -> crate::support::Page {
    let page = browser.open(&link.url).await;
    let page = browser.submit(&page, &link.ticket, &[]).await;
    link.id = page.url.rsplit('/').next().unwrap().to_owned();
    browser
        .submit(&page, "/code", &[("code", &link.code)])
        .await
}

/// Goal: a back end that holds an access key connects a user, with a proof of who opens the link.
/// Method: both endpoints, the URL to return to in both of its spellings; through the pages to a
/// token that is fetched again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_key_makes_a_link_that_asks_for_a_code() {
    let (scene, admin) = set_up().await;
    let (_, client) = asker(&scene, &["code"]).await;
    for (user, path, name) in [
        ("u1", CONNECT, "redirectUrl"),
        ("u2", CONNECT_FOR, "redirectURL"),
    ] {
        let options = json!({
            name: DONE, "scopes": ["calendar.read"], "externalIdentifier": "work",
            "prompt": ["login", "consent"], "loginHint": "ada@example.com",
        });
        let wish = json!({ "appId": "demo", "userId": user, "options": options, "provider": "x" });
        let mut link = link(&client, path, wish).await;
        assert!(
            link.url.starts_with(&scene.inside.url),
            "never a provider's"
        );
        assert_eq!(link.code.len(), 6);
        let mut browser = Browser::new();
        prove(&mut browser, &mut link).await;
        let back = scene.come_back_url(&mut browser, &link, "demo").await;
        let away = browser.trail.iter().find(|url| url.contains("/authorize?"));
        let away = reqwest::Url::parse(away.unwrap()).unwrap();
        for (name, value) in [
            ("prompt", "login consent"),
            ("login_hint", "ada@example.com"),
            ("scope", "calendar.read"),
        ] {
            let said = away.query_pairs().find(|(key, _)| key == name);
            assert_eq!(said.unwrap().1, value);
        }
        let page = browser.send("GET", &back, None).await;
        let page = browser.send("GET", &page.location().unwrap(), None).await;
        assert_eq!(page.location().as_deref(), Some(DONE));
        let wanted = json!({ "appId": "demo", "userId": user, "externalIdentifier": "work" });
        let token = admin.token(USER_LATEST, wanted).await;
        assert_eq!(token["externalIdentifier"], "work");
    }
    scene.end().await;
}

/// Goal: whose a link is, is what was said and nothing wider. Method: each way to say it, and each
/// way to leave it out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_key_says_whom_a_link_is_for() {
    let (scene, admin) = set_up().await;
    let (_, client) = asker(&scene, &["code"]).await;
    for path in [CONNECT, CONNECT_FOR] {
        for (said, page_says) in [
            (json!({ "userId": "u1" }), "<strong>u1</strong>."),
            (
                json!({ "userId": "u1", "tenantId": "t1" }),
                "<strong>u1</strong> of <strong>t1</strong>.",
            ),
            (
                json!({ "tenantId": "t1", "tenantLevel": true }),
                "for <strong>t1</strong>.",
            ),
            (
                json!({ "tenantId": "t1", "tenantLevel": true, "userId": "u1" }),
                "for <strong>t1</strong>.",
            ),
        ] {
            let mut wish = said.clone();
            wish["appId"] = json!("demo");
            let link = link(&client, path, wish).await;
            let page = Browser::new().open(&link.url).await;
            assert!(page.text.contains(page_says), "{said}: {}", page.text);
        }
        for (wish, missing) in [
            (json!({ "appId": "demo" }), "userId"),
            (json!({ "appId": "demo", "userId": "undefined" }), "userId"),
            (json!({ "appId": "demo", "tenantId": "t1" }), "userId"),
            (
                json!({ "appId": "demo", "tenantId": "t1", "tenantLevel": false }),
                "userId",
            ),
            (json!({ "appId": "demo", "tenantLevel": true }), "tenantId"),
            (json!({ "userId": "u1" }), "appId"),
        ] {
            let (status, said) = client.post(path, wish.clone()).await;
            let told = (status, said["errorCode"].as_str().unwrap());
            assert_eq!(told, (400, "E011002"), "{wish}: {said}");
            assert_eq!(said["errorMessage"], format!("`{missing}` is missing"));
        }
    }
    // Through to the end, for a tenant.
    let wish = json!({ "appId": "demo", "tenantId": "t1", "tenantLevel": true });
    let mut link = link(&client, CONNECT_FOR, wish).await;
    let mut browser = Browser::new();
    prove(&mut browser, &mut link).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&back).await;
    let token = json!({ "appId": "demo", "tenantId": "t1" });
    assert_eq!(admin.token(TENANT_LATEST, token).await["userId"], "");
    scene.end().await;
}

/// A wish, the status and the code it gets.
fn refusals() -> Vec<(Value, u16, &'static str)> {
    let mut all = vec![
        (json!({ "appId": "none", "userId": "u1" }), 404, "S000404"),
        (json!({ "appId": "a b", "userId": "u1" }), 400, "E011003"),
        (json!({ "appId": "demo", "userId": ["u1"] }), 400, "E011001"),
    ];
    for (option, value, code) in [
        (
            "redirectUrl",
            json!("https://agent.example/Done"),
            "E011003",
        ),
        (
            "redirectUrl",
            json!("https://agent.example/done?x=1"),
            "E011003",
        ),
        ("redirectUrl", json!("https://evil.example/"), "E011003"),
        ("redirectUrl", json!("javascript:alert(1)"), "E011003"),
        ("redirectURL", json!("/done"), "E011003"),
        ("resources", json!(["https://api.example"]), "E011004"),
        ("loginHint", json!("x".repeat(2000)), "E011003"),
        ("prompt", json!(["a\u{7}"]), "E011003"),
        ("scopes", json!(["a\u{7}"]), "E011003"),
    ] {
        let wish = json!({ "appId": "demo", "userId": "u1", "options": { option: value } });
        all.push((wish, 400, code));
    }
    all
}

/// Goal: what cannot be kept is refused with words that say what. Method: a table of wishes; keys
/// that may not, or have no way of proof.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_cannot_be_as_wished_is_refused() {
    let (scene, _) = set_up().await;
    let (_, client) = asker(&scene, &["code"]).await;
    for path in [CONNECT, CONNECT_FOR] {
        for (wish, status, code) in refusals() {
            let (found, said) = client.post(path, wish.clone()).await;
            let told = (found, said["errorCode"].as_str().unwrap_or_default());
            assert_eq!(told, (status, code), "{wish}: {said}");
        }
    }
    let unlisted = json!({ "redirectUrl": "https://evil.example/" });
    let wish = json!({ "appId": "demo", "userId": "u1", "options": unlisted });
    let (_, said) = client.post(CONNECT, wish).await;
    let words = "`redirectUrl` is not exactly one of the access key's or the app's return URLs";
    assert_eq!(said["errorMessage"], words);

    let (_, mute) = asker(&scene, &[]).await;
    let grants = json!([{ "actions": ["fetch"] }]);
    let more = json!({ "name": "r", "grants": grants, "connect_verify": ["code"] });
    let (reader, _) = scene.key(more).await;
    let reader = Client::new(&scene, &reader.key).await;
    for (client, words) in [(&mute, "no `connect_verify`"), (&reader, "")] {
        let wish = json!({ "appId": "demo", "userId": "u1" });
        let (status, said) = client.post(CONNECT_FOR, wish).await;
        assert_eq!((status, &said["errorCode"]), (403, &json!("S000403")));
        let message = said["errorMessage"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
    let counts = scene.outside.sandbox.counts();
    assert_eq!(counts.authorizations, 0);
    scene.end().await;
}

/// Goal: where a person comes back to without a word of it is the app's first return URL, and a
/// resource that the app asks for anyway may be named. Method: an app with both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_says_itself_holds_where_the_wish_says_nothing_else() {
    let (scene, _) = set_up().await;
    let (api, client) = asker(&scene, &["none"]).await;
    let (_, before) = scene.admin.get("/v1/apps/demo").await;
    let mut app = json!({ "authorization_params": { "resource": "https://api.example" } });
    for name in ["id", "kind", "client_id", "issuer", "scopes"] {
        app[name] = before[name].clone();
    }
    app["return_urls"] = json!(["https://app.example/home", "https://app.example/more"]);
    assert_eq!(scene.admin.put("/v1/apps/demo", app).await.0, 200);
    let options = json!({ "resources": ["https://api.example", null], "redirectUrl": "" });
    let wish = json!({ "appId": "demo", "userId": "u1", "options": options });
    let mut link = link(&client, CONNECT, wish).await;
    assert_eq!(link.code, "", "no proof is asked for where the key says so");
    let mut browser = Browser::new();
    let page = browser.open(&link.url).await;
    let page = browser.submit(&page, &link.ticket, &[]).await;
    link.id = page.url.rsplit('/').next().unwrap().to_owned();
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    let page = browser.send("GET", &back, None).await;
    let page = browser.send("GET", &page.location().unwrap(), None).await;
    assert_eq!(page.location().as_deref(), Some("https://app.example/home"));
    assert_eq!(scene.status(&api, &link).await, "finished");
    scene.end().await;
}

/// Goal: an app for API keys is connected on its form, and a link that was taken back leads
/// nowhere. Method: each, to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_is_typed_on_a_link_and_a_withdrawn_link_is_over() {
    let (scene, admin) = set_up().await;
    let (api, client) = asker(&scene, &["code"]).await;
    let keyed = json!({ "id": "weather", "kind": "api_key", "name": "Weather" });
    assert_eq!(scene.admin.post("/v1/apps", keyed).await.0, 201);
    let wish = json!({ "appId": "weather", "userId": "u1" });
    let mut link = link(&client, CONNECT, wish.clone()).await;
    let mut browser = Browser::new();
    let page = prove(&mut browser, &mut link).await;
    let key = [("api_key", "k-123456")];
    browser.submit(&page, "/weather/key", &key).await;
    assert_eq!(
        admin.token(USER_LATEST, wish).await["accessToken"],
        "k-123456"
    );

    let wish = json!({ "appId": "demo", "userId": "u1" });
    let mut link = super::connect::link(&client, CONNECT, wish).await;
    prove(&mut browser, &mut link).await;
    assert_eq!(api.delete(&format!("/v1/connect/{}", link.id)).await.0, 200);
    let go = scene.page(&link, "/demo/go");
    let page = browser.follow("POST", &go, Some(&[])).await;
    assert!(page.text.contains("taken back"), "{}", page.text);
    assert_eq!(scene.outside.sandbox.counts().authorizations, 0);
    scene.end().await;
}
