//! The vault's half of a refresh: the durable intent before the call, the outcome after it.
//!
//! It promises:
//! * V7 A refresh token leaves for its provider only after an intent naming it is durable.
//! * V8 An outcome is applied only to the record version the intent names: a removal or a new
//!   connection meanwhile wins.
//! * V9 After an attempt whose outcome is unknown, the intent stays, so that a later
//!   `invalid_grant` is told as an interrupted refresh and never as a revocation.
//!
//! It never: calls a provider, or decides when to.

use super::Vault;
use super::apps::{self, AppSecrets};
use super::index::{Indexer, TokenKey, from_due_key};
use super::records::{Intent, decode, encode};
use super::tokens::{find, open_cold, put, read};
use super::writer::{Receipt, Tx};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target, Who};
use crate::model::plan::{self, Verdict};
use crate::model::token::{Record, Summary, TokenState};
use crate::model::{Address, Owner, TokenId};
use crate::seal::digest;
use crate::secret::{Secret, hex};
use crate::store::{Index, Records, Scan, View};

/// A refresh that has begun.
pub struct RefreshJob {
    /// The record.
    pub id: TokenId,
    /// Its app, with the client secret.
    pub app: AppSecrets,
    /// What is about to be spent.
    pub refresh_token: Secret<String>,
    /// An earlier attempt with this refresh token ended without an answer, or was cut short.
    pub uncertain: bool,
    /// Failed refreshes since the last success, for the length of the next wait.
    pub failures: u32,
    place: TokenKey,
    version: u64,
    address: Address,
}

/// How a refresh may begin.
pub enum Begin {
    /// The intent is durable: call the provider.
    Go(Box<RefreshJob>),
    /// The stored token is newer than the one the caller saw rejected.
    Newer,
    /// Not before this moment.
    Wait(Timestamp),
    /// It cannot be refreshed: no refresh token, or its owner must connect again.
    Hopeless,
}

/// Why a refresh is asked for.
pub struct RefreshAsk {
    /// Which record.
    pub id: TokenId,
    /// The access token that was seen rejected, where that is the reason.
    pub rejected: Option<Secret<String>>,
}

/// What became of an outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finish {
    /// It is stored.
    Stored,
    /// The record changed or went away meanwhile; that stands.
    Superseded,
}

impl Vault {
    /// Commits the intent to refresh, and hands over what the provider is to be asked with.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Storage`] where the intent cannot be stored: then the provider
    /// must not be called.
    pub fn begin_refresh(&self, caller: &Caller, ask: RefreshAsk) -> Result<Receipt<Begin>> {
        let (permit, kept) = self.permit_on(caller, Action::Refresh, ask.id)?;
        let now = self.clock().now();
        // V12: two copies would spend the same refresh token.
        let paused = self.is_refresh_paused();
        permit.write_as("refresh begins", Some(ask.id), move |tx| {
            // Read again inside the transaction: the permit was given on an older view.
            let Some(kept) = read(tx, &kept.place)?.filter(|kept| kept.record.id == ask.id) else {
                return Err(Error::NotFound("token"));
            };
            if paused {
                return Ok(Begin::Wait(now.plus(limits::BACKOFF_MAX)));
            }
            let record = &kept.record;
            if ask
                .rejected
                .is_some_and(|rejected| !holds(record, &rejected))
            {
                return Ok(Begin::Newer);
            }
            if record.state != TokenState::Active {
                return Ok(Begin::Hopeless);
            }
            if let Some(not_before) = record.not_before.filter(|not_before| *not_before > now) {
                return Ok(Begin::Wait(not_before));
            }
            let cold = open_cold(tx.keys(), &kept.place, &kept.sealed)?;
            let Some(refresh_token) = cold.refresh_token else {
                return Ok(Begin::Hopeless);
            };
            let app_place = Indexer(tx.keys()).app(&record.address.app);
            let app = apps::read(tx, &app_place)?.ok_or(Error::NotFound("app"))?;
            let version = kept.sealed.version();
            let spent = fingerprint(&refresh_token);
            let before = intent(tx, &kept.place)?.filter(|intent| intent.spent == spent);
            let attempt = before
                .as_ref()
                .map_or(1, |intent| intent.attempt.saturating_add(1));
            let intent = Intent {
                version,
                spent,
                at: now,
                attempt,
            };
            tx.put(Records::Intents, &kept.place, &[&encode(&intent)])?;
            Ok(Begin::Go(Box::new(RefreshJob {
                id: ask.id,
                app,
                refresh_token,
                uncertain: before.is_some(),
                failures: record.failures,
                place: kept.place,
                version,
                address: kept.record.address,
            })))
        })
    }

    /// Stores what a refresh came to, and clears the intent unless the outcome is unknown.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::OutcomeUnknown`]: the verdict is to be kept and stored again.
    pub fn finish_refresh(
        &self,
        caller: &Caller,
        job: &RefreshJob,
        verdict: Verdict,
    ) -> Result<Receipt<Finish>> {
        let target = Target::of(&job.address.app, &job.address.owner);
        let permit = self.gate().permit(caller, Action::Refresh, &target)?;
        let now = self.clock().now();
        let by = caller.name();
        let (place, version, id) = (job.place, job.version, job.id);
        let was_uncertain = job.uncertain;
        let default_s = job
            .app
            .app
            .oauth()
            .and_then(|oauth| oauth.default_lifetime_s);
        permit.write_as(&word_for(&verdict), Some(id), move |tx| {
            let Some(kept) = read(tx, &place)? else {
                return Ok(Finish::Superseded);
            };
            if kept.sealed.version() != version {
                return Ok(Finish::Superseded);
            }
            let mut record = kept.record;
            let mut cold = open_cold(tx.keys(), &place, &kept.sealed)?;
            let mut keep_intent = false;
            match verdict {
                Verdict::Renewed(grant) => {
                    plan::apply_grant(&mut record, &mut cold, grant, default_s, now);
                    record.last_refreshed_at = Some(now);
                    plan::remember(&mut cold, now, "refreshed", &by);
                }
                Verdict::Dead(reason, error) => {
                    plan::remember(&mut cold, now, format!("dead: {}", reason.as_str()), &by);
                    record.state = TokenState::ReconnectRequired(reason);
                    record.last_refresh_error = Some(error);
                    record.failures = record.failures.saturating_add(1);
                }
                Verdict::Later {
                    error,
                    not_before,
                    uncertain,
                } => {
                    record.last_refresh_error = Some(error);
                    record.failures = record.failures.saturating_add(1);
                    record.not_before = Some(not_before);
                    // V9: that this attempt spent nothing says nothing about an earlier one.
                    keep_intent = uncertain || was_uncertain;
                }
            }
            put(tx, &place, &record, &cold, kept.due)?;
            if !keep_intent {
                tx.remove(Records::Intents, &place);
            }
            Ok(Finish::Stored)
        })
    }

    /// Tokens that are due by `now`, the most overdue first, and when the next one is.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn due(
        &self,
        caller: &Caller,
        now: Timestamp,
        most: usize,
    ) -> Result<(Vec<TokenId>, Option<Timestamp>)> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let view = self.store().read()?;
        let mut places = Vec::new();
        let mut next = None;
        view.scan_index(Index::Due, b"", None, &mut |key, _| {
            let (at, place) = from_due_key(key)
                .ok_or_else(|| Error::Damaged("an entry of the due table cannot be read".into()))?;
            if at > now || places.len() == most {
                next = Some(at);
                return Ok(Scan::Stop);
            }
            places.push(place);
            Ok(Scan::Go)
        })?;
        let mut ids = Vec::with_capacity(places.len());
        for place in places {
            // The index is not sealed: an entry without a record is refused, not followed.
            let sealed = view.record(Records::Tokens, &place)?.ok_or_else(|| {
                Error::Damaged("an entry of the due table leads to no token".into())
            })?;
            ids.push(
                super::tokens::open_hot(permit.keys(), &place, &sealed)?
                    .1
                    .id,
            );
        }
        Ok((ids, next))
    }

    /// Tokens whose refresh had begun when the process ended: each is tried once, at once.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn interrupted(&self, caller: &Caller) -> Result<Vec<TokenId>> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let view = self.store().read()?;
        let mut ids = Vec::new();
        view.scan_records(Records::Intents, b"", None, &mut |place, _| {
            if let Some(sealed) = view.record(Records::Tokens, place)? {
                ids.push(super::tokens::open_hot(permit.keys(), place, &sealed)?.1.id);
            }
            Ok(Scan::Go)
        })?;
        if !ids.is_empty() {
            permit.record(&format!("{} interrupted refreshes found", ids.len()), None)?;
        }
        Ok(ids)
    }

    /// A token that the caller may refresh by hand.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn token_to_refresh(&self, caller: &Caller, id: TokenId) -> Result<Summary> {
        let (permit, kept) = self.permit_on(caller, Action::Refresh, id)?;
        permit.record("asked for", Some(id))?;
        Ok(kept.record.summary())
    }

    /// True where the record of a finished job is gone, not merely changed.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn is_gone(&self, caller: &Caller, job: &RefreshJob) -> Result<bool> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        Ok(find(permit.keys(), &self.store().read()?, job.id)?.is_none())
    }

    /// Puts on record how revoking a removed token at its provider went.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`].
    pub fn record_revocation(&self, caller: &Caller, of: &Summary, outcome: &str) -> Result<()> {
        let local = Caller {
            who: Who::Local,
            ..caller.clone()
        };
        let owner = Owner::new(of.tenant.clone(), of.user.clone())?;
        let permit = self
            .gate()
            .permit(&local, Action::Delete, &Target::of(&of.app, &owner))?;
        permit.record(&format!("revocation: {outcome}"), Some(of.id))
    }
}

/// What the audit trail calls a verdict.
fn word_for(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Renewed(_) => "refreshed".into(),
        Verdict::Dead(reason, error) => format!("dead: {} ({})", reason.as_str(), error.code),
        Verdict::Later { error, .. } => format!("later: {}", error.code),
    }
}

/// True where `record` holds exactly this access token.
fn holds(record: &Record, token: &Secret<String>) -> bool {
    record
        .value
        .as_ref()
        .is_some_and(|value| value.equals(token.expose().as_bytes()))
}

/// Tells a refresh token from another without holding it.
fn fingerprint(refresh_token: &Secret<String>) -> String {
    hex(&digest(&[
        b"strongroom 1 refresh token",
        refresh_token.expose().as_bytes(),
    ])[..16])
}

fn intent(tx: &Tx<'_>, place: &TokenKey) -> Result<Option<Intent>> {
    let Some(sealed) = tx.view().record(Records::Intents, place)? else {
        return Ok(None);
    };
    let plain = tx.keys().open(Records::Intents.name(), place, &sealed, 0)?;
    decode(&plain).map(Some)
}
