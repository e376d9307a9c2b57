//! How much room it takes: the binary, memory, disk.
//!
//! Measures: the binary's length and whether it is stripped; resident memory when it has just
//! started, after an unlock by passphrase (whose derivation took memory and is to give it back),
//! and after a load of fetches; the blocks that the store's file takes on the disk beside the bytes
//! of all sealed tokens: as it was filled, after every token was written anew at random 30 times,
//! as a month of refreshes does, and compacted after that, where the binary can.
//!
//! Does not measure: the audit trail, which grows with what is asked and not with what is kept, or
//! the page cache, which the system takes back.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::answers::Template;
use crate::dataset::{ACCESS, PASSPHRASE, Replica, Shelf, fetch_body, fill};
use crate::load::{Expect, Load, Users};
use crate::plan::Plan;
use crate::process::Server;
use crate::report::{Bound, table, target};
use crate::rounds::number;
use crate::{Outcome, machine, raw, start};

const MIB: f64 = 1024.0 * 1024.0;
/// How often every token is written anew: once a day for a month.
const REWRITES: usize = 30;
/// The same for many records, scaled down: each takes as long as filling the vault did.
const REWRITES_OF_MANY: usize = 2;
/// What counts as many.
const MANY: usize = 50_000;

/// Runs the section.
pub fn run(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    binary(plan)?;
    memory(plan, data)?;
    disk(plan, data)
}

fn binary(plan: &Plan) -> Outcome<()> {
    let bytes = fs::metadata(&plan.binary)?.len() as f64;
    let stripped = match is_stripped(&plan.binary)? {
        true => "stripped",
        false => "NOT stripped: not the release binary",
    };
    let what = format!("binary, MiB ({stripped})");
    target(&what, bytes / MIB, Bound::AtMost(12.0));
    Ok(())
}

/// Whether an ELF file of 64 bits has no table of symbols.
fn is_stripped(path: &Path) -> Outcome<bool> {
    const SYMBOLS: u32 = 2;
    let bytes = fs::read(path)?;
    let number = |at: usize, length: usize| -> Outcome<usize> {
        let part = bytes.get(at..at + length).ok_or("a short ELF file")?;
        let value = part
            .iter()
            .rev()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        Ok(usize::try_from(value)?)
    };
    let (table, each, count) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?);
    for section in 0..count {
        if number(table + section * each + 4, 4)? == SYMBOLS as usize {
            return Ok(false);
        }
    }
    Ok(true)
}

fn memory(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let mut lines = Vec::new();
    let mut loaded = Vec::new();
    for records in &plan.records {
        let copy = data.copy(*records)?;
        let server = Server::vault(&plan.binary, &copy.data(), &[], None)?;
        let locked = server.resident_mib()?;
        start::unlock(&server, PASSPHRASE)?;
        let unlocked = server.resident_mib()?;
        let under_load = load(plan, &copy, &server)?;
        lines.push(vec![
            number(*records as f64),
            number(locked),
            number(unlocked),
            number(under_load),
        ]);
        loaded.push((*records, under_load));
        server.end()?;
    }
    let head = [
        "records",
        "RSS locked MiB",
        "unlocked by passphrase",
        "after fetches, 64 connections",
    ];
    table(&head, &lines);
    for (records, mib) in loaded {
        let bound = match records {
            10_000 => 40.0,
            1_000_000 => 128.0,
            _ => continue,
        };
        let what = format!("memory under load at {records} records, MiB");
        target(&what, mib, Bound::AtMost(bound));
    }
    Ok(())
}

/// Fetches over many connections; the server's memory after that.
pub fn load(plan: &Plan, copy: &Replica, server: &Server) -> Outcome<f64> {
    let host = server.address.to_string();
    let key = &copy.about.reader;
    let load = Load {
        address: server.address,
        tls: None,
        connections: plan.choose(8, 64),
        template: &Template::new("POST", "/v1/token", &host, key, &fetch_body()),
        users: &mut Users::Any(0..copy.records),
        expect: Expect::SameWith(ACCESS),
        time: plan.row * 3,
    };
    load.run(&|| server.cpu())?;
    server.resident_mib()
}

fn disk(plan: &Plan, data: &mut Shelf) -> Outcome<()> {
    let (mut lines, mut compacted) = (Vec::new(), Vec::new());
    let has_command = compact(plan, &["help", "compact"])?;
    for records in &plan.records {
        let copy = data.copy(*records)?;
        lines.push(line(&copy, "fresh")?.1);
        let times = if *records < MANY {
            REWRITES
        } else {
            REWRITES_OF_MANY
        };
        rewrite(&copy, plan.choose(3, times))?;
        let what = format!("each written anew {} times", plan.choose(3, times));
        lines.push(line(&copy, &what)?.1);
        if has_command {
            let (data, key_file) = (copy.data(), copy.key_file());
            let words = [
                "compact",
                "--data",
                text(&data)?,
                "--key-file",
                text(&key_file)?,
            ];
            if !compact(plan, &words)? {
                return Err("a compaction failed".into());
            }
            let (ratio, line) = line(&copy, "compacted")?;
            lines.push(line);
            compacted.push((*records, ratio));
        }
    }
    let head = [
        "records",
        "when",
        "file MiB (blocks)",
        "bytes/record",
        "sealed bytes/record",
        "file / sealed bytes",
    ];
    table(&head, &lines);
    if !has_command {
        println!("(this binary has no `compact`: nothing is measured after it)");
    }
    for (records, ratio) in compacted {
        let what = format!("file / sealed bytes at {records} records, compacted");
        target(&what, ratio, Bound::AtMost(1.4));
    }
    Ok(())
}

/// Runs a command of the binary without a server; whether it did what it was to.
fn compact(plan: &Plan, words: &[&str]) -> Outcome<bool> {
    let mut command = Command::new(&plan.binary);
    let done = command
        .env_clear()
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    Ok(done.status.success())
}

fn text(path: &Path) -> Outcome<&str> {
    path.to_str().ok_or_else(|| "a path that is no text".into())
}

/// How often the file holds the sealed bytes, and the row that says so.
fn line(copy: &Replica, when: &str) -> Outcome<(f64, Vec<String>)> {
    let sizes = raw::sizes(copy)?;
    let bytes = machine::disk_bytes(&copy.file())? as f64;
    let ratio = bytes / sizes.all as f64;
    let row = vec![
        number(copy.records as f64),
        when.to_owned(),
        number(bytes / MIB),
        number(bytes / copy.records as f64),
        number(sizes.record as f64),
        number(ratio),
    ];
    Ok((ratio, row))
}

/// Writes every token anew, in another order each time.
fn rewrite(copy: &Replica, times: usize) -> Outcome<()> {
    let vault = copy.open()?;
    let mut users: Vec<usize> = (0..copy.records).collect();
    for _ in 0..times {
        fastrand::shuffle(&mut users);
        fill(&vault, users.iter().copied())?;
    }
    vault.close().map_err(Into::into)
}
