//! The one way out: every request to a provider leaves here.
//!
//! It promises: https by rustls, TLS 1.2 or later; no redirect is followed; the address that was
//! checked is the address that is connected to, for it is looked up once; answers are bounded in
//! length and time; a failure says whether the request may have reached the provider; no text of
//! the HTTP library, which may hold a URL, gets out.
//! It never: keeps a cookie, sends a referrer, sends a request twice, or reads the environment.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::{Host, Url};

use super::addresses::{AllowedHosts, Route, is_public, read_host};
use super::answer::{Answer, Unread};
use super::classify::{FORBIDDEN, Failure, FailureKind, filter_text};
use super::lifetime;
use super::proxy::ProxySettings;
use crate::error::{Error, Result};
use crate::limits;
use crate::secret::Secret;

/// A request, as the OAuth library builds them.
pub type Request = http::Request<Vec<u8>>;

/// Settings of the way out.
#[derive(Clone, Debug)]
pub struct EgressSettings {
    /// Internal hosts (`host` or `host:port`) that may be private, and spoken to in the clear.
    /// They are reached directly, never by the proxy.
    pub allowed_hosts: Vec<String>,
    /// PEM files of root certificates, trusted beside the system's.
    pub extra_roots: Vec<PathBuf>,
    /// The proxy for public hosts, if any.
    pub proxy: Option<ProxySettings>,
    /// What we call ourselves. Some providers refuse requests without it.
    pub user_agent: String,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a whole answer, connection included.
    pub timeout: Duration,
    /// Calls at one time, at most [`limits::PROVIDER_CALLS_MAX`]. Where there are fewer, for want
    /// of file descriptors, no idle connection is kept either.
    pub calls_max: usize,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            extra_roots: Vec::new(),
            proxy: None,
            user_agent: concat!("strongroom/", env!("CARGO_PKG_VERSION")).into(),
            connect_timeout: limits::PROVIDER_CONNECT_TIMEOUT,
            timeout: limits::PROVIDER_TIMEOUT,
            calls_max: limits::PROVIDER_CALLS_MAX,
        }
    }
}

/// The way out.
pub struct Egress {
    allowed: AllowedHosts,
    proxy_host: Option<Host>,
    public: reqwest::Client,
    internal: reqwest::Client,
    timeout: Duration,
}

impl Egress {
    /// Makes the way out.
    ///
    /// # Errors
    /// [`Error::Settings`] for a host, certificate file or proxy that cannot be used.
    pub fn new(settings: &EgressSettings) -> Result<Self> {
        let tls = tls_settings(&settings.extra_roots)?;
        let proxy_host = settings
            .proxy
            .as_ref()
            .map(ProxySettings::host)
            .transpose()?;
        let resolver = CheckedResolver {
            exempt: proxy_host.as_ref().map(Host::to_string),
        };
        let mut public = client(settings, tls.clone())
            .https_only(true)
            .dns_resolver(Arc::new(resolver));
        if let Some(proxy) = &settings.proxy {
            let unusable = |_| Error::Settings("the proxy cannot be used".into());
            let no_proxy = reqwest::NoProxy::from_string(&proxy.no_proxy);
            let proxy = reqwest::Proxy::https(proxy.url.expose()).map_err(unusable)?;
            public = public.proxy(proxy.no_proxy(no_proxy));
        }
        let unusable = |_| Error::Settings("the HTTP client could not be set up".into());
        Ok(Self {
            allowed: AllowedHosts::parse(&settings.allowed_hosts)?,
            proxy_host,
            public: public.build().map_err(unusable)?,
            internal: client(settings, tls).build().map_err(unusable)?,
            timeout: settings.timeout,
        })
    }

    /// Decides whether `url` may be reached, as far as its text tells.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with the rule it breaks.
    pub fn check(&self, url: &Url) -> Result<Route> {
        let route = self.allowed.route(url)?;
        // The resolver lets the proxy's own name through, so it must not be a destination.
        let is_proxy = url
            .host_str()
            .and_then(read_host)
            .is_some_and(|(host, _)| self.proxy_host.as_ref() == Some(&host));
        if route == Route::Public && is_proxy {
            return Err(Error::Forbidden("the proxy is not a destination".into()));
        }
        Ok(route)
    }

    /// Sends a request once and reads at most `body_max` bytes of its answer.
    ///
    /// # Errors
    /// [`FailureKind::NotSent`] where it certainly did not reach the provider, else
    /// [`FailureKind::AnswerLost`].
    pub async fn send(
        &self,
        request: Request,
        body_max: usize,
    ) -> std::result::Result<Answer, Failure> {
        let not_sent = |code: &str, what: String| Failure::ours(FailureKind::NotSent, code, what);
        // What is checked is the URL as the client will use it, not the text it was made from.
        let request = reqwest::Request::try_from(request)
            .map_err(|_| not_sent("not_sent", "the request could not be built".into()))?;
        let client = match self.check(request.url()) {
            Ok(Route::Public) => &self.public,
            Ok(Route::Allowed) => &self.internal,
            Err(error) => return Err(not_sent(FORBIDDEN, error.to_string())),
        };
        // One deadline for both halves. A status that has come counts even if its body has not.
        let deadline = tokio::time::sleep(self.timeout);
        tokio::pin!(deadline);
        let mut response = tokio::select! {
            done = client.execute(request) => done.map_err(|error| failure(&error))?,
            () = &mut deadline => return Err(Failure::ours(
                FailureKind::AnswerLost,
                "timed_out",
                "the provider did not answer in time",
            )),
        };
        let mut answer = head(&response);
        answer.body = tokio::select! {
            body = read_body(&mut response, body_max) => body,
            () = &mut deadline => Err(Unread::Broken),
        };
        Ok(answer)
    }
}

fn client(settings: &EgressSettings, tls: rustls::ClientConfig) -> reqwest::ClientBuilder {
    // Idle connections are held by no seat.
    let idle_max = match settings.calls_max < limits::PROVIDER_CALLS_MAX {
        true => 0,
        false => limits::PROVIDER_CALLS_PER_HOST_MAX,
    };
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        // A refresh token may be used once; the library does not know which requests are safe.
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .connect_timeout(settings.connect_timeout.min(settings.timeout))
        .pool_idle_timeout(limits::PROVIDER_IDLE_MAX)
        .pool_max_idle_per_host(idle_max)
        .user_agent(&settings.user_agent)
}

/// TLS 1.2 or later, trusting the system's roots and those given. A system without roots is no
/// error until a certificate has to be checked.
fn tls_settings(extra_roots: &[PathBuf]) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in extra_roots {
        for certificate in read_roots(path)? {
            roots.add(certificate).map_err(|_| bad_roots(path))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::Settings("the TLS library offers no safe version".into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn bad_roots(path: &Path) -> Error {
    Error::Settings(format!(
        "not a PEM file of root certificates: `{}`",
        path.display()
    ))
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let length = std::fs::metadata(path).map_err(|_| bad_roots(path))?.len();
    if length > limits::ROOTS_FILE_BYTES_MAX {
        return Err(bad_roots(path));
    }
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|_| bad_roots(path))?;
    if certificates.is_empty() {
        return Err(bad_roots(path));
    }
    Ok(certificates)
}

/// Resolves a name and hands on only addresses of the public internet.
struct CheckedResolver {
    exempt: Option<String>,
}

/// Every address of a name is one we do not connect to.
#[derive(Debug)]
struct NoPublicAddress;

impl fmt::Display for NoPublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host's name leads to no address of the public internet")
    }
}

impl StdError for NoPublicAddress {}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let exempt = self.exempt.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fits = |address: &SocketAddr| exempt || is_public(address.ip());
            let checked: Vec<SocketAddr> = found.filter(fits).collect();
            if checked.is_empty() {
                return Err(NoPublicAddress.into());
            }
            let addresses: Addrs = Box::new(checked.into_iter());
            Ok(addresses)
        })
    }
}

/// What is known of an answer before its body.
fn head(response: &reqwest::Response) -> Answer {
    let field = |name: http::HeaderName| {
        let value = response.headers().get(name);
        let text = value.and_then(|value| value.to_str().ok());
        text.unwrap_or_default().to_owned()
    };
    let lines = |name: http::HeaderName| {
        let values = response.headers().get_all(name).into_iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let texts: Vec<&str> = texts.take(limits::ANSWER_FIELDS_MAX).collect();
        texts.join("\n")
    };
    Answer {
        status: response.status().as_u16(),
        content_type: field(http::header::CONTENT_TYPE),
        retry_after: lines(http::header::RETRY_AFTER),
        kept_for: lifetime::kept_for(
            &lines(http::header::CACHE_CONTROL),
            &field(http::header::EXPIRES),
            &field(http::header::DATE),
        ),
        www_authenticate: lines(http::header::WWW_AUTHENTICATE),
        body: Err(Unread::Broken),
    }
}

async fn read_body(
    response: &mut reqwest::Response,
    body_max: usize,
) -> std::result::Result<Secret<Vec<u8>>, Unread> {
    let announced = response.content_length().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    if announced > body_max {
        return Err(Unread::TooLong);
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|_| Unread::Broken)? {
        if body.len() + chunk.len() > body_max {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Secret::new(body))
}

/// Says what happened to a request, in our words, and whether it may have arrived.
fn failure(error: &reqwest::Error) -> Failure {
    let causes = causes(error);
    let is_refused = causes.iter().any(|cause| cause.is::<NoPublicAddress>());
    if is_refused {
        return Failure::ours(FailureKind::NotSent, FORBIDDEN, NoPublicAddress.to_string());
    }
    // All of these happen before the first byte of the request is written.
    let (kind, code) = if error.is_builder() || error.is_dns() || error.is_connect() {
        (FailureKind::NotSent, "not_reached")
    } else {
        (FailureKind::AnswerLost, "answer_lost")
    };
    let tls = causes
        .iter()
        .find_map(|cause| cause.downcast_ref::<rustls::Error>());
    let system = causes
        .iter()
        .find_map(|cause| cause.downcast_ref::<io::Error>());
    let what = match (tls, system) {
        (Some(tls), _) => filter_text(&format!("TLS: {tls}")),
        _ if error.is_dns() => "the host's name could not be resolved".into(),
        _ if error.is_timeout() => "the connection could not be made in time".into(),
        (None, Some(system)) => system.kind().to_string(),
        _ => "the connection failed".into(),
    };
    Failure::ours(kind, code, what)
}

/// The causes of an error, from the outermost in. An `io::Error` hides the one it wraps from
/// `source`, so that one is looked for as well.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        causes.push(cause);
        let wrapped = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn StdError + 'static));
        next = wrapped.or_else(|| cause.source());
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(name: &str, exempt: Option<&str>) -> std::result::Result<usize, String> {
        let resolver = CheckedResolver {
            exempt: exempt.map(str::to_owned),
        };
        match resolver.resolve(name.parse().unwrap()).await {
            Ok(found) => Ok(found.count()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// `localhost` stands for any name whose owner points it at us (DNS rebinding).
    #[tokio::test]
    async fn n6_a_name_that_leads_inside_resolves_to_nothing() {
        let refused = Err(NoPublicAddress.to_string());
        assert_eq!(resolve("localhost", None).await, refused);
        assert_eq!(resolve("localhost", Some("proxy.corp")).await, refused);
        assert!(resolve("localhost", Some("localhost")).await.is_ok());
    }

    #[test]
    fn the_proxy_itself_is_no_destination() {
        let egress = Egress::new(&EgressSettings {
            proxy: Some(ProxySettings {
                url: Secret::new("http://proxy.example:3128".into()),
                no_proxy: String::new(),
            }),
            ..EgressSettings::default()
        })
        .unwrap();
        let check = |url: &str| egress.check(&Url::parse(url).unwrap());
        assert!(check("https://proxy.example/").is_err());
        assert!(check("https://PROXY.example.:8443/").is_err());
        assert_eq!(check("https://other.example/"), Ok(Route::Public));
    }

    #[test]
    fn a_file_that_holds_no_root_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "junk", broken] {
            std::fs::write(file.path(), text).unwrap();
            assert!(tls_settings(&[file.path().to_owned()]).is_err(), "{text}");
        }
        assert!(tls_settings(&["/nowhere/roots.pem".into()]).is_err());
    }
}
