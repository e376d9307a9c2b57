//! What a provider says of when to come back (R4): seconds, a date, nothing, nonsense, several
//! fields; by the test clock.

use strongroom::limits;
use strongroom::model::access::Caller;
use strongroom::sandbox::Misbehaviour;

use crate::rig::Rig;

const LATER: &str = "503 unavailable";

/// An answer of 429 with these `Retry-After` fields.
fn told(fields: &[&str]) -> Misbehaviour {
    let field = |value: &&str| ("retry-after".to_owned(), (*value).to_owned());
    let mut headers: Vec<(String, String)> = fields.iter().map(field).collect();
    headers.push(("content-type".into(), "application/json".into()));
    Misbehaviour::Raw {
        status: 429,
        headers,
        body: b"{}".to_vec(),
    }
}

/// What was seen of one who was told to wait.
#[derive(Clone, Debug)]
struct Seen {
    /// What the caller was told, in seconds.
    wait: u64,
    /// Requests to the provider when a second less than the least had passed, and behind the most.
    asked_early: u64,
    asked_late: u64,
}

/// True where nobody came back before `least` seconds or stayed away longer than `most`.
fn is_heeded(seen: &Seen, least: u64, most: u64) -> bool {
    (least..=most).contains(&seen.wait) && seen.asked_early == 1 && seen.asked_late == 2
}

/// Goal: nobody asks earlier than told, at most an hour later where what is told is absurd, and
/// soon where nothing or nonsense is. Method: each form of the field, by the test clock: the first
/// moment at which a caller is let ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_whatever_retry_after_says_nobody_asks_earlier() {
    let date = "Mon, 21 Sep 2026 14:23:20 GMT"; // Ten minutes after the test clock's beginning.
    let soon = 30 + 5;
    for (fields, least, most) in [
        (&["600"][..], 600, 660),
        (&[date], 600, 660),
        (&[], 0, soon),
        (&["-5"], 0, soon),
        (&["soon"], 0, soon),
        (&["1e3"], 0, soon),
        (&["315360000"], 3600, 3960),
        (&["99999999999999999999999999"], 3600, 3960),
        (&["Fri, 31 Dec 9999 23:59:59 GMT"], 3600, 3960),
        (&["Thu, 01 Jan 1970 00:00:00 GMT"], 0, soon),
        // Of several the longest: none is told a lie.
        (&["5", "600"], 600, 660),
        (&["soon", date], 600, 660),
        (&["600", "nonsense", "60"], 600, 660),
    ] {
        let rig = Rig::new().await;
        rig.store_expired("u").await;
        rig.at_token(told(fields), Some(1));
        let (line, said) = rig.fetch("u").await;
        assert_eq!(line, LATER, "{fields:?}: {said}");
        let wait = said["retry_after_s"].as_u64().unwrap();
        assert!((least..=most).contains(&wait), "{fields:?}: {wait}");
        let early = least.saturating_sub(1).min(wait);
        rig.advance(early);
        if early > 0 {
            assert_eq!(rig.fetch("u").await.0, LATER, "{fields:?}: too early");
        }
        let asked_early = rig.asked();
        rig.advance(most - early + 1);
        rig.access("u").await;
        let seen = Seen {
            wait,
            asked_early,
            asked_late: rig.asked(),
        };
        assert!(is_heeded(&seen, least, most), "{fields:?}: {seen:?}");
        rig.inside.end().await;
    }
}

/// Goal: who asks early, or stays away for good, would be seen. Method: such observations.
#[test]
fn r4_who_asks_early_would_be_seen() {
    let well = Seen {
        wait: 600,
        asked_early: 1,
        asked_late: 2,
    };
    assert!(is_heeded(&well, 600, 660));
    for wrong in [
        Seen { wait: 599, ..well },
        Seen { wait: 661, ..well },
        Seen {
            asked_early: 2,
            ..well
        },
        Seen {
            asked_late: 1,
            ..well
        },
    ] {
        assert!(!is_heeded(&wrong, 600, 660), "{wrong:?}");
    }
}

/// The moments of a first back-off that are told apart: half of it is chance.
const MOMENTS: u32 = 50;

/// True where those who fall due, counted up moment by moment, do so at many moments: at least half
/// as many as there are of them.
fn is_spread(due: &[usize]) -> bool {
    let moments = due.windows(2).filter(|two| two[0] != two[1]).count();
    due.first() == Some(&0)
        && due
            .last()
            .is_some_and(|all| moments * 2 >= *all && *all > 1)
}

/// Goal: those who were told the same do not come back together (R4, jitter). Method: many tokens
/// whose refresh is put off by one answer each; the moments at which they fall due, by the clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_those_who_are_told_the_same_do_not_come_back_together() {
    let rig = Rig::new().await;
    for number in 0..20 {
        let user = format!("u{number}");
        rig.store_expired(&user).await;
        rig.at_token(Misbehaviour::Html500, Some(1));
        let (line, _) = rig.fetch(&user).await;
        assert_eq!(line, LATER);
    }
    let me = Caller::scheduler();
    // Of a wait the first half is sure, and the second one chance.
    let step = limits::BACKOFF_FIRST / 2 / MOMENTS;
    let due = (0..=2 * MOMENTS).map(|moment| {
        let at = rig.now().plus(step * moment);
        rig.inside.vault.due(&me, at, 1000).unwrap().0.len()
    });
    let due: Vec<usize> = due.collect();
    assert_eq!(due.last(), Some(&20), "{due:?}");
    assert!(is_spread(&due), "{due:?}");
    rig.inside.end().await;
}

/// Goal: a crowd that comes back together would be seen. Method: all at one moment, at two, and
/// none that waits.
#[test]
fn r4_a_crowd_that_comes_back_together_would_be_seen() {
    for due in [&[0, 20, 20][..], &[0, 10, 20], &[20, 20, 20], &[0, 0]] {
        assert!(!is_spread(due), "{due:?}");
    }
    assert!(is_spread(&(0..=20).collect::<Vec<_>>()));
}
