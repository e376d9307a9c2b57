//! Lists by user and by state: the same by an index as by a walk through everything, and a page's
//! work however many tokens there are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::model::access::{Grant, Match};
use crate::seeded::Seeded;
use crate::store::faulty::Faulty;
use crate::store::{Index, View};
use crate::vault::NewKey;
use crate::vault::tests::crowd::{Crowd, block_on, fits, ids, opened};

fn me() -> Caller {
    Caller::local()
}

/// All of a list, by pages; from the page of this number on, the indexes that came later are taken
/// for whole. No page shows a token that another did.
fn pages(vault: &Vault, filter: &Filter, limit: usize, whole_from: usize) -> BTreeSet<String> {
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    for page in 0.. {
        vault.0.filler.set_whole(page >= whole_from);
        let listed = vault.list(&me(), filter, limit, cursor.as_deref()).unwrap();
        let more = ids(&listed.tokens);
        assert_eq!(more.len(), listed.tokens.len(), "a page shows one twice");
        let before = found.len();
        found.extend(more);
        assert_eq!(found.len(), before + listed.tokens.len(), "a page repeats");
        cursor = listed.cursor;
        if cursor.is_none() {
            break;
        }
    }
    vault.0.filler.set_whole(true);
    found
}

fn is_whole(vault: &Vault) {
    let report = vault.check(&me(), &mut |_, _| Ok(())).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.not_filled, [""; 0]);
}

/// Goal: whatever was done to the tokens, the two indexes say what the records do, and a list by
/// any filter is what a walk through everything finds, page by page, also where the indexes become
/// whole in the midst of it. Method: random work; a check of every record and entry; random
/// filters, limits and moments.
#[test]
fn lists_by_an_index_are_those_of_a_walk_through_everything() {
    let seeded = Seeded::new("lists");
    let mut narrow = 0;
    for case in 0..seeded.runs(4) {
        let mut chance = seeded.case(case);
        let mut crowd = Crowd::on(&Faulty::default(), chance.rng().fork());
        for round in 0..6 {
            (0..14).for_each(|_| crowd.work());
            is_whole(&crowd.vault);
            let all = crowd.all();
            for _ in 0..12 {
                let filter = crowd.filter();
                let wanted = ids(all.iter().filter(|token| fits(&filter, token)));
                narrow += usize::from(!wanted.is_empty());
                let limit = crowd.rng.usize(1..6);
                for whole_from in [0, crowd.rng.usize(1..4), usize::MAX] {
                    let found = pages(&crowd.vault, &filter, limit, whole_from);
                    let what = format!("{filter:?} by {limit}, whole from {whole_from}");
                    assert_eq!(found, wanted, "{}", chance.at(&format!("{round}: {what}")));
                }
            }
        }
    }
    assert!(narrow > 20, "most filters found nothing: {narrow}");
}

/// How many entries an index has.
fn entries(vault: &Vault, index: Index) -> usize {
    let mut count = 0;
    let view = vault.store().read().unwrap();
    view.scan_index(index, b"", None, &mut |_, _| {
        count += 1;
        Ok(Scan::Go)
    })
    .unwrap();
    count
}

/// Goal: a token stands among those that wait from the commit on that says so, until it is
/// connected again or removed, in whichever way. Method: each way, one after another; the count
/// and the entries after each.
#[test]
fn a_token_waits_until_it_is_connected_again_or_removed() {
    let mut crowd = Crowd::on(&Faulty::default(), fastrand::Rng::with_seed(1));
    let (mail, notes) = (
        AppId::parse("mail").unwrap(),
        AppId::parse("notes").unwrap(),
    );
    let ids = crowd.store_many(8);
    let state = |crowd: &Crowd| {
        let waiting = crowd.vault.waiting(&me(), 100).unwrap();
        assert_eq!(waiting.tokens, waiting.by_app.values().sum::<usize>());
        is_whole(&crowd.vault);
        (waiting.tokens, entries(&crowd.vault, Index::Waiting))
    };
    assert_eq!(state(&crowd), (0, 0));
    ids.iter().for_each(|id| crowd.kill(*id));
    assert_eq!(state(&crowd), (8, 8));
    // Connected again: one stored in its place, with the same id.
    assert_eq!(crowd.store_many(1), ids[..1]);
    assert_eq!(state(&crowd), (7, 7));
    // Removed, by id and by filter; the app with the rest of its tokens.
    let removed = crowd.vault.remove_token(&me(), ids[1]).unwrap();
    removed.wait().unwrap();
    assert_eq!(state(&crowd), (6, 6));
    let users = entries(&crowd.vault, Index::Users);
    assert_eq!(
        users, 5,
        "three of four are of a tenant's users, and one went"
    );
    let filter = Filter {
        user: Some(UserId::parse("user-2").unwrap()),
        ..Filter::default()
    };
    block_on(crowd.vault.remove_tokens(&me(), &filter, None)).unwrap();
    assert_eq!(state(&crowd), (5, 5));
    assert_eq!(entries(&crowd.vault, Index::Users), users - 1);
    let counted = crowd.vault.waiting(&me(), 100).unwrap().by_app;
    assert_eq!(counted, [(mail.clone(), 2), (notes.clone(), 3)].into());
    let removed = crowd.vault.remove_app(&me(), &notes).unwrap();
    removed.wait().unwrap();
    assert_eq!(state(&crowd), (2, 2));
    let removed = crowd.vault.remove_app(&me(), &mail).unwrap();
    removed.wait().unwrap();
    assert_eq!(state(&crowd), (0, 0));
    assert_eq!(entries(&crowd.vault, Index::Users), 0);
}

/// Goal: the count is of what the caller may list, ends where it was told to and says that there is
/// more, and is on record. Method: a key for one app and tenant; limits around the number.
#[test]
fn those_that_wait_are_counted_for_who_may_list_them() {
    let mut crowd = Crowd::on(&Faulty::default(), fastrand::Rng::with_seed(2));
    let ids = crowd.store_many(24);
    ids.iter().skip(4).for_each(|id| crowd.kill(*id));
    let count = |caller: &Caller, limit| {
        let waiting = crowd.vault.waiting(caller, limit).unwrap();
        (waiting.tokens, waiting.more)
    };
    assert_eq!(count(&me(), 0), (1, true));
    assert_eq!(count(&me(), 19), (19, true));
    assert_eq!(count(&me(), 20), (20, false));
    assert_eq!(count(&me(), usize::MAX), (20, false));
    let red = TenantId::parse("red").unwrap();
    let mail = AppId::parse("mail").unwrap();
    let grant = Grant {
        apps: Match::OneOf([mail.clone()].into()),
        tenants: Match::OneOf([red.clone()].into()),
        ..Grant::everywhere([Action::List].into())
    };
    let key = |grants| {
        let new = NewKey {
            name: "some".into(),
            grants,
            ..NewKey::default()
        };
        let (_, text) = block_on(crowd.vault.add_key(&me(), new)).unwrap();
        crowd.vault.authenticate(Some(&text), "").unwrap()
    };
    let caller = key(vec![grant]);
    let all = crowd.all();
    let may = all.iter().filter(|token| {
        let waits = token.state != TokenState::Active;
        waits && token.app == mail && token.tenant.as_ref() == Some(&red)
    });
    let may = may.count();
    assert!(may > 0 && may < 20, "{may}");
    let found = crowd.vault.waiting(&caller, 100).unwrap();
    assert_eq!(found.by_app, [(mail, may)].into());
    assert_eq!((found.tokens, found.more), (may, false));
    let last = crowd.vault.audit(&me(), None, 1).unwrap().entries.remove(0);
    assert_eq!(last.action, "list");
    assert_eq!(last.outcome, format!("ok, {may} waiting counted"));
    let nobody = key(vec![Grant::everywhere([Action::Fetch].into())]);
    assert_eq!(crowd.vault.waiting(&nobody, 1), Err(Error::Denied));
}

/// Goal: a cursor is taken for nothing but what it is. Method: those of the walk and those of the
/// indexes, given to lists that have no such place.
#[test]
fn a_cursor_of_another_list_is_refused() {
    let mut crowd = Crowd::on(&Faulty::default(), fastrand::Rng::with_seed(3));
    let ids = crowd.store_many(6);
    ids.iter().for_each(|id| crowd.kill(*id));
    let waiting = Filter {
        active: Some(false),
        ..Filter::default()
    };
    let by_user = Filter {
        user: Some(UserId::parse("user-0").unwrap()),
        ..Filter::default()
    };
    let list = |filter: &Filter, cursor: Option<&str>| {
        let page = crowd.vault.list(&me(), filter, 1, cursor);
        page.map(|page| page.cursor)
    };
    let cursor = list(&waiting, None).unwrap().unwrap();
    let of_user = list(&by_user, None).unwrap().unwrap();
    let refused = |filter: &Filter, cursor: &str| {
        let outcome = list(filter, Some(cursor));
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    };
    assert!(list(&waiting, Some(&cursor)).is_ok());
    refused(&Filter::default(), &cursor);
    refused(&by_user, &cursor);
    refused(&waiting, &cursor[4..]);
    refused(&waiting, "");
    let other = Filter {
        user: Some(UserId::parse("user-1").unwrap()),
        ..Filter::default()
    };
    refused(&other, &of_user);
    crowd.vault.0.filler.set_whole(false);
    refused(&waiting, &cursor);
}

/// Reads of the disk that a list of each kind takes, among so many tokens: by the index, and by a
/// walk.
fn reads(count: usize) -> [(u64, u64); 2] {
    let disk = Faulty::default();
    let mut crowd = Crowd::on(&disk, fastrand::Rng::with_seed(4));
    let ids = crowd.store_many(count);
    ids[..8].iter().for_each(|id| crowd.kill(*id));
    crowd.vault.close().unwrap();
    disk.read_uncached();
    let vault = opened(&disk).unwrap();
    let pages = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pages);
    disk.before_reads(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let waiting = Filter {
        active: Some(false),
        ..Filter::default()
    };
    let user = Filter {
        user: Some(UserId::parse("user-1").unwrap()),
        ..Filter::default()
    };
    [(waiting, 8), (user, 1)].map(|(filter, wanted)| {
        let reads = [true, false].map(|is_whole| {
            vault.0.filler.set_whole(is_whole);
            let before = pages.load(Ordering::Relaxed);
            let page = vault.list(&me(), &filter, 100, None).unwrap();
            assert_eq!(page.tokens.len(), wanted);
            pages.load(Ordering::Relaxed) - before
        });
        reads.into()
    })
}

/// Goal: a list by user, or of those that wait, takes the work of one page however many tokens
/// there are. Method: pages read of a disk under a store that keeps none, among few and among ten
/// times as many; the same lists by a walk, which grow with them.
#[test]
fn a_list_by_user_or_state_reads_no_more_where_there_are_more_tokens() {
    let (few, many) = (reads(150), reads(1500));
    for (few, many) in few.into_iter().zip(many) {
        // A tree that is deeper by one has a page more on the way to each token.
        assert!(many.0 <= 2 * few.0 && many.0 < 60, "{few:?}, {many:?}");
        assert!(
            many.1 > 5 * few.1 && many.1 > 5 * many.0,
            "{few:?}, {many:?}"
        );
    }
}
