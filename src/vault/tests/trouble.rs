//! A disk that fails (D1, D3): nothing acknowledged is lost, every failure is told, and the vault
//! works again as soon as the disk does.
//!
//! It promises: every operation of every step fails, in the store's file and in the trail alike,
//! alone and with all that follow, as an I/O error and for want of space; what was answered with an
//! error is there whole or not at all; while the disk refuses, nothing is said to be stored.
//! It never: restarts the vault to mend it.

mod compaction;

use super::super::audit::{AuditMode, Head};
use super::super::*;
use super::contents::{Contents, Edit, difference, edited, take_inventory};
use super::given::key_file;
use super::image::{Look, Told, look};
use super::load::{Load, Step, rotation_ends};
use crate::error::Error;
use crate::limits;
use crate::seeded::Seeded;
use crate::store::faulty::{Lies, Trouble};

/// Steps of the gate's load; about as many commits.
const STEPS: u64 = 100;
/// Tries to work again after the disk does. The first one may meet what the trouble left.
const TRIES: usize = 3;

/// What may have become of `before`: of the steps that failed, each is there or not.
fn possible(before: &Contents, steps: &[Step]) -> Vec<Contents> {
    let mut states = vec![before.clone()];
    for step in steps {
        let with: Vec<_> = states
            .iter()
            .map(|state| edited(state, &step.edits))
            .collect();
        match step.outcome {
            Ok(()) => states = with,
            Err(_) => states.extend(with),
        }
    }
    states
}

/// True for an error that tells of the disk.
fn is_clear(error: &Error) -> bool {
    matches!(
        error,
        Error::Storage(_) | Error::OutcomeUnknown(_) | Error::AuditUnavailable(_)
    )
}

/// Refuses steps that were answered by an error that tells of no disk. A vault that trouble has
/// locked says so.
fn told_clearly(steps: &[Step], is_locked: bool) -> Told<()> {
    for (number, step) in steps.iter().enumerate() {
        // What an earlier step has done all the same, though its disk failed, the next one meets.
        let mut earlier = steps[..number].iter();
        let is_met = earlier.any(|one| one.outcome.is_err() && meets(step, one));
        if let Err(error) = &step.outcome
            && !is_clear(error)
            && !(is_met && tells_of_another_state(error))
            && !(is_locked && *error == Error::Locked)
        {
            return Err(format!("{}: {error:?}", step.what));
        }
    }
    Ok(())
}

/// True for an error of who asks for what is there no more, or not as it was.
fn tells_of_another_state(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound(_) | Error::Conflict(_) | Error::UnlockFailed
    )
}

/// True where two steps are about the same thing.
fn meets(step: &Step, earlier: &Step) -> bool {
    step.what == earlier.what
        || earlier.edits.iter().map(Edit::thing).any(|thing| {
            let is_named = step.what.ends_with(&format!(" {thing}"));
            is_named || step.edits.iter().any(|edit| edit.thing() == thing)
        })
}

/// Refuses steps that were acknowledged while all of them failed on the disk.
fn none_is_taken(steps: &[Step], trouble: Trouble) -> Told<()> {
    // Where syncs alone fail, what changes nothing may do without.
    let taken = steps
        .iter()
        .find(|step| step.outcome.is_ok() && !(trouble.syncs_only && step.edits.is_empty()));
    taken.map_or(Ok(()), |step| {
        Err(format!("acknowledged on a disk that fails: {}", step.what))
    })
}

/// Refuses steps that failed on a sound disk.
fn all_done(steps: &[Step]) -> Told<()> {
    let failed = steps.iter().find(|step| step.outcome.is_err());
    failed.map_or(Ok(()), |step| {
        Err(format!(
            "on a sound disk: {}: {:?}",
            step.what, step.outcome
        ))
    })
}

/// A load whose disk fails now and then.
struct Bench {
    load: Load,
    failures: u64,
    unknown: u64,
    there: u64,
}

impl Bench {
    fn new(mode: AuditMode, rng: fastrand::Rng) -> Self {
        Self {
            load: Load::new(mode, rng),
            failures: 0,
            unknown: 0,
            there: 0,
        }
    }

    /// One step on a disk in trouble, and what is to be there after it.
    fn troubled(&mut self, trouble: Trouble) -> Told<()> {
        self.troubled_in(trouble, Load::step)
    }

    fn troubled_in(&mut self, trouble: Trouble, step: fn(&mut Load) -> Vec<Step>) -> Told<()> {
        let before = self.load.model.clone();
        self.load.disk.trouble(trouble);
        let mut steps = step(&mut self.load);
        if self.load.disk.failures() > 0 && !trouble.once {
            let later = self.load.step();
            none_is_taken(&later, trouble)?;
            steps.extend(later);
        }
        let failed = self.load.disk.mend() > 0;
        self.failures += u64::from(failed);
        told_clearly(&steps, self.is_locked())?;
        if !failed {
            return all_done(&steps);
        }
        self.unknown += steps.iter().filter(|step| step.outcome.is_err()).count() as u64;
        self.is_on_the_disk()?;
        self.works_again()?;
        if trouble.syncs_only && !trouble.once {
            self.is_on_the_disk()?;
        }
        let found = self.load.look_again().map_err(|error| error.to_string())?;
        let states = possible(&before, &steps);
        if !states.contains(&found) {
            let told: Vec<String> = steps
                .iter()
                .map(|step| format!("{}: {:?}", step.what, step.outcome))
                .collect();
            let least = &states[0];
            return Err(format!("{told:?}: {}", difference(&found, least)));
        }
        self.there += u64::from(found != states[0]);
        self.load.model = found;
        self.load.keys_are_known()
    }

    /// One step on a sound disk, so that the next one in trouble finds something begun.
    fn calm(&mut self) -> Told<()> {
        all_done(&self.load.step())
    }

    /// A rotation that trouble has met is carried on to its end, by the next unlock at the latest.
    fn rotation_ends(&mut self) -> Told<()> {
        all_done(&self.load.lock_and_unlock())?;
        rotation_ends(&self.load.vault)
    }

    fn is_locked(&self) -> bool {
        self.load.vault.status().locked
    }

    /// What is read after the trouble is what the disk holds, and not only what a cache remembers.
    /// Whether a store that is open for reading alone holds what it reads, only a sync would tell.
    fn is_on_the_disk(&self) -> Told<()> {
        if self.load.vault.store().is_for_reading_alone() {
            return Ok(());
        }
        // Where nothing can be read, nobody is told anything.
        let Ok(read) = take_inventory(&self.load.vault) else {
            return Ok(());
        };
        let how = Look {
            mode: AuditMode::Strict,
            wanted: Head::default(),
            trail: false,
            whole: false,
        };
        let mut rng = fastrand::Rng::with_seed(0);
        let held = look(self.load.disk.durable(), how, &mut rng)?;
        match held.contents == read.contents {
            true => Ok(()),
            false => Err(format!(
                "what is read is not on the disk: {}",
                difference(&read.contents, &held.contents)
            )),
        }
    }

    /// The disk works again, and so does the vault, without a restart.
    fn works_again(&mut self) -> Told<()> {
        let mut last = None;
        for _ in 0..TRIES {
            if self.is_locked() {
                let slots = self.load.vault.slots();
                let label = slots.map(|slots| slots[0].label.clone());
                let outcome =
                    label.and_then(|label| self.load.vault.unlock(&key_file(&label), "test"));
                if let Err(error) = outcome {
                    // Its slots were read of a header that a sync took back: a wrong try, after
                    // which the next one has to wait.
                    if matches!(error, Error::Busy(_)) {
                        self.load.vault.clock().advance(limits::UNLOCK_DELAY_MAX);
                    }
                    last = Some(format!("it stays locked: {error:?}"));
                    continue;
                }
            }
            match self.load.touch() {
                Ok(()) => return Ok(()),
                Err(error) => {
                    last = Some(format!("it refuses: {error:?}"));
                    // The writer's next try is a second away; an unlock tries at once.
                    let _ = self.load.vault.lock(&Caller::local());
                }
            }
        }
        Err(last.expect("it was tried"))
    }

    /// The power is cut: what was acknowledged is there.
    fn cut(&mut self, rng: &mut fastrand::Rng) -> Told<()> {
        let how = Look {
            mode: AuditMode::Strict,
            wanted: self.load.durable_entry(),
            trail: false,
            whole: false,
        };
        let seen = look(self.load.disk.durable(), how, rng)?;
        match seen.contents == self.load.model {
            true => Ok(()),
            false => Err(format!(
                "after a power cut: {}",
                difference(&seen.contents, &self.load.model)
            )),
        }
    }
}

/// Runs a load of so many steps in which operation `number` of every step fails, once or from then
/// on; how many did.
fn fail_everywhere(
    chance: &Seeded,
    steps: u64,
    (number, once): (u64, bool),
    trouble: impl Fn(&mut fastrand::Rng) -> Trouble,
) -> Bench {
    let mut case = chance.case(number * 2 + u64::from(once));
    let rng = case.rng();
    let mode = match number % 2 {
        0 => AuditMode::Strict,
        _ => AuditMode::Grouped,
    };
    let mut bench = Bench::new(mode, fastrand::Rng::with_seed(rng.u64(..)));
    for step in 0..steps {
        let trouble = Trouble {
            after: number,
            once,
            io: (step + number).is_multiple_of(2),
            ..trouble(rng)
        };
        let calm = match step % 3 {
            0 => bench.calm(),
            _ => Ok(()),
        };
        let troubled = calm.and_then(|()| bench.troubled(trouble));
        let outcome = troubled.and_then(|()| match step % 8 {
            0 => bench.cut(rng),
            _ => Ok(()),
        });
        if let Err(what) = outcome {
            let place = format!("operation {number} of step {step}, {trouble:?}: {what}");
            panic!("{}", case.at(&place));
        }
    }
    let ended = bench.rotation_ends().and_then(|()| bench.cut(rng));
    ended.unwrap_or_else(|what| panic!("{}", case.at(&what)));
    bench
}

/// Runs loads in which the first, second, ... operation of every step fails, alone and with all
/// that follow, until nothing is left to fail.
fn fail_at_every_number(
    chance: &Seeded,
    steps: u64,
    trouble: impl Fn(&mut fastrand::Rng) -> Trouble,
) -> [u64; 3] {
    let mut sum = [0; 3];
    for number in 0.. {
        let mut failures = 0;
        for once in [true, false] {
            let bench = fail_everywhere(chance, steps, (number, once), &trouble);
            failures += bench.failures;
            sum[1] += bench.unknown;
            sum[2] += bench.there;
        }
        sum[0] += failures;
        if failures == 0 {
            break;
        }
    }
    sum
}

/// Goal: whichever operation of the disk fails, once or from then on, nothing acknowledged is lost,
/// nobody is told wrong, and the vault works as soon as the disk does. Method: let the first,
/// second, ... operation of every step of a mixed load fail, alone and with all that follow, reads
/// and the trail's included, half of a failing write done now and then; mend the disk, work on,
/// look at everything, and at the access keys that are known.
#[test]
fn d1_whatever_operation_fails_nothing_acknowledged_is_lost() {
    let chance = Seeded::new("D1");
    let steps = chance.runs(STEPS);
    let [failures, unknown, there] = fail_at_every_number(&chance, steps, |rng| Trouble {
        reads: true,
        half: rng.bool(),
        ..Trouble::default()
    });
    assert!(failures > 20 * steps, "only {failures} failures");
    println!("D1: {failures} failures, {unknown} steps told so, {there} of them there");
}

/// Goal: a sync that fails once and then succeeds, as Linux does after it has thrown away what it
/// could not write, never makes a success of that commit, nor harms a later one; one that fails
/// from then on lets nothing be acknowledged. Method: let the first, second, ... sync of every step
/// fail, alone and with all that follow, and lose what was waiting for it; work on, cut the power,
/// look at everything.
#[test]
fn d3_a_sync_that_fails_is_never_taken_for_one_that_succeeded() {
    let chance = Seeded::new("D3");
    let steps = chance.runs(STEPS);
    let [failures, unknown, there] = fail_at_every_number(&chance, steps, |_| Trouble {
        syncs_only: true,
        loses: true,
        ..Trouble::default()
    });
    assert!(failures > 2 * steps, "only {failures} failures");
    println!("D3: {failures} failed syncs, {unknown} steps told so, {there} of them there");
}

/// Goal: these harnesses can fail. Method: a disk that says that it synced and did not.
#[test]
fn d1_a_disk_that_lies_about_its_syncs_is_caught() {
    let mut bench = Bench::new(AuditMode::Strict, fastrand::Rng::with_seed(1));
    let mut rng = fastrand::Rng::with_seed(2);
    bench.cut(&mut rng).unwrap();
    bench.load.disk.lie(Lies::Store);
    let never = Trouble {
        after: u64::MAX,
        ..Trouble::default()
    };
    let steps = (0..10).try_for_each(|_| bench.troubled(never));
    let caught = steps.and_then(|()| bench.cut(&mut rng));
    assert!(caught.is_err());
}

/// Goal: each look of these harnesses can fail. Method: an access key that went from the store
/// behind the gate's back; a step that was acknowledged; one that says that the vault is damaged.
#[test]
fn d1_a_key_unlike_its_record_a_hasty_answer_and_an_unclear_error_are_caught() {
    let mut bench = Bench::new(AuditMode::Strict, fastrand::Rng::with_seed(3));
    let load = &mut bench.load;
    let mut steps = load.access_key();
    load.look_again().unwrap();
    assert_eq!(load.keys_are_known(), Ok(()));
    assert!(all_done(&steps).is_ok() && told_clearly(&steps, true).is_ok());
    for syncs_only in [false, true] {
        let lasting = Trouble {
            syncs_only,
            ..Trouble::default()
        };
        assert!(none_is_taken(&steps, lasting).is_err());
    }
    steps[0].outcome = Err(Error::Locked);
    assert!(told_clearly(&steps, false).is_err() && told_clearly(&steps, true).is_ok());
    steps[0].outcome = Err(Error::Damaged("it".into()));
    assert!(told_clearly(&steps, true).is_err());
    load.lose_the_keys();
    load.look_again().unwrap();
    let caught = load.keys_are_known().unwrap_err();
    assert!(caught.contains("stored: {}"), "{caught}");
}
