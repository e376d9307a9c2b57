//! An endpoint without a socket: bytes in, bytes out.
//!
//! It promises: nothing leaves the process (public hosts are reached by a proxy that refuses), and
//! what one input left in the vault does not pile up for ever.
//! It never: waits longer than [`PATIENCE`] for an answer.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use strongroom::bearer::Issuers;
use strongroom::clock::{Clock, Timestamp};
use strongroom::connect::Connect;
use strongroom::http::app::{App, Parts};
use strongroom::http::guard::HostRule;
use strongroom::http::look::{Brand, Look};
use strongroom::http::serve::{End, Peer};
use strongroom::limits;
use strongroom::model::url::WebUrl;
use strongroom::provider::Provider;
use strongroom::provider::egress::EgressSettings;
use strongroom::provider::proxy::ProxySettings;
use strongroom::refresh::Refresher;
use strongroom::secret::Secret;
use strongroom::vault::Vault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

/// Stands for the access key in an input: the real one is another in every process.
pub const KEY: &[u8] = b"sr_KEY";
/// The name the endpoint answers under.
pub const HOST: &str = "127.0.0.1:7420";
/// No answer takes this long unless something hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// Inputs after which the vault is made anew.
const INPUTS_PER_VAULT: u32 = 2000;

/// An endpoint over a vault in memory.
pub struct Endpoint {
    runtime: Runtime,
    app: App,
    key: String,
    left: u32,
}

thread_local! {
    static ENDPOINT: RefCell<Option<Endpoint>> = const { RefCell::new(None) };
}

/// Lends the endpoint to `work`.
pub fn with<T>(work: impl FnOnce(&Endpoint) -> T) -> T {
    ENDPOINT.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|endpoint| endpoint.left == 0) {
            *kept = Some(Endpoint::new());
        }
        let endpoint = kept.as_mut().unwrap();
        endpoint.left -= 1;
        work(endpoint)
    })
}

impl Endpoint {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let clock = Clock::test(Timestamp::from_unix_ms(1_790_000_000_000));
        // Waits for commits, which a thread that serves must not.
        let (vault, key) = Vault::in_memory(clock.clone()).unwrap();
        let app = runtime.block_on(async {
            let egress = EgressSettings {
                proxy: Some(ProxySettings {
                    // The discard port of this machine, where nobody listens.
                    url: Secret::new("http://127.0.0.1:9".into()),
                    no_proxy: String::new(),
                }),
                ..EgressSettings::default()
            };
            let provider = Provider::new(&egress, clock).unwrap();
            let public_url = WebUrl::parse("url", &format!("http://{HOST}")).unwrap();
            let refresher = Refresher::new(vault.clone(), provider.clone());
            App::new(Parts {
                issuers: Issuers::new(vault.clone(), provider.clone()),
                vault: vault.clone(),
                refresher,
                connect: Connect::new(vault, provider, &public_url, || {}),
                hosts: HostRule::new(&[HOST.parse().unwrap()], false),
                look: Look::new(Brand::default()),
                remote_unlock: false,
            })
        });
        let endpoint = Self {
            runtime,
            app,
            key: key.expose().clone(),
            left: INPUTS_PER_VAULT,
        };
        endpoint.furnish();
        endpoint
    }

    /// An app of each kind and a token, for inputs to meet.
    fn furnish(&self) {
        let oauth = r#"{"id":"demo","kind":"oauth","client_id":"c","client_secret":"s",
            "authorization_url":"https://idp.example.com/authorize",
            "token_url":"https://idp.example.com/token","scopes":["a","b"]}"#;
        assert_eq!(self.call("POST", "/v1/apps", oauth.as_bytes()).0, 201);
        let maps = br#"{"id":"maps","kind":"api_key"}"#;
        assert_eq!(self.call("POST", "/v1/apps", maps).0, 201);
        let token = br#"{"app":"maps","user":"u","api_key":"key-of-u"}"#;
        assert_eq!(self.call("PUT", "/v1/tokens", token).0, 200);
    }

    /// Sends bytes as one connection's, and reads what comes back until it ends.
    pub fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let bytes = replace(bytes, KEY, self.key.as_bytes());
        let peer = Peer {
            address: "127.0.0.1:1".into(),
            loopback_or_unix: true,
            tls: false,
            // There is no socket, and so nobody to be told by it.
            end: End::Unix(None),
        };
        let app = self.app.clone();
        let service = service_fn(move |request| {
            let (app, peer) = (app.clone(), peer.clone());
            async move { Ok::<_, Infallible>(app.handle(request, peer).await) }
        });
        self.runtime.block_on(async move {
            let (mut near, far) = tokio::io::duplex(64 * 1024);
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .half_close(true)
                .max_headers(limits::HEADERS_MAX)
                .max_header_size(limits::HEAD_BYTES_MAX)
                .max_buf_size(limits::HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(far), service);
            let talk = async move {
                let mut said = Vec::new();
                let (mut read, mut write) = tokio::io::split(&mut near);
                let sent = async {
                    // A server that has heard enough hangs up.
                    let _ = write.write_all(&bytes).await;
                    let _ = write.shutdown().await;
                };
                let (_, _) = tokio::join!(sent, read.read_to_end(&mut said));
                said
            };
            let both = async { tokio::join!(served, talk).1 };
            tokio::time::timeout(PATIENCE, both)
                .await
                .expect("an answer, or the end of the connection, in time")
        })
    }

    /// Sends a well-formed request with the access key; its status and body come back.
    pub fn call(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            self.key,
            body.len()
        );
        let said = self.send(&[head.as_bytes(), body].concat());
        check(&said);
        let text = String::from_utf8(said).expect("answers are text");
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .expect("an answer has a status");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

/// What every answer is held to.
pub fn check(answer: &[u8]) {
    if answer.is_empty() {
        return;
    }
    // In the version it was asked in.
    let is_answer = answer.starts_with(b"HTTP/1.1 ") || answer.starts_with(b"HTTP/1.0 ");
    assert!(is_answer, "an answer is an answer");
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    assert!(!text.contains("access-control-allow-origin"), "no CORS");
    assert!(!text.contains(" 500 "), "no internal error: {text}");
}

/// A text with every `what` in it replaced.
pub fn replace(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(what) {
            out.extend_from_slice(by);
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}
