//! Refreshed tokens that the store could not take: kept, served, and written later.
//!
//! It promises: R8 a token that a provider has granted is not lost while the process lives; no
//! further refresh of its record starts until it is stored.
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
    pub(super) fn keep(&self, waiting: Waiting) {
        let mut all = self.0.lock().expect("no holder panics");
        all.insert(waiting.job.id, Arc::new(waiting));
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
