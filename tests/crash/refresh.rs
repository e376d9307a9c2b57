//! kill -9 between a provider's commit and ours.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::Clock;
use strongroom::sandbox::{Endpoint, Misbehaviour, Rotation};

use crate::process::Home;
use crate::support::{Api, Outside, PATIENCE};

/// Kills the server in the middle of a refresh that the provider has processed, starts it again,
/// and asks for the token.
async fn after_kill(rotation: Rotation) -> (u16, Value, Outside) {
    // The sandbox's clock stands still: an answer that drips by it never ends, and its grace never
    // does either.
    let clock = Clock::test(Clock::system().now());
    let outside = Outside::with(&clock, |settings| settings.rotation = rotation).await;
    let home = Home::init();
    let allowed = outside.issuer.trim_start_matches("http://").to_owned();
    let served = home.serve(&["--allow-host", &allowed]);
    let api = served.api();
    api.add_demo(&outside).await;
    let ask = seed(&api, &outside).await;

    let drip = Misbehaviour::SlowDrip(Duration::from_secs(1));
    outside.sandbox.misbehave(Endpoint::Token, drip, Some(1));
    let asking = {
        let (api, ask) = (api.clone(), ask.clone());
        tokio::spawn(async move {
            // Its connection dies with the server.
            let body = ask;
            let request = api.client.post(format!("{}/v1/token", api.url));
            let request = request.header("authorization", format!("Bearer {}", api.key));
            request
                .header("content-type", "application/json")
                .body(body.to_string())
                .send()
                .await
                .is_err()
        })
    };
    let processed = async {
        while outside.sandbox.counts().refreshes_ok == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, processed).await.unwrap();
    served.kill();
    assert!(
        asking.await.unwrap(),
        "somebody was answered before the commit"
    );

    outside.sandbox.behave();
    let served = home.serve(&["--allow-host", &allowed]);
    // Whoever asks before the start's own attempt has ended waits for it.
    let (status, said) = served.api().post("/v1/token", ask).await;
    let (_, verified) = served.api().post("/v1/audit/verify", json!({})).await;
    assert_eq!(verified["problems"], json!([]), "{verified}");
    assert_eq!(served.terminate(), Some(0), "it ends in order when told to");
    (status, said, outside)
}

/// Stores a token that is valid for an hour, so that nobody refreshes it but when told to.
async fn seed(api: &Api, outside: &Outside) -> Value {
    let issued = outside.sandbox.grant("demo", "ada", &["calendar.read"]);
    let expires_at = Clock::system()
        .now()
        .plus(Duration::from_secs(3600))
        .to_string();
    let body = json!({
        "app": "demo", "user": "u1", "access_token": issued.access_token.expose(),
        "refresh_token": issued.refresh_token.expose(), "expires_at": expires_at,
    });
    let (status, said) = api.send("PUT", "/v1/tokens", Some(body)).await;
    assert_eq!(status, 200, "{said}");
    // What asks for a refresh: the caller saw this token rejected.
    json!({ "app": "demo", "user": "u1", "rejected": issued.access_token.expose() })
}

/// Goal: with a grace for the old refresh token, the connection lives on.
/// Method: `after_kill`; the provider must have been asked again with the old token, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_outlives_a_kill_in_mid_refresh_within_the_grace() {
    let grace = Rotation::On {
        grace: Duration::from_secs(60),
    };
    let (status, said, outside) = after_kill(grace).await;
    assert_eq!((status, &said["outcome"]), (200, &json!("ok")), "{said}");
    let counts = outside.sandbox.counts();
    assert!(
        counts.refreshes_ok >= 2,
        "the lost one and the one that made up for it"
    );
    assert_eq!(counts.reuse_detected, 0);
}

/// Goal: without a grace the loss is told as what it is.
/// Method: `after_kill`; the provider detects the reuse and ends the grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grace_a_kill_in_mid_refresh_is_told_as_interrupted() {
    let (status, said, _) = after_kill(Rotation::On {
        grace: Duration::ZERO,
    })
    .await;
    assert_eq!(
        (status, &said["outcome"]),
        (409, &json!("reconnect_required")),
        "{said}"
    );
    assert_eq!(said["reason"], "interrupted_refresh");
}
