//! From exec to the first answer, and from unlocking to the first token.
//!
//! Measures: the real binary on a data directory: how long until `GET /health` is answered (it
//! opens the store and checks the file whole), then how long an unlock by recovery code takes,
//! before which stands no key derivation (it adds up the ledger over every record), then the first
//! token. After an end in order, and after kill -9 in the middle of writing; with the file in the
//! page cache and without. And the same where the file is checked behind the first answers.
//!
//! Does not measure: the key derivation of a passphrase, which takes as long as it was made to
//! take, or a machine that has just started: the binary itself stays in memory.

use std::time::{Duration, Instant};

use crate::answers::Template;
use crate::dataset::{Replica, Shelf, fetch_body};
use crate::load::{Expect, Load, Users};
use crate::plan::Plan;
use crate::process::Server;
use crate::report::{Bound, table, target};
use crate::rounds::{Rounds, number};
use crate::{Outcome, client, machine, write};

/// What counts as many records, and how often they are started with: each start reads them all.
const MANY: usize = 200_000;
const ROUNDS_OF_MANY: usize = 3;

/// The parts of a start.
#[derive(Default)]
pub struct Start {
    locked_ms: Rounds,
    unlock_ms: Rounds,
    token_ms: Rounds,
    /// All of them.
    pub all_ms: Rounds,
}

/// How the vault was left, and where its file is.
#[derive(Clone, Copy)]
struct Before {
    is_killed: bool,
    is_cold: bool,
    /// The check comes behind the first answers.
    is_behind: bool,
}

/// Runs the section.
pub fn run(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let mut lines = Vec::new();
    let mut warm_ms = Vec::new();
    for records in &plan.records {
        let copy = data.copy(*records)?;
        for case in 0..8 {
            let [is_killed, is_cold, is_behind] = [2, 1, 4].map(|bit| case & bit != 0);
            let before = Before {
                is_killed,
                is_cold,
                is_behind,
            };
            let start = measure(plan, &copy, before)?;
            lines.push(vec![
                number(*records as f64),
                if is_killed {
                    "kill -9 while writing"
                } else {
                    "in order"
                }
                .into(),
                if is_cold { "cold" } else { "warm" }.into(),
                if is_behind { "behind" } else { "first" }.into(),
                start.locked_ms.to_string(),
                start.unlock_ms.to_string(),
                start.token_ms.to_string(),
                start.all_ms.to_string(),
            ]);
            if case == 0 {
                warm_ms.push((*records, start.all_ms.median()));
            }
        }
    }
    let head = [
        "records",
        "ended",
        "page cache",
        "check",
        "exec to health ms",
        "unlock ms",
        "first token ms",
        "all ms",
    ];
    table(&head, &lines);
    for (records, all_ms) in &warm_ms {
        if *records == 100_000 {
            let what = "start at 100,000 records, warm, besides the derivation, s";
            target(what, all_ms / 1000.0, Bound::AtMost(0.3));
        }
    }
    for pair in warm_ms.windows(2) {
        let [(few, few_ms), (many, many_ms)] = pair else {
            continue;
        };
        let (times, slower) = (*many as f64 / *few as f64, many_ms / few_ms);
        println!(
            "growth, warm: {} times the records take {} times as long",
            number(times),
            number(slower)
        );
    }
    Ok(())
}

fn measure(plan: &Plan, copy: &Replica, before: Before) -> Outcome<Start> {
    let mut start = Start::default();
    let rounds = match copy.records > MANY {
        true => plan.rounds.min(ROUNDS_OF_MANY),
        false => plan.rounds,
    };
    for _ in 0..rounds {
        leave(plan, copy, before.is_killed)?;
        match before.is_cold {
            true => machine::forget_pages(&copy.data())?,
            false => machine::read_pages(&copy.data())?,
        }
        let more: &[&str] = match before.is_behind {
            true => &["--check-behind"],
            false => &[],
        };
        start.once(plan, copy, more)?.end()?;
    }
    Ok(start)
}

impl Start {
    /// One start more, with these arguments besides; the server comes back, unlocked.
    pub fn once(&mut self, plan: &Plan, copy: &Replica, more: &[&str]) -> Outcome<Server> {
        let server = Server::vault(&plan.binary, &copy.data(), more, None)?;
        let host = server.address.to_string();
        let health = Template::new("GET", "/health", &host, "", "");
        client::ask(server.address, None, &health)?;
        let answered = Instant::now();
        unlock(&server, &copy.about.recovery_code)?;
        let unlocked = Instant::now();
        let key = &copy.about.reader;
        let mut fetch = Template::new("POST", "/v1/token", &host, key, &fetch_body());
        fetch.aim(fastrand::usize(..copy.records));
        client::ask(server.address, None, &fetch)?;
        let handed = Instant::now();
        self.locked_ms.push(ms(answered - server.begun));
        self.unlock_ms.push(ms(unlocked - answered));
        self.token_ms.push(ms(handed - unlocked));
        self.all_ms.push(ms(handed - server.begun));
        Ok(server)
    }
}

/// Unlocks a server with a passphrase or a recovery code.
pub fn unlock(server: &Server, typed: &str) -> Outcome<()> {
    let body = serde_json::json!({ "passphrase": typed }).to_string();
    let host = server.address.to_string();
    let request = Template::new("POST", "/v1/unlock", &host, "", &body);
    client::ask(server.address, None, &request).map(drop)
}

/// Has the vault written to, and leaves it: ended in order, or killed with writes under way.
fn leave(plan: &Plan, copy: &Replica, is_killed: bool) -> Outcome<()> {
    let key_file = copy.key_file();
    let more = [
        "--key-file",
        key_file.to_str().ok_or("a path that is no text")?,
    ];
    let server = Server::vault(&plan.binary, &copy.data(), &more, None)?;
    let template = write::put(copy, &server);
    // The same few users each time, so that the vault does not grow.
    let load = Load {
        address: server.address,
        tls: None,
        connections: 8,
        template: &template,
        users: &mut Users::Any(0..8),
        expect: Expect::With("\"user\":\"u"),
        time: Duration::from_millis(50),
    };
    load.run(&|| server.cpu())?;
    if !is_killed {
        return server.end();
    }
    std::thread::scope(|threads| {
        let address = server.address;
        let template = &template;
        let writing = threads.spawn(move || {
            let load = Load {
                address,
                tls: None,
                connections: 8,
                template,
                users: &mut Users::Any(0..8),
                expect: Expect::With("\"user\":\"u"),
                time: Duration::from_secs(60),
            };
            // It ends by our kill, and with an error for that.
            load.run(&|| Ok(Duration::ZERO)).is_err()
        });
        // Until some of it is done.
        let begun = (server.cpu()?, Instant::now());
        while server.cpu()? < begun.0 + Duration::from_millis(20) {
            if begun.1.elapsed() > Duration::from_secs(20) {
                break;
            }
        }
        server.kill()?;
        match writing.join() {
            Ok(true) => Ok(()),
            _ => Err("a load that outlived its server".into()),
        }
    })
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
