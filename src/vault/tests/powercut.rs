//! Power cuts (C2): whatever a cut leaves, at any moment, opens and holds what was acknowledged.
//!
//! It promises: each image is held against the steps that were acknowledged before its moment, and
//! against the one in flight, whole or absent; so is what a second cut leaves, during recovery.
//! It never: counts an image that was not opened and read whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::super::audit::Head;
use super::super::*;
use super::contents::{Contents, difference, edited};
use super::image::{Look, Seen, Told, look};
use super::load::{Load, Step};
use super::seeded::Seeded;
use crate::store::faulty::{Lies, Replay, Tree};

/// Images of the gate.
const GATE: u64 = 20_000;
/// Steps of one load.
const STEPS: usize = 30;
/// Images of one load: then another one begins.
const OF_ONE_LOAD: u64 = 10_000;
/// One image in so many is cut again during its recovery.
const TWICE_EVERY: u64 = 8;
/// One image in so many is unlocked by a whole vault.
const WHOLE_EVERY: u64 = 16;
/// Of one image in so many the whole trail is verified; of the rest, its end.
const TRAIL_EVERY: u64 = 8;
/// Threads that look at images.
const LOOKERS: u64 = 2;

/// What happened, and what it should have come to, step by step.
pub(super) struct History {
    pub(super) mode: AuditMode,
    replay: Replay,
    /// Operations of the log before the first step.
    begin: usize,
    end: usize,
    steps: Vec<Step>,
    /// The contents before each step, and after the last.
    states: Vec<Arc<Contents>>,
    first_entry: Head,
    /// What is in images that were opened, by what they hold.
    known: Mutex<HashMap<u64, Arc<Contents>>>,
}

/// Runs a load and notes what it came to.
pub(super) fn record(mode: AuditMode, rng: fastrand::Rng, lies: Lies, steps: usize) -> History {
    let mut load = Load::new(mode, rng);
    load.disk.lie(lies);
    let begin = load.disk.position();
    let mut states = vec![Arc::new(load.model.clone())];
    let mut done = Vec::new();
    for _ in 0..steps {
        for step in load.step() {
            assert_eq!(step.outcome, Ok(()), "{}", step.what);
            let last = states.last().expect("there is one");
            states.push(Arc::new(edited(last, &step.edits)));
            done.push(step);
        }
    }
    History {
        mode,
        replay: load.disk.replay(),
        begin,
        end: load.disk.position(),
        steps: done,
        states,
        first_entry: load.first_entry,
        known: Mutex::default(),
    }
}

impl History {
    /// Holds what was seen after a cut before operation `at` against what may be there.
    fn check(&self, at: usize, seen: &Contents) -> Told<usize> {
        let least = self.steps.partition_point(|step| step.acknowledged <= at);
        let most = self.steps.partition_point(|step| step.asked < at);
        // The newest first: mostly that is the one.
        let fits = (least..=most)
            .rev()
            .find(|state| *self.states[*state] == *seen);
        let Some(state) = fits else {
            let flight = &self.steps[least..most];
            let flight: Vec<&str> = flight.iter().map(|step| step.what.as_str()).collect();
            return Err(format!(
                "{least} steps were acknowledged, in flight {flight:?}; against the first: {}",
                difference(seen, &self.states[least]),
            ));
        };
        Ok(state)
    }

    /// The audit entry that was known to be on the disk before operation `at`.
    fn durable_entry(&self, at: usize) -> Head {
        let least = self.steps.partition_point(|step| step.acknowledged <= at);
        least
            .checked_sub(1)
            .map_or(self.first_entry, |last| self.steps[last].audit)
    }

    /// Looks at one image, and now and then at what a second cut leaves of it.
    fn cut(&self, replay: &Replay, rng: &mut fastrand::Rng, number: u64) -> Told<u64> {
        let twice = number.is_multiple_of(TWICE_EVERY);
        let how = Look {
            mode: self.mode,
            wanted: self.durable_entry(replay.at()),
            trail: number.is_multiple_of(TRAIL_EVERY),
            whole: number.is_multiple_of(WHOLE_EVERY),
        };
        let left = replay.image(rng);
        let is_end = !(twice || how.trail || how.whole);
        let key = is_end.then(|| left.digest());
        // The same bytes open alike. What may be in them at this moment is judged anew.
        let known = key.and_then(|key| self.known.lock().unwrap().get(&key).cloned());
        if let Some(contents) = known {
            return self.check(replay.at(), &contents).map(|_| 1);
        }
        let judge = |left: Tree, rng: &mut fastrand::Rng| -> Told<(usize, Seen)> {
            let seen = look(left, how, rng)?;
            Ok((self.check(replay.at(), &seen.contents)?, seen))
        };
        let (state, seen) = judge(left, rng)?;
        if let Some(key) = key {
            let contents = Arc::clone(&self.states[state]);
            self.known.lock().unwrap().insert(key, contents);
        }
        if !twice {
            return Ok(1);
        }
        let mut recovery = seen.disk.replay();
        let operations = seen.disk.position();
        let second = rng.usize(..=operations);
        while recovery.at() < second {
            recovery.advance();
        }
        let (again, _) = judge(recovery.image(rng), rng)
            .map_err(|what| format!("cut again at {second}: {what}"))?;
        match again == state {
            true => Ok(2),
            false => Err(format!(
                "cut again at {second} of {operations}: {state} steps, then {again}"
            )),
        }
    }

    /// Cuts the power `images` times, spread over every operation. The first failure comes back.
    pub(super) fn cut_everywhere(&self, chance: &Seeded, images: u64) -> Told<u64> {
        let seen = AtomicU64::new(0);
        let places = (self.end - self.begin + 1) as u64;
        let judge = |looker: u64| -> Told<()> {
            let mut replay = self.replay.clone();
            while replay.at() < self.begin {
                replay.advance();
            }
            for place in 0..places {
                // As even as whole numbers allow; every operation has one at least.
                let share = ((place + 1) * images / places - place * images / places).max(1);
                for number in 0..share {
                    let case = place * images + number;
                    if case % LOOKERS != looker {
                        continue;
                    }
                    let mut chance = chance.case(case);
                    let cut = self.cut(&replay, chance.rng(), place + number);
                    seen.fetch_add(
                        cut.map_err(|what| {
                            let next = replay.next();
                            chance.at(&format!("operation {} ({next:?}): {what}", replay.at()))
                        })?,
                        Relaxed,
                    );
                }
                replay.advance();
            }
            Ok(())
        };
        let outcomes: Vec<Told<()>> = std::thread::scope(|scope| {
            let lookers: Vec<_> = (0..LOOKERS)
                .map(|looker| scope.spawn(move || judge(looker)))
                .collect();
            let ends = lookers.into_iter().map(|looker| looker.join());
            ends.map(|end| end.expect("a looker reports")).collect()
        });
        outcomes.into_iter().collect::<Told<()>>()?;
        Ok(seen.into_inner())
    }
}

/// Goal: nothing acknowledged is lost, whenever the power is cut and whatever of the unsynced
/// writes reaches the disk. Method: log a mixed load, leave parts of what is unsynced at every
/// operation, open each, compare with the steps acknowledged before; cut some again during
/// recovery.
#[test]
fn c2_a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let mut chance = Seeded::new("C2");
    let images = chance.runs(GATE);
    let (mut seen, mut round) = (0, 0);
    while seen < images {
        let mut case = chance.case(round);
        let mode = match round % 2 {
            0 => AuditMode::Strict,
            _ => AuditMode::Grouped,
        };
        let rng = fastrand::Rng::with_seed(case.rng().u64(..));
        let history = record(mode, rng, Lies::None, STEPS);
        let wanted = OF_ONE_LOAD.min(images - seen);
        seen += history
            .cut_everywhere(&case, wanted)
            .unwrap_or_else(|what| panic!("{}: {what}", chance.at(&format!("round {round}"))));
        round += 1;
    }
    let _ = chance.rng();
    println!("C2: {seen} images of {round} loads");
}

/// Images that a planted fault has to show in.
const PLANTED: u64 = 1500;

fn planted(mode: AuditMode, lies: Lies, plant: impl Fn(&mut Step)) -> Told<u64> {
    let mut chance = Seeded::with("C2, planted", 0x5eed);
    let rng = fastrand::Rng::with_seed(chance.rng().u64(..));
    let mut history = record(mode, rng, lies, 6);
    history.steps.iter_mut().for_each(plant);
    history.cut_everywhere(&chance, PLANTED)
}

/// Goal: the harness can see a fault, and sees none where there is none. Method: a disk that says
/// it synced the store and did not; one that skips the trail's syncs; a model that takes what was
/// asked for as acknowledged; and none of these.
#[test]
fn c2_a_lying_disk_and_a_hasty_model_are_caught() {
    assert!(planted(AuditMode::Strict, Lies::None, |_| {}).is_ok());
    let lies = planted(AuditMode::Strict, Lies::Store, |_| {}).unwrap_err();
    assert!(
        lies.contains("steps were acknowledged") || lies.contains("it does not"),
        "{lies}"
    );
    let trail = planted(AuditMode::Strict, Lies::Trail, |_| {}).unwrap_err();
    assert!(trail.contains("trail"), "{trail}");
    let hasty = planted(AuditMode::Strict, Lies::None, |step| {
        step.acknowledged = step.asked + 1;
    });
    let hasty = hasty.unwrap_err();
    assert!(hasty.contains("steps were acknowledged"), "{hasty}");
}
