//! What came of refreshes and could not be stored yet: kept, served, and written later.
//!
//! It promises: R8 a token that a provider has granted is not lost while the process lives, not
//! even by a flight that is cut, and neither is a refusal, which told later would be taken for an
//! interruption; no further refresh starts until it is stored.
//! It never: grows beyond the refreshes that were in flight when the disk failed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::Landing;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::limits;
use crate::model::TokenId;
use crate::model::plan::Verdict;
use crate::model::token::Grant;
use crate::vault::RefreshJob;

/// A result that waits for the disk.
pub(super) struct Waiting {
    pub(super) job: RefreshJob,
    pub(super) verdict: Verdict,
}

impl Waiting {
    /// What was granted, if anything was.
    pub(super) fn grant(&self) -> Option<&Grant> {
        match &self.verdict {
            Verdict::Renewed(grant) => Some(grant),
            Verdict::Dead(..) | Verdict::Later { .. } => None,
        }
    }

    /// How the flight ends once this is stored.
    pub(super) fn landing(&self, now: Timestamp) -> Landing {
        match &self.verdict {
            Verdict::Renewed(_) => Landing::Renewed,
            Verdict::Dead(reason, _) => Landing::Dead(*reason),
            Verdict::Later {
                error, not_before, ..
            } => {
                let why = match error.description.as_str() {
                    "" => error.code.clone(),
                    description => format!("{}: {description}", error.code),
                };
                Landing::Later(not_before.since(now), why)
            }
        }
    }

    /// How it ends while this cannot be stored.
    pub(super) fn landing_unstored(&self, why: Error) -> Landing {
        match self.grant() {
            Some(_) => Landing::Unstored,
            None => Landing::Failed(why),
        }
    }
}

/// Results that wait for the disk.
#[derive(Default)]
pub(super) struct Unstored(Mutex<HashMap<TokenId, Arc<Waiting>>>);

impl Unstored {
    /// Holds a result while it is being stored. It is kept here unless it is let go.
    pub(super) fn hold(&self, waiting: Waiting) -> Held<'_> {
        Held {
            unstored: self,
            waiting: Arc::new(waiting),
            is_kept: true,
        }
    }

    pub(super) fn of(&self, id: TokenId) -> Option<Arc<Waiting>> {
        self.0.lock().expect("no holder panics").get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Waiting>> {
        self.0
            .lock()
            .expect("no holder panics")
            .values()
            .cloned()
            .collect()
    }

    pub(super) fn stored(&self, id: TokenId) {
        self.0.lock().expect("no holder panics").remove(&id);
    }
}

/// Tokens whose intent failed to be stored, so that nothing was sent. It may be in the file all the
/// same, and is not to be taken for one whose answer was lost.
#[derive(Default)]
pub(super) struct Unsent(Mutex<HashSet<TokenId>>);

impl Unsent {
    /// Notes one that had no intent before.
    pub(super) fn note(&self, id: TokenId) {
        let mut all = self.0.lock().expect("no holder panics");
        if all.len() < limits::FLIGHTS_MAX {
            all.insert(id);
        }
    }

    /// Whether it is one of them; it is none from here on.
    pub(super) fn take(&self, id: TokenId) -> bool {
        self.0.lock().expect("no holder panics").remove(&id)
    }
}

/// A result on its way to the disk.
pub(super) struct Held<'a> {
    unstored: &'a Unstored,
    waiting: Arc<Waiting>,
    is_kept: bool,
}

impl Held<'_> {
    pub(super) fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.waiting)
    }

    /// It is stored, or nobody's any more.
    pub(super) fn let_go(mut self) {
        self.is_kept = false;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.is_kept {
            let waiting = Arc::clone(&self.waiting);
            let mut all = self.unstored.0.lock().expect("no holder panics");
            all.insert(waiting.job.id, waiting);
        }
    }
}
