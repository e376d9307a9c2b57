//! The line before the vault's door (N7, T18), without a key derivation: who has a turn, and when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::seal::Unlocker;
use crate::secret::Secret;
use crate::vault::Settings;

use crate::seeded::Seeded;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn locked() -> (Vault, Clock) {
    let clock = Clock::test(NOW);
    // Making one blocks, which a thread of a runtime must not.
    let make = || Vault::in_memory(clock.clone()).unwrap().0;
    let vault = std::thread::scope(|scope| scope.spawn(make).join().unwrap());
    vault.gate().shut();
    (vault, clock)
}

fn user(number: u32) -> Source {
    Source::User(number)
}

/// Whoever gets a turn gives it back at once.
type Waits = tokio::task::JoinHandle<Result<Source>>;

fn waits(vault: &Vault, source: Source) -> Waits {
    let vault = vault.clone();
    tokio::spawn(async move { Ok(vault.turn_to_unlock(source).await?.source) })
}

/// How many of those in line get a turn once the one under way ends.
async fn served(held: Turn, waiting: Vec<Waits>) -> usize {
    drop(held);
    let mut count = 0;
    for one in waiting {
        count += usize::from(one.await.unwrap().is_ok());
    }
    count
}

/// Has `source` join the line.
async fn joins(vault: &Vault, source: Source) -> Waits {
    let places = || {
        in_line(vault)
            .into_iter()
            .filter(|one| *one == source)
            .count()
    };
    let before = places();
    let joined = waits(vault, source);
    while places() == before && !joined.is_finished() {
        tokio::task::yield_now().await;
    }
    joined
}

fn in_line(vault: &Vault) -> Vec<Source> {
    let state = vault.0.line.state();
    state.waiting.iter().map(|waiting| waiting.source).collect()
}

/// Goal: first come, first served; the owner first; one try of each source. Method: one try under
/// way, and others that come behind it.
#[tokio::test]
async fn n7_the_line_is_first_come_first_served_and_the_owner_goes_first() {
    let (vault, _) = locked();
    let held = vault.turn_to_unlock(user(1)).await.unwrap();
    let mut waiting = Vec::new();
    for source in [user(2), user(3), Source::Owner, Source::Owner, user(4)] {
        waiting.push(joins(&vault, source).await);
    }
    let wanted = [Source::Owner, Source::Owner, user(2), user(3), user(4)];
    assert_eq!(in_line(&vault), wanted);
    for again in [user(1), user(3)] {
        let refused = vault.turn_to_unlock(again).await.err();
        assert_eq!(refused, Some(later()), "{again:?} has a try here already");
    }
    let at_once = vault.0.line.at_once(Source::Here, NOW).err();
    assert_eq!(at_once, Some(later()), "one that does not wait");
    assert_eq!(served(held, waiting).await, 5);
    assert!(vault.0.line.state().trying.is_none());
}

/// Goal: a full line keeps out neither the owner nor who has guessed less. Method: fill it with
/// sources of one wrong try each; then a fresh one, one as bad, the owner.
#[tokio::test]
async fn n7_a_full_line_makes_room_for_who_has_guessed_less() {
    let (vault, clock) = locked();
    for number in 0..=10 {
        let turn = vault.turn_to_unlock(user(number)).await.unwrap();
        vault.0.line.failed(&turn, clock.now());
    }
    clock.advance(limits::UNLOCK_DELAY_FIRST);
    let held = vault.turn_to_unlock(user(0)).await.unwrap();
    let mut waiting = Vec::new();
    for number in 1..=8 {
        waiting.push(joins(&vault, user(number)).await);
    }
    let bad = vault.turn_to_unlock(user(9)).await.err();
    assert_eq!(bad, Some(later()));
    let fresh = waits(&vault, user(99));
    while !in_line(&vault).contains(&user(99)) {
        tokio::task::yield_now().await;
    }
    let owner = waits(&vault, Source::Owner);
    while !in_line(&vault).contains(&Source::Owner) {
        tokio::task::yield_now().await;
    }
    let line = in_line(&vault);
    assert_eq!(line.len(), limits::UNLOCK_LINE_MAX);
    assert_eq!((line[0], line[7]), (Source::Owner, user(99)));
    assert!(
        !line.contains(&user(7)) && !line.contains(&user(8)),
        "{line:?}"
    );
    waiting.extend([owner, fresh]);
    assert_eq!(served(held, waiting).await, 8, "the two sent out heard so");
}

/// Goal: who hangs up holds up nobody: neither a place nor a turn that comes too late. Method: drop
/// waits in line, then one at the moment it is given its turn.
#[tokio::test]
async fn n7_who_hangs_up_keeps_neither_place_nor_turn() {
    let (vault, _) = locked();
    let held = vault.turn_to_unlock(user(0)).await.unwrap();
    for number in 1..=8 {
        let gone = joins(&vault, user(number)).await;
        gone.abort();
        assert!(gone.await.is_err_and(|end| end.is_cancelled()));
    }
    let last = joins(&vault, user(9)).await;
    assert_eq!(in_line(&vault), [user(9)], "the gone are not in line");
    // Given its turn, and aborted before it looks.
    drop(held);
    last.abort();
    drop(last.await);
    let turn = vault.turn_to_unlock(user(10)).await;
    assert!(turn.is_ok(), "the turn was not lost");
}

/// Goal: a wait in line ends. Method: a try that does not end, and the clock.
#[tokio::test]
async fn n7_nobody_waits_in_line_for_ever() {
    let (vault, clock) = locked();
    let _held = vault.turn_to_unlock(user(0)).await.unwrap();
    let other = joins(&vault, user(1)).await;
    clock.advance(limits::UNLOCK_WAIT_MAX - Duration::from_millis(1));
    tokio::task::yield_now().await;
    assert!(!other.is_finished());
    clock.advance(Duration::from_millis(1));
    assert_eq!(other.await.unwrap().err(), Some(later()));
}

/// Goal: a source pays for its own wrong tries, up to the stated wait, and not for another's; the
/// owner pays nothing; quiet is forgiven. Method: wrong tries by the test clock.
#[tokio::test]
async fn n7_each_source_has_its_own_delay_and_the_owner_none() {
    let (vault, clock) = locked();
    let mut waits = Vec::new();
    for _ in 0..40 {
        let turn = vault.turn_to_unlock(user(1)).await.unwrap();
        vault.0.line.failed(&turn, clock.now());
        drop(turn);
        let Some(Error::Busy(wait)) = vault.turn_to_unlock(user(1)).await.err() else {
            panic!("no delay")
        };
        assert!(
            vault.turn_to_unlock(user(2)).await.is_ok(),
            "another pays nothing"
        );
        let owner = vault.turn_to_unlock(Source::Owner).await.unwrap();
        vault.0.line.failed(&owner, clock.now());
        waits.push(wait);
        clock.advance(wait);
    }
    assert_eq!(waits[0], limits::UNLOCK_DELAY_FIRST);
    assert!(waits.iter().all(|wait| *wait <= limits::UNLOCK_DELAY_MAX));
    assert_eq!(*waits.last().unwrap(), limits::UNLOCK_DELAY_MAX);
    clock.advance(limits::UNLOCK_FORGIVEN_AFTER);
    let turn = vault.turn_to_unlock(user(1)).await.unwrap();
    assert_eq!(vault.0.line.failed(&turn, clock.now()), 81);
    drop(turn);
    let again = vault.turn_to_unlock(user(1)).await.err();
    assert_eq!(again, Some(Error::Busy(limits::UNLOCK_DELAY_FIRST)));
}

/// Goal: bounded memory: sources are forgotten, those first whose delay ends first. Method: ten
/// times as many as are remembered, one of them with a long delay.
#[tokio::test]
async fn n7_the_memory_of_sources_is_bounded() {
    let (vault, clock) = locked();
    for _ in 0..7 {
        let turn = vault.turn_to_unlock(user(0)).await.unwrap();
        vault.0.line.failed(&turn, clock.now());
        drop(turn);
        clock.advance(limits::UNLOCK_DELAY_MAX);
    }
    for number in 1..u32::try_from(10 * limits::UNLOCK_SOURCES_MAX).unwrap() {
        clock.advance(Duration::from_millis(1));
        let turn = vault.turn_to_unlock(user(number)).await.unwrap();
        vault.0.line.failed(&turn, clock.now());
        drop(turn);
        let known = vault.0.line.state().known.len();
        assert!(known <= limits::UNLOCK_SOURCES_MAX, "{known}");
    }
}

#[test]
fn n7_neither_loopback_nor_an_ipv6_network_makes_many_sources() {
    let of = |text: &str| Source::network(text.parse().unwrap());
    assert_eq!(of("127.0.0.1"), of("127.200.3.4"));
    assert_eq!(of("127.0.0.1"), of("::1"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
}

/// What a storm of guesses came to.
struct Storm {
    most_at_once: usize,
    tried: usize,
    refused: usize,
}

/// Tries of many sources at once; `turn` is how each gets in.
async fn storm<F, T>(chance: &mut Seeded, tries: u64, turn: impl Fn(Source) -> F) -> Storm
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let counts: [Arc<AtomicUsize>; 2] = Default::default();
    let mut parallel = tokio::task::JoinSet::new();
    let mut storm = Storm {
        most_at_once: 0,
        tried: 0,
        refused: 0,
    };
    for _ in 0..tries {
        let [now, most] = counts.clone();
        let (holds, number) = (chance.rng().usize(0..4), chance.rng().u32(0..40));
        let source = if number == 0 {
            Source::Owner
        } else {
            user(number)
        };
        let gives_up = chance.rng().u8(0..8) == 0;
        let turn = turn(source);
        let task = parallel.spawn(async move {
            let turn = turn.await?;
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..holds {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            drop(turn);
            Ok::<_, Error>(())
        });
        if gives_up && holds == 0 {
            // Hangs up while it waits; one that has its turn holds it over no wait.
            task.abort();
        }
        if parallel.len() >= 100 {
            storm.count(parallel.join_next().await);
        }
    }
    while let Some(ended) = parallel.join_next().await {
        storm.count(Some(ended));
    }
    storm.most_at_once = counts[1].load(Ordering::SeqCst);
    storm
}

impl Storm {
    fn count(&mut self, ended: Option<std::result::Result<Result<()>, tokio::task::JoinError>>) {
        match ended {
            Some(Ok(Ok(()))) => self.tried += 1,
            Some(Ok(Err(Error::Busy(wait)))) => {
                assert!(!wait.is_zero() && wait <= limits::UNLOCK_DELAY_MAX);
                self.refused += 1;
            }
            Some(Err(error)) if error.is_cancelled() => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Goal: one at a time, whatever comes, and the line does not get stuck. Method: thousands of
/// tries, a hundred in parallel, of forty sources, some of which hang up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n7_of_thousands_of_tries_never_two_are_made_at_one_time() {
    let mut chance = Seeded::new("N7");
    let tries = chance.runs(5000);
    let (vault, _) = locked();
    let storm = storm(&mut chance, tries, |source| {
        let vault = vault.clone();
        async move { vault.turn_to_unlock(source).await }
    })
    .await;
    assert_eq!(storm.most_at_once, 1, "{}", chance.at("the storm"));
    assert!(
        storm.tried > 100 && storm.refused > 0,
        "{}",
        chance.at("the count")
    );
    let state = vault.0.line.state();
    assert!(state.trying.is_none() && state.waiting.is_empty());
}

/// Goal: the harness above sees two at one time. Method: a door without a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n7_the_harness_sees_a_door_that_lets_in_two() {
    let mut chance = Seeded::new("N7");
    let storm = storm(&mut chance, 2000, |_| async { Ok(()) }).await;
    assert!(storm.most_at_once > 1, "{}", chance.at("the planted fault"));
}

/// Goal: an embedding program's own call takes no place in line and keeps the same delay. Method:
/// one wrong code over the plain call, then both ways.
#[tokio::test]
async fn n7_the_plain_call_keeps_the_rules_of_the_line() {
    let home = tempfile::tempdir().unwrap();
    let clock = Clock::test(NOW);
    let make = || {
        Vault::create(
            &home.path().join("data"),
            Secret::new("violet harbour mumbles often".into()),
            crate::seal::KdfParams::FLOOR,
            Settings::default(),
            clock.clone(),
        )
    };
    let made = std::thread::scope(|scope| scope.spawn(make).join().unwrap().unwrap());
    let vault = made.vault;
    vault.gate().shut();
    let wrong = Unlocker::key_file(Secret::new(vec![9; 32])).unwrap();
    assert_eq!(vault.unlock(&wrong, ""), Err(Error::UnlockFailed));
    let wait = Error::Busy(limits::UNLOCK_DELAY_FIRST);
    assert_eq!(vault.unlock(&wrong, ""), Err(wait));
    let right = Unlocker::from_typed(made.recovery_code);
    let turn = vault.turn_to_unlock(Source::Owner).await.unwrap();
    assert_eq!(vault.unlock_in_turn(turn, &right, "unix"), Ok(()));
    let late = vault.turn_to_unlock(Source::Owner).await.err();
    assert_eq!(late, Some(Error::AlreadyUnlocked));
}
