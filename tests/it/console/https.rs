//! The console where the browser is on https: over our own TLS, and behind a proxy (T21, V21).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use strongroom::bearer::Issuers;
use strongroom::connect::Connect;
use strongroom::http::app::{App, Parts};
use strongroom::http::guard::HostRule;
use strongroom::http::listen::{ListenAddress, Tls, bind};
use strongroom::http::look::{Brand, Look};
use strongroom::http::serve::{ServeSettings, serve};
use strongroom::model::url::WebUrl;
use strongroom::provider::Provider;
use strongroom::provider::egress::EgressSettings;
use strongroom::refresh::Refresher;
use strongroom::vault::Vault;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{heading, says, sign_in};
use crate::support::{Api, Browser, PATIENCE, Raw, client, clock, new_home};

const COOKIE: &str = "__Host-sr_console";

/// A server with something between it and people: its own TLS, or a proxy under a public URL.
struct Fronted {
    vault: Vault,
    refresher: Refresher,
    url: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Fronted {
    /// Put together as `serve` does it.
    async fn serve(vault: Vault, tls: Option<Tls>, proxied_under: Option<&str>) -> Self {
        let address = ListenAddress::parse("127.0.0.1:0").unwrap();
        let listener = bind(&address).await.unwrap();
        let bound = listener.tcp_address().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{bound}");
        let public_url = WebUrl::parse("url", proxied_under.unwrap_or(&url)).unwrap();
        let hosts = HostRule::new(&[bound], tls.is_some());
        let hosts = hosts.with_public_url(public_url.as_url()).unwrap();
        let provider = Provider::new(&EgressSettings::default(), vault.clock().clone()).unwrap();
        let refresher = Refresher::new(vault.clone(), provider.clone());
        let app = App::new(Parts {
            issuers: Issuers::new(vault.clone(), provider.clone()),
            vault: vault.clone(),
            refresher: refresher.clone(),
            connect: Connect::new(vault.clone(), provider, &public_url, || {}),
            hosts: hosts.clone(),
            look: Look::new(Brand::default()),
            remote_unlock: false,
        });
        let mut settings = ServeSettings::new(hosts);
        settings.tls = tls;
        settings.behind_proxy = proxied_under.is_some();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let service = move |request, peer| app.clone().handle(request, peer);
            let shutdown = async move {
                let _ = stopped.await;
            };
            let served = serve(vec![listener], settings, service, shutdown);
            served.await.unwrap();
        });
        Self {
            vault,
            refresher,
            url,
            stop,
            running,
        }
    }

    async fn end(self) {
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(PATIENCE, self.running);
        ended.await.unwrap().unwrap();
        self.refresher.drain().await;
        let close = tokio::task::spawn_blocking(move || self.vault.close());
        close.await.unwrap().unwrap();
    }
}

/// A certificate for this machine's address, and a client that trusts it alone.
fn certificate() -> (Tls, reqwest::Client) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    (Tls::load(&cert, &key).unwrap(), client)
}

/// Goal: over our own TLS a session's cookie is of this host and of https alone, is honoured, and a
/// plain one of the same value is not. Method: sign in over a real handshake, look at the header,
/// bring the value under either name.
#[tokio::test]
async fn over_tls_the_cookie_is_of_the_host_and_a_plain_one_is_nobodys() {
    let home = new_home(&clock());
    let (tls, client) = certificate();
    let inside = Fronted::serve(home.vault, Some(tls), None).await;
    assert!(inside.url.starts_with("https://"));
    let mut browser = Browser::over(client.clone());
    let page = sign_in(&mut browser, &inside.url, &home.admin).await;
    assert_eq!(heading(&page), "Health", "{}", page.text);
    says(&page, "/console/sign-out");
    let (name, value) = browser.cookies().remove(0);
    assert_eq!(name, COOKIE);
    for (name, title) in [(COOKIE, "Tokens"), ("sr_console", "Sign in")] {
        let mut other = Browser::over(client.clone());
        other.plant(&inside.url, name, &value);
        let page = other.open(&format!("{}/console/tokens", inside.url)).await;
        assert_eq!(heading(&page), title, "{name}");
    }
    let form = [("key", home.admin.as_str())];
    let url = format!("{}/console/sign-in", inside.url);
    let set = Browser::over(client).send("POST", &url, Some(&form)).await;
    is_of_the_host(set.headers["set-cookie"].to_str().unwrap());
    inside.end().await;
}

fn is_of_the_host(set: &str) {
    assert!(set.starts_with(&format!("{COOKIE}=")), "{set}");
    for part in ["; Path=/;", "; HttpOnly", "; SameSite=Strict", "; Secure"] {
        assert!(set.contains(part), "{part}: {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
}

/// Goal: behind a proxy that ends TLS it is the public URL that says so, and no header of the
/// request: the cookie is the same, a plain one is not honoured, forms of the public origin are let
/// in and forms of the plain one are not. Method: what a proxy would send, by hand.
#[tokio::test]
async fn behind_a_proxy_the_public_url_says_what_the_cookie_is() {
    const PUBLIC: &str = "https://vault.example";
    let home = new_home(&clock());
    let inside = Fronted::serve(home.vault, None, Some(PUBLIC)).await;
    let api = Api {
        client: client(),
        url: inside.url.clone(),
        key: home.admin.clone(),
    };
    let ask = async |method: &str, path: &str, cookie: &str, more: &[(&str, &str)]| -> Raw {
        let mut headers = vec![
            ("host", "vault.example"),
            ("accept", "text/html"),
            ("x-forwarded-for", "203.0.113.7"),
            // A lie that nobody believes.
            ("x-forwarded-proto", "http"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        headers.extend_from_slice(more);
        if !cookie.is_empty() {
            headers.push(("cookie", cookie));
        }
        let body = match method {
            "POST" => format!("key={}", home.admin).into_bytes(),
            _ => vec![],
        };
        api.raw(method, path, &headers, body).await
    };
    let own = [("origin", PUBLIC)];
    let signed_in = ask("POST", "/console/sign-in", "", &own).await;
    assert_eq!(signed_in.status, 303, "{signed_in:?}");
    let set = signed_in.header("set-cookie").unwrap();
    is_of_the_host(set);
    let pair = set.split(';').next().unwrap();
    let (_, value) = pair.split_once('=').unwrap();
    let page = ask("GET", "/console/tokens", pair, &[]).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<h1>Tokens</h1>"), "{}", page.body);
    let plain = format!("sr_console={value}");
    let page = ask("GET", "/console/tokens", &plain, &[]).await;
    assert_eq!(page.header("location"), Some("/console?told=ended"));
    for foreign in ["http://vault.example", "https://vault.example:8443", "null"] {
        let refused = ask("POST", "/console/sign-in", "", &[("origin", foreign)]).await;
        assert_eq!(refused.status, 403, "{foreign}");
        assert_eq!(refused.header("set-cookie"), None);
    }
    inside.end().await;
}
