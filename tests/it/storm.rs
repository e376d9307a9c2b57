//! Storms: many callers, one refresh per token (issue item 3; R1).

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::limits;
use strongroom::model::access::Caller;
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::refresh::{Outcome, Refresher, TokenAsk};
use strongroom::sandbox::Misbehaviour;
use strongroom::vault::{Ask, NewCredential, NewToken, Upload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::rig::{Rig, until};
use crate::support::PATIENCE;

fn owner(user: &str) -> Owner {
    Owner::User(UserId::parse(user).unwrap())
}

fn ask(user: &str) -> TokenAsk {
    TokenAsk {
        ask: Ask {
            app: AppId::parse("demo").unwrap(),
            owner: owner(user),
            account: None,
            scopes: None,
            min_ttl: limits::MIN_TTL_DEFAULT,
            with_refresh_token: false,
        },
        force: false,
        rejected: None,
    }
}

/// The access token that an in-process caller gets.
async fn fetch(refresher: &Refresher, user: &str) -> String {
    match refresher.token(&Caller::local(), &ask(user)).await {
        Ok(Outcome::Ok(handed)) => handed.value.expose().clone(),
        Ok(Outcome::Unavailable { message, .. }) => panic!("{user}: {message}"),
        Ok(_) => panic!("{user}: to be connected"),
        Err(error) => panic!("{user}: {error}"),
    }
}

/// Stores an expired token without going over a socket.
async fn store_expired(rig: &Rig, user: &str) {
    let issued = rig.grant(user);
    let new = NewToken::of(
        Address {
            app: AppId::parse("demo").unwrap(),
            owner: owner(user),
            account: None,
            scopes: Scopes::default(),
        },
        NewCredential::Uploaded(Upload {
            access_token: Some(issued.access_token),
            refresh_token: Some(issued.refresh_token),
            expires_at: Some(rig.now().minus(Duration::from_secs(1))),
            ..Upload::default()
        }),
    );
    let me = Caller::local();
    rig.inside.refresher.store(&me, new, false).await.unwrap();
}

/// Goal: ten thousand callers of one expired token cost one refresh, and all get the new token.
/// Method: in-process callers, while the provider is made to hang until all have asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_ten_thousand_callers_of_one_expired_token_cost_one_refresh() {
    let rig = Rig::new().await;
    let stored = rig.store_expired("u").await;
    rig.at_token(Misbehaviour::Hang, Some(1));
    let mut callers = JoinSet::new();
    for number in 0..10_000 {
        let refresher = rig.inside.refresher.clone();
        callers.spawn(async move { fetch(&refresher, "u").await });
        if number == 100 {
            until("the provider is asked", || rig.asked() == 1).await;
        }
    }
    rig.behave();
    let mut got = Vec::new();
    while let Some(token) = callers.join_next().await {
        got.push(token.unwrap());
    }
    assert_eq!(got.len(), 10_000);
    got.dedup();
    assert_eq!(got.len(), 1, "all got the same");
    assert_ne!(got[0], stored.access);
    assert_eq!((rig.asked(), rig.refreshed()), (1, 1));
    rig.inside.end().await;
}

/// Goal: late-comers cost no second refresh, whenever they come. Method: callers of a token that is
/// refreshed at once, over and over, with nothing to hold them together: whoever found the token
/// expired and joins behind the flight is answered without another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_who_comes_just_behind_a_refresh_does_not_start_another() {
    let rig = Rig::new().await;
    for round in 1..=100 {
        let user = format!("u{round}");
        store_expired(&rig, &user).await;
        let mut callers = JoinSet::new();
        for _ in 0..50 {
            let (refresher, user) = (rig.inside.refresher.clone(), user.clone());
            callers.spawn(async move { fetch(&refresher, &user).await });
        }
        callers.join_all().await;
        assert_eq!(rig.asked(), round);
    }
    rig.inside.end().await;
}

/// Goal: a hundred callers on each of a thousand expired tokens cost a thousand refreshes. Method:
/// all at once, in process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_a_hundred_callers_on_each_of_a_thousand_tokens_cost_a_thousand_refreshes() {
    let rig = Rig::new().await;
    let users: Vec<String> = (0..1000).map(|number| format!("u{number}")).collect();
    for some in users.chunks(250) {
        futures_all(some.iter().map(|user| store_expired(&rig, user))).await;
    }
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        for user in &users {
            let (refresher, user) = (rig.inside.refresher.clone(), user.clone());
            callers.spawn(async move { (fetch(&refresher, &user).await, user) });
        }
    }
    let mut got: Vec<(String, String)> = callers.join_all().await;
    assert_eq!(got.len(), 100_000);
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len(), 1000, "one new token for each");
    assert_eq!((rig.asked(), rig.refreshed()), (1000, 1000));
    assert_eq!(rig.outside.sandbox.counts().reuse_detected, 0);
    rig.inside.end().await;
}

/// Waits for all of them, in turn.
async fn futures_all(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|task| {
        all.retain_mut(|one| one.as_mut().poll(task).is_pending());
        match all.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

/// Connections that both sides of this process may have at one time, and requests on each.
fn shape_of_the_storm() -> (usize, usize) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(1024_usize);
    // Two descriptors a connection, and half of all for the tests that run beside this one.
    let connections = (soft / 4).clamp(100, 5000);
    (connections, 10_000_usize.div_ceil(connections))
}

/// Sends the same request so many times on one connection before any answer; the bodies come back.
async fn pipelined(mut stream: TcpStream, request: &[u8], times: usize) -> Vec<Value> {
    stream.write_all(&request.repeat(times)).await.unwrap();
    let (mut read, mut bodies) = (Vec::new(), Vec::new());
    while bodies.len() < times {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.unwrap();
        assert!(length > 0, "closed after {} answers", bodies.len());
        read.extend_from_slice(&chunk[..length]);
        while let Some((body, rest)) = one_answer(&read) {
            bodies.push(body);
            read = rest;
        }
    }
    bodies
}

/// The first answer's body, where it is whole, and what comes behind it.
fn one_answer(read: &[u8]) -> Option<(Value, Vec<u8>)> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&read[..end]).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    let body = read.get(end..end + length)?;
    Some((
        serde_json::from_slice(body).unwrap(),
        read[end + length..].to_vec(),
    ))
}

/// Goal: the same over real sockets: ten thousand requests, one refresh, one new token for all.
/// Method: as many connections as this process may have, several requests in the pipe of each,
/// and a provider that hangs until the first have come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_ten_thousand_requests_over_sockets_cost_one_refresh() {
    let rig = Rig::new().await;
    let stored = rig.store_expired("u").await;
    rig.at_token(Misbehaviour::Hang, Some(1));
    let address = rig.inside.url.strip_prefix("http://").unwrap().to_owned();
    let body = json!({ "app": "demo", "user": "u" }).to_string();
    let request = format!(
        "POST /v1/token HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        rig.admin,
        body.len()
    );
    let (connections, times) = shape_of_the_storm();
    // One after another: the backlog of a listener is short.
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(TcpStream::connect(&address).await.unwrap());
    }
    let mut clients = JoinSet::new();
    for stream in streams {
        let request = request.clone();
        clients.spawn(async move { pipelined(stream, request.as_bytes(), times).await });
    }
    until("the provider is asked", || rig.asked() == 1).await;
    rig.behave();
    let answers = tokio::time::timeout(4 * PATIENCE, clients.join_all()).await;
    let answers: Vec<Value> = answers.unwrap().into_iter().flatten().collect();
    assert!(answers.len() >= 10_000, "{}", answers.len());
    let first = &answers[0];
    assert_eq!(first["outcome"], "ok", "{first}");
    assert_ne!(first["access_token"], stored.access);
    for answer in &answers {
        assert_eq!(answer["access_token"], first["access_token"]);
    }
    assert_eq!((rig.asked(), rig.refreshed()), (1, 1));
    rig.inside.end().await;
}
