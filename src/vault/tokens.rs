//! Tokens: stored, fetched, listed, shown, removed.
//!
//! It promises: a fetch opens the hot part alone and writes nothing to the store; a record that is
//! handed out is on record first; "not there" and "not yours" are one answer; connecting again
//! keeps the token's id and never puts none in the place of a good refresh token.
//! It never: refreshes (that is `renew`) or revokes (that is a flow).

use std::time::Duration;

use super::Vault;
use super::access::Permit;
use super::apps::{self, AppSecrets};
use super::index::{self, Indexer, PART, TokenKey, due_key, id_key, owners_key};
use super::records::{ColdRow, HotRow, decode, encode};
use super::writer::{Receipt, Tx};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target};
use crate::model::app::App;
use crate::model::plan::{self, Fit, fit};
use crate::model::token::{Cold, Grant, ReconnectReason, Record, Summary, TokenKind, TokenState};
use crate::model::{Account, Address, AppId, Owner, Scopes, TokenId};
use crate::seal::{Keyring, Sealed};
use crate::secret::{Secret, chance, random};
use crate::store::{Index, Records, Scan, View};

pub(super) const HOT: u8 = 0;
pub(super) const COLD: u8 = 1;

/// What a caller wants to be handed.
#[derive(Clone, Debug)]
pub struct Ask {
    /// For which app.
    pub app: AppId,
    /// Whose.
    pub owner: Owner,
    /// Which account; any where none is named.
    pub account: Option<Account>,
    /// With these scopes; any where none are named.
    pub scopes: Option<Scopes>,
    /// Valid for at least this much longer, where a refresh can bring that about.
    pub min_ttl: Duration,
    /// With the refresh token, which takes a right of its own.
    pub with_refresh_token: bool,
}

/// What a fetch found.
pub enum Found {
    /// Here it is; the hand-out is on record.
    Fresh(Box<Handed>),
    /// It is to be refreshed first.
    Stale(TokenId),
    /// Its owner must connect again.
    Reconnect(TokenId, ReconnectReason),
    /// Nothing is stored.
    Missing,
}

/// A credential that is handed out.
#[derive(Clone)]
pub struct Handed {
    /// The record's id.
    pub id: TokenId,
    /// OAuth or API key.
    pub kind: TokenKind,
    /// The access token or API key.
    pub value: Secret<String>,
    /// As the provider said it; `api_key` for keys.
    pub token_type: String,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// The scopes granted.
    pub scopes: Scopes,
    /// Scopes asked for and not granted.
    pub missing_scopes: Scopes,
    /// Which account it is.
    pub account: Option<Account>,
    /// The user's name on the provider's side.
    pub subject: Option<String>,
    /// The refresh token, for callers with that right who asked for it.
    pub refresh_token: Option<Secret<String>>,
    /// When it was obtained.
    pub obtained_at: Timestamp,
}

/// A token to be stored.
pub struct NewToken {
    /// Where it belongs.
    pub address: Address,
    /// What it is.
    pub credential: NewCredential,
}

/// The ways a credential comes in.
pub enum NewCredential {
    /// A static key.
    ApiKey(Secret<String>),
    /// What a provider granted to a person's consent.
    Granted(Grant),
    /// Tokens obtained elsewhere. At least one of the two is there.
    Uploaded {
        /// The access token.
        access_token: Option<Secret<String>>,
        /// The refresh token.
        refresh_token: Option<Secret<String>>,
        /// When the access token ends.
        expires_at: Option<Timestamp>,
    },
}

impl NewCredential {
    /// Refuses what is empty or too long, and an upload of nothing.
    fn check(&self) -> Result<()> {
        let secrets = match self {
            Self::ApiKey(key) => [Some(key), None, None],
            Self::Granted(grant) => [
                Some(&grant.access_token),
                grant.refresh_token.as_ref(),
                grant.id_token.as_ref(),
            ],
            Self::Uploaded {
                access_token,
                refresh_token,
                ..
            } => [access_token.as_ref(), refresh_token.as_ref(), None],
        };
        let fits = 1..=limits::CREDENTIAL_BYTES_MAX;
        if secrets.iter().all(Option::is_none) {
            return Err(Error::invalid(
                "give an access token, a refresh token, or both",
            ));
        }
        if secrets
            .into_iter()
            .flatten()
            .all(|one| fits.contains(&one.expose().len()))
        {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "a credential has 1 to {} bytes",
            limits::CREDENTIAL_BYTES_MAX
        )))
    }
}

/// A removed token, with what revoking it at the provider takes.
pub struct Doomed {
    /// What it was.
    pub summary: Summary,
    /// Its access token, for OAuth.
    pub access_token: Option<Secret<String>>,
    /// Its refresh token.
    pub refresh_token: Option<Secret<String>>,
}

impl Vault {
    /// Hands out a credential, or says why not.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Damaged`] where a record does not authenticate.
    pub fn fetch(&self, caller: &Caller, ask: &Ask) -> Result<Found> {
        self.fetch_over(caller, ask, None)
    }

    /// [`Vault::fetch`], with a grant laid over one record: a refresh whose result the store could
    /// not take yet.
    ///
    /// # Errors
    /// As [`Vault::fetch`].
    pub fn fetch_over(
        &self,
        caller: &Caller,
        ask: &Ask,
        unstored: Option<(TokenId, &Grant)>,
    ) -> Result<Found> {
        let target = Target {
            scopes: ask.scopes.as_ref(),
            ..Target::of(&ask.app, &ask.owner)
        };
        let permit = self.gate().permit(caller, Action::Fetch, &target)?;
        // A second permit for the second right; the one record below names both.
        let second = ask
            .with_refresh_token
            .then(|| self.gate().permit(caller, Action::FetchRefresh, &target))
            .transpose()?;
        // The ceilings of both rights hold.
        let may = |granted: &Scopes| {
            let second = second.as_ref();
            permit.may_hand_out(granted) && second.is_none_or(|second| second.may_hand_out(granted))
        };
        let now = self.clock().now();
        let Some((place, sealed, record)) = self.best(&permit, &may, ask, now, unstored)? else {
            permit.record("connect_required", None)?;
            return Ok(Found::Missing);
        };
        let id = record.id;
        match fit(&record, ask.scopes.as_ref(), now, ask.min_ttl) {
            Fit::ExactFresh | Fit::WiderFresh => {
                let mut handed = hand_out(&permit, ask, &place, &sealed, record)?;
                let rotated = unstored
                    .filter(|(of, _)| *of == id)
                    .and_then(|(_, grant)| grant.refresh_token.clone());
                // The stored one is spent then: whoever used it would have the grant revoked.
                if handed.refresh_token.is_some() && rotated.is_some() {
                    handed.refresh_token = rotated;
                }
                Ok(Found::Fresh(Box::new(handed)))
            }
            Fit::ExactStale | Fit::WiderStale => Ok(Found::Stale(id)),
            Fit::Dead => {
                let reason = match record.state {
                    TokenState::ReconnectRequired(reason) => reason,
                    TokenState::Active => ReconnectReason::Expired,
                };
                permit.record(
                    &format!("reconnect_required: {}", reason.as_str()),
                    Some(id),
                )?;
                Ok(Found::Reconnect(id, reason))
            }
            Fit::TooNarrow => {
                permit.record("reconnect_required: scope_missing", Some(id))?;
                Ok(Found::Reconnect(id, ReconnectReason::ScopeMissing))
            }
        }
    }

    /// The record that fits best: exact scopes first, then the newest.
    fn best(
        &self,
        permit: &Permit,
        may: &dyn Fn(&Scopes) -> bool,
        ask: &Ask,
        now: Timestamp,
        unstored: Option<(TokenId, &Grant)>,
    ) -> Result<Option<(TokenKey, Sealed, Record)>> {
        let prefix = Indexer(permit.keys()).of_owner(&ask.app, &ask.owner);
        let mut best: Option<(TokenKey, Sealed, Record, Fit)> = None;
        self.store()
            .read()?
            .scan_records(Records::Tokens, &prefix, None, &mut |key, sealed| {
                let (place, mut record, _) = open_hot(permit.keys(), key, &sealed)?;
                if let Some((_, grant)) = unstored.filter(|(id, _)| *id == record.id) {
                    plan::apply_grant(&mut record, &mut Cold::default(), grant.clone(), None, now);
                }

                let other_account = ask.account.is_some() && ask.account != record.address.account;
                if other_account || !may(&record.granted) {
                    return Ok(Scan::Go);
                }
                let fits = fit(&record, ask.scopes.as_ref(), now, ask.min_ttl);
                let better = best.as_ref().is_none_or(|(_, _, best, best_fit)| {
                    fits < *best_fit || (fits == *best_fit && record.obtained_at > best.obtained_at)
                });
                if better {
                    best = Some((place, sealed, record, fits));
                }
                Ok(Scan::Go)
            })?;
        Ok(best.map(|(place, sealed, record, _)| (place, sealed, record)))
    }

    /// Puts on record how a fetch ended that this vault could not answer by itself.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::AuditUnavailable`].
    pub fn record_fetch(&self, caller: &Caller, ask: &Ask, outcome: &str) -> Result<()> {
        let target = Target {
            scopes: ask.scopes.as_ref(),
            ..Target::of(&ask.app, &ask.owner)
        };
        self.gate()
            .permit(caller, Action::Fetch, &target)?
            .record(outcome, None)
    }

    /// Stores a token, or a newer one in its place.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown app, [`Error::Invalid`] where the credential does not
    /// suit it, [`Error::Denied`].
    pub fn store_token(&self, caller: &Caller, new: NewToken) -> Result<Receipt<Summary>> {
        let target = Target {
            scopes: Some(&new.address.scopes),
            ..Target::of(&new.address.app, &new.address.owner)
        };
        let permit = self.gate().permit(caller, Action::Store, &target)?;
        new.credential.check()?;
        let by = caller.name();
        let now = self.clock().now();
        permit.write(None, move |tx| {
            let app_place = Indexer(tx.keys()).app(&new.address.app);
            let app = apps::read_to_stay(tx, &app_place)?;
            let place = Indexer(tx.keys()).token(&new.address);
            let old = read(tx, &place)?;
            if old.is_none() {
                let owner = &place[..3 * PART];
                let most = limits::TOKENS_PER_OWNER_AND_APP_MAX;
                if tx.count(Records::Tokens, owner, most)? >= most {
                    return Err(Error::invalid(format!(
                        "one owner has at most {most} tokens of one app; remove some first"
                    )));
                }
            }
            let old_cold = old
                .as_ref()
                .map(|old| open_cold(tx.keys(), &place, &old.sealed))
                .transpose()?;
            let before = old.as_ref().map(|old| &old.record).zip(old_cold);
            let (record, cold) = build(&app.app, new, before, &by, now)?;
            put(tx, &place, &record, &cold, old.and_then(|old| old.due))?;
            tx.remove(Records::Intents, &place);
            Ok(record.summary())
        })
    }

    /// One token's summary.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn token(&self, caller: &Caller, id: TokenId) -> Result<Summary> {
        let (permit, kept) = self.permit_on(caller, Action::List, id)?;
        permit.record("ok", Some(id))?;
        Ok(kept.record.summary())
    }

    /// One token in plain text.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn reveal(&self, caller: &Caller, id: TokenId) -> Result<(Record, Cold)> {
        let (permit, kept) = self.permit_on(caller, Action::Reveal, id)?;
        let cold = open_cold(permit.keys(), &kept.place, &kept.sealed)?;
        permit.record("revealed", Some(id))?;
        Ok((kept.record, cold))
    }

    /// Removes a token. What revoking it takes comes back.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn remove_token(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<Receipt<(Doomed, AppSecrets)>> {
        let (permit, kept) = self.permit_on(caller, Action::Delete, id)?;
        permit.write(Some(id), move |tx| {
            let doomed = doom(tx, &kept.place)?
                .filter(|doomed| doomed.summary.id == id)
                .ok_or(Error::NotFound("token"))?;
            let app_place = Indexer(tx.keys()).app(&doomed.summary.app);
            let app = apps::read(tx, &app_place)?.ok_or(Error::NotFound("app"))?;
            Ok((doomed, app))
        })
    }

    /// Finds a token by id and gets leave for it.
    pub(super) fn permit_on(
        &self,
        caller: &Caller,
        action: Action,
        id: TokenId,
    ) -> Result<(Permit, Kept)> {
        let permit = self.gate().permit(caller, action, &Target::default())?;
        let view = self.store().read()?;
        let Some(kept) = find(permit.keys(), &view, id)? else {
            permit.record("not_found", Some(id))?;
            return Err(Error::NotFound("token"));
        };
        let address = &kept.record.address;
        let target = Target::of(&address.app, &address.owner);
        let permit = match self.gate().permit(caller, action, &target) {
            Ok(permit) => permit,
            Err(Error::Denied) => return Err(Error::NotFound("token")),
            Err(error) => return Err(error),
        };
        if !permit.may_hand_out(&kept.record.granted) {
            permit.record("refused: above the scope ceiling", Some(id))?;
            return Err(Error::NotFound("token"));
        }
        Ok((permit, kept))
    }
}

/// A token as it was read.
pub(super) struct Kept {
    pub(super) place: TokenKey,
    pub(super) sealed: Sealed,
    pub(super) record: Record,
    pub(super) due: Option<Timestamp>,
}

fn hand_out(
    permit: &Permit,
    ask: &Ask,
    place: &TokenKey,
    sealed: &Sealed,
    record: Record,
) -> Result<Handed> {
    let refresh_token = match ask.with_refresh_token {
        true => open_cold(permit.keys(), place, sealed)?.refresh_token,
        false => None,
    };
    let outcome = if refresh_token.is_some() {
        "ok, with refresh token"
    } else {
        "ok"
    };
    let missing = ask
        .scopes
        .as_ref()
        .map(|asked| asked.without(&record.granted));
    let value = record
        .value
        .ok_or_else(|| Error::Damaged("a valid token has no value".into()))?;
    // Static keys carry no scopes, so none of those asked for is missing.
    let missing = missing
        .filter(|_| record.kind == TokenKind::OAuth)
        .unwrap_or_default();
    permit.record(outcome, Some(record.id))?;
    Ok(Handed {
        id: record.id,
        kind: record.kind,
        value,
        token_type: record.token_type,
        expires_at: record.expires_at,
        scopes: record.granted,
        missing_scopes: missing,
        account: record.address.account,
        subject: record.subject,
        refresh_token,
        obtained_at: record.obtained_at,
    })
}

fn build(
    app: &App,
    new: NewToken,
    old: Option<(&Record, Cold)>,
    by: &str,
    now: Timestamp,
) -> Result<(Record, Cold)> {
    let kind = kind_of(app, &new.credential)?;
    let mut record = Record {
        id: old
            .as_ref()
            .map_or_else(|| TokenId::new(random()), |(old, _)| old.id),
        granted: new.address.scopes.clone(),
        address: new.address,
        kind,
        value: None,
        token_type: "Bearer".into(),
        expires_at: None,
        lifetime_s: None,
        subject: None,
        has_refresh_token: false,
        state: TokenState::Active,
        created_at: old.as_ref().map_or(now, |(old, _)| old.created_at),
        obtained_at: now,
        last_refreshed_at: old.as_ref().and_then(|(old, _)| old.last_refreshed_at),
        last_refresh_error: None,
        failures: 0,
        not_before: None,
        granted_by: by.to_owned(),
    };
    let subject = match &new.credential {
        NewCredential::Granted(grant) => grant.subject.as_deref(),
        _ => None,
    };
    let mut cold = Cold::default();
    if let Some((old, old_cold)) = old {
        inherit(&mut record, &mut cold, subject, old, old_cold);
    }
    let what = match new.credential {
        NewCredential::ApiKey(key) => {
            record.value = Some(key);
            record.token_type = "api_key".into();
            "key stored"
        }
        NewCredential::Granted(grant) => {
            let default_s = app.oauth().and_then(|oauth| oauth.default_lifetime_s);
            plan::apply_grant(&mut record, &mut cold, grant, default_s, now);
            "connected"
        }
        NewCredential::Uploaded {
            access_token,
            refresh_token,
            expires_at,
        } => {
            record.lifetime_s = expires_at
                .map(|end| end.since(now).as_secs())
                .filter(|s| *s > 0);
            record.expires_at = expires_at;
            record.value = access_token;
            cold.refresh_token = refresh_token.or(cold.refresh_token.take());
            record.has_refresh_token = cold.refresh_token.is_some();
            "uploaded"
        }
    };
    plan::remember(&mut cold, now, what, by);
    Ok((record, cold))
}

fn kind_of(app: &App, credential: &NewCredential) -> Result<TokenKind> {
    match (credential, app.oauth()) {
        (NewCredential::ApiKey(_), None) => Ok(TokenKind::ApiKey),
        (NewCredential::ApiKey(_), Some(_)) => Err(Error::invalid(format!(
            "`{}` is an OAuth app: it takes tokens",
            app.id
        ))),
        (_, Some(_)) => Ok(TokenKind::OAuth),
        (_, None) => Err(Error::invalid(format!(
            "`{}` is an API-key app: it takes `api_key`",
            app.id
        ))),
    }
}

/// Keeps from the old record what the new one may lack: history, subject, and a refresh token that
/// is good and of the same person.
fn inherit(
    record: &mut Record,
    cold: &mut Cold,
    subject: Option<&str>,
    old: &Record,
    old_cold: Cold,
) {
    let same_person = match (subject, &old.subject) {
        (Some(new), Some(old)) => new == old,
        _ => true,
    };
    cold.history = old_cold.history;
    if same_person {
        record.subject = old.subject.clone();
        record.lifetime_s = old.lifetime_s;
        if old.state == TokenState::Active && record.kind == TokenKind::OAuth {
            cold.refresh_token = old_cold.refresh_token;
        }
    }
}

/// Seals and stages a token with all its index entries.
pub(super) fn put(
    tx: &mut Tx<'_>,
    place: &TokenKey,
    record: &Record,
    cold: &Cold,
    old_due: Option<Timestamp>,
) -> Result<()> {
    let due = plan::due_at(record, chance());
    if let Some(old) = old_due {
        tx.remove_entry(Index::Due, &due_key(old, place));
    }
    if let Some(due) = due {
        tx.put_entry(Index::Due, &due_key(due, place), b"");
    }
    let hot = encode(&HotRow::new(record, due));
    tx.put(
        Records::Tokens,
        place,
        &[&hot, &encode(&ColdRow::new(cold))],
    )?;
    tx.put_entry(Index::Owners, &owners_key(place), b"");
    tx.put_entry(Index::Ids, &id_key(record.id), place);
    Ok(())
}

/// Stages the removal of a token with all its index entries.
pub(super) fn doom(tx: &mut Tx<'_>, place: &TokenKey) -> Result<Option<Doomed>> {
    let Some(kept) = read(tx, place)? else {
        return Ok(None);
    };
    let cold = open_cold(tx.keys(), place, &kept.sealed)?;
    if let Some(due) = kept.due {
        tx.remove_entry(Index::Due, &due_key(due, place));
    }
    tx.remove_entry(Index::Owners, &owners_key(place));
    tx.remove_entry(Index::Ids, &id_key(kept.record.id));
    tx.remove(Records::Intents, place);
    tx.remove(Records::Tokens, place);
    let summary = kept.record.summary();
    let access_token = kept
        .record
        .value
        .filter(|_| summary.kind == TokenKind::OAuth);
    Ok(Some(Doomed {
        summary,
        access_token,
        refresh_token: cold.refresh_token,
    }))
}

/// Reads a token inside a transaction.
pub(super) fn read(tx: &Tx<'_>, place: &TokenKey) -> Result<Option<Kept>> {
    at(tx.keys(), tx.view(), place)
}

fn at(keys: &Keyring, view: &impl View, place: &TokenKey) -> Result<Option<Kept>> {
    let Some(sealed) = view.record(Records::Tokens, place)? else {
        return Ok(None);
    };
    let (place, record, due) = open_hot(keys, place, &sealed)?;
    Ok(Some(Kept {
        place,
        sealed,
        record,
        due,
    }))
}

/// Finds a token by id.
pub(super) fn find(keys: &Keyring, view: &impl View, id: TokenId) -> Result<Option<Kept>> {
    let Some(place) = view.entry(Index::Ids, &id_key(id))? else {
        return Ok(None);
    };
    let place = TokenKey::try_from(place.as_slice())
        .map_err(|_| Error::Damaged("an entry of the token ids cannot be read".into()))?;
    // The index is not sealed; the record is, and says whose it is.
    let kept = at(keys, view, &place)?.filter(|kept| kept.record.id == id);
    kept.map(Some)
        .ok_or_else(|| Error::Damaged("a token id leads to another token".into()))
}

pub(super) fn open_hot(
    keys: &Keyring,
    key: &[u8],
    sealed: &Sealed,
) -> Result<(TokenKey, Record, Option<Timestamp>)> {
    let place = TokenKey::try_from(key)
        .map_err(|_| Error::Damaged("a key of the token table has a wrong length".into()))?;
    let row: HotRow = decode(&keys.open(Records::Tokens.name(), key, sealed, HOT)?)?;
    let (record, due) = row.into_record();
    Ok((place, record, due))
}

pub(super) fn open_cold(keys: &Keyring, place: &TokenKey, sealed: &Sealed) -> Result<Cold> {
    let row: ColdRow = decode(&keys.open(Records::Tokens.name(), place, sealed, COLD)?)?;
    Ok(row.into_cold())
}

/// The token keys a list or a removal by filter walks over.
pub(super) fn token_key_of(index: Index, key: &[u8]) -> Option<TokenKey> {
    match index {
        Index::Owners => index::from_owners_key(key),
        Index::Due => index::from_due_key(key).map(|(_, place)| place),
        Index::Ids | Index::LinkOwners => None,
    }
}
