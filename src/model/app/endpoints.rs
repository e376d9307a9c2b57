//! The addresses of an authorization server, and those that have blanks.
//!
//! It promises: an address with blanks leads where its text says, whatever fills them.
//! It never: asks any of them.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::Name;
use crate::model::blanks::{Blanks, Known};
use crate::model::url::WebUrl;

/// The addresses of an authorization server.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Where the person's browser is sent.
    #[serde(default)]
    pub authorization_url: Option<WebUrl>,
    /// Where codes and refresh tokens are redeemed.
    #[serde(default)]
    pub token_url: Option<WebUrl>,
    /// Where refresh tokens are redeemed, if elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<WebUrl>,
    /// Where tokens are revoked (RFC 7009), if anywhere.
    #[serde(default)]
    pub revocation_url: Option<WebUrl>,
}

impl Endpoints {
    /// These, and where one is missing that of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            authorization_url: self.authorization_url.or(other.authorization_url),
            token_url: self.token_url.or(other.token_url),
            refresh_url: self.refresh_url.or(other.refresh_url),
            revocation_url: self.revocation_url.or(other.revocation_url),
        }
    }

    /// Those that `said` has not.
    #[must_use]
    pub fn without(self, said: &OpenEndpoints) -> Self {
        let keep = |url: Option<WebUrl>, said: &Option<Blanks>| url.filter(|_| said.is_none());
        Self {
            authorization_url: keep(self.authorization_url, &said.authorization_url),
            token_url: keep(self.token_url, &said.token_url),
            refresh_url: keep(self.refresh_url, &said.refresh_url),
            revocation_url: keep(self.revocation_url, &said.revocation_url),
        }
    }
}

/// Addresses with blanks.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenEndpoints {
    /// As [`Endpoints::authorization_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_url: Option<Blanks>,
    /// As [`Endpoints::token_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<Blanks>,
    /// As [`Endpoints::refresh_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<Blanks>,
    /// As [`Endpoints::revocation_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<Blanks>,
}

impl OpenEndpoints {
    /// Those whose blanks are all known.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] for a value that has no place in a URL.
    pub fn filled(&self, known: &Known) -> Result<Endpoints> {
        let fill = |what: &str, blanks: &Option<Blanks>| {
            let is_known = |blanks: &&Blanks| {
                let mut names = blanks.names().iter();
                names.all(|name| known.contains_key(name))
            };
            let known_ones = blanks.as_ref().filter(is_known);
            known_ones.map(|blanks| blanks.url(what, known)).transpose()
        };
        Ok(Endpoints {
            authorization_url: fill("authorization_url", &self.authorization_url)?,
            token_url: fill("token_url", &self.token_url)?,
            refresh_url: fill("refresh_url", &self.refresh_url)?,
            revocation_url: fill("revocation_url", &self.revocation_url)?,
        })
    }

    /// Parts them into those that are settled for every connection, since all their blanks are
    /// known, and those that each connection fills.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] for a value that has no place in a URL.
    pub fn settle(self, known: &Known) -> Result<(Endpoints, Option<Self>)> {
        let settled = self.filled(known)?;
        let open = Self {
            authorization_url: self
                .authorization_url
                .filter(|_| settled.authorization_url.is_none()),
            token_url: self.token_url.filter(|_| settled.token_url.is_none()),
            refresh_url: self.refresh_url.filter(|_| settled.refresh_url.is_none()),
            revocation_url: self
                .revocation_url
                .filter(|_| settled.revocation_url.is_none()),
        };
        let is_open = open != Self::default();
        Ok((settled, is_open.then_some(open)))
    }

    /// These, and where one is missing that of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            authorization_url: self.authorization_url.or(other.authorization_url),
            token_url: self.token_url.or(other.token_url),
            refresh_url: self.refresh_url.or(other.refresh_url),
            revocation_url: self.revocation_url.or(other.revocation_url),
        }
    }

    /// Those that `said` has not.
    #[must_use]
    pub fn without(self, said: &Self) -> Self {
        let keep = |url: Option<Blanks>, said: &Option<Blanks>| url.filter(|_| said.is_none());
        Self {
            authorization_url: keep(self.authorization_url, &said.authorization_url),
            token_url: keep(self.token_url, &said.token_url),
            refresh_url: keep(self.refresh_url, &said.refresh_url),
            revocation_url: keep(self.revocation_url, &said.revocation_url),
        }
    }

    /// Every name that one of them has a blank for.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let all = [
            &self.authorization_url,
            &self.token_url,
            &self.refresh_url,
            &self.revocation_url,
        ];
        all.into_iter().flatten().flat_map(Blanks::names)
    }
}
