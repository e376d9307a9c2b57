//! Access keys: made, listed, removed.
//!
//! It promises: a key's secret is shown once and kept as a hash; one that JWTs stand for has none,
//! and no two of them take the same token; nobody makes a key that may do
//! more than its maker, or live longer; the last key that may make keys can be removed only from
//! the command line; a key whose removal was asked for opens nothing while the process runs, even
//! where the disk would not take it, and is listed until its record is gone.
//! It never: shows or changes the secret of a key that exists.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Vault;
use super::access::{KeptKey, Permit, hash_key_secret};
use super::index::Indexer;
use super::records::{decode, encode};
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{AccessKey, Action, Caller, Grant, Role, Target, Who};
use crate::model::jwt::JwtRule;
use crate::model::link::Proof;
use crate::model::url::WebUrl;
use crate::seal::{Keyring, Sealed};
use crate::secret::{Secret, base64url, from_base64url, hex, random};
use crate::store::{Records, Scan, View};

/// What a new access key is to be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// A bundle of grants by name.
    pub role: Option<Role>,
    /// Grants beside, or instead of, the role's.
    pub grants: Vec<Grant>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Where people may be sent back to after connecting.
    pub return_urls: Vec<WebUrl>,
    /// Where a browser is sent to be vouched for.
    pub verify_url: Option<WebUrl>,
    /// The ways of proof its connect links may use.
    pub connect_verify: Vec<Proof>,
}

#[derive(Serialize, Deserialize)]
struct KeyRow {
    key: AccessKey,
    hash: String,
}

impl Vault {
    /// Makes an access key; its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Error::Denied`] where it would be able to do more than the caller, or for longer.
    pub async fn add_key(
        &self,
        caller: &Caller,
        new: NewKey,
    ) -> Result<(AccessKey, Secret<String>)> {
        let (key, secret) = self.make_key(caller, new, None).await?;
        let text = Secret::new(format!("sr_{}_{}", key.id, secret.expose()));
        Ok((key, text))
    }

    /// Makes an access key that JWTs of an issuer stand for.
    ///
    /// # Errors
    /// As [`Self::add_key`]; [`Error::Conflict`] where another key takes the same tokens.
    pub async fn add_issuer(
        &self,
        caller: &Caller,
        new: NewKey,
        rule: JwtRule,
    ) -> Result<AccessKey> {
        // Its secret is known to nobody from here on.
        let (key, _) = self.make_key(caller, new, Some(rule)).await?;
        Ok(key)
    }

    async fn make_key(
        &self,
        caller: &Caller,
        new: NewKey,
        jwt: Option<JwtRule>,
    ) -> Result<(AccessKey, Secret<String>)> {
        let permit = self.gate().permit(caller, Action::Keys, &Target::vault())?;
        let (key, secret) = self.plan_key(caller, new, jwt)?;
        // Nobody outlives itself by way of a key it makes.
        let maker_ends = caller.key().and_then(|maker| maker.expires_at);
        let outlives = maker_ends.is_some_and(|end| key.expires_at.is_none_or(|own| own > end));
        if outlives || !caller.covers(&key.grants) {
            permit.record("refused: it would exceed its maker", None)?;
            return Err(Error::Denied);
        }
        self.put_key(&permit, key.clone(), &secret)?.await?;
        Ok((key, secret))
    }

    fn plan_key(
        &self,
        caller: &Caller,
        new: NewKey,
        jwt: Option<JwtRule>,
    ) -> Result<(AccessKey, Secret<String>)> {
        let mut grants = new.grants;
        grants.extend(new.role.map(|role| Grant::everywhere(role.actions())));
        let key = AccessKey {
            id: hex(&random::<8>()),
            name: new.name,
            role: new.role,
            grants,
            expires_at: new.expires_at,
            return_urls: new.return_urls,
            verify_url: new.verify_url,
            connect_verify: new.connect_verify.into_iter().collect(),
            jwt,
            created_at: self.clock().now(),
            created_by: caller.name(),
        };
        key.check()?;
        if key.expires_at.is_some_and(|end| end <= key.created_at) {
            return Err(Error::invalid("`expires_at` has passed"));
        }
        Ok((key, Secret::new(base64url(&random::<32>()))))
    }

    fn put_key(
        &self,
        permit: &Permit,
        key: AccessKey,
        secret: &Secret<String>,
    ) -> Result<super::Receipt<()>> {
        let hash = hash_key_secret(permit.keys(), &key.id, secret.expose());
        let known = permit.access_keys().clone();
        let kept = KeptKey::new(key.clone(), hash);
        let store = move |tx: &mut Tx<'_>| {
            if tx.count(Records::Keys, b"", limits::ACCESS_KEYS_MAX)? >= limits::ACCESS_KEYS_MAX {
                return Err(Error::invalid(
                    "there are too many access keys; remove some",
                ));
            }
            if let Some(rule) = &key.jwt {
                refuse_clash(tx, rule)?;
            }
            let place = Indexer(tx.keys()).access_key(&key.id);
            let row = KeyRow {
                key,
                hash: base64url(&hash),
            };
            tx.put(Records::Keys, &place, &[&encode(&row)])?;
            Ok(())
        };
        permit.write_then(store, move |()| known.came(kept))
    }

    /// Every access key, without secrets, by name.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn keys(&self, caller: &Caller) -> Result<Vec<Arc<AccessKey>>> {
        let permit = self.gate().permit(caller, Action::Keys, &Target::vault())?;
        let mut keys = permit.access_keys().all();
        keys.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        permit.record("ok", None)?;
        Ok(keys)
    }

    /// When access keys were last used, by their ids: those that were since the process began.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn last_uses(&self, caller: &Caller) -> Result<BTreeMap<String, Timestamp>> {
        let permit = self.gate().permit(caller, Action::Keys, &Target::vault())?;
        Ok(permit.access_keys().last_uses())
    }

    /// Removes an access key. It is refused from the next request on.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] for the last key that may make keys.
    pub async fn remove_key(&self, caller: &Caller, id: &str) -> Result<()> {
        let permit = self.gate().permit(caller, Action::Keys, &Target::vault())?;
        // Useless at once: a key that is being removed opens nothing while the disk is slow.
        let known = permit.access_keys();
        let checked = known.goes(id, |doomed, others| self.may_go(caller, doomed, others));
        if let Err(error) = checked {
            permit.record(error.code(), None)?;
            if matches!(error, Error::NotFound(_)) {
                self.takes_writes()?;
            }
            return Err(error);
        }
        let place = Indexer(permit.keys()).access_key(id);
        let remove = move |tx: &mut Tx<'_>| match tx.view().record(Records::Keys, &place)? {
            Some(_) => {
                tx.remove(Records::Keys, &place);
                Ok(())
            }
            // Somebody else's removal was first.
            None => Err(Error::NotFound("access key")),
        };
        let (gone, key) = (known.clone(), id.to_owned());
        let removal = permit.write_then(remove, move |()| gone.went(&key));
        removal.inspect_err(|_| known.stays(id))?.await
    }

    /// Refuses to let go of a key that may do more than the caller, or that is the last of those
    /// that can make keys now, or any key at all: one that has expired, or is confined to a part,
    /// cannot.
    fn may_go(&self, caller: &Caller, doomed: &AccessKey, others: &[Arc<AccessKey>]) -> Result<()> {
        let holder = |key: &AccessKey| Caller {
            who: Who::Key(Arc::new(key.clone())),
            ..Caller::local()
        };
        // Whatever its grants say: no JWT makes keys.
        let makes_keys = |key: &AccessKey| {
            key.jwt.is_none() && self.would_allow(&holder(key), Action::Keys, &Target::vault())
        };
        if !caller.covers(&doomed.grants) {
            return Err(Error::Denied);
        }
        if makes_keys(doomed) && !others.iter().any(|key| makes_keys(key)) {
            return Err(Error::Conflict(
                "this is the last key that may make keys".into(),
            ));
        }
        // Nobody makes a key that may do more: without it there would never be one again that may
        // do everything.
        let everything = [Grant::everywhere(Action::ALL.into_iter().collect())];
        let makes_any = |key: &AccessKey| makes_keys(key) && holder(key).covers(&everything);
        if makes_any(doomed) && !others.iter().any(|key| makes_any(key)) {
            return Err(Error::Conflict(
                "this is the last key that may make keys that do everything; make another first"
                    .into(),
            ));
        }
        Ok(())
    }

    /// Makes the first admin key of a new vault.
    pub(super) fn first_key(&self) -> Result<Secret<String>> {
        let caller = Caller::local();
        let new = NewKey {
            name: "first admin".into(),
            role: Some(Role::Admin),
            connect_verify: vec![Proof::Code],
            ..NewKey::default()
        };
        let permit = self
            .gate()
            .permit(&caller, Action::Keys, &Target::vault())?;
        let (key, secret) = self.plan_key(&caller, new, None)?;
        let text = Secret::new(format!("sr_{}_{}", key.id, secret.expose()));
        self.put_key(&permit, key, &secret)?.wait()?;
        Ok(text)
    }
}

/// Refuses a rule that would take tokens which another key takes already: whose they are must not
/// be a matter of chance.
fn refuse_clash(tx: &Tx<'_>, rule: &JwtRule) -> Result<()> {
    let mut clash = None;
    tx.view()
        .scan_records(Records::Keys, b"", None, &mut |place, sealed| {
            let other = open(tx.keys(), place, &sealed)?.key;
            let said = other.jwt.as_ref().and_then(|other| rule.clash(other));
            clash = said.map(|said| (other, said));
            Ok(match clash {
                Some(_) => Scan::Stop,
                None => Scan::Go,
            })
        })?;
    match clash {
        None => Ok(()),
        Some((other, said)) => Err(Error::Conflict(format!(
            "there is a key {said} already: {} (`{}`)",
            other.id, other.name
        ))),
    }
}

/// Reads every access key, at unlock.
pub(super) fn load(keys: &Keyring, view: &impl View) -> Result<HashMap<String, Arc<KeptKey>>> {
    let mut found = HashMap::new();
    view.scan_records(Records::Keys, b"", None, &mut |place, sealed| {
        let kept = open(keys, place, &sealed)?;
        found.insert(kept.key.id.clone(), Arc::new(kept));
        Ok(Scan::Go)
    })?;
    Ok(found)
}

/// Opens an access key's record.
pub(super) fn open(keys: &Keyring, place: &[u8], sealed: &Sealed) -> Result<KeptKey> {
    let plain = keys.open(Records::Keys.name(), place, sealed, 0)?;
    let row: KeyRow = decode(&plain)?;
    let hash = from_base64url(&row.hash)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::Damaged("an access key cannot be read".into()))?;
    let mut key = row.key;
    let everything = Grant::everywhere(Role::Admin.actions());
    // "Everything" holds for what a later version can do as well: nobody else could make a key that
    // may do it.
    if key.role == Some(Role::Admin) && !key.grants.contains(&everything) {
        key.grants.push(everything);
    }
    Ok(KeptKey::new(key, hash))
}

#[cfg(test)]
mod tests;
