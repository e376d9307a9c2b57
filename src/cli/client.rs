//! The command line's own small client of a running server.
//!
//! It promises: the access key goes over TLS, to this machine, or through a Unix socket, and
//! nowhere else; no redirect is followed; answers are bounded in length and time; whatever comes
//! back becomes an answer or a [`Failure`] with the server's own words.
//! It never: sends a request twice, uses a proxy for what is on this machine, or puts the access
//! key in a message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use url::{Host, Url};

use super::args::Remote;
use super::failure::{Exit, Failure, printable};
use super::secrets;
use crate::limits;
use crate::secret::Secret;

/// A way to one server.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// The server's address as the user named it.
    shown: String,
    key: Option<HeaderValue>,
}

/// What the server answered.
struct Answer {
    status: u16,
    body: Value,
}

/// How a server is reached.
enum Way {
    /// Over TCP, on this machine.
    Loopback(Url),
    /// Over TLS.
    Tls(Url),
    /// Through a Unix socket.
    Unix(PathBuf),
}

impl Client {
    /// Makes a client with the access key of `--key-file` or `STRONGROOM_KEY`.
    ///
    /// # Errors
    /// Wrong use, where there is no key, or the address is no place to send one.
    pub fn with_key(remote: &Remote) -> Result<Self, Failure> {
        let mut client = Self::without_key(&remote.server)?;
        client.key = Some(access_key(remote.key_file.as_deref())?);
        Ok(client)
    }

    /// Makes a client that shows no access key: for health and unlocking.
    ///
    /// # Errors
    /// Wrong use, where the address is no place to send a secret.
    pub fn without_key(server: &super::args::Server) -> Result<Self, Failure> {
        let plain = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .connect_timeout(limits::CLIENT_CONNECT_TIMEOUT)
            .timeout(limits::CLIENT_TIMEOUT)
            .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")));
        let (builder, base) = match way(&server.url)? {
            Way::Tls(url) => (
                plain.tls_backend_preconfigured(tls(&server.ca_file, true)?),
                url,
            ),
            Way::Loopback(url) => {
                // "localhost" is this machine, whatever a resolver says.
                let here: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                let here = here.map(|ip| SocketAddr::new(ip, 0));
                let plain = plain.tls_backend_preconfigured(tls(&[], false)?);
                (plain.no_proxy().resolve_to_addrs("localhost", &here), url)
            }
            Way::Unix(path) => {
                let base = Url::parse("http://localhost/").expect("it is a URL");
                let plain = plain.tls_backend_preconfigured(tls(&[], false)?);
                (plain.no_proxy().unix_socket(path), base)
            }
        };
        let http = builder
            .build()
            .map_err(|_| Failure::new(Exit::Failed, "the HTTP client cannot be set up", ""))?;
        Ok(Self {
            http,
            base,
            shown: server.url.clone(),
            key: None,
        })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.done(Method::GET, path, query, None).await
    }

    /// Sends a body.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.done(Method::POST, path, &[], Some(body)).await
    }

    /// Puts a body in the place of what is there.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn put(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.done(Method::PUT, path, &[], Some(body)).await
    }

    /// Deletes something.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn delete(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.done(Method::DELETE, path, query, None).await
    }

    /// Deletes something that asks for a proof, which goes in the body.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn delete_with(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.done(Method::DELETE, path, &[], Some(body)).await
    }

    async fn done(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let answer = self.call(method, path, query, body).await?;
        if (200..300).contains(&answer.status) {
            Ok(answer.body)
        } else {
            Err(self.unknown_answer(answer.status))
        }
    }

    /// Asks for a token: every outcome is an answer, not a failure.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn outcome(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        let answer = self.call(Method::POST, path, &[], Some(body)).await?;
        if answer.body["outcome"].is_string() {
            Ok(answer.body)
        } else {
            Err(self.unknown_answer(answer.status))
        }
    }

    /// One request, one answer. An answer with an `error` in it is a failure.
    ///
    /// # Errors
    /// The server's own error; unavailable, where it cannot be reached or breaks off.
    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.clone());
        }
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| self.unreached(&error))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreached(&error))?
        {
            if bytes.len() + chunk.len() > limits::CLIENT_ANSWER_BYTES_MAX {
                return Err(self.unknown_answer(status));
            }
            bytes.extend_from_slice(&chunk);
        }
        let bytes = Secret::new(bytes);
        let body: Value =
            serde_json::from_slice(bytes.expose()).map_err(|_| self.unknown_answer(status))?;
        match served_error(&body) {
            Some(failure) => Err(failure),
            None => Ok(Answer { status, body }),
        }
    }

    /// What came back is not an answer of ours.
    fn unknown_answer(&self, status: u16) -> Failure {
        let exit = match status {
            502..=504 => Exit::Unavailable,
            _ => Exit::Failed,
        };
        Failure::new(
            exit,
            format!(
                "{} answered {status}, but not as strongroom does",
                self.shown
            ),
            "check that the address is strongroom's own, with no other server or proxy before it",
        )
    }

    fn unreached(&self, error: &reqwest::Error) -> Failure {
        let shown = &self.shown;
        if error.is_connect() && !error.is_timeout() {
            let why = innermost(error);
            if why.contains("peer certificate") {
                return Failure::new(
                    Exit::Unavailable,
                    format!("the certificate of {shown} is not trusted: {why}"),
                    "name its authority's certificate with `--ca-file FILE`; a self-signed one \
                     is taken if it was made with `basicConstraints=critical,CA:FALSE`",
                );
            }
            return Failure::new(
                Exit::Unavailable,
                format!("no server can be reached at {shown}: {why}"),
                "start it with `strongroom serve`, or say where it is: `--url URL` or \
                 STRONGROOM_URL",
            );
        }
        let what = if error.is_timeout() {
            format!("{shown} did not answer in time")
        } else {
            format!("{shown} broke the connection off: {}", innermost(error))
        };
        Failure::new(
            Exit::Unavailable,
            what,
            "look at the server's log, then try again",
        )
    }
}

/// The cause at the bottom of an error, which is the system's or TLS's and holds no URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut depth = 0;
    while let Some(next) = cause.source() {
        cause = next;
        depth += 1;
    }
    match depth {
        0 => "it is not known why".into(),
        _ => printable(&cause.to_string()),
    }
}

/// The error of an answer, as a failure.
fn served_error(body: &Value) -> Option<Failure> {
    let error = body["error"].as_object()?;
    let word = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = match word("message") {
        "" => "the server gave no reason",
        message => message,
    };
    let failure = Failure::new(Exit::of_code(word("code")), message, word("hint"));
    Some(failure.with_code(word("code")))
}

/// The access key, ready to be sent.
fn access_key(file: Option<&Path>) -> Result<HeaderValue, Failure> {
    let key = match (file, std::env::var("STRONGROOM_KEY")) {
        (Some(path), _) => secrets::read_text_file("the access key", path)?,
        (None, Ok(text)) if !text.is_empty() => Secret::new(text),
        (None, _) => {
            return Err(Failure::usage(
                "no access key was given",
                "set STRONGROOM_KEY, or name a file with `--key-file FILE` (`--access-key-file` \
                 where the other opens the vault); `strongroom init` printed the first one, \
                 `strongroom key add` makes more",
            ));
        }
    };
    let header = Secret::new(format!("Bearer {}", key.expose()));
    let mut header = HeaderValue::from_str(header.expose())
        .ok()
        .filter(|_| key.expose().starts_with("sr_") && !key.expose().contains(char::is_whitespace))
        .ok_or_else(|| {
            Failure::usage(
                "this is not an access key: one begins with `sr_` and has no white space",
                "look at STRONGROOM_KEY or the file again",
            )
        })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Reads a server's address, and refuses one where a secret would cross a network in the clear.
fn way(text: &str) -> Result<Way, Failure> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.starts_with('/') {
            return Ok(Way::Unix(path.into()));
        }
        return Err(bad_address(
            "a Unix socket is written unix:/run/strongroom.sock",
        ));
    }
    let url = Url::parse(text).map_err(|_| bad_address("it is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad_address("a user name or password has no place in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad_address("it has a query or a fragment"));
    }
    let here = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(Way::Tls(url)),
        "http" if here => Ok(Way::Loopback(url)),
        "http" => Err(Failure::usage(
            format!("{text} is another machine: secrets would cross the network in the clear"),
            "use https, or a tunnel to the server's loopback address",
        )),
        _ => Err(bad_address("it is neither http nor https")),
    }
}

fn bad_address(why: &str) -> Failure {
    Failure::usage(
        format!("the server's address cannot be used: {why}"),
        "write https://vault.example.com, http://127.0.0.1:7420 or unix:/run/strongroom.sock",
    )
}

/// TLS 1.2 or later, trusting the roots given, and the system's where asked. (The library wants
/// settings also where there is no TLS.)
fn tls(ca_files: &[PathBuf], system_roots: bool) -> Result<rustls::ClientConfig, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    if system_roots {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for path in ca_files {
        let bad = || {
            Failure::usage(
                format!("{} is not a PEM file of certificates", path.display()),
                "give the file of the authority that signed the server's certificate",
            )
        };
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|_| bad())? {
            let certificate = certificate.map_err(|_| bad())?;
            roots.add(certificate).map_err(|_| bad())?;
            found += 1;
        }
        if found == 0 {
            return Err(bad());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Failure::new(Exit::Failed, "the TLS library offers no safe version", ""))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_over_tls_or_stays_on_this_machine() {
        for good in [
            "https://vault.example.com",
            "https://vault.example.com/behind/a/prefix",
            "http://127.0.0.1:7420",
            "http://127.8.8.8:1",
            "http://[::1]:7420/",
            "http://localhost:7420",
            "unix:/run/strongroom.sock",
            "unix:///run/strongroom.sock",
        ] {
            assert!(way(good).is_ok(), "{good} was refused");
        }
        for bad in [
            "http://vault.example.com",
            "http://192.168.1.2:7420",
            "http://0.0.0.0:7420",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "https://user:word@vault.example.com",
            "https://vault.example.com/?key=1",
            "ftp://127.0.0.1",
            "unix:relative.sock",
            "vault.example.com",
            "",
        ] {
            assert!(way(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn an_error_of_the_server_keeps_its_words() {
        let body = serde_json::json!({"error": {"code": "locked", "message": "m", "hint": "h"}});
        assert_eq!(
            served_error(&body),
            Some(Failure::new(Exit::Locked, "m", "h").with_code("locked"))
        );
        assert_eq!(served_error(&serde_json::json!({"apps": []})), None);
    }
}
