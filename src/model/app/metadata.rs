//! When an app's issuer said of itself what the app uses, and how long that counts.
//!
//! It promises: however long or short a life an issuer gives its metadata, it is held to bounds.
//! It never: asks an issuer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OAuth;
use crate::clock::Timestamp;
use crate::limits;

/// When an issuer's metadata was read, and what became of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MetadataRead {
    /// When it was read last.
    pub at: Timestamp,
    /// From when on it is to be read again.
    pub until: Timestamp,
    /// Why what it said then was not taken over; nothing where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

impl MetadataRead {
    /// Read at this moment and taken over; its issuer lets it be kept for so long, where it says.
    pub fn new(at: Timestamp, kept_for: Option<Duration>) -> Self {
        Self {
            at,
            until: at.plus(Self::life(kept_for)),
            withheld: None,
        }
    }

    /// How long metadata counts that its issuer lets be kept for so long, where it says.
    pub fn life(kept_for: Option<Duration>) -> Duration {
        let life = kept_for.unwrap_or(limits::METADATA_FRESH_DEFAULT);
        life.clamp(limits::METADATA_FRESH_MIN, limits::METADATA_FRESH_MAX)
    }
}

impl OAuth {
    /// Whether the issuer is to be asked again. Where its token endpoint fails (`is_failing`) it
    /// may have moved: then that is so before its metadata's life is over, but no more often than
    /// the shortest life.
    pub fn is_metadata_due(&self, now: Timestamp, is_failing: bool) -> bool {
        if self.issuer_in_use().is_none() {
            return false;
        }
        self.metadata.as_ref().is_none_or(|read| {
            let soonest = read.at.plus(limits::METADATA_FRESH_MIN);
            // A moment that is yet to come is of a clock that was set back since.
            now >= read.until || now < read.at || (is_failing && now >= soonest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::url::WebUrl;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Goal: metadata is read again when its life is over, and neither all the time nor never.
    /// Method: lives of every length, just before and at their ends.
    #[test]
    fn metadata_is_due_at_the_end_of_its_life_held_to_bounds() {
        let start = Timestamp::from_unix_ms(1_790_000_000_000);
        let due = |metadata: Option<MetadataRead>, after: Duration, is_failing| {
            let oauth = OAuth {
                issuer: WebUrl::parse("issuer", "https://a.example").ok(),
                metadata,
                ..OAuth::of("c")
            };
            oauth.is_metadata_due(start.plus(after), is_failing)
        };
        for (kept_for, life) in [
            (None, 24 * HOUR),
            (Some(Duration::ZERO), HOUR),
            (Some(2 * HOUR), 2 * HOUR),
            (Some(Duration::MAX), 7 * 24 * HOUR),
        ] {
            let read = || Some(MetadataRead::new(start, kept_for));
            let just_before = life - Duration::from_millis(1);
            assert!(!due(read(), just_before, false), "{kept_for:?}");
            assert!(due(read(), life, false), "{kept_for:?}");
            assert!(due(read(), HOUR, true), "{kept_for:?}");
            assert!(!due(read(), HOUR - Duration::from_millis(1), true));
        }
        assert!(due(None, Duration::ZERO, false), "it was never read");
        let ahead = MetadataRead::new(start.plus(HOUR), None);
        assert!(due(Some(ahead), Duration::ZERO, false), "set back");
        assert!(!OAuth::of("c").is_metadata_due(start, true), "no issuer");
    }
}
