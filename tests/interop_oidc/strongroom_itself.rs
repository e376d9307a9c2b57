//! Strongroom against a provider that others wrote: discovery, connecting by real pages, tokens of
//! five seconds, rotation with reuse detection, restart, revocation.

use std::time::Duration;

use serde_json::json;

use crate::provider::{CLIENT_ID, CLIENT_SECRET, OidcProvider};
use crate::support::{Api, Browser, Inside, PASSPHRASE, clock, new_home, reopen};

/// Goal: the main job works with a certified provider, and its reuse detection never fires.
/// Method: the story of the suite `it`, by the provider's own login and consent pages; our clock is
/// moved past the life of its tokens, and each refresh token is spent exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_with_oidc_provider() {
    let clock = clock();
    let home = new_home(&clock);
    let inside = Inside::serve(home.vault, false).await;
    let redirect_uri = format!("{}/callback/oidc", inside.url);
    let test = "the_main_job_with_oidc_provider";
    let Some(provider) = OidcProvider::start_for(test, &redirect_uri) else {
        return;
    };
    let api = inside.api(&home.admin);
    let issuer = provider.issuer.as_str().trim_end_matches('/');
    let (status, app) = api
        .post(
            "/v1/apps",
            json!({
                "id": "oidc", "kind": "oauth", "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET, "issuer": issuer,
                "scopes": ["openid", "offline_access"],
                "authorization_params": { "prompt": "consent" },
            }),
        )
        .await;
    assert_eq!(status, 201, "{app}");
    assert_eq!(app["redirect_uri"], redirect_uri);
    assert!(
        app["endpoints"]["revocation_url"].is_string(),
        "discovered: {app}"
    );

    connects(&api, &provider).await;
    let ask = json!({ "app": "oidc", "user": "u1" });
    let (_, first) = api.post("/v1/token", ask.clone()).await;
    assert_eq!(
        (&first["outcome"], &first["subject"]),
        (&json!("ok"), &json!("ada")),
        "{first}"
    );
    let mut last = first["access_token"].clone();
    for round in 0..3 {
        clock.advance(Duration::from_secs(6));
        let (_, next) = api.post("/v1/token", ask.clone()).await;
        assert_eq!(next["outcome"], "ok", "round {round}: {next}");
        assert_ne!(next["access_token"], last);
        last = next["access_token"].clone();
    }
    let who = ask_who(&provider, last.as_str().unwrap()).await;
    assert_eq!(who["sub"], "ada", "{who}");

    inside.end().await;
    let inside = Inside::serve(reopen(&home.directory, &clock), false).await;
    let api = inside.api(&home.admin);
    let (status, _) = api
        .post("/v1/unlock", json!({ "passphrase": PASSPHRASE }))
        .await;
    assert_eq!(status, 200);
    clock.advance(Duration::from_secs(6));
    let (_, after) = api.post("/v1/token", ask.clone()).await;
    assert_eq!(after["outcome"], "ok", "after a restart: {after}");
    assert_ne!(after["access_token"], last);

    let path = format!("/v1/tokens/{}", after["token_id"].as_str().unwrap());
    let (_, said) = api.delete(&path).await;
    assert_eq!(said["revocation"]["result"], "revoked", "{said}");
    let (_, verified) = api.post("/v1/audit/verify", json!({})).await;
    assert_eq!(verified["problems"], json!([]));
    inside.end().await;
}

/// Through the provider's own login and consent pages.
async fn connects(api: &Api, provider: &OidcProvider) {
    let (_, said) = api
        .post(
            "/v1/token",
            json!({ "app": "oidc", "user": "u1", "connect": {} }),
        )
        .await;
    let link = said["connect"]["url"].as_str().unwrap().to_owned();
    let code = said["connect"]["code"].as_str().unwrap().to_owned();
    let mut browser = Browser::new();
    let page = browser.open(&link).await;
    let page = browser
        .submit(&page, link.split("/c/").nth(1).unwrap(), &[])
        .await;
    let page = browser.submit(&page, "/code", &[("code", &code)]).await;
    let login = browser.submit(&page, "/oidc/go", &[]).await;
    assert!(
        login.url.starts_with(provider.issuer.as_str()),
        "{}",
        login.url
    );
    let fields = [("login", "ada"), ("password", "engine")];
    let consent = browser.submit(&login, "", &fields).await;
    let done = browser.submit(&consent, "", &[]).await;
    assert!(
        done.text.contains("Connected"),
        "{}: {}",
        done.url,
        done.text
    );
}

/// The provider's userinfo endpoint, as a client of ours would ask it.
async fn ask_who(provider: &OidcProvider, token: &str) -> serde_json::Value {
    let answer = crate::support::client()
        .get(provider.endpoint("me"))
        .header("authorization", format!("Bearer {token}"))
        .send()
        .await
        .unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}
