//! How a service's credential is used: what it is made of, how it is sent, and the call that tells
//! whose it is.
//!
//! It promises: what fills a request is a credential of its own or a value kept beside it.
//! It never: sends anything (that is `provider`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::blanks::{Blanks, is_default};
use super::field::FieldPath;
use super::{Name, Pattern, check_text};
use crate::error::{Error, Result};
use crate::limits;

/// The interface of a service.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where its calls begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Blanks>,
    /// How a call carries the credential.
    #[serde(default, skip_serializing_if = "is_default")]
    pub credential: Placement,
    /// Header fields of every call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Blanks>,
    /// A cheap call that proves a credential and names its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// How a call carries the credential. Blanks are fields of the key, or `access_token`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case", deny_unknown_fields)]
pub enum Placement {
    /// In a header field, behind a prefix.
    Header {
        /// The header field.
        name: String,
        /// What stands before the credential, its space included.
        #[serde(default)]
        prefix: String,
    },
    /// In several header fields.
    Headers {
        /// Their values.
        headers: BTreeMap<String, Blanks>,
    },
    /// In the query.
    Query {
        /// The parameters.
        params: BTreeMap<String, Blanks>,
    },
    /// As HTTP Basic (RFC 7617).
    Basic {
        /// The user name.
        username: Blanks,
        /// The password.
        password: Blanks,
    },
    /// In the path, before that of the call.
    Path {
        /// What the path begins with.
        template: Blanks,
    },
}

impl Default for Placement {
    fn default() -> Self {
        Self::Header {
            name: "Authorization".into(),
            prefix: "Bearer ".into(),
        }
    }
}

/// A call that proves a credential and names its account.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// How it asks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: Method,
    /// Where: a path behind the base URL, or a whole URL.
    pub url: Blanks,
    /// The JSON it sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// How this call carries the credential, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Placement>,
    /// Header fields of this call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Blanks>,
    /// What a good answer says beside its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_when: Option<BadWhen>,
    /// What names the account for good. None: the call proves the credential only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<FieldPath>,
    /// What people know the account by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_label: Option<FieldPath>,
    /// What is kept of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<FieldPath>,
}

/// The methods of calls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// POST.
    Post,
    /// DELETE.
    Delete,
}

impl Method {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A field that tells a refusal from a success whose status is the same.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadWhen {
    /// The field.
    pub field: FieldPath,
    /// What it is in a refusal.
    pub is: BadIf,
}

/// What a field is in a refusal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadIf {
    /// There, and neither null, false nor empty.
    Present,
    /// False, or not there.
    False,
    /// Anything but this.
    Not(String),
}

impl BadWhen {
    /// Whether this answer is a refusal.
    pub fn is_said_by(&self, answer: &serde_json::Value) -> bool {
        use serde_json::Value;
        let field = self.field.of(answer);
        match &self.is {
            BadIf::Present => match field {
                None | Some(Value::Null | Value::Bool(false)) => false,
                Some(Value::String(text)) => !text.is_empty(),
                Some(_) => true,
            },
            BadIf::False => field != Some(&Value::Bool(true)),
            BadIf::Not(word) => field.and_then(Value::as_str) != Some(word.as_str()),
        }
    }
}

/// One field of a key that people enter.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialField {
    /// Names it, in blanks and in answers.
    pub name: Name,
    /// What people read beside the input; its name unless said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Where it is found, and what it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// It is a secret; else it is shown in lists.
    #[serde(default)]
    pub secret: bool,
    /// How it looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// What does not match is asked about once more, and not refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub soft: bool,
}

impl CredentialField {
    /// What people read beside its input.
    pub fn shown(&self) -> &str {
        match self.label.is_empty() {
            true => self.name.as_str(),
            false => &self.label,
        }
    }
}

impl Api {
    /// Checks what no request could be made of.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn check(&self) -> Result<()> {
        check_headers("headers", &self.headers)?;
        self.credential.check()?;
        let Some(verify) = &self.verify else {
            return Ok(());
        };
        check_headers("verify.headers", &verify.headers)?;
        if let Some(placement) = &verify.credential {
            placement.check()?;
        }
        if verify.url.as_str().starts_with('/') && self.base_url.is_none() {
            return Err(Error::invalid(
                "`verify.url` is a path, and there is no `base_url`",
            ));
        }
        if verify.keep.len() > limits::METADATA_MAX {
            return Err(Error::invalid(format!(
                "`verify.keep` has at most {} entries",
                limits::METADATA_MAX
            )));
        }
        match &verify.json {
            Some(json) if json.len() > limits::CALL_BODY_BYTES_MAX => {
                Err(Error::invalid("`verify.json` is too long"))
            }
            Some(json) => serde_json::from_str::<serde::de::IgnoredAny>(json)
                .map(drop)
                .map_err(|_| Error::invalid("`verify.json` is not JSON")),
            None => Ok(()),
        }
    }
}

impl Placement {
    fn check(&self) -> Result<()> {
        match self {
            Self::Header { name, prefix } => {
                check_header_name("credential.name", name)?;
                check_text("credential.prefix", prefix)
            }
            Self::Headers { headers } => check_headers("credential.headers", headers),
            Self::Query { params } if params.is_empty() || params.len() > limits::FIELDS_MAX => {
                Err(Error::invalid("`credential.params` has none, or too many"))
            }
            Self::Path { template } if !template.as_str().starts_with('/') => {
                Err(Error::invalid("`credential.template` begins with `/`"))
            }
            Self::Query { .. } | Self::Path { .. } | Self::Basic { .. } => Ok(()),
        }
    }
}

/// Checks the names of header fields, and that none is one of the connection's own.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_headers<V>(what: &str, headers: &BTreeMap<String, V>) -> Result<()> {
    if headers.len() > limits::PARAMS_MAX {
        return Err(Error::invalid(format!("`{what}` has too many entries")));
    }
    let mut names = headers.keys();
    names.try_for_each(|name| check_header_name(what, name))
}

fn check_header_name(what: &str, name: &str) -> Result<()> {
    // What a request says of itself is not a setting: it could end the request early, or begin
    // another one (request smuggling).
    const OF_THE_CONNECTION: [&str; 7] = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
    ];
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > limits::NAME_BYTES_MAX || !name.bytes().all(is_token) {
        return Err(Error::invalid(format!("`{what}` has no header name in it")));
    }
    if OF_THE_CONNECTION.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Error::invalid(format!("`{what}` may not set `{name}`")));
    }
    Ok(())
}

/// Checks the fields of a key.
///
/// # Errors
/// [`Error::Invalid`] where there are too many, two of one name, or none that is a secret.
pub fn check_fields(fields: &[CredentialField]) -> Result<()> {
    if fields.len() > limits::FIELDS_MAX {
        return Err(Error::invalid("`fields` has too many entries"));
    }
    for (nth, field) in fields.iter().enumerate() {
        check_text("label", &field.label)?;
        check_text("help", &field.help)?;
        if fields[..nth].iter().any(|other| other.name == field.name) {
            return Err(Error::invalid(format!("`{}` is there twice", field.name)));
        }
    }
    match fields.is_empty() || fields.iter().any(|field| field.secret) {
        true => Ok(()),
        false => Err(Error::invalid("one of `fields` must be a secret")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_are_no_setting() {
        let headers = |name: &str| BTreeMap::from([(name.to_owned(), ())]);
        assert!(check_headers("headers", &headers("X-Api-Version")).is_ok());
        for bad in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "a b",
            "",
            "a:b",
            "a\r\nb",
        ] {
            assert!(check_headers("headers", &headers(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_in_a_good_status_is_seen() {
        let bad = |is, answer: &str| {
            let field = FieldPath::parse("ok").unwrap();
            BadWhen { field, is }.is_said_by(&serde_json::from_str(answer).unwrap())
        };
        assert!(bad(BadIf::False, r#"{"ok":false}"#) && bad(BadIf::False, "{}"));
        assert!(!bad(BadIf::False, r#"{"ok":true}"#));
        assert!(bad(BadIf::Present, r#"{"ok":"x"}"#) && !bad(BadIf::Present, r#"{"ok":""}"#));
        assert!(!bad(BadIf::Not("yes".into()), r#"{"ok":"yes"}"#));
        assert!(bad(BadIf::Not("yes".into()), r#"{"ok":"no"}"#));
    }
}
