//! The vault's half of a refresh (V7, V8, V9): intents, outcomes, what is due.

use std::time::Duration;

use strongroom::clock::{Clock, Timestamp};
use strongroom::error::Error;
use strongroom::model::access::Caller;
use strongroom::model::plan::Verdict;
use strongroom::model::token::{ReconnectReason, RefreshError, TokenState};
use strongroom::model::{Address, TokenId};
use strongroom::secret::Secret;
use strongroom::vault::{
    Begin, Finish, Need, NewCredential, RefreshAsk, RefreshJob, Settings, Upload, Vault,
};

use crate::support::*;

fn ask_for(id: TokenId) -> RefreshAsk {
    RefreshAsk { id, rejected: None }
}

fn begin(vault: &Vault, ask: RefreshAsk) -> Begin {
    let receipt = vault.begin_refresh(&Caller::scheduler(), ask).unwrap();
    receipt.wait().unwrap()
}

fn go(vault: &Vault, id: TokenId) -> RefreshJob {
    match begin(vault, ask_for(id)) {
        Begin::Go(job) => *job,
        Begin::Newer => panic!("newer"),
        Begin::Wait(until) | Begin::TooYoung(until) => panic!("wait until {until}"),
        Begin::Hopeless => panic!("hopeless"),
    }
}

fn finish(vault: &Vault, job: &RefreshJob, verdict: Verdict) -> Finish {
    let receipt = vault
        .finish_refresh(&Caller::scheduler(), job, verdict)
        .unwrap();
    receipt.wait().unwrap()
}

fn error(code: &str) -> RefreshError {
    RefreshError {
        code: code.into(),
        description: String::new(),
        at: NOW,
    }
}

fn later(uncertain: bool, not_before: Timestamp) -> Verdict {
    Verdict::Later {
        error: error("unavailable"),
        not_before,
        uncertain,
    }
}

fn renewed(access: &str, refresh: Option<&str>) -> Verdict {
    Verdict::Renewed(grant(access, refresh))
}

fn interrupted(vault: &Vault) -> Vec<TokenId> {
    vault.interrupted(&Caller::scheduler()).unwrap()
}

/// A vault in memory with one renewable token.
fn with_token() -> (Vault, Clock, Address, TokenId) {
    let (vault, clock) = memory();
    let place = address("mail", &owner("", "u"));
    let id = store(&vault, place.clone(), granted("a1", Some("r1"))).id;
    (vault, clock, place, id)
}

/// Goal: a rotated refresh token is stored with its access token, in one step. Method: begin,
/// finish, look at everything that changes and at what stays.
#[test]
fn v7_a_refresh_that_succeeds_is_stored_whole() {
    let (vault, clock, place, id) = with_token();
    clock.advance(Duration::from_secs(100));
    let job = go(&vault, id);
    assert!(job.refresh_token.equals(b"r1"));
    assert!(!job.uncertain);
    let client_secret = job.app.client_secret.as_ref().unwrap();
    assert!(client_secret.equals(b"client-secret-of-mail"));
    assert_eq!(interrupted(&vault), [id]);
    let done = finish(&vault, &job, renewed("a2", Some("r2")));
    assert_eq!(done, Finish::Stored);
    assert_eq!(interrupted(&vault), []);
    let (record, cold) = vault.reveal(&Caller::local(), id).unwrap();
    assert!(record.value.unwrap().equals(b"a2"));
    assert!(cold.refresh_token.unwrap().equals(b"r2"));
    assert_eq!(record.last_refreshed_at, Some(clock.now()));
    assert_eq!(
        record.expires_at,
        Some(clock.now().plus(Duration::from_secs(3600)))
    );
    let told: Vec<&str> = cold.history.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(told, ["connected", "refreshed"]);
    // No refresh token in the answer: the old one stays.
    let job = go(&vault, id);
    finish(&vault, &job, renewed("a3", None));
    let (_, cold) = vault.reveal(&Caller::local(), id).unwrap();
    assert!(cold.refresh_token.unwrap().equals(b"r2"));
    assert!(fresh(&vault, &ask(&place)).value.equals(b"a3"));
}

/// Goal: the intent is on the disk before the provider is asked. Method: begin, copy the directory
/// as a crash would leave it, open the copy: the refresh is known as interrupted, its refusal is
/// told as that, and a success is a success.
#[test]
fn v7_a_crash_behind_the_intent_is_known_after_the_restart() {
    let (disk, vault) = Disk::create(Settings::default());
    add_apps(&vault);
    let place = address("mail", &owner("t", "u"));
    let id = store(&vault, place, granted("a1", Some("r1"))).id;
    assert_eq!(interrupted(&vault), []);
    let job = go(&vault, id);
    let crashed = disk.copy();
    drop((job, vault));
    for disk in [crashed, disk] {
        let vault = disk.unlocked().unwrap();
        assert_eq!(interrupted(&vault), [id]);
        let job = go(&vault, id);
        assert!(job.uncertain);
        assert!(job.refresh_token.equals(b"r1"));
        drop((job, vault));
        let vault = disk.unlocked().unwrap();
        let job = go(&vault, id);
        assert!(job.uncertain, "a second crash does not make it certain");
        finish(&vault, &job, renewed("a2", Some("r2")));
        assert_eq!(interrupted(&vault), []);
        assert!(!go(&vault, id).uncertain);
    }
}

/// Goal: an interrupted refresh is made up for once, whoever was first. Method: ask for it as the
/// start does, while its intent is open, and after a caller's refresh has cleared it.
#[test]
fn v7_an_interrupted_refresh_is_made_up_for_once() {
    let (vault, _, _, id) = with_token();
    let at_start = || {
        let scheduler = Caller::scheduler();
        let receipt = vault.begin_refresh_for(&scheduler, ask_for(id), Need::Interrupted);
        receipt.unwrap().wait().unwrap()
    };
    assert!(
        matches!(at_start(), Begin::Newer),
        "nothing was interrupted"
    );
    drop(go(&vault, id));
    assert!(matches!(at_start(), Begin::Go(job) if job.uncertain));
    let job = go(&vault, id);
    finish(&vault, &job, renewed("a2", Some("r2")));
    assert!(matches!(at_start(), Begin::Newer), "a caller was first");
}

/// Goal: a removal or a new connection meanwhile wins. Method: do each between begin and finish;
/// the outcome changes nothing.
#[test]
fn v8_what_happened_meanwhile_stands() {
    let (vault, _, place, id) = with_token();
    let me = Caller::local();
    let job = go(&vault, id);
    store(&vault, place.clone(), granted("b1", Some("s1")));
    assert_eq!(interrupted(&vault), []);
    assert!(!vault.is_orphaned(&me, &job).unwrap());
    for verdict in [
        renewed("a2", Some("r2")),
        Verdict::Dead(ReconnectReason::Revoked, error("invalid_grant")),
        later(true, NOW),
    ] {
        assert_eq!(finish(&vault, &job, verdict), Finish::Superseded);
    }
    assert!(fresh(&vault, &ask(&place)).value.equals(b"b1"));
    let job = go(&vault, id);
    assert!(job.refresh_token.equals(b"s1") && !job.uncertain);
    vault.remove_token(&me, id).unwrap().wait().unwrap();
    assert!(vault.is_orphaned(&me, &job).unwrap());
    let done = finish(&vault, &job, renewed("a2", Some("r2")));
    assert_eq!(done, Finish::Superseded);
    let found = vault.fetch(&me, &ask(&place)).unwrap();
    assert_eq!(said(&found), "missing");
    assert_eq!(interrupted(&vault), []);
    // Two flights at once cannot both count.
    store(&vault, place.clone(), granted("c1", Some("t1")));
    let id = fresh(&vault, &ask(&place)).id;
    let (one, two) = (go(&vault, id), go(&vault, id));
    assert_eq!(
        finish(&vault, &one, renewed("c2", Some("t2"))),
        Finish::Stored
    );
    assert_eq!(
        finish(&vault, &two, renewed("c3", Some("t3"))),
        Finish::Superseded
    );
    assert!(fresh(&vault, &ask(&place)).value.equals(b"c2"));
}

/// Goal: a rotated refresh token is not lost to a record that came meanwhile and lives on the spent
/// one. Method: connect, or upload an access token, without a refresh token between begin and
/// finish; the access token that came stays, and the next refresh spends the newest.
#[test]
fn v8_what_lives_on_a_spent_refresh_token_gets_the_one_that_came_for_it() {
    let uploaded = || {
        NewCredential::Uploaded(Upload {
            access_token: Some(Secret::new("b1".to_owned())),
            refresh_token: None,
            expires_at: Some(NOW.plus(Duration::from_secs(3600))),
            ..Upload::default()
        })
    };
    for credential in [granted("b1", None), uploaded()] {
        let (vault, _, place, id) = with_token();
        let job = go(&vault, id);
        store(&vault, place.clone(), credential);
        let done = finish(&vault, &job, renewed("a2", Some("r2")));
        assert_eq!(done, Finish::Superseded);
        assert!(fresh(&vault, &ask(&place)).value.equals(b"b1"));
        assert_eq!(interrupted(&vault), []);
        let job = go(&vault, id);
        assert!(job.refresh_token.equals(b"r2") && !job.uncertain);
    }
    // One that brought a refresh token of its own has no use for it.
    let (vault, _, place, id) = with_token();
    let job = go(&vault, id);
    store(&vault, place, granted("b1", Some("s1")));
    finish(&vault, &job, renewed("a2", Some("r2")));
    assert!(go(&vault, id).refresh_token.equals(b"s1"));
}

/// Goal: that a refresh token may be spent is not forgotten when a record that lives on it comes in
/// the place of the one that was refreshed. Method: connect without a refresh token in mid-refresh,
/// and let the process end there.
#[test]
fn v9_an_open_intent_follows_the_refresh_token_it_names() {
    let (vault, _, place, id) = with_token();
    drop(go(&vault, id));
    store(&vault, place.clone(), granted("b1", None));
    assert_eq!(interrupted(&vault), [id]);
    let job = go(&vault, id);
    assert!(job.uncertain);
    finish(&vault, &job, renewed("a2", Some("r2")));
    assert_eq!(interrupted(&vault), []);
    drop(go(&vault, id));
    store(&vault, place, granted("c1", Some("t1")));
    assert_eq!(interrupted(&vault), []);
    assert!(!go(&vault, id).uncertain);
}

/// Goal: an attempt without an answer is never forgotten until one comes. Method: an uncertain end,
/// then a certain failure, then a refusal: it is an interrupted refresh, not a revocation.
#[test]
fn v9_an_uncertain_attempt_is_remembered_through_certain_failures() {
    let (vault, clock, place, id) = with_token();
    let job = go(&vault, id);
    assert_eq!(
        finish(&vault, &job, later(true, clock.now())),
        Finish::Stored
    );
    // It came to an outcome, so a start has nothing to make up for.
    assert_eq!(interrupted(&vault), []);
    for _ in 0..3 {
        let job = go(&vault, id);
        assert!(job.uncertain);
        finish(&vault, &job, later(false, clock.now()));
    }
    let job = go(&vault, id);
    assert!(job.uncertain);
    let reason = ReconnectReason::InterruptedRefresh;
    let dead = Verdict::Dead(reason, error("invalid_grant"));
    finish(&vault, &job, dead);
    assert_eq!(interrupted(&vault), []);
    let found = vault.fetch(&Caller::local(), &ask(&place)).unwrap();
    assert_eq!(said(&found), "reconnect interrupted_refresh");
    assert!(matches!(begin(&vault, ask_for(id)), Begin::Hopeless));
}

/// Goal: a certain failure leaves no intent, marks nothing dead and keeps the token served. Method:
/// one such end, then everything that is to hold.
#[test]
fn v9_a_certain_failure_leaves_no_intent_and_marks_nothing_dead() {
    let (vault, clock, place, id) = with_token();
    let job = go(&vault, id);
    let until = clock.now().plus(Duration::from_secs(40));
    finish(&vault, &job, later(false, until));
    assert_eq!(interrupted(&vault), []);
    let summary = vault.token(&Caller::local(), id).unwrap();
    assert_eq!(summary.state, TokenState::Active);
    assert_eq!(summary.last_refresh_error, Some(error("unavailable")));
    assert!(fresh(&vault, &ask(&place)).value.equals(b"a1"));
    assert!(matches!(begin(&vault, ask_for(id)), Begin::Wait(at) if at == until));
    clock.advance(Duration::from_secs(40));
    let job = go(&vault, id);
    assert!(!job.uncertain);
    finish(&vault, &job, renewed("a2", None));
    let summary = vault.token(&Caller::local(), id).unwrap();
    assert_eq!(summary.last_refresh_error, None);
}

/// Goal: dead is dead until its owner connects again. Method: a revoked refresh token, then what a
/// fetch, a refresh, the schedule and a new connection make of it.
#[test]
fn v8_a_dead_token_waits_for_its_owner() {
    let (vault, _, place, id) = with_token();
    let job = go(&vault, id);
    let dead = Verdict::Dead(ReconnectReason::Revoked, error("invalid_grant"));
    finish(&vault, &job, dead);
    let me = Caller::local();
    let found = vault.fetch(&me, &ask(&place)).unwrap();
    assert_eq!(said(&found), "reconnect revoked");
    assert!(matches!(begin(&vault, ask_for(id)), Begin::Hopeless));
    assert_eq!(vault.due(&me, Timestamp::MAX, 10).unwrap(), (vec![], None));
    store(&vault, place.clone(), granted("b1", Some("s1")));
    assert!(fresh(&vault, &ask(&place)).value.equals(b"b1"));
    assert!(go(&vault, id).refresh_token.equals(b"s1"));
}

/// Goal: a caller that saw an older token rejected is told that a newer one is there. Method: name
/// the stored one, an older one, nonsense.
#[test]
fn v8_a_rejected_token_that_is_not_the_stored_one_costs_no_refresh() {
    let (vault, _, _, id) = with_token();
    let with = |rejected: &str| RefreshAsk {
        id,
        rejected: Some(secret(rejected)),
    };
    assert!(matches!(begin(&vault, with("a0")), Begin::Newer));
    assert_eq!(interrupted(&vault), []);
    let Begin::Go(job) = begin(&vault, with("a1")) else {
        panic!("the rejected one is the stored one")
    };
    finish(&vault, &job, renewed("a2", None));
    assert!(matches!(begin(&vault, with("a1")), Begin::Newer));
}

/// Goal: what cannot be refreshed is not tried. Method: no refresh token, an API key, no such
/// token.
#[test]
fn v7_without_a_refresh_token_there_is_nothing_to_begin() {
    let (vault, _) = memory();
    let key = strongroom::vault::NewCredential::ApiKey(secret("key"));
    let whose = owner("", "u");
    for (app, credential) in [("mail", granted("a", None)), ("maps", key)] {
        let id = store(&vault, address(app, &whose), credential).id;
        assert!(
            matches!(begin(&vault, ask_for(id)), Begin::Hopeless),
            "{app}"
        );
    }
    let nobody = ask_for(TokenId::new([9; 16]));
    let refused = vault.begin_refresh(&Caller::scheduler(), nobody).err();
    assert_eq!(refused, Some(Error::NotFound("token")));
    assert_eq!(interrupted(&vault), []);
}

/// Goal: the most overdue comes first, in batches, and the next one is told. Method: tokens that
/// end at different times, asked for at several moments.
#[test]
fn v7_what_is_due_comes_in_order_and_in_batches() {
    let (vault, clock) = memory();
    let me = Caller::scheduler();
    let mut ids = Vec::new();
    for hours in [5_u64, 1, 3, 2, 4] {
        let granted = strongroom::model::token::Grant {
            expires_in_s: Some(hours * 3600),
            ..grant("a", Some("r"))
        };
        let place = address("mail", &owner("", &format!("u{hours}")));
        let stored = store(
            &vault,
            place,
            strongroom::vault::NewCredential::Granted(granted),
        );
        ids.push((hours, stored.id));
    }
    ids.sort_unstable_by_key(|(hours, _)| *hours);
    let ids: Vec<TokenId> = ids.into_iter().map(|(_, id)| id).collect();
    let (due, next) = vault.due(&me, clock.now(), 10).unwrap();
    assert_eq!(due, []);
    // Ahead of the first hour's end by five minutes and up to half of that again.
    let hour = clock.now().plus(Duration::from_secs(3600));
    let next = next.unwrap();
    assert!(next >= hour.minus(Duration::from_secs(450)), "{next}");
    assert!(next <= hour.minus(Duration::from_secs(300)), "{next}");
    let at = |hours: u64| clock.now().plus(Duration::from_secs(hours * 3600));
    assert_eq!(vault.due(&me, at(3), 10).unwrap().0, ids[..3]);
    assert_eq!(vault.due(&me, at(9), 10).unwrap(), (ids.clone(), None));
    let (batch, next) = vault.due(&me, at(9), 2).unwrap();
    assert_eq!(batch, ids[..2]);
    assert!(next.unwrap() < at(3));
    // Refreshed, it falls due anew; removed, never.
    clock.advance(Duration::from_secs(6 * 3600));
    let job = go(&vault, ids[0]);
    finish(&vault, &job, renewed("b", None));
    let removed = vault.remove_token(&Caller::local(), ids[1]).unwrap();
    removed.wait().unwrap();
    assert_eq!(vault.due(&me, clock.now(), 10).unwrap().0, ids[2..]);
}
