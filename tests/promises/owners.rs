//! Whose a token is: the three levels, several accounts, what connecting again keeps (V8, M1).

use std::collections::BTreeSet;

use strongroom::error::Error;
use strongroom::model::access::Caller;
use strongroom::model::token::{Grant, ReconnectReason, RefreshError};
use strongroom::model::{Address, Name, Owner};
use strongroom::vault::{Ask, Filter, Found, NewCredential, NewToken, RefreshAsk, Upload, Vault};

use crate::support::*;

/// Owners that look alike at every level.
fn owners() -> Vec<Owner> {
    let names = [
        ("", "a"),
        ("", "b"),
        ("a", ""),
        ("b", ""),
        ("a", "a"),
        ("a", "b"),
        ("b", "a"),
        ("b", "b"),
        ("", "a/b"),
        ("a/b", ""),
        ("none", ""),
        ("", "none"),
        ("none", "a"),
    ];
    names.map(|(tenant, user)| owner(tenant, user)).to_vec()
}

/// Goal: owners of the three levels are never interchangeable. Method: every ordered pair: store
/// for the one, fetch for the other.
#[test]
fn m1_a_token_of_one_owner_is_never_served_for_another() {
    let owners = owners();
    for (mine, whose) in owners.iter().enumerate() {
        let (vault, _) = memory();
        let credential = granted(&format!("token {mine}"), None);
        store(&vault, address("mail", whose), credential);
        for other in &owners {
            let found = vault.fetch(&Caller::local(), &ask(&address("mail", other)));
            let wanted = if other == whose {
                format!("fresh token {mine}")
            } else {
                "missing".to_owned()
            };
            assert_eq!(said(&found.unwrap()), wanted, "{whose:?} for {other:?}");
        }
    }
}

/// Goal: nor by filter. Method: one token each; list and remove by every filter, and compare with
/// what the owners themselves say.
#[test]
fn m1_filters_find_what_they_name_and_nothing_else() {
    let owners = owners();
    let (vault, _) = memory();
    for whose in &owners {
        store(&vault, address("mail", whose), granted("token", None));
    }
    let me = Caller::local();
    for tenant in ["", "a", "b", "a/b", "none"] {
        for user in ["", "a", "b", "a/b", "none"] {
            if (tenant, user) == ("", "") {
                continue;
            }
            let named = owner(tenant, user);
            for app in [None, Some(app_id("mail"))] {
                let filter = Filter {
                    app,
                    tenant: named.tenant().cloned(),
                    user: named.user().cloned(),
                    ..Filter::default()
                };
                let page = vault.list(&me, &filter, 100, None).unwrap();
                let found: BTreeSet<Owner> = page
                    .tokens
                    .into_iter()
                    .map(|token| Owner::new(token.tenant, token.user).unwrap())
                    .collect();
                let fits = |one: &&Owner| {
                    (tenant.is_empty() || one.tenant() == named.tenant())
                        && (user.is_empty() || one.user() == named.user())
                };
                let wanted: BTreeSet<Owner> = owners.iter().filter(fits).cloned().collect();
                assert_eq!(found, wanted, "{filter:?}");
            }
        }
    }
    let empty = block_on(vault.remove_tokens(&me, &Filter::default(), None)).err();
    assert!(matches!(empty, Some(Error::Invalid(_))));
    let filter = Filter {
        tenant: owner("a", "").tenant().cloned(),
        ..Filter::default()
    };
    let (removed, more) = block_on(vault.remove_tokens(&me, &filter, None)).unwrap();
    assert_eq!((removed.len(), more), (3, None));
    let left = vault.list(&me, &Filter::default(), 100, None).unwrap();
    assert_eq!(left.tokens.len(), owners.len() - 3);
}

/// Goal: apps, accounts and scope sets tell tokens apart too. Method: one token for each
/// combination, then each asked for by its own words.
#[test]
fn m1_apps_accounts_and_scope_sets_tell_tokens_apart() {
    let (vault, _) = memory();
    add_app(&vault, oauth_app("mail2"));
    let me = owner("t", "u");
    let mut all: Vec<(Address, String)> = Vec::new();
    for app in ["mail", "mail2"] {
        for account in ["", "work", "home"] {
            for list in [&["r"] as &[&str], &["r", "w"], &["rw"]] {
                let place = with_scopes(with_account(address(app, &me), account), list);
                let value = format!("{app} {account} {list:?}");
                store(&vault, place.clone(), granted(&value, None));
                all.push((place, value));
            }
        }
    }
    for (place, value) in all.iter().filter(|(place, _)| place.account.is_some()) {
        let ask = Ask {
            scopes: Some(place.scopes.clone()),
            ..ask(place)
        };
        assert!(
            fresh(&vault, &ask).value.equals(value.as_bytes()),
            "{value}"
        );
    }
}

fn id_of(found: Found) -> strongroom::model::TokenId {
    match found {
        Found::Fresh(handed) => handed.id,
        Found::Stale(id, _) | Found::Reconnect(id, _) => id,
        Found::Missing => panic!("missing"),
    }
}

fn refresh_token(vault: &Vault, place: &Address) -> Option<String> {
    let me = Caller::local();
    let id = id_of(vault.fetch(&me, &ask(place)).unwrap());
    let (_, cold) = vault.reveal(&me, id).unwrap();
    cold.refresh_token.map(|token| token.expose().clone())
}

/// Goal: connecting again keeps the id, and a good refresh token of the same person. Method:
/// connect, then again in each way that may lack a refresh token.
#[test]
fn v8_connecting_again_keeps_the_id_and_a_good_refresh_token() {
    let by = |subject: Option<&str>, refresh: Option<&str>| {
        NewCredential::Granted(Grant {
            subject: subject.map(str::to_owned),
            ..grant("new", refresh)
        })
    };
    let upload = |access: Option<&str>, refresh: Option<&str>| {
        NewCredential::Uploaded(Upload {
            access_token: access.map(secret),
            refresh_token: refresh.map(secret),
            expires_at: None,
            ..Upload::default()
        })
    };
    let cases = [
        (
            "none came, same person",
            by(Some("ann"), None),
            Some("first"),
        ),
        ("none came, nobody named", by(None, None), Some("first")),
        (
            "a new one came",
            by(Some("ann"), Some("second")),
            Some("second"),
        ),
        ("another person, none came", by(Some("bob"), None), None),
        ("another person", by(Some("bob"), Some("his")), Some("his")),
        ("uploaded without", upload(Some("a"), None), Some("first")),
        ("uploaded with", upload(None, Some("b")), Some("b")),
    ];
    for (what, again, wanted) in cases {
        let (vault, _) = memory();
        let place = address("mail", &owner("t", "u"));
        let first = store(&vault, place.clone(), by(Some("ann"), Some("first")));
        let second = store(&vault, place.clone(), again);
        assert_eq!(first.id, second.id, "{what}");
        assert_eq!(first.created_at, second.created_at, "{what}");
        assert_eq!(refresh_token(&vault, &place).as_deref(), wanted, "{what}");
        assert_eq!(second.has_refresh_token, wanted.is_some(), "{what}");
    }
}

/// Goal: where a service was asked whose account it is and did not say, nothing of somebody else's
/// is taken over; where it says the same, what the refresh token needs comes along. Method: both.
#[test]
fn v8_an_account_that_nobody_names_inherits_nothing() {
    let (vault, _) = memory();
    let me = Caller::local();
    let place = address("mail", &owner("t", "u"));
    let host = [(Name::parse("host").unwrap(), "eu.example".to_owned())];
    let of_ann = |access: &str, refresh: Option<&str>| Grant {
        subject: Some("ann".into()),
        ..grant(access, refresh)
    };
    let mut first = of_ann("one", Some("first"));
    first.brought.metadata = host.clone().into();
    store(&vault, place.clone(), NewCredential::Granted(first));
    let again = NewCredential::Granted(of_ann("two", None));
    let kept = store(&vault, place.clone(), again);
    assert!(kept.has_refresh_token);
    assert_eq!(kept.metadata, host.into(), "the refresh token needs it");
    let unnamed = NewToken {
        is_unnamed: true,
        ..NewToken::of(place.clone(), NewCredential::Granted(grant("three", None)))
    };
    let stored = vault.store_token(&me, unnamed).unwrap().wait().unwrap();
    assert!(!stored.has_refresh_token && stored.subject.is_none() && stored.metadata.is_empty());
    assert_eq!(refresh_token(&vault, &place), None);
}

/// Goal: a dead refresh token is not kept. Method: let a refresh find it revoked, connect again
/// with none.
#[test]
fn v8_a_dead_refresh_token_is_not_kept() {
    let (vault, _) = memory();
    let me = Caller::local();
    let place = address("mail", &owner("", "u"));
    let first = store(&vault, place.clone(), granted("old", Some("dead")));
    let ask = RefreshAsk {
        id: first.id,
        rejected: None,
    };
    let begun = vault.begin_refresh(&me, ask).unwrap().wait().unwrap();
    let strongroom::vault::Begin::Go(job) = begun else {
        panic!("no refresh")
    };
    let error = RefreshError {
        code: "invalid_grant".into(),
        description: String::new(),
        at: NOW,
    };
    let dead = strongroom::model::plan::Verdict::Dead(ReconnectReason::Revoked, error);
    let finish = vault.finish_refresh(&me, &job, dead).unwrap();
    finish.wait().unwrap();
    let second = store(&vault, place.clone(), granted("new", None));
    assert_eq!(first.id, second.id);
    assert!(!second.has_refresh_token);
    assert_eq!(refresh_token(&vault, &place), None);
}

/// Goal: keys go to API-key apps and tokens to OAuth apps; nothing empty, nothing endless. Method:
/// each wrong credential once.
#[test]
fn m1_a_credential_that_does_not_suit_its_app_is_refused() {
    let (vault, _) = memory();
    let whose = owner("", "u");
    let upload = |access: Option<&str>| {
        NewCredential::Uploaded(Upload {
            access_token: access.map(secret),
            refresh_token: None,
            expires_at: None,
            ..Upload::default()
        })
    };
    let long = "x".repeat(64 * 1024 + 1);
    let cases = [
        ("a key for mail", "mail", NewCredential::ApiKey(secret("k"))),
        ("a grant for maps", "maps", granted("a", None)),
        ("an upload for maps", "maps", upload(Some("a"))),
        ("an upload of nothing", "mail", upload(None)),
        ("an empty upload", "mail", upload(Some(""))),
        ("an empty key", "maps", NewCredential::ApiKey(secret(""))),
        (
            "an endless key",
            "maps",
            NewCredential::ApiKey(secret(&long)),
        ),
        (
            "an endless refresh token",
            "mail",
            granted("a", Some(&long)),
        ),
    ];
    for (what, app, credential) in cases {
        let new = NewToken::of(address(app, &whose), credential);
        let outcome = vault
            .store_token(&Caller::local(), new)
            .and_then(strongroom::vault::Receipt::wait);
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{what}");
    }
    let new = NewToken::of(address("nowhere", &whose), granted("a", None));
    let outcome = vault.store_token(&Caller::local(), new).unwrap().wait();
    assert_eq!(outcome.err(), Some(Error::NotFound("app")));
}

/// Goal: one owner's tokens of one app have an end. Method: store 64, then one more; a newer one in
/// an old one's place, another owner's and another app's are no more than one more each.
#[test]
fn m1_one_owner_has_at_most_64_tokens_of_one_app() {
    let (vault, _) = memory();
    add_app(&vault, oauth_app("mail2"));
    let place = |app: &str, user: &str, number: usize| {
        let account = format!("account {number}");
        with_account(address(app, &owner("", user)), &account)
    };
    for number in 0..64 {
        store(&vault, place("mail", "u", number), granted("a", None));
    }
    let new = NewToken::of(place("mail", "u", 64), granted("a", None));
    let outcome = vault.store_token(&Caller::local(), new).unwrap().wait();
    assert!(matches!(outcome, Err(Error::Invalid(_))));
    store(&vault, place("mail", "u", 63), granted("b", None));
    store(&vault, place("mail", "v", 64), granted("a", None));
    store(&vault, place("mail2", "u", 64), granted("a", None));
}
