//! npm `@descope/web-js-sdk`, unmodified, in a page of another origin, in a headless Chromium: from
//! `outbound.connect` by the provider's consent to a stored token.
//!
//! Needs Node with the packages of `tests/interop/package.json`, and a Chromium at
//! `STRONGROOM_INTEROP_CHROMIUM`, else `/usr/bin/chromium`. Where something is missing the test
//! says so aloud and passes; with `STRONGROOM_INTEROP=require` it fails.

use serde_json::{Value, json};
use strongroom::secret::Secret;

use crate::child::Script;
use crate::interpreters;
use crate::issuer::{Issuer, Signer};
use crate::scene::Scene;

/// What the script checks, in its order.
const CHECKS: [&str; 12] = [
    "a link in another browser leads nowhere",
    "connected by a token",
    "connected apps",
    "connected by a session in a cookie",
    "400",
    "401",
    "401 without a session",
    "403",
    "404",
    "apps",
    "other routes are closed",
    "another origin is shut out",
];
/// Who connects by a token, and who by a cookie.
const USERS: [&str; 2] = ["web-1", "web-2"];

/// Goal: a page that was written for Descope connects its person here, and no other page does.
/// Method: the SDK in a real browser, which enforces CORS and keeps the cookies; both ways to say
/// who is signed in, each to a token that is fetched on Descope's wire and that the provider knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_with_the_web_sdk_connects_its_person() {
    let test = "a_page_with_the_web_sdk_connects_its_person";
    let (found, given) =
        match interpreters::web("tests/interop_descope/web.mjs", &["@descope/web-js-sdk"]) {
            Ok((command, given)) => (Ok(command), given),
            Err(missing) => (Err(missing), Value::Null),
        };
    let Some(mut command) = interpreters::or_skip(test, found) else {
        return;
    };
    let mut script = Script::start(command.arg(given.to_string()));
    let said = script.next().await.expect("it says where its page is");
    let origin = said["origin"].as_str().expect("an origin").to_owned();
    let scene = Scene::for_pages(&origin).await;
    script.tell(&furnish(&scene, &origin).await);
    let mut checked = Vec::new();
    while let Some(said) = script.next().await {
        checked.push(said["checked"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(checked, CHECKS);
    for user in USERS {
        let token = Secret::new(token_of(&scene, user).await);
        assert!(scene.outside.sandbox.is_live(&token), "{user}");
    }
    println!("{} checks in a browser", checked.len());
    scene.end().await;
}

/// An issuer whose people may connect, and come back to the page. What the script has to know comes
/// back.
async fn furnish(scene: &Scene, origin: &str) -> Value {
    let signer = Signer::new("ES256", "k1");
    let issuer = Issuer::start(&[&signer]).await;
    let (status, said) = scene
        .admin
        .post(
            "/v1/keys",
            json!({
                "name": "App", "role": "server", "return_urls": [format!("{origin}/done")],
                "connect_verify": ["page"],
                "jwt": { "issuer": issuer.url, "audiences": ["app"] },
            }),
        )
        .await;
    assert_eq!(status, 200, "{said}");
    let now = scene.clock.now().unix_ms() / 1000;
    let jwt = |user: &str| {
        let claims = json!({
            "iss": issuer.url, "aud": "app", "sub": user, "iat": now, "exp": now + 3600,
        });
        signer.token(&claims)
    };
    json!({
        "url": scene.inside.url,
        "project": project_of(scene).await,
        "user": USERS[0],
        "jwt": jwt(USERS[0]),
        "cookie_jwt": jwt(USERS[1]),
    })
}

async fn project_of(scene: &Scene) -> String {
    let (_, status) = scene.admin.get("/v1/status").await;
    let project = status["project_id"].as_str().expect("it has one");
    project.to_owned()
}

/// The access token of a user, fetched on Descope's wire.
async fn token_of(scene: &Scene, user: &str) -> String {
    let bearer = format!("Bearer {}:{}", project_of(scene).await, scene.admin.key);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body = json!({ "appId": "demo", "userId": user }).to_string();
    let path = "/v1/mgmt/outbound/app/user/token/latest";
    let answer = scene.admin.raw("POST", path, &headers, body.into());
    let said = answer.await.json();
    let token = said["token"]["accessToken"].as_str();
    token.unwrap_or_else(|| panic!("{said}")).to_owned()
}
