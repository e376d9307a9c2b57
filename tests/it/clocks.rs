//! Clocks that jump (R7 of the catalogue; T32).
//!
//! Two clocks: ours, which jumps, and the provider's, which is right. Whatever is handed out is
//! shown to the provider's API at once, which takes it only while it is valid by the true time.
//! For every jump: at most one refresh for a record, nothing that has ended is handed out, and
//! whoever waits does not go round and round.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::{Clock, Timestamp};
use strongroom::sandbox::Misbehaviour;

use crate::rig::{Rig, Setup, give_way, until};
use crate::support::clock;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
const JUMPS_S: [i64; 6] = [HOUR, DAY, YEAR, -HOUR, -DAY, -YEAR];
const USERS: u64 = 4;

fn shifted(at: Timestamp, by_s: i64) -> Timestamp {
    let span = Duration::from_secs(by_s.unsigned_abs());
    match by_s < 0 {
        true => at.minus(span),
        false => at.plus(span),
    }
}

/// A rig whose provider has a clock of its own.
struct Times {
    rig: Rig,
    truth: Clock,
}

impl Times {
    async fn new(scheduler: bool) -> Self {
        let truth = clock();
        let rig = Rig::with(Setup {
            scheduler,
            truth: Some(truth.clone()),
            ..Setup::default()
        })
        .await;
        for user in 0..USERS {
            rig.store(&format!("u{user}"), 3600).await;
        }
        Self { rig, truth }
    }

    /// True time goes by, and our clock goes with it.
    fn pass(&self, seconds: u64) {
        self.truth.advance(Duration::from_secs(seconds));
        self.rig.advance(seconds);
    }

    /// Ends, true time goes by, and the machine comes up with a clock that is off.
    async fn restart(self, down_s: u64, off_s: i64, scheduler: bool) -> Self {
        let (ours, truth) = (self.rig.clock.clone(), self.truth);
        self.rig.inside.vault.close().unwrap();
        truth.advance(Duration::from_secs(down_s));
        ours.set(shifted(truth.now(), off_s));
        let setup = Setup {
            scheduler,
            truth: Some(truth.clone()),
            ..Setup::default()
        };
        let rig = self.rig.restart(setup).await;
        Self { rig, truth }
    }

    /// Fetches everybody's token, and shows it to the provider.
    async fn all_are_valid(&self, at: &str) {
        for user in 0..USERS {
            let user = format!("u{user}");
            let token = self.rig.access(&user).await;
            assert_eq!(self.shown(&token).await, 200, "{user} {at}");
        }
    }

    async fn shown(&self, token: &str) -> u16 {
        let url = format!("{}/api/me", self.rig.outside.issuer);
        let request = self.rig.api.client.get(url).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }

    /// Lets everything settle that may, as our clock goes on for the spread of what is dated anew.
    async fn settles(&self, at: &str) {
        for _ in 0..7 {
            self.pass(10);
            give_way().await;
            self.rig.quiet().await;
        }
        let before = self.rig.clock.readings();
        give_way().await;
        let read = self.rig.clock.readings() - before;
        assert!(read < 50, "the clock was read {read} times {at}");
    }

    async fn status(&self) -> Value {
        self.rig.api.get("/v1/status").await.1
    }
}

/// Goal: a machine that comes up with a wrong clock hands out nothing that has ended, asks once for
/// each record, and tells the operator where the clock went back. Method: for each jump, on demand
/// alone and with the schedule: restart after the tokens' end, fetch all, let it settle, go on for
/// a life of the new tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_restart_with_a_wrong_clock_serves_nothing_that_has_ended() {
    for scheduler in [false, true] {
        for jump_s in JUMPS_S {
            let at = format!("after a jump of {jump_s} s, scheduled: {scheduler}");
            let times = Times::new(false).await;
            times.pass(1800);
            let times = times.restart(2400, jump_s, scheduler).await;
            times.all_are_valid(&at).await;
            times.settles(&at).await;
            let asked = times.rig.asked();
            assert_eq!(asked, USERS, "one refresh for each record {at}");
            let status = times.status().await;
            assert_eq!(status["clock_set_back_s"].is_u64(), jump_s < 0, "{status}");
            let trail = times.rig.api.get("/v1/audit?limit=1000").await.1;
            let is_told = trail.to_string().contains("earlier than when this vault");
            assert_eq!(is_told, jump_s < 0, "{at}");
            times.all_are_valid(&at).await;
            assert_eq!(times.rig.asked(), asked, "and they serve {at}");
            // No earlier than a life's half.
            times.pass(1700);
            times.rig.quiet().await;
            assert_eq!(times.rig.asked(), asked, "{at}");
            times.pass(2000);
            times.all_are_valid(&at).await;
            times.rig.inside.end().await;
        }
    }
}

/// Goal: the tests here can see an expired token that is handed out. Method: what a vault that
/// believed its clock would do: the tokens of the test above are valid by the clock that is an hour
/// slow, and the provider takes none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_slow_clock_that_is_believed_would_serve_what_has_ended() {
    let times = Times::new(false).await;
    let user = times.rig.store("ann", 3600).await;
    let ends = times.rig.now().plus(Duration::from_secs(3600));
    times.pass(1800);
    let times = times.restart(2400, -HOUR, false).await;
    assert!(times.rig.now() < ends, "it seems valid");
    assert_eq!(times.shown(&user.access).await, 401, "it is not");
    times.rig.inside.end().await;
}

/// Goal: a wall clock that is set while we run, and mended, makes one refresh for a record and a
/// step at the most, and nothing that has ended is handed out. Method: set it, settle, mend it,
/// settle; fetch all at each point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_wall_clock_that_is_set_in_a_run_makes_no_storm() {
    for jump_s in JUMPS_S {
        let at = format!("after a step of {jump_s} s");
        let times = Times::new(true).await;
        times.pass(600);
        times.rig.quiet().await;
        let steps = [jump_s, 0];
        for (most, off_s) in (1..).zip(steps) {
            times.rig.clock.set_wall(shifted(times.truth.now(), off_s));
            times.all_are_valid(&at).await;
            times.settles(&at).await;
            times.all_are_valid(&at).await;
            let asked = times.rig.asked();
            assert!(asked <= USERS * most, "{asked} refreshes {at}");
            assert_eq!(asked > 0, jump_s > 0, "set back it is not followed: {at}");
            let said = times.status().await["clock_off_s"].as_i64().unwrap();
            assert_eq!(said, off_s.min(0), "{at}");
        }
        times.rig.inside.end().await;
    }
}

/// Goal: a jump in mid-refresh does no harm: one request, and what came back serves. Method: the
/// provider hangs while a caller waits; the clock jumps, by the wall or as a whole; the provider
/// answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_jump_in_mid_refresh_does_no_harm() {
    for jump_s in JUMPS_S {
        for is_whole in [false, true] {
            let at = format!("a jump of {jump_s} s in mid-refresh, as a whole: {is_whole}");
            let times = Times::new(false).await;
            let stored = times.rig.store_expired("ann").await;
            times.rig.at_token(Misbehaviour::Hang, None);
            let (asked, rig) = (times.rig.asked(), &times.rig);
            let answered = async {
                until("it is asked", || rig.asked() > asked).await;
                let jumped = shifted(times.truth.now(), jump_s);
                match is_whole {
                    true => rig.clock.set(jumped),
                    false => rig.clock.set_wall(jumped),
                }
                rig.behave();
            };
            let (token, ()) = tokio::join!(rig.access("ann"), answered);
            assert_eq!(times.shown(&token).await, 200, "{at}");
            assert_ne!(token, stored.access);
            assert_eq!(rig.access("ann").await, token, "{at}");
            assert_eq!(times.rig.asked(), asked + 1, "{at}");
            times.rig.inside.end().await;
        }
    }
}

/// Goal: no back-off outlives a clock that is set back. Method: a provider that is down; the wait
/// it brings; a restart a year earlier; the provider is well, and the token is there at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_back_off_does_not_outlast_a_clock_that_is_set_back() {
    for scheduler in [false, true] {
        let times = Times::new(false).await;
        times.rig.store_expired("ann").await;
        let down = Misbehaviour::RetryAfter {
            status: 503,
            value: "3600".into(),
        };
        times.rig.at_token(down, None);
        assert_eq!(times.rig.fetch("ann").await.0, "503 unavailable");
        times.rig.behave();
        let times = times.restart(1, -YEAR, scheduler).await;
        let token = times.rig.access("ann").await;
        assert_eq!(times.shown(&token).await, 200);
        // Nor does a forced refresh take one of next year for one just made.
        times.rig.clock.set(shifted(times.truth.now(), -2 * YEAR));
        let asked = times.rig.asked();
        let body = json!({ "app": "demo", "user": "ann", "force_refresh": true });
        let (status, said) = times.rig.api.post("/v1/token", body).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(times.rig.asked(), asked + 1);
        times.rig.inside.end().await;
    }
}

/// Goal: a link does not outlive a clock that is set back. Method: make one, set the clock back by
/// a day, look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_link_lapses_where_the_clock_is_set_back() {
    let times = Times::new(false).await;
    let body = json!({ "apps": [{ "app": "demo" }], "user": "eve", "verify": "code" });
    let (status, made) = times.rig.api.post("/v1/connect", body).await;
    assert!(status < 300, "{made}");
    let path = format!("/v1/connect/{}", made["id"].as_str().unwrap());
    let before = times.rig.api.get(&path).await.1;
    times.rig.clock.set(shifted(times.truth.now(), -DAY));
    let after = times.rig.api.get(&path).await.1;
    assert_ne!(before["status"], after["status"], "{after}");
    assert_eq!(after["status"], json!("expired"), "{after}");
    times.rig.inside.end().await;
}

/// Goal: a token that is handed out past its end would be seen. Method: one that has ended by the
/// provider's clock alone is shown to the provider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_token_that_has_ended_would_be_seen() {
    let times = Times::new(false).await;
    let token = times.rig.access("u0").await;
    assert_eq!(times.shown(&token).await, 200);
    times.truth.advance(Duration::from_secs(7200));
    assert_eq!(times.rig.access("u0").await, token, "our clock stood still");
    assert_eq!(times.shown(&token).await, 401);
    times.rig.inside.end().await;
}
