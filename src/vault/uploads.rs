//! Tokens that are stored: one, or many in one step.
//!
//! It promises: connecting again keeps the token's id and never puts none in the place of a good
//! refresh token; of many that come together all are stored, or none is and each that is at fault
//! is named.
//! It never: asks a provider whether they are any good (that is a flow).

use std::collections::{BTreeSet, HashMap};

use super::Vault;
use super::access::Permit;
use super::apps;
use super::index::{Indexer, PART, TokenKey};
use super::intents;
use super::kept::{NewCredential, NewToken, build, open_cold, put_due, read};
use super::receipt::Receipt;
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::model::beside::SecondGrant;
use crate::model::plan;
use crate::model::token::{Cold, Record, Summary};
use crate::model::{Account, Address};
use crate::secret::chance;
use crate::store::Records;

/// A token ready to be staged.
struct Built {
    place: TokenKey,
    record: Record,
    cold: Cold,
    old_due: Option<Timestamp>,
    due: Option<Timestamp>,
}

/// Of many tokens, which were refused and why.
pub type Refusals = Vec<(usize, Error)>;

impl Vault {
    /// Stores a token, or a newer one in its place.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown app, [`Error::Invalid`] where the credential does not
    /// suit it, [`Error::Denied`].
    pub fn store_token(&self, caller: &Caller, new: NewToken) -> Result<Receipt<Summary>> {
        self.store_token_over(caller, new, |_| Ok(()))
    }

    /// Stores a token where none of the same app, owner, account and scopes is: what was brought in
    /// before, and has been refreshed since, is not put back to what it was.
    ///
    /// # Errors
    /// Those of [`Vault::store_token`]; [`Error::AlreadyThere`] where one is.
    pub fn store_token_if_absent(
        &self,
        caller: &Caller,
        new: NewToken,
    ) -> Result<Receipt<Summary>> {
        self.store_token_over(caller, new, |_| Err(Error::AlreadyThere))
    }

    /// [`Vault::store_token`], where what it takes the place of may go.
    pub(super) fn store_token_over(
        &self,
        caller: &Caller,
        new: NewToken,
        may_go: impl FnOnce(&Record) -> Result<()> + Send + 'static,
    ) -> Result<Receipt<Summary>> {
        let permit = self.permit_to_store(caller, &new)?;
        let (by, now) = (caller.name(), self.clock().now());
        permit.write(None, move |tx| {
            let (new, seconds) = parted(new)?;
            let built = prepare(tx, new, &by, now, 0, may_go)?;
            stage(tx, &built)?;
            for (before, second) in seconds.into_iter().enumerate() {
                let second = prepare(tx, second, &by, now, before + 1, |_| Ok(()))?;
                stage(tx, &second)?;
            }
            Ok(built.record.summary())
        })
    }

    /// Stores many tokens in one step, or none of them where one is refused: which, and why, comes
    /// back.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too many; [`Error::Locked`], [`Error::Storage`] and others that are
    /// no token's fault.
    pub async fn store_tokens(&self, caller: &Caller, new: Vec<NewToken>) -> Result<Refusals> {
        if new.len() > limits::BATCH_TOKENS_MAX {
            let most = limits::BATCH_TOKENS_MAX;
            return Err(Error::invalid(format!("at most {most} tokens at one time")));
        }
        let mut refused = Refusals::new();
        let mut accepted = Vec::with_capacity(new.len());
        let mut permits: Vec<Permit> = Vec::with_capacity(new.len());
        for (place, new) in new.into_iter().enumerate() {
            match self.permit_to_store(caller, &new) {
                Ok(permit) => {
                    permits.push(permit);
                    accepted.push((place, new));
                }
                Err(error @ (Error::Denied | Error::Invalid(_))) => refused.push((place, error)),
                Err(error) => return Err(error),
            }
        }
        let Some((first, others)) = permits.split_first() else {
            return Ok(refused);
        };
        for other in others {
            other.record("accepted", None)?;
        }
        let (by, now) = (caller.name(), self.clock().now());
        let stored = first.write_told(move |tx| {
            let refused = store_all(tx, accepted, refused, &by, now)?;
            let outcome = match refused.len() {
                0 => "the whole batch is stored".to_owned(),
                faults => format!("nothing of the batch is stored: {faults} refused"),
            };
            Ok((refused, outcome))
        })?;
        stored.await
    }

    fn permit_to_store(&self, caller: &Caller, new: &NewToken) -> Result<Permit> {
        let target = Target {
            scopes: Some(&new.address.scopes),
            ..Target::of(&new.address.app, &new.address.owner)
        };
        let permit = self.gate().permit(caller, Action::Store, &target)?;
        new.credential.check()?;
        new.check_beside()?;
        Ok(permit)
    }
}

/// Parts the further tokens of a consent from the first. Each is of an account of its own, named by
/// its slot, and is found by that name alone: a fetch that names none means the first.
fn parted(mut new: NewToken) -> Result<(NewToken, Vec<NewToken>)> {
    let NewCredential::Granted(grant) = &mut new.credential else {
        return Ok((new, Vec::new()));
    };
    let mut seconds = Vec::new();
    let kept = grant.brought.metadata.clone();
    for SecondGrant { slot, grant } in std::mem::take(&mut grant.brought.second) {
        let account = match &new.address.account {
            Some(account) => format!("{account}/{slot}"),
            None => slot.to_string(),
        };
        let address = Address {
            account: Some(Account::parse(account)?),
            scopes: grant.scopes.clone().unwrap_or_default(),
            ..new.address.clone()
        };
        let mut second = NewToken::of(address, NewCredential::Granted(grant));
        second.beside.metadata.clone_from(&kept);
        second.beside.is_second = true;
        seconds.push(second);
    }
    Ok((new, seconds))
}

/// Stages all of them, or none where there is a refusal.
fn store_all(
    tx: &mut Tx<'_>,
    accepted: Vec<(usize, NewToken)>,
    mut refused: Refusals,
    by: &str,
    now: Timestamp,
) -> Result<Refusals> {
    let mut places = BTreeSet::new();
    let mut owners: HashMap<[u8; 3 * PART], usize> = HashMap::new();
    let mut ready = Vec::with_capacity(accepted.len());
    for (place, new) in accepted {
        let token = Indexer(tx.keys()).token(&new.address);
        // An operation does not see what it staged itself.
        if !places.insert(token) {
            let what = "the same app, owner, account and scopes came before in this batch";
            refused.push((place, Error::invalid(what)));
            continue;
        }
        let owner = Indexer(tx.keys()).of_owner(&new.address.app, &new.address.owner);
        let before = owners.entry(owner).or_default();
        match prepare(tx, new, by, now, *before, |_| Ok(())) {
            Ok(built) => {
                *before += 1;
                ready.push(built);
            }
            Err(error @ (Error::Invalid(_) | Error::NotFound(_) | Error::Conflict(_))) => {
                refused.push((place, error));
            }
            Err(error) => return Err(error),
        }
    }
    if refused.is_empty() {
        ready.iter().try_for_each(|built| stage(tx, built))?;
    }
    refused.sort_by_key(|(place, _)| *place);
    Ok(refused)
}

/// Reads what a token takes the place of, and builds what is to be there. `before` more of its
/// owner and app are about to be stored.
fn prepare(
    tx: &Tx<'_>,
    mut new: NewToken,
    by: &str,
    now: Timestamp,
    before: usize,
    may_go: impl FnOnce(&Record) -> Result<()>,
) -> Result<Built> {
    let app_place = Indexer(tx.keys()).app(&new.address.app);
    let app = apps::read_to_stay(tx, &app_place)?;
    app.app.check_kept(&new.beside.metadata)?;
    let account = new.address.account.as_ref();
    new.beside.is_second |= account.is_some_and(|account| app.app.slot_of(account).is_some());
    let place = Indexer(tx.keys()).token(&new.address);
    let old = read(tx, &place)?;
    old.as_ref().map_or(Ok(()), |old| may_go(&old.record))?;
    if old.is_none() {
        let owner = &place[..3 * PART];
        let most = limits::TOKENS_PER_OWNER_AND_APP_MAX;
        if tx.count(Records::Tokens, owner, most)? + before >= most {
            return Err(Error::invalid(format!(
                "one owner has at most {most} tokens of one app; remove some first"
            )));
        }
    }
    let old_cold = old
        .as_ref()
        .map(|old| open_cold(tx.keys(), &place, &old.sealed))
        .transpose()?;
    let known = old.as_ref().map(|old| &old.record).zip(old_cold);
    let is_of_unknown_age = new.credential.is_of_unknown_age();
    let (record, cold) = build(&app.app, new, known, by, now)?;
    let due = plan::due_at(&record, chance()).map(|due| match is_of_unknown_age {
        true => now.plus(limits::REDATE_SPREAD.mul_f64(chance())),
        false => due,
    });
    Ok(Built {
        place,
        record,
        cold,
        old_due: old.and_then(|old| old.due),
        due,
    })
}

fn stage(tx: &mut Tx<'_>, built: &Built) -> Result<()> {
    let token = (&built.record, &built.cold);
    let version = put_due(tx, &built.place, token, built.old_due, built.due)?;
    intents::follow(tx, &built.place, &built.cold, version)
}
