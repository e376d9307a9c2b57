//! The corners of authority, and what it looks like through the vault (M3, V4, V5, V6).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use strongroom::error::Error;
use strongroom::model::access::{
    AccessKey, Action, Caller, Decision, Grant, Match, Role, Target, Who, decide,
};
use strongroom::model::{LinkId, Owner, TokenId};
use strongroom::vault::{Ask, Filter, NewKey, RefreshAsk, Vault};

use crate::support::*;

fn allows(caller: &Caller, action: Action, target: &Target<'_>) -> bool {
    matches!(
        decide(caller, action, target, NOW),
        Decision::Allowed { .. }
    )
}

fn key(grants: Vec<Grant>) -> AccessKey {
    AccessKey {
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
    }
}

fn caller(key: AccessKey) -> Caller {
    Caller {
        who: Who::Key(Arc::new(key)),
        ..Caller::local()
    }
}

fn everything() -> Grant {
    Grant::everywhere(Action::ALL.into())
}

/// Goal: a key ends at its moment and not after it. Method: just before, at, and after.
#[test]
fn m3_a_key_may_nothing_from_the_moment_it_expires() {
    let ends = |at| {
        let key = AccessKey {
            expires_at: Some(at),
            ..key(vec![everything()])
        };
        allows(&caller(key), Action::Fetch, &Target::vault())
    };
    assert!(ends(NOW.plus(Duration::from_millis(1))));
    assert!(!ends(NOW));
    assert!(!ends(NOW.minus(Duration::from_millis(1))));
    let without = caller(key(vec![]));
    assert!(
        !Action::ALL
            .iter()
            .any(|action| allows(&without, *action, &Target::default()))
    );
}

/// Goal: callers that are no keys have the one right their nature gives. Method: every action for
/// each.
#[test]
fn m3_links_and_the_scheduler_have_one_right_each() {
    let (mail, maps) = (app_id("mail"), app_id("maps"));
    let (mine, tenant, other) = (owner("t", "u"), owner("t", ""), owner("t", "v"));
    let link = Caller {
        who: Who::Link {
            id: LinkId::new([1; 16]),
            owner: mine.clone(),
            apps: [mail.clone()].into(),
        },
        ..Caller::local()
    };
    for action in Action::ALL {
        let own = matches!(action, Action::Store | Action::Connect);
        assert_eq!(
            allows(&link, action, &Target::of(&mail, &mine)),
            own,
            "{action}"
        );
        let whole = Target {
            whole_vault: true,
            ..Target::of(&mail, &mine)
        };
        let strange = [
            Target::of(&maps, &mine),
            Target::of(&mail, &tenant),
            Target::of(&mail, &other),
            Target::app(&mail),
            Target::default(),
            Target::vault(),
            whole,
        ];
        // A step of the link itself names no app; storing always does.
        let step = Target {
            owner: Some(&mine),
            ..Target::default()
        };
        let connects = action == Action::Connect;
        assert_eq!(allows(&link, action, &step), connects, "{action}");
        for target in strange {
            assert!(!allows(&link, action, &target), "{action} {target:?}");
        }
        let scheduled = allows(&Caller::scheduler(), action, &Target::of(&mail, &mine));
        assert_eq!(scheduled, action == Action::Refresh);
        assert!(allows(&Caller::local(), action, &Target::vault()));
    }
    assert!(!link.covers(&[]) && !Caller::scheduler().covers(&[]));
    assert!(Caller::local().covers(&[everything()]));
}

/// Goal: the ways of a grant to say "any" and "none" are read as they are written. Method: JSON.
#[test]
fn m3_grants_are_read_strictly() {
    let read = |json: &str| serde_json::from_str::<Grant>(json);
    let plain = read(r#"{"actions":["fetch"]}"#).unwrap();
    assert_eq!(plain, Grant::everywhere([Action::Fetch].into()));
    let stars = r#"{"actions":["fetch"],"apps":"*","tenants":"*","users":"*","scopes":null}"#;
    assert_eq!(read(stars).unwrap(), plain);
    let none = read(r#"{"actions":["list"],"tenants":[],"users":["u"]}"#).unwrap();
    assert_eq!(none.tenants, Match::OneOf(BTreeSet::new()));
    let again: Grant = serde_json::from_str(&serde_json::to_string(&none).unwrap()).unwrap();
    assert_eq!(again, none);
    for bad in [
        r#"{}"#,
        r#"{"actions":["rule"]}"#,
        r#"{"actions":["fetch"],"app":["mail"]}"#,
        r#"{"actions":["fetch"],"apps":"mail"}"#,
        r#"{"actions":["fetch"],"apps":"**"}"#,
        r#"{"actions":["fetch"],"apps":["a b"]}"#,
        r#"{"actions":["fetch"],"users":[""]}"#,
        r#"{"actions":["fetch"],"users":null}"#,
    ] {
        assert!(read(bad).is_err(), "{bad} was taken");
    }
    let many: Vec<String> = (0..1025).map(|number| format!("\"u{number}\"")).collect();
    let many = format!(r#"{{"actions":["fetch"],"users":[{}]}}"#, many.join(","));
    assert!(read(&many).is_err());
}

fn confined(vault: &Vault) -> Caller {
    let grant = Grant {
        apps: Match::OneOf([app_id("mail")].into()),
        users: Match::OneOf([owner("", "ann").user().unwrap().clone()].into()),
        ..everything()
    };
    key_with(vault, vec![grant])
}

/// Goal: "not yours" and "not there" are one answer. Method: a caller confined to one user and app
/// asks for what is there and not its, and for what is nowhere, by id and by name.
#[test]
fn v4_not_yours_and_not_there_are_one_answer() {
    let (vault, _) = memory();
    let mine = store(
        &vault,
        address("mail", &owner("", "ann")),
        granted("a", Some("r")),
    );
    let theirs = store(
        &vault,
        address("mail", &owner("", "bob")),
        granted("b", Some("r")),
    );
    let ann = confined(&vault);
    assert!(vault.token(&ann, mine.id).is_ok());
    let answers = |id: TokenId| {
        let ask = RefreshAsk { id, rejected: None };
        [
            vault.token(&ann, id).err(),
            vault.reveal(&ann, id).err(),
            vault.remove_token(&ann, id).err(),
            vault.begin_refresh(&ann, ask).err(),
        ]
    };
    let nowhere = answers(TokenId::new([9; 16]));
    assert_eq!(answers(theirs.id), nowhere);
    assert_eq!(nowhere, [const { Some(Error::NotFound("token")) }; 4]);
    let fetched = |app: &str, user: &str| vault.fetch(&ann, &ask(&address(app, &owner("", user))));
    for (app, user) in [
        ("mail", "bob"),
        ("mail", "eve"),
        ("maps", "ann"),
        ("none", "ann"),
    ] {
        assert_eq!(
            fetched(app, user).err(),
            Some(Error::Denied),
            "{app} {user}"
        );
    }
    let apps = ["maps", "none"].map(|app| vault.app(&ann, &app_id(app)).err());
    assert_eq!(apps, [const { Some(Error::Denied) }; 2]);
    let listed = vault.list(&ann, &Filter::default(), 10, None).unwrap();
    let ids: Vec<TokenId> = listed.tokens.iter().map(|token| token.id).collect();
    assert_eq!(ids, [mine.id]);
    let apps = vault.apps(&ann).unwrap();
    assert_eq!(apps.len(), 1);
    let all = Filter {
        app: Some(app_id("mail")),
        ..Filter::default()
    };
    let (removed, _) = block_on(vault.remove_tokens(&ann, &all, None)).unwrap();
    assert_eq!(removed.len(), 1);
    assert!(vault.token(&Caller::local(), theirs.id).is_ok());
}

/// Goal: a ceiling binds wherever a token is reached. Method: a narrow and a wide token, and a
/// caller whose grants have a ceiling for one tenant and none for another.
#[test]
fn v4_a_scope_ceiling_binds_fetches_lists_and_removals() {
    let (vault, _) = memory();
    let of = |tenant: &str| Match::OneOf([owner(tenant, "").tenant().unwrap().clone()].into());
    let under = Grant {
        tenants: of("low"),
        scopes: Some(scopes(&["r"])),
        ..everything()
    };
    let free = Grant {
        tenants: of("high"),
        ..everything()
    };
    let both = key_with(&vault, vec![under, free]);
    let place =
        |tenant: &str, list: &[&str]| with_scopes(address("mail", &owner(tenant, "u")), list);
    let mut stored = Vec::new();
    for (tenant, list) in [
        ("low", &["r"] as &[&str]),
        ("low", &["r", "w"]),
        ("high", &["w"]),
    ] {
        stored.push(store(&vault, place(tenant, list), granted("a", Some("r"))).id);
    }
    let fetch = |tenant: &str, asked: Option<&[&str]>| {
        let ask = Ask {
            scopes: asked.map(scopes),
            ..ask(&place(tenant, &[]))
        };
        vault.fetch(&both, &ask)
    };
    let strongroom::vault::Found::Fresh(handed) = fetch("low", None).unwrap() else {
        panic!("the narrow one")
    };
    assert_eq!(handed.id, stored[0]);
    assert_eq!(fetch("low", Some(&["r", "w"])).err(), Some(Error::Denied));
    assert!(fetch("high", Some(&["w"])).is_ok());
    assert_eq!(
        vault.token(&both, stored[1]).err(),
        Some(Error::NotFound("token"))
    );
    let listed = vault.list(&both, &Filter::default(), 10, None).unwrap();
    let mut seen: Vec<TokenId> = listed.tokens.iter().map(|token| token.id).collect();
    let mut wanted = vec![stored[0], stored[2]];
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted);
    let all = Filter {
        app: Some(app_id("mail")),
        ..Filter::default()
    };
    let (removed, _) = block_on(vault.remove_tokens(&both, &all, None)).unwrap();
    assert_eq!(removed.len(), 2);
    assert!(vault.token(&Caller::local(), stored[1]).is_ok());
}

/// Goal: no key beyond its maker, in rights or in time. Method: an operator makes keys that it may
/// and may not make.
#[test]
fn v4_nobody_makes_or_removes_a_key_that_may_do_more_than_they() {
    let (vault, clock) = memory();
    let make = |maker: &Caller, role, expires_at| {
        let new = NewKey {
            name: "new".into(),
            role: Some(role),
            expires_at,
            ..NewKey::default()
        };
        block_on(vault.add_key(maker, new))
    };
    let end = clock.now().plus(Duration::from_secs(60));
    let text = make(&Caller::local(), Role::Operator, Some(end)).unwrap().1;
    let operator = vault.authenticate(Some(&text), "").unwrap();
    let refused = [
        make(&operator, Role::Admin, Some(end)),
        make(&operator, Role::Reader, Some(end)),
        make(&operator, Role::Operator, None),
        make(
            &operator,
            Role::Operator,
            Some(end.plus(Duration::from_millis(1))),
        ),
    ];
    for (at, outcome) in refused.into_iter().enumerate() {
        assert_eq!(outcome.err(), Some(Error::Denied), "case {at}");
    }
    let (peer, text) = make(&operator, Role::Operator, Some(end)).unwrap();
    let admin = make(&Caller::local(), Role::Admin, None).unwrap().0;
    let remove = |id: &str| block_on(vault.remove_key(&operator, id));
    assert_eq!(remove(&admin.id), Err(Error::Denied));
    assert_eq!(remove("none"), Err(Error::NotFound("access key")));
    assert!(vault.authenticate(Some(&text), "").is_ok());
    assert_eq!(remove(&peer.id), Ok(()));
    assert!(vault.authenticate(Some(&text), "").is_err());
}

/// Goal: an unknown key, a wrong secret and an expired key are one answer. Method: each of them.
#[test]
fn v6_every_key_that_is_none_is_refused_alike() {
    let (vault, clock) = memory();
    let new = NewKey {
        name: "new".into(),
        role: Some(Role::Reader),
        expires_at: Some(clock.now().plus(Duration::from_secs(60))),
        ..NewKey::default()
    };
    let (_, text) = block_on(vault.add_key(&Caller::local(), new)).unwrap();
    let good = text.expose().clone();
    // `sr_<id>_<secret>`; the secret has 43 characters, some of which may be a `_`.
    let (head, secret_part) = good.split_at(good.len() - 43);
    let head = head.trim_end_matches('_');
    let (_, id) = head.split_once('_').unwrap();
    let presented = |text: &str| vault.authenticate(Some(&secret(text)), "").err();
    assert_eq!(presented(&good), None);
    let wrong = [
        String::new(),
        "sr_".into(),
        "sr__".into(),
        head.to_owned(),
        format!("{head}_"),
        format!("{good}x"),
        good[..good.len() - 1].to_owned(),
        format!("sr_0000000000000000_{secret_part}"),
        format!("sr_{}_{secret_part}", id.to_uppercase() + "0"),
        good.replacen("sr_", "SR_", 1),
        format!(" {good}"),
        format!("Bearer {good}"),
    ];
    for text in wrong {
        assert_eq!(presented(&text), Some(Error::Unauthenticated), "{text}");
    }
    assert_eq!(
        vault.authenticate(None, "").err(),
        Some(Error::Unauthenticated)
    );
    clock.advance(Duration::from_secs(60));
    assert_eq!(presented(&good), Some(Error::Unauthenticated));
}

/// Goal: every answer is on record, with who, what and how. Method: one of each, then the trail.
#[test]
fn v5_what_was_allowed_and_what_was_refused_is_on_record() {
    let (vault, _) = memory();
    let whose: Owner = owner("t", "u");
    let place = address("mail", &whose);
    let id = store(&vault, place.clone(), granted("a", Some("r"))).id;
    let reader = key_with(&vault, vec![Grant::everywhere([Action::Fetch].into())]);
    let reader = Caller {
        from: "192.0.2.7".into(),
        reason: Some("nightly report".into()),
        ..reader
    };
    let with_refresh = Ask {
        with_refresh_token: true,
        ..ask(&place)
    };
    assert_eq!(
        vault.fetch(&reader, &with_refresh).err(),
        Some(Error::Denied)
    );
    vault.fetch(&reader, &ask(&place)).unwrap();
    vault.fetch(&Caller::local(), &with_refresh).unwrap();
    vault.reveal(&Caller::local(), id).unwrap();
    let page = vault.audit(&Caller::local(), None, 4).unwrap();
    let told: Vec<_> = page
        .entries
        .iter()
        .map(|one| (one.action.as_str(), one.allowed, one.outcome.as_str()))
        .collect();
    let wanted = [
        ("reveal", true, "revealed"),
        ("fetch", true, "ok, with refresh token"),
        ("fetch", true, "ok"),
        ("fetch_refresh", false, "no grant covers this"),
    ];
    assert_eq!(told, wanted);
    let fetch = &page.entries[2];
    assert_eq!(fetch.caller, reader.name());
    assert_eq!(fetch.token, Some(id.to_string()));
    assert_eq!(fetch.app.as_deref(), Some("mail"));
    assert_eq!(
        (fetch.tenant.as_deref(), fetch.user.as_deref()),
        (Some("t"), Some("u"))
    );
    assert_eq!(fetch.reason.as_deref(), Some("nightly report"));
    assert_eq!(fetch.from, "192.0.2.7");
    assert_eq!(fetch.at, NOW);
}
