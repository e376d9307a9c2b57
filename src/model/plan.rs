//! When a token falls due, when to try again, and what a new grant makes of a record. Pure: now and
//! record in, decision out.
//!
//! ```text
//! lifetime      := what the answer says, else the last one known, else the app's default,
//!                  else a guess of one hour where it can be refreshed, else "does not expire"
//! ahead         := min(5 minutes, half the lifetime)
//! due           := by jitter from max(expiry - 1.5 * ahead, half the lifetime)
//!                             to max(expiry - ahead, that + ahead / 4)
//! kept alive    := where a refresh token lapses unless it is used: at the latest 7 days, or a
//!                  quarter of its life, before it does
//! after n fails := min(5 s * 2^(n-1), 1 h), between half and whole of it, not before Retry-After;
//!                  for a caller who asks: 30 s at most, not before Retry-After
//! set back      := obtained later than now, by more than a minute, or written before a clock was
//!                  found to be set back: its end says nothing; where it can be refreshed it counts
//!                  as over, and where it cannot it lasts from when it was written, not from now
//! ```
//!
//! It promises: tokens born together do not fall due together; a margin never exceeds the token's
//! life, so that a token of one second is not refreshed in a circle (C: camunda#33137).
//! It never: looks at a clock.

use std::time::Duration;

use super::Scopes;
use super::app::App;
use super::token::{
    Cold, Grant, HistoryEntry, ReconnectReason, Record, RefreshError, TokenKind, TokenState,
};
use crate::clock::Timestamp;
use crate::limits;

/// What a refresh came to.
#[derive(Clone)]
pub enum Verdict {
    /// The provider granted anew.
    Renewed(Grant),
    /// The grant is gone: only its owner can mend it.
    Dead(ReconnectReason, RefreshError),
    /// Not now. Nothing is marked dead.
    Later {
        /// What happened.
        error: RefreshError,
        /// No attempt before this.
        not_before: Timestamp,
        /// The provider may have spent the refresh token: the intent stays open, and a later
        /// `invalid_grant` is an interrupted refresh, not a revocation.
        uncertain: bool,
    },
}

/// When a record falls due for refresh; `None` where it never does. `jitter` is from 0 to 1.
pub fn due_at(record: &Record, jitter: f64) -> Option<Timestamp> {
    if record.state != TokenState::Active || !record.has_refresh_token {
        return None;
    }
    let due = match (&record.value, record.expires_at) {
        // A refresh token alone was uploaded: its first access token is wanted at once.
        (None, _) => record.obtained_at,
        (Some(_), Some(end)) => {
            let life = end.since(record.obtained_at);
            let ahead = limits::REFRESH_AHEAD.min(life / 2);
            // Never before half the life: a provider may refuse an early refresh, and jitter on top
            // of half a short life must not bring it down to nothing.
            let first = end
                .minus(ahead + ahead / 2)
                .max(record.obtained_at.plus(life / 2));
            // A short life leaves no room before that, and such tokens fall due apart as well.
            let last = end.minus(ahead).max(first.plus(ahead / 4));
            last.minus(last.since(first).mul_f64(jitter.clamp(0.0, 1.0)))
        }
        (Some(_), None) => {
            let spread = (limits::KEEP_ALIVE_AFTER / 10).mul_f64(jitter.clamp(0.0, 1.0));
            record.obtained_at.plus(limits::KEEP_ALIVE_AFTER - spread)
        }
    };
    let due = kept_alive_by(record, jitter).map_or(due, |latest| due.min(latest));
    Some(
        record
            .not_before
            .map_or(due, |not_before| due.max(not_before)),
    )
}

/// The latest moment to use a refresh token that lapses otherwise.
fn kept_alive_by(record: &Record, jitter: f64) -> Option<Timestamp> {
    let beside = &record.beside;
    let end = beside
        .refresh_token_ends_at
        .filter(|_| beside.is_kept_alive_by_use)?;
    let ahead = limits::REFRESH_TOKEN_AHEAD.min(end.since(record.obtained_at) / 4);
    Some(end.minus(ahead + (ahead / 4).mul_f64(jitter.clamp(0.0, 1.0))))
}

/// When to try again after `failures` failures in a row, the last one now.
pub fn next_attempt(
    now: Timestamp,
    failures: u32,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Timestamp {
    let whole = backoff(failures);
    let wait = whole / 2 + (whole / 2).mul_f64(jitter.clamp(0.0, 1.0));
    let told = retry_after.unwrap_or_default().min(limits::RETRY_AFTER_MAX);
    // Told to wait, a little jitter on top keeps many tokens from coming back in one second.
    let told = told + told.div_f64(20.0).mul_f64(jitter.clamp(0.0, 1.0));
    now.plus(wait.max(told))
}

/// The longest wait of our own after `failures` failures in a row.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    limits::BACKOFF_FIRST
        .saturating_mul(1 << doublings)
        .min(limits::BACKOFF_MAX)
}

/// The moment by which the end of a record is to be judged. `in_doubt_since` is when it was last
/// known to be written, where the clock was set back since: then nobody can tell what `expires_at`
/// means by the clock of now.
pub fn judged_at(record: &Record, now: Timestamp, in_doubt_since: Option<Timestamp>) -> Timestamp {
    let obtained_later = Some(record.obtained_at).filter(|at| *at > now.plus(limits::CLOCK_SKEW));
    let Some(known) = in_doubt_since.max(obtained_later) else {
        return now;
    };
    let is_renewable = record.state == TokenState::Active && record.has_refresh_token;
    match record.expires_at {
        None => now,
        Some(_) if is_renewable => Timestamp::MAX,
        Some(_) => known.max(now),
    }
}

/// Before when the schedule has no refresh tried; `None` where one may be tried. A pause that is
/// longer than any we set was set by a clock that has been set back since.
pub fn pause(record: &Record, now: Timestamp) -> Option<Timestamp> {
    let until = record.not_before?;
    (until <= now.plus(limits::REFRESH_PAUSE_MAX)).then_some(until)
}

/// True where a record waits because of our own back-off, not because a provider said so.
pub fn waits_by_itself(record: &Record) -> bool {
    match (record.not_before, &record.last_refresh_error) {
        (Some(until), Some(error)) => until <= error.at.plus(backoff(record.failures)),
        _ => false,
    }
}

/// Before when not even a caller who asks has a refresh tried; `None` where one may be tried.
pub fn wait_of_callers(record: &Record, now: Timestamp) -> Option<Timestamp> {
    let until = pause(record, now)?;
    let failed_at = record.last_refresh_error.as_ref().map(|error| error.at);
    Some(match failed_at.filter(|_| waits_by_itself(record)) {
        // It failed by a clock that has been set back since: long ago, as far as anybody can tell.
        Some(failed_at) if failed_at > now.plus(limits::CLOCK_SKEW) => return None,
        Some(failed_at) => until.min(failed_at.plus(limits::RETRY_FOR_CALLERS)),
        None => until,
    })
}

/// True where a forced refresh would come right after a refresh: what that brought is the answer.
pub fn is_just_refreshed(record: &Record, now: Timestamp) -> bool {
    let age = record
        .last_refreshed_at
        .filter(|at| *at <= now.plus(limits::CLOCK_SKEW))
        .map(|at| now.since(at));
    age.is_some_and(|age| age < limits::FORCED_REFRESH_EVERY)
}

/// True where the credential can be handed out now and lasts for `min_ttl` more, as far as it ever
/// does: a margin longer than half its life would ask for a refresh with every fetch.
pub fn lasts(record: &Record, now: Timestamp, min_ttl: Duration) -> bool {
    let life = record.expires_at.map(|end| end.since(record.obtained_at));
    let min_ttl = life.map_or(min_ttl, |life| min_ttl.min(life / 2));
    record.is_fresh(now, min_ttl)
}

/// The expiry and lifetime of a token obtained now.
pub fn expiry(
    now: Timestamp,
    said_s: Option<u64>,
    known_s: Option<u64>,
    default_s: Option<u64>,
    renewable: bool,
) -> (Option<Timestamp>, Option<u64>) {
    let guess = renewable.then_some(limits::LIFETIME_GUESS.as_secs());
    let lifetime_s = said_s.or(known_s).or(default_s).or(guess);
    let lifetime_s = lifetime_s.map(|s| s.min(limits::LIFETIME_MAX.as_secs()));
    (
        lifetime_s.map(|s| now.plus(Duration::from_secs(s))),
        lifetime_s,
    )
}

/// What is assumed of a provider's tokens where its answers do not say it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Assumed {
    /// Lifetime of an access token, in seconds.
    pub lifetime_s: Option<u64>,
    /// Lifetime of a refresh token, in seconds.
    pub refresh_token_lifetime_s: Option<u64>,
    /// A refresh token's life is counted from the consent, whatever is done with it.
    pub refresh_token_life_is_fixed: bool,
}

impl From<Option<u64>> for Assumed {
    /// The lifetime of an access token alone.
    fn from(lifetime_s: Option<u64>) -> Self {
        Self {
            lifetime_s,
            ..Self::default()
        }
    }
}

impl From<&App> for Assumed {
    fn from(app: &App) -> Self {
        let Some(oauth) = app.oauth() else {
            return Self::default();
        };
        let lives = &oauth.dialect.lives;
        Self {
            lifetime_s: oauth.default_lifetime_s,
            refresh_token_lifetime_s: lives.refresh_token_lifetime_s,
            refresh_token_life_is_fixed: lives.refresh_token_life_is_fixed,
        }
    }
}

/// Lays a grant over a record: connected anew, or refreshed. What the answer leaves out stays.
pub fn apply_grant(
    record: &mut Record,
    cold: &mut Cold,
    grant: Grant,
    assumed: impl Into<Assumed>,
    now: Timestamp,
) {
    // Absent means: keep. Nothing ever overwrites a good refresh token with none (RFC 6749 6).
    if grant.refresh_token.is_some() {
        cold.refresh_token = grant.refresh_token.clone();
    }
    if grant.id_token.is_some() {
        cold.id_token = grant.id_token.clone();
    }
    record.has_refresh_token = cold.refresh_token.is_some();
    lay_over(record, &grant, assumed, now);
}

/// The part of [`apply_grant`] that a fetch sees.
pub fn lay_over(record: &mut Record, grant: &Grant, assumed: impl Into<Assumed>, now: Timestamp) {
    let assumed = assumed.into();
    record.has_refresh_token |= grant.refresh_token.is_some();
    let (expires_at, lifetime_s) = expiry(
        now,
        grant.expires_in_s,
        record.lifetime_s,
        assumed.lifetime_s,
        record.has_refresh_token,
    );
    record.expires_at = expires_at;
    record.lifetime_s = lifetime_s;
    record.value = Some(grant.access_token.clone());
    record.token_type.clone_from(&grant.token_type);
    record.obtained_at = now;
    if let Some(scopes) = &grant.scopes {
        record.granted.clone_from(scopes);
    }
    if grant.subject.is_some() {
        record.subject.clone_from(&grant.subject);
    }
    record.beside.take(&grant.brought);
    let beside = &mut record.beside;
    let refresh_token_s = grant.brought.refresh_token_lifetime_s;
    // A life that is counted from the consent is not begun anew by a refresh.
    if !assumed.refresh_token_life_is_fixed || beside.refresh_token_ends_at.is_none() {
        let life_s = refresh_token_s.or(assumed.refresh_token_lifetime_s);
        let life_s = life_s.map(|s| s.min(limits::REFRESH_TOKEN_LIFE_MAX.as_secs()));
        beside.refresh_token_ends_at = life_s.map(|s| now.plus(Duration::from_secs(s)));
    }
    beside.is_kept_alive_by_use = !assumed.refresh_token_life_is_fixed;
    record.state = TokenState::Active;
    record.failures = 0;
    record.not_before = None;
    record.last_refresh_error = None;
}

/// Adds a line to a record's history and forgets the oldest beyond the limit.
pub fn remember(cold: &mut Cold, at: Timestamp, what: impl Into<String>, by: &str) {
    cold.history.push(HistoryEntry {
        at,
        what: what.into(),
        by: by.to_owned(),
    });
    let over = cold.history.len().saturating_sub(limits::HISTORY_MAX);
    cold.history.drain(..over);
}

/// How a record serves a fetch: the order in which several that fit are taken.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fit {
    /// Exactly the scopes asked for, valid.
    ExactFresh,
    /// Exactly the scopes asked for, to be refreshed first.
    ExactStale,
    /// More than asked for, valid.
    WiderFresh,
    /// More than asked for, to be refreshed first.
    WiderStale,
    /// The scopes fit, but its owner must connect again.
    Dead,
    /// It lacks scopes that are asked for.
    TooNarrow,
}

/// How `record` serves a fetch of `asked` (`None`: any scopes) that needs `min_ttl` of life.
pub fn fit(record: &Record, asked: Option<&Scopes>, now: Timestamp, min_ttl: Duration) -> Fit {
    let exact =
        asked.is_none_or(|asked| record.address.scopes == *asked || record.granted == *asked);
    // Static keys have no scopes to speak of: what was asked is not held against them.
    let wider =
        record.kind == TokenKind::ApiKey || asked.is_none_or(|asked| record.granted.covers(asked));
    if !exact && !wider {
        return Fit::TooNarrow;
    }
    let fresh = lasts(record, now, min_ttl);
    let renewable = record.state == TokenState::Active && record.has_refresh_token;
    // Nothing can be done about a token that is still valid but not for as long as was asked.
    let usable = record.is_fresh(now, Duration::ZERO) && !renewable;
    match (exact, fresh || usable, renewable) {
        (true, true, _) => Fit::ExactFresh,
        (true, false, true) => Fit::ExactStale,
        (false, true, _) => Fit::WiderFresh,
        (false, false, true) => Fit::WiderStale,
        (_, false, false) => Fit::Dead,
    }
}
