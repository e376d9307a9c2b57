//! Lives that end all the time, as those of a million tokens do that live for an hour.
//!
//! Measures: as many tokens as the largest record count, each with a life in proportion (of a
//! million one hour, of 10,000 thirty-six seconds), so that as many fall due a second as of a
//! million. They are stored with ends spread over a life; then the real binary runs beside the
//! sandbox provider for a while, and fetches go on over 2 connections. Told is how many were
//! refreshed a second, what it took, what fetches suffered, and how long before its end each was
//! refreshed.
//!
//! Does not measure: lives of which all is lived through; the while is twenty seconds.

use std::time::Duration;

use strongroom::clock::{Clock, Timestamp};

use crate::Outcome;
use crate::dataset::{Replica, Shelf};
use crate::plan::Plan;
use crate::process::Server;
use crate::provider::Provider;
use crate::refresh::{each_token, fetches, prepare_with, serve};
use crate::report::{Bound, target};
use crate::rounds::{number, percentile};

const AN_HOUR: Duration = Duration::from_secs(3600);
/// Of so many tokens the life is an hour.
const A_MILLION: f64 = 1e6;
const SHORTEST_LIFE: Duration = Duration::from_secs(4);
/// So many are stored a second at least: those that end first are stored by then.
const STORED_A_SECOND: f64 = 1000.0;
/// How many are looked at in the end, in pages of a thousand.
const PAGES: usize = 5;

/// Runs the case.
pub fn run(plan: &Plan, data: &mut Shelf, provider: &Provider) -> Outcome<()> {
    let count = plan.records.last().copied().unwrap_or_default();
    let whole = count as f64;
    let life = AN_HOUR.mul_f64(whole / A_MILLION).max(SHORTEST_LIFE);
    provider.set_life(life);
    let copy = data.copy(plan.usual())?;
    let clock = Clock::system();
    let begin = clock
        .now()
        .plus(Duration::from_secs_f64(whole / STORED_A_SECOND));
    let ends = |number: usize| begin.plus(life.mul_f64(number as f64 / whole));
    prepare_with(&copy, provider, count, &|number| Some(ends(number)))?;
    let server = serve(plan, &copy, provider)?;
    let time = Duration::from_secs(plan.choose(1, 20));
    let quiet = fetches(&copy, &server, time / 4)?;
    // What is looked at lies in the middle of a life.
    let middle = begin.plus(life / 4);
    provider.paced(2, middle.since(clock.now()) * 2, |_| Ok(()))?;
    let (before, cpu) = (provider.refreshed(), server.cpu()?);
    let meanwhile = fetches(&copy, &server, time)?;
    let refreshed = (provider.refreshed() - before) as f64 / time.as_secs_f64();
    let cpu = (server.cpu()? - cpu).as_secs_f64();
    let (ahead_ms, late) = ahead_ms(&copy, &server, (count, life), &ends)?;
    server.end()?;
    println!(
        "{} tokens with lives of {} s: {} refreshed a second beside {} fetches a second, by {} % \
         of a core",
        number(whole),
        number(life.as_secs_f64()),
        number(refreshed),
        number(meanwhile.rate()),
        number(100.0 * cpu / time.as_secs_f64()),
    );
    println!(
        "{} of them looked at: refreshed before their ends by {} s (p50), {} s (least); {late} \
         were late",
        ahead_ms.len() + late,
        number(percentile(&ahead_ms, 0.5) / 1e3),
        number(percentile(&ahead_ms, 0.0) / 1e3),
    );
    let suffered = meanwhile.latency_us(0.99) / quiet.latency_us(0.99);
    let what = "p99 of fetches while lives end / before";
    target(what, suffered, Bound::AtMost(2.0));
    Ok(())
}

/// Of some tokens, how long before its first end each was refreshed, in milliseconds, rising; and
/// how many had ended by then, or have ended and were not.
fn ahead_ms(
    copy: &Replica,
    server: &Server,
    (count, life): (usize, Duration),
    ends: &dyn Fn(usize) -> Timestamp,
) -> Outcome<(Vec<u32>, usize)> {
    let (mut ahead_ms, mut late) = (Vec::new(), 0);
    let now = Clock::system().now();
    let pages = PAGES.min(count.div_ceil(1000));
    each_token(copy, server, pages, &mut |token| {
        let user = token["user"]
            .as_str()
            .and_then(|user| user.strip_prefix('b'));
        let end = ends(user.ok_or("a user of another name")?.parse()?);
        let at = token["last_refreshed_at"]
            .as_str()
            .and_then(Timestamp::parse);
        match at {
            Some(at) if at <= end => {
                let ahead = end.since(at).as_millis();
                ahead_ms.push(u32::try_from(ahead).unwrap_or(u32::MAX));
            }
            // Later than that it was for the second time.
            Some(at) if at <= end.plus(life / 8) => late += 1,
            None if end <= now => late += 1,
            _ => {}
        }
        Ok(())
    })?;
    ahead_ms.sort_unstable();
    Ok((ahead_ms, late))
}
