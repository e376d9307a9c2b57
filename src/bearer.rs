//! JWTs of configured issuers as callers: a token in, a caller out, who has no more than the access
//! key of the issuer and the token's own user and tenants allow together.
//!
//! ```text
//!   bearer -- shape, size, times --> whose is it? --> a rule that takes it   (no call so far)
//!                                                          |
//!              the issuer's keys: at hand, or fetched once for all who wait
//!                                                          |
//!              signature --> the key's rule again --> narrowed to user and tenants
//! ```
//!
//! It promises:
//! * B1 Only what is signed by a key of the issuer opens anything, by an algorithm on a list that
//!   fits the key (RFC 8725 3.1, 3.2): no `none`, no shared secret, no key that the token brings.
//! * B2 A token counts for the issuer that it names exactly, for us, and in its time; what it says
//!   beside that we would have to understand and do not (`crit`, `cnf`, another `typ`) refuses it.
//! * B3 A stranger's token causes no call to anybody; a token that names a configured issuer causes
//!   at most one fetch of its keys every [`crate::limits::JWKS_ASK_EVERY`].
//! * B4 While an issuer is out of reach its last keys count for a bounded time, and what they do
//!   not decide is said to be unavailable, and not refused.
//! * B5 A token that is not good is answered like an unknown access key, and is on record.
//!
//! It never: signs, keeps or passes on a token, or has a secret of the vault's in hand.

mod key_set;
mod shelf;
mod signature;
mod token;

use std::sync::Arc;

use self::shelf::{Shelves, Source, Wanted};
use self::token::Token;
use crate::error::{Error, Result};
use crate::model::access::{AccessKey, Caller};
use crate::model::jwt::JwtRule;
use crate::provider::Provider;
use crate::secret::Secret;
use crate::vault::Vault;

/// Makes callers of JWTs. Cheap to clone.
#[derive(Clone)]
pub struct Issuers(Arc<Inner>);

struct Inner {
    vault: Vault,
    shelves: Shelves,
}

/// Why a token opens nothing.
enum Refusal {
    /// It is not good, for a reason that goes on record and to nobody else.
    Bad(&'static str),
    /// It is not known whether it is.
    Failed(Error),
}

impl From<&'static str> for Refusal {
    fn from(why: &'static str) -> Self {
        Self::Bad(why)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Whether a bearer is a JWT by its looks: three parts, and no access key of ours.
pub fn is_jwt(bearer: &Secret<String>) -> bool {
    let text = bearer.expose();
    !text.starts_with("sr_") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl Issuers {
    /// Makes callers of tokens by the rules of the vault's access keys.
    pub fn new(vault: Vault, provider: Provider) -> Self {
        let shelves = Shelves::new(provider, vault.clock().clone());
        Self(Arc::new(Inner { vault, shelves }))
    }

    /// Makes a caller of a JWT.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for one that is not good; [`Error::Denied`] for one that lacks
    /// the scope that the rule asks for; [`Error::IssuerUnavailable`] where that cannot be told,
    /// since the issuer's keys cannot be had; [`Error::Locked`].
    pub async fn caller(&self, jwt: &Secret<String>, from: Arc<str>) -> Result<Caller> {
        let vault = &self.0.vault;
        match self.admit(jwt.expose(), &from).await {
            Ok(caller) => Ok(caller),
            Err(Refusal::Bad(why)) => Err(vault.turn_away(why, &from)),
            Err(Refusal::Failed(error)) => Err(error),
        }
    }

    async fn admit(&self, jwt: &str, from: &Arc<str>) -> std::result::Result<Caller, Refusal> {
        let vault = &self.0.vault;
        let token = Token::read(jwt)?;
        // Whatever it says of itself is held against the rules first: that costs nobody a call.
        let keys = vault.keys_of_issuer(token.issuer()?)?;
        if keys.is_empty() {
            return Err("no access key is for its issuer".into());
        }
        let (key, rule) = whose(&keys, &token.audiences()?).ok_or("it is meant for others")?;
        let until = token.check_times(vault.clock().now())?;
        let person = token.person(rule)?;
        let source = Source {
            issuer: rule.issuer.clone(),
            place: rule.jwks_url.clone(),
        };
        let wanted = Wanted {
            kid: token.kid.clone(),
            algorithm: token.algorithm,
        };
        let candidates = self.0.shelves.keys(source, &wanted).await?;
        if candidates.is_empty() {
            return Err("its issuer has no such key".into());
        }
        let is_signer = |key: &signature::PublicKey| token.is_signed_by(key);
        if !candidates
            .iter()
            .any(|candidate| is_signer(&candidate.public))
        {
            return Err("it is not signed by its issuer".into());
        }
        // Only now is anything that it says known to be so.
        let caller = vault.admit(key, person, until, Arc::clone(from))?;
        match &rule.scope {
            Some(scope) if !token.carries(scope) => {
                let why = "refused: the JWT lacks the scope that its access key's rule asks for";
                Err(vault.refuse(&caller, "authenticate", why).into())
            }
            _ => Ok(caller),
        }
    }
}

/// The key whose rule takes a token for these audiences. Where a token names several of ours, the
/// one it names first counts.
fn whose<'k>(
    keys: &'k [Arc<AccessKey>],
    audiences: &[&str],
) -> Option<(&'k AccessKey, &'k JwtRule)> {
    let rules = || {
        let with_rule = |key: &'k Arc<AccessKey>| Some((&**key, key.jwt.as_ref()?));
        keys.iter().filter_map(with_rule)
    };
    if audiences.is_empty() {
        return rules().find(|(_, rule)| rule.no_audience);
    }
    audiences
        .iter()
        .find_map(|audience| rules().find(|(_, rule)| rule.audiences.contains(*audience)))
}

#[cfg(test)]
mod tests;
