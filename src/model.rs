//! The words of the program as types: plain data, parsed on construction, pure rules.
//!
//! It promises: a value of these types is valid. Text from outside becomes one of them at the edge
//! or is refused with what is wrong.
//! It never: reads, writes, asks the time, or knows how a thing is kept or sent.

pub mod access;
pub mod app;
pub mod grant;
pub mod link;
pub mod plan;
pub mod token;
pub mod url;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits;

/// Makes a text type with a rule, and the traits that keep the rule on every way in.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads text that comes from outside.
            ///
            /// # Errors
            /// [`Error::Invalid`] with the rule that the text breaks.
            pub fn parse(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                let check: fn(&str) -> Result<()> = $parse;
                check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}
text_type!(
    /// Names an app: letters, digits and `-._~@+`, so that it stands in a URL as it is.
    AppId,
    |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@+".contains(&byte);
        if text.is_empty() || text.len() > limits::APP_ID_BYTES_MAX {
            return Err(Error::invalid(format!(
                "an app id has 1 to {} characters",
                limits::APP_ID_BYTES_MAX
            )));
        }
        // Only dots would vanish from a URL's path.
        if !text.bytes().all(fits) || text.bytes().all(|byte| byte == b'.') {
            return Err(Error::invalid("an app id is made of letters, digits and -._~@+"));
        }
        Ok(())
    }
);
text_type!(
    /// Names a tenant of whoever asks us.
    TenantId,
    |text| owner_text("a tenant", text)
);
text_type!(
    /// Names a user of whoever asks us.
    UserId,
    |text| owner_text("a user", text)
);
text_type!(
    /// Tells several tokens of one owner and app apart.
    Account,
    |text| owner_text("an account", text)
);

fn owner_text(what: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > limits::OWNER_ID_BYTES_MAX {
        return Err(Error::invalid(format!(
            "{what} has 1 to {} bytes",
            limits::OWNER_ID_BYTES_MAX
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{what} has no control characters")));
    }
    // Two names that look alike to people must not be two owners to us.
    if text.trim() != text {
        return Err(Error::invalid(format!(
            "{what} neither begins nor ends with white space"
        )));
    }
    Ok(())
}

/// Refuses free text that is too long or holds control characters other than line breaks.
///
/// # Errors
/// [`Error::Invalid`] naming `what`.
pub fn check_text(what: &str, text: &str) -> Result<()> {
    if text.len() > limits::TEXT_BYTES_MAX {
        return Err(Error::invalid(format!(
            "`{what}` has at most {} bytes",
            limits::TEXT_BYTES_MAX
        )));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::invalid(format!(
            "`{what}` has no control characters"
        )));
    }
    Ok(())
}

/// Whom a token belongs to. The three levels are never interchangeable: a user of a tenant is
/// neither that user without a tenant nor the tenant itself.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "OwnerParts", into = "OwnerParts")]
pub enum Owner {
    /// A user without a tenant.
    User(UserId),
    /// A user within a tenant.
    TenantUser(TenantId, UserId),
    /// The tenant itself.
    Tenant(TenantId),
}

impl Owner {
    /// Makes an owner of what a request named.
    ///
    /// # Errors
    /// [`Error::Invalid`] where neither is given.
    pub fn new(tenant: Option<TenantId>, user: Option<UserId>) -> Result<Self> {
        match (tenant, user) {
            (None, Some(user)) => Ok(Self::User(user)),
            (Some(tenant), Some(user)) => Ok(Self::TenantUser(tenant, user)),
            (Some(tenant), None) => Ok(Self::Tenant(tenant)),
            (None, None) => Err(Error::invalid("give `user`, `tenant`, or both")),
        }
    }

    /// The tenant, where there is one.
    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::User(_) => None,
            Self::TenantUser(tenant, _) | Self::Tenant(tenant) => Some(tenant),
        }
    }

    /// The user, where there is one.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Tenant(_) => None,
            Self::User(user) | Self::TenantUser(_, user) => Some(user),
        }
    }
}

/// An owner as it stands in records: the parts that are there.
#[derive(Serialize, Deserialize)]
struct OwnerParts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
}

impl TryFrom<OwnerParts> for Owner {
    type Error = Error;
    fn try_from(parts: OwnerParts) -> Result<Self> {
        Self::new(parts.tenant, parts.user)
    }
}

impl From<Owner> for OwnerParts {
    fn from(owner: Owner) -> Self {
        Self {
            tenant: owner.tenant().cloned(),
            user: owner.user().cloned(),
        }
    }
}

/// A set of OAuth scopes, in no order (RFC 6749 3.3).
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<String>", into = "BTreeSet<String>")]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Reads a list of scopes; the same one twice counts once.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty, overlong or unprintable scope, or too many.
    pub fn parse<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::try_from(
            scopes
                .into_iter()
                .map(Into::into)
                .collect::<BTreeSet<String>>(),
        )
    }

    /// True where `other` holds nothing that this set lacks.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// What `self` holds and `other` lacks.
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// What either holds.
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The scopes in order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The scopes in one text, as providers want them.
    pub fn joined(&self, separator: &str) -> String {
        self.iter().collect::<Vec<_>>().join(separator)
    }
}

impl TryFrom<BTreeSet<String>> for Scopes {
    type Error = Error;
    fn try_from(scopes: BTreeSet<String>) -> Result<Self> {
        if scopes.len() > limits::SCOPES_MAX {
            return Err(Error::invalid(format!(
                "at most {} scopes",
                limits::SCOPES_MAX
            )));
        }
        let fits = |scope: &String| {
            (1..=limits::SCOPE_BYTES_MAX).contains(&scope.len())
                && !scope.chars().any(char::is_control)
                && scope.trim() == scope
        };
        if !scopes.iter().all(fits) {
            return Err(Error::invalid(format!(
                "a scope has 1 to {} printable bytes",
                limits::SCOPE_BYTES_MAX
            )));
        }
        Ok(Self(scopes))
    }
}

impl From<Scopes> for BTreeSet<String> {
    fn from(scopes: Scopes) -> Self {
        scopes.0
    }
}

/// What finds a token: app, owner, account, scopes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// The app the token is for.
    pub app: AppId,
    /// Whom the token belongs to.
    pub owner: Owner,
    /// Which of the owner's accounts, where there are several.
    pub account: Option<Account>,
    /// The scope set asked for when it was connected; what was granted is on the record.
    pub scopes: Scopes,
}

/// Makes an id type of 128 random bits, shown as a prefix and hexadecimal digits.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// Makes an id of 16 random bytes.
            pub fn new(random: [u8; 16]) -> Self {
                Self(random)
            }

            /// Reads an id as shown; `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.strip_prefix($prefix)?;
                let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                if digits.len() != 32 || !digits.bytes().all(is_digit) {
                    return None;
                }
                u128::from_str_radix(digits, 16).ok().map(|id| Self(id.to_be_bytes()))
            }

            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), u128::from_be_bytes(self.0))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::parse(&text).ok_or_else(|| Error::invalid(concat!("not an id: ", $prefix)))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

id_type!(
    /// Names a token record; stays the same when its owner connects again.
    TokenId,
    "tok_"
);
id_type!(
    /// Names a connect link. Knowing it opens nothing: the link's URL holds a secret beside it.
    LinkId,
    "con_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_the_three_levels_are_different() {
        let user = UserId::parse("u").unwrap();
        let tenant = TenantId::parse("t").unwrap();
        let owners = [
            Owner::new(None, Some(user.clone())).unwrap(),
            Owner::new(Some(tenant.clone()), Some(user)).unwrap(),
            Owner::new(Some(tenant), None).unwrap(),
        ];
        assert!(owners.iter().collect::<BTreeSet<_>>().len() == 3);
        assert!(Owner::new(None, None).is_err());
    }

    #[test]
    fn words_outside_the_rules_are_refused() {
        for bad in ["", "a b", "a/b", "..", ".", "é", "a\n", &"a".repeat(65)] {
            assert!(AppId::parse(bad).is_err(), "{bad:?} was taken");
        }
        for bad in ["", " u", "u ", "u\0", "u\u{7f}", &"u".repeat(257)] {
            assert!(UserId::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(UserId::parse("auth0|alice@example.com").is_ok());
        assert!(Scopes::parse(["a", " "]).is_err());
        assert!(Scopes::parse((0..200).map(|i| i.to_string())).is_err());
    }

    #[test]
    fn ids_are_read_as_they_are_shown() {
        let id = TokenId::new([7; 16]);
        assert_eq!(TokenId::parse(&id.to_string()), Some(id));
        assert_eq!(TokenId::parse("tok_07"), None);
        assert_eq!(LinkId::parse(&id.to_string()), None);
        assert_eq!(TokenId::parse(&format!("tok_{}", "+".repeat(32))), None);
    }
}
