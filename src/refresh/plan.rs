//! What a failed refresh means: from a provider's failure to a verdict. Pure.
//!
//! | failure | verdict | the intent |
//! |---|---|---|
//! | refused (`invalid_grant` and listed codes) | dead: revoked | cleared |
//! | the same, after an attempt whose answer was lost | dead: interrupted refresh | cleared |
//! | client or scope refused | later: the operator's to mend | as it was |
//! | 429, "come back later" | later, not before `Retry-After` | as it was |
//! | 5xx | later: it may have rotated before it failed | stays |
//! | never sent | later | as it was |
//! | answer lost, twice | later | stays |
//!
//! It promises: nothing is marked dead but by a refusal of the grant itself.
//! It never: looks at a clock, or draws lots (`now` and `jitter` are arguments).

use crate::clock::Timestamp;
use crate::model::plan::{Verdict, next_attempt};
use crate::model::token::{ReconnectReason, RefreshError};
use crate::provider::classify::{Failure, FailureKind};

/// What is known of a refresh besides its failure.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// When it failed.
    pub now: Timestamp,
    /// An attempt with this refresh token, this one's first send included, went unanswered.
    pub uncertain: bool,
    /// Failed refreshes in a row before this one.
    pub failures: u32,
    /// From 0 to 1.
    pub jitter: f64,
}

/// Sorts a failure.
pub fn verdict(failure: Failure, known: Circumstances) -> Verdict {
    let in_trouble = failure.status.is_some_and(|status| status >= 500);
    let (retry_after, uncertain) = match failure.kind {
        FailureKind::Refused => {
            let reason = match known.uncertain {
                true => ReconnectReason::InterruptedRefresh,
                false => ReconnectReason::Revoked,
            };
            return Verdict::Dead(reason, worded(failure, known.now));
        }
        FailureKind::Transient { retry_after } => (retry_after, known.uncertain || in_trouble),
        FailureKind::AnswerLost => (None, true),
        FailureKind::ClientRefused | FailureKind::ScopeRefused | FailureKind::NotSent => {
            (None, known.uncertain)
        }
    };
    let failures = known.failures.saturating_add(1);
    Verdict::Later {
        not_before: next_attempt(known.now, failures, retry_after, known.jitter),
        error: worded(failure, known.now),
        uncertain,
    }
}

fn worded(failure: Failure, at: Timestamp) -> RefreshError {
    RefreshError {
        code: failure.code,
        description: failure.description,
        at,
    }
}
