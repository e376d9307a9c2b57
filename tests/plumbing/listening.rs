//! Addresses, Unix sockets and TLS.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use strongroom::error::Error;
use strongroom::http::listen::{Exposure, ListenAddress, Listener, Tls, bind, check};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Running, SHORT, closed, receive, within};

#[test]
fn an_address_is_an_ip_with_a_port_or_a_path() {
    for (text, shown) in [
        ("127.0.0.1:7420", "127.0.0.1:7420"),
        ("[::1]:0", "[::1]:0"),
        ("localhost:80", "127.0.0.1:80"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("unix:x.sock", "unix:x.sock"),
    ] {
        assert_eq!(ListenAddress::parse(text).unwrap().to_string(), shown);
    }
    for text in [
        "",
        "7420",
        ":7420",
        "127.0.0.1",
        "::1:7420",
        "host:1",
        "unix:",
        "unix:/run/",
        "127.0.0.1:65536",
    ] {
        assert!(
            matches!(ListenAddress::parse(text), Err(Error::Settings(_))),
            "{text}"
        );
    }
}

/// N8: only loopback is bound in the clear, unless a proxy is said to stand before it.
#[test]
fn n8_an_address_beyond_loopback_needs_tls_or_a_proxy() {
    let plain = Exposure::default();
    let tls = Exposure { tls: true, ..plain };
    let behind_proxy = Exposure {
        behind_proxy: true,
        ..plain
    };
    for (text, safe) in [
        ("127.0.0.1:1", true),
        ("127.9.9.9:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("unix:/x", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
        ("192.168.1.5:1", false),
        ("[fe80::1]:1", false),
        ("[::ffff:10.0.0.1]:1", false),
    ] {
        let address = ListenAddress::parse(text).unwrap();
        assert_eq!(check(&address, &plain).is_ok(), safe, "{text}");
        assert!(check(&address, &tls).is_ok() && check(&address, &behind_proxy).is_ok());
    }
    let refusal = check(&ListenAddress::parse("0.0.0.0:1").unwrap(), &plain).unwrap_err();
    assert!(refusal.to_string().contains("--tls-cert"), "{refusal}");
}

fn unix(path: &Path) -> ListenAddress {
    ListenAddress::Unix(path.to_path_buf())
}

#[tokio::test]
async fn a_unix_socket_is_its_owners_alone_works_and_goes_away() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sr.sock");
    let listener = bind(&unix(&path)).await.unwrap();
    let found = fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing else is left there"
    );
    let server = Running::on(vec![listener], |_| {});
    for host in ["localhost", "127.0.0.1:1", "[::1]"] {
        let mut io = UnixStream::connect(&path).await.unwrap();
        let request = format!("GET /peer HTTP/1.1\r\nHost: {host}\r\n\r\n");
        io.write_all(request.as_bytes()).await.unwrap();
        let answer = receive(&mut io).await.unwrap();
        assert!(
            answer
                .body
                .contains("address: \"unix\", loopback_or_unix: true")
        );
    }
    let mut io = UnixStream::connect(&path).await.unwrap();
    io.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(receive(&mut io).await.unwrap().status, 421);
    drop(io);
    server.finish().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_nothing_else_is() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sr.sock");
    // Left by a process that was killed: std's listener does not remove its file.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let live = bind(&unix(&path)).await.unwrap();
    assert!(UnixStream::connect(&path).await.is_ok());
    // Somebody answers there.
    let second = bind(&unix(&path)).await.unwrap_err();
    assert!(second.to_string().contains("another process"), "{second}");
    assert!(
        UnixStream::connect(&path).await.is_ok(),
        "the first is untouched"
    );
    // The place was taken over meanwhile: what is there now is not ours to remove.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    drop(live);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    assert!(bind(&unix(&path)).await.is_err());
    // A link is not followed.
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
    assert!(bind(&unix(&link)).await.is_err());
    // No such directory; too long a path.
    assert!(bind(&unix(&dir.path().join("no/sr.sock"))).await.is_err());
    let long = unix(&dir.path().join("x".repeat(120)));
    let long = bind(&long).await;
    assert!(long.is_err());
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "no failed try leaves anything"
    );
}

#[tokio::test]
async fn listeners_share_the_seats_and_none_starves() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sr.sock");
    let listeners = vec![
        bind(&ListenAddress::parse("127.0.0.1:0").unwrap())
            .await
            .unwrap(),
        bind(&unix(&path)).await.unwrap(),
    ];
    let server = Running::on(listeners, |settings| settings.connections_max = 1);
    for _ in 0..3 {
        let mut tcp = server.connect().await;
        tcp.write_all(format!("GET / HTTP/1.1\r\n{}\r\n", server.host()).as_bytes())
            .await
            .unwrap();
        assert_eq!(receive(&mut tcp).await.unwrap().status, 200);
        drop(tcp);
        let mut io = UnixStream::connect(&path).await.unwrap();
        io.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(receive(&mut io).await.unwrap().status, 200);
    }
    server.finish().await;
}

/// Certificate and key files of a fresh certificate for `localhost`, and the certificate itself.
fn certificate(dir: &TempDir) -> (Tls, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (Tls::load(&cert, &key).unwrap(), made.cert.der().clone())
}

async fn shake_hands(
    server: &Running,
    trusted: Option<CertificateDer<'static>>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, server.connect().await)).await
}

/// N8: TLS 1.2 and 1.3 work; an unknown certificate, plain HTTP and TLS 1.1 fail and end.
#[tokio::test]
async fn n8_tls_is_spoken_and_nothing_less() {
    let dir = TempDir::new().unwrap();
    let (tls, trusted) = certificate(&dir);
    let impatient = Running::tcp(|settings| {
        settings.tls = Some(tls.clone());
        settings.head_timeout = SHORT;
    })
    .await;
    let server = Running::tcp(|settings| settings.tls = Some(tls)).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut io = shake_hands(&server, Some(trusted.clone()), &[version])
            .await
            .unwrap();
        assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let port = server.address.unwrap().port();
        let request = format!("GET /peer HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
        io.write_all(request.as_bytes()).await.unwrap();
        assert!(receive(&mut io).await.unwrap().body.contains("tls: true"));
    }
    let both = [&rustls::version::TLS12, &rustls::version::TLS13];
    assert!(
        shake_hands(&server, None, &both).await.is_err(),
        "the certificate is unknown"
    );
    // TLS 1.1: the bare beginning of a ClientHello of that version.
    let mut old_hello = vec![0x16, 3, 1, 0, 47, 1, 0, 0, 43, 3, 2];
    old_hello.extend([7; 32]);
    old_hello.extend([0, 0, 4, 0xc0, 0x14, 0, 0x35, 1, 0]);
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        &old_hello,
    ] {
        let mut io = server.connect().await;
        io.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        let end = within(io.read_to_end(&mut rest)).await;
        assert!(end.is_ok() || end.is_err_and(|why| why.kind() == ErrorKind::ConnectionReset));
        // At most an alert (record type 21), never HTTP.
        assert!(rest.is_empty() || rest[0] == 21, "{rest:?}");
    }
    for beginning in [&b""[..], b"\x16\x03\x01"] {
        let mut io = impatient.connect().await;
        io.write_all(beginning).await.unwrap();
        closed(&mut io).await;
    }
    impatient.finish().await;
    server.finish().await;
}

#[test]
fn a_certificate_that_does_not_fit_or_a_key_that_others_can_read_is_refused() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    certificate(&dir);
    certificate(&other);
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let refused = |cert: &Path, key: &Path, what: &str| {
        let Err(Error::Settings(why)) = Tls::load(cert, key) else {
            panic!("loaded, though {what} was expected")
        };
        assert!(why.contains(what), "{why}");
    };
    refused(
        &cert,
        &other.path().join("key.pem"),
        "does not go with the key",
    );
    refused(&key, &key, "no certificate");
    refused(&cert, &cert, "chmod 600");
    refused(&dir.path().join("none.pem"), &key, "No such file");
    for mode in [0o640, 0o604, 0o620, 0o644, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        refused(&cert, &key, "chmod 600");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(Tls::load(&cert, &key).is_ok());
}

#[tokio::test]
async fn a_port_that_is_taken_says_so() {
    let first = bind(&ListenAddress::parse("127.0.0.1:0").unwrap())
        .await
        .unwrap();
    let taken = first.tcp_address().map(ListenAddress::Tcp).unwrap();
    let why = bind(&taken).await.unwrap_err().to_string();
    assert!(why.contains(&taken.to_string()), "{why}");
    assert!(matches!(first, Listener::Tcp(_)));
}
