//! More who wait than there is room for.

use serde_json::json;
use strongroom::clock::Clock;
use strongroom::sandbox::{Endpoint, Misbehaviour};
use tokio::task::JoinSet;

use crate::house::House;
use crate::support::{Api, Outside, PATIENCE};

/// Of so many connections half may wait for refreshes, and a quarter for links.
const CONNECTIONS: usize = 16;

async fn next<T: 'static>(all: &mut JoinSet<T>) -> T {
    let next = tokio::time::timeout(PATIENCE, all.join_next()).await;
    next.expect("nobody is answered").unwrap().unwrap()
}

/// So many long polls of a new link, of which one is more than there are places for.
async fn polls(api: &Api) -> (String, JoinSet<u16>) {
    let link = json!({ "apps": [{ "app": "demo" }], "user": "v", "verify": "code" });
    let (status, link) = api.post("/v1/connect", link).await;
    assert_eq!(status, 201, "{link}");
    let path = format!("/v1/connect/{}", link["id"].as_str().unwrap());
    let mut polls = JoinSet::new();
    for _ in 0..=CONNECTIONS / 4 {
        // Longer than this client's patience.
        let (api, path) = (api.clone(), format!("{path}?wait=55"));
        polls.spawn(async move { api.get(&path).await.0 });
    }
    (path, polls)
}

/// Goal: callers that wait, for a provider that hangs or for a person, do not hold every
/// connection: one too many is answered at once, the others in the end, and who wants something
/// else is served meanwhile. Method: 16 connections; nine callers of a refresh that hangs, five
/// long polls; then an API key is stored and fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_does_not_hold_up_those_who_do_not() {
    let outside = Outside::start(&Clock::system()).await;
    let house = House::plain();
    let (allowed, most) = (
        outside.issuer.trim_start_matches("http://"),
        CONNECTIONS.to_string(),
    );
    let server = house.serve(None, &["--allow-host", allowed, "--connections-max", &most]);
    let api = &server.api;
    api.add_demo(&outside).await;
    let issued = outside.sandbox.grant("demo", "ada", &["calendar.read"]);
    outside
        .sandbox
        .misbehave(Endpoint::Token, Misbehaviour::Hang, Some(1));
    let token = json!({
        "app": "demo", "user": "u", "refresh_token": issued.refresh_token.expose(),
    });
    let (status, said) = api.put("/v1/tokens", token).await;
    assert_eq!(status, 200, "{said}");

    let mut callers = JoinSet::new();
    for _ in 0..=CONNECTIONS / 2 {
        let api = api.clone();
        let body = json!({ "app": "demo", "user": "u" })
            .to_string()
            .into_bytes();
        let bearer = format!("Bearer {}", api.key);
        callers.spawn(async move {
            let headers = [
                ("authorization", &*bearer),
                ("content-type", "application/json"),
            ];
            api.raw("POST", "/v1/token", &headers, body).await
        });
    }
    let sent_away = next(&mut callers).await;
    assert_eq!(
        (sent_away.status, sent_away.header("retry-after")),
        (503, Some("5"))
    );
    let (path, mut polls) = polls(api).await;
    assert_eq!(next(&mut polls).await, 200);

    let maps = json!({ "id": "maps", "kind": "api_key", "name": "Maps" });
    assert_eq!(api.post("/v1/apps", maps).await.0, 201);
    let key = json!({ "app": "maps", "user": "w", "api_key": "key of w" });
    assert_eq!(api.put("/v1/tokens", key).await.0, 200);
    let ask = json!({ "app": "maps", "user": "w" });
    assert_eq!(
        api.post("/v1/token", ask).await.1["access_token"],
        "key of w"
    );
    assert_eq!(
        (callers.len(), polls.len()),
        (CONNECTIONS / 2, CONNECTIONS / 4)
    );
    assert!(callers.try_join_next().is_none() && polls.try_join_next().is_none());

    assert_eq!(api.delete(&path).await.0, 200);
    while !polls.is_empty() {
        assert_eq!(next(&mut polls).await, 200);
    }
    outside.sandbox.behave();
    while !callers.is_empty() {
        assert_eq!(next(&mut callers).await.status, 200);
    }
    assert_eq!(outside.sandbox.counts().refreshes_ok, 1);
}
