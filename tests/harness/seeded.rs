//! Chance for the harnesses: seeded, printed, replayed.
//!
//! ```text
//! STRONGROOM_SEED=0x5eed   replays a run; without it every run has another seed
//! STRONGROOM_RUNS=10000    runs that many cases instead of the gate's number
//! ```
//!
//! A replay makes the same choices. It is exact where a harness does nothing beside them. It is
//! approximate where keys, nonces and ids come from the system, and where threads or processes run
//! beside the driver: the trail's syncer, the writer's grouping of what waits, a rotation's worker,
//! kills by the clock. There the same seed gives the same steps, and their writes may fall
//! otherwise; run it a few times.
//!
//! It promises: whoever reads a failure reads what repeats it: the seed the run began with,
//! whichever case it is, and the number of cases where that was given.
//! It never: decides anything but by its seed.

/// A harness's chance, and how many cases it runs.
pub struct Seeded {
    /// The harness, as the test catalogue calls it.
    name: &'static str,
    /// The seed the run began with, which repeats it.
    root: u64,
    /// Which case this is, and of which case: the outermost first.
    cases: Vec<u64>,
    seed: u64,
    rng: fastrand::Rng,
}

impl Seeded {
    /// Takes the seed from `STRONGROOM_SEED`, or a new one, and prints it.
    pub fn new(name: &'static str) -> Self {
        let seed = match std::env::var("STRONGROOM_SEED") {
            Ok(text) => parse(&text).expect("STRONGROOM_SEED is a number, such as 0x5eed"),
            Err(_) => fastrand::u64(..),
        };
        let seeded = Self::with(name, seed);
        println!("{name}: seed {seed:#x}; replay with {}", seeded.replay());
        seeded
    }

    /// A harness's chance from a seed of the test's own.
    pub fn with(name: &'static str, seed: u64) -> Self {
        Self {
            name,
            root: seed,
            cases: Vec::new(),
            seed,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// How many cases to run: `STRONGROOM_RUNS`, or the gate's number.
    pub fn runs(&self, gate: u64) -> u64 {
        runs_asked_for().unwrap_or(gate)
    }

    /// The rest of chance.
    pub fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }

    /// A harness's chance for one case: it depends on the seed and the case alone, so that one
    /// case is repeated without those before it.
    pub fn case(&self, case: u64) -> Self {
        // Fibonacci hashing spreads neighbouring cases apart.
        let seed = self.seed ^ (case + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            root: self.root,
            cases: [self.cases.as_slice(), &[case]].concat(),
            ..Self::with(self.name, seed)
        }
    }

    /// Where a failure happened, for its message.
    pub fn at(&self, step: &str) -> String {
        let cases: Vec<String> = self.cases.iter().map(u64::to_string).collect();
        let case = match cases.is_empty() {
            true => String::new(),
            false => format!(", case {},", cases.join(".")),
        };
        format!("{}{case} at {step} ({})", self.name, self.replay())
    }

    /// What to set to repeat the run. Where the number of cases was given, what a case is may
    /// depend on it; the gate's own number needs no saying.
    fn replay(&self) -> String {
        let runs = runs_asked_for().map(|runs| format!(" STRONGROOM_RUNS={runs}"));
        format!(
            "STRONGROOM_SEED={:#x}{}",
            self.root,
            runs.unwrap_or_default()
        )
    }
}

fn runs_asked_for() -> Option<u64> {
    let text = std::env::var("STRONGROOM_RUNS").ok()?;
    Some(text.parse().expect("STRONGROOM_RUNS is a number"))
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
