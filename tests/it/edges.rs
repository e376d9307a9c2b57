//! What happens where two things meet: a refresh and a lock, a trial and somebody else's refresh.
//!
//! It promises: every case ends with what the store and the provider hold.
//! It never: sleeps.

use serde_json::json;
use strongroom::sandbox::{Endpoint, Misbehaviour};
use tokio::task::JoinHandle;

use crate::rig::{Rig, Setup, WITHOUT_GRACE, until};
use crate::scene::{Link, Scene};
use crate::support::{Api, Browser, PATIENCE, Page};

/// Goal: a vault that is locked, and whose server is then stopped, loses no token that was being
/// refreshed. Method: a lock in mid-refresh, at a provider that takes no refresh token twice; the
/// lock is heard when another refresh is refused by it; the server ends locked, and starts again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_in_mid_refresh_followed_by_a_stop_loses_no_token() {
    let setup = || Setup {
        rotation: WITHOUT_GRACE,
        ..Setup::default()
    };
    let rig = Rig::with(setup()).await;
    let stored = rig.store_expired("u").await;
    rig.store_expired("v").await;
    rig.at_token(Misbehaviour::Hang, Some(1));
    rig.at_token(Misbehaviour::Html500, None);
    let api = rig.api.clone();
    let fetching = tokio::spawn(async move { api.token("u").await });
    until("asked", || rig.asked() == 1).await;
    let api = rig.api.clone();
    let locking = tokio::spawn(async move { api.post("/v1/lock", json!({})).await });
    let is_heard = async { while !rig.fetch("v").await.1.to_string().contains("is locked") {} };
    tokio::time::timeout(PATIENCE, is_heard).await.unwrap();
    rig.behave();
    let (status, said) = locking.await.unwrap();
    assert_eq!((status, &said["locked"]), (200, &json!(true)));
    fetching.await.unwrap();

    let rig = rig.restart(setup()).await;
    assert_ne!(rig.refresh_token(&stored.id).await, stored.refresh);
    let fresh = rig.access("u").await;
    assert_ne!(fresh, stored.access);
    assert_eq!(rig.refreshed(), 1);
}

/// A browser whose code is being redeemed, at a provider that takes its time.
async fn in_redemption(scene: &Scene) -> (Api, Link, JoinHandle<Page>) {
    let api = scene.asker(&["code"]).await;
    let link = scene.link(&api, json!({})).await;
    let mut browser = Browser::new();
    scene.prove(&mut browser, &link).await;
    let back = scene.come_back_url(&mut browser, &link, "demo").await;
    let sandbox = &scene.outside.sandbox;
    sandbox.misbehave(Endpoint::Token, Misbehaviour::Hang, Some(1));
    let arriving = tokio::spawn(async move { browser.send("GET", &back, None).await });
    until("asked", || sandbox.counts().token_requests == 1).await;
    (api, link, arriving)
}

/// Goal: whoever closes the page while the code is redeemed is connected all the same. Method: the
/// connection goes in the middle of the exchange; the server has time to notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_goes_in_the_middle_of_an_exchange_is_connected_all_the_same() {
    let scene = Scene::new().await;
    let (api, link, arriving) = in_redemption(&scene).await;
    arriving.abort();
    assert!(arriving.await.is_err(), "it was cut");
    for _ in 0..50 {
        assert_eq!(scene.admin.get("/health").await.0, 200);
    }
    scene.outside.sandbox.behave();
    let connected = async { while scene.status(&api, &link).await != "finished" {} };
    tokio::time::timeout(PATIENCE, connected).await.unwrap();
    assert_eq!(scene.admin.token("u1").await.0, 200);
    scene.end().await;
}

/// Goal: what a provider grants and nobody can keep is given back. Method: the vault is locked
/// while the code is redeemed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_comes_to_a_locked_vault_is_revoked() {
    let scene = Scene::new().await;
    let (_, _, arriving) = in_redemption(&scene).await;
    let (status, said) = scene.admin.post("/v1/lock", json!({})).await;
    assert_eq!(status, 200, "{said}");
    scene.outside.sandbox.behave();
    assert_eq!(arriving.await.unwrap().status, 503);
    assert_eq!(scene.outside.sandbox.counts().revocations, 2);
    scene.end().await;
}

/// Goal: a provider that says "too often" by an answer of 400 is left alone for as long as it asks,
/// by every token. Method: two tokens; the first is told to wait, the second is asked for then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_comes_with_a_400_holds_for_every_token_of_the_host() {
    let rig = Rig::new().await;
    rig.store_expired("u").await;
    rig.store_expired("v").await;
    let slow_down = Misbehaviour::Raw {
        status: 400,
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("retry-after".into(), "600".into()),
        ],
        body: br#"{"error":"slow_down"}"#.to_vec(),
    };
    rig.at_token(slow_down, Some(1));
    assert_eq!(rig.fetch("u").await.0, "503 unavailable");
    assert_eq!(rig.fetch("v").await.0, "503 unavailable");
    assert_eq!(rig.asked(), 1);
    rig.advance(700);
    rig.access("v").await;
}

/// Goal: an access token is revoked though its refresh token could not be. Method: the provider
/// fails the first of the two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_token_is_revoked_though_its_refresh_token_could_not_be() {
    let rig = Rig::new().await;
    let stored = rig.store("u", 600).await;
    let sandbox = &rig.outside.sandbox;
    sandbox.misbehave(Endpoint::Revoke, Misbehaviour::Html500, Some(1));
    let (status, said) = rig.api.delete(&format!("/v1/tokens/{}", stored.id)).await;
    assert_eq!(
        (status, &said["revocation"]["result"]),
        (200, &json!("failed")),
        "{said}"
    );
    assert_eq!(sandbox.counts().revocations, 1);
}
