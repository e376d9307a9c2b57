//! Sessions at the console, without a browser.

use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::model::AppId;
use crate::model::access::{Grant, Match, Role};
use crate::store::faulty::Faulty;
use crate::vault::NewKey;
use crate::vault::tests::crowd::{Crowd, block_on};

fn vault() -> (Vault, Secret<String>) {
    Vault::in_memory(Clock::test(Timestamp::from_unix_ms(1_800_000_000_000))).unwrap()
}

fn whose(vault: &Vault, cookie: &Secret<String>) -> Result<AtConsole> {
    vault.at_console(cookie, "test".into(), Attention::Person)
}

fn key(vault: &Vault, actions: &[Action]) -> (String, Secret<String>) {
    let new = NewKey {
        name: "one".into(),
        grants: vec![Grant::everywhere(actions.iter().copied().collect())],
        ..NewKey::default()
    };
    let (key, text) = block_on(vault.add_key(&Caller::local(), new)).unwrap();
    (key.id, text)
}

/// Goal: a session is its key's, for as long as the key is any good. Method: sign in, look,
/// remove the key, look again.
#[test]
fn v21_a_session_ends_with_its_key() {
    let (vault, _) = vault();
    let (id, text) = key(&vault, &[Action::List]);
    let cookie = vault.sign_in(&text, "test".into()).unwrap();
    let there = whose(&vault, &cookie).unwrap();
    assert_eq!(there.caller.name(), format!("key:{id}"));
    assert_eq!(&*there.caller.from, "console, test");
    block_on(vault.remove_key(&Caller::local(), &id)).unwrap();
    assert_eq!(whose(&vault, &cookie).err(), Some(Error::Unauthenticated));
}

/// Goal: idle time is a person's, and a working day ends whatever is done. Method: a page that
/// asks by itself for a quarter of an hour; a person who clicks for twelve hours.
#[test]
fn v21_a_session_ends_when_nobody_clicks_and_after_a_day() {
    let (vault, text) = vault();
    let cookie = vault.sign_in(&text, "test".into()).unwrap();
    let minutes = limits::CONSOLE_IDLE.as_secs() / 60;
    for _ in 0..minutes - 1 {
        vault.clock().advance(Duration::from_secs(60));
        let page = vault.at_console(&cookie, "test".into(), Attention::Page);
        assert!(page.is_ok());
    }
    vault.clock().advance(Duration::from_secs(60));
    let page = vault.at_console(&cookie, "test".into(), Attention::Page);
    assert_eq!(page.err(), Some(Error::Unauthenticated));

    let cookie = vault.sign_in(&text, "test".into()).unwrap();
    let step = limits::CONSOLE_IDLE / 2;
    let steps = limits::CONSOLE_LIFE.as_secs() / step.as_secs();
    for _ in 0..steps - 1 {
        vault.clock().advance(step);
        assert!(whose(&vault, &cookie).is_ok());
    }
    vault.clock().advance(step);
    assert_eq!(whose(&vault, &cookie).err(), Some(Error::Unauthenticated));
}

/// Goal: out is out, here and everywhere; and of this key alone. Method: three sessions of one
/// key and one of another.
#[test]
fn v21_signing_out_ends_one_session_or_all_of_a_key() {
    let (vault, admin) = vault();
    let (_, other) = key(&vault, &[Action::Audit]);
    let sign_in = |text: &Secret<String>| vault.sign_in(text, "test".into()).unwrap();
    let cookies = [sign_in(&admin), sign_in(&admin), sign_in(&admin)];
    let others = sign_in(&other);
    let there = whose(&vault, &cookies[0]).unwrap();
    assert!(vault.sign_out(&cookies[0], &there.caller).unwrap());
    assert!(whose(&vault, &cookies[0]).is_err());
    let there = whose(&vault, &cookies[1]).unwrap();
    assert_eq!(vault.sign_out_everywhere(&there.caller).unwrap(), 2);
    assert!(whose(&vault, &cookies[2]).is_err());
    assert!(whose(&vault, &others).is_ok());
}

/// Goal: only a key that sees anything signs in, a wrong one is a stranger, and asking again
/// takes the same key. Method: a reader's key, garbage, another admin's.
#[test]
fn signing_in_takes_a_key_that_sees_something() {
    let (vault, admin) = vault();
    let reader: Vec<Action> = Role::Reader.actions().into_iter().collect();
    let (_, reader) = key(&vault, &reader);
    let refused = vault.sign_in(&reader, "test".into()).err();
    assert_eq!(refused, Some(Error::Denied));
    let garbage = Secret::new("sr_00_garbage".to_owned());
    let refused = vault.sign_in(&garbage, "test".into()).err();
    assert_eq!(refused, Some(Error::Unauthenticated));
    let cookie = vault.sign_in(&admin, "test".into()).unwrap();
    let there = whose(&vault, &cookie).unwrap();
    assert_eq!(vault.holds_key(&there.caller, &admin), Ok(()));
    for wrong in [&reader, &garbage] {
        let refused = vault.holds_key(&there.caller, wrong);
        assert_eq!(refused, Err(Error::UnlockFailed));
    }
    let page = vault.audit(&Caller::local(), None, 10).unwrap();
    let said: Vec<&str> = page.entries.iter().map(|e| e.action.as_str()).collect();
    assert!(
        said.contains(&"sign_in") && said.contains(&"confirm"),
        "{said:?}"
    );
}

/// Goal: sessions are gone with the keys, and a form's token is its session's. Method: lock.
#[test]
fn v21_no_session_outlives_a_lock_and_no_form_token_fits_another() {
    let (vault, admin) = vault();
    let cookies = [(); 2].map(|()| vault.sign_in(&admin, "test".into()).unwrap());
    let tokens = cookies
        .each_ref()
        .map(|c| whose(&vault, c).unwrap().form_token);
    assert_ne!(tokens[0].expose(), tokens[1].expose());
    let (caller, _) = (whose(&vault, &cookies[0]).unwrap().caller, ());
    vault.lock(&caller).unwrap();
    assert_eq!(whose(&vault, &cookies[0]).err(), Some(Error::Locked));
}

/// Goal: so many sessions and no more. Method: one more than fit, of as many keys as it takes; the
/// first is idle longest.
#[test]
fn beyond_the_bound_who_was_idle_longest_is_signed_out() {
    let (vault, admin) = vault();
    let first = vault.sign_in(&admin, "test".into()).unwrap();
    let of_each = limits::CONSOLE_SESSIONS_OF_KEY_MAX;
    for _ in 0..limits::CONSOLE_SESSIONS_MAX.div_ceil(of_each) {
        let (_, another) = key(&vault, &[Action::List]);
        for _ in 0..of_each {
            vault.clock().advance(Duration::from_millis(1));
            vault.sign_in(&another, "test".into()).unwrap();
        }
    }
    assert_eq!(whose(&vault, &first).err(), Some(Error::Unauthenticated));
}

/// Goal: a page left open is on record now and then, for each screen and search; a person's look
/// each time; and how many are told apart is bounded. Method: looks within the span and behind it,
/// at more searches than fit.
#[test]
fn a_page_left_open_is_told_of_now_and_then() {
    let (vault, admin) = vault();
    let cookie = vault.sign_in(&admin, "test".into()).unwrap();
    let looks = || {
        let page = vault.audit(&Caller::local(), None, 1000).unwrap();
        page.entries.iter().filter(|e| e.action == "look").count()
    };
    let look = |attention, narrowed: &str| {
        let at = vault.at_console(&cookie, "test".into(), attention).unwrap();
        vault.look(&at, "audit", narrowed).unwrap();
        looks()
    };
    assert_eq!(look(Attention::Person, ""), 1);
    assert_eq!(look(Attention::Person, ""), 2);
    assert_eq!(look(Attention::Page, ""), 2);
    assert_eq!(look(Attention::Page, "user=eve"), 3);
    let almost = limits::CONSOLE_LOOK_EVERY - Duration::from_secs(1);
    vault.clock().advance(almost);
    assert_eq!(look(Attention::Page, ""), 3);
    vault.clock().advance(Duration::from_secs(1));
    assert_eq!(look(Attention::Page, ""), 4);
    assert_eq!(look(Attention::Page, ""), 4);
    for at in 0..limits::CONSOLE_LOOKS_MAX {
        look(Attention::Page, &format!("user=u{at}"));
    }
    let before = looks();
    assert_eq!(look(Attention::Page, ""), before + 1, "it was forgotten");
}

/// Goal: what a form with a secret behind it carries is good once, and its session's alone.
/// Method: look, spend, look again; another session.
#[test]
fn v21_what_a_form_for_a_secret_carries_is_good_once() {
    let (vault, admin) = vault();
    let cookies = [(); 2].map(|()| vault.sign_in(&admin, "test".into()).unwrap());
    let once = |cookie| whose(&vault, cookie).unwrap().once.expose().clone();
    let (first, other) = (once(&cookies[0]), once(&cookies[1]));
    assert_ne!(first, other);
    assert_eq!(first, once(&cookies[0]));
    let two_at_once = [(); 2].map(|()| whose(&vault, &cookies[0]).unwrap());
    let spent = two_at_once.each_ref().map(|at| vault.spend(at).unwrap());
    assert_eq!(spent, [true, false]);
    assert_ne!(first, once(&cookies[0]));
    assert_eq!(other, once(&cookies[1]));
}

/// Goal: one key's sessions make room for each other, and not at another's cost. Method: one more
/// than a key may have; the first of them has ended, and the other key's has not.
#[test]
fn v21_a_key_signs_out_its_own_sessions_alone() {
    let (vault, admin) = vault();
    let (_, many) = key(&vault, &[Action::List]);
    let others = vault.sign_in(&admin, "test".into()).unwrap();
    let sign_in = || {
        vault.clock().advance(Duration::from_millis(1));
        vault.sign_in(&many, "test".into()).unwrap()
    };
    let first = sign_in();
    let rest: Vec<_> = (0..limits::CONSOLE_SESSIONS_OF_KEY_MAX)
        .map(|_| sign_in())
        .collect();
    assert_eq!(whose(&vault, &first).err(), Some(Error::Unauthenticated));
    assert!(rest.iter().all(|cookie| whose(&vault, cookie).is_ok()));
    assert!(whose(&vault, &others).is_ok());
}

/// Goal: of the apps asked for, those that are there and that the key may see, so many and no more;
/// and who may see none is not refused, on record, for a page that asks by itself. Method: a vault
/// with two apps; all keys, one of one app, one of the trail alone.
#[test]
fn apps_are_seen_under_a_look_as_far_as_the_key_may() {
    let crowd = Crowd::on(&Faulty::default(), fastrand::Rng::with_seed(4));
    let id = |text| AppId::parse(text).unwrap();
    let ids = [id("gone"), id("mail"), id("notes")];
    let seen = |grant: Grant, most| {
        let new = NewKey {
            name: "one".into(),
            grants: vec![grant],
            ..NewKey::default()
        };
        let (_, text) = block_on(crowd.vault.add_key(&Caller::local(), new)).unwrap();
        let cookie = crowd.vault.sign_in(&text, "test".into()).unwrap();
        let at = crowd
            .vault
            .at_console(&cookie, "test".into(), Attention::Page);
        let looked = crowd.vault.look(&at.unwrap(), "health", "").unwrap();
        let seen = crowd.vault.apps_seen(&looked, &ids, most).unwrap();
        seen.map(|seen| seen.into_iter().collect::<Vec<_>>())
    };
    let all = Grant::everywhere([Action::AppsRead].into());
    assert_eq!(seen(all.clone(), 10), Some(ids[1..].to_vec()));
    assert_eq!(seen(all.clone(), 1), Some(ids[1..2].to_vec()));
    let narrow = Grant {
        apps: Match::OneOf([id("notes")].into()),
        ..all
    };
    assert_eq!(seen(narrow, 10), Some(vec![id("notes")]));
    assert_eq!(seen(Grant::everywhere([Action::Audit].into()), 10), None);
    let page = crowd.vault.audit(&Caller::local(), None, 100).unwrap();
    assert!(page.entries.iter().all(|entry| entry.allowed));
}
