//! Tests of views and transactions.

use super::*;
use crate::store::Store;

/// Goal: a walk shows what begins with its prefix and lies behind its cursor, all of it and
/// nothing else, where the last byte has no next as well. Method: every prefix, and every
/// cursor in it or behind it, over keys of extreme bytes, compared with a filter.
#[test]
fn a_walk_shows_what_has_its_prefix_and_lies_behind_its_cursor() {
    let store = Store::in_memory(b"a header").unwrap();
    let bytes = [0_u8, 1, 254, 255];
    let pairs = || {
        bytes
            .into_iter()
            .flat_map(|one| bytes.map(|two| vec![one, two]))
    };
    let write = store.write().unwrap();
    for key in pairs() {
        write.put_entry(Index::Owners, &key, b"").unwrap();
    }
    write.commit().unwrap();
    let view = store.read().unwrap();
    let single = bytes.into_iter().map(|one| vec![one]);
    for prefix in std::iter::once(vec![]).chain(single).chain(pairs()) {
        let cursors = pairs().filter(|cursor| *cursor >= prefix).map(Some);
        for after in std::iter::once(None).chain(cursors) {
            let mut shown = Vec::new();
            view.scan_index(Index::Owners, &prefix, after.as_deref(), &mut |key, _| {
                shown.push(key.to_vec());
                Ok(Scan::Go)
            })
            .unwrap();
            let fits = |key: &Vec<u8>| key.starts_with(&prefix) && Some(key) > after.as_ref();
            let wanted: Vec<Vec<u8>> = pairs().filter(fits).collect();
            assert_eq!(shown, wanted, "{prefix:?} behind {after:?}");
        }
    }
}

fn put(store: &Store, key: &[u8]) {
    let write = store.write().unwrap();
    write.put_entry(Index::Owners, key, b"").unwrap();
    write.commit().unwrap();
}

/// Goal: who reads between two commits shares a view, who reads behind a commit sees it, and a view
/// that is out goes on showing what it showed. Method: views taken before, during and behind a
/// transaction.
#[test]
fn a_view_is_shared_until_something_is_committed() {
    let store = Store::in_memory(b"a header").unwrap();
    let has = |view: &Read, key: &[u8]| view.entry(Index::Owners, key).unwrap().is_some();
    put(&store, b"first");
    let (one, two) = (store.read().unwrap(), store.read().unwrap());
    assert!(Arc::ptr_eq(&one.0, &two.0));
    assert!(has(&one, b"first"));
    let write = store.write().unwrap();
    write.put_entry(Index::Owners, b"second", b"").unwrap();
    let meanwhile = store.read().unwrap();
    assert!(!has(&meanwhile, b"second"));
    write.commit().unwrap();
    let behind = store.read().unwrap();
    assert!(has(&behind, b"second") && !has(&one, b"second") && !has(&meanwhile, b"second"));
    let dropped = store.write().unwrap();
    dropped.put_entry(Index::Owners, b"third", b"").unwrap();
    drop(dropped);
    assert!(Arc::ptr_eq(&behind.0, &store.read().unwrap().0));
}

/// Goal: no commit leaves its pages seen by a view that nobody has. Method: the shared view of each
/// of several commits is let go by its reader and counted by the store alone.
#[test]
fn a_view_that_nobody_has_is_gone_with_the_next_commit() {
    let store = Store::in_memory(b"a header").unwrap();
    for number in 0_u8..3 {
        let view = Arc::downgrade(&store.read().unwrap().0);
        assert!(view.upgrade().is_some(), "kept for the next reader");
        put(&store, &[number]);
        assert!(view.upgrade().is_none());
    }
    let view = Arc::downgrade(&store.read().unwrap().0);
    store.shut();
    assert!(view.upgrade().is_none(), "nor does it keep a closed file");
}
