//! The raw reader against redb's own: what redb wrote is found, and a damaged leaf costs little.

use super::*;
use crate::store::faulty::Faulty;
use crate::store::{Index, Store, View};

/// A store with short and long entries in two tables, over several commits.
fn image() -> Vec<u8> {
    let disk = Faulty::default();
    let store = Store::on_backend(&disk, Some(b"a header")).unwrap();
    for round in 0..4_u8 {
        let write = store.write().unwrap();
        for n in 0..60_u8 {
            let value = vec![n ^ round; usize::from(n) * 40];
            write.put_entry(Index::Ids, &[n; 16], &value).unwrap();
        }
        write
            .put_entry(Index::Due, &[9; 72], &vec![round; 30_000])
            .unwrap();
        write.commit().unwrap();
    }
    store.close().unwrap();
    disk.image()
}

fn pairs(raw: &Raw) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    raw.scan(&|_| {}, &mut |pair| {
        assert_eq!(raw.read(pair.place), pair.value);
        found.push((pair.key, pair.value));
        Ok(())
    })
    .unwrap();
    found
}

/// Goal: every entry that redb holds is found, long ones too, and the tree that refers to exactly
/// them. Method: compare with what redb reads.
#[test]
fn every_entry_is_found_and_a_tree_refers_to_exactly_those_that_are_stored() {
    let bytes = image();
    let raw = Raw::of(bytes.clone());
    let found = pairs(&raw);
    let store = Store::on_backend(&Faulty::of(bytes), None).unwrap();
    let view = store.read().unwrap();
    let trees = raw.trees();
    let mut whole = 0;
    for index in [Index::Ids, Index::Due] {
        let mut stored = Vec::new();
        view.scan_index(index, b"", None, &mut |key, value| {
            stored.push((key.to_vec(), value.to_vec()));
            Ok(crate::store::Scan::Go)
        })
        .unwrap();
        assert!(stored.iter().all(|pair| found.contains(pair)));
        for table in trees.iter().filter_map(|tree| tree.table(index.name())) {
            let referred: Vec<_> = table
                .pairs
                .iter()
                .map(|(key, place)| (key.clone(), raw.read(*place)))
                .collect();
            whole += u32::from(table.whole && referred == stored);
        }
    }
    assert!(whole >= 2, "the newest commit's two tables");
}

/// Goal: one hurt number of a leaf costs its neighbours at most, and its type and count nothing.
/// Method: change each byte of a leaf's head in turn, and count the pairs.
#[test]
fn a_hurt_head_of_a_leaf_costs_two_pairs_at_most() {
    let disk = Faulty::default();
    let store = Store::on_backend(&disk, Some(b"a header")).unwrap();
    let write = store.write().unwrap();
    for n in 0..8_u8 {
        write.put_entry(Index::Ids, &[n; 16], &[n; 300]).unwrap();
    }
    write.commit().unwrap();
    store.close().unwrap();
    let bytes = disk.image();
    let raw = Raw::of(bytes.clone());
    let at = (0..raw.length())
        .step_by(PAGE)
        .filter(|at| raw.leaf(*at).pairs.len() == 8);
    let at = at.last().expect("a leaf with all of them");
    let start = usize::try_from(at).unwrap();
    for byte in 0..LEAF_HEAD + 8 * 8 {
        for by in [1, 0x80] {
            let mut bytes = bytes.clone();
            bytes[start + byte] ^= by;
            let left = Raw::of(bytes).leaf(at);
            let least = if byte < LEAF_HEAD { 8 } else { 6 };
            let sound = |pair: &&Pair| pair.key.len() == 16 && pair.value == [pair.key[0]; 300];
            let sound = left.pairs.iter().filter(sound).count();
            assert!(sound >= least, "byte {byte} by {by}: {sound} left");
        }
    }
}

/// Goal: no bytes make it panic or give more than they hold. Method: bytes of chance, with leaf and
/// branch marks and plausible numbers among them.
#[test]
fn bytes_of_chance_are_read_without_harm() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..))
            .take(5 * PAGE + 77)
            .collect();
        for at in (0..bytes.len()).step_by(PAGE) {
            bytes[at] = rng.u8(..4);
            for n in (at + 2..(at + 200).min(bytes.len() - 4)).step_by(4) {
                bytes[n + 1..n + 4].fill(0);
            }
        }
        let raw = Raw::of(bytes);
        let given: usize = pairs(&raw)
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        assert!(given <= 6 * limits::SALVAGE_LEAF_BYTES_MAX);
        raw.trees();
    }
}
