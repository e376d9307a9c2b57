//! Chance for the harnesses: seeded, printed, replayed.
//!
//! ```text
//! STRONGROOM_SEED=0x5eed   replays a run; without it every run has another seed
//! STRONGROOM_RUNS=10000    runs that many cases instead of the gate's number
//! ```
//!
//! It promises: whoever reads a failure reads the seed that repeats it.
//! It never: decides anything but by its seed.

/// A harness's chance, and how many cases it runs.
pub struct Seeded {
    /// The harness, as the test catalogue calls it.
    name: &'static str,
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
        println!("{name}: seed {seed:#x}; replay with STRONGROOM_SEED={seed:#x}");
        Self::with(name, seed)
    }

    /// A harness's chance from a seed of the test's own.
    pub fn with(name: &'static str, seed: u64) -> Self {
        Self {
            name,
            seed,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// How many cases to run: `STRONGROOM_RUNS`, or the gate's number.
    pub fn runs(&self, gate: u64) -> u64 {
        match std::env::var("STRONGROOM_RUNS") {
            Ok(text) => text.parse().expect("STRONGROOM_RUNS is a number"),
            Err(_) => gate,
        }
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
        Self::with(self.name, seed)
    }

    /// Where a failure happened, for its message.
    pub fn at(&self, step: &str) -> String {
        format!("{} at {step} (STRONGROOM_SEED={:#x})", self.name, self.seed)
    }
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
