//! The OAuth client over real sockets: exact bytes out, hostile answers in, and where it refuses
//! to go. Servers are on loopback, so each is named an allowed host.

mod server;

use std::time::Duration;

use server::{Reply, Server, json, reply, serve, serve_tls};
use strongroom::clock::{Clock, Timestamp};
use strongroom::error::Error;
use strongroom::model::Scopes;
use strongroom::model::app::{ClientAuth, Endpoints, OAuth};
use strongroom::model::token::Grant;
use strongroom::model::url::WebUrl;
use strongroom::provider::classify::{Failure, FailureKind};
use strongroom::provider::egress::EgressSettings;
use strongroom::provider::proxy::ProxySettings;
use strongroom::provider::{AuthorizeRequest, Provider, Revocation, TokenHint};
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
        client_id: "client-1".into(),
        issuer: None,
        by_hand: Endpoints {
            authorization_url: Some(web("https://auth.example/authorize?keep=this%20one")),
            token_url: Some(web(token_url)),
            revocation_url: None,
        },
        discovered: Endpoints::default(),
        iss_advertised: false,
        scopes: Scopes::default(),
        scope_separator: " ".into(),
        authorization_params: Default::default(),
        token_params: Default::default(),
        pkce: true,
        client_auth: ClientAuth::Basic,
        default_lifetime_s: None,
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
        .refresh(app, Some(&client_secret), &secret("rt-1"))
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

#[test]
fn an_authorization_url_has_each_parameter_once_and_keeps_its_query() {
    let provider = Provider::new(&quick(&[]), clock()).unwrap();
    let mut app = app("https://auth.example/token");
    app.scope_separator = ",".into();
    app.authorization_params
        .insert("access_type".into(), "offline".into());
    let state = secret("state-1");
    let scopes = Scopes::parse(["b", "a"]).unwrap();
    let mut request = AuthorizeRequest {
        redirect_uri: "https://us.example/callback/app",
        state: &state,
        scopes: &scopes,
    };
    let trip = provider.authorize_url(&app, &request).unwrap();
    let url = url::Url::parse(trip.url.expose()).unwrap();
    let query = pairs(url.query().unwrap());
    for (name, value) in [
        ("keep", "this one"),
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("state", "state-1"),
        ("redirect_uri", "https://us.example/callback/app"),
        ("scope", "a,b"),
        ("access_type", "offline"),
        ("code_challenge_method", "S256"),
    ] {
        assert!(has(&query, name, value), "{name}: {url}");
    }
    assert_eq!(trip.pkce_verifier.unwrap().expose().len(), 43);
    assert!(!url.as_str().contains("code_verifier"));

    let none = Scopes::default();
    request.scopes = &none;
    app.pkce = false;
    let trip = provider.authorize_url(&app, &request).unwrap();
    assert!(trip.pkce_verifier.is_none());
    assert!(!trip.url.expose().contains("scope") && !trip.url.expose().contains("challenge"));
}

#[tokio::test]
async fn a_code_is_exchanged_with_its_verifier_and_redirect_uri() {
    let server = serve(|_| json(TOKEN)).await;
    let mut app = app(&server.url("/token?tenant=1"));
    app.token_params.insert("audience".into(), "api x".into());
    let (code, verifier) = (secret("code/+1"), secret("verifier-1"));
    let client_secret = secret("s");
    let redirect_uri = "https://us.example/callback/app";
    let grant = provider_for(&server)
        .exchange(
            &app,
            Some(&client_secret),
            &code,
            redirect_uri,
            Some(&verifier),
        )
        .await;
    let grant = grant.unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(grant.access_token.expose(), "at-1");
    assert_eq!(grant.expires_in_s, Some(3600));
    let (head, body) = server.last();
    assert!(
        head.starts_with("post /token?tenant=1 http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\naccept: application/json"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded"));
    assert!(head.contains("\r\nuser-agent: strongroom/"));
    for absent in ["cookie", "referer", "accept-encoding"] {
        assert!(!head.contains(absent), "{head}");
    }
    let body = pairs(&body);
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "code/+1"),
        ("code_verifier", "verifier-1"),
        ("redirect_uri", redirect_uri),
        ("audience", "api x"),
    ] {
        assert!(has(&body, name, value), "{name}: {body:?}");
    }
    assert_eq!(body.len(), 5);
}

#[tokio::test]
async fn r9_a_refresh_never_sends_scope_and_always_sends_the_apps_parameters() {
    let server = serve(|_| json(r#"{"access_token":"at","refresh_token":"rt-2"}"#)).await;
    let mut app = app(&server.url("/token"));
    app.scopes = Scopes::parse(["a", "b"]).unwrap();
    app.token_params
        .insert("resource".into(), "https://mcp.example/".into());
    let grant = refresh(&provider_for(&server), &app).await.ok().unwrap();
    assert_eq!(grant.refresh_token.unwrap().expose(), "rt-2");
    let body = pairs(&server.last().1);
    assert!(has(&body, "grant_type", "refresh_token") && has(&body, "refresh_token", "rt-1"));
    assert!(has(&body, "resource", "https://mcp.example/"));
    assert_eq!(body.len(), 3);
}

/// Goal: the bytes of each way of client authentication. Method: an id and secret made of the
/// characters that the ways treat differently.
#[tokio::test]
async fn each_way_of_client_authentication_sends_its_exact_bytes() {
    use base64::Engine;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let (id, hidden) = ("id:%+ é", "s:%+ ü&=");
    let server = serve(|_| json(TOKEN)).await;
    let provider = provider_for(&server);
    let mut app = app(&server.url("/token"));
    app.client_id = id.into();
    let client_secret = secret(hidden);
    for (client_auth, field, in_body) in [
        (
            ClientAuth::Basic,
            Some("id%3A%25%2B+%C3%A9:s%3A%25%2B+%C3%BC%26%3D".to_owned()),
            vec![],
        ),
        (ClientAuth::BasicRaw, Some(format!("{id}:{hidden}")), vec![]),
        (
            ClientAuth::Post,
            None,
            vec![
                "client_id=id%3A%25%2B+%C3%A9",
                "client_secret=s%3A%25%2B+%C3%BC%26%3D",
            ],
        ),
        (ClientAuth::None, None, vec!["client_id=id%3A%25%2B+%C3%A9"]),
    ] {
        app.client_auth = client_auth;
        let result = provider
            .refresh(&app, Some(&client_secret), &secret("rt"))
            .await;
        assert!(result.is_ok(), "{client_auth:?}");
        let seen = server.seen();
        let (head, body) = seen.last().unwrap().split_once("\r\n\r\n").unwrap();
        let sent = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization")
                .then(|| value.to_owned())
        });
        let field = field.map(|pair| format!("Basic {}", base64(&pair)));
        assert_eq!(sent, field, "{client_auth:?}");
        let mut expected = vec!["grant_type=refresh_token", "refresh_token=rt"];
        expected.extend(in_body);
        assert_eq!(body, expected.join("&"), "{client_auth:?}");
    }
    assert_eq!(server.seen().len(), 4, "no other way is tried");
    // Without a secret there is nothing to authenticate with: the id alone is sent.
    for client_auth in [ClientAuth::Basic, ClientAuth::BasicRaw, ClientAuth::Post] {
        app.client_auth = client_auth;
        assert!(provider.refresh(&app, None, &secret("rt")).await.is_ok());
        let (head, body) = server.last();
        assert!(!head.contains("authorization") && !body.contains("client_secret"));
        assert!(body.contains("client_id="));
    }
}

#[tokio::test]
async fn no_other_authentication_is_tried_when_one_is_refused() {
    let refused = reply(
        401,
        "WWW-Authenticate: Basic\r\n",
        r#"{"error":"invalid_client"}"#,
    );
    assert_eq!(failure_of(refused).await.kind, FailureKind::ClientRefused);
}

/// Goal: a redirect from a token endpoint is refused (R5, N6). Method: each status, towards a
/// second server that must not be asked.
#[tokio::test]
async fn r5_a_redirect_is_refused_and_not_followed() {
    let target = serve(|_| json(TOKEN)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}\r\n", target.url("/token"));
        let failure = failure_of(reply(status, &location, "")).await;
        assert_eq!(failure.kind, FailureKind::ClientRefused, "{status}");
        assert_eq!(failure.code, "redirect_refused");
    }
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn r5_long_slow_and_broken_answers_are_bounded() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let lost = FailureKind::AnswerLost;
    for (reply, code) in [
        (
            Reply::Bytes(format!("{head}Content-Length: 10485760\r\n\r\n{{").into_bytes()),
            "answer_too_long",
        ),
        (
            Reply::Flood(format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes()),
            "answer_too_long",
        ),
        (
            Reply::Drip(format!("{head}Content-Length: 100000\r\n\r\n{{").into_bytes()),
            "answer_lost",
        ),
        (Reply::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), "timed_out"),
        (Reply::Silence, "timed_out"),
        (Reply::Close, "answer_lost"),
        (
            Reply::Bytes(format!("{head}Content-Length: 100\r\n\r\n{{").into_bytes()),
            "answer_lost",
        ),
        (Reply::Bytes(b"SSH-2.0-OpenSSH\r\n".to_vec()), "answer_lost"),
        (Reply::Bytes(head.as_bytes()[..20].to_vec()), "answer_lost"),
    ] {
        let failure = failure_of(reply).await;
        assert_eq!((failure.kind, failure.code.as_str()), (lost, code));
    }
    // A server that says it is in trouble is believed even if it cannot finish saying so.
    let half = b"HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\n<ht".to_vec();
    let failure = failure_of(Reply::Bytes(half)).await;
    assert_eq!(failure.kind, FailureKind::Transient { retry_after: None });
}

#[tokio::test]
async fn a_request_that_did_not_leave_is_told_from_one_whose_answer_is_lost() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let plain = serve(|_| json(TOKEN)).await;
    let allowed = ["127.0.0.1", "no-such-host.invalid"];
    let provider = Provider::new(&quick(&allowed), clock()).unwrap();
    for url in [
        format!("http://{address}/token"),
        format!("https://{}/token", plain.address),
        "http://no-such-host.invalid/token".to_owned(),
    ] {
        let failure = refresh(&provider, &app(&url)).await.err().unwrap();
        assert_eq!(failure.kind, FailureKind::NotSent, "{url}: {failure:?}");
        assert_eq!(failure.code, "not_reached", "{url}");
        assert!(!failure.description.is_empty());
    }
    assert!(plain.seen().is_empty());
}

/// Goal: nothing is sent where it must not go (N6). Method: a listener on loopback that nobody may
/// connect to, under each of its names.
#[tokio::test]
async fn n6_an_internal_address_is_refused_without_a_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let other_port = format!("127.0.0.1:{}", port.wrapping_add(1).max(1));
    let provider = Provider::new(&quick(&[&other_port]), clock()).unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "a.localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ] {
        for scheme in ["https", "http"] {
            let app = app(&format!("{scheme}://{host}:{port}/token"));
            let failure = refresh(&provider, &app).await.err().unwrap();
            assert_eq!(failure.kind, FailureKind::NotSent, "{host}");
            assert_eq!(failure.code, "destination_forbidden", "{host}");
            let error = Error::from(failure);
            assert!(matches!(error, Error::Forbidden(_)), "{host}");
        }
        let issuer = web(&format!("https://{host}:{port}"));
        let found = provider.discover(&issuer).await;
        assert!(matches!(found, Err(Error::Forbidden(_))), "{host}");
    }
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn an_allowed_name_is_reached_by_that_name() {
    let server = serve(|_| json(TOKEN)).await;
    let port = server.address.port();
    let app = app(&format!("http://localhost:{port}/token"));
    let refused = Provider::new(&quick(&[&server.address.to_string()]), clock()).unwrap();
    assert!(refresh(&refused, &app).await.is_err());
    let allowed = Provider::new(&quick(&[&format!("localhost:{port}")]), clock()).unwrap();
    assert!(refresh(&allowed, &app).await.is_ok());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn n6_behind_a_proxy_literal_addresses_are_still_checked() {
    // The proxy refuses, so that what is asked of it can be read and nothing else happens.
    let proxy = serve(|_| reply(403, "", "")).await;
    let settings = EgressSettings {
        proxy: Some(ProxySettings {
            url: Secret::new(proxy.url("")),
            no_proxy: String::new(),
        }),
        ..quick(&[])
    };
    let provider = Provider::new(&settings, clock()).unwrap();
    for url in [
        "https://10.0.0.1/t",
        "https://[fd00::1]/t",
        "https://vault.internal/t",
    ] {
        let failure = refresh(&provider, &app(url)).await.err().unwrap();
        assert_eq!(failure.code, "destination_forbidden", "{url}");
    }
    assert!(proxy.seen().is_empty());
    let failure = refresh(&provider, &app("https://auth.example/t"))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.kind, FailureKind::NotSent, "{failure:?}");
    let (head, _) = proxy.last();
    assert!(head.starts_with("connect auth.example:443 "), "{head}");
    assert!(!head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn a_servers_certificate_is_checked_against_the_roots_given() {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = rcgen::CertifiedIssuer::self_signed(params, root_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &root)
        .unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let server = serve_tls(acceptor, |_| json(TOKEN)).await;
    let port = server.address.port();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), root.pem()).unwrap();
    let mut settings = quick(&["localhost", "127.0.0.1"]);
    let by_name = app(&format!("https://localhost:{port}/token"));
    let by_address = app(&format!("https://127.0.0.1:{port}/token"));

    let stranger = Provider::new(&settings, clock()).unwrap();
    let failure = refresh(&stranger, &by_name).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::NotSent, "{failure:?}");
    assert!(failure.description.contains("TLS"), "{failure:?}");

    settings.extra_roots = vec![file.path().to_owned()];
    let friend = Provider::new(&settings, clock()).unwrap();
    assert!(refresh(&friend, &by_name).await.is_ok());
    let failure = refresh(&friend, &by_address).await.err().unwrap();
    assert_eq!(
        failure.kind,
        FailureKind::NotSent,
        "another name: {failure:?}"
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_host_that_asked_us_to_wait_is_not_asked_until_then() {
    for status in [429, 503] {
        let server = serve(move |_| reply(status, "Retry-After: 90\r\n", "")).await;
        let clock = clock();
        let settings = quick(&[&server.address.to_string()]);
        let provider = Provider::new(&settings, clock.clone()).unwrap();
        let app = app(&server.url("/token"));
        let wait = |seconds| FailureKind::Transient {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(refresh(&provider, &app).await.err().unwrap().kind, wait(90));
        clock.advance(Duration::from_secs(30));
        let failure = refresh(&provider, &app).await.err().unwrap();
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (wait(60), "retry_later")
        );
        let issuer = web(&server.url(""));
        assert!(provider.discover(&issuer).await.is_err());
        assert_eq!(server.seen().len(), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(refresh(&provider, &app).await.err().unwrap().kind, wait(90));
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn cookies_of_a_provider_are_not_kept() {
    let server = serve(|_| reply(200, "Set-Cookie: a=b; Path=/\r\n", TOKEN)).await;
    let provider = provider_for(&server);
    let app = app(&server.url("/token"));
    for _ in 0..2 {
        assert!(refresh(&provider, &app).await.is_ok());
    }
    assert!(!server.last().0.contains("cookie"));
}

#[tokio::test]
async fn a_call_can_be_detached_from_whoever_asked() {
    let server = serve(|_| json(TOKEN)).await;
    let (provider, app) = (provider_for(&server), app(&server.url("/token")));
    let flight = tokio::spawn(async move { refresh(&provider, &app).await.is_ok() });
    assert!(flight.await.unwrap());
}

#[tokio::test]
async fn o9_a_token_is_revoked_as_rfc_7009_says() {
    let server = serve(|_| reply(200, "", "")).await;
    let provider = provider_for(&server);
    let mut app = app("https://auth.example/token");
    let (client_secret, token) = (secret("s3cret"), secret("rt/1"));
    let revoke = |app: OAuth, hint| {
        let (provider, client_secret, token) =
            (provider.clone(), client_secret.clone(), token.clone());
        async move {
            provider
                .revoke(&app, Some(&client_secret), &token, hint)
                .await
        }
    };
    let outcome = revoke(app.clone(), TokenHint::RefreshToken).await;
    assert_eq!(outcome, Ok(Revocation::Unsupported));
    app.by_hand.revocation_url = Some(web(&server.url("/revoke?x=1")));
    app.token_params.insert("audience".into(), "x".into());
    for (hint, word) in [
        (TokenHint::RefreshToken, "refresh_token"),
        (TokenHint::AccessToken, "access_token"),
    ] {
        assert_eq!(revoke(app.clone(), hint).await, Ok(Revocation::Done));
        let (head, body) = server.last();
        assert!(head.starts_with("post /revoke?x=1 http/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: basic "));
        assert_eq!(body, format!("token=rt%2F1&token_type_hint={word}"));
    }
    app.by_hand.revocation_url = Some(web("http://auth.example/revoke"));
    let failure = revoke(app, TokenHint::AccessToken).await.unwrap_err();
    assert_eq!(
        failure.kind,
        FailureKind::NotSent,
        "https alone, unless allowed"
    );
}

fn path_of(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn an_issuers_documents_are_joined() {
    let server = serve(|request| {
        let host = request
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap_or_default();
        let issuer = format!("http://{host}/t");
        match path_of(request) {
            "/.well-known/oauth-authorization-server/t" => json(&format!(
                r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token",
                    "revocation_endpoint":"{issuer}/revoke",
                    "code_challenge_methods_supported":["S256"]}}"#
            )),
            "/t/.well-known/openid-configuration" => json(&format!(
                r#"{{"issuer":"{issuer}/","authorization_endpoint":"{issuer}/authorize",
                    "token_endpoint":"{issuer}/other","scopes_supported":["openid"],
                    "authorization_response_iss_parameter_supported":true}}"#
            )),
            _ => reply(404, "", "<html>"),
        }
    })
    .await;
    let provider = provider_for(&server);
    let found = provider.discover(&web(&server.url("/t/"))).await.unwrap();
    let endpoint = |path: &str| Some(web(&server.url(path)));
    assert_eq!(found.endpoints.authorization_url, endpoint("/t/authorize"));
    assert_eq!(found.endpoints.token_url, endpoint("/t/token"));
    assert_eq!(found.endpoints.revocation_url, endpoint("/t/revoke"));
    assert_eq!(found.pkce_s256, Some(true));
    assert!(found.iss_advertised);
    assert_eq!(found.scopes_supported, ["openid"]);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn o4_metadata_that_cannot_be_trusted_is_refused_with_what_each_place_said() {
    let server = serve(|request| match path_of(request) {
        "/.well-known/openid-configuration" => {
            json(r#"{"issuer":"https://other.example","token_endpoint":"https://x.example/t"}"#)
        }
        _ => reply(302, "Location: https://other.example/\r\n", ""),
    })
    .await;
    let error = provider_for(&server)
        .discover(&web(&server.url("/")))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::ProviderRefused { .. }), "{text}");
    assert!(
        text.contains("`/.well-known/oauth-authorization-server`: status 302"),
        "{text}"
    );
    assert!(text.contains("names another issuer"), "{text}");
}

/// Goal: nothing a document names is taken over if the way out would refuse it. Method: one
/// document per fault.
#[tokio::test]
async fn n6_metadata_does_not_lead_inside() {
    for (endpoint, forbidden) in [
        ("https://169.254.169.254/t", true),
        ("https://[::1]/t", true),
        ("http://auth.example/t", true),
        ("https://auth.example/t", false),
    ] {
        let server = serve(move |request| {
            let host = request.lines().find_map(|line| line.strip_prefix("host: "));
            let issuer = format!("http://{}", host.unwrap_or_default());
            json(&format!(
                r#"{{"issuer":"{issuer}","token_endpoint":"{endpoint}",
                    "authorization_endpoint":"{issuer}/a"}}"#
            ))
        })
        .await;
        let found = provider_for(&server).discover(&web(&server.url("/"))).await;
        assert_eq!(
            matches!(found, Err(Error::Forbidden(_))),
            forbidden,
            "{endpoint}"
        );
        assert_eq!(found.is_ok(), !forbidden, "{endpoint}");
    }
    for (reply, refused) in [
        (
            json(&format!("{{\"x\":\"{}\"}}", "x".repeat(300 * 1024))),
            true,
        ),
        (Reply::Silence, false),
        (reply(500, "", ""), false),
    ] {
        let server = serve(move |_| reply.clone()).await;
        let error = provider_for(&server)
            .discover(&web(&server.url("/")))
            .await
            .unwrap_err();
        assert_eq!(
            matches!(error, Error::ProviderRefused { .. }),
            refused,
            "{error}"
        );
    }
}
