//! What providers send back, and what is made of it (C3, security.md O1, O4, O5).

use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use sha2::Digest;
use strongroom::sandbox::{Endpoint, Misbehaviour};

use crate::scene::{Link, Scene};
use crate::support::{Api, Browser, Outside, PATIENCE};

async fn proven(scene: &Scene) -> (Api, Link, Browser) {
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    (api, link, browser)
}

async fn app_state(scene: &Scene, api: &Api, link: &Link) -> Value {
    scene.state(api, link).await["apps"][0].clone()
}

/// The callback with some fields of its query laid over; an empty one is taken out.
fn bend(back: &str, over: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse(back).unwrap();
    let mut fields: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    fields.retain(|(name, _)| over.iter().all(|(other, _)| other != name));
    let kept = over.iter().filter(|(_, value)| !value.is_empty());
    fields.extend(kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    url.query_pairs_mut().clear().extend_pairs(fields);
    url.into()
}

/// Goal: a code of another provider is not sent to this one's token endpoint (mix-up).
/// Method: leave `iss` out, change it; the sandbox says that it sends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_an_answer_with_the_wrong_issuer_or_none_is_not_redeemed() {
    let scene = Scene::new().await;
    let issuer = scene.outside.issuer.clone();
    let wrong = [
        String::new(),
        "https://evil.example".to_owned(),
        format!("{issuer}/tenant"),
        format!("{issuer}.evil.example"),
        issuer.to_uppercase(),
        issuer.replace("http:", "https:"),
    ];
    for iss in &wrong {
        let (api, link, mut browser) = proven(&scene).await;
        let back = scene.come_back_url(&mut browser, &link, "demo").await;
        let page = browser.open(&bend(&back, &[("iss", iss)])).await;
        assert!(page.text.contains("issuer_mismatch"), "{}", page.text);
        let state = app_state(&scene, &api, &link).await;
        assert_eq!(state["code"], "issuer_mismatch", "{iss}: {state}");
        let page = browser.send("GET", &back, None).await;
        assert_eq!(
            page.status, 404,
            "the state is spent, the true issuer too late"
        );
    }
    assert_eq!(scene.outside.sandbox.counts().token_requests, 0);
    scene.end().await;

    // A provider that never promised `iss` may leave it out, and may not send a wrong one.
    let scene = Scene::with(|settings| settings.iss_parameter = false).await;
    let (api, link, mut browser) = proven(&scene).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    assert!(!back.contains("iss="), "{back}");
    browser
        .open(&bend(&back, &[("iss", "https://evil.example")]))
        .await;
    assert_eq!(
        app_state(&scene, &api, &link).await["code"],
        "issuer_mismatch"
    );
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&back).await;
    assert_eq!(app_state(&scene, &api, &link).await["state"], "connected");
    scene.end().await;
}

/// Goal: a no is a no, trouble may be tried again, and nothing a browser brings is shown raw.
/// Method: answers with errors of each kind, hostile texts among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_is_declined_and_any_other_error_may_be_tried_again() {
    let scene = Scene::new().await;
    let (api, link, mut browser) = proven(&scene).await;
    let hostile = "<script>alert(1)</script>";
    let long = "z".repeat(4000);
    let token_like = "ya29.a0AfH6SMBx_abcdefghijklmnopqrstuvwxyz0123456789";
    let errors = [
        ("server_error", "try later"),
        ("invalid_scope", hostile),
        (hostile, hostile),
        ("temporarily_unavailable", long.as_str()),
        ("interaction_required", token_like),
        ("Access_Denied", ""),
    ];
    for (error, description) in errors {
        let back = scene.come_back_url(&mut browser, &link, "demo").await;
        let over = [
            ("code", ""),
            ("error", error),
            ("error_description", description),
        ];
        let page = browser.open(&bend(&back, &over)).await;
        assert!(page.text.contains("Try again"), "{}", page.text);
        assert!(!page.text.contains("<script"), "{}", page.text);
        assert!(!page.text.contains(token_like), "{}", page.text);
        let state = app_state(&scene, &api, &link).await;
        assert_eq!(state["state"], "failed", "{state}");
        assert!(state["message"].as_str().unwrap().chars().count() <= 201);
        assert!(!state.to_string().contains(token_like), "{state}");
    }
    // Neither a code nor an error; an error beside a code is an error.
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&bend(&back, &[("code", "")])).await;
    assert_eq!(app_state(&scene, &api, &link).await["code"], "no_code");
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser
        .open(&bend(&back, &[("error", "server_error")]))
        .await;
    assert_eq!(app_state(&scene, &api, &link).await["code"], "server_error");
    assert_eq!(scene.outside.sandbox.counts().token_requests, 0);

    // The person's no, said at the provider.
    let go = scene.page(&link, "/demo/go");
    let consent = browser.follow("POST", &go, Some(&[])).await;
    let page = browser
        .submit(&consent, "/consent", &[("decision", "deny")])
        .await;
    assert!(page.text.contains("You declined this"), "{}", page.text);
    assert_eq!(app_state(&scene, &api, &link).await["state"], "declined");
    assert_eq!(scene.status(&api, &link).await, "finished");
    scene.end().await;
}

/// Goal: every trip carries its own PKCE challenge, S256, and its verifier is sent with the code.
/// Method: read what the sandbox saw; compute the challenge anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_every_trip_has_its_own_pkce_challenge_and_the_verifier_fits() {
    let scene = Scene::new().await;
    let (api, link, mut browser) = proven(&scene).await;
    scene.come_back_url(&mut browser, &link, "demo").await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&back).await;
    assert_eq!(app_state(&scene, &api, &link).await["state"], "connected");
    let seen = scene.outside.sandbox.last_requests();
    let trips: Vec<_> = seen.iter().filter(|r| r.path == "/authorize").collect();
    assert_eq!(trips.len(), 2);
    for name in ["state", "code_challenge"] {
        assert_ne!(trips[0].query(name), trips[1].query(name));
    }
    for trip in &trips {
        assert_eq!(trip.query("code_challenge_method"), Some("S256"));
        assert!(trip.query("client_secret").is_none());
    }
    let exchange = seen.iter().find(|r| r.path == "/token").unwrap();
    let verifier = exchange.form("code_verifier").unwrap();
    assert!(verifier.len() >= 43);
    let digest = sha2::Sha256::digest(verifier.as_bytes());
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    assert_eq!(trips[1].query("code_challenge"), Some(challenge.as_str()));
    scene.end().await;
}

/// Goal: code and client secret go to the token endpoint, wherever it points.
/// Method: a token endpoint that redirects, each way, to a provider that listens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_a_token_endpoint_that_redirects_is_not_followed() {
    let scene = Scene::new().await;
    let thief = Outside::start(&scene.clock).await;
    let to = format!("{}/token", thief.issuer);
    for status in [301, 302, 303, 307, 308] {
        let redirect = Misbehaviour::Redirect(status, to.clone());
        let sandbox = &scene.outside.sandbox;
        sandbox.misbehave(Endpoint::Token, redirect, Some(1));
        let (api, link, mut browser) = proven(&scene).await;
        let back = scene.come_back_url(&mut browser, &link, "demo").await;
        let page = browser.open(&back).await;
        assert!(page.text.contains("redirect_refused"), "{}", page.text);
        assert!(!page.text.contains(&thief.issuer), "{}", page.text);
        let state = app_state(&scene, &api, &link).await;
        assert_eq!(state["code"], "redirect_refused", "{state}");
    }
    assert!(thief.sandbox.last_requests().is_empty());
    scene.end().await;
}

/// Goal: what was taken back while the provider was asked is not stored, and is revoked.
/// Method: a token endpoint that hangs until the link is withdrawn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_withdrawn_while_the_code_is_redeemed_stores_nothing() {
    let scene = Scene::new().await;
    let (api, link, mut browser) = proven(&scene).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    let sandbox = scene.outside.sandbox.clone();
    sandbox.misbehave(Endpoint::Token, Misbehaviour::Hang, None);
    let callback = tokio::spawn(async move { browser.open(&back).await });
    let asked = async {
        while sandbox.counts().token_requests == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    let path = format!("/v1/connect/{}", link.id);
    assert_eq!(api.delete(&path).await.1["status"], "withdrawn");
    sandbox.behave();
    let page = callback.await.unwrap();
    assert!(page.text.contains("taken back"), "{}", page.text);
    let (_, tokens) = scene.admin.get("/v1/tokens").await;
    assert_eq!(tokens["tokens"], json!([]));
    assert_eq!(sandbox.counts().revocations, 2);
    assert_eq!(app_state(&scene, &api, &link).await["code"], "link_over");
    scene.end().await;
}

/// Goal: providers in trouble leave the person a way to try again, and no half token.
/// Method: each way to go wrong, then a good answer on the same link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_in_trouble_costs_a_try_and_no_more() {
    let scene = Scene::new().await;
    let (api, link, mut browser) = proven(&scene).await;
    let troubles = [
        Misbehaviour::Html500,
        Misbehaviour::Empty400,
        Misbehaviour::CloseBefore,
        Misbehaviour::ErrorInside200("invalid_grant".into()),
        Misbehaviour::Huge(2 * 1024 * 1024),
    ];
    for trouble in troubles {
        let what = format!("{trouble:?}");
        let sandbox = &scene.outside.sandbox;
        sandbox.misbehave(Endpoint::Token, trouble, Some(1));
        let back = scene.come_back_url(&mut browser, &link, "demo").await;
        let page = browser.open(&back).await;
        assert!(page.text.contains("Try again"), "{what}: {}", page.text);
        let state = app_state(&scene, &api, &link).await;
        assert_eq!(state["state"], "failed", "{what}: {state}");
        let (_, tokens) = scene.admin.get("/v1/tokens").await;
        assert_eq!(tokens["tokens"], json!([]), "{what}");
        // A provider that failed may be left alone for a while.
        scene.clock.advance(Duration::from_secs(5));
    }
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    browser.open(&back).await;
    assert_eq!(app_state(&scene, &api, &link).await["state"], "connected");
    scene.end().await;
}
