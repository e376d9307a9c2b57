//! The manner of a provider's answers: where things stand in them, as its dialect says.
//!
//! It promises: what a dialect does not say is looked for where the RFCs put it, or where providers
//! have been seen to put it.
//! It never: takes a text from an answer without a bound.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::{LIFETIMES, account_text, named_by, read_lifetime, read_scopes, token_type};
use crate::clock::Timestamp;
use crate::limits;
use crate::model::Name;
use crate::model::app::OAuth;
use crate::model::beside::{Brought, SecondGrant};
use crate::model::dialect::{Answered, Unit};
use crate::model::field::FieldPath;
use crate::model::token::Grant;
use crate::model::{Scopes, blanks::Known};
use crate::provider::classify::{Failure, FailureKind, filter_code};
use crate::secret::Secret;

/// How a provider answers.
#[derive(Clone, Copy)]
pub struct Manner<'a> {
    separator: &'a str,
    answered: &'a Answered,
    /// What is asked for besides, of which the further tokens are.
    more_scopes: Option<&'a BTreeMap<String, Scopes>>,
}

static BY_THE_RFCS: LazyLock<Answered> = LazyLock::new(Answered::default);

impl<'a> From<&'a str> for Manner<'a> {
    /// By the RFCs, but for what stands between scopes.
    fn from(separator: &'a str) -> Self {
        Self {
            separator,
            answered: &BY_THE_RFCS,
            more_scopes: None,
        }
    }
}

impl<'a> From<&'a OAuth> for Manner<'a> {
    fn from(app: &'a OAuth) -> Self {
        Self {
            separator: &app.scope_separator,
            answered: &app.dialect.answered,
            more_scopes: Some(&app.dialect.asked.more_scopes),
        }
    }
}

impl Manner<'_> {
    /// The fields of an answer, those that stand inside of something among them. What stands at
    /// the top stays.
    pub(super) fn unpacked(&self, mut fields: Value) -> Value {
        let inner = self.answered.within.as_ref();
        let inner = inner.and_then(|path| match path.of(&fields) {
            Some(Value::Object(_)) => path.take(&mut fields),
            _ => None,
        });
        if let (Some(Value::Object(inner)), Some(top)) = (inner, fields.as_object_mut()) {
            for (name, value) in inner {
                top.entry(name).or_insert(value);
            }
        }
        fields
    }

    /// True where the answer holds a token, whatever else it says.
    pub(super) fn has_token(&self, fields: &Value) -> bool {
        let is_text = |value: Option<&Value>| {
            let text = value.and_then(Value::as_str);
            text.is_some_and(|text| !text.is_empty())
        };
        let first = match &self.answered.access_token {
            Some(path) => path.of(fields),
            None => fields.get("access_token"),
        };
        let mut second = self.answered.second_tokens.iter();
        is_text(first) || second.any(|second| is_text(second.access_token.of(fields)))
    }

    /// True where the dialect says that the answer is a refusal.
    pub(super) fn is_refusal(&self, fields: &Value) -> bool {
        let bad_when = self.answered.bad_when.as_ref();
        bad_when.is_some_and(|bad_when| bad_when.is_said_by(fields))
    }

    /// The code of an error, where the dialect says where it stands.
    pub(super) fn error_code(&self, fields: &Value) -> Option<String> {
        self.answered.error_code.as_ref()?.text_of(fields)
    }

    /// A failure whose code this provider uses for something of its own. A server in trouble means
    /// nothing by it.
    pub(super) fn sorted(&self, failure: Failure) -> Failure {
        let is_in_trouble = failure
            .status
            .is_none_or(|status| status >= 500 || status == 429);
        let is_one_of = |codes: &std::collections::BTreeSet<String>| {
            codes
                .iter()
                .any(|code| filter_code(code).eq_ignore_ascii_case(&failure.code))
        };
        let kind = match failure.kind {
            FailureKind::AnswerLost | FailureKind::NotSent => failure.kind,
            _ if is_in_trouble => failure.kind,
            _ if is_one_of(&self.answered.later_codes) => {
                FailureKind::Transient { retry_after: None }
            }
            _ if is_one_of(&self.answered.dead_codes) => FailureKind::Refused,
            kind => kind,
        };
        Failure { kind, ..failure }
    }

    /// The first token of the answer.
    pub(super) fn first(&self, fields: &mut Value, now: Timestamp) -> Option<Grant> {
        let answered = self.answered;
        let access_token = take(fields, answered.access_token.as_ref(), "access_token")?;
        let refresh_token = take(fields, answered.refresh_token.as_ref(), "refresh_token");
        let id_token = take(fields, None, "id_token");
        let lifetime = match &answered.lifetime {
            Some(path) => path.of(fields).and_then(|value| self.lifetime(value, now)),
            None => LIFETIMES
                .iter()
                .filter_map(|name| fields.get(*name))
                .find_map(|value| self.lifetime(value, now)),
        };
        let scope = match &answered.scope {
            Some(path) => path.of(fields),
            None => fields.get("scope").or_else(|| fields.get("scopes")),
        };
        let named = id_token.as_ref().and_then(named_by);
        let (subject, label) = named.map_or((None, None), |(sub, label)| (Some(sub), label));
        // Where the redirect names the account, the person who consented is not it.
        let subject = subject.filter(|_| answered.account_from_callback.is_none());
        Some(Grant {
            access_token,
            token_type: token_type(fields),
            refresh_token,
            id_token,
            expires_in_s: lifetime,
            scopes: scope.and_then(|value| self.scopes(value)),
            subject,
            brought: Box::new(Brought {
                label,
                ..Brought::default()
            }),
        })
    }

    /// The further tokens of the answer.
    pub(super) fn second(&self, fields: &mut Value, now: Timestamp) -> Vec<SecondGrant> {
        let mut found = Vec::new();
        for second in &self.answered.second_tokens {
            let text = |path: &Option<FieldPath>| path.as_ref().and_then(|p| p.text_of(fields));
            let subject = text(&second.account_id);
            let at = |path: &Option<FieldPath>| path.as_ref().and_then(|p| p.of(fields)).cloned();
            let (lifetime, scope) = (at(&second.lifetime), at(&second.scope));
            let Some(access_token) = take(fields, Some(&second.access_token), "") else {
                continue;
            };
            let refresh_token = second.refresh_token.as_ref();
            let grant = Grant {
                access_token,
                token_type: "Bearer".into(),
                refresh_token: refresh_token.and_then(|path| take(fields, Some(path), "")),
                id_token: None,
                expires_in_s: lifetime.and_then(|value| self.lifetime(&value, now)),
                // Where it does not say: as asked (RFC 6749 5.1), and never none at all, which any
                // ceiling of a key would cover.
                scopes: scope
                    .and_then(|value| self.scopes(&value))
                    .or_else(|| self.asked_besides()),
                subject: subject.as_deref().and_then(account_text),
                brought: Box::default(),
            };
            let slot = second.slot.clone();
            found.push(SecondGrant { slot, grant });
        }
        found
    }

    fn asked_besides(&self) -> Option<Scopes> {
        let sets = self.more_scopes?.values();
        sets.cloned().reduce(|all, more| all.union(&more))
    }

    /// Keeps of the answer what the dialect says, and whose account it is.
    pub(super) fn keep(&self, fields: &Value, grant: &mut Grant, now: Timestamp) {
        let answered = self.answered;
        let text = |path: &Option<FieldPath>| path.as_ref().and_then(|p| p.text_of(fields));
        if let Some(id) = text(&answered.account_id).as_deref().and_then(account_text) {
            grant.subject = Some(id);
        }
        if let Some(label) = text(&answered.account_label)
            .as_deref()
            .and_then(account_text)
        {
            grant.brought.label = Some(label);
        }
        grant.brought.metadata.extend(kept(&answered.keep, fields));
        let secrets = kept(&answered.keep_secret, fields).into_iter();
        let secrets: BTreeMap<Name, Secret<String>> = secrets
            .map(|(name, text)| (name, Secret::new(text)))
            .collect();
        grant.brought.secrets.extend(secrets);
        let life = answered.refresh_token_lifetime.as_ref();
        let life = life.and_then(|path| path.of(fields));
        grant.brought.refresh_token_lifetime_s =
            life.and_then(|value| read_lifetime(value, Unit::Seconds, now));
    }

    fn lifetime(&self, value: &Value, now: Timestamp) -> Option<u64> {
        let seconds = read_lifetime(value, self.answered.lifetime_unit, now);
        seconds.map(|s| s.min(limits::LIFETIME_MAX.as_secs()))
    }

    fn scopes(&self, value: &Value) -> Option<Scopes> {
        let separator = self.answered.scope_separator.as_deref();
        read_scopes(value, separator.unwrap_or(self.separator))
    }
}

/// What stands at these paths, by their names.
pub(in crate::provider) fn kept(paths: &[FieldPath], fields: &Value) -> Known {
    let find = |path: &FieldPath| {
        let name = Name::parse(path.as_str()).ok()?;
        Some((name, path.text_of(fields)?))
    };
    paths.iter().filter_map(find).collect()
}

/// Moves a text out, so that no second copy of a credential stays behind: from where the dialect
/// says, else from the field of this name.
fn take(fields: &mut Value, path: Option<&FieldPath>, name: &str) -> Option<Secret<String>> {
    let value = match path {
        Some(path) => path.take(fields),
        None => fields
            .as_object_mut()
            .and_then(|fields| fields.remove(name)),
    };
    match value {
        Some(Value::String(text)) if !text.is_empty() => Some(Secret::new(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
