//! What happens where two things meet: a refresh and a lock, a trial and somebody else's refresh.
//!
//! It promises: every case ends with what the store and the provider hold.
//! It never: sleeps.

use serde_json::json;
use strongroom::sandbox::Misbehaviour;

use crate::rig::{Rig, Setup, WITHOUT_GRACE, until};
use crate::support::PATIENCE;

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
