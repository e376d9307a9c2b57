//! Texts with blanks: `https://{shop}/admin/oauth/access_token`, and what fills them.
//!
//! It promises: what fills a blank of a URL is a host, a port or a path segment, or, where the
//! blank stands first, a whole URL: no value moves the URL to another host or adds a query (T28).
//! It never: knows where a value comes from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::url::WebUrl;
use super::{Name, check_plain, check_text};
use crate::error::{Error, Result};
use crate::limits;

/// What fills blanks, by their names.
pub type Known = BTreeMap<Name, String>;

/// A text with blanks.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Blanks {
    text: String,
    /// What stands between the blanks, and the blanks: fixed, blank, fixed, … fixed.
    fixed: Vec<String>,
    names: Vec<Name>,
}

impl Blanks {
    /// Reads a text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a brace without its other, or a name that is none.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        check_plain("text with blanks", &text)?;
        let (mut fixed, mut names) = (Vec::new(), Vec::new());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after
                .split_once('}')
                .ok_or_else(|| Error::invalid(format!("`{{` has no `}}` behind it in `{text}`")))?;
            fixed.push(before.to_owned());
            names.push(Name::parse(name)?);
            rest = behind;
        }
        if rest.contains('}') || fixed.iter().any(|text| text.contains('}')) {
            return Err(Error::invalid(format!("`}}` stands alone in `{text}`")));
        }
        fixed.push(rest.to_owned());
        Ok(Self { text, fixed, names })
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its blanks, in order.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// Puts what `value_of` knows in place of every blank.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first blank that nothing fills.
    pub fn fill<'v>(&self, value_of: impl Fn(&Name) -> Option<&'v str>) -> Result<String> {
        let mut filled = self.fixed[0].clone();
        for (name, behind) in self.names.iter().zip(&self.fixed[1..]) {
            let missing = || Error::invalid(format!("nothing is known of `{name}`"));
            filled.push_str(value_of(name).ok_or_else(missing)?);
            filled.push_str(behind);
        }
        Ok(filled)
    }

    /// The URL it is, once filled; `what` names it in a message.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a blank is not filled, a value has no place in a URL, or what comes
    /// of it is none.
    pub fn url(&self, what: &str, known: &Known) -> Result<WebUrl> {
        for (at, name) in self.names.iter().enumerate() {
            let Some(value) = known.get(name) else {
                continue;
            };
            let is_first = at == 0 && self.fixed[0].is_empty();
            if is_first {
                // A whole URL: what follows it must not become a part of its host.
                let whole = WebUrl::parse(name.as_str(), value)?;
                let is_all = self.names.len() == 1 && self.fixed[1].is_empty();
                let is_apart = is_all || self.fixed[1].starts_with(['/', '?']);
                if whole.as_url().query().is_some() || !is_apart {
                    return Err(Error::invalid(format!("`{name}` does not fit `{what}`")));
                }
            } else if !value.bytes().all(is_plain) {
                return Err(Error::invalid(format!(
                    "`{name}` may hold letters, digits and `-._~:` only"
                )));
            }
        }
        let filled = self.fill(|name| {
            let value = known.get(name)?;
            Some(value.strip_suffix('/').unwrap_or(value))
        })?;
        WebUrl::parse(what, &filled)
    }
}

/// A byte that ends neither a host nor a path segment.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte)
}

impl fmt::Display for Blanks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Blanks {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(text)
    }
}

impl From<Blanks> for String {
    fn from(blanks: Blanks) -> Self {
        blanks.text
    }
}

/// A value of a service's that URLs or requests have a blank for.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// What it is, for whoever is asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// How it looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// What it is unless somebody says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What the whole value must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<super::Pattern>,
    /// What people paste with it and is taken off: before, or behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strip: Vec<String>,
    /// What is put behind a value that has it not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// It may be left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optional: bool,
    /// Who says what it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub asked_of: AskedOf,
    /// The parameter of the provider's redirect back to us that says what it is from then on: its
    /// pattern is the list of what is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_param: Option<String>,
}

/// Who says what a variable is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedOf {
    /// Whoever makes the app.
    #[default]
    Operator,
    /// Whoever connects, or whoever asks for the link: each connection has its own.
    Person,
}

/// True of what is as it is by default, and so is not written down.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Variable {
    /// Checks and mends what somebody said it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what it should look like.
    pub fn read(&self, name: &Name, said: &str) -> Result<String> {
        let mut value = said.trim();
        for extra in &self.strip {
            value = value.strip_prefix(extra.as_str()).unwrap_or(value);
            value = value.strip_suffix(extra.as_str()).unwrap_or(value);
        }
        let mut value = value.to_owned();
        if let Some(suffix) = self
            .suffix
            .as_deref()
            .filter(|suffix| !value.ends_with(*suffix))
        {
            value.push_str(suffix);
        }
        let fits = self
            .pattern
            .as_ref()
            .is_none_or(|pattern| pattern.fits(&value));
        if value.len() > limits::VARIABLE_BYTES_MAX || value.chars().any(char::is_control) || !fits
        {
            let such_as = self.example.as_ref().or(self.default.as_ref());
            let such_as = such_as.map(|example| format!(", such as `{example}`"));
            return Err(Error::invalid(format!(
                "`{name}` does not look right{}",
                such_as.unwrap_or_default()
            )));
        }
        Ok(value)
    }

    /// True where each connection has its own.
    pub fn is_of_connection(&self) -> bool {
        self.asked_of == AskedOf::Person || self.callback_param.is_some()
    }

    /// Checks that its default fits it.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self, name: &Name) -> Result<()> {
        check_text("help", &self.help)?;
        if self.callback_param.is_some() && self.pattern.is_none() {
            return Err(Error::invalid(format!(
                "`{name}` has a `callback_param`, so it needs a `pattern` of what is allowed"
            )));
        }
        match &self.default {
            Some(default) => self.read(name, default).map(drop),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(pairs: &[(&str, &str)]) -> Known {
        let read = |(name, value): &(&str, &str)| (Name::parse(*name).unwrap(), (*value).into());
        pairs.iter().map(read).collect()
    }

    #[test]
    fn blanks_are_filled_in_order() {
        let text = Blanks::parse("https://{shop}/admin/{version}/x").unwrap();
        let all = known(&[("shop", "acme.myshopify.com"), ("version", "2026-01")]);
        let url = text.url("token_url", &all).unwrap();
        assert_eq!(url.as_str(), "https://acme.myshopify.com/admin/2026-01/x");
        let missing = text.url("token_url", &known(&[("shop", "a.example")]));
        assert!(missing.unwrap_err().to_string().contains("`version`"));
        for bad in ["https://{shop/", "https://shop}/", "{}", "{a b}", "{{a}}"] {
            assert!(Blanks::parse(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn t28_a_value_moves_no_url_to_another_host() {
        let host = Blanks::parse("https://{shop}.example.com/token").unwrap();
        let hostile = [
            "evil.example/",
            "evil.example?",
            "evil.example#",
            "a@evil.example",
            "a\\b",
            "a b",
            "evil.example%2f",
            "",
            "a\n",
        ];
        for value in hostile {
            let url = host.url("token_url", &known(&[("shop", value)]));
            let own = |url: &WebUrl| url.authority().ends_with(".example.com:443");
            assert!(url.as_ref().map_or(true, own), "{value:?} led to {url:?}");
        }
        let whole = Blanks::parse("{instance_url}/revoke").unwrap();
        let led = |value: &str| whole.url("revocation_url", &known(&[("instance_url", value)]));
        assert_eq!(
            led("https://a.example/").unwrap().as_str(),
            "https://a.example/revoke"
        );
        for value in [
            "a.example",
            "javascript:x",
            "https://a.example/?q=",
            "https://u:p@a.example",
        ] {
            assert!(led(value).is_err(), "{value} was taken");
        }
        let alone = Blanks::parse("{instance_url}").unwrap();
        let all = known(&[("instance_url", "https://a"), ("host", "b")]);
        assert_eq!(alone.url("x", &all).unwrap().as_str(), "https://a/");
        for glued in ["{instance_url}.example/revoke", "{instance_url}{host}/x"] {
            let glued = Blanks::parse(glued).unwrap();
            assert!(glued.url("x", &all).is_err(), "{glued}");
        }
    }

    #[test]
    fn what_people_paste_too_much_is_taken_off() {
        let shop = Variable {
            pattern: Some(super::super::Pattern::parse(r"[a-z0-9-]+\.myshopify\.com").unwrap()),
            strip: vec!["https://".into(), "/".into()],
            suffix: Some(".myshopify.com".into()),
            example: Some("acme.myshopify.com".into()),
            ..Variable::default()
        };
        let name = Name::parse("shop").unwrap();
        for said in [
            "acme",
            "acme.myshopify.com",
            " https://acme.myshopify.com/ ",
        ] {
            assert_eq!(shop.read(&name, said).unwrap(), "acme.myshopify.com");
        }
        let wrong = shop
            .read(&name, "evil.example/acme")
            .unwrap_err()
            .to_string();
        assert!(wrong.contains("such as `acme.myshopify.com`"), "{wrong}");
    }
}
