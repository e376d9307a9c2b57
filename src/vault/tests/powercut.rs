//! Power cuts (C2): whatever a cut leaves, at any moment, opens and holds what was acknowledged.
//!
//! It promises: each image is held against the steps that were acknowledged before its moment, and
//! against the one in flight, whole or absent; so is what a second cut leaves, during recovery.
//! What a cut in the midst of a key rotation leaves opens by both terms; now and then the rotation
//! is carried on to its end.
//! It never: counts an image that was not opened and read whole. One with the bytes of another, and
//! the same audit entry to be found in it, is judged by what that one held, and is not counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::audit::Head;
use super::super::*;
use super::contents::{Contents, difference, edited};
use super::image::{Look, Seen, Told, look};
use super::load::{Load, Step, rotation_ends};
use crate::seeded::Seeded;
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
    /// What is in images that were opened, by their bytes and the audit entry found in them.
    known: Mutex<HashMap<Key, Arc<Contents>>>,
}

/// An image: its bytes' digest, and the number and hash of the audit entry that must be in it.
type Key = (u64, u64, [u8; 32]);

/// What was done to find no fault.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Images that were opened and read whole.
    opened: u64,
    /// Images with the bytes of one that was opened.
    repeats: u64,
    /// Of those opened, what a second cut left, during recovery.
    twice: u64,
    /// Of those opened, cut in the midst of a key rotation; and those whose rotation was ended.
    rotating: u64,
    ended: u64,
}

impl Tally {
    fn of(seen: &Seen, how: Look) -> Self {
        Self {
            opened: 1,
            rotating: u64::from(seen.rotating),
            ended: u64::from(seen.rotating && how.whole),
            ..Self::default()
        }
    }

    fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.repeats += other.repeats;
        self.twice += other.twice;
        self.rotating += other.rotating;
        self.ended += other.ended;
    }
}

/// Runs a load and notes what it came to.
pub(super) fn record(mode: AuditMode, rng: fastrand::Rng, lies: Lies, steps: usize) -> History {
    let mut load = Load::new(mode, rng);
    load.disk.lie(lies);
    let begin = load.disk.position();
    let mut states = vec![Arc::new(load.model.clone())];
    let mut done = Vec::new();
    for number in 0..steps {
        // One rotation in every load, besides those that chance makes.
        let work = match number == steps / 3 {
            true => load.rotate(),
            false => load.step(),
        };
        for step in work {
            assert_eq!(step.outcome, Ok(()), "{}", step.what);
            let last = states.last().expect("there is one");
            states.push(Arc::new(edited(last, &step.edits)));
            done.push(step);
        }
    }
    rotation_ends(&load.vault).expect("a sound disk");
    let end = load.disk.position();
    History {
        mode,
        replay: load.disk.replay(),
        begin,
        end,
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
    fn cut(&self, replay: &Replay, rng: &mut fastrand::Rng, number: u64) -> Told<Tally> {
        let twice = number.is_multiple_of(TWICE_EVERY);
        let how = Look {
            mode: self.mode,
            wanted: self.durable_entry(replay.at()),
            trail: number.is_multiple_of(TRAIL_EVERY),
            whole: number.is_multiple_of(WHOLE_EVERY),
        };
        let left = replay.image(rng);
        let is_end = !(twice || how.trail || how.whole);
        let Head { seq, hash } = how.wanted;
        let key = is_end.then(|| (left.digest(), seq, hash));
        // The same bytes open alike. What may be in them at this moment is judged anew.
        let known = key.and_then(|key| self.known.lock().unwrap().get(&key).cloned());
        if let Some(contents) = known {
            self.check(replay.at(), &contents)?;
            return Ok(Tally {
                repeats: 1,
                ..Tally::default()
            });
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
        let mut tally = Tally::of(&seen, how);
        if !twice {
            return Ok(tally);
        }
        let mut recovery = seen.disk.replay();
        let operations = seen.disk.position();
        let second = rng.usize(..=operations);
        while recovery.at() < second {
            recovery.advance();
        }
        let (again, seen) = judge(recovery.image(rng), rng)
            .map_err(|what| format!("cut again at {second}: {what}"))?;
        tally.add(Tally::of(&seen, how));
        tally.twice = 1;
        match again == state {
            true => Ok(tally),
            false => Err(format!(
                "cut again at {second} of {operations}: {state} steps, then {again}"
            )),
        }
    }

    /// Cuts the power `images` times, spread over every operation. The first failure comes back.
    pub(super) fn cut_everywhere(&self, chance: &Seeded, images: u64) -> Told<Tally> {
        let places = (self.end - self.begin + 1) as u64;
        let judge = |looker: u64| -> Told<Tally> {
            let mut tally = Tally::default();
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
                    tally.add(cut.map_err(|what| {
                        let next = replay.next();
                        chance.at(&format!("operation {} ({next:?}): {what}", replay.at()))
                    })?);
                }
                replay.advance();
            }
            Ok(tally)
        };
        let outcomes: Vec<Told<Tally>> = std::thread::scope(|scope| {
            let lookers: Vec<_> = (0..LOOKERS)
                .map(|looker| scope.spawn(move || judge(looker)))
                .collect();
            let ends = lookers.into_iter().map(|looker| looker.join());
            ends.map(|end| end.expect("a looker reports")).collect()
        });
        let mut all = Tally::default();
        for outcome in outcomes {
            all.add(outcome?);
        }
        Ok(all)
    }
}

/// Goal: nothing acknowledged is lost, whenever the power is cut and whatever of the unsynced
/// writes reaches the disk. Method: log a mixed load, leave parts of what is unsynced at every
/// operation, open each, compare with the steps acknowledged before; cut some again during
/// recovery.
#[test]
fn c2_a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let chance = Seeded::new("C2");
    let images = chance.runs(GATE);
    let (mut all, mut round) = (Tally::default(), 0);
    while all.opened < images {
        let mut case = chance.case(round);
        let mode = match round % 2 {
            0 => AuditMode::Strict,
            _ => AuditMode::Grouped,
        };
        let rng = fastrand::Rng::with_seed(case.rng().u64(..));
        let history = record(mode, rng, Lies::None, STEPS);
        let wanted = OF_ONE_LOAD.min(images - all.opened);
        let tally = history.cut_everywhere(&case, wanted);
        all.add(tally.unwrap_or_else(|what| panic!("{what}")));
        round += 1;
    }
    println!("C2: images of {round} loads: {all:?}");
    let place = |what| chance.at(&format!("the end, {what}: {all:?}"));
    assert!(all.twice * 16 > all.opened, "{}", place("second cuts"));
    assert!(all.rotating * 50 > all.opened, "{}", place("rotations"));
    assert!(
        all.ended * 1000 > all.opened,
        "{}",
        place("rotations ended")
    );
}

/// Images that a planted fault has to show in.
const PLANTED: u64 = 1500;

fn planted(mode: AuditMode, lies: Lies, plant: impl Fn(&mut Step)) -> Told<Tally> {
    let mut chance = Seeded::with("C2, planted", 0x5eed);
    let rng = fastrand::Rng::with_seed(chance.rng().u64(..));
    let mut history = record(mode, rng, lies, 6);
    history.steps.iter_mut().for_each(plant);
    history.cut_everywhere(&chance, PLANTED)
}

/// Goal: the harness can see a fault, and sees none where there is none. Method: a disk that says
/// it synced the store and did not; one that skips the trail's syncs; a model that takes what was
/// asked for as acknowledged; one that wants an entry of the trail that is not there; and none of
/// these.
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
        (step.acknowledged, step.audit) = (step.asked + 1, Head::default());
    });
    let hasty = hasty.unwrap_err();
    assert!(hasty.contains("steps were acknowledged"), "{hasty}");
    let absent = planted(AuditMode::Strict, Lies::None, |step| step.audit.seq += 1);
    let absent = absent.unwrap_err();
    assert!(absent.contains("trail"), "{absent}");
}

/// Goal: what a failure says repeats it. Method: the case of a case of a run.
#[test]
fn a_case_tells_the_seed_that_its_run_began_with() {
    let root = Seeded::with("C0", 0x5eed);
    let mut case = root.case(3).case(4);
    let told = case.at("step 5");
    assert!(
        told.starts_with("C0, case 3.4, at step 5 (STRONGROOM_SEED=0x5eed"),
        "{told}"
    );
    let again = Seeded::with("C0", 0x5eed).case(3).case(4).rng().u64(..);
    assert_eq!(case.rng().u64(..), again);
    assert_ne!(root.case(4).rng().u64(..), root.case(3).rng().u64(..));
}
