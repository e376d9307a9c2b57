//! The sandbox over real sockets: what a browser, a client and an attacker see of it.
//!
//! It promises: nothing is looked at but answers and the control handle.
//! It never: leaves the loopback interface.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

#[path = "sandbox/people.rs"]
mod people;
#[path = "sandbox/support.rs"]
mod support;
#[path = "sandbox/tokens.rs"]
mod tokens;
#[path = "sandbox/trouble.rs"]
mod trouble;

use serde_json::json;
use strongroom::clock::Clock;
use strongroom::limits;
use strongroom::sandbox::{Sandbox, Settings};
use strongroom::secret::Secret;
use support::Rig;

#[tokio::test]
async fn the_metadata_names_every_endpoint_under_the_issuer() {
    let rig = Rig::new().await;
    let plain = rig
        .get("/.well-known/oauth-authorization-server", &[])
        .await;
    let openid = rig.get("/.well-known/openid-configuration", &[]).await;
    for answer in [&plain, &openid] {
        assert_eq!(answer.status, 200);
        let document = answer.json();
        assert_eq!(document["issuer"], json!(rig.issuer));
        for (name, path) in [
            ("authorization_endpoint", "authorize"),
            ("token_endpoint", "token"),
            ("revocation_endpoint", "revoke"),
        ] {
            assert_eq!(document[name], json!(format!("{}/{path}", rig.issuer)));
        }
        assert_eq!(
            document["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert_eq!(
            document["authorization_response_iss_parameter_supported"],
            json!(true)
        );
    }
    assert!(plain.json().get("jwks_uri").is_none());
    assert_eq!(rig.get("/jwks", &[]).await.json(), json!({"keys": []}));
    assert_eq!(openid.json()["subject_types_supported"], json!(["public"]));
    assert_eq!(rig.counts().metadata_requests, 2);
}

#[tokio::test]
async fn the_protected_api_tells_whose_token_or_key_it_is() {
    let rig = Rig::new().await;
    let (access, refresh) = rig.seed();
    let me = rig.me(&access).await;
    assert_eq!((me.status, me.field("user")), (200, "ada".into()));
    assert_eq!(
        rig.me(&refresh).await.status,
        401,
        "a refresh token opens nothing"
    );
    let bare = rig.get("/api/me", &[]).await;
    assert_eq!(bare.status, 401);
    assert_eq!(bare.header("www-authenticate"), "Bearer realm=\"sandbox\"");

    let key = Secret::new(String::from("key-1"));
    rig.sandbox.register_api_key("ada", &key);
    let answer = rig.get("/api/key", &[("x-api-key", "key-1")]).await;
    assert_eq!(answer.json(), json!({"key_of": "ada"}));
    assert_eq!(
        rig.get("/api/key", &[("x-api-key", "key-2")]).await.status,
        401
    );
    assert_eq!(rig.get("/api/key", &[]).await.status, 401);
    assert_eq!(rig.counts().api_calls, 6);
}

#[tokio::test]
async fn the_front_page_says_what_this_is_and_shows_no_secret() {
    let rig = Rig::new().await;
    let page = rig.get("/", &[]).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("sandbox") && text.contains("demo") && text.contains("guest"));
    assert!(!text.contains("s3cret") && !text.contains("engine"));
    assert!(
        rig.get("/style.css", &[])
            .await
            .header("content-type")
            .starts_with("text/css")
    );
}

#[tokio::test]
async fn wrong_addresses_methods_and_bodies_are_refused() {
    let rig = Rig::new().await;
    assert_eq!(rig.get("/nowhere", &[]).await.status, 404);
    let answer = rig.get("/token", &[]).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    let long = "a".repeat(limits::BODY_BYTES_MAX);
    let answer = rig.post("/token", &[], &[("code", &long)]).await;
    assert_eq!(answer.error(), (413, "invalid_request".into()));
    let body = "{\"grant_type\":\"refresh_token\"}";
    let request = format!(
        "POST /token HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = rig.send(&request).await.unwrap();
    assert_eq!(answer.error(), (400, "invalid_request".into()));
    let many = "x: y\r\n".repeat(limits::HEADERS_MAX + 1);
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    assert_eq!(rig.send(&request).await.unwrap().status, 431);
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let rig = Rig::new().await;
    for number in 0..limits::SANDBOX_REQUESTS_SEEN_MAX + 2 {
        rig.get(&format!("/nowhere?n={number}"), &[]).await;
    }
    let requests = rig.sandbox.last_requests();
    assert_eq!(requests.len(), limits::SANDBOX_REQUESTS_SEEN_MAX);
    assert_eq!(requests.first().unwrap().query("n"), Some("2"));
}

#[tokio::test]
async fn the_server_ends_when_told_to() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sandbox = Sandbox::new(Settings::new("http://127.0.0.1:1"), Clock::system());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        sandbox.serve(listener, stopped).await;
    });
    let idle = tokio::net::TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    server.await.unwrap();
    drop(idle);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
