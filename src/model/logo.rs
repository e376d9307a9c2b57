//! A picture that stands for an app or a brand.
//!
//! It promises: what was parsed is a web address, or a small picture written out as a `data:` URL
//! of a kind that a page can show and that runs nothing there.
//! It never: fetches one: our pages ask no other host, so that only a picture written out is shown.

use serde::{Deserialize, Serialize};

use super::url::WebUrl;
use crate::error::{Error, Result};
use crate::limits;

/// What a picture written out begins with, and how its first bytes are written; of an SVG, which is
/// text, these can be any. In an `img` none of them runs a script or loads anything, an SVG
/// included.
const KINDS: [(&str, &str); 4] = [
    ("data:image/png;base64,", "iVBORw0KGgo"),
    ("data:image/svg+xml;base64,", ""),
    ("data:image/jpeg;base64,", "/9j/"),
    ("data:image/webp;base64,", "UklGR"),
];

/// A picture.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Logo {
    /// Where it is. Kept and listed for others.
    Web(WebUrl),
    /// The picture itself, as a `data:` URL.
    Inline(String),
}

impl Logo {
    /// Reads a picture's address or a `data:` URL; `what` names the field in the message.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is neither, or longer than [`limits::LOGO_BYTES_MAX`].
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        if !text.starts_with("data:") {
            return WebUrl::parse(what, text).map(Self::Web);
        }
        let refuse = |why: String| Err(Error::invalid(format!("`{what}` {why}")));
        let Some(data) = KINDS.iter().find_map(|(kind, _)| text.strip_prefix(kind)) else {
            return refuse("is written out as PNG, SVG, JPEG or WebP, in base64".into());
        };
        if text.len() > limits::LOGO_BYTES_MAX {
            let most = limits::LOGO_BYTES_MAX;
            return refuse(format!("is longer than {most} bytes when written out"));
        }
        let is_base64 =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        match !data.is_empty() && data.bytes().all(is_base64) {
            true => Ok(Self::Inline(text.to_owned())),
            false => refuse("is not base64".into()),
        }
    }

    /// Refuses a picture that does not begin as one of its kind: pages would show nothing. Asked of
    /// what comes in; what is kept already is read as it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `what`.
    pub fn check(&self, what: &str) -> Result<()> {
        let data = self.as_str();
        let begins = |(kind, first): &(&str, &str)| {
            data.strip_prefix(kind)
                .is_none_or(|rest| rest.starts_with(first))
        };
        match KINDS.iter().all(begins) {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "`{what}` is no picture of the kind that it says"
            ))),
        }
    }

    /// The picture as a page can show it without asking any other host.
    pub fn inline(&self) -> Option<&str> {
        match self {
            Self::Web(_) => None,
            Self::Inline(data) => Some(data),
        }
    }

    /// Its address, or the picture written out.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Web(url) => url.as_str(),
            Self::Inline(data) => data,
        }
    }
}

impl TryFrom<String> for Logo {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse("logo", &text)
    }
}

impl From<Logo> for String {
    fn from(logo: Logo) -> Self {
        logo.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: nothing that could run or load anything is taken for a picture. Method: a table.
    #[test]
    fn a_logo_is_an_address_or_a_small_picture() {
        let long = format!("{}{}", KINDS[0].0, "A".repeat(limits::LOGO_BYTES_MAX));
        let quote = format!("{}AAAA\"><b>", KINDS[0].0);
        for wrong in [
            "data:text/html;base64,AAAA",
            "data:image/svg+xml,<svg/>",
            "data:image/png;base64,",
            "javascript:alert(1)",
            "logo.png",
            &quote,
            &long,
        ] {
            assert!(Logo::parse("logo", wrong).is_err(), "{wrong}");
        }
        let web = Logo::parse("logo", "https://example.com/l.png").unwrap();
        assert_eq!(
            (web.inline(), web.as_str()),
            (None, "https://example.com/l.png")
        );
        let broken = Logo::parse("logo", "data:image/png;base64,AAAA").unwrap();
        assert!(broken.check("logo").is_err() && web.check("logo").is_ok());
        let data = "data:image/png;base64,iVBORw0KGgo=";
        assert!(Logo::parse("logo", data).unwrap().check("logo").is_ok());
        assert_eq!(Logo::parse("logo", data).unwrap().inline(), Some(data));
    }
}
