//! Every figure of the product in one run, as ratios to the limits measured beside it.
//!
//! ```sh
//! cargo bench --bench figures                  # every section
//! cargo bench --bench figures -- fetch write   # some
//! cargo bench --bench figures -- --full        # with a million records too
//! cargo bench --bench figures -- --quick       # a smoke run
//! ```
//! Measures: the real binary as a process, the library in process, and beside each, in the same
//! run and in turns with it, what it cannot be faster than: a bare hyper, a bare redb, a bare disk.
//! Each figure is the median of its rounds, with the least and the most of them. The machine is
//! shared, so that only ratios of one table mean anything.
//!
//! Does not measure: other machines, networks or disks, or anything by a single try. A target that
//! is missed is said and fails nothing; an answer that is wrong or missing fails the run.

mod answers;
mod client;
mod console;
mod dataset;
mod embedded;
mod fetch;
mod hello;
mod least;
mod load;
mod machine;
mod plan;
mod plot;
mod process;
mod provider;
mod raw;
mod refresh;
mod report;
mod rounds;
mod scale;
mod size;
mod start;
mod steady;
mod tls;
mod write;

use std::process::ExitCode;

use clap::Parser;

use self::plan::{Arguments, Plan, Section};

/// What anything here may end with: a figure that cannot be had ends the run, with why.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let done = match words.next().as_deref() {
        // Ourselves, started by ourselves.
        Some(hello::WORD) => hello::run(words),
        Some(least::WORD) => least::run(words),
        _ => figures(&Arguments::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn figures(arguments: &Arguments) -> Outcome<()> {
    let plan = Plan::new(arguments)?;
    println!("{}", machine::describe()?);
    println!("{}", plan.describe());
    let mut data = dataset::Shelf::new(&plan)?;
    for section in plan.sections() {
        println!("\n== {}\n", section.title());
        match section {
            Section::Fetch => fetch::run(&plan, &mut data)?,
            Section::Embedded => embedded::run(&plan, &mut data)?,
            Section::Write => write::run(&plan, &mut data)?,
            Section::Start => start::run(&plan, &mut data)?,
            Section::Size => size::run(&plan, &mut data)?,
            Section::Refresh => refresh::run(&plan, &mut data)?,
            Section::Console => console::run(&plan, &mut data)?,
            Section::Scale => scale::run(&plan, &mut data)?,
        }
    }
    Ok(())
}
