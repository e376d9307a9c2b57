//! How fetches and refreshes went over the last day, and which apps are in trouble: what an
//! operator looks at first.
//!
//! It promises: counts cost a fetch a look at the clock and an addition; memory is the same after
//! a day as after an hour; what is known of an app's trouble ends with the first refresh that its
//! service answers.
//! It never: knows whose token it was, or outlives the process.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::Outcome;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::AppId;
use crate::model::plan::Verdict;
use crate::model::token::RefreshError;

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A refresh brought a new token.
    RefreshOk,
    /// A refresh failed for now: it is tried again.
    RefreshTransient,
    /// A refresh was refused for good: its owner has to connect again.
    RefreshTerminal,
    /// A token was handed out.
    FetchOk,
    /// There was none to hand out: somebody has to connect.
    FetchConnect,
    /// The one there is waits for its owner.
    FetchReconnect,
    /// The caller may not be handed it.
    FetchDenied,
    /// Its service does not answer, and nothing valid was left; or we could not.
    FetchUnavailable,
}

impl Event {
    /// Every kind, in one order.
    pub const ALL: [Self; 8] = [
        Self::RefreshOk,
        Self::RefreshTransient,
        Self::RefreshTerminal,
        Self::FetchOk,
        Self::FetchConnect,
        Self::FetchReconnect,
        Self::FetchDenied,
        Self::FetchUnavailable,
    ];
}

/// What was counted in one stretch of time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stretch {
    /// When it began.
    pub from: Timestamp,
    counts: [u64; Event::ALL.len()],
}

impl Stretch {
    /// How many there were.
    pub fn count(&self, event: Event) -> u64 {
        self.counts[event as usize]
    }
}

/// What keeps an app's tokens from being refreshed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// The service refuses the app itself, which its operator mends; or it does not answer.
    pub is_client_refused: bool,
    /// What it said last.
    pub error: RefreshError,
    /// When it began.
    pub since: Timestamp,
    /// Refreshes that failed for it.
    pub failures: u64,
}

/// Counts by stretches of time, and the apps in trouble.
pub(super) struct Figures {
    stretches: [Counted; limits::FIGURE_STRETCHES],
    /// Held for lines.
    troubles: Mutex<BTreeMap<AppId, Trouble>>,
    /// Taken by who turns a stretch over.
    turning: Mutex<()>,
}

#[derive(Default)]
struct Counted {
    /// The stretch since 1970 whose counts these are, and one more: none yet is 0.
    number: AtomicU64,
    counts: [AtomicU64; Event::ALL.len()],
}

fn number_of(now: Timestamp) -> u64 {
    now.unix_ms() / limits::FIGURE_STRETCH_MS + 1
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            stretches: std::array::from_fn(|_| Counted::default()),
            troubles: Mutex::default(),
            turning: Mutex::default(),
        }
    }
}

impl Figures {
    /// Counts one.
    pub(super) fn count(&self, event: Event, now: Timestamp) {
        let number = number_of(now);
        let stretch = &self.stretches[place_of(number)];
        if stretch.number.load(Ordering::Acquire) != number {
            self.turn(stretch, number);
        }
        stretch.counts[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Begins a stretch where one of a day ago was. Whoever counts meanwhile may be lost to it.
    fn turn(&self, stretch: &Counted, number: u64) {
        let _turn = self.turning.lock().expect("no holder panics");
        if stretch.number.load(Ordering::Acquire) != number {
            for count in &stretch.counts {
                count.store(0, Ordering::Relaxed);
            }
            stretch.number.store(number, Ordering::Release);
        }
    }

    /// The last day, oldest first.
    pub(super) fn day(&self, now: Timestamp) -> Vec<Stretch> {
        let last = number_of(now);
        let first = last.saturating_sub(limits::FIGURE_STRETCHES as u64 - 1);
        let stretch = |number: u64| {
            let kept = &self.stretches[place_of(number)];
            let is_its_own = kept.number.load(Ordering::Acquire) == number;
            let count = |at: usize| match is_its_own {
                true => kept.counts[at].load(Ordering::Relaxed),
                false => 0,
            };
            Stretch {
                from: Timestamp::from_unix_ms(number.saturating_sub(1) * limits::FIGURE_STRETCH_MS),
                counts: std::array::from_fn(count),
            }
        };
        (first..=last).map(stretch).collect()
    }

    /// A fetch has ended so.
    pub(super) fn fetched(&self, outcome: &Result<Outcome>, now: Timestamp) {
        let event = match outcome {
            Ok(Outcome::Ok(_)) => Event::FetchOk,
            Ok(Outcome::Missing) => Event::FetchConnect,
            Ok(Outcome::Reconnect(_)) => Event::FetchReconnect,
            Err(Error::Denied) => Event::FetchDenied,
            Ok(Outcome::Unavailable { .. }) | Err(_) => Event::FetchUnavailable,
        };
        self.count(event, now);
    }

    /// A refresh of an app's token has ended so.
    pub(super) fn refreshed(
        &self,
        app: &AppId,
        verdict: &Verdict,
        is_client: bool,
        now: Timestamp,
    ) {
        let event = match verdict {
            Verdict::Renewed(_) => Event::RefreshOk,
            Verdict::Dead(..) => Event::RefreshTerminal,
            Verdict::Later { .. } => Event::RefreshTransient,
        };
        self.count(event, now);
        let mut troubles = self.troubles.lock().expect("no holder panics");
        let Verdict::Later { error, .. } = verdict else {
            troubles.remove(app);
            return;
        };
        if troubles.len() >= limits::APPS_MAX && !troubles.contains_key(app) {
            return;
        }
        let trouble = troubles.entry(app.clone()).or_insert_with(|| Trouble {
            is_client_refused: is_client,
            error: error.clone(),
            since: now,
            failures: 0,
        });
        trouble.is_client_refused = is_client;
        trouble.error = error.clone();
        trouble.failures += 1;
    }

    /// The apps in trouble.
    pub(super) fn troubles(&self) -> BTreeMap<AppId, Trouble> {
        self.troubles.lock().expect("no holder panics").clone()
    }
}

fn place_of(number: u64) -> usize {
    usize::try_from(number % limits::FIGURE_STRETCHES as u64).expect("less than a length")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::token::ReconnectReason;

    fn at(stretch: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + stretch * limits::FIGURE_STRETCH_MS)
    }

    /// Goal: a day is shown, and what is older is gone though its place is the same. Method: counts
    /// in a stretch, a day later, and one stretch short of it.
    #[test]
    fn a_day_is_counted_and_yesterday_is_not() {
        let figures = Figures::default();
        let day = limits::FIGURE_STRETCHES as u64;
        figures.count(Event::FetchOk, at(0));
        figures.count(Event::FetchOk, at(0));
        figures.count(Event::RefreshOk, at(3));
        let shown = figures.day(at(day - 1));
        assert_eq!(shown.len(), limits::FIGURE_STRETCHES);
        assert_eq!(shown[0].count(Event::FetchOk), 2);
        assert_eq!(shown[3].count(Event::RefreshOk), 1);
        assert_eq!(figures.day(at(day))[0].count(Event::FetchOk), 0);
        figures.count(Event::FetchDenied, at(day));
        let shown = figures.day(at(day));
        let last = shown.last().unwrap();
        assert_eq!(
            (last.count(Event::FetchDenied), last.count(Event::FetchOk)),
            (1, 0)
        );
        assert_eq!(last.from, at(day));
    }

    fn later(code: &str) -> Verdict {
        Verdict::Later {
            not_before: at(1),
            error: said(code),
            uncertain: false,
        }
    }

    fn said(code: &str) -> RefreshError {
        RefreshError {
            code: code.into(),
            description: String::new(),
            at: at(0),
        }
    }

    /// Goal: an app's trouble is told with its beginning and its last word, and ends with an
    /// answer. Method: two failures, then a refusal of one grant, which the service has answered.
    #[test]
    fn an_app_is_in_trouble_until_its_service_answers() {
        let figures = Figures::default();
        let app = AppId::parse("calendar").unwrap();
        figures.refreshed(&app, &later("http_503"), false, at(0));
        let then = at(0).plus(Duration::from_secs(60));
        figures.refreshed(&app, &later("invalid_client"), true, then);
        let told = &figures.troubles()[&app];
        assert_eq!((told.since, told.failures), (at(0), 2));
        assert_eq!(
            (told.is_client_refused, told.error.code.as_str()),
            (true, "invalid_client")
        );
        let dead = Verdict::Dead(ReconnectReason::Revoked, said("invalid_grant"));
        figures.refreshed(&app, &dead, false, then);
        assert!(figures.troubles().is_empty());
        let shown = figures.day(at(0));
        let now = shown.last().unwrap();
        assert_eq!(now.count(Event::RefreshTransient), 2);
        assert_eq!(now.count(Event::RefreshTerminal), 1);
    }
}
