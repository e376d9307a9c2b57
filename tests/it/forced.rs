//! Refresh that a caller forces, what is handed out with it, and revocation (R6, R7, R8, R9; T30).

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::sandbox::{Endpoint, Misbehaviour};
use tokio::task::JoinSet;

use crate::rig::{Rig, Setup, line, until};

async fn ask(rig: &Rig, user: &str, more: Value) -> (String, Value) {
    let mut body = json!({ "app": "demo", "user": user });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let (status, said) = rig.api.post("/v1/token", body).await;
    (line(status, &said), said)
}

/// Goal: a hundred callers that all saw one token rejected cost one refresh, whenever they come; a
/// caller who names an older one gets the newer that is there. Method: at once, then late, then
/// stale names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_rejected_token_is_refreshed_once_for_all_who_saw_it_rejected() {
    let rig = Rig::new().await;
    let stored = rig.store("u", 3600).await;
    let rejected = json!({ "rejected": stored.access });
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (api, rejected) = (rig.api.clone(), stored.access.clone());
        callers.spawn(async move {
            let body = json!({ "app": "demo", "user": "u", "rejected": rejected });
            api.post("/v1/token", body).await
        });
    }
    let mut got = Vec::new();
    for (status, said) in callers.join_all().await {
        assert_eq!(status, 200, "{said}");
        got.push(said["access_token"].as_str().unwrap().to_owned());
    }
    got.dedup();
    assert_eq!((got.len(), rig.asked()), (1, 1));
    assert_ne!(got[0], stored.access);
    let (line, said) = ask(&rig, "u", rejected.clone()).await;
    assert_eq!(
        (line.as_str(), &said["access_token"]),
        ("200 ok", &json!(got[0]))
    );
    assert_eq!(rig.asked(), 1);
    // The newer one has ended meanwhile: an old name does not stand in the way of its refresh.
    rig.advance(7200);
    let (line, said) = ask(&rig, "u", rejected).await;
    assert_eq!(line, "200 ok", "{said}");
    assert_ne!(said["access_token"], got[0]);
    assert_eq!(rig.asked(), 2);
    rig.inside.end().await;
}

/// Goal: a forced refresh is made, and not again right behind another; both stand in the trail with
/// who wanted it. Method: force, force at once, force later, many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_forced_refresh_is_made_and_debounced_and_on_record() {
    let rig = Rig::new().await;
    let stored = rig.store("u", 3600).await;
    let force = json!({ "force_refresh": true, "reason": "a test" });
    let (_, first) = ask(&rig, "u", force.clone()).await;
    assert_ne!(first["access_token"], stored.access, "{first}");
    let (_, second) = ask(&rig, "u", force.clone()).await;
    assert_eq!(second["access_token"], first["access_token"]);
    assert_eq!(rig.asked(), 1);
    rig.advance(3);
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let api = rig.api.clone();
        let body = json!({ "app": "demo", "user": "u", "force_refresh": true });
        callers.spawn(async move { api.post("/v1/token", body).await });
    }
    for (status, said) in callers.join_all().await {
        assert_eq!(status, 200, "{said}");
        assert_ne!(said["access_token"], first["access_token"]);
    }
    assert_eq!(rig.asked(), 2);
    let trail = rig.trail(&stored.id).await;
    let forced = "to be refreshed: the caller forces it".to_owned();
    assert!(
        trail.contains(&forced) && trail.contains(&"refreshed".to_owned()),
        "{trail:?}"
    );
    // What was handed out, and nothing else, is on record as handed out.
    let before = trail.iter().take_while(|outcome| **outcome != forced);
    assert_eq!(
        before.filter(|outcome| *outcome == "ok").count(),
        0,
        "{trail:?}"
    );
    rig.inside.end().await;
}

/// Goal: a forced refresh that fails hands out what is valid, but not what was seen rejected.
/// Method: the provider is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r6_a_valid_token_is_served_while_its_provider_is_down() {
    let rig = Rig::new().await;
    let stored = rig.store("u", 3600).await;
    rig.at_token(Misbehaviour::Html500, None);
    let (line, said) = ask(&rig, "u", json!({ "force_refresh": true })).await;
    assert_eq!(
        (line.as_str(), &said["access_token"]),
        ("200 ok", &json!(stored.access))
    );
    let (line, _) = ask(&rig, "u", json!({ "rejected": stored.access })).await;
    assert_eq!(line, "503 unavailable");
    let (line, said) = ask(&rig, "u", json!({ "min_ttl_s": 1700 })).await;
    assert_eq!(line, "200 ok", "{said}");
    rig.advance(1900);
    let (line, said) = ask(&rig, "u", json!({ "min_ttl_s": 1750 })).await;
    assert_eq!(
        (line.as_str(), &said["access_token"]),
        ("200 ok", &json!(stored.access))
    );
    rig.behave();
    rig.advance(40);
    let (_, said) = ask(&rig, "u", json!({ "min_ttl_s": 1750 })).await;
    assert_ne!(said["access_token"], stored.access, "{said}");
    rig.inside.end().await;
}

/// Goal: a provider that hangs does not keep a caller waiting until the token at hand has ended.
/// Method: four seconds of life are left, the provider hangs; the answer comes while they last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r6_a_valid_token_is_served_before_it_ends_while_its_provider_hangs() {
    let rig = Rig::new().await;
    let stored = rig.store("u", 3600).await;
    rig.at_token(Misbehaviour::Hang, None);
    rig.advance(3596);
    // The provider hangs until it is told otherwise, and its call is still under way below:
    // whoever is answered here did not wait for its end.
    let (line, said) = ask(&rig, "u", json!({})).await;
    assert_eq!(
        (line.as_str(), &said["access_token"]),
        ("200 ok", &json!(stored.access))
    );
    assert_eq!((rig.asked(), rig.refreshed()), (1, 0));
    rig.behave();
    until("the refresh goes on by itself", || rig.refreshed() == 1).await;
    rig.inside.end().await;
}

/// Goal: what cannot be renewed is not handed out again to who saw it rejected, and costs no
/// refresh. Method: an API key, and a token without a refresh token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_what_was_rejected_and_cannot_be_renewed_is_to_be_connected_anew() {
    let rig = Rig::new().await;
    let app = json!({ "id": "maps", "kind": "api_key", "name": "Maps" });
    assert_eq!(rig.api.post("/v1/apps", app).await.0, 201);
    let key = json!({ "app": "maps", "user": "u", "api_key": "key-one" });
    let (_, stored) = rig.api.put("/v1/tokens", key).await;
    let fetch = |more: Value| {
        let mut body = more;
        body["app"] = json!("maps");
        body["user"] = json!("u");
        let api = rig.api.clone();
        async move {
            let (status, said) = api.post("/v1/token", body).await;
            line(status, &said)
        }
    };
    assert_eq!(
        fetch(json!({ "force_refresh": true, "min_ttl_s": 86400 })).await,
        "200 ok"
    );
    assert_eq!(fetch(json!({ "rejected": "key-zero" })).await, "200 ok");
    let rejected = json!({ "rejected": "key-one" });
    assert_eq!(
        fetch(rejected.clone()).await,
        "409 reconnect_required key_rejected"
    );
    let path = format!("/v1/tokens/{}/refresh", stored["id"].as_str().unwrap());
    let (status, said) = rig.api.post(&path, json!({})).await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (409, &json!("conflict")),
        "{said}"
    );
    let key = json!({ "app": "maps", "user": "u", "api_key": "key-two" });
    assert_eq!(rig.api.put("/v1/tokens", key).await.0, 200);
    assert_eq!(fetch(rejected).await, "200 ok");

    let bare = json!({ "app": "demo", "user": "v", "access_token": "at-one" });
    assert_eq!(rig.api.put("/v1/tokens", bare).await.0, 200);
    let (line, said) = ask(&rig, "v", json!({ "force_refresh": true })).await;
    assert_eq!(line, "200 ok", "{said}");
    let (line, _) = ask(&rig, "v", json!({ "rejected": "at-one" })).await;
    assert_eq!(line, "409 reconnect_required expired");
    assert_eq!(rig.asked(), 0);
    rig.inside.end().await;
}

/// Goal: the refresh token is handed out to whom it may be, the newest; scopes are exact first,
/// then wider, and what is missing is said. Method: two tokens of one owner, keys with and without
/// the right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_what_is_handed_out_is_the_newest_and_what_was_asked_for() {
    let rig = Rig::new().await;
    let narrow = rig.store("u", 3600).await;
    let wide = rig
        .outside
        .sandbox
        .grant("demo", "u", &["calendar.read", "calendar.write"]);
    let body = json!({
        "app": "demo", "user": "u", "scopes": ["calendar.read", "calendar.write"],
        "access_token": wide.access_token.expose(),
        "refresh_token": wide.refresh_token.expose(),
    });
    assert_eq!(rig.api.put("/v1/tokens", body).await.0, 200);
    let (_, said) = ask(&rig, "u", json!({ "scopes": ["calendar.read"] })).await;
    assert_eq!(said["access_token"], narrow.access, "exact first");
    let (_, said) = ask(&rig, "u", json!({ "scopes": ["calendar.write"] })).await;
    assert_eq!(
        said["access_token"],
        *wide.access_token.expose(),
        "then wider"
    );
    let (line, _) = ask(&rig, "u", json!({ "scopes": ["mail"] })).await;
    assert_eq!(line, "409 reconnect_required scope_missing");
    let with = json!({ "scopes": ["calendar.read"], "with_refresh_token": true });
    let (_, said) = ask(&rig, "u", with.clone()).await;
    assert_eq!(said["refresh_token"], narrow.refresh);
    rig.advance(7200);
    let (_, said) = ask(&rig, "u", with.clone()).await;
    assert_eq!(said["refresh_token"], rig.refresh_token(&narrow.id).await);
    assert_ne!(said["refresh_token"], narrow.refresh);
    let key = json!({
        "name": "a fetcher",
        "grants": [{ "actions": ["fetch"], "apps": ["demo"] }],
    });
    let (status, key) = rig.api.post("/v1/keys", key).await;
    assert_eq!(status, 200, "{key}");
    let fetcher = rig.inside.api(key["key"].as_str().unwrap());
    let mut body = with;
    (body["app"], body["user"]) = (json!("demo"), json!("u"));
    let (status, said) = fetcher.post("/v1/token", body).await;
    assert_eq!(
        (status, &said["outcome"]),
        (403, &json!("denied")),
        "{said}"
    );
    rig.inside.end().await;
}

/// Goal: fewer scopes granted at a refresh are stored and said, and `scope` is never sent (R9).
/// Method: the provider shrinks the grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_scopes_that_shrink_are_stored_and_said() {
    let rig = Rig::new().await;
    let issued = rig.outside.sandbox.grant("demo", "u", &["a", "b"]);
    let body = json!({
        "app": "demo", "user": "u", "scopes": ["a", "b"],
        "refresh_token": issued.refresh_token.expose(),
    });
    let (_, stored) = rig.api.put("/v1/tokens", body).await;
    rig.at_token(Misbehaviour::ShrinkScopes(vec!["a".into()]), Some(1));
    let (line, said) = ask(&rig, "u", json!({ "scopes": ["a", "b"] })).await;
    assert_eq!(
        (line.as_str(), &said["scopes"]),
        ("200 ok", &json!(["a"])),
        "{said}"
    );
    assert_eq!(said["missing_scopes"], json!(["b"]));
    let id = stored["id"].as_str().unwrap();
    let summary = rig.summary(id).await;
    assert_eq!(summary["scopes"], json!(["a"]));
    assert_eq!(summary["requested_scopes"], json!(["a", "b"]));
    for request in rig.outside.sandbox.last_requests() {
        assert_eq!(request.form("scope"), None, "{}", request.path);
    }
    rig.inside.end().await;
}

/// Goal: a removal is a removal whatever the provider says to it, and what it said is on record
/// (O9). Method: yes, gone already, 400, 503, a hang, no such endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o9_a_removal_revokes_at_the_provider_and_says_how_that_went() {
    let rig = Rig::with(Setup {
        timeout: Duration::from_millis(300),
        ..Setup::default()
    })
    .await;
    let raw = |status, body: &str| Misbehaviour::Raw {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
    };
    let cases = [
        (None, "revoked"),
        (Some(raw(200, "thanks")), "revoked"),
        (Some(raw(400, r#"{"error":"invalid_token"}"#)), "revoked"),
        (Some(raw(400, r#"{"error":"invalid_request"}"#)), "failed"),
        (Some(raw(401, r#"{"error":"invalid_client"}"#)), "failed"),
        (Some(raw(404, "")), "failed"),
        (Some(Misbehaviour::Html500), "failed"),
        (Some(Misbehaviour::CloseBefore), "failed"),
        (Some(Misbehaviour::Hang), "failed"),
    ];
    for (number, (how, wanted)) in cases.into_iter().enumerate() {
        let user = format!("u{number}");
        let stored = rig.store(&user, 3600).await;
        if let Some(how) = how.clone() {
            rig.outside.sandbox.misbehave(Endpoint::Revoke, how, None);
        }
        let (status, said) = rig.api.delete(&format!("/v1/tokens/{}", stored.id)).await;
        rig.behave();
        assert_eq!((status, &said["deleted"]), (200, &json!(true)));
        assert_eq!(said["revocation"]["result"], wanted, "{how:?}: {said}");
        assert_eq!(rig.fetch(&user).await.0, "404 connect_required");
        let trail = rig.trail(&stored.id).await;
        assert_eq!(trail.last().unwrap(), &format!("revocation: {wanted}"));
    }
    // A server that revokes no access tokens by themselves, or whose access token went with the
    // refresh token, has revoked the grant all the same.
    for code in ["unsupported_token_type", "invalid_request"] {
        let stored = rig.store("w", 3600).await;
        let sandbox = &rig.outside.sandbox;
        sandbox.misbehave(Endpoint::Revoke, raw(200, ""), Some(1));
        let unknown = raw(400, &format!(r#"{{"error":"{code}"}}"#));
        sandbox.misbehave(Endpoint::Revoke, unknown, Some(1));
        let (_, said) = rig.api.delete(&format!("/v1/tokens/{}", stored.id)).await;
        assert_eq!(said["revocation"]["result"], "revoked", "{code}: {said}");
    }
    rig.inside.end().await;
}

/// Goal: who hangs up after a removal does not keep the provider from being told. Method: the
/// caller goes away while the revocation endpoint hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o9_a_caller_that_hangs_up_does_not_end_a_revocation() {
    let rig = Rig::new().await;
    let stored = rig.store("u", 3600).await;
    let sandbox = rig.outside.sandbox.clone();
    sandbox.misbehave(Endpoint::Revoke, Misbehaviour::Hang, Some(1));
    let (api, path) = (rig.api.clone(), format!("/v1/tokens/{}", stored.id));
    let caller = tokio::spawn(async move { api.delete(&path).await });
    let is_asked = || {
        let seen = sandbox.last_requests();
        seen.iter().any(|request| request.path == "/revoke")
    };
    until("the provider is asked", is_asked).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    sandbox.behave();
    until("it is revoked", || sandbox.counts().revocations >= 1).await;
    let mut trail = rig.trail(&stored.id).await;
    while trail
        .last()
        .is_none_or(|last| !last.starts_with("revocation"))
    {
        trail = rig.trail(&stored.id).await;
    }
    assert_eq!(trail.last().unwrap(), "revocation: revoked");
    rig.inside.end().await;
}
