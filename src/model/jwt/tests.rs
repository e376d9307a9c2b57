//! What a rule may say, and what is left of a key.

use super::*;
use crate::model::access::{Caller, Decision, Target, Who, decide};
use crate::model::{AppId, Owner};

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);
const END: Timestamp = Timestamp::from_unix_ms(1_790_000_060_000);

fn rule() -> JwtRule {
    let text = r#"{"issuer": "https://idp.example", "audiences": ["vault"]}"#;
    serde_json::from_str(text).unwrap()
}

fn key(grants: Vec<Grant>) -> AccessKey {
    let text = r#"{"id": "id", "name": "agents", "grants": [], "created_by": "local",
        "created_at": "2026-01-01T00:00:00Z"}"#;
    let key: AccessKey = serde_json::from_str(text).unwrap();
    AccessKey { grants, ..key }
}

fn set<T: Ord>(names: &[&str], parse: fn(String) -> Result<T>) -> BTreeSet<T> {
    let parsed = names.iter().map(|name| parse((*name).to_owned()));
    parsed.collect::<Result<_>>().unwrap()
}

fn person(user: &str, tenants: &[&str]) -> Person {
    Person {
        user: UserId::parse(user).unwrap(),
        tenants: set(tenants, TenantId::parse),
    }
}

/// Every kind of owner: theirs, others', with and without a tenant.
fn owners() -> Vec<Owner> {
    let tenants = ["t1", "t2", "t3"].map(|name| TenantId::parse(name).unwrap());
    let users = ["alice", "bob"].map(|name| UserId::parse(name).unwrap());
    let mut owners: Vec<Owner> = users.iter().cloned().map(Owner::User).collect();
    for tenant in tenants {
        owners.push(Owner::Tenant(tenant.clone()));
        let within = users.iter().cloned();
        owners.extend(within.map(|user| Owner::TenantUser(tenant.clone(), user)));
    }
    owners
}

fn allows(key: &AccessKey, action: Action, target: &Target<'_>) -> bool {
    let caller = Caller {
        who: Who::Key(key.clone().into()),
        ..Caller::local()
    };
    matches!(
        decide(&caller, action, target, NOW),
        Decision::Allowed { .. }
    )
}

/// Goal: a token opens what the key's grants and its own user and tenants both allow, and nothing
/// else. Method: grants confined in every way, people of several tenants, every owner and action;
/// the rule is said once more here, in plain words.
#[test]
fn a_token_opens_what_the_key_and_its_own_person_both_allow() {
    let users = |names: &[&str]| Match::OneOf(set(names, UserId::parse));
    let tenants = |names: &[&str]| Match::OneOf(set(names, TenantId::parse));
    let sides_of_tenants = [
        Match::Any,
        tenants(&[]),
        tenants(&["t1"]),
        tenants(&["t1", "t3"]),
    ];
    let sides_of_users = [Match::Any, users(&[]), users(&["alice"]), users(&["bob"])];
    let app = AppId::parse("app").unwrap();
    let mut allowed = 0;
    for (tenant_side, user_side) in sides_of_tenants
        .iter()
        .flat_map(|tenants| sides_of_users.iter().map(move |users| (tenants, users)))
    {
        let grant = Grant {
            tenants: tenant_side.clone(),
            users: user_side.clone(),
            ..Grant::everywhere(Action::ALL.into())
        };
        let key = key(vec![grant]);
        for (tenant_tokens, who) in [false, true].into_iter().flat_map(|with_tenants| {
            [&[][..], &["t1"], &["t1", "t2"]].map(|of| (with_tenants, person("alice", of)))
        }) {
            let rule = JwtRule {
                tenant_tokens,
                ..rule()
            };
            let narrowed = rule.narrow(&key, &who, END);
            for (action, owner) in Action::ALL
                .iter()
                .flat_map(|action| owners().into_iter().map(move |owner| (*action, owner)))
            {
                let target = Target::of(&app, &owner);
                let is_theirs = owner
                    .tenant()
                    .is_none_or(|tenant| who.tenants.contains(tenant))
                    && match owner.user() {
                        Some(user) => *user == who.user,
                        None => tenant_tokens,
                    };
                let expected =
                    is_theirs && JWT_ACTIONS.contains(&action) && allows(&key, action, &target);
                let said = allows(&narrowed, action, &target);
                assert_eq!(
                    said, expected,
                    "{action} of {owner:?} by {who:?} under {key:?}"
                );
                allowed += usize::from(said);
            }
        }
    }
    assert!(allowed > 100, "{allowed}");
}

/// Goal: apps, ceilings, and the end of whichever ends first stay. Method: look at each.
#[test]
fn what_else_confines_the_key_confines_its_tokens() {
    let grant = Grant {
        apps: Match::OneOf(set(&["app"], AppId::parse)),
        scopes: Some(Scopes::parse(["read"]).unwrap()),
        ..Grant::everywhere([Action::Fetch, Action::Keys].into())
    };
    let soon = AccessKey {
        expires_at: Some(NOW),
        ..key(vec![grant.clone()])
    };
    let narrowed = rule().narrow(&key(vec![grant.clone()]), &person("alice", &["t1"]), END);
    assert_eq!(narrowed.expires_at, Some(END));
    assert_eq!(narrowed.grants.len(), 2);
    for part in &narrowed.grants {
        assert_eq!((&part.apps, &part.scopes), (&grant.apps, &grant.scopes));
        assert_eq!(part.actions, BTreeSet::from([Action::Fetch]));
    }
    let first = rule().narrow(&soon, &person("alice", &[]), END).expires_at;
    assert_eq!(first, Some(NOW));
    let whole = Grant::everywhere(Action::ALL.into());
    let narrowed = rule().narrow(&key(vec![whole]), &person("alice", &["t1"]), END);
    for action in Action::ALL {
        assert!(!allows(&narrowed, action, &Target::vault()), "{action}");
    }
}

/// Goal: a rule that could not work, or would take anybody's tokens, is refused. Method: a table.
#[test]
fn a_rule_that_cannot_be_is_refused() {
    let check = |change: &str| {
        let mut rule = serde_json::to_value(rule()).unwrap();
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        for (name, value) in change.as_object().unwrap() {
            rule[name] = value.clone();
        }
        let read: std::result::Result<JwtRule, _> = serde_json::from_value(rule);
        read.map_err(|error| error.to_string())
            .and_then(|rule| rule.check().map_err(|error| error.to_string()))
    };
    for good in [
        "{}",
        r#"{"audiences": [], "no_audience": true}"#,
        r#"{"issuer": "P2abc", "jwks_url": "https://api.descope.com/v2/keys/P2abc"}"#,
        r#"{"jwks_url": ""}"#,
        r#"{"user_claim": "https://idp.example/user", "tenants_claim": "dct"}"#,
        r#"{"scope": "outbound.token.fetch", "tenant_tokens": true}"#,
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in [
        r#"{"audiences": []}"#,
        r#"{"audiences": [""]}"#,
        r#"{"audiences": [" a"]}"#,
        r#"{"issuer": ""}"#,
        r#"{"issuer": "P2abc"}"#,
        r#"{"issuer": "https://idp.example/?a=1"}"#,
        r#"{"issuer": "https://idp.example\n"}"#,
        r#"{"jwks_url": "ftp://idp.example/"}"#,
        r#"{"jwks_url": "https://u:p@idp.example/"}"#,
        r#"{"user_claim": ""}"#,
        r#"{"scope": "a b"}"#,
        r#"{"scope": ""}"#,
        r#"{"any_audience": true}"#,
    ] {
        assert!(check(bad).is_err(), "{bad} was taken");
    }
    let grants = |action| [Grant::everywhere([Action::Fetch, action].into())];
    for action in Action::ALL {
        let fits = rule().check_grants(&grants(action)).is_ok();
        assert_eq!(fits, JWT_ACTIONS.contains(&action), "{action}");
    }
}

/// Goal: no token fits two rules. Method: pairs.
#[test]
fn two_rules_for_one_token_are_seen() {
    let of = |issuer: &str, audiences: &[&str], no_audience| JwtRule {
        issuer: issuer.into(),
        audiences: audiences.iter().map(|one| (*one).to_owned()).collect(),
        no_audience,
        ..rule()
    };
    let one = of("https://a.example", &["x", "y"], false);
    assert!(
        one.clash(&of("https://a.example", &["z", "y"], true))
            .is_some()
    );
    assert!(one.clash(&of("https://a.example", &["z"], true)).is_none());
    assert!(
        one.clash(&of("https://a.example/", &["x"], false))
            .is_none()
    );
    let without = of("https://a.example", &[], true);
    assert!(
        without
            .clash(&of("https://a.example", &["z"], true))
            .is_some()
    );
}
