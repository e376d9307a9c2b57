//! Which token a fetch takes where several fit (DESIGN 5), and what `min_ttl` asks for (M2).

use std::time::Duration;

use strongroom::model::Scopes;
use strongroom::model::access::Caller;
use strongroom::model::token::Grant;
use strongroom::vault::{Ask, NewCredential};

use crate::support::*;

/// A token to store: scopes asked for, scopes granted, seconds of life, refresh token, and how many
/// seconds after the one before.
struct Given {
    asked: &'static [&'static str],
    granted: &'static [&'static str],
    life_s: u64,
    renewable: bool,
}

const fn given(asked: &'static [&'static str], life_s: u64, renewable: bool) -> Given {
    Given {
        asked,
        granted: asked,
        life_s,
        renewable,
    }
}

/// Stores each ten seconds after the one before, waits as told, and fetches.
fn outcome(tokens: &[Given], wait_s: u64, asked: Option<&[&str]>, min_ttl_s: u64) -> String {
    let (vault, clock) = memory();
    let place = address("mail", &owner("", "u"));
    for (number, token) in tokens.iter().enumerate() {
        clock.advance(Duration::from_secs(10));
        let refresh = token.renewable.then_some("refresh");
        let granted = Grant {
            scopes: Some(scopes(token.granted)),
            expires_in_s: (token.life_s > 0).then_some(token.life_s),
            ..grant(&number.to_string(), refresh)
        };
        let place = with_scopes(place.clone(), token.asked);
        store(&vault, place, NewCredential::Granted(granted));
    }
    clock.advance(Duration::from_secs(wait_s));
    let ask = Ask {
        scopes: asked.map(scopes),
        min_ttl: Duration::from_secs(min_ttl_s),
        ..ask(&place)
    };
    said(&vault.fetch(&Caller::local(), &ask).unwrap())
}

/// What it shows, what is stored, what is asked for, and what comes.
type Case = (
    &'static str,
    Vec<Given>,
    Option<&'static [&'static str]>,
    &'static str,
);

/// Goal: the exact scope set first, then the newest valid superset; none asked: the newest valid.
/// Method: a table of what is stored, what is asked, and what comes.
#[test]
fn m2_the_exact_scope_set_comes_first_and_then_the_newest_superset() {
    let r = || given(&["r"], 3600, true);
    let w = || given(&["w"], 3600, true);
    let rw = || given(&["r", "w"], 3600, true);
    let rwx = || given(&["r", "w", "x"], 3600, true);
    let table: [Case; 13] = [
        ("nothing stored", vec![], None, "missing"),
        ("exact, older", vec![r(), rw()], Some(&["r"]), "fresh 0"),
        ("exact, newer", vec![rw(), r()], Some(&["r"]), "fresh 1"),
        (
            "newest superset",
            vec![rw(), rwx()],
            Some(&["r"]),
            "fresh 1",
        ),
        (
            "newest superset",
            vec![rwx(), rw()],
            Some(&["r"]),
            "fresh 1",
        ),
        ("superset of two", vec![rw(), w()], Some(&["r"]), "fresh 0"),
        ("none asked: newest", vec![rw(), r(), w()], None, "fresh 2"),
        (
            "exact of three",
            vec![r(), rwx(), rw(), w()],
            Some(&["w", "r"]),
            "fresh 2",
        ),
        (
            "empty set asked: exact",
            vec![given(&[], 3600, true), r()],
            Some(&[]),
            "fresh 0",
        ),
        (
            "empty set asked: wider",
            vec![r(), rw()],
            Some(&[]),
            "fresh 1",
        ),
        (
            "too narrow",
            vec![r()],
            Some(&["r", "w"]),
            "reconnect scope_missing",
        ),
        (
            "all too narrow",
            vec![r(), w()],
            Some(&["r", "w"]),
            "reconnect scope_missing",
        ),
        (
            "asked for twice over",
            vec![r(), r()],
            Some(&["r"]),
            "fresh 1",
        ),
    ];
    for (what, tokens, asked, wanted) in table {
        assert_eq!(outcome(&tokens, 0, asked, 30), wanted, "{what}");
    }
}

/// Goal: valid before stale, stale before dead. Method: as above, with tokens that end.
#[test]
fn m2_a_valid_token_comes_before_one_to_be_refreshed_and_that_before_a_dead_one() {
    let ended = |renewable| given(&["r"], 60, renewable);
    let wide = |life_s, renewable| given(&["r", "w"], life_s, renewable);
    let table: [(&str, Vec<Given>, &str); 6] = [
        ("ended, renewable", vec![ended(true)], "stale"),
        ("ended for good", vec![ended(false)], "reconnect expired"),
        (
            "exact stale, wider valid",
            vec![ended(true), wide(3600, true)],
            "stale",
        ),
        (
            "exact dead, wider valid",
            vec![ended(false), wide(3600, false)],
            "fresh 1",
        ),
        (
            "exact dead, wider stale",
            vec![ended(false), wide(60, true)],
            "stale",
        ),
        (
            "both dead",
            vec![ended(false), wide(60, false)],
            "reconnect expired",
        ),
    ];
    for (what, tokens, wanted) in table {
        assert_eq!(outcome(&tokens, 120, Some(&["r"]), 30), wanted, "{what}");
    }
}

/// Goal: `min_ttl` asks for a refresh where one can help, and costs nobody a valid token where none
/// can. Method: a token with 60 s left, asked for with less and more, renewable and not.
#[test]
fn m2_min_ttl_asks_for_a_refresh_only_where_one_can_help() {
    let table = [
        (true, 0, "fresh 0"),
        (true, 59, "fresh 0"),
        (true, 60, "stale"),
        (true, 3600, "stale"),
        (false, 59, "fresh 0"),
        (false, 60, "fresh 0"),
        (false, 3600, "fresh 0"),
    ];
    for (renewable, min_ttl_s, wanted) in table {
        let token = given(&["r"], 160, renewable);
        let outcome = outcome(&[token], 100, Some(&["r"]), min_ttl_s);
        assert_eq!(
            outcome, wanted,
            "renewable: {renewable}, min_ttl {min_ttl_s}"
        );
    }
    // More than half its life is not asked of any token, or each fetch would ask for a refresh.
    for (waited_s, wanted) in [
        (0, "fresh 0"),
        (79, "fresh 0"),
        (80, "stale"),
        (159, "stale"),
    ] {
        let token = given(&["r"], 160, true);
        let outcome = outcome(&[token], waited_s, Some(&["r"]), 3600);
        assert_eq!(outcome, wanted, "after {waited_s} s");
    }
}

/// Goal: what was granted counts and not what was asked for. Method: a provider that grants less
/// and one that grants more.
#[test]
fn m2_the_scopes_granted_count() {
    let less = || Given {
        granted: &["r"],
        ..given(&["r", "w"], 3600, true)
    };
    let more = || Given {
        granted: &["r", "w"],
        ..given(&["r"], 3600, true)
    };
    assert_eq!(outcome(&[less()], 0, Some(&["r"]), 0), "fresh 0");
    assert_eq!(outcome(&[more()], 0, Some(&["r", "w"]), 0), "fresh 0");
    let lacking = outcome(&[less()], 0, Some(&["w"]), 0);
    assert_eq!(lacking, "reconnect scope_missing");
    let (vault, _) = memory();
    let place = with_scopes(address("mail", &owner("", "u")), &["r", "w"]);
    let granted = Grant {
        scopes: Some(scopes(&["r"])),
        ..grant("a", None)
    };
    store(&vault, place.clone(), NewCredential::Granted(granted));
    let ask = Ask {
        scopes: Some(place.scopes.clone()),
        ..ask(&place)
    };
    let handed = fresh(&vault, &ask);
    assert_eq!(handed.missing_scopes, scopes(&["w"]));
    assert_eq!(handed.scopes, scopes(&["r"]));
}

/// Goal: an API key has no scopes to lack. Method: store one, ask with scopes.
#[test]
fn m2_an_api_key_is_served_whatever_scopes_are_asked_for() {
    let (vault, clock) = memory();
    let place = address("maps", &owner("", "u"));
    store(&vault, place.clone(), NewCredential::ApiKey(secret("key")));
    clock.advance(Duration::from_secs(10 * 365 * 86_400));
    for asked in [None, Some(Scopes::default()), Some(scopes(&["r", "w"]))] {
        let ask = Ask {
            scopes: asked,
            min_ttl: Duration::from_secs(86_400),
            ..ask(&place)
        };
        let handed = fresh(&vault, &ask);
        assert!(handed.value.equals(b"key"));
        assert_eq!(handed.token_type, "api_key");
        assert_eq!(handed.expires_at, None);
        assert!(handed.missing_scopes.is_empty());
    }
}

/// Goal: no account named means any; one named means that one. Method: two accounts, the newer of
/// which is asked for by nobody.
#[test]
fn m2_an_account_that_is_named_is_the_only_one_that_fits() {
    let (vault, clock) = memory();
    let place = address("mail", &owner("", "u"));
    for account in ["work", "home"] {
        clock.advance(Duration::from_secs(1));
        store(
            &vault,
            with_account(place.clone(), account),
            granted(account, None),
        );
    }
    assert!(fresh(&vault, &ask(&place)).value.equals(b"home"));
    let work = with_account(place.clone(), "work");
    assert!(fresh(&vault, &ask(&work)).value.equals(b"work"));
    let none = with_account(place, "play");
    let found = vault.fetch(&Caller::local(), &ask(&none)).unwrap();
    assert_eq!(said(&found), "missing");
}
