//! The vault's half of a refresh: the durable intent before the call, the outcome after it.
//!
//! It promises:
//! * V7 A refresh token leaves for its provider only after an intent naming it is durable.
//! * V8 An outcome is applied only to the record version the intent names: a removal or a new
//!   connection meanwhile wins. Where that lives on the refresh token that was spent, it gets the
//!   one that came for it.
//! * V9 After an attempt whose outcome is unknown, the intent stays, so that a later
//!   `invalid_grant` is told as an interrupted refresh and never as a revocation.
//!
//! It never: calls a provider, or decides when to.

mod job;

use std::time::Duration;

pub use self::job::RefreshJob;
use self::job::earliest;
use super::Vault;
use super::apps;
use super::fetch::holds;
use super::index::Indexer;
use super::intents::{fingerprint, intent};
use super::kept::{Kept, find, open_cold, open_hot, put, put_due, read};
use super::receipt::Receipt;
use super::records::{Intent, encode};
use super::time::Doubt;
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target, Who};
use crate::model::plan::{self, Verdict};
use crate::model::token::{Grant, Record, Summary, TokenState};
use crate::model::{Owner, TokenId};
use crate::secret::Secret;
use crate::store::{Records, View};

/// What makes a refresh needful. Looked at again with the record in hand, since another refresh may
/// have ended between the question and the flight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// It was asked for by itself.
    Asked,
    /// Its intent was found open at start.
    Interrupted,
    /// The schedule says so.
    Due,
    /// A caller needs it to be valid for this long.
    Lasting(Duration),
    /// A caller wants a newer one whatever the old one is worth.
    Forced,
}

impl Need {
    fn is_met(self, kept: &Kept, now: Timestamp, doubt: Doubt) -> bool {
        match self {
            Self::Asked | Self::Interrupted => false,
            Self::Due => kept.due.is_none_or(|due| due > now),
            Self::Lasting(min_ttl) => {
                let at = doubt.judged_at(&kept.record, kept.sealed.version(), now);
                plan::lasts(&kept.record, at, min_ttl)
            }
            Self::Forced => plan::is_just_refreshed(&kept.record, now),
        }
    }

    fn wait(self, record: &Record, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Due => plan::pause(record, now),
            Self::Asked | Self::Interrupted | Self::Lasting(_) | Self::Forced => {
                plan::wait_of_callers(record, now)
            }
        }
    }
}

/// How a refresh may begin.
pub enum Begin {
    /// The intent is durable: call the provider.
    Go(Box<RefreshJob>),
    /// The stored token is newer than the one the caller saw rejected, or needs no refresh any
    /// more.
    Newer,
    /// Not before this moment.
    Wait(Timestamp),
    /// Not before this moment: until then its provider does not trade it for a longer one.
    TooYoung(Timestamp),
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
        self.begin_refresh_for(caller, ask, Need::Asked)
    }

    /// [`Vault::begin_refresh`], unless the need is met already.
    ///
    /// # Errors
    /// As [`Vault::begin_refresh`].
    pub fn begin_refresh_for(
        &self,
        caller: &Caller,
        ask: RefreshAsk,
        need: Need,
    ) -> Result<Receipt<Begin>> {
        let (permit, kept) = self.permit_on(caller, Action::Refresh, ask.id)?;
        let now = self.clock().now();
        // V12: two copies would spend the same refresh token.
        let paused = self.is_refresh_paused();
        let doubt = self.doubt();
        permit.write_as("refresh begins", Some(ask.id), move |tx| {
            // Read again inside the transaction: the permit was given on an older view.
            let Some(kept) = read(tx, &kept.place)?.filter(|kept| kept.record.id == ask.id) else {
                return Err(Error::NotFound("token"));
            };
            if paused {
                return Ok(Begin::Wait(now.plus(limits::BACKOFF_MAX)));
            }
            let record = &kept.record;
            // Whoever asked since may have made up for it: a second refresh would be one too many.
            if need == Need::Interrupted && intent(tx, &kept.place)?.is_none() {
                return Ok(Begin::Newer);
            }
            let is_met = match &ask.rejected {
                Some(rejected) if holds(record, rejected) => false,
                // The stored one is another: it will do, unless it has ended since.
                Some(_) if need == Need::Asked => {
                    let at = doubt.judged_at(record, kept.sealed.version(), now);
                    record.is_fresh(at, Duration::ZERO)
                }
                _ => need.is_met(&kept, now, doubt),
            };
            if is_met {
                return Ok(Begin::Newer);
            }
            if record.state != TokenState::Active {
                return Ok(Begin::Hopeless);
            }
            if let Some(not_before) = need
                .wait(record, now)
                .filter(|not_before| *not_before > now)
            {
                return Ok(Begin::Wait(not_before));
            }
            begin(tx, &kept, now)
        })
    }

    /// True where an attempt at this token is open.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn has_intent(&self, caller: &Caller, id: TokenId) -> Result<bool> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let view = self.store().read()?;
        let Some(kept) = find(permit.keys(), &view, id)? else {
            return Ok(false);
        };
        Ok(view.record(Records::Intents, &kept.place)?.is_some())
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
        let now = job.answered_at.unwrap_or_else(|| self.clock().now());
        let by = caller.name();
        let (place, version, id) = (job.place, job.version, job.id);
        let (was_uncertain, spent) = (job.uncertain, job.refresh_token.clone());
        let doubt = self.doubt();
        let (assumed, remote) = (job.assumed(), job.of_remote());
        permit.write_as(&word_for(&verdict), Some(id), move |tx| {
            let Some(kept) = read(tx, &place)? else {
                return Ok(Finish::Superseded);
            };
            if kept.sealed.version() != version {
                if let Verdict::Renewed(grant) = verdict {
                    hand_down(tx, kept, (id, &spent), grant, now)?;
                }
                return Ok(Finish::Superseded);
            }
            let mut record = kept.record;
            let mut cold = open_cold(tx.keys(), &place, &kept.sealed)?;
            let mut keep_intent = false;
            match verdict {
                Verdict::Renewed(grant) => {
                    plan::apply_grant(&mut record, &mut cold, grant, assumed, now);
                    apps::keep_moment(tx, remote.as_ref(), &mut record)?;
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
                    doubt.settle(&mut record, version, now);
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

    /// A token that the caller may refresh by hand.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn token_to_refresh(&self, caller: &Caller, id: TokenId) -> Result<Summary> {
        let (permit, kept) = self.permit_on(caller, Action::Refresh, id)?;
        permit.record("asked for", Some(id))?;
        Ok(kept.record.summary())
    }

    /// True where the record of a finished job is gone and nothing is in its place: what the job
    /// brought is nobody's. What stands in its place may live on the same grant.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub fn is_orphaned(&self, caller: &Caller, job: &RefreshJob) -> Result<bool> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let view = self.store().read()?;
        let is_gone = find(permit.keys(), &view, job.id)?.is_none();
        Ok(is_gone && view.record(Records::Tokens, &job.place)?.is_none())
    }

    /// True where an outcome will never be stored, whatever the disk does: it is too long, or its
    /// record cannot be opened. That is put on record. Trouble with the file as a whole is none of
    /// that: it is closed then, and opened anew.
    ///
    /// # Errors
    /// [`Error::Storage`] and others, where that cannot be told, or not be put on record.
    pub fn give_up(&self, caller: &Caller, job: &RefreshJob, why: &Error) -> Result<bool> {
        if !matches!(
            why,
            Error::Damaged(_) | Error::TooNew(_) | Error::TooLarge(_)
        ) {
            return Ok(false);
        }
        let target = Target::of(&job.address.app, &job.address.owner);
        let permit = self.gate().permit(caller, Action::Refresh, &target)?;
        if !matches!(why, Error::TooLarge(_)) {
            let sealed = match self.store().read()?.record(Records::Tokens, &job.place) {
                Ok(Some(sealed)) => sealed,
                other => return other.map(|_| false),
            };
            let hot = open_hot(permit.keys(), &job.place, &sealed).map(drop);
            if hot
                .and_then(|()| open_cold(permit.keys(), &job.place, &sealed))
                .is_ok()
            {
                return Ok(false);
            }
        }
        permit.record(&format!("outcome lost: {}", why.code()), Some(job.id))?;
        Ok(true)
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

/// Stages the intent, and takes out what the provider is to be asked with.
fn begin(tx: &mut Tx<'_>, kept: &Kept, now: Timestamp) -> Result<Begin> {
    let record = &kept.record;
    let cold = open_cold(tx.keys(), &kept.place, &kept.sealed)?;
    let Some(refresh_token) = cold.refresh_token else {
        return Ok(Begin::Hopeless);
    };
    let app_place = Indexer(tx.keys()).app(&record.address.app);
    let app = apps::read(tx, &app_place)?.ok_or(Error::NotFound("app"))?;
    if let Some(earliest) = earliest(&app.app, record).filter(|earliest| *earliest > now) {
        return Ok(Begin::TooYoung(earliest));
    }
    let known = app.app.known_of(&record.beside.metadata);
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
        id: record.id,
        app,
        refresh_token,
        known,
        uncertain: before.is_some(),
        failures: record.failures,
        place: kept.place,
        version,
        address: record.address.clone(),
        obtained_at: record.obtained_at,
        answered_at: None,
    })))
}

/// Gives a record that came in the place of the one that was refreshed, and lives on the refresh
/// token that was spent, the one that came for it. All else of it is newer and stays.
fn hand_down(
    tx: &mut Tx<'_>,
    kept: Kept,
    (id, spent): (TokenId, &Secret<String>),
    grant: Grant,
    now: Timestamp,
) -> Result<()> {
    let Some(newest) = grant.refresh_token else {
        return Ok(());
    };
    let mut cold = open_cold(tx.keys(), &kept.place, &kept.sealed)?;
    let is_spent = |held: &Secret<String>| held.equals(spent.expose().as_bytes());
    if kept.record.id != id || !cold.refresh_token.as_ref().is_some_and(is_spent) {
        return Ok(());
    }
    cold.refresh_token = Some(newest);
    plan::remember(&mut cold, now, "refresh token renewed", "scheduler");
    put_due(tx, &kept.place, (&kept.record, &cold), kept.due, kept.due)?;
    tx.remove(Records::Intents, &kept.place);
    Ok(())
}
