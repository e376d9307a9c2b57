//! A map of bounded size: where it is full, the oldest entry makes room.
//!
//! It promises: never more entries than its bound; what goes first is what came first.
//! It never: looks at the time (entries carry their own expiry).

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use sha2::{Digest, Sha256};

/// A bounded map.
pub(super) struct Shelf<K, V> {
    entries: HashMap<K, (u64, V)>,
    /// Invariant: holds exactly the keys of `entries`, under the number each came with.
    order: BTreeMap<u64, K>,
    next: u64,
    most: usize,
}

impl<K: Copy + Eq + Hash, V> Shelf<K, V> {
    /// An empty shelf for at most `most` entries.
    pub(super) fn new(most: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            most,
        }
    }

    /// Puts an entry in as the newest; one under the same key is replaced.
    pub(super) fn put(&mut self, key: K, value: V) {
        self.take(&key);
        if self.entries.len() >= self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.order.insert(self.next, key);
        self.entries.insert(key, (self.next, value));
        self.next += 1;
    }

    /// Looks an entry up.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Looks an entry up, to change it.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        let (number, value) = self.entries.remove(key)?;
        self.order.remove(&number);
        Some(value)
    }

    /// All values, to change them, in no order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|(_, value)| value)
    }
}

/// SHA-256 of a token, under which it is kept. A look-up by it tells nobody, by its time, how much
/// of a guess was right.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `text`.
    pub(super) fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The digest, as PKCE's S256 needs it.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut shelf = Shelf::new(2);
        shelf.put("a", 1);
        shelf.put("b", 2);
        shelf.put("a", 3);
        shelf.put("c", 4);
        assert_eq!(shelf.get(&"a"), Some(&3), "putting it again made it newer");
        assert_eq!(shelf.get(&"b"), None);
        assert_eq!(shelf.take(&"c"), Some(4));
        assert_eq!(shelf.entries.len(), shelf.order.len());
    }
}
