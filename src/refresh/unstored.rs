//! Refreshed tokens that the store could not take: kept, served, and written later.
//!
//! It promises: R8 a token that a provider has granted is not lost while the process lives, not
//! even by a flight that is cut; no further refresh starts until it is stored.
//! It never: grows beyond the refreshes that were in flight when the disk failed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::model::TokenId;
use crate::model::plan::Verdict;
use crate::model::token::Grant;
use crate::vault::RefreshJob;

/// A result that waits for the disk.
pub(super) struct Waiting {
    pub(super) job: RefreshJob,
    pub(super) grant: Grant,
}

impl Waiting {
    pub(super) fn verdict(&self) -> Verdict {
        Verdict::Renewed(self.grant.clone())
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
