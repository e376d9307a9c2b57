//! Connect links as the vault keeps them: whose they are, one browser, single use, one-way steps
//! (V13).

use std::collections::BTreeSet;

use std::time::Duration;

use strongroom::error::Error;
use strongroom::model::access::{AccessKey, Action, Caller, Grant, Person, Who};
use strongroom::model::app::Callback;
use strongroom::model::link::{Link, LinkApp, LinkAppState, LinkEnd, LinkStatus, Proof};
use strongroom::model::{AppId, Owner, TenantId, UserId};
use strongroom::secret::Secret;
use strongroom::vault::{Landing, MadeLink, NewLink, NewToken, NoWay, Vault, Way};

use crate::support::*;

fn new_link(apps: &[&str], proof: Proof) -> NewLink {
    let apps = apps.iter().map(|app| LinkApp {
        app: app_id(app),
        scopes: scopes(&[]),
        account: None,
        hints: Default::default(),
        variables: Default::default(),
        state: LinkAppState::Waiting,
    });
    NewLink {
        apps: apps.collect(),
        owner: owner("t", "u"),
        proof,
        return_url: None,
        opener_origin: None,
        life: Duration::from_secs(600),
    }
}

fn make(vault: &Vault, caller: &Caller, proof: Proof) -> MadeLink {
    let new = new_link(&["mail", "maps"], proof);
    vault.make_link(caller, new).unwrap().wait().unwrap()
}

fn visit(
    vault: &Vault,
    ticket: &Secret<String>,
    cookie: Option<&Secret<String>>,
) -> Result<(Caller, Link), NoWay> {
    vault.visit(ticket, cookie, "192.0.2.1").unwrap()
}

/// Opens a link in a browser; the person as a caller, the link and the cookie come back.
fn opened(vault: &Vault, made: &MadeLink) -> (Caller, Link, Secret<String>) {
    let (person, link) = visit(vault, &made.ticket, None).unwrap();
    let bound = vault.bind_browser(&person, &link).unwrap().wait().unwrap();
    let cookie = bound.unwrap();
    let (person, link) = visit(vault, &made.ticket, Some(&cookie)).unwrap();
    (person, link, cookie)
}

/// Goal: from the first visit on a link belongs to one browser. Method: open it twice, with every
/// wrong cookie and ticket.
#[test]
fn v13_a_link_belongs_to_the_browser_that_opened_it_first() {
    let (vault, _) = memory();
    let made = make(&vault, &Caller::local(), Proof::None);
    let other = make(&vault, &key_for_connecting(&vault), Proof::None);
    let (person, link, cookie) = opened(&vault, &made);
    assert!(link.proven, "no proof was asked for");
    let again = vault.bind_browser(&person, &link).unwrap().wait().unwrap();
    assert!(again.is_none());
    let (_, _, foreign) = opened(&vault, &other);
    for wrong in [None, Some(&foreign), Some(&secret("")), Some(&secret("?"))] {
        let refused = visit(&vault, &made.ticket, wrong).err();
        assert_eq!(refused, Some(NoWay::OtherBrowser));
    }
    assert!(visit(&vault, &made.ticket, Some(&cookie)).is_ok());
    let text = made.ticket.expose();
    let flipped = format!(
        "{}{}",
        if text.starts_with('A') { "B" } else { "A" },
        &text[1..]
    );
    let mut last = text.clone();
    last.replace_range(60..61, if &text[60..61] == "A" { "B" } else { "A" });
    for wrong in ["", "x", &flipped, &last, &text[1..], &format!("{text}A")] {
        let refused = visit(&vault, &secret(wrong), Some(&cookie)).err();
        assert_eq!(refused, Some(NoWay::Unknown), "{wrong}");
    }
}

/// Goal: a code is typed a few times at most. Method: wrong ones to the limit; on another link the
/// right one, as people type it.
#[test]
fn v13_too_many_wrong_codes_kill_a_link() {
    let (vault, _) = memory();
    let made = make(&vault, &Caller::local(), Proof::Code);
    let code = made.code.as_ref().unwrap().expose().clone();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let (person, link, _) = opened(&vault, &made);
    let typed = |vault: &Vault, person: &Caller, link: &Link, code: &str| {
        let step = vault.try_code(person, link, secret(code)).unwrap();
        step.wait().unwrap()
    };
    for tries in 1..5 {
        let link = typed(&vault, &person, &link, wrong);
        assert_eq!(
            (link.code_tries, link.dead, link.proven),
            (tries, None, false)
        );
    }
    let dead = typed(&vault, &person, &link, wrong);
    assert_eq!(dead.dead, Some(LinkEnd::TooManyCodes));
    assert!(!typed(&vault, &person, &link, &code).proven);
    let made = make(&vault, &Caller::local(), Proof::Code);
    let code = made.code.as_ref().unwrap().expose().clone();
    let (person, link, _) = opened(&vault, &made);
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    assert!(typed(&vault, &person, &link, &spaced).proven);
}

/// Goal: the application's word is taken once, for the link's own owner. Method: vouch for the
/// right person twice; for the wrong one; with a foreign ticket; by another key.
#[test]
fn v13_a_ticket_is_vouched_for_once_and_the_wrong_person_kills_the_link() {
    let (vault, _) = memory();
    let (asker, stranger) = (key_for_connecting(&vault), key_for_connecting(&vault));
    let vouch = |caller: &Caller, made: &MadeLink, ticket: &Secret<String>, user: &str| {
        let receipt = vault.vouch(caller, made.link.id, ticket, owner("t", user));
        receipt.and_then(strongroom::vault::Receipt::wait)
    };
    let ticket = |made: &MadeLink| {
        let (person, link, _) = opened(&vault, made);
        let ticket = vault.begin_vouch(&person, &link).unwrap();
        ticket.wait().unwrap()
    };
    let made = make(&vault, &asker, Proof::Vouch);
    let good = ticket(&made);
    let missing = Some(Error::NotFound("link"));
    assert_eq!(vouch(&stranger, &made, &good, "u").err(), missing);
    let wrong = [secret(""), made.ticket.clone()];
    for wrong in &wrong {
        let refused = vouch(&asker, &made, wrong, "u").err();
        assert_eq!(refused, Some(Error::NotFound("ticket")));
    }
    let vouched = vouch(&asker, &made, &good, "u").unwrap();
    assert!(
        vouched.back.is_some() && !vouched.link.proven,
        "not before it comes back"
    );
    let twice = vouch(&asker, &made, &good, "u").err();
    assert_eq!(twice, Some(Error::NotFound("ticket")));
    let made = make(&vault, &asker, Proof::Vouch);
    let good = ticket(&made);
    let link = vouch(&asker, &made, &good, "v").unwrap().link;
    assert_eq!(
        (link.dead, link.proven),
        (Some(LinkEnd::WrongPerson), false)
    );
    let late = vouch(&asker, &made, &good, "u").err();
    assert_eq!(late, Some(Error::NotFound("ticket")));
}

/// Goal: a trip comes back once, to its own app, in its own browser, in time. Method: every wrong
/// way first, then the right one, then the right one again.
#[test]
fn v13_a_trip_comes_back_once_to_its_own_app_and_browser() {
    let (vault, clock) = memory();
    let made = make(&vault, &Caller::local(), Proof::None);
    let (person, link, cookie) = opened(&vault, &made);
    let (mail, maps) = (app_id("mail"), app_id("maps"));
    let begin = || {
        let state = Vault::new_state(&link);
        let verifier = Some(secret("verifier"));
        let way = Way::of(&mail, Callback::Own);
        let step = vault.begin_trip(&person, &link, way, verifier, &state);
        step.unwrap().wait().unwrap();
        state
    };
    let take = |state: &Secret<String>, cookies: &[Secret<String>], app: &AppId| {
        let landing = Landing::Own(app.clone());
        let taken = vault.take_trip(state, cookies, &landing, "192.0.2.1");
        block_on(taken).unwrap().map(|back| back.verifier)
    };
    let own = [secret("another site's"), cookie.clone()];
    let first = begin();
    let state = begin();
    assert_eq!(take(&first, &own, &mail).err(), Some(NoWay::Unknown));
    assert_eq!(take(&state, &own, &maps).err(), Some(NoWay::Unknown));
    assert_eq!(take(&state, &[], &mail).err(), Some(NoWay::OtherBrowser));
    assert_eq!(take(&secret("x"), &own, &mail).err(), Some(NoWay::Unknown));
    let verifier = take(&state, &own, &mail).unwrap().unwrap();
    assert!(verifier.equals(b"verifier"));
    assert_eq!(take(&state, &own, &mail).err(), Some(NoWay::Unknown));
    let late = begin();
    clock.advance(Duration::from_secs(600));
    assert_eq!(take(&late, &own, &mail).err(), Some(NoWay::Unknown));
}

/// Goal: a trip that began for one redirect URI does not come back on another, the shared one
/// included. Method: each of the two, on each way back that is not its own, then on its own.
#[test]
fn v13_a_trip_comes_back_on_the_redirect_uri_it_was_sent_with() {
    let (vault, _) = memory();
    let made = make(&vault, &Caller::local(), Proof::None);
    let (person, link, cookie) = opened(&vault, &made);
    let mail = app_id("mail");
    let own = Landing::Own(mail.clone());
    for (callback, right, wrong) in [
        (Callback::Own, own.clone(), Landing::Shared),
        (Callback::Shared, Landing::Shared, own),
    ] {
        let state = Vault::new_state(&link);
        let step = vault.begin_trip(&person, &link, Way::of(&mail, callback), None, &state);
        step.unwrap().wait().unwrap();
        let take = |landing| {
            let taken = vault.take_trip(&state, std::slice::from_ref(&cookie), landing, "");
            block_on(taken).unwrap().map(|back| back.trip)
        };
        assert_eq!(take(&wrong).err(), Some(NoWay::Unknown), "{callback:?}");
        let trip = take(&right).unwrap();
        assert_eq!((trip.app, trip.callback), (mail.clone(), callback));
        assert_eq!(take(&right).err(), Some(NoWay::Unknown), "{callback:?}");
    }
}

/// Goal: nothing begins before the person is proven, or after the link's end. Method: try to.
#[test]
fn v13_no_trip_begins_without_proof_or_after_the_end() {
    let (vault, clock) = memory();
    let made = make(&vault, &Caller::local(), Proof::Code);
    let (person, link, _) = opened(&vault, &made);
    let begin = |person: &Caller, link: &Link| {
        let state = Vault::new_state(link);
        let way = Way::of(&app_id("mail"), Callback::Own);
        let step = vault.begin_trip(person, link, way, None, &state);
        step.unwrap().wait().err()
    };
    assert_eq!(begin(&person, &link), Some(Error::Denied));
    let made = make(&vault, &Caller::local(), Proof::None);
    let (person, link, _) = opened(&vault, &made);
    assert_eq!(begin(&person, &link), None);
    clock.advance(Duration::from_secs(600));
    assert_eq!(begin(&person, &link), Some(Error::Denied));
    assert_eq!(link.status(clock.now()), LinkStatus::Expired);
}

fn key_for_connecting(vault: &Vault) -> Caller {
    key_with(
        vault,
        vec![Grant::everywhere([Action::Connect, Action::Fetch].into())],
    )
}

/// Somebody whom the issuer of this access key names.
fn person_of(asker: &Caller, user: &str, tenants: &[&str]) -> Caller {
    person_by(asker, user, tenants, Proof::Page)
}

/// The same, by a key of which people are proven like this.
fn person_by(asker: &Caller, user: &str, tenants: &[&str], proof: Proof) -> Caller {
    let key = match &asker.who {
        Who::Key(key) => AccessKey {
            connect_verify: BTreeSet::from([proof]),
            ..(**key).clone()
        },
        other => panic!("{other:?} is no key"),
    };
    let tenants = tenants.iter().map(|id| TenantId::parse(*id).unwrap());
    let person = Person {
        user: UserId::parse(user).unwrap(),
        tenants: tenants.collect(),
    };
    Caller {
        who: Who::Person {
            key: key.into(),
            person: person.into(),
        },
        ..asker.clone()
    }
}

/// Goal: a link that is proven from its birth is its own maker's, and of the one browser that got
/// its cookie. Method: every caller and owner that it is not for; then the right one, opened with
/// and without the cookie.
#[test]
fn v13_a_link_proven_by_asking_is_its_owners_and_of_one_browser() {
    let (vault, _) = memory();
    let asker = key_for_connecting(&vault);
    let bound = |caller: &Caller, whose: Owner| {
        let new = NewLink {
            owner: whose,
            ..new_link(&["mail"], Proof::Code)
        };
        vault.make_bound_link(caller, new)
    };
    let member = person_of(&asker, "u", &["t"]);
    for (caller, tenant, user) in [
        (&Caller::local(), "t", "u"),
        (&asker, "t", "u"),
        (&member, "t", "other"),
        (&member, "", "other"),
        (&member, "other", "u"),
        (&member, "other", ""),
        (&person_of(&asker, "u", &[]), "t", ""),
        (&person_by(&asker, "u", &["t"], Proof::Code), "", "u"),
    ] {
        let refused = bound(caller, owner(tenant, user)).err();
        assert_eq!(
            refused,
            Some(Error::Denied),
            "{:?} {tenant} {user}",
            caller.who
        );
        let new = NewLink {
            owner: owner(tenant, user),
            ..new_link(&["mail"], Proof::None)
        };
        // Of the person itself, only without a page.
        let is_anothers = caller
            .person()
            .is_some_and(|person| !person.stands_for(&new.owner));
        assert_eq!(vault.make_link(caller, new).is_err(), is_anothers);
    }
    for (tenant, user) in [("", "u"), ("t", "u"), ("t", "")] {
        let made = bound(&member, owner(tenant, user)).unwrap().wait().unwrap();
        assert!(made.link.proven && made.code.is_none());
        let cookie = made.cookie.unwrap();
        for wrong in [None, Some(&secret("")), Some(&secret("AAAA"))] {
            let refused = visit(&vault, &made.ticket, wrong).err();
            assert_eq!(refused, Some(NoWay::OtherBrowser));
            assert!(vault.visit_bound(made.link.id, wrong, "").unwrap().is_err());
        }
        let (visitor, link) = visit(&vault, &made.ticket, Some(&cookie)).unwrap();
        let again = vault.bind_browser(&visitor, &link).unwrap().wait().unwrap();
        assert!(again.is_none(), "nobody else can take it over");
        assert_eq!(link.status(NOW), LinkStatus::Visited);
    }
}

/// Goal: "not yours" and "not there" are one answer. Method: ask for another key's link and for
/// none.
#[test]
fn v13_a_link_that_is_not_yours_is_not_there() {
    let (vault, _) = memory();
    let (mine, other) = (key_for_connecting(&vault), key_for_connecting(&vault));
    let made = make(&vault, &mine, Proof::None);
    let nobody = strongroom::model::LinkId::new([9; 16]);
    assert_eq!(vault.link(&mine, made.link.id).unwrap().id, made.link.id);
    for id in [made.link.id, nobody] {
        let missing = Some(Error::NotFound("link"));
        assert_eq!(vault.link(&other, id).err(), missing);
        assert_eq!(vault.withdraw_link(&other, id).err(), missing);
    }
    let whose = owner("t", "u");
    let newest = |caller| vault.newest_link(caller, &app_id("mail"), &whose).unwrap();
    assert_eq!(newest(&other), None);
    assert_eq!(newest(&mine).unwrap().id, made.link.id);
    let withdrawn = vault.withdraw_link(&mine, made.link.id).unwrap();
    assert_eq!(withdrawn.wait().unwrap().dead, Some(LinkEnd::Withdrawn));
}

/// Goal: a newer link of the same asker takes the older one's place; another asker's stays. Method:
/// make three.
#[test]
fn v13_a_newer_link_replaces_its_askers_older_one_alone() {
    let (vault, _) = memory();
    let (mine, other) = (key_for_connecting(&vault), key_for_connecting(&vault));
    let first = make(&vault, &mine, Proof::None);
    let foreign = make(&vault, &other, Proof::None);
    let second = make(&vault, &other, Proof::None);
    let dead = |caller, made: &MadeLink| vault.link(caller, made.link.id).unwrap().dead;
    assert_eq!(dead(&mine, &first), None);
    assert_eq!(dead(&other, &foreign), Some(LinkEnd::Replaced));
    assert_eq!(dead(&other, &second), None);
}

/// Goal: the person on a link stores for its owner and apps, and does nothing else. Method: try.
#[test]
fn v13_the_person_on_a_link_stores_for_its_owner_and_apps_alone() {
    let (vault, _) = memory();
    add_app(&vault, oauth_app("other"));
    let made = make(&vault, &Caller::local(), Proof::None);
    let (person, link, _) = opened(&vault, &made);
    let store_for = |app: &str, tenant: &str, user: &str| {
        let new = NewToken::of(address(app, &owner(tenant, user)), granted("a", Some("r")));
        vault
            .store_token(&person, new)
            .map(|step| step.wait().unwrap())
    };
    for (app, tenant, user) in [("other", "t", "u"), ("mail", "t", ""), ("mail", "", "u")] {
        let refused = store_for(app, tenant, user).err();
        assert_eq!(refused, Some(Error::Denied), "{app} {tenant} {user}");
    }
    let token = store_for("mail", "t", "u").unwrap();
    let denied = Some(Error::Denied);
    assert_eq!(vault.token(&person, token.id).err(), denied);
    assert_eq!(
        vault
            .fetch(&person, &ask(&address("mail", &link.owner)))
            .err(),
        denied
    );
    assert_eq!(vault.apps(&person).err(), denied);
    let state = LinkAppState::Connected {
        token_id: token.id,
        missing_scopes: scopes(&[]),
        label: None,
        switched_from: None,
        last_four: None,
    };
    let settle = |app: &str, state| {
        let step = vault.settle(&person, &link, &app_id(app), state);
        step.unwrap().wait()
    };
    let link = settle("mail", state).unwrap();
    assert_eq!(link.status(NOW), LinkStatus::Visited);
    let unknown = settle("other", LinkAppState::Declined).err();
    assert_eq!(unknown, Some(Error::NotFound("app")));
    let link = settle("maps", LinkAppState::Declined).unwrap();
    assert_eq!(link.status(NOW), LinkStatus::Finished);
}

/// Goal: links have a bounded size and life, and are forgotten. Method: ask for too much; wait.
#[test]
fn v13_links_are_bounded_and_forgotten_in_the_end() {
    let (vault, clock) = memory();
    let me = Caller::local();
    for count in [0, 17] {
        let apps = vec!["mail"; count];
        let refused = vault.make_link(&me, new_link(&apps, Proof::None)).err();
        assert!(matches!(refused, Some(Error::Invalid(_))), "{count} apps");
    }
    let new = NewLink {
        life: Duration::from_secs(86_400),
        ..new_link(&["mail"], Proof::None)
    };
    let made = vault.make_link(&me, new).unwrap().wait().unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(made.link.expires_at, NOW.plus(hour));
    let forget = || {
        let step = vault.forget_links(&Caller::scheduler()).unwrap();
        step.wait().unwrap()
    };
    clock.advance(hour * 25 - Duration::from_secs(1));
    assert_eq!(forget(), 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(forget(), 1);
    let missing = Some(Error::NotFound("link"));
    assert_eq!(vault.link(&me, made.link.id).err(), missing);
}
