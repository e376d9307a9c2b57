//! Time: one [`Timestamp`], one [`Clock`], and the only call to the system's time.
//!
//! It promises: within a run time never jumps. The wall clock is read once, at start; from then on
//! the boot clock (which counts a suspended laptop's sleep, and no NTP step) carries it forward.
//! It never: sleeps a thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::Notify;

/// A moment, in milliseconds since the Unix epoch, shown as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last moment the date library shows: 9999-12-30T22:00:00Z.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// The moment `unix_ms` milliseconds after the Unix epoch; later than [`Self::MAX`] is that.
    pub const fn from_unix_ms(unix_ms: u64) -> Self {
        if unix_ms > Self::MAX.0 {
            Self::MAX
        } else {
            Self(unix_ms)
        }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// This moment and `span` more, at most [`Self::MAX`].
    pub fn plus(self, span: Duration) -> Self {
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self::from_unix_ms(self.0.saturating_add(span_ms))
    }

    /// This moment less `span`, at least the epoch.
    pub fn minus(self, span: Duration) -> Self {
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(span_ms))
    }

    /// Time from `earlier` to this moment; nothing where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads RFC 3339 text.
    pub fn parse(text: &str) -> Option<Self> {
        let moment: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(moment.as_millisecond())
            .ok()
            .map(Self::from_unix_ms)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unix_ms = i64::try_from(self.0).expect("at most MAX, by construction");
        let moment = jiff::Timestamp::from_millisecond(unix_ms).expect("MAX is in jiff's range");
        fmt::Display::fmt(&moment, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("not a time such as 2026-01-31T12:00:00Z"))
    }
}

/// Tells the time. Cheap to clone; every room is given one.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System {
        wall_at_start: Timestamp,
        boot_at_start: Duration,
    },
    Test(Arc<TestTime>),
}

#[derive(Debug)]
struct TestTime {
    unix_ms: AtomicU64,
    moved: Notify,
}

impl Clock {
    /// The machine's clock, as it stands now and as the boot clock carries it on.
    pub fn system() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self(Source::System {
            wall_at_start: Timestamp::from_unix_ms(unix_ms),
            boot_at_start: boot_clock(),
        })
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn test(start: Timestamp) -> Self {
        Self(Source::Test(Arc::new(TestTime {
            unix_ms: AtomicU64::new(start.0),
            moved: Notify::new(),
        })))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System {
                wall_at_start,
                boot_at_start,
            } => wall_at_start.plus(boot_clock().saturating_sub(*boot_at_start)),
            Source::Test(time) => Timestamp::from_unix_ms(time.unix_ms.load(Ordering::SeqCst)),
        }
    }

    /// Moves a test clock on and wakes who sleeps on it.
    ///
    /// # Panics
    /// On the system's clock, which nobody moves.
    pub fn advance(&self, span: Duration) {
        let Source::Test(time) = &self.0 else {
            panic!("only a test clock is moved by hand")
        };
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        time.unix_ms.fetch_add(span_ms, Ordering::SeqCst);
        time.moved.notify_waiters();
    }

    /// Waits until `due`; at once where that has passed.
    pub async fn sleep_until(&self, due: Timestamp) {
        match &self.0 {
            Source::System { .. } => tokio::time::sleep(due.since(self.now())).await,
            Source::Test(time) => loop {
                let moved = time.moved.notified();
                tokio::pin!(moved);
                // Registered before the time is read, so that no move is missed between the two.
                moved.as_mut().enable();
                if self.now() >= due {
                    return;
                }
                moved.await;
            },
        }
    }
}

fn boot_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shown_and_read_as_rfc_3339() {
        let moment = Timestamp::from_unix_ms(1_793_448_000_123);
        assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
        assert_eq!(
            Timestamp::from_unix_ms(0).to_string(),
            "1970-01-01T00:00:00Z"
        );
        assert_eq!(Timestamp::from_unix_ms(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00Z");
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn the_system_clock_goes_forward() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
