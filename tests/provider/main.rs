//! The OAuth client over real sockets: exact bytes out, hostile answers in, and where it refuses
//! to go. Servers are on loopback, so each is named an allowed host.

#![expect(clippy::unwrap_used, reason = "the fixtures are tests too")]

#[path = "../harness/asked.rs"]
mod asked;
mod catalogue;
mod discovery;
mod exchange;
mod hostile;
mod server;
mod wire;

use std::time::Duration;

use server::{Reply, Server, serve};
use strongroom::clock::{Clock, Timestamp};
use strongroom::model::app::{ClientAuth, Endpoints, OAuth};
use strongroom::model::token::Grant;
use strongroom::model::url::WebUrl;
use strongroom::provider::Provider;
use strongroom::provider::classify::Failure;
use strongroom::provider::egress::EgressSettings;
use strongroom::secret::Secret;

const TOKEN: &str = r#"{"access_token":"at-1","token_type":"Bearer","expires_in":3600}"#;

fn web(url: &str) -> WebUrl {
    WebUrl::parse("url", url).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn app(token_url: &str) -> OAuth {
    OAuth {
        by_hand: Endpoints {
            authorization_url: Some(web("https://auth.example/authorize?keep=this%20one")),
            token_url: Some(web(token_url)),
            revocation_url: None,
            ..Endpoints::default()
        },
        client_auth: ClientAuth::Basic,
        ..OAuth::of("client-1")
    }
}

fn clock() -> Clock {
    Clock::test(Timestamp::from_unix_ms(1_800_000_000_000))
}

fn quick(allowed: &[&str]) -> EgressSettings {
    EgressSettings {
        allowed_hosts: allowed.iter().map(|host| (*host).to_owned()).collect(),
        connect_timeout: Duration::from_millis(400),
        timeout: Duration::from_millis(500),
        ..EgressSettings::default()
    }
}

fn provider_for(server: &Server) -> Provider {
    let settings = quick(&[&server.address.to_string()]);
    Provider::new(&settings, clock()).unwrap()
}

async fn refresh(provider: &Provider, app: &OAuth) -> Result<Grant, Failure> {
    let client_secret = secret("s3cret");
    provider
        .refresh(
            app,
            Some(&client_secret),
            &secret("rt-1"),
            &Default::default(),
        )
        .await
}

/// Refreshes once at a server that answers `reply`, and gives its failure.
async fn failure_of(reply: Reply) -> Failure {
    let server = serve(move |_| reply.clone()).await;
    let result = refresh(&provider_for(&server), &app(&server.url("/token"))).await;
    assert_eq!(server.seen().len(), 1, "sent once and no more");
    result.err().expect("a failure")
}

fn pairs(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

fn has(pairs: &[(String, String)], name: &str, value: &str) -> bool {
    let mut found = pairs.iter().filter(|(key, _)| key == name);
    found.next().is_some_and(|(_, found)| found == value) && found.next().is_none()
}
