//! The words of the program as types: plain data, parsed on construction, pure rules.
//!
//! It promises: a value of these types is valid. Text from outside becomes one of them at the edge
//! or is refused with what is wrong.
//! It never: reads, writes, asks the time, or knows how a thing is kept or sent.

pub mod access;
pub mod api;
pub mod app;
pub mod beside;
pub mod blanks;
pub mod dialect;
pub mod field;
pub mod grant;
mod id;
pub mod jwt;
pub mod link;
pub mod logo;
mod pattern;
pub mod plan;
pub mod remote;
mod scopes;
pub mod template;
pub mod token;
pub mod url;

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

pub use self::id::{LinkId, ShownId, TokenId};
pub use self::pattern::Pattern;
pub use self::scopes::Scopes;
use crate::error::{Error, Result};
use crate::limits;

/// Makes a text type with a rule, and the traits that keep the rule on every way in.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize)]
        #[serde(try_from = "String")]
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

        impl Serialize for $name {
            fn serialize<S: Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
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
    /// Names a value beside a credential: a variable of a URL, a field of a key, what a service's
    /// answer said (`instance_url`, `team.id`).
    Name,
    |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
        if text.is_empty() || text.len() > limits::NAME_BYTES_MAX || !text.bytes().all(fits) {
            return Err(Error::invalid(format!(
                "a name of a value has 1 to {} characters: letters, digits and _-.[]",
                limits::NAME_BYTES_MAX
            )));
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

/// True for a character that is not seen and commands what is: a control character, or one that
/// turns the direction of what stands behind it, so that a name reads as another (UAX #9,
/// CVE-2021-42574). Marks and joiners, which scripts need, are none.
pub fn is_command(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Refuses text for people that is too long, or holds a character that [`is_command`] other than a
/// line break.
///
/// # Errors
/// [`Error::Invalid`] naming `what`.
pub fn check_text(what: &str, text: &str) -> Result<()> {
    check_plain(what, text)?;
    match text.chars().any(|c| is_command(c) && c != '\n') {
        true => Err(Error::invalid(format!(
            "`{what}` has no characters that turn the direction of writing"
        ))),
        false => Ok(()),
    }
}

/// Refuses text for programs that is too long or holds control characters other than line breaks.
fn check_plain(what: &str, text: &str) -> Result<()> {
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

/// What finds a token: app, owner, account, scopes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
    fn text_that_turns_round_what_stands_behind_it_is_refused() {
        for command in ['\u{202e}', '\u{2067}', '\u{2069}', '\0'] {
            assert!(check_text("name", &format!("Cal{command}endar")).is_err());
        }
        for good in [
            "יומן",
            "تقويم",
            "\u{200f}יומן",
            "👩\u{200d}💻",
            "two\nlines",
            "",
        ] {
            check_text("name", good).unwrap();
        }
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
    }
}
