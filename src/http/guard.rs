//! Who may a request say it is for, and where may it come from: DNS rebinding and CSRF (T21-T23).
//!
//! It promises:
//! 1. a request passes only under a `Host` that is on the list, compared whole and normalised;
//! 2. what a browser says about a request's origin is believed where it speaks against it;
//! 3. a refusal repeats nothing of the request.
//!
//! It never: resolves a name, trusts a `Forwarded` header or sends a CORS header (`cors` does).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::error::{Error, Result};
use crate::http::answer;
use crate::http::answer::Answer;
use crate::limits;

/// The names of this machine that lead to a listener on its loopback address.
const LOOPBACK_HOSTS: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// What a browser says of a request, and no script can (Fetch Metadata).
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// There is not exactly one well-formed `Host`, or the target disagrees with it (RFC 9112 3.2).
    BadHost,
    /// The `Host` is none of ours (RFC 9110 7.4).
    ForeignHost,
    /// The `Origin` is none of ours, or the browser says that another site made the request.
    ForeignOrigin,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadHost => StatusCode::BAD_REQUEST,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
        }
    }

    /// The stable code of the answer.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadHost => "invalid_host",
            Self::ForeignHost => "host_not_allowed",
            Self::ForeignOrigin => "origin_not_allowed",
        }
    }

    /// The whole answer.
    pub fn answer(self) -> Answer {
        let (message, hint) = self.words();
        answer::error(self.status(), self.code(), message, hint)
    }

    /// What is wrong, and what to do about it.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BadHost => (
                "the request does not name its host exactly once, as `host` or `host:port`",
                "send one `Host` header that agrees with the request's target",
            ),
            Self::ForeignHost => (
                "this server does not answer under the host name of the request",
                "use the address it listens on; an operator adds a name with \
                 `serve --public-url URL`",
            ),
            Self::ForeignOrigin => (
                "another web site made this request",
                "open the page from this server itself; other sites may not call it",
            ),
        }
    }
}

/// What kind of door a request knocks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// A native route: no web page but our own has any business here.
    Api,
    /// A page for people: a link or a provider's redirect may lead here from another site, by a
    /// top-level `GET` only.
    Page,
}

/// The hosts a server answers under, and the origins its own pages have.
#[derive(Clone, Debug, Default)]
pub struct HostRule {
    hosts: BTreeSet<String>,
    origins: BTreeSet<String>,
    ports: BTreeSet<u16>,
    /// The origins of pages elsewhere that may call the few routes made for pages.
    pages: BTreeSet<String>,
    tls: bool,
}

impl HostRule {
    /// The rule for what is bound: each bound address, and the loopback names where they lead
    /// there. An unspecified address (`0.0.0.0`) is where we listen and nobody's name for us.
    pub fn new(bound: &[SocketAddr], tls: bool) -> Self {
        let mut rule = Self {
            tls,
            ..Self::default()
        };
        for address in bound {
            let (ip, port) = (address.ip().to_canonical(), address.port());
            rule.ports.insert(port);
            if ip.is_loopback() || ip.is_unspecified() {
                for host in LOOPBACK_HOSTS {
                    rule.allow(host, port);
                }
            }
            match ip {
                _ if ip.is_unspecified() => {}
                IpAddr::V4(v4) => rule.allow(&v4.to_string(), port),
                IpAddr::V6(v6) => rule.allow(&format!("[{v6}]"), port),
            }
        }
        rule
    }

    /// Adds the URL under which people and programs reach us, whatever stands before us.
    ///
    /// # Errors
    /// [`Error::Settings`] where it has no host.
    pub fn with_public_url(mut self, url: &url::Url) -> Result<Self> {
        let host = url.host_str().map(|host| host.to_ascii_lowercase());
        let (Some(host), Some(port)) = (host, url.port_or_known_default()) else {
            let what = "the public URL must be like https://vault.example.com";
            return Err(Error::Settings(what.to_owned()));
        };
        if url.port().is_none() {
            self.hosts.insert(host.clone());
        }
        self.hosts.insert(format!("{host}:{port}"));
        self.origins.insert(url.origin().ascii_serialization());
        Ok(self)
    }

    /// Adds one more name, `host` (with any bound port, or none) or `host:port`.
    ///
    /// # Errors
    /// [`Error::Settings`] where it is not such a name.
    pub fn with_host(mut self, text: &str) -> Result<Self> {
        let Some((host, port)) = split_host(text) else {
            let what = format!("`{text}` is not a host name such as vault.lan or vault.lan:7420");
            return Err(Error::Settings(what));
        };
        let Some(port) = port else {
            for port in self.ports.clone() {
                self.allow(&host, port);
            }
            self.hosts.insert(host.clone());
            self.origins.insert(format!("{}://{host}", self.scheme()));
            return Ok(self);
        };
        self.allow(&host, port);
        Ok(self)
    }

    /// Adds the origin of pages elsewhere that may call the few routes made for pages, as a browser
    /// names it: `https://app.example.com`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not exactly that.
    pub fn with_page(mut self, origin: &str) -> Result<Self> {
        self.pages.insert(page_origin(origin)?);
        Ok(self)
    }

    /// The origin of the page that made a request, where it is on the list of those.
    pub fn page_of(&self, headers: &HeaderMap) -> Option<&str> {
        if self.pages.is_empty() {
            return None;
        }
        let origin = single(headers, &ORIGIN).ok().flatten()?;
        self.pages.get(origin).map(String::as_str)
    }

    /// Checks for whom a request is.
    ///
    /// Over a Unix socket the loopback names pass with any port: no browser speaks there, and
    /// clients put there whatever their URL needed.
    ///
    /// # Errors
    /// [`Refusal::BadHost`] or [`Refusal::ForeignHost`].
    pub fn check_host(
        &self,
        headers: &HeaderMap,
        target: &Uri,
        over_unix: bool,
    ) -> std::result::Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::BadHost);
        };
        let host = host.to_str().map_err(|_| Refusal::BadHost)?;
        if target.authority().is_none() && self.hosts.contains(host) {
            return Ok(());
        }
        let named = split_host(host).ok_or(Refusal::BadHost)?;
        if let Some(authority) = target.authority()
            && split_host(authority.as_str()).as_ref() != Some(&named)
        {
            return Err(Refusal::BadHost);
        }
        let local = over_unix && LOOPBACK_HOSTS.contains(&named.0.as_str());
        let joined = match named {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host,
        };
        if local || self.hosts.contains(&joined) {
            return Ok(());
        }
        Err(Refusal::ForeignHost)
    }

    /// Checks where a request comes from, as far as a browser says.
    ///
    /// A program sends none of these headers and passes; it has a key to show. A page under
    /// `Referrer-Policy: no-referrer` posts its own form with `Origin: null` (Fetch, "append a
    /// request `Origin` header"), and so does a hostile sandboxed frame: which of the two it was
    /// only `Sec-Fetch-Site` tells, which no script can set.
    ///
    /// # Errors
    /// [`Refusal::ForeignOrigin`].
    pub fn check_origin(
        &self,
        headers: &HeaderMap,
        method: &Method,
        door: Door,
    ) -> std::result::Result<(), Refusal> {
        let site = single(headers, &SEC_FETCH_SITE)?;
        let own_page = door == Door::Page && site == Some("same-origin");
        match single(headers, &ORIGIN)? {
            None => {}
            Some("null") if own_page => {}
            Some(origin) if self.origins.contains(origin) => {}
            Some(_) => return Err(Refusal::ForeignOrigin),
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match site {
            // `none`: the person's own doing, such as a typed address.
            None | Some("same-origin" | "none") => Ok(()),
            // Another port of this machine is the same site, and no friend for that.
            Some("same-site") if reads && door == Door::Api => Ok(()),
            Some("same-site" | "cross-site") if reads && door == Door::Page => {
                let mode = single(headers, &SEC_FETCH_MODE)?.unwrap_or("navigate");
                let dest = single(headers, &SEC_FETCH_DEST)?.unwrap_or("document");
                if (mode, dest) == ("navigate", "document") {
                    return Ok(());
                }
                Err(Refusal::ForeignOrigin)
            }
            Some(_) => Err(Refusal::ForeignOrigin),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    fn allow(&mut self, host: &str, port: u16) {
        let scheme = self.scheme();
        self.hosts.insert(format!("{host}:{port}"));
        if port == if self.tls { 443 } else { 80 } {
            self.hosts.insert(host.to_owned());
            self.origins.insert(format!("{scheme}://{host}"));
        } else {
            self.origins.insert(format!("{scheme}://{host}:{port}"));
        }
    }
}

/// Reads the origin of a page, exactly as browsers write it (RFC 6454 6.2).
///
/// # Errors
/// [`Error::Invalid`] where it is no such origin, or not written like that.
pub fn page_origin(text: &str) -> Result<String> {
    let url = url::Url::parse(text).ok();
    let is_web = |url: &url::Url| matches!(url.scheme(), "https" | "http");
    let origin = url.filter(is_web).map(|url| url.origin());
    let origin = origin.map(|origin| origin.ascii_serialization());
    // A star would be taken for a name, and let nobody in.
    let is_plain = |origin: &String| origin == text && !text.contains('*');
    origin.filter(is_plain).ok_or_else(|| {
        Error::invalid(format!(
            "`{text}` is not an origin as browsers write it: https://app.example.com, with the \
             port where it is not the usual one, in small letters, and nothing after it"
        ))
    })
}

/// A header that is absent or there once, as text.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> std::result::Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Refusal::ForeignOrigin),
        (Some(_), Some(_)) => Err(Refusal::ForeignOrigin),
    }
}

/// Reads `host` or `host:port`: the host in lower case, an IPv6 address in its one short form, the
/// port as a number. A trailing dot stays, so that the name is on nobody's list; a user name, a
/// zone, an escape or a space makes it malformed.
fn split_host(text: &str) -> Option<(String, Option<u16>)> {
    if text.len() > limits::HOST_BYTES_MAX {
        return None;
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, rest) = rest.split_once(']')?;
        let address: Ipv6Addr = inside.parse().ok()?;
        (format!("[{address}]"), rest)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let (host, port) = text.split_at(end);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return None;
        }
        (host.to_ascii_lowercase(), port)
    };
    // RFC 3986 3.2.3: a colon without a port says the same as none.
    if matches!(port, "" | ":") {
        return Some((host, None));
    }
    let digits = port.strip_prefix(':')?;
    if digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((host, Some(digits.parse().ok()?)))
}

#[cfg(test)]
mod tests;
