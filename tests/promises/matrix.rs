//! Who may do what: [`decide`] against an oracle written as tables of objections (M3).
//!
//! Goal: no cell of role x action x app x tenant x user x scopes is decided otherwise than the
//! words of DESIGN 9 say. Method: generate the grants and the targets, ask both, compare each
//! answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom::model::access::{
    AccessKey, Action, Caller, Decision, Grant, Match, Role, Target, Who, decide,
};
use strongroom::model::{AppId, Owner, Scopes, TenantId, UserId};

use crate::support::*;

/// A grant in plain words; `None` is "any".
#[derive(Clone, Debug)]
struct Words {
    actions: Vec<Action>,
    apps: Option<&'static [&'static str]>,
    tenants: Option<&'static [&'static str]>,
    users: Option<&'static [&'static str]>,
    ceiling: Option<&'static [&'static str]>,
}

/// A target in plain words: an owner is a tenant and a user, "" where there is none.
#[derive(Clone, Copy, Debug)]
struct Aim {
    app: Option<&'static str>,
    owner: Option<(&'static str, &'static str)>,
    scopes: Option<&'static [&'static str]>,
    vault: bool,
}

/// What speaks against this grant allowing that. Nothing: it is allowed.
fn objections(words: &Words, action: Action, aim: &Aim) -> Vec<&'static str> {
    let named_in = |list: &[&str], name: &str| match name {
        "" => list.is_empty(),
        name => list.contains(&name),
    };
    let (tenant, user) = aim.owner.unzip();
    let sides = [
        ("app", words.apps, aim.app),
        ("tenant", words.tenants, tenant),
        ("user", words.users, user),
    ];
    let mut found = Vec::new();
    for (side, list, name) in sides {
        if let (Some(list), Some(name)) = (list, name)
            && !named_in(list, name)
        {
            found.push(side);
        }
    }
    if !words.actions.contains(&action) {
        found.push("action");
    }
    if let (Some(most), Some(asked)) = (words.ceiling, aim.scopes)
        && asked.iter().any(|scope| !most.contains(scope))
    {
        found.push("ceiling");
    }
    let whole = [words.apps, words.tenants, words.users, words.ceiling];
    if aim.vault && whole.iter().any(Option::is_some) {
        found.push("whole vault");
    }
    found
}

/// The oracle: `None` is a refusal, else the ceilings that apply.
fn oracle(all: &[Words], action: Action, aim: &Aim) -> Option<Vec<Scopes>> {
    let fitting = all
        .iter()
        .filter(|words| objections(words, action, aim).is_empty());
    let ceilings: Vec<Option<Scopes>> = fitting.map(|words| words.ceiling.map(scopes)).collect();
    match ceilings.is_empty() {
        true => None,
        false => Some(
            ceilings
                .into_iter()
                .collect::<Option<_>>()
                .unwrap_or_default(),
        ),
    }
}

fn one_of<T: Ord>(list: Option<&'static [&'static str]>, parse: fn(&'static str) -> T) -> Match<T> {
    list.map_or(Match::Any, |list| {
        Match::OneOf(list.iter().copied().map(parse).collect())
    })
}

fn grant_of(words: &Words) -> Grant {
    Grant {
        actions: words.actions.iter().copied().collect(),
        apps: one_of(words.apps, |id| AppId::parse(id).unwrap()),
        tenants: one_of(words.tenants, |id| TenantId::parse(id).unwrap()),
        users: one_of(words.users, |id| UserId::parse(id).unwrap()),
        scopes: words.ceiling.map(scopes),
    }
}

fn caller_with(grants: Vec<Grant>) -> Caller {
    let key = AccessKey {
        id: "id".into(),
        name: "name".into(),
        role: None,
        grants,
        expires_at: None,
        return_urls: vec![],
        verify_url: None,
        connect_verify: BTreeSet::new(),
        jwt: None,
        created_at: NOW,
        created_by: "local".into(),
    };
    Caller {
        who: Who::Key(Arc::new(key)),
        from: "".into(),
        reason: None,
    }
}

/// The answer of [`decide`], as the oracle gives it.
fn decided(caller: &Caller, action: Action, aim: &Aim) -> Option<Vec<Scopes>> {
    let app = aim.app.map(app_id);
    let owner: Option<Owner> = aim.owner.map(|(tenant, user)| owner(tenant, user));
    let asked = aim.scopes.map(scopes);
    let target = Target {
        app: app.as_ref(),
        owner: owner.as_ref(),
        scopes: asked.as_ref(),
        whole_vault: aim.vault,
    };
    match decide(caller, action, &target, NOW) {
        Decision::Allowed { ceilings } => Some(ceilings),
        Decision::Refused(_) => None,
    }
}

type List = Option<&'static [&'static str]>;

fn aims() -> Vec<Aim> {
    let owners = [
        None,
        Some(("", "u")),
        Some(("t", "")),
        Some(("t", "u")),
        Some(("s", "u")),
        Some(("s", "v")),
    ];
    let asked: [List; 4] = [None, Some(&[]), Some(&["r"]), Some(&["r", "x"])];
    let mut aims = Vec::new();
    for app in [None, Some("mail"), Some("maps")] {
        for owner in owners {
            for scopes in asked {
                for vault in [false, true] {
                    aims.push(Aim {
                        app,
                        owner,
                        scopes,
                        vault,
                    });
                }
            }
        }
    }
    aims
}

fn all_words() -> Vec<Words> {
    let actions = [vec![Action::Fetch], vec![Action::List, Action::Keys]];
    let apps: [List; 3] = [None, Some(&["mail"]), Some(&["mail", "maps"])];
    let tenants: [List; 4] = [None, Some(&[]), Some(&["t"]), Some(&["s", "t"])];
    let users: [List; 3] = [None, Some(&[]), Some(&["u"])];
    let ceilings: [List; 3] = [None, Some(&["r"]), Some(&["r", "w"])];
    let mut all = Vec::new();
    for actions in actions {
        for apps in apps {
            for tenants in tenants {
                for users in users {
                    all.extend(ceilings.map(|ceiling| Words {
                        actions: actions.clone(),
                        apps,
                        tenants,
                        users,
                        ceiling,
                    }));
                }
            }
        }
    }
    all
}

const ACTIONS: [Action; 4] = [Action::Fetch, Action::List, Action::Keys, Action::Delete];

/// One grant at a time: every grant on every target.
#[test]
fn m3_every_cell_of_one_grant_is_decided_as_the_table_says() {
    let aims = aims();
    let mut cells = 0;
    for words in all_words() {
        let caller = caller_with(vec![grant_of(&words)]);
        for aim in &aims {
            for action in ACTIONS {
                let wanted = oracle(std::slice::from_ref(&words), action, aim);
                let found = decided(&caller, action, aim);
                assert_eq!(found, wanted, "{words:?} {action} {aim:?}");
                cells += 1;
            }
        }
    }
    assert!(cells > 100_000, "only {cells} cells");
}

/// Two grants at a time: neither widens the other, and the ceilings are those of the fitting ones.
#[test]
fn m3_two_grants_allow_what_either_allows_and_no_more() {
    let (aims, all) = (aims(), all_words());
    for (at, first) in all.iter().enumerate() {
        // A stride without a common divisor meets every kind of pair in time.
        let second = &all[(at * 29 + 17) % all.len()];
        let both = [first.clone(), second.clone()];
        let caller = caller_with(both.iter().map(grant_of).collect());
        for aim in &aims {
            for action in ACTIONS {
                let wanted = oracle(&both, action, aim);
                let found = decided(&caller, action, aim);
                assert_eq!(found, wanted, "{both:?} {action} {aim:?}");
            }
        }
    }
}

/// Which roles may do each action: A(dmin), O(perator), S(erver), R(eader).
const ROLES: [(Action, &str); 14] = [
    (Action::Fetch, "A S R"),
    (Action::FetchRefresh, "A"),
    (Action::Connect, "A O S"),
    (Action::Store, "A"),
    (Action::List, "A O S"),
    (Action::Refresh, "A O"),
    (Action::Reveal, "A"),
    (Action::Delete, "A O"),
    (Action::AppsRead, "A O S"),
    (Action::Apps, "A O"),
    (Action::Keys, "A O"),
    (Action::Audit, "A O"),
    (Action::Lock, "A O"),
    (Action::Backup, "A O"),
];

/// Every role, action and target.
#[test]
fn m3_every_role_may_do_what_its_row_says() {
    assert_eq!(ROLES.map(|(action, _)| action), Action::ALL);
    let roles = [
        (Role::Admin, "A"),
        (Role::Operator, "O"),
        (Role::Server, "S"),
        (Role::Reader, "R"),
    ];
    let mut cells = 0;
    for (role, letter) in roles {
        let caller = caller_with(vec![Grant::everywhere(role.actions())]);
        for (action, who) in ROLES {
            for aim in aims() {
                let wanted = who.contains(letter).then(Vec::new);
                assert_eq!(decided(&caller, action, &aim), wanted, "{role:?} {action}");
                cells += 1;
            }
        }
    }
    assert!(cells > 500);
}

/// Goal: no key without a grant, and none beyond its maker. Method: every pair of grants: where one
/// covers the other, it allows whatever that allows, under ceilings at least as wide.
#[test]
fn m3_a_grant_that_covers_another_allows_all_that_it_allows() {
    let (aims, all) = (aims(), all_words());
    let callers: Vec<Caller> = all
        .iter()
        .map(|one| caller_with(vec![grant_of(one)]))
        .collect();
    let mut covering = 0;
    for (mine, words) in callers.iter().zip(&all) {
        for (theirs, other) in callers.iter().zip(&all) {
            if !mine.covers(&theirs.key().unwrap().grants) {
                continue;
            }
            covering += 1;
            for aim in aims.iter().step_by(5) {
                for action in ACTIONS {
                    let Some(given) = oracle(std::slice::from_ref(other), action, aim) else {
                        continue;
                    };
                    let own = decided(mine, action, aim);
                    let own = own.unwrap_or_else(|| panic!("{words:?} {other:?} {aim:?}"));
                    let as_wide = own.is_empty()
                        || given
                            .iter()
                            .any(|most| own.iter().any(|own| own.covers(most)));
                    assert!(as_wide, "{words:?} {other:?} {aim:?}");
                }
            }
        }
    }
    assert!(
        covering > all.len(),
        "each covers itself, and some cover others"
    );
}
