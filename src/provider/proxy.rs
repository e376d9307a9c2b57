//! The proxy that public hosts are reached by, where a network has one.
//!
//! It promises: its URL, which may hold a password, is a secret and never shown.
//! It never: reads the environment (it is given a way to look variables up).

use std::fmt;

use url::{Host, Url};

use super::addresses::read_host;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// A proxy for https. It resolves names itself, so behind it only names and literal addresses are
/// checked here; which networks it reaches is its own rule.
#[derive(Clone)]
pub struct ProxySettings {
    /// Its URL, with credentials where it wants some.
    pub url: Secret<String>,
    /// Hosts reached without it, as in `NO_PROXY`.
    pub no_proxy: String,
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySettings").finish_non_exhaustive()
    }
}

impl ProxySettings {
    /// Reads `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` (lower case wins), given a way to look
    /// variables up; `None` where no proxy is set.
    pub fn from_variables(look_up: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let first = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| look_up(name));
            values.find(|value| !value.trim().is_empty())
        };
        Some(Self {
            url: Secret::new(first(&[
                "https_proxy",
                "HTTPS_PROXY",
                "all_proxy",
                "ALL_PROXY",
            ])?),
            no_proxy: first(&["no_proxy", "NO_PROXY"]).unwrap_or_default(),
        })
    }

    /// The host of the proxy, whose own address is not checked: the operator named it.
    ///
    /// # Errors
    /// [`Error::Settings`] where the URL is not one of http or https.
    pub fn host(&self) -> Result<Host> {
        let text = self.url.expose();
        let full = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        let known = |url: &Url| matches!(url.scheme(), "http" | "https");
        full.ok()
            .filter(known)
            .and_then(|url| url.host_str().and_then(read_host))
            .map(|(host, _)| host)
            .ok_or_else(|| Error::Settings("the proxy is not an http or https URL".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_from_the_usual_variables() {
        let read = |set: &[(&str, &str)]| {
            ProxySettings::from_variables(|name| {
                let found = set.iter().find(|(set, _)| *set == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(read(&[]).is_none());
        assert!(read(&[("HTTPS_PROXY", " "), ("HTTP_PROXY", "http://p:1")]).is_none());
        let proxy = read(&[
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://u:pw@lower.corp:1"),
            ("NO_PROXY", ".corp"),
        ])
        .unwrap();
        assert_eq!(proxy.host().unwrap().to_string(), "lower.corp");
        assert_eq!(proxy.no_proxy, ".corp");
        assert!(!format!("{proxy:?}").contains("pw"));
        let bare = read(&[("ALL_PROXY", "proxy:3128")]).unwrap();
        assert_eq!(bare.host().unwrap().to_string(), "proxy");
        for bad in ["socks5://p:1", "http://", "::", "ftp://p"] {
            let proxy = read(&[("https_proxy", bad)]).unwrap();
            assert!(proxy.host().is_err(), "{bad}");
        }
    }
}
