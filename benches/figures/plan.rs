//! What is run, how large and how long: the arguments, and what follows from them.
//!
//! Measures nothing; says what the others measure.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::Outcome;

/// The arguments. Cargo adds `--bench`.
#[derive(Debug, Parser)]
#[command(name = "figures", about = "Measures Strongroom beside its limits")]
pub struct Arguments {
    /// Sections to run; every one where none is named.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// A smoke run: every section, a few hundred records, a fraction of a second for each row.
    #[arg(long)]
    quick: bool,
    /// Run with a million records too: some minutes more, and about 15 GB of disk.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Record counts, in place of the run's own.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    records: Vec<usize>,
    /// Rounds of each row.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds of each row in each round.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Another strongroom than the one built with this bench.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Keep the data sets in this directory, and take those that are there already.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// What cargo says to a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A section of the run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Section {
    /// Fetching a token over HTTP, beside a bare hyper.
    Fetch,
    /// Fetching in process, beside redb and the cipher alone.
    Embedded,
    /// Storing over HTTP, beside redb and the disk alone.
    Write,
    /// From exec to the first answer and the first token.
    Start,
    /// Binary, memory, disk.
    Size,
    /// Refreshing what falls due, and what fetches suffer meanwhile.
    Refresh,
    /// The operator's console: screens and memory against the record count.
    Console,
    /// Costs against the record count, drawn.
    Scale,
}

impl Section {
    /// What stands over its tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fetch => "fetch: POST /v1/token beside a bare hyper",
            Self::Embedded => "embedded: Vault::fetch in process beside redb and the cipher",
            Self::Write => "write: PUT /v1/tokens beside redb and the disk",
            Self::Start => "start: exec to first answer, unlock to first token",
            Self::Size => "size: binary, memory, disk",
            Self::Refresh => "refresh: what falls due, what fetches suffer, what idling costs",
            Self::Console => "console: its screens and its memory against the record count",
            Self::Scale => "scale: costs against the record count",
        }
    }
}

/// What is run.
pub struct Plan {
    sections: Vec<Section>,
    /// Record counts, rising.
    pub records: Vec<usize>,
    /// Rounds of each row.
    pub rounds: usize,
    /// Length of each row in each round.
    pub row: Duration,
    /// A smoke run.
    pub is_quick: bool,
    /// The program to measure.
    pub binary: PathBuf,
    /// Where data sets are kept, if they are.
    pub keep: Option<PathBuf>,
}

impl Plan {
    /// What the arguments ask for.
    pub fn new(arguments: &Arguments) -> Outcome<Self> {
        // An unoptimised build has no figures to give, whatever it is asked for.
        let quick = arguments.quick || cfg!(debug_assertions);
        let full = arguments.full;
        let usual: &[usize] = match (quick, full) {
            (true, _) => &[300],
            (false, false) => &[10_000, 100_000],
            (false, true) => &[10_000, 100_000, 1_000_000],
        };
        let mut records = arguments.records.clone();
        if records.is_empty() {
            records = usual.to_vec();
        }
        records.sort_unstable();
        records.dedup();
        if records.first().is_none_or(|least| *least < 100) {
            return Err("`--records` takes counts from 100 on".into());
        }
        let seconds = arguments.seconds.unwrap_or(if quick { 0.1 } else { 0.6 });
        let sections = match arguments.sections.is_empty() {
            true => Section::value_variants().to_vec(),
            false => arguments.sections.clone(),
        };
        let built = PathBuf::from(env!("CARGO_BIN_EXE_strongroom"));
        Ok(Self {
            sections,
            records,
            rounds: arguments.rounds.unwrap_or(if quick { 1 } else { 5 }).max(1),
            row: Duration::try_from_secs_f64(seconds.clamp(0.05, 60.0))?,
            is_quick: quick,
            binary: arguments.binary.clone().unwrap_or(built),
            keep: arguments.keep.clone(),
        })
    }

    /// The sections, in the order they are named in.
    pub fn sections(&self) -> impl Iterator<Item = Section> {
        self.sections.iter().copied()
    }

    /// The usual record count: the least.
    pub fn usual(&self) -> usize {
        self.records[0]
    }

    /// One of two: in a smoke run the first.
    pub fn choose<T>(&self, quick: T, else_: T) -> T {
        if self.is_quick { quick } else { else_ }
    }

    /// A line about it.
    pub fn describe(&self) -> String {
        let profile = if cfg!(debug_assertions) {
            "unoptimised: a smoke run, no figures"
        } else {
            "optimised"
        };
        format!(
            "build: {profile}; binary: {}; records: {:?}; {} rounds of {:?} a row",
            self.binary.display(),
            self.records,
            self.rounds,
            self.row
        )
    }
}
