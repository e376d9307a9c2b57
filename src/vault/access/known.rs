//! Which access keys are known: what the store holds, and which of them are on their way out.
//!
//! It promises: a key is known once its record is durable; one whose removal was asked for opens
//! nothing from then on, whatever the disk does, and is listed until its record is gone; after a
//! commit whose outcome is unknown it is what the store holds that counts.
//! It never: holds the writer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::KeptKey;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::access::AccessKey;
use crate::seal::{Keyring, Purpose};
use crate::secret::Secret;

/// When a key was last used, to the second, since the process began.
#[derive(Default)]
pub(super) struct LastUse(AtomicU64);

impl LastUse {
    fn note(&self, now: Timestamp) {
        // A key that is used all the time would have every processor write to the same place.
        if now.unix_ms() >= self.0.load(Ordering::Relaxed) + 1000 {
            self.0.store(now.unix_ms(), Ordering::Relaxed);
        }
    }

    fn get(&self) -> Option<Timestamp> {
        let at = self.0.load(Ordering::Relaxed);
        (at > 0).then(|| Timestamp::from_unix_ms(at))
    }
}

/// The access keys of an unlocked vault, so that a request costs no read of the store. It travels
/// with queued writes, and holds nothing but the keys: the writer's thread must never be the last
/// to hold the writer.
#[derive(Clone)]
pub(in crate::vault) struct KnownKeys(Arc<RwLock<Known>>);

struct Known {
    keys: HashMap<String, Arc<KeptKey>>,
    /// Those of them whose removal was asked for and is not known to be durable.
    going: HashSet<String>,
}

impl KnownKeys {
    pub(super) fn new(keys: HashMap<String, Arc<KeptKey>>) -> Self {
        Self(Arc::new(RwLock::new(Known {
            keys,
            going: HashSet::new(),
        })))
    }

    /// The key of this id that may be used.
    pub(super) fn usable(&self, id: &str) -> Option<Arc<KeptKey>> {
        let known = self.0.read().expect("no holder panics");
        let kept = known.keys.get(id)?;
        (!known.going.contains(id)).then(|| Arc::clone(kept))
    }

    /// The keys that may be used and whose rule is for this issuer, in one order.
    pub(super) fn of_issuer(&self, issuer: &str) -> Vec<Arc<AccessKey>> {
        let known = self.0.read().expect("no holder panics");
        let is_issuers =
            |key: &AccessKey| key.jwt.as_ref().is_some_and(|rule| rule.issuer == issuer);
        let mut found: Vec<Arc<AccessKey>> = known
            .keys
            .values()
            .filter(|kept| is_issuers(&kept.key) && !known.going.contains(&kept.key.id))
            .map(|kept| Arc::clone(&kept.key))
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    /// Every key that the store holds.
    pub(in crate::vault) fn all(&self) -> Vec<Arc<AccessKey>> {
        let known = self.0.read().expect("no holder panics");
        let keys = known.keys.values();
        keys.map(|kept| Arc::clone(&kept.key)).collect()
    }

    /// A key was used.
    pub(super) fn used(&self, id: &str, now: Timestamp) {
        let known = self.0.read().expect("no holder panics");
        if let Some(kept) = known.keys.get(id) {
            kept.use_.note(now);
        }
    }

    /// When each of them that was used since the process began was used last.
    pub(in crate::vault) fn last_uses(&self) -> BTreeMap<String, Timestamp> {
        let known = self.0.read().expect("no holder panics");
        let used = |(id, kept): (&String, &Arc<KeptKey>)| Some((id.clone(), kept.use_.get()?));
        known.keys.iter().filter_map(used).collect()
    }

    /// A key's record is durable.
    pub(in crate::vault) fn came(&self, kept: KeptKey) {
        let mut known = self.0.write().expect("no holder panics");
        known.keys.insert(kept.key.id.clone(), Arc::new(kept));
    }

    /// Makes a key useless, unless `check`, which is given it and the others that can be used,
    /// speaks against it. Two removals at once are checked one after the other.
    pub(in crate::vault) fn goes(
        &self,
        id: &str,
        check: impl FnOnce(&AccessKey, &[Arc<AccessKey>]) -> Result<()>,
    ) -> Result<()> {
        let mut known = self.0.write().expect("no holder panics");
        let doomed = known.keys.get(id).ok_or(Error::NotFound("access key"))?;
        let others: Vec<Arc<AccessKey>> = known
            .keys
            .values()
            .filter(|kept| kept.key.id != id && !known.going.contains(&kept.key.id))
            .map(|kept| Arc::clone(&kept.key))
            .collect();
        check(&doomed.key, &others)?;
        known.going.insert(id.to_owned());
        Ok(())
    }

    /// A removal was refused before it was tried.
    pub(in crate::vault) fn stays(&self, id: &str) {
        let mut known = self.0.write().expect("no holder panics");
        known.going.remove(id);
    }

    /// That a key's record is gone is durable.
    pub(in crate::vault) fn went(&self, id: &str) {
        let mut known = self.0.write().expect("no holder panics");
        known.keys.remove(id);
        known.going.remove(id);
    }

    /// What the store holds, read anew. What was to go and is still there stays useless.
    pub(super) fn read_anew(&self, keys: HashMap<String, Arc<KeptKey>>) {
        let mut known = self.0.write().expect("no holder panics");
        known.going.retain(|id| keys.contains_key(id));
        for (id, kept) in &keys {
            if let Some(at) = known.keys.get(id).and_then(|before| before.use_.get()) {
                kept.use_.note(at);
            }
        }
        known.keys = keys;
    }
}

/// How an access key's secret is kept: a keyed hash. The secret has 256 bits, so nothing slower
/// would make guessing harder (T17).
pub(in crate::vault) fn hash_key_secret(keys: &Keyring, id: &str, secret: &str) -> [u8; 32] {
    keys.hash(Purpose::AccessKeys, &[id.as_bytes(), secret.as_bytes()])
}

/// `sr_<id>_<secret>`: found by id, compared in constant time.
pub(super) fn known_key(
    keys: &Keyring,
    known: &KnownKeys,
    bearer: &str,
    now: Timestamp,
) -> Option<Arc<AccessKey>> {
    let (id, secret) = bearer.strip_prefix("sr_")?.split_once('_')?;
    let kept = known.usable(id);
    // An unknown id is compared too, with a hash that nothing has, so that it takes as long.
    let hash = hash_key_secret(keys, id, secret);
    let expected = kept.as_ref().map_or([0; 32], |kept| kept.hash);
    let equal = Secret::new(expected).equals(&hash);
    let kept = kept.filter(|kept| equal && !kept.key.has_ended(now))?;
    kept.use_.note(now);
    Some(Arc::clone(&kept.key))
}
