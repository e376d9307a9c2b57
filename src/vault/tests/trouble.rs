//! A disk that fails (D1, D3): nothing acknowledged is lost, every failure is told, and the vault
//! works again as soon as the disk does.
//!
//! It promises: every operation of every step fails once, in the store's file and in the trail
//! alike; what was answered with an error is there whole or not at all.
//! It never: restarts the vault to mend it.

use super::super::audit::{AuditMode, Head};
use super::super::*;
use super::contents::{Contents, difference, edited, take_inventory};
use super::given::key_file;
use super::image::{Look, Told, look};
use super::load::{Load, Step};
use super::seeded::Seeded;
use crate::error::Error;
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
        let before = self.load.model.clone();
        self.load.disk.trouble(trouble);
        let mut steps = self.load.step();
        let failed = self.load.disk.failures() > 0;
        if failed && !trouble.once && !trouble.syncs_only {
            // Nothing is taken while the trouble lasts.
            steps.extend(self.load.step());
        }
        self.load.disk.mend();
        self.failures += u64::from(failed);
        for step in &steps {
            if let Err(error) = &step.outcome
                && !is_clear(error)
                && !self.is_locked()
            {
                return Err(format!("{}: {error:?}", step.what));
            }
        }
        self.unknown += steps.iter().filter(|step| step.outcome.is_err()).count() as u64;
        self.is_on_the_disk()?;
        self.works_again()?;
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
        Ok(())
    }

    fn is_locked(&self) -> bool {
        self.load.vault.status().locked
    }

    /// What is read after the trouble is what the disk holds, and not only what a cache remembers.
    fn is_on_the_disk(&self) -> Told<()> {
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

/// Runs a load of so many steps in which operation `number` of every step fails; how many did.
fn fail_everywhere(
    chance: &Seeded,
    steps: u64,
    number: u64,
    trouble: impl Fn(u64, &mut fastrand::Rng) -> Trouble,
) -> Bench {
    let mut case = chance.case(number);
    let rng = case.rng();
    let mode = match number % 2 {
        0 => AuditMode::Strict,
        _ => AuditMode::Grouped,
    };
    let mut bench = Bench::new(mode, fastrand::Rng::with_seed(rng.u64(..)));
    for step in 0..steps {
        let trouble = Trouble {
            after: number,
            ..trouble(step + number, rng)
        };
        let outcome = bench.troubled(trouble).and_then(|()| match step % 8 {
            0 => bench.cut(rng),
            _ => Ok(()),
        });
        if let Err(what) = outcome {
            let place = format!("operation {number} of step {step}, {trouble:?}: {what}");
            panic!("{}", chance.at(&place));
        }
    }
    bench
        .cut(rng)
        .unwrap_or_else(|what| panic!("{}", chance.at(&what)));
    bench
}

/// Goal: whichever operation of the disk fails, once or from then on, nothing acknowledged is lost,
/// nobody is told wrong, and the vault works as soon as the disk does. Method: let the first,
/// second, ... operation of every step of a mixed load fail, reads and the trail's included, half
/// of a failing write done now and then; mend the disk, work on, look at everything.
#[test]
fn d1_whatever_operation_fails_nothing_acknowledged_is_lost() {
    let chance = Seeded::new("D1");
    let steps = chance.runs(STEPS);
    let (mut failures, mut unknown, mut there) = (0, 0, 0);
    for number in 0.. {
        let bench = fail_everywhere(&chance, steps, number, |turn, rng| Trouble {
            once: turn.is_multiple_of(2),
            reads: true,
            half: rng.bool(),
            ..Trouble::default()
        });
        failures += bench.failures;
        unknown += bench.unknown;
        there += bench.there;
        if bench.failures == 0 {
            break;
        }
    }
    assert!(failures > 10 * steps, "only {failures} failures");
    println!("D1: {failures} failures, {unknown} steps told so, {there} of them there");
}

/// Goal: a sync that fails once and then succeeds, as Linux does after it has thrown away what it
/// could not write, never makes a success of that commit, nor harms a later one. Method: let the
/// first, second, ... sync of every step fail, and lose what was waiting for it; work on, cut the
/// power, look at everything.
#[test]
fn d3_a_sync_that_fails_once_is_never_taken_for_one_that_succeeded() {
    let chance = Seeded::new("D3");
    let steps = chance.runs(STEPS);
    let mut failures = 0;
    for number in 0.. {
        let bench = fail_everywhere(&chance, steps, number, |_, _| Trouble {
            once: true,
            syncs_only: true,
            loses: true,
            ..Trouble::default()
        });
        failures += bench.failures;
        if bench.failures == 0 {
            break;
        }
    }
    assert!(failures > steps, "only {failures} failures");
    println!("D3: {failures} failed syncs");
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
