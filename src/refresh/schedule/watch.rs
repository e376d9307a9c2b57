//! What the scheduler does about a clock that is set.
//!
//! It promises: what waits for a moment does not wait for it to come a second time; each step of
//! the machine's clock is told of once.
//! It never: looks at a clock itself.

use super::Desk;
use crate::clock::Timestamp;
use crate::limits;

impl Desk {
    /// Takes notice of the time. Where it has gone back, nothing waits for it to come again.
    pub(super) fn at(&mut self, now: Timestamp) {
        let before = std::mem::replace(&mut self.seen, now);
        if before <= now.plus(limits::CLOCK_SKEW) {
            return;
        }
        tracing::warn!(%before, %now, "the clock was set back");
        self.is_to_redate = true;
        self.is_to_look = true;
        self.held_until = self.held_until.min(now);
        self.forgot_at = self.forgot_at.min(now);
        let soon = now.plus(limits::RETRY_FOR_CALLERS);
        for (at, _) in self.lanes.values_mut().filter_map(|t| t.probe.as_mut()) {
            *at = soon.min(*at);
        }
    }

    /// Tells of a machine's clock that is set while we run, once for each step.
    pub(super) fn watch(&mut self, off_s: i64, followed_s: i64) {
        let skew_s = limits::CLOCK_SKEW.as_secs();
        let (told_off_s, told_followed_s) = self.told_off_s;
        if off_s.abs_diff(told_off_s) > skew_s || followed_s.abs_diff(told_followed_s) > skew_s {
            tracing::warn!(
                clock_off_s = off_s,
                followed_s,
                "the machine's clock was set while the server ran; set on it is followed, set back \
                 it counts from the next start"
            );
            self.told_off_s = (off_s, followed_s);
        }
    }
}
