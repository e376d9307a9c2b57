//! A fetch: which token fits, whether it may be handed out, and the record of that.
//!
//! It promises: a fetch opens the hot part alone and writes nothing to the store; a record that is
//! handed out is on record first; "not there" and "not yours" are one answer.
//! It never: refreshes. What has to be refreshed first is said to be stale.

use std::time::Duration;

use super::Vault;
use super::access::Permit;
use super::index::{Indexer, TokenKey};
use super::kept::{open_cold, open_hot};
use super::renew::RefreshJob;
use super::time::Doubt;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::access::{Action, Caller, Target};
use crate::model::beside::Beside;
use crate::model::plan::{self, Fit, fit};
use crate::model::token::{Grant, ReconnectReason, Record, RefreshError, TokenKind, TokenState};
use crate::model::{Account, AppId, Owner, Scopes, TokenId};
use crate::seal::Sealed;
use crate::secret::Secret;
use crate::store::{Records, Scan, View};

/// What a caller wants to be handed.
#[derive(Clone, Debug)]
pub struct Ask {
    /// For which app.
    pub app: AppId,
    /// Whose.
    pub owner: Owner,
    /// Which account; any where none is named, but for those that came along with another.
    pub account: Option<Account>,
    /// With these scopes; any where none are named.
    pub scopes: Option<Scopes>,
    /// Valid for at least this much longer, where a refresh can bring that about.
    pub min_ttl: Duration,
    /// With the refresh token, which takes a right of its own.
    pub with_refresh_token: bool,
}

/// What a fetch takes into account besides its ask.
#[derive(Default)]
pub struct Besides<'a> {
    /// Renewals that the store could not take yet: what they brought is the newest there is.
    pub unstored: &'a [(&'a RefreshJob, &'a Grant)],
    /// Refresh first, where that can be done and was not done just now.
    pub force: bool,
    /// The credential that was seen rejected: it is not handed out again.
    pub rejected: Option<&'a Secret<String>>,
}

/// What a fetch found.
pub enum Found {
    /// Here it is; the hand-out is on record.
    Fresh(Box<Handed>),
    /// It is to be refreshed first. Until this moment it could be used as it is, if at all.
    Stale(TokenId, Option<Timestamp>),
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
    /// What is kept of its service beside it.
    pub beside: Beside,
    /// When nothing renews it any more, where that is near: its owner should connect again before.
    pub reconnect_by: Option<Timestamp>,
    /// The refresh token, for callers with that right who asked for it.
    pub refresh_token: Option<Secret<String>>,
    /// Whether a refresh token is stored.
    pub has_refresh_token: bool,
    /// When it was obtained.
    pub obtained_at: Timestamp,
    /// When a refresh last succeeded.
    pub last_refreshed_at: Option<Timestamp>,
    /// The last failed refresh since the last success.
    pub last_refresh_error: Option<RefreshError>,
    /// Who stored or connected it.
    pub granted_by: String,
}

impl Vault {
    /// Hands out a credential, or says why not.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Damaged`] where a record does not authenticate.
    pub fn fetch(&self, caller: &Caller, ask: &Ask) -> Result<Found> {
        self.fetch_besides(caller, ask, &Besides::default())
    }

    /// [`Vault::fetch`], with what a flow knows besides.
    ///
    /// # Errors
    /// As [`Vault::fetch`].
    pub fn fetch_besides(
        &self,
        caller: &Caller,
        ask: &Ask,
        besides: &Besides<'_>,
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
        let doubt = self.doubt();
        let best = self.best(&permit, &may, ask, (now, doubt), besides.unstored)?;
        let Some(best) = best else {
            return self.nothing_for(&permit, ask);
        };
        let record = &best.record;
        let id = record.id;
        let dead = |reason: ReconnectReason| {
            permit.may_say_no()?;
            let outcome = format!("reconnect_required: {}", reason.as_str());
            permit.record(&outcome, Some(id))?;
            Ok(Found::Reconnect(id, reason))
        };
        let judged_at = doubt.judged_at(record, best.version, now);
        let is_valid = record.is_fresh(judged_at, Duration::ZERO);
        let stale = Found::Stale(id, record.expires_at.filter(|_| is_valid));
        match fit(record, ask.scopes.as_ref(), judged_at, ask.min_ttl) {
            Fit::ExactFresh | Fit::WiderFresh => match renewal(record, besides, now) {
                Renewal::Needless => {
                    let refresh_token = newest_refresh_token(&permit, &best, besides)?;
                    let handed = hand_out((&permit, now), ask, refresh_token, best.record)?;
                    Ok(Found::Fresh(Box::new(handed)))
                }
                Renewal::Wanted(why) => {
                    permit.record(why, Some(id))?;
                    Ok(stale)
                }
                Renewal::Impossible(reason) => dead(reason),
            },
            Fit::ExactStale | Fit::WiderStale => Ok(stale),
            Fit::Dead => dead(match record.state {
                TokenState::ReconnectRequired(reason) => reason,
                TokenState::Active => ReconnectReason::Expired,
            }),
            Fit::TooNarrow => dead(ReconnectReason::ScopeMissing),
        }
    }

    /// Nothing is stored. Whoever may fetch from every app learns whether this is one; whoever may
    /// fetch from some was refused before, by name, whether it is one or not.
    fn nothing_for(&self, permit: &Permit, ask: &Ask) -> Result<Found> {
        permit.may_say_no()?;
        let place = Indexer(permit.keys()).app(&ask.app);
        let app = self.store().read()?.record(Records::Apps, &place)?;
        let is_app = app.is_some();
        let outcome = match is_app {
            true => "connect_required",
            false => "no such app",
        };
        permit.record(outcome, None)?;
        match is_app {
            true => Ok(Found::Missing),
            false => Err(Error::NotFound("app")),
        }
    }

    /// The record that fits best: exact scopes first, then the newest. Sealed bytes are copied of
    /// that one alone, and only where its cold part is wanted.
    fn best(
        &self,
        permit: &Permit,
        may: &dyn Fn(&Scopes) -> bool,
        ask: &Ask,
        (now, doubt): (Timestamp, Doubt),
        unstored: &[(&RefreshJob, &Grant)],
    ) -> Result<Option<Best>> {
        let prefix = Indexer(permit.keys()).of_owner(&ask.app, &ask.owner);
        let mut best: Option<(Best, Fit)> = None;
        self.store()
            .read()?
            .scan_bytes(Records::Tokens, &prefix, None, &mut |key, bytes| {
                let sealed = Sealed::lend(bytes)?;
                let (place, mut record, _) = open_hot(permit.keys(), key, &sealed)?;
                for (job, grant) in unstored {
                    job.lay_over(&place, sealed.version(), grant, &mut record);
                }
                let other_account = match &ask.account {
                    Some(_) => ask.account != record.address.account,
                    None => record.beside.is_second,
                };
                if other_account || !may(&record.granted) {
                    return Ok(Scan::Go);
                }
                let judged_at = doubt.judged_at(&record, sealed.version(), now);
                let fits = fit(&record, ask.scopes.as_ref(), judged_at, ask.min_ttl);
                let better = best.as_ref().is_none_or(|(best, best_fit)| {
                    let is_newer = record.obtained_at > best.record.obtained_at;
                    fits < *best_fit || (fits == *best_fit && is_newer)
                });
                if better {
                    let found = Best {
                        place,
                        version: sealed.version(),
                        whole: ask.with_refresh_token.then(|| sealed.kept()),
                        record,
                    };
                    best = Some((found, fits));
                }
                Ok(Scan::Go)
            })?;
        Ok(best.map(|(best, _)| best))
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
}

/// Whether a credential that is valid as far as we know is to be renewed all the same.
enum Renewal {
    Needless,
    /// And what to put on record.
    Wanted(&'static str),
    /// It was rejected, and there is nothing to renew it with.
    Impossible(ReconnectReason),
}

fn renewal(record: &Record, besides: &Besides<'_>, now: Timestamp) -> Renewal {
    let is_key = record.kind == TokenKind::ApiKey;
    match besides.rejected {
        Some(rejected) if !holds(record, rejected) => Renewal::Needless,
        Some(_) if is_key => Renewal::Impossible(ReconnectReason::KeyRejected),
        Some(_) if !record.has_refresh_token => Renewal::Impossible(ReconnectReason::Expired),
        Some(_) => Renewal::Wanted("to be refreshed: it was seen rejected"),
        None if !besides.force || is_key || !record.has_refresh_token => Renewal::Needless,
        None if plan::is_just_refreshed(record, now) => Renewal::Needless,
        None => Renewal::Wanted("to be refreshed: the caller forces it"),
    }
}

/// True where `record` holds exactly this credential.
pub(super) fn holds(record: &Record, credential: &Secret<String>) -> bool {
    record
        .value
        .as_ref()
        .is_some_and(|value| value.equals(credential.expose().as_bytes()))
}

/// The record that a fetch is about.
struct Best {
    place: TokenKey,
    version: u64,
    record: Record,
    /// All of it, where the refresh token is wanted.
    whole: Option<Sealed>,
}

/// The refresh token, where it is wanted.
fn newest_refresh_token(
    permit: &Permit,
    best: &Best,
    besides: &Besides<'_>,
) -> Result<Option<Secret<String>>> {
    let Some(whole) = &best.whole else {
        return Ok(None);
    };
    let unstored = besides
        .unstored
        .iter()
        .filter(|(job, _)| job.is_of(&best.place, best.version))
        .find_map(|(_, grant)| grant.refresh_token.clone());
    match unstored {
        Some(newest) => Ok(Some(newest)),
        None => Ok(open_cold(permit.keys(), &best.place, whole)?.refresh_token),
    }
}

fn hand_out(
    (permit, now): (&Permit, Timestamp),
    ask: &Ask,
    refresh_token: Option<Secret<String>>,
    record: Record,
) -> Result<Handed> {
    let outcome = match refresh_token {
        Some(_) => "ok, with refresh token",
        None => "ok",
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
        reconnect_by: record.beside.reconnect_by(now),
        beside: record.beside,
        refresh_token,
        has_refresh_token: record.has_refresh_token,
        obtained_at: record.obtained_at,
        last_refreshed_at: record.last_refreshed_at,
        last_refresh_error: record.last_refresh_error,
        granted_by: record.granted_by,
    })
}
