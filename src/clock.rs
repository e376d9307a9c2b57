//! Time: one [`Timestamp`], one [`Clock`], and the only call to the system's time.
//!
//! ```text
//! carried := the wall clock at start, carried on by the boot clock
//! now     := carried, or the wall clock where that is more than 5 s ahead
//! ```
//! The boot clock counts a suspended laptop's sleep, and no NTP step. It does not count the time a
//! virtual machine stood still: then the wall clock is right and we are late, and a token that has
//! ended would pass for a valid one. So a wall clock that is set on is followed. One that is set
//! back is not: whatever was stored keeps its order, and [`Clock::off_s`] tells. A restart takes
//! the wall clock as it is.
//!
//! It promises: within a run time does not go back, but where a wall clock that was followed turns
//! out wrong and is set right again; what is then stored "in the future" is for the readers to
//! judge (`model/plan`).
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
    carried_ms: AtomicU64,
    wall_ms: AtomicU64,
    readings: AtomicU64,
    moved: Notify,
}

/// A wall clock is followed where it is further ahead than this. NTP slews what is less, and a
/// token is handed out with more than this of life unless a caller asks for less.
const STEP_MIN: Duration = Duration::from_secs(5);

/// The present moment, of what the two clocks say.
fn told(carried: Timestamp, wall: Timestamp) -> Timestamp {
    if wall > carried.plus(STEP_MIN) {
        wall
    } else {
        carried
    }
}

impl Clock {
    /// The machine's clock, as it stands now and as the boot clock carries it on.
    pub fn system() -> Self {
        Self(Source::System {
            wall_at_start: wall_clock(),
            boot_at_start: boot_clock(),
        })
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn test(start: Timestamp) -> Self {
        Self(Source::Test(Arc::new(TestTime {
            carried_ms: AtomicU64::new(start.0),
            wall_ms: AtomicU64::new(start.0),
            readings: AtomicU64::new(0),
            moved: Notify::new(),
        })))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        if let Source::Test(time) = &self.0 {
            time.readings.fetch_add(1, Ordering::Relaxed);
        }
        told(self.carried(), self.wall())
    }

    fn carried(&self) -> Timestamp {
        match &self.0 {
            Source::System {
                wall_at_start,
                boot_at_start,
            } => wall_at_start.plus(boot_clock().saturating_sub(*boot_at_start)),
            Source::Test(time) => Timestamp::from_unix_ms(time.carried_ms.load(Ordering::SeqCst)),
        }
    }

    fn wall(&self) -> Timestamp {
        match &self.0 {
            Source::System { .. } => wall_clock(),
            Source::Test(time) => Timestamp::from_unix_ms(time.wall_ms.load(Ordering::SeqCst)),
        }
    }

    /// How far the machine's wall clock is ahead of this one, in seconds; less than nothing where
    /// it was set back while the process ran. A restart takes the machine's.
    pub fn off_s(&self) -> i64 {
        seconds_ahead(self.wall(), self.now())
    }

    /// How far the wall clock was set on while the process ran, in seconds.
    pub fn followed_s(&self) -> i64 {
        seconds_ahead(self.now(), self.carried())
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
        time.carried_ms.fetch_add(span_ms, Ordering::SeqCst);
        time.wall_ms.fetch_add(span_ms, Ordering::SeqCst);
        time.moved.notify_waiters();
    }

    /// How often a test clock was read: whoever goes round and round reads it each time.
    ///
    /// # Panics
    /// On the system's clock.
    pub fn readings(&self) -> u64 {
        let Source::Test(time) = &self.0 else {
            panic!("only a test clock counts")
        };
        time.readings.load(Ordering::Relaxed)
    }

    /// Sets a test clock, back too: as a restart finds the machine's clock.
    ///
    /// # Panics
    /// On the system's clock.
    pub fn set(&self, at: Timestamp) {
        let Source::Test(time) = &self.0 else {
            panic!("only a test clock is set by hand")
        };
        time.carried_ms.store(at.0, Ordering::SeqCst);
        self.set_wall(at);
    }

    /// Sets the wall clock beside a test clock: a step while the process runs.
    ///
    /// # Panics
    /// On the system's clock.
    pub fn set_wall(&self, at: Timestamp) {
        let Source::Test(time) = &self.0 else {
            panic!("only a test clock is set by hand")
        };
        time.wall_ms.store(at.0, Ordering::SeqCst);
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

fn seconds_ahead(one: Timestamp, other: Timestamp) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    whole(one.since(other)) - whole(other.since(one))
}

fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
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

    /// Goal: a wall clock that is set on is followed, one that is set back is told of, and one that
    /// wavers moves nothing (R7). Method: the test clock's two hands.
    #[test]
    fn r7_a_wall_clock_is_followed_ahead_and_not_back() {
        let start = Timestamp::from_unix_ms(1_800_000_000_000);
        let hour = Duration::from_secs(3600);
        let clock = Clock::test(start);
        clock.set_wall(start.plus(STEP_MIN));
        assert_eq!(clock.now(), start);
        clock.set_wall(start.plus(hour));
        assert_eq!((clock.now(), clock.off_s()), (start.plus(hour), 0));
        assert_eq!(clock.followed_s(), 3600);
        clock.set_wall(start.minus(hour));
        assert_eq!((clock.now(), clock.off_s()), (start, -3600));
        clock.advance(hour);
        assert_eq!((clock.now(), clock.off_s()), (start.plus(hour), -3600));
        clock.set(start.minus(hour));
        assert_eq!((clock.now(), clock.off_s()), (start.minus(hour), 0));
    }

    #[test]
    fn the_system_clock_goes_forward() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
