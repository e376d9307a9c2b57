//! Runs cases one after the other and counts how they end.
//!
//! It promises: a case that keeps its thread busy for longer than [`CPU_MAX`] counts as wrong,
//! however slow a loaded machine is; one that never ends fails the harness.
//! It never: knows what a case does.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::End;

/// Longest time on a processor that a damaged file may cost whoever opens it. It is about a
/// millisecond.
pub(super) const CPU_MAX: Duration = Duration::from_secs(2);
/// Who waits for a case longer waits for ever: two seconds of work are done by then on a machine
/// that has sixty times as much to do.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// How many cases ended how.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) whole: u64,
    pub(super) refused: u64,
    /// What was wrong, and at which case.
    pub(super) wrong: Vec<(u64, String)>,
    /// The longest that a case was busy.
    pub(super) slowest: Duration,
}

impl Tally {
    fn add(&mut self, case: u64, end: End, busy: Duration, cpu_max: Duration) {
        self.slowest = self.slowest.max(busy);
        match end {
            End::Wrong(what) => self.wrong.push((case, what)),
            _ if busy > cpu_max => self.wrong.push((case, format!("busy for {busy:?}"))),
            End::Whole => self.whole += 1,
            End::Refused(_) => self.refused += 1,
        }
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        format!(
            "{} harmless, {} refused, {} wrong, the slowest busy for {} ms",
            self.whole,
            self.refused,
            self.wrong.len(),
            self.slowest.as_millis()
        )
    }
}

/// The time that this thread has spent on a processor.
fn busy_so_far() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(spent).expect("time spent is not less than none")
}

/// Does something, and says how long it kept this thread busy.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = busy_so_far();
    let done = work();
    (done, busy_so_far() - before)
}

/// Runs cases, and fails where one of them hangs.
pub(super) fn run(cases: u64, judge: impl FnMut(u64) -> End + Send + 'static) -> Tally {
    run_within(CPU_MAX, HANGS_AFTER, cases, judge)
}

fn run_within(
    cpu_max: Duration,
    hangs_after: Duration,
    cases: u64,
    mut judge: impl FnMut(u64) -> End + Send + 'static,
) -> Tally {
    let (sender, ends) = channel();
    // Not a scoped thread: the scope would wait for one that hangs.
    let runner = std::thread::spawn(move || {
        for case in 0..cases {
            let (end, busy) = timed(|| judge(case));
            if sender.send((end, busy)).is_err() {
                return;
            }
        }
    });
    let mut tally = Tally::default();
    for case in 0..cases {
        let (end, busy) = ends
            .recv_timeout(hangs_after)
            .unwrap_or_else(|_| panic!("case {case} hangs, or the runner is gone"));
        tally.add(case, end, busy, cpu_max);
    }
    runner.join().expect("it has sent everything");
    tally
}

/// Goal: a case that is busy for too long is counted as wrong. Method: plant one that turns round
/// and round until its thread has worked for longer than the limit of this test.
#[test]
fn f1_the_harness_sees_a_case_that_is_busy_for_too_long() {
    let limit = Duration::from_millis(50);
    let tally = run_within(limit, HANGS_AFTER, 3, move |case| {
        let began = busy_so_far();
        while case == 1 && busy_so_far() - began <= limit {
            std::hint::spin_loop();
        }
        End::Whole
    });
    let wrong: Vec<u64> = tally.wrong.iter().map(|(case, _)| *case).collect();
    assert_eq!((wrong, tally.whole), (vec![1], 2), "{:?}", tally.slowest);
}

/// Goal: a case that never ends fails the harness, which does not wait for it. Method: plant one
/// that waits for what never comes.
#[test]
#[should_panic(expected = "hangs")]
fn f1_the_harness_does_not_wait_for_a_case_that_hangs() {
    let (keep, never): (_, Receiver<()>) = channel();
    let _tally = run_within(CPU_MAX, Duration::from_millis(200), 2, move |_| {
        never.recv().map_or(End::Whole, |()| End::Whole)
    });
    drop(keep);
}
