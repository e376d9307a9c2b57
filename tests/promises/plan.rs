//! When a token falls due and what a grant makes of a record (M4): the pure rules of `model/plan`.

use std::time::Duration;

use strongroom::clock::Timestamp;
use strongroom::limits;
use strongroom::model::TokenId;
use strongroom::model::plan::{apply_grant, due_at, expiry, next_attempt, remember};
use strongroom::model::token::{
    Cold, Grant, ReconnectReason, Record, RefreshError, TokenKind, TokenState,
};

use crate::support::*;

const DAY: u64 = 86_400;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A renewable record obtained now that lives this long.
fn record(life_s: Option<u64>) -> Record {
    Record {
        id: TokenId::new([1; 16]),
        address: address("mail", &owner("", "u")),
        kind: TokenKind::OAuth,
        value: Some(secret("a")),
        token_type: "Bearer".into(),
        expires_at: life_s.map(|life_s| NOW.plus(seconds(life_s))),
        lifetime_s: life_s,
        granted: scopes(&[]),
        subject: None,
        has_refresh_token: true,
        state: TokenState::Active,
        created_at: NOW,
        obtained_at: NOW,
        last_refreshed_at: None,
        last_refresh_error: None,
        failures: 0,
        not_before: None,
        granted_by: "local".into(),
        beside: Default::default(),
    }
}

/// Seconds from now until it is due.
fn due_in(record: &Record, jitter: f64) -> Option<f64> {
    due_at(record, jitter).map(|due| due.since(NOW).as_secs_f64())
}

/// Goal: the lifetime is what the answer says, else the last known, else the app's, else a guess
/// where it can be refreshed. Method: a table of (said, known, default, renewable).
#[test]
fn m4_the_lifetime_is_said_known_set_or_guessed_in_this_order() {
    let year = 400 * DAY;
    let table = [
        ((Some(60), Some(70), Some(80), true), Some(60)),
        ((None, Some(70), Some(80), true), Some(70)),
        ((None, None, Some(80), true), Some(80)),
        ((None, None, None, true), Some(3600)),
        ((None, None, None, false), None),
        ((None, None, Some(80), false), Some(80)),
        ((Some(0), Some(70), None, true), Some(0)),
        ((Some(u64::MAX), None, None, true), Some(year)),
        ((None, Some(u64::MAX), None, false), Some(year)),
        ((Some(year + 1), None, None, false), Some(year)),
    ];
    for ((said, known, default, renewable), wanted) in table {
        let (expires_at, lifetime_s) = expiry(NOW, said, known, default, renewable);
        assert_eq!(lifetime_s, wanted);
        assert_eq!(expires_at, wanted.map(|s| NOW.plus(seconds(s))));
    }
}

/// Goal: ahead of expiry by five minutes, or half the life where that is less, and up to half of
/// that again by jitter, never before half the life; short lives are spread behind their half.
/// Method: a table, at both ends of the jitter.
#[test]
fn m4_a_token_falls_due_ahead_of_its_end_and_not_before_half_its_life() {
    let table = [
        (3600, 3300.0, 3150.0),
        (DAY, 86_100.0, 85_950.0),
        (601, 375.5, 300.5),
        (600, 375.0, 300.0),
        (300, 187.5, 150.0),
        (60, 37.5, 30.0),
        (2, 1.25, 1.0),
        (1, 0.625, 0.5),
        (0, 0.0, 0.0),
    ];
    for (life_s, latest, earliest) in table {
        assert_eq!(
            due_in(&record(Some(life_s)), 0.0),
            Some(latest),
            "{life_s} s"
        );
        assert_eq!(
            due_in(&record(Some(life_s)), 1.0),
            Some(earliest),
            "{life_s} s"
        );
    }
}

/// Goal: the bounds hold for every short life and every jitter, the mad ones included. Method: all
/// lives from 1 to 7200 s, jitters within and without 0 to 1.
#[test]
fn m4_no_life_and_no_jitter_makes_a_token_due_before_half_its_life_or_after_its_end() {
    let jitters = [
        0.0,
        0.01,
        0.5,
        0.999,
        1.0,
        -5.0,
        7.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    for life_s in 1..=7200_u64 {
        let record = record(Some(life_s));
        let life = life_s as f64;
        for jitter in jitters {
            let due = due_in(&record, jitter).unwrap();
            assert!(
                due >= life / 2.0 && due < life,
                "{life_s} s, {jitter}: {due}"
            );
            let ahead = life - due;
            assert!(ahead <= 450.0, "{life_s} s, {jitter}: {ahead} ahead");
        }
    }
}

/// Goal: tokens born together do not fall due together. Method: spread the jitter, count the
/// moments.
#[test]
fn m4_tokens_born_together_fall_due_apart() {
    let due = |number: u32| due_at(&record(Some(3600)), f64::from(number) / 1000.0);
    let moments: std::collections::BTreeSet<_> = (0..1000).map(due).collect();
    assert_eq!(moments.len(), 1000);
    let short = |number: u32| due_at(&record(Some(300)), f64::from(number) / 1000.0);
    let moments: std::collections::BTreeSet<_> = (0..1000).map(short).collect();
    assert_eq!(moments.len(), 1000);
    let endless = |number: u32| due_at(&record(None), f64::from(number) / 1000.0);
    let moments: std::collections::BTreeSet<_> = (0..1000).map(endless).collect();
    assert_eq!(moments.len(), 1000);
}

/// Goal: what has no end is refreshed to keep it alive; what cannot be refreshed never falls due; a
/// wait is honoured. Method: one of each.
#[test]
fn m4_what_cannot_be_refreshed_never_falls_due_and_a_wait_is_kept() {
    let keep_alive = limits::KEEP_ALIVE_AFTER.as_secs_f64();
    assert_eq!(due_in(&record(None), 0.0), Some(keep_alive));
    assert_eq!(due_in(&record(None), 1.0), Some(keep_alive * 0.9));
    let no_token = Record {
        value: None,
        expires_at: None,
        ..record(None)
    };
    assert_eq!(due_in(&no_token, 0.5), Some(0.0));
    let no_refresh = Record {
        has_refresh_token: false,
        ..record(Some(60))
    };
    assert_eq!(due_at(&no_refresh, 0.5), None);
    let dead = Record {
        state: TokenState::ReconnectRequired(ReconnectReason::Revoked),
        ..record(Some(60))
    };
    assert_eq!(due_at(&dead, 0.5), None);
    let told = |wait_s| Record {
        not_before: Some(NOW.plus(seconds(wait_s))),
        ..record(Some(60))
    };
    assert_eq!(due_in(&told(50), 0.0), Some(50.0));
    assert_eq!(due_in(&told(10), 0.0), Some(37.5));
    let long_ago = Record {
        obtained_at: NOW.minus(seconds(1000)),
        expires_at: Some(NOW.minus(seconds(940))),
        ..record(Some(60))
    };
    assert_eq!(due_at(&long_ago, 1.0), Some(NOW.minus(seconds(970))));
}

/// Goal: the wait doubles from 5 s to an hour, and is between half and whole of it. Method: a table
/// for both ends of the jitter.
#[test]
fn m4_the_wait_after_a_failure_doubles_up_to_an_hour() {
    let wait = |failures, jitter| {
        let next = next_attempt(NOW, failures, None, jitter);
        next.since(NOW).as_secs_f64()
    };
    let wholes = [5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600];
    for (failures, whole) in (0_u32..).zip(wholes) {
        let whole = f64::from(whole);
        assert_eq!(wait(failures, 0.0), whole / 2.0, "{failures} failures");
        assert_eq!(wait(failures, 1.0), whole, "{failures} failures");
    }
    for failures in [20, 100, u32::MAX] {
        assert_eq!(wait(failures, 0.0), 1800.0);
        assert_eq!(wait(failures, 1.0), 3600.0);
        assert!(wait(failures, 0.5) > 1800.0 && wait(failures, 0.5) < 3600.0);
    }
}

/// Goal: `Retry-After` is honoured and capped, and not before it. Method: a table of what was told.
#[test]
fn m4_a_provider_that_says_when_is_asked_again_not_before_and_not_in_ten_years() {
    let wait = |failures, told_s, jitter| {
        let next = next_attempt(NOW, failures, Some(seconds(told_s)), jitter);
        next.since(NOW).as_secs_f64()
    };
    assert_eq!(wait(1, 0, 0.0), 2.5);
    assert_eq!(wait(1, 120, 0.0), 120.0);
    assert_eq!(wait(1, 120, 1.0), 126.0);
    assert_eq!(wait(1, 10 * 365 * DAY, 0.0), 3600.0);
    assert_eq!(wait(1, u64::MAX / 2, 1.0), 3780.0);
    // The own back-off wins where it is longer.
    assert_eq!(wait(8, 120, 0.0), 320.0);
    for told_s in 0..4000 {
        for jitter in [0.0, 0.3, 1.0] {
            let capped = told_s.min(3600) as f64;
            assert!(wait(1, told_s, jitter) >= capped, "{told_s}");
        }
    }
}

/// Goal: a grant that leaves something out takes nothing away. Method: lay grants with and without
/// each part over a record that has everything.
#[test]
fn m4_what_a_grant_leaves_out_stays() {
    let old = || {
        let record = Record {
            granted: scopes(&["r", "w"]),
            subject: Some("ann".into()),
            failures: 3,
            not_before: Some(Timestamp::MAX),
            last_refresh_error: Some(RefreshError {
                code: "x".into(),
                description: String::new(),
                at: NOW,
            }),
            ..record(Some(1800))
        };
        let cold = Cold {
            refresh_token: Some(secret("r1")),
            id_token: Some(secret("i1")),
            history: vec![],
        };
        (record, cold)
    };
    let (mut record, mut cold) = old();
    let bare = Grant {
        expires_in_s: None,
        ..grant("a2", None)
    };
    let later = NOW.plus(seconds(100));
    apply_grant(&mut record, &mut cold, bare, Some(60), later);
    assert!(record.value.as_ref().unwrap().equals(b"a2"));
    assert!(cold.refresh_token.as_ref().unwrap().equals(b"r1") && record.has_refresh_token);
    assert!(cold.id_token.as_ref().unwrap().equals(b"i1"));
    assert_eq!((record.lifetime_s, record.obtained_at), (Some(1800), later));
    assert_eq!(record.granted, scopes(&["r", "w"]));
    assert_eq!(record.subject.as_deref(), Some("ann"));
    assert_eq!((record.failures, record.not_before), (0, None));
    assert_eq!(record.last_refresh_error, None);
    let (mut record, mut cold) = old();
    record.state = TokenState::ReconnectRequired(ReconnectReason::Expired);
    let full = Grant {
        id_token: Some(secret("i2")),
        scopes: Some(scopes(&["r"])),
        subject: Some("bob".into()),
        ..grant("a2", Some("r2"))
    };
    apply_grant(&mut record, &mut cold, full, None, later);
    assert!(cold.refresh_token.unwrap().equals(b"r2"));
    assert!(cold.id_token.unwrap().equals(b"i2"));
    assert_eq!(record.granted, scopes(&["r"]));
    assert_eq!(record.subject.as_deref(), Some("bob"));
    assert_eq!(record.state, TokenState::Active);
    assert_eq!(record.expires_at, Some(later.plus(seconds(3600))));
}

/// Goal: history has an end, and it is the oldest that is forgotten. Method: more lines than fit.
#[test]
fn m4_history_keeps_the_newest_lines() {
    let mut cold = Cold::default();
    for number in 0..50 {
        remember(&mut cold, NOW, number.to_string(), "local");
    }
    let lines: Vec<&str> = cold.history.iter().map(|line| line.what.as_str()).collect();
    let wanted: Vec<String> = (40..50).map(|number| number.to_string()).collect();
    assert_eq!(lines, wanted);
}
