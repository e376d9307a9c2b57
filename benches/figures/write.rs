//! `PUT /v1/tokens` by many writers at one time, beside redb and the disk alone.
//!
//! Measures: new tokens of about 1 KiB sealed, stored through the real binary, each answered after
//! the fsync that made it durable, by 1 to 512 connections with one request out on each; beside it
//! redb alone with the same settings (two phases, quick repair) that commits groups of as many
//! values of the same length, once to one table and once with the index entries and the ledger that
//! the vault keeps for each; and a file that as many bytes are appended to and synced.
//!
//! Does not measure: rewriting what is there (`size` and `refresh` do), or other disks: where a
//! sync takes longer, groups grow and the rates fall together.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::answers::{PLACE, Template};
use crate::dataset::{APP, Replica, Shelf, access_token, refresh_token};
use crate::load::{Expect, Load, Users};
use crate::plan::Plan;
use crate::process::Server;
use crate::raw::{self, Log, Raw};
use crate::report::{Bound, table, target};
use crate::rounds::{Rounds, number, percentile};

/// Records a second, and what each commit or answer takes.
#[derive(Default)]
struct Row {
    rate: Rounds,
    p50_us: Rounds,
    p99_us: Rounds,
}

const NAMES: [&str; 4] = [
    "PUT /v1/tokens",
    "redb, one table",
    "redb, the same tables",
    "append + fdatasync",
];

/// The four of one number of writers.
type Rows = [Row; NAMES.len()];

/// Runs the section.
pub fn run(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let copy = data.copy(plan.usual())?;
    let sizes = raw::sizes(&copy)?;
    let beside = copy.data().with_file_name("raw.redb");
    let (redb, _) = Raw::filled(&beside, copy.records, sizes)?;
    let mut log = Log::new(&beside.with_extension("log"))?;
    let server = serve(plan, &copy)?;
    let template = put(&copy, &server);
    let mut users = Users::Next(copy.records);
    let writers: &[usize] = plan.choose(&[1, 8], &[1, 8, 64, 512]);
    let mut rows: Vec<Rows> = writers.iter().map(|_| Rows::default()).collect();
    for _ in 0..plan.rounds {
        for (count, row) in writers.iter().zip(&mut rows) {
            let load = Load {
                address: server.address,
                tls: None,
                connections: *count,
                template: &template,
                users: &mut users,
                expect: Expect::With("\"user\":\"u"),
                time: plan.row,
            };
            let measured = load.run(&|| server.cpu())?;
            row[0].rate.push(measured.rate());
            row[0].p50_us.push(measured.latency_us(0.5));
            row[0].p99_us.push(measured.latency_us(0.99));
            row[1].take(*count, plan.row, || redb.commit(*count, false))?;
            row[2].take(*count, plan.row, || redb.commit(*count, true))?;
            row[3].take(*count, plan.row, || log.append(*count * sizes.record))?;
        }
    }
    server.end()?;
    show(writers, &rows);
    println!(
        "(new records of {} bytes sealed, {} there before)",
        sizes.record, copy.records
    );
    judge(writers, &rows);
    Ok(())
}

impl Row {
    /// Commits groups for so long, one after the other.
    fn take(
        &mut self,
        group: usize,
        time: Duration,
        mut commit: impl FnMut() -> Outcome<()>,
    ) -> Outcome<()> {
        let mut took_ns = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < time {
            let from = Instant::now();
            commit()?;
            took_ns.push(u32::try_from(from.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        let records = (took_ns.len() * group) as f64;
        self.rate.push(records / begun.elapsed().as_secs_f64());
        took_ns.sort_unstable();
        self.p50_us.push(percentile(&took_ns, 0.5) / 1000.0);
        self.p99_us.push(percentile(&took_ns, 0.99) / 1000.0);
        Ok(())
    }
}

/// The product on this data, unlocked.
fn serve(plan: &Plan, copy: &Replica) -> Outcome<Server> {
    let key_file = copy.key_file();
    let more = [
        "--key-file",
        key_file.to_str().ok_or("a path that is no text")?,
    ];
    Server::vault(&plan.binary, &copy.data(), &more, None)
}

/// The request that stores a token.
pub fn put(copy: &Replica, server: &Server) -> Template {
    let (access, refresh) = (access_token(PLACE), refresh_token(PLACE));
    let body = serde_json::json!({
        "app": APP, "user": format!("u{PLACE}"), "scopes": ["calendar.read"],
        "expires_at": "2099-01-01T00:00:00Z", "access_token": access, "refresh_token": refresh,
    });
    let body = body.to_string();
    let host = server.address.to_string();
    Template::new("PUT", "/v1/tokens", &host, &copy.about.admin, &body)
}

fn show(writers: &[usize], rows: &[Rows]) {
    let mut lines = Vec::new();
    for (count, rows) in writers.iter().zip(rows) {
        for (name, row) in NAMES.iter().zip(rows) {
            lines.push(vec![
                count.to_string(),
                (*name).to_owned(),
                row.rate.to_string(),
                number(rows[0].rate.median() / row.rate.median()),
                row.p50_us.to_string(),
                row.p99_us.to_string(),
            ]);
        }
    }
    let head = [
        "writers, or group",
        "what",
        "records/s",
        "PUT's ratio to it",
        "p50 us",
        "p99 us",
    ];
    table(&head, &lines);
}

fn judge(writers: &[usize], rows: &[Rows]) {
    let at = |wanted: usize| writers.iter().position(|count| *count == wanted);
    let (Some(one), Some(many)) = (at(1), at(64)) else {
        return;
    };
    let rate = |at: usize, what: usize| rows[at][what].rate.median();
    let gain = rate(many, 0) / rate(one, 0);
    target("64 writers / one writer", gain, Bound::AtLeast(8.0));
    let beside = rate(many, 0) / rate(many, 1);
    let what = "64 writers / redb, groups of 64, one table";
    target(what, beside, Bound::AtLeast(0.7));
    let same = rate(many, 0) / rate(many, 2);
    println!(
        "64 writers / redb, groups of 64, the same tables: {}",
        number(same)
    );
}
