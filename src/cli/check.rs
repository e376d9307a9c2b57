//! `check`: whether a vault or a backup is whole.
//!
//! It promises: the verdict first, in words and by the exit code; what is damaged by app and owner
//! where that can be told; then what to do.
//! It never: changes what it looks at.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::failure::{Exit, Failure};
use super::opener::Unlocking;
use super::output;
use super::progress::Watch;
use super::secrets::Input;
use crate::error::Error;
use crate::vault::{Report, Vault};

/// Arguments of `check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom check --data /var/lib/strongroom
  strongroom check /var/backups/strongroom-epoch-0000001234.redb
  strongroom check backup.redb --structure-only --json

The exit code is 0 where it is whole and 12 where it is damaged.")]
pub struct CheckArgs {
    /// A backup to check; without it the data directory is.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The data directory of a stopped server.
    #[arg(long, env = "STRONGROOM_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What opens it.
    #[command(flatten)]
    pub with: Unlocking,
    /// Look at what can be seen without a passphrase: the file's structure, and nothing sealed.
    #[arg(long, conflicts_with = "opener")]
    pub structure_only: bool,
    /// Print JSON: {"verdict", "opened", "epoch", "entries", "audit_entries", "problems", …}.
    #[arg(long)]
    pub json: bool,
}

/// Checks a vault or a backup.
///
/// # Errors
/// Damaged, said by the exit code alone; failed, where a server has it open.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let Some(place) = args.file.as_deref().or(args.data.as_deref()) else {
        return Err(Failure::usage(
            "say what to check",
            "name a backup's file, or a data directory: `--data DIR`",
        ));
    };
    // What needs no passphrase first: nobody types one to learn that a server is running.
    Vault::can_be_checked(place).map_err(|error| explain(place, error))?;
    let unlocker = match args.structure_only {
        true => None,
        false => Some(args.with.unlocker(&mut Input::default())?),
    };
    let mut watch = Watch::new("check", args.json);
    let report = Vault::check_at(place, unlocker.as_ref(), &mut |done, total| {
        watch.set(done, total);
        Ok(())
    });
    drop(watch);
    let report = report.map_err(|error| explain(place, error))?;
    show(place, &report, args)?;
    match report.is_whole() {
        true => Ok(()),
        false => Err(Failure::silent(Exit::Damaged)),
    }
}

fn explain(place: &Path, error: Error) -> Failure {
    match error {
        Error::InUse => Failure::from(error).with_hint(
            "this looks at a stopped server's data: stop the server, or make a backup and check \
             that",
        ),
        Error::UnlockFailed => Failure::from(error).with_hint(
            "a backup opens with what opened the vault when it was made; `--structure-only` checks \
             what can be seen without",
        ),
        Error::NotFound(_) => {
            let what = format!("there is no vault or backup at {}", place.display());
            Failure::new(
                Exit::NotFound,
                what,
                "name a backup's file, or `--data DIR`",
            )
        }
        other => other.into(),
    }
}

fn show(place: &Path, report: &Report, args: &CheckArgs) -> Result<(), Failure> {
    let whole = report.is_whole();
    if args.json {
        let mut shape = json!(report);
        shape["verdict"] = json!(if whole { "whole" } else { "damaged" });
        return output::json(&shape);
    }
    let mut text = match (whole, report.opened) {
        (true, true) => format!("{} is whole.\n", place.display()),
        (true, false) => format!(
            "The structure of {} is whole. Nothing sealed was opened: without a passphrase it \
             cannot be told whether the records are.\n",
            place.display()
        ),
        (false, _) => format!("{} is DAMAGED.\n", place.display()),
    };
    text.push('\n');
    if let Some(epoch) = report.epoch {
        text.push_str(&format!("epoch {epoch}\n"));
    }
    for (table, entries) in &report.entries {
        text.push_str(&format!("{table:12} {entries}\n"));
    }
    if !report.not_filled.is_empty() {
        let names = report.not_filled.join(", ");
        text.push_str(&format!(
            "not filled   {names}: made by an earlier version; the server fills them\n"
        ));
    }
    match report.audit_entries {
        Some(entries) => text.push_str(&format!("audit trail  {entries}\n")),
        None if args.file.is_some() => text.push_str("audit trail  none: a backup holds none\n"),
        None => {}
    }
    if !whole {
        text.push_str("\nWhat is wrong:\n");
        for problem in &report.problems {
            let whose = output::whose([&problem.app, &problem.tenant, &problem.user]);
            text.push_str(&format!("  {}: {}{whose}\n", problem.part, problem.what));
        }
        if report.more_problems > 0 {
            text.push_str(&format!("  and {} more\n", report.more_problems));
        }
        text.push_str(&format!("\n{}\n", what_to_do(report)));
    }
    output::line(text.trim_end())
}

fn what_to_do(report: &Report) -> &'static str {
    if report
        .problems
        .iter()
        .all(|problem| problem.part == "audit")
    {
        return "What to do: the records are whole and the vault can be used. The trail was cut or \
                changed, or its last entry\nwas torn by a power cut. Keep a copy of `audit/` as \
                it is, and find out who could write to it.";
    }
    "What to do: stop writing to this vault and keep its files as they are. Restore the last good \
     backup:\n  strongroom check BACKUP\n  strongroom restore BACKUP --data NEW_DIRECTORY\nWithout \
     one, carry over what still opens: strongroom salvage --help"
}
