//! What happens where a refresh, a trial or a removal meets something else (R8).
//!
//! It promises: every case ends with what the vault and the provider hold.
//! It never: sleeps.

use super::*;

/// A token of `user` with this refresh token.
fn upload(user: &str, refresh_token: &str) -> NewToken {
    NewToken::of(
        Address {
            app: demo(),
            owner: owner(user),
            account: None,
            scopes: Scopes::default(),
        },
        NewCredential::Uploaded(Upload {
            access_token: None,
            refresh_token: Some(Secret::new(refresh_token.into())),
            expires_at: None,
            ..Upload::default()
        }),
    )
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, so).await.unwrap();
}

/// Goal: a token that is to be tried is judged by its own trial, not by that of what was there
/// before. Method: a flight of the old one is still under way, and ends in its death.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_is_not_judged_by_an_older_flight() {
    let bench = Bench::new().await;
    let me = Caller::local();
    let old = bench.refresher.store(&me, upload("u", "spent"), false);
    let id = old.await.unwrap().id;
    let (landing, _) = bench.refresher.refresh_now(&me, id).await.unwrap();
    assert_eq!(landing, Landing::Dead(ReconnectReason::Revoked));

    let (end, ended) = tokio::sync::oneshot::channel();
    let flights = bench.refresher.0.flights.clone();
    assert!(flights.join(id, async { ended.await.unwrap() }).is_own());
    let fresh = bench.sandbox.grant("demo", "u", &[]).refresh_token;
    let (refresher, new) = (bench.refresher.clone(), upload("u", fresh.expose()));
    let trying = tokio::spawn(async move { refresher.store(&Caller::local(), new, true).await });
    let vault = bench.refresher.vault();
    until(|| vault.token(&me, id).unwrap().state == TokenState::Active).await;
    end.send(Landing::Dead(ReconnectReason::Revoked)).unwrap();
    assert_eq!(trying.await.unwrap().unwrap().state, TokenState::Active);
    bench.handed("u").await;
    let counts = bench.sandbox.counts();
    assert_eq!((counts.refreshes_ok, counts.reuse_detected), (1, 0));
}

/// Goal: a token that is yet to be tried takes no good one's place; one that is refused is not
/// kept, and whose doing that was is on record. Method: one over a good one; the same over none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_never_costs_a_good_token() {
    let bench = Bench::new().await;
    let (id, _) = bench.store("u", 0).await;
    let before = bench.stored(id);
    let me = Caller {
        from: "10.1.2.3".into(),
        ..Caller::local()
    };
    let over = bench.refresher.store(&me, upload("u", "spent"), true).await;
    assert!(matches!(over, Err(Error::Conflict(_))), "{:?}", over.err());
    assert_eq!((bench.stored(id), bench.asked()), (before, 0));
    bench.handed("u").await;

    let alone = bench.refresher.store(&me, upload("v", "spent"), true).await;
    assert!(matches!(alone, Err(Error::ProviderRefused { .. })));
    let missing = bench.try_to_fetch("v").await;
    assert!(matches!(missing, Ok(Outcome::Missing)));
    let trail = bench.refresher.vault().audit(&me, None, 100).unwrap();
    let removals = trail.entries.iter().filter(|entry| {
        entry.outcome == "not kept: refused in its trial" && entry.from == "10.1.2.3"
    });
    assert_eq!(removals.count(), 1);
}

/// Goal: what could not be tried is not taken for tried: whoever stored it is told, and has it
/// still. Method: a provider that fails in each way; then one that answers again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_that_the_provider_prevents_stores_nothing() {
    let bench = Bench::new().await;
    let me = Caller::local();
    let fresh = bench.sandbox.grant("demo", "u", &[]).refresh_token;
    for fails in [
        Misbehaviour::Html500,
        Misbehaviour::Empty400,
        Misbehaviour::CloseBefore,
    ] {
        bench.sandbox.misbehave(Endpoint::Token, fails, None);
        let tried = bench
            .refresher
            .store(&me, upload("u", fresh.expose()), true);
        match tried.await {
            Err(Error::ProviderUnavailable { retry_after, .. }) => assert!(retry_after.is_some()),
            other => panic!("{other:?}"),
        }
        let missing = bench.try_to_fetch("u").await;
        assert!(matches!(missing, Ok(Outcome::Missing)));
    }
    let trail = bench.refresher.vault().audit(&me, None, 100).unwrap();
    let words = "could not be tried: not kept, unless it changed since";
    let removals = trail.entries.iter().filter(|entry| entry.outcome == words);
    assert_eq!(removals.count(), 3);

    bench.sandbox.behave();
    bench.clock.advance(Duration::from_secs(3600));
    let again = bench
        .refresher
        .store(&me, upload("u", fresh.expose()), true);
    assert_eq!(again.await.unwrap().state, TokenState::Active);
    bench.handed("u").await;
}

/// Goal: what comes late of a trial is not lost. Method: the provider hangs when the token is to be
/// taken out as untried, and answers then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_that_has_not_ended_keeps_its_token() {
    let bench = Arc::new(Bench::new().await);
    let (id, _) = bench.store("u", 0).await;
    let (me, vault) = (Caller::local(), bench.refresher.vault());
    let stored = vault.token(&me, id).unwrap();
    let tried = Secret::new(bench.stored(id).1);
    let fetching = bench.in_flight("u").await;
    let taken = vault.take_out_untried(&me, &stored, tried.clone()).unwrap();
    assert!(!taken.await.unwrap());
    bench.sandbox.behave();
    handed(fetching.await.unwrap());
    // Nor is one that was renewed since.
    let taken = vault.take_out_untried(&me, &stored, tried).unwrap();
    assert!(!taken.await.unwrap());
    bench.handed("u").await;
}

/// Goal: what was removed is revoked, though whoever removed it hangs up before the disk has it.
/// Method: the removal is begun, and dropped at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_nobody_waits_for_is_revoked_all_the_same() {
    let bench = Bench::new().await;
    let (id, _) = bench.store("u", 60).await;
    let me = Caller::local();
    tokio::select! {
        biased;
        _ = bench.refresher.remove(&me, id) => {}
        () = std::future::ready(()) => {}
    }
    // Its refresh token, and its access token.
    until(|| bench.sandbox.counts().revocations == 2).await;
    assert!(matches!(
        bench.try_to_fetch("u").await,
        Ok(Outcome::Missing)
    ));
}

/// Goal: what waits for the disk when the process ends is stored, where the disk is well in time.
/// Method: the disk failed so often that it is let rest, and is mended just before the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_the_end_waits_for_a_disk_that_is_let_rest() {
    let bench = Arc::new(Bench::new().await);
    let (id, first) = bench.store("u", 0).await;
    let fetching = bench.in_flight("u").await;
    bench.disk.fail_after(0);
    bench.sandbox.behave();
    let handed = handed(fetching.await.unwrap());
    assert_ne!(*handed.value.expose(), first);
    assert!(bench.refresher.store_unstored().await.is_err());
    bench.disk.mend();
    bench.refresher.drain().await;
    let rotated = handed.refresh_token.unwrap();
    let stored = (handed.value.expose().clone(), rotated.expose().clone());
    assert_eq!(bench.stored(id), stored);
}

/// Goal: a refusal that could not be stored is not told as an interruption later. Method: the
/// disk fails behind the intent, and is mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_a_refusal_that_waits_for_the_disk_is_still_a_refusal() {
    let bench = Arc::new(Bench::new().await);
    let me = Caller::local();
    let new = bench.refresher.store(&me, upload("u", "spent"), false);
    new.await.unwrap();
    let fetching = bench.in_flight("u").await;
    bench.disk.fail_after(0);
    bench.sandbox.behave();
    let outcome = fetching.await.unwrap();
    assert!(matches!(outcome, Ok(Outcome::Unavailable { .. })));
    bench.disk.mend();
    assert_eq!(bench.dead("u").await, ReconnectReason::Revoked);
    assert_eq!(bench.asked(), 1, "the provider's word was kept");
}

/// Goal: an intent that was never followed by a call leaves no doubt behind it. Method: every
/// change of the intent's own commit fails once, in turn, in doubt whether it is in the file; then
/// the refresh token is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_an_intent_that_was_not_followed_by_a_call_leaves_no_doubt() {
    for changes in 0..18 {
        let bench = Bench::new().await;
        let me = Caller::local();
        let new = bench.refresher.store(&me, upload("u", "spent"), false);
        new.await.unwrap();
        bench.disk.fail_once_after(changes);
        let _ = bench.try_to_fetch("u").await;
        bench.disk.mend();
        let reason = bench.dead("u").await;
        assert_eq!(reason, ReconnectReason::Revoked, "{changes}");
    }
}

/// Goal: at the end nothing is sent that waited for its turn, since it might be cut. Method: as
/// many calls as one host gets hang, and more wait behind them, when the end comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_nothing_is_sent_that_waited_for_its_turn() {
    const BEYOND: usize = 3;
    let bench = Arc::new(Bench::new().await);
    let most = limits::PROVIDER_CALLS_PER_HOST_MAX;
    bench
        .sandbox
        .misbehave(Endpoint::Token, Misbehaviour::Hang, None);
    let mut flights = Vec::new();
    for number in 0..most + BEYOND {
        let (id, _) = bench.store(&format!("u{number}"), 0).await;
        flights.push(bench.refresher.refresh(Trip::asked(id)));
    }
    until(|| bench.asked() == most as u64).await;
    let ending = Arc::clone(&bench);
    let drained = tokio::spawn(async move { ending.refresher.drain().await });
    let of_those = |count: usize| {
        let bench = Arc::clone(&bench);
        move || bench.refresher.0.flights.count() == count
    };
    until(of_those(most)).await;
    bench.sandbox.behave();
    drained.await.unwrap();
    let mut renewed = 0;
    for flight in flights {
        renewed += usize::from(flight.landing(PATIENCE).await == Landing::Renewed);
    }
    assert_eq!((renewed, bench.asked()), (most, most as u64));
}
