//! Refreshing while the vault's file is checked behind the first answers (V19): it waits.
//!
//! It promises: the provider counts what it is asked.
//! It never: hangs on how long a check takes.

use super::*;
use crate::store::faulty::Hold;
use crate::vault::{Settings, Unlocker};

fn key() -> Unlocker {
    Unlocker::key_file(Secret::new(vec![7; 64])).unwrap()
}

impl Bench {
    /// One whose vault a key file opens.
    async fn with_key() -> Self {
        let made = Self::on(|disk, clock| {
            let key = key();
            let slots = [(&key, "key")];
            let made = Vault::create_on_disk(disk, &slots, Settings::default(), clock);
            made.unwrap().0
        });
        made.await
    }

    /// Its vault, closed and opened anew, with the check held.
    fn checked_behind(self) -> (Self, Hold) {
        self.refresher.vault().close().unwrap();
        let hold = Hold::thread(&self.disk, "check");
        let settings = Settings {
            check_behind: true,
            ..Settings::default()
        };
        let vault = Vault::open_on_disk(&self.disk, settings, self.clock.clone()).unwrap();
        vault.unlock(&key(), "test").unwrap();
        hold.is_held();
        let refresher = Refresher::new(vault, self.refresher.provider().clone());
        (Self { refresher, ..self }, hold)
    }

    async fn fetch(&self, user: &str, force: bool) -> Result<Outcome> {
        let wanted = TokenAsk {
            force,
            ..wanted(user)
        };
        self.refresher.token(&Caller::local(), &wanted).await
    }

    /// Lets the schedule run for so many turns.
    async fn schedule(&self, turns: usize) {
        let refresher = Refresher::new(
            self.refresher.vault().clone(),
            self.refresher.provider().clone(),
        );
        refresher
            .run(async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            })
            .await;
    }
}

fn is_put_off(outcome: Result<Outcome>) {
    match outcome {
        Ok(Outcome::Unavailable {
            retry_after,
            message,
            ..
        }) => {
            assert!(retry_after >= limits::CHECK_RETRY_MIN);
            assert!(message.contains("still being checked"), "{message}");
        }
        Ok(_) => panic!("an answer"),
        Err(error) => panic!("{error}"),
    }
}

/// Goal: V19 no refresh token is spent before the check has ended, by a caller or on schedule, and
/// nobody is sent to connect: what is valid is handed out, what is over, or not found, is
/// `unavailable`; behind the check all is as always. Method: a token that lasts, one that is over
/// and due, and none; the check held, then let go.
#[tokio::test]
async fn v19_nothing_is_refreshed_before_the_check_has_ended() {
    let bench = Bench::with_key().await;
    bench.store("ann", 3600).await;
    bench.store("eve", 60).await;
    let (bench, hold) = bench.checked_behind();
    bench.clock.advance(Duration::from_secs(50));
    let valid = handed(bench.fetch("ann", false).await);
    let forced = handed(bench.fetch("ann", true).await);
    assert_eq!(valid.value.expose(), forced.value.expose());
    // It lasts less than is asked for, and is not over.
    handed(bench.fetch("eve", false).await);
    bench.clock.advance(Duration::from_secs(50));
    is_put_off(bench.fetch("eve", false).await);
    is_put_off(bench.fetch("nobody", false).await);
    let me = Caller::local();
    let by_hand = bench.refresher.refresh_now(&me, valid.id);
    assert!(matches!(by_hand.await, Err(Error::Checking { .. })));
    bench.schedule(200).await;
    assert_eq!(bench.asked(), 0, "a refresh token was spent");

    hold.release();
    bench.refresher.vault().wait_for_check().unwrap();
    handed(bench.fetch("eve", false).await);
    assert_eq!(bench.asked(), 1);
    let nobody = bench.fetch("nobody", false).await.unwrap();
    assert!(matches!(nobody, Outcome::Missing));
    bench.refresher.vault().close().unwrap();
}

/// Goal: the schedule does not sleep over the end of the check. Method: a token that is due and a
/// schedule that runs while the check is held; let it go; a second or two later it is refreshed.
#[tokio::test]
async fn v19_the_schedule_goes_on_soon_behind_the_check() {
    let bench = Bench::with_key().await;
    bench.store("eve", 60).await;
    let (bench, hold) = bench.checked_behind();
    bench.clock.advance(Duration::from_secs(100));
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let refresher = bench.refresher.clone();
    let running = tokio::spawn(async move { refresher.run(async { drop(ended.await) }).await });
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.asked(), 0, "a refresh token was spent");
    hold.release();
    bench.refresher.vault().wait_for_check().unwrap();
    bench.clock.advance(limits::CHECK_RETRY_MIN * 2);
    let asked = async {
        while bench.asked() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    drop(end);
    running.await.unwrap();
    bench.refresher.vault().close().unwrap();
}
