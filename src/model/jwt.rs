//! The rule by which JWTs of one issuer stand for an access key, and what is left of the key then.
//!
//! It promises: who presents a JWT may do what both the key's grants and the token's own user and
//! tenants allow, and of that only what concerns tokens of theirs ([`JWT_ACTIONS`]).
//! It never: looks at a token (that is `bearer`).

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::access::{AccessKey, Action, Grant, Match, Person};
use super::url::WebUrl;
use super::{Scopes, TenantId, UserId};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;

/// What a JWT can be good for. Whatever concerns apps, keys, the trail or the vault itself takes an
/// access key with a secret, and so does being shown a refresh token.
pub const JWT_ACTIONS: [Action; 7] = [
    Action::AppsRead,
    Action::Connect,
    Action::Delete,
    Action::Fetch,
    Action::List,
    Action::Refresh,
    Action::Store,
];

/// Whose JWTs stand for an access key, and what is read from them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtRule {
    /// Exactly what `iss` says (RFC 7519 4.1.1). Mostly a URL; Descope's may be a project id.
    pub issuer: String,
    /// Of those that `aud` names one must be among these.
    #[serde(default)]
    pub audiences: BTreeSet<String>,
    /// A token without `aud` is taken too. One that names others is meant for them, and is not
    /// (RFC 7519 4.1.3).
    #[serde(default)]
    pub no_audience: bool,
    /// Where the issuer's keys are; found by its metadata where it is not said.
    #[serde(default, deserialize_with = "jwks_url")]
    pub jwks_url: Option<WebUrl>,
    /// The claim that names the user.
    #[serde(default = "subject")]
    pub user_claim: String,
    /// The claim that names the user's tenants: a list, one text, or an object by tenant.
    #[serde(default = "tenants")]
    pub tenants_claim: String,
    /// The scope that a token must carry.
    #[serde(default)]
    pub scope: Option<String>,
    /// A user may use the tokens that belong to its tenants themselves, as far as the grants say.
    /// Not unless said: being of a tenant is not standing for it.
    #[serde(default)]
    pub tenant_tokens: bool,
}

fn subject() -> String {
    "sub".into()
}

fn tenants() -> String {
    "tenants".into()
}

fn jwks_url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<WebUrl>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    let parse = |text: String| WebUrl::parse("jwks_url", &text);
    text.map(parse)
        .transpose()
        .map_err(serde::de::Error::custom)
}

impl JwtRule {
    /// Checks every rule that a rule must keep before it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn check(&self) -> Result<()> {
        check_word("jwt.issuer", &self.issuer, limits::URL_BYTES_MAX)?;
        if self.audiences.is_empty() && !self.no_audience {
            return Err(Error::invalid(
                "`jwt.audiences` names who its tokens are for, as their `aud` says it; where they \
                 have none, say so by `jwt.no_audience`",
            ));
        }
        if self.audiences.len() > limits::JWT_AUDIENCES_MAX {
            let most = limits::JWT_AUDIENCES_MAX;
            return Err(Error::invalid(format!("at most {most} `jwt.audiences`")));
        }
        for audience in &self.audiences {
            check_word("jwt.audiences", audience, limits::URL_BYTES_MAX)?;
        }
        if self.jwks_url.is_none() {
            let issuer = WebUrl::parse("jwt.issuer", &self.issuer);
            if issuer.is_err() || issuer.is_ok_and(|url| url.as_url().query().is_some()) {
                return Err(Error::invalid(
                    "`jwt.issuer` is no URL that metadata could be found by, so `jwt.jwks_url` \
                     must say where its keys are",
                ));
            }
        }
        check_word(
            "jwt.user_claim",
            &self.user_claim,
            limits::OWNER_ID_BYTES_MAX,
        )?;
        check_word(
            "jwt.tenants_claim",
            &self.tenants_claim,
            limits::OWNER_ID_BYTES_MAX,
        )?;
        match &self.scope {
            Some(scope) if scope.contains(' ') => {
                Err(Error::invalid("`jwt.scope` is one scope, without spaces"))
            }
            Some(scope) => Scopes::parse([scope.as_str()]).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Refuses grants of what no JWT is good for: they would only seem to be there.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the action.
    pub fn check_grants(&self, grants: &[Grant]) -> Result<()> {
        let mut actions = grants.iter().flat_map(|grant| &grant.actions);
        match actions.find(|action| !JWT_ACTIONS.contains(action)) {
            None => Ok(()),
            Some(action) => Err(Error::invalid(format!(
                "a key for JWTs cannot have `{action}`: who presents one of somebody else's \
                 issuing acts for its own user alone; `server` and `reader` fit"
            ))),
        }
    }

    /// What speaks against both rules at one time: a token that both would take.
    pub fn clash(&self, other: &Self) -> Option<String> {
        if self.issuer != other.issuer {
            return None;
        }
        if self.no_audience && other.no_audience {
            return Some("for tokens of this issuer without an audience".into());
        }
        let mut both = self.audiences.intersection(&other.audiences);
        both.next()
            .map(|audience| format!("for this issuer and the audience `{audience}`"))
    }

    /// What is left of `key` for `person`, and no longer than `until`.
    pub fn narrow(&self, key: &AccessKey, person: &Person, until: Timestamp) -> AccessKey {
        let narrowed = key
            .grants
            .iter()
            .flat_map(|grant| self.narrow_grant(grant, person));
        AccessKey {
            grants: narrowed.collect(),
            expires_at: Some(key.expires_at.map_or(until, |end| end.min(until))),
            ..key.clone()
        }
    }

    /// A grant's part for the person without a tenant, within its tenants, and for those.
    fn narrow_grant(&self, grant: &Grant, person: &Person) -> Vec<Grant> {
        let may = |action: &&Action| JWT_ACTIONS.contains(action);
        let actions: BTreeSet<Action> = grant.actions.iter().filter(may).copied().collect();
        let fits = |tenant: &&TenantId| grant.tenants.fits(Some(tenant));
        let tenants: BTreeSet<TenantId> = person.tenants.iter().filter(fits).cloned().collect();
        let is_for_user = grant.users.fits(Some(&person.user));
        let user = || BTreeSet::from([person.user.clone()]);
        let part = |tenants: BTreeSet<TenantId>, users: BTreeSet<UserId>| Grant {
            actions: actions.clone(),
            apps: grant.apps.clone(),
            tenants: Match::OneOf(tenants),
            users: Match::OneOf(users),
            scopes: grant.scopes.clone(),
        };
        let mut parts = Vec::new();
        if is_for_user && grant.tenants.fits(None) {
            parts.push(part(BTreeSet::new(), user()));
        }
        // An empty list would mean "no tenant", which is another owner.
        if is_for_user && !tenants.is_empty() {
            parts.push(part(tenants.clone(), user()));
        }
        if self.tenant_tokens && !tenants.is_empty() && grant.users.fits(None) {
            parts.push(part(tenants, BTreeSet::new()));
        }
        parts
    }
}

fn check_word(what: &str, text: &str, most: usize) -> Result<()> {
    if text.is_empty() || text.len() > most {
        return Err(Error::invalid(format!("`{what}` has 1 to {most} bytes")));
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "`{what}` has no white space at its ends and no control characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
