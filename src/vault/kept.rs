//! A token as it is kept: built, written with all its index entries, read again, taken out.
//!
//! It promises: connecting again keeps a token's id, and never puts none in the place of a refresh
//! token that is good and of the same person; a record and its index entries change together.
//! It never: decides who may, or what fits a fetch (that is `tokens`).

mod incoming;

pub use self::incoming::{NewCredential, NewToken, Upload};
use super::index::{self, TokenKey, due_key, id_key, owners_key, users_key};
use super::records::{ColdRow, HotRow, decode, encode};
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::TokenId;
use crate::model::app::App;
use crate::model::plan;
use crate::model::token::{Cold, Record, Summary, TokenKind, TokenState};
use crate::seal::{Keyring, Sealed};
use crate::secret::{Secret, chance, random};
use crate::store::{Index, Records, View};

pub(super) const HOT: u8 = 0;
pub(super) const COLD: u8 = 1;

/// A removed token, with what revoking it at the provider takes.
pub struct Doomed {
    /// What it was.
    pub summary: Summary,
    /// Its access token, for OAuth.
    pub access_token: Option<Secret<String>>,
    /// Its refresh token.
    pub refresh_token: Option<Secret<String>>,
    /// When both were obtained.
    pub obtained_at: Timestamp,
}

/// A token as it was read.
pub(super) struct Kept {
    pub(super) place: TokenKey,
    pub(super) sealed: Sealed,
    pub(super) record: Record,
    pub(super) due: Option<Timestamp>,
}

pub(super) fn build(
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
        beside: new.beside,
    };
    let subject = match &new.credential {
        NewCredential::Granted(grant) => grant.subject.as_deref(),
        NewCredential::ApiKey(_) | NewCredential::Uploaded(_) => new.subject.as_deref(),
    };
    let mut cold = Cold::default();
    if let Some((old, old_cold)) = old {
        let is_unnamed = new.is_unnamed;
        inherit(
            (&mut record, &mut cold),
            (subject, is_unnamed),
            (old, old_cold),
        );
    }
    record.subject = new.subject.or(record.subject);
    let what = match new.credential {
        NewCredential::ApiKey(key) => {
            record.value = Some(key);
            record.token_type = "api_key".into();
            "key stored"
        }
        NewCredential::Granted(grant) => {
            plan::apply_grant(&mut record, &mut cold, grant, app, now);
            "connected"
        }
        NewCredential::Uploaded(upload) => {
            take_in(&mut record, &mut cold, upload);
            // What is left of its life is not the lifetime of those that follow it.
            record.expires_at = record.expires_at.or_else(|| guessed_end(app, &record, now));
            "uploaded"
        }
    };
    plan::remember(&mut cold, now, what, by);
    Ok((record, cold))
}

/// Lays an upload over a record.
fn take_in(record: &mut Record, cold: &mut Cold, upload: Upload) {
    record.value = upload.access_token;
    record.expires_at = upload.expires_at;
    if let Some(token_type) = upload.token_type {
        record.token_type = token_type;
    }
    if let Some(granted_by) = upload.granted_by {
        record.granted_by = granted_by;
    }
    cold.refresh_token = upload.refresh_token.or(cold.refresh_token.take());
    cold.id_token = upload.id_token;
    record.has_refresh_token = cold.refresh_token.is_some();
}

/// The end of an uploaded token that came without one, where it can be refreshed: the same guess as
/// for a provider that says none.
fn guessed_end(app: &App, record: &Record, now: Timestamp) -> Option<Timestamp> {
    let default_s = app.oauth().and_then(|oauth| oauth.default_lifetime_s);
    let guess = || plan::expiry(now, None, record.lifetime_s, default_s, true).0;
    let is_wanted = record.has_refresh_token && record.value.is_some();
    is_wanted.then(guess).flatten()
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
    (record, cold): (&mut Record, &mut Cold),
    (subject, is_unnamed): (Option<&str>, bool),
    (old, old_cold): (&Record, Cold),
) {
    let same_person = match (subject, &old.subject) {
        (Some(new), Some(old)) => new == old,
        // Its service was asked whose it is and did not say: it may be anybody's. Where nobody was
        // asked, nothing speaks against the same person.
        (None, Some(_)) => !is_unnamed,
        (_, None) => true,
    };
    cold.history = old_cold.history;
    let known_by = |label: &Option<String>, subject: &Option<String>| {
        label.clone().or_else(|| subject.clone())
    };
    if !same_person && subject.is_some() {
        record.beside.switched_from = known_by(&old.beside.label, &old.subject);
    }
    if same_person {
        record.subject = old.subject.clone();
        record.lifetime_s = old.lifetime_s;
        if old.state == TokenState::Active && record.kind == TokenKind::OAuth {
            cold.refresh_token = old_cold.refresh_token;
            // What the old refresh token needs to be used comes along with it.
            let beside = &mut record.beside;
            let newer = std::mem::replace(&mut beside.metadata, old.beside.metadata.clone());
            beside.metadata.extend(newer);
            let newer = std::mem::replace(&mut beside.secrets, old.beside.secrets.clone());
            beside.secrets.extend(newer);
            beside.label = beside.label.take().or(old.beside.label.clone());
            beside.refresh_token_ends_at = old.beside.refresh_token_ends_at;
            beside.is_kept_alive_by_use = old.beside.is_kept_alive_by_use;
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
    put_due(tx, place, (record, cold), old_due, due).map(drop)
}

/// [`put`], with the moment it falls due. The record's version comes back.
pub(super) fn put_due(
    tx: &mut Tx<'_>,
    place: &TokenKey,
    (record, cold): (&Record, &Cold),
    old_due: Option<Timestamp>,
    due: Option<Timestamp>,
) -> Result<u64> {
    if let Some(old) = old_due {
        tx.remove_entry(Index::Due, &due_key(old, place));
    }
    let hot = encode(&HotRow::new(record, due));
    let version = tx.put(
        Records::Tokens,
        place,
        &[&hot, &encode(&ColdRow::new(cold))],
    )?;
    for (index, key, value) in entries(place, record, due) {
        tx.put_entry(index, &key, &value);
    }
    if record.state == TokenState::Active {
        tx.remove_entry(Index::Waiting, place);
    }
    Ok(version)
}

/// The index entries of a token: index, key and value.
pub(super) fn entries(
    place: &TokenKey,
    record: &Record,
    due: Option<Timestamp>,
) -> Vec<(Index, Vec<u8>, Vec<u8>)> {
    let mut entries = vec![
        (Index::Owners, owners_key(place).to_vec(), Vec::new()),
        (Index::Ids, id_key(record.id).to_vec(), place.to_vec()),
    ];
    entries.extend(due.map(|due| (Index::Due, due_key(due, place), Vec::new())));
    let later = later_entries(place, record);
    entries.extend(later.map(|(index, key)| (index, key.to_vec(), Vec::new())));
    entries
}

/// Those of them in the indexes that came later: index and key.
pub(super) fn later_entries(
    place: &TokenKey,
    record: &Record,
) -> impl Iterator<Item = (Index, TokenKey)> + use<> {
    let user = users_key(place, &record.address.owner).map(|key| (Index::Users, key));
    let waits = record.state != TokenState::Active;
    let waiting = waits.then_some((Index::Waiting, *place));
    user.into_iter().chain(waiting)
}

/// Stages the removal of a token with all its index entries.
pub(super) fn doom(tx: &mut Tx<'_>, place: &TokenKey) -> Result<Option<Doomed>> {
    let Some(kept) = read(tx, place)? else {
        return Ok(None);
    };
    let cold = open_cold(tx.keys(), place, &kept.sealed)?;
    for (index, key, _) in entries(place, &kept.record, kept.due) {
        tx.remove_entry(index, &key);
    }
    tx.remove(Records::Intents, place);
    tx.remove(Records::Tokens, place);
    let summary = kept.record.summary();
    let obtained_at = kept.record.obtained_at;
    let access_token = kept
        .record
        .value
        .filter(|_| summary.kind == TokenKind::OAuth);
    Ok(Some(Doomed {
        summary,
        access_token,
        refresh_token: cold.refresh_token,
        obtained_at,
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
    sealed: &Sealed<impl AsRef<[u8]>>,
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
        Index::Users => index::from_users_key(key),
        Index::Waiting => key.try_into().ok(),
        Index::Ids | Index::LinkOwners => None,
    }
}
