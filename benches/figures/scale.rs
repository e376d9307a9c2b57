//! Each cost against the number of records, drawn, and said in a sentence.
//!
//! Measures: processor time of a fetch over HTTP at 8 connections, a fetch in process, a list of
//! one user's tokens in process (of a set that this version made: a kept one of an earlier version
//! has to be filled first), a start from exec to the first token with the page cache warm, resident
//! memory after fetches, and bytes of disk a record, from a thousand records to the most of this
//! run. Does not measure: anything beside a limit; the other sections do.

use std::fs;
use std::path::Path;

use crate::dataset::{Replica, Shelf};
use crate::embedded::Inside;
use crate::fetch;
use crate::plan::Plan;
use crate::plot::{Curve, svg};
use crate::report::table;
use crate::rounds::{Rounds, number};
use crate::start::Start;
use crate::{Outcome, machine};

/// Record counts, in half decades, up to the most of the run.
const COUNTS: [usize; 7] = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000];
/// The same for a smoke run.
const COUNTS_QUICK: [usize; 2] = [100, 300];

/// What is measured at each count: its name and unit.
const COSTS: [(&str, &str); 6] = [
    ("Fetch over HTTP", "CPU us a request, 8 connections"),
    ("Fetch in process", "us a call"),
    ("List by user, in process", "us a call"),
    ("Start, warm", "ms from exec to the first token"),
    ("Memory under load", "MiB resident"),
    ("Disk", "bytes a record, fresh"),
];

/// Runs the section.
pub fn run(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let most = plan.records.last().copied().unwrap_or_default();
    let counts = plan.choose(COUNTS_QUICK.as_slice(), COUNTS.as_slice());
    let mut curves = COSTS.map(|(name, unit)| Curve {
        name,
        unit,
        points: Vec::new(),
    });
    let mut lines = Vec::new();
    for records in counts.iter().filter(|count| **count <= most) {
        let costs = costs(plan, &data.copy(*records)?)?;
        let mut line = vec![number(*records as f64)];
        for (curve, cost) in curves.iter_mut().zip(costs) {
            curve.points.push((*records as f64, cost));
            line.push(number(cost));
        }
        lines.push(line);
    }
    let names = COSTS.map(|(name, unit)| format!("{name}: {unit}"));
    let mut head = vec!["records"];
    head.extend(names.iter().map(String::as_str));
    table(&head, &lines);
    for curve in &curves {
        println!("{}", sentence(curve));
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.with_file_name("figures");
    fs::create_dir_all(&folder)?;
    let file = folder.join("scale.svg");
    fs::write(
        &file,
        svg("Strongroom: cost against the number of records", &curves),
    )?;
    println!("drawn: {}", file.display());
    Ok(())
}

/// Every cost, in their order.
fn costs(plan: &Plan, copy: &Replica) -> Outcome<[f64; COSTS.len()]> {
    let disk = machine::disk_bytes(&copy.file())? as f64 / copy.records as f64;
    let mut start = Start::default();
    for _ in 0..plan.rounds {
        machine::read_pages(&copy.data())?;
        start.once(plan, copy, &[])?.end()?;
    }
    let inside = Inside::open(copy)?;
    let (mut embedded, mut listed) = (Rounds::default(), Rounds::default());
    for _ in 0..plan.rounds {
        embedded.push(inside.fetch_us(plan.row)?);
        listed.push(inside.list_us(plan.row)?);
    }
    inside.close()?;
    let (cpu_us, resident_mib) = fetch::cost(plan, copy)?;
    let start_ms = start.all_ms.median();
    Ok([
        cpu_us,
        embedded.median(),
        listed.median(),
        start_ms,
        resident_mib,
        disk,
    ])
}

/// What grows, how.
fn sentence(curve: &Curve) -> String {
    let (times, power) = (curve.growth(), curve.power());
    let how = match power {
        less if less < -0.05 => "falls: what is fixed is shared by more".to_owned(),
        flat if flat < 0.03 => "stays as it is".to_owned(),
        slow if slow < 0.3 => "grows slowly, as depth and cache misses do".to_owned(),
        part if part < 0.8 => format!("grows like the power {} of the count", number(part)),
        _ => "grows in proportion, behind what is fixed".to_owned(),
    };
    let ends: Vec<f64> = curve.points.iter().map(|point| point.0).collect();
    let (from, to) = match ends.as_slice() {
        [first, .., last] => (*first, *last),
        _ => return format!("{}: one count alone tells nothing", curve.name),
    };
    format!(
        "{} ({}) {how}: from {} to {} records {} times",
        curve.name,
        curve.unit,
        number(from),
        number(to),
        number(times)
    )
}
