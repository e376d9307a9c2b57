//! The cookies that bind a browser to what it began.
//!
//! It promises: every cookie is `HttpOnly` and of this host alone; where the browser is on https it
//! is `Secure` and carries the `__Host-` prefix, so that no neighbour can plant it. It is
//! `SameSite=Lax`, but for an operator's, which is `Strict`, and for one that answers another
//! site's page on https: a browser would not take a lax one from there. Who forges a request with
//! that one is met by the guard, as without it.
//! It never: believes a cookie that came twice.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::error::{Error, Result};
use crate::limits;

/// One cookie of ours, by name. It is set and read in one way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cookie {
    wire_name: String,
    secure: bool,
}

impl Cookie {
    /// Names a cookie. `secure` says that the browser reaches us by https: by our own TLS, or under
    /// a public URL that is https. Not every browser keeps a `Secure` cookie of plain loopback,
    /// hence no prefix there.
    pub fn new(name: &str, secure: bool) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        Self {
            wire_name: format!("{prefix}{name}"),
            secure,
        }
    }

    /// The value of a `Set-Cookie` header.
    ///
    /// # Errors
    /// [`Error::Invalid`] where name or value hold what a cookie cannot (RFC 6265 4.1.1).
    pub fn set(&self, value: &str, life: Duration) -> Result<HeaderValue> {
        self.header(value, life, "Lax")
    }

    /// [`Cookie::set`], for one that a browser never sends along with a request which another site
    /// began, a followed link included: behind it stands an operator.
    ///
    /// # Errors
    /// Those of [`Cookie::set`].
    pub fn set_strict(&self, value: &str, life: Duration) -> Result<HeaderValue> {
        self.header(value, life, "Strict")
    }

    /// [`Cookie::set`], for the answer to a page elsewhere, which may be another site's.
    ///
    /// # Errors
    /// Those of [`Cookie::set`].
    pub fn set_for_page(&self, value: &str, life: Duration) -> Result<HeaderValue> {
        // `None` is taken with `Secure` alone. Where there is no https the page is of this machine,
        // on another port, and that is the same site.
        self.header(value, life, if self.secure { "None" } else { "Lax" })
    }

    fn header(&self, value: &str, life: Duration, same_site: &str) -> Result<HeaderValue> {
        let refuse = || Error::invalid("this cannot be the value of a cookie");
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if !self.wire_name.bytes().chain(value.bytes()).all(token) {
            return Err(refuse());
        }
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite={same_site}{secure}",
            self.wire_name,
            life.as_secs()
        );
        let mut header = HeaderValue::try_from(text).map_err(|_| refuse())?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// The value of a `Set-Cookie` header that takes the cookie away.
    ///
    /// # Errors
    /// Those of [`Cookie::set`].
    pub fn clear(&self) -> Result<HeaderValue> {
        self.set("", Duration::ZERO)
    }

    /// [`Cookie::clear`], for what [`Cookie::set_strict`] set.
    ///
    /// # Errors
    /// Those of [`Cookie::set`].
    pub fn clear_strict(&self) -> Result<HeaderValue> {
        self.set_strict("", Duration::ZERO)
    }

    /// What a request brought, if it brought it once. A second cookie of the name is a neighbour's
    /// (another path or port), and which of the two is ours nobody can tell.
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let lines = headers.get_all(COOKIE).iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        let mut found = None;
        for (index, pair) in pairs.enumerate() {
            if index == limits::COOKIES_MAX {
                return None;
            }
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            if name.trim() == self.wire_name && found.replace(value.trim()).is_some() {
                return None;
            }
        }
        found.filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn on_https_a_cookie_is_secure_and_of_this_host_alone() {
        let minute = Duration::from_secs(60);
        let plain = Cookie::new("sr_link", false).set("abc", minute).unwrap();
        assert_eq!(
            plain,
            "sr_link=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        let secure = Cookie::new("sr_link", true).set("abc", minute).unwrap();
        let expected = "__Host-sr_link=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(secure, expected);
        assert!(secure.is_sensitive());
        let page = Cookie::new("sr_link", true).set_for_page("abc", minute);
        let expected = "__Host-sr_link=abc; Path=/; Max-Age=60; HttpOnly; SameSite=None; Secure";
        assert_eq!(page.unwrap(), expected);
        let page = Cookie::new("sr_link", false).set_for_page("abc", minute);
        assert_eq!(page.unwrap(), plain);
        let cleared = Cookie::new("sr_link", false).clear().unwrap();
        assert_eq!(
            cleared,
            "sr_link=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn a_value_that_would_break_out_of_its_header_is_refused() {
        for value in ["a;b", "a b", "a\r\nb", "a\"", "é", "a,b"] {
            assert!(Cookie::new("x", true).set(value, Duration::ZERO).is_err());
        }
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name_and_only_once() {
        let cookie = Cookie::new("sr", true);
        assert_eq!(
            cookie.read(&sent(&["a=1; __Host-sr=xyz; b=2"])),
            Some("xyz")
        );
        assert_eq!(cookie.read(&sent(&["a=1", "__Host-sr=xyz"])), Some("xyz"));
        assert_eq!(cookie.read(&sent(&["sr=xyz; x__Host-sr=xyz"])), None);
        assert_eq!(cookie.read(&sent(&["__Host-sr=xyz; __Host-sr=abc"])), None);
        assert_eq!(cookie.read(&sent(&["__Host-sr="])), None);
        let many = "a=1;".repeat(limits::COOKIES_MAX);
        assert_eq!(cookie.read(&sent(&[&format!("{many}__Host-sr=xyz")])), None);
        assert_eq!(cookie.read(&sent(&[])), None);
    }
}
