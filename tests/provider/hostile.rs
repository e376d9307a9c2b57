//! Hostile answers, and places where nothing may be sent.

use std::time::Duration;

use strongroom::error::Error;
use strongroom::provider::Provider;
use strongroom::provider::classify::FailureKind;
use strongroom::provider::egress::EgressSettings;
use strongroom::provider::proxy::ProxySettings;
use strongroom::secret::Secret;

use crate::server::{Reply, json, reply, serve, serve_tls};
use crate::{TOKEN, app, clock, failure_of, quick, refresh, web};

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
