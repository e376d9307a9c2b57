//! When a disk that failed is tried again.
//!
//! It promises: after a first failure at once; after each further one in a row later, up to a
//! limit, and the longer the longer the file takes to open, since nobody reads meanwhile. One
//! commit that succeeds ends it.
//! It never: waits by itself.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::limits;

/// What went wrong lately.
#[derive(Default)]
pub(super) struct Trouble {
    /// Tries that failed, one after another.
    failures: u32,
    /// The next try's time.
    not_before: Option<Instant>,
    /// What opening the file took, the last time.
    cost: Duration,
}

impl Trouble {
    /// A try has failed.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause(self.failures, self.cost));
    }

    /// A commit has succeeded.
    pub(super) fn is_over(&mut self) {
        *self = Self::default();
    }

    /// How long nothing is to be tried.
    pub(super) fn left(&self) -> Duration {
        let until = self.not_before;
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Why nothing is tried now, where nothing is.
    pub(super) fn refusal(&self) -> Option<Error> {
        let left = self.left();
        (!left.is_zero()).then(|| {
            Error::Storage(format!(
                "the disk failed {} times in a row; it is tried again in {} s",
                self.failures,
                left.as_millis().div_ceil(1000)
            ))
        })
    }

    /// Does `work`, which opens the file, and remembers what it took.
    pub(super) fn measured<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.cost = begun.elapsed();
        done
    }
}

fn pause(failures: u32, cost: Duration) -> Duration {
    // The first one was followed by a try at once.
    let Some(doublings) = failures.checked_sub(2) else {
        return Duration::ZERO;
    };
    let wait = limits::STORE_HEAL_EVERY.saturating_mul(1 << doublings.min(16));
    let most = cost.saturating_mul(limits::STORE_HEAL_COSTS).clamp(
        limits::STORE_HEAL_EVERY_MAX,
        limits::STORE_HEAL_EVERY_MAX_OF_A_LARGE_FILE,
    );
    wait.min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(cost: Duration) -> Vec<u64> {
        (1..9).map(|n| pause(n, cost).as_secs()).collect()
    }

    #[test]
    fn a_disk_that_goes_on_failing_is_tried_less_often_up_to_a_limit() {
        assert_eq!(pauses(Duration::ZERO), [0, 1, 2, 4, 5, 5, 5, 5]);
        let large = Duration::from_millis(1500);
        assert_eq!(pauses(large), [0, 1, 2, 4, 8, 15, 15, 15]);
        let huge = Duration::from_secs(60);
        assert_eq!(pauses(huge), [0, 1, 2, 4, 8, 16, 32, 60]);
        assert_eq!(pause(u32::MAX, huge), Duration::from_secs(60));
    }

    #[test]
    fn the_first_failure_holds_nothing_up_and_a_success_forgets_all() {
        let mut trouble = Trouble::default();
        assert!(trouble.refusal().is_none());
        trouble.failed();
        assert!(trouble.refusal().is_none());
        for _ in 0..9 {
            trouble.failed();
        }
        assert!(matches!(trouble.refusal(), Some(Error::Storage(_))));
        trouble.is_over();
        assert!(trouble.refusal().is_none());
    }
}
