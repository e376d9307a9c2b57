//! URLs: where a provider is asked, and where a person is sent back to.
//!
//! It promises: shown, a URL loses its query, its fragment and any user name; what was parsed is
//! absolute, `https` or `http`, and has no credentials in it.
//! It never: resolves a name or decides which hosts may be reached (that is `provider/egress`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits;

/// An absolute `http` or `https` URL. `http` is for named internal hosts and loopback only, which
/// the way out decides.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebUrl(url::Url);

impl WebUrl {
    /// Reads a URL; `what` names the field in the message.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not an absolute web URL, holds credentials or a fragment.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        let refuse = |why: &str| Err(Error::invalid(format!("`{what}` {why}")));
        if text.len() > limits::URL_BYTES_MAX {
            return refuse("is too long for a URL");
        }
        // The parser forgives what browsers forgive, so that one address has many spellings. Here a
        // URL is compared with a list, and a forgiven spelling is somebody's trick.
        let rest = text.split_once(':').map_or("", |(_, rest)| rest);
        let plain = rest.starts_with("//") && !rest.starts_with("///");
        let tricks = |c: char| c.is_control() || c == '\\';
        if !plain || text.trim() != text || text.contains(tricks) {
            return refuse("is not an absolute URL such as https://example.com/path");
        }
        let Ok(url) = url::Url::parse(text) else {
            return refuse("is not an absolute URL such as https://example.com/path");
        };
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
            return refuse("is not an https URL with a host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("must not hold a user name or password");
        }
        if url.fragment().is_some() {
            return refuse("must not have a fragment (RFC 6749 3.1)");
        }
        Ok(Self(url))
    }

    /// Its origin as browsers write it, such as `https://app.example.com`.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The parsed URL.
    pub fn as_url(&self) -> &url::Url {
        &self.0
    }

    /// The whole text, query included: for the one line that sends it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Host and port, which name whom we talk to.
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        format!("{host}:{}", self.0.port_or_known_default().unwrap_or(443))
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        f.write_str(shown.as_str())
    }
}

impl TryFrom<String> for WebUrl {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse("url", &text)
    }
}

impl From<WebUrl> for String {
    fn from(url: WebUrl) -> Self {
        url.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_shown_has_lost_its_query() {
        let url = WebUrl::parse("u", "https://a.example/x?code=hidden").unwrap();
        assert_eq!(url.to_string(), "https://a.example/x");
        assert_eq!(url.as_str(), "https://a.example/x?code=hidden");
        assert_eq!(url.authority(), "a.example:443");
    }

    #[test]
    fn odd_urls_are_refused() {
        let bad = [
            "",
            "example.com",
            "//example.com",
            "javascript:alert(1)",
            "ftp://a.example/",
            "https://",
            "https://user@a.example/",
            "https://u:p@a.example/",
            "https://a.example/#f",
            "data:text/html,x",
            "file:///etc/passwd",
            " https://a.example/",
            "https://a.example/\0",
            "https://a.exam\nple/",
            "https:a.example/",
            "https:/a.example/",
            "https:///a.example/",
            "https:\\\\a.example/",
            "https://a.example\\x",
        ];
        for text in bad {
            assert!(WebUrl::parse("u", text).is_err(), "{text:?} was taken");
        }
    }
}
