//! A dialect: how a provider departs from the RFCs, said as data.
//!
//! ```text
//!   asked      where, in what form, with which parameters more, fewer, or under other names
//!   answered   where the tokens, scopes and lifetimes stand; what is kept; what a refusal is
//!   lives      what renews a token, what becomes of its refresh token, how long that lasts
//! ```
//!
//! It promises: the default is what the RFCs say; no dialect takes `state`, a code or a proof away.
//! It never: does anything (that is `provider`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::api::{BadWhen, Method, check_headers};
use super::blanks::{Blanks, is_default};
use super::field::FieldPath;
use super::{Name, Scopes, check_text};
use crate::error::{Error, Result};
use crate::limits;

/// How a provider departs from the RFCs.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// How it is asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub asked: Asked,
    /// How it answers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub answered: Answered,
    /// How its tokens live.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lives: Lives,
    /// How a token is revoked, where RFC 7009 does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Call>,
    /// What a redirect back to us must prove beside its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_check: Option<CallbackCheck>,
}

/// How a provider is asked.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The parameter of the scopes; `scope` by RFC 6749 3.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_param: Option<String>,
    /// Further parameters of scopes (`user_scope`), and what they ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more_scopes: BTreeMap<String, Scopes>,
    /// The id of the key that the client signs with, where it proves itself by one (`kid`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// How token requests are written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub token_format: Format,
    /// Header fields of token requests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_headers: BTreeMap<String, String>,
    /// Extra parameters of the exchange of a code alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub code_params: BTreeMap<String, String>,
    /// Extra parameters of a refresh alone. `{redirect_uri}` stands for ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refresh_params: BTreeMap<String, Blanks>,
    /// Parameters that are left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub without: Without,
    /// Parameters under other names (`client_id` as `client_key`), in every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
}

/// Parameters that are left out, by request.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Without {
    /// Of the authorization request.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub authorize: BTreeSet<String>,
    /// Of the exchange of a code.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub code: BTreeSet<String>,
    /// Of a refresh.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refresh: BTreeSet<String>,
}

/// How the parameters of a request are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As a form (RFC 6749 appendix B).
    #[default]
    Form,
    /// As a JSON object.
    Json,
    /// In the query. Only where a provider takes nothing else: queries end up in logs.
    Query,
}

/// How a provider answers a token request.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// In what the fields of an answer stand, where they do not stand at its top. Those that stand
    /// there all the same are found as well, and go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<FieldPath>,
    /// Where the access token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<FieldPath>,
    /// Where the refresh token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<FieldPath>,
    /// Where the scopes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<FieldPath>,
    /// What stands between them, where it is not what stands between those asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_separator: Option<String>,
    /// Where the lifetime is, or the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<FieldPath>,
    /// What the lifetime is counted in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifetime_unit: Unit,
    /// Where the lifetime of the refresh token is, in seconds, or its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_lifetime: Option<FieldPath>,
    /// Further tokens in the same answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub second_tokens: Vec<SecondToken>,
    /// What is kept of the answer, and shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<FieldPath>,
    /// What is kept of the answer as a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep_secret: Vec<FieldPath>,
    /// Which parameters of the redirect back to us are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep_callback: Vec<Name>,
    /// Which of these names the account, where the answer itself does not (a company, while it is
    /// a person who consents).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_from_callback: Option<Name>,
    /// What names the account, in the answer itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<FieldPath>,
    /// What people know the account by, in the answer itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_label: Option<FieldPath>,
    /// What tells a refusal from a success whose status is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_when: Option<BadWhen>,
    /// Where the code of an error is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<FieldPath>,
    /// Codes that say, beside `invalid_grant`, that a grant is gone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub dead_codes: BTreeSet<String>,
    /// Codes that say: later, and nothing is lost.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub later_codes: BTreeSet<String>,
}

/// A further token in an answer. It is kept as a token of its own, whose account is its slot, and
/// is renewed by its own refresh token.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondToken {
    /// Names it.
    pub slot: Name,
    /// Where it is.
    pub access_token: FieldPath,
    /// Where its refresh token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<FieldPath>,
    /// Where its lifetime is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<FieldPath>,
    /// Where its scopes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<FieldPath>,
    /// What names its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<FieldPath>,
}

/// What a lifetime is counted in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds, as RFC 6749 5.1 says.
    #[default]
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Minutes.
    Minutes,
}

/// How tokens live.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lives {
    /// What renews an access token.
    #[serde(default, skip_serializing_if = "is_default")]
    pub renewal: Renewal,
    /// What becomes of a refresh token that was used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rotation: Rotation,
    /// How long an old refresh token still works beside its successor, in seconds. It is there to
    /// be shown: for so long an interrupted refresh can be repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u64>,
    /// How long a refresh token lives, in seconds, where answers do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_lifetime_s: Option<u64>,
    /// Its life is counted from the consent, whatever is done with it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub refresh_token_life_is_fixed: bool,
}

/// What renews an access token.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Renewal {
    /// A refresh token (RFC 6749 6).
    #[default]
    Refresh,
    /// The access token itself, traded for a longer one while it is alive (Meta).
    Exchange(Box<Exchanges>),
    /// Nothing: its owner connects again.
    None,
}

/// How access tokens are traded for longer ones.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchanges {
    /// Right after connecting.
    pub first: Call,
    /// From then on.
    pub again: Call,
    /// How old a token must be to be traded again, in seconds.
    #[serde(default)]
    pub min_age_s: u64,
    /// How long a traded token lives, in seconds, where the answer does not say.
    pub lifetime_s: u64,
}

/// What becomes of a refresh token that was used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// A new one comes, and the old one dies at once. Assumed where nothing is known.
    #[default]
    SingleUse,
    /// A new one comes; what becomes of the old one is not firmly said.
    Rotates,
    /// It stays.
    None,
}

/// A call of a provider's own making. Blanks are `access_token`, `refresh_token`, `client_id`,
/// `client_secret`, variables, and what is kept beside the token.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// How it asks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: Method,
    /// Where.
    pub url: Blanks,
    /// How it proves who asks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub auth: CallAuth,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Blanks>,
    /// How they are written. `GET` and `DELETE` without a body have them in the query.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: Format,
    /// Header fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Blanks>,
}

/// How a call proves who asks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallAuth {
    /// By nothing beside its parameters.
    #[default]
    None,
    /// By the client's id and secret, as HTTP Basic.
    Basic,
    /// By the client's id and secret among the parameters.
    Post,
    /// By the access token, as a bearer (RFC 6750 2.1).
    Bearer,
}

/// A proof of a provider's own making on the redirect back to us. Each is a function of this name
/// in `provider/oddities.rs`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackCheck {
    /// `hmac` is the HMAC-SHA256, by the client secret, of all other parameters (Shopify).
    HmacSha256Hex,
}

/// Parameters that no dialect leaves out: what binds an answer to its question, and what is
/// presented.
const NEVER_WITHOUT: [&str; 6] = [
    "state",
    "code",
    "refresh_token",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
];

impl Dialect {
    /// Checks what no request could be made of.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn check(&self) -> Result<()> {
        let Asked {
            without, rename, ..
        } = &self.asked;
        let lists = [&without.authorize, &without.code, &without.refresh];
        let mut left_out = lists.into_iter().flatten();
        if let Some(name) = left_out.find(|name| NEVER_WITHOUT.contains(&name.as_str())) {
            return Err(Error::invalid(format!("`{name}` cannot be left out")));
        }
        if rename.contains_key("state") {
            return Err(Error::invalid("`state` has no other name"));
        }
        let names = rename.iter().flat_map(|(from, to)| [from, to]);
        for name in names.chain(lists.into_iter().flatten()) {
            check_text("a parameter", name)?;
        }
        check_headers("token_headers", &self.asked.token_headers)?;
        for (name, value) in &self.asked.token_headers {
            check_text(name, value)?;
        }
        let answered = &self.answered;
        let kept = answered.keep.len() + answered.keep_secret.len() + answered.keep_callback.len();
        if kept > limits::METADATA_MAX {
            return Err(Error::invalid("`keep` has too many entries"));
        }
        let from_callback = answered.account_from_callback.as_ref();
        if from_callback.is_some_and(|name| !answered.keep_callback.contains(name)) {
            return Err(Error::invalid(
                "`account_from_callback` is none of `keep_callback`",
            ));
        }
        if answered.second_tokens.len() > limits::SECOND_TOKENS_MAX {
            return Err(Error::invalid("`second_tokens` has too many entries"));
        }
        if let Renewal::Exchange(exchanges) = &self.lives.renewal {
            check_life("lifetime_s", Some(exchanges.lifetime_s))?;
        }
        check_life(
            "refresh_token_lifetime_s",
            self.lives.refresh_token_lifetime_s,
        )?;
        self.calls().try_for_each(Call::check)
    }

    /// Every call of the provider's own making.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        let trades = match &self.lives.renewal {
            Renewal::Exchange(exchanges) => [Some(&exchanges.first), Some(&exchanges.again)],
            Renewal::Refresh | Renewal::None => [None, None],
        };
        trades.into_iter().flatten().chain(&self.revocation)
    }
}

fn check_life(what: &str, seconds: Option<u64>) -> Result<()> {
    match seconds {
        Some(0) => Err(Error::invalid(format!("`{what}` is at least one second"))),
        _ => Ok(()),
    }
}

impl Call {
    /// True where the client's secret is in it.
    pub fn carries_client_secret(&self) -> bool {
        let is_secret = |name: &Name| name.as_str() == "client_secret";
        let mut texts = self.params.values().chain(self.headers.values());
        matches!(self.auth, CallAuth::Basic | CallAuth::Post)
            || texts.any(|text| text.names().iter().any(is_secret))
    }

    fn check(&self) -> Result<()> {
        if self.params.len() > limits::PARAMS_MAX {
            return Err(Error::invalid("`params` has too many entries"));
        }
        check_headers("headers", &self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dialect> {
        let dialect: Dialect = serde_json::from_str(text).unwrap();
        dialect.check().map(|()| dialect)
    }

    #[test]
    fn the_default_dialect_says_nothing() {
        let none = read("{}").unwrap();
        assert_eq!(none, Dialect::default());
        assert_eq!(serde_json::to_string(&none).unwrap(), "{}");
    }

    #[test]
    fn what_binds_an_answer_to_its_question_is_never_left_out() {
        for name in NEVER_WITHOUT {
            for request in ["authorize", "code", "refresh"] {
                let text = format!(r#"{{"asked":{{"without":{{"{request}":["{name}"]}}}}}}"#);
                assert!(read(&text).is_err(), "{text}");
            }
        }
        assert!(read(r#"{"asked":{"rename":{"state":"s"}}}"#).is_err());
        assert!(read(r#"{"asked":{"without":{"refresh":["scope"]}}}"#).is_ok());
        assert!(read(r#"{"asked":{"token_headers":{"Host":"x"}}}"#).is_err());
        assert!(serde_json::from_str::<Dialect>(r#"{"asks":{}}"#).is_err());
        assert!(read(r#"{"answered":{"account_from_callback":"realmId"}}"#).is_err());
    }
}
