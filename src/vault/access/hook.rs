//! Which access keys are known, changed once the store has the change.
//!
//! It promises: two changes at once are made one after the other.
//! It never: holds the writer.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use super::KeptKey;
use crate::error::{Error, Result};
use crate::model::access::AccessKey;

/// Changes which access keys are known. Holds the keys alone: it travels with a queued write, and
/// the writer's thread must never be the last to hold the writer.
pub(in crate::vault) struct KeyHook(pub(super) Arc<RwLock<HashMap<String, Arc<KeptKey>>>>);

impl KeyHook {
    pub(in crate::vault) fn known(&self, kept: KeptKey) {
        let mut keys = self.0.write().expect("no holder panics");
        keys.insert(kept.key.id.clone(), Arc::new(kept));
    }

    /// Makes a key unknown, unless `check`, which is given it and the others, speaks against it.
    /// Two removals at once are checked one after the other.
    pub(in crate::vault) fn forget(
        &self,
        id: &str,
        check: impl FnOnce(&AccessKey, &[Arc<AccessKey>]) -> Result<()>,
    ) -> Result<()> {
        let mut keys = self.0.write().expect("no holder panics");
        let doomed = keys.get(id).ok_or(Error::NotFound("access key"))?;
        let others: Vec<Arc<AccessKey>> = keys
            .values()
            .filter(|kept| kept.key.id != id)
            .map(|kept| Arc::clone(&kept.key))
            .collect();
        check(&doomed.key, &others)?;
        keys.remove(id);
        Ok(())
    }
}
