//! `Vault::fetch` in process, beside a raw redb get and open of as many bytes.
//!
//! Measures: one thread that fetches tokens of random owners from a vault on disk, as a caller with
//! an access key (the policy decides, the audit entry is written to its file before the token is
//! handed out); beside it `begin_read`, `open_table`, `get`, a copy of the value and
//! XChaCha20-Poly1305 over as many bytes as a record's hot part has, from a redb file with as many
//! records of the same sizes and the same cache.
//!
//! Does not measure: the binary's allocator, which wipes what it is given back (a program that
//! embeds the vault chooses its own), several threads, or a file that is not in memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use strongroom::model::access::Caller;
use strongroom::model::{AppId, Scopes};
use strongroom::secret::Secret;
use strongroom::vault::{Ask, Filter, Found, Vault};

use crate::Outcome;
use crate::dataset::{ACCESS_BYTES, APP, Replica, Shelf, owner};
use crate::plan::Plan;
use crate::raw::{self, Raw};
use crate::report::{Bound, table, target};
use crate::rounds::{Rounds, number};

/// How many requests are made ahead.
const ASKS: usize = 20_000;

/// Runs the section.
pub fn run(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let mut lines = Vec::new();
    let mut ratios = Vec::new();
    for records in &plan.records {
        let copy = data.copy(*records)?;
        let sizes = raw::sizes(&copy)?;
        let path = copy.data().with_file_name("raw.redb");
        let (raw, keys) = Raw::filled(&path, *records, sizes)?;
        let inside = Inside::open(&copy)?;
        let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
        for _ in 0..plan.rounds {
            theirs.push(timed(plan.row, || {
                let key = &keys[fastrand::usize(..keys.len())];
                raw.fetch(black_box(key)).map(drop)
            })?);
            ours.push(inside.fetch_us(plan.row)?);
        }
        inside.close()?;
        let ratio = ours.median() / theirs.median();
        ratios.push((*records, ratio));
        let sized = format!("{} of {}", sizes.hot, sizes.record);
        lines.push(vec![
            number(*records as f64),
            sized,
            theirs.to_string(),
            ours.to_string(),
            number(ratio),
        ]);
    }
    let head = [
        "records",
        "bytes opened",
        "raw get + open us",
        "Vault::fetch us",
        "ratio",
    ];
    table(&head, &lines);
    for (records, ratio) in ratios {
        let what = format!("embedded fetch / raw get + open, {records} records");
        target(&what, ratio, Bound::AtMost(1.5));
    }
    Ok(())
}

/// A vault in this process, and who asks it for what.
pub struct Inside {
    vault: Vault,
    caller: Caller,
    asks: Vec<Ask>,
}

impl Inside {
    /// Opens and unlocks it.
    pub fn open(copy: &Replica) -> Outcome<Self> {
        let vault = copy.open()?;
        let key = Secret::new(copy.about.reader.clone());
        let caller = vault.authenticate(Some(&key), "127.0.0.1:1")?;
        let asks = (0..ASKS.min(copy.records)).map(|_| {
            Ok(Ask {
                app: AppId::parse(APP)?,
                owner: owner(fastrand::usize(..copy.records))?,
                account: None,
                scopes: None::<Scopes>,
                min_ttl: Duration::ZERO,
                with_refresh_token: false,
            })
        });
        let asks = asks.collect::<Outcome<Vec<_>>>()?;
        Ok(Self {
            vault,
            caller,
            asks,
        })
    }

    /// Microseconds of a fetch, over so long.
    pub fn fetch_us(&self, time: Duration) -> Outcome<f64> {
        let mut next = 0;
        timed(time, || {
            next = (next + 1) % self.asks.len();
            match self
                .vault
                .fetch(&self.caller, black_box(&self.asks[next]))?
            {
                Found::Fresh(handed) if handed.value.expose().len() == ACCESS_BYTES => Ok(()),
                _ => Err("a fetch that brought something else".into()),
            }
        })
    }

    /// Microseconds of a list of one user's tokens, in whatever tenant, over so long.
    pub fn list_us(&self, time: Duration) -> Outcome<f64> {
        let filters = self.asks.iter().map(|ask| Filter {
            user: ask.owner.user().cloned(),
            ..Filter::default()
        });
        let filters: Vec<Filter> = filters.collect();
        let mut next = 0;
        timed(time, || {
            next = (next + 1) % filters.len();
            let filter = black_box(&filters[next]);
            let page = self.vault.list(&self.caller, filter, 100, None)?;
            match (page.tokens.len(), page.cursor) {
                (1, None) => Ok(()),
                _ => Err("a list that brought something else".into()),
            }
        })
    }

    /// Closes it.
    pub fn close(self) -> Outcome<()> {
        self.vault.close().map_err(Into::into)
    }
}

/// Microseconds each call of `work` takes, over so long; a tenth of it goes before.
fn timed(time: Duration, mut work: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    repeat(time / 10, &mut work)?;
    let (calls, took) = repeat(time, &mut work)?;
    Ok(took.as_secs_f64() * 1e6 / f64::from(calls))
}

fn repeat(time: Duration, work: &mut impl FnMut() -> Outcome<()>) -> Outcome<(u32, Duration)> {
    let (begun, mut calls) = (Instant::now(), 0);
    while begun.elapsed() < time {
        work()?;
        calls += 1;
    }
    Ok((calls, begun.elapsed()))
}
