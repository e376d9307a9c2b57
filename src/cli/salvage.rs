//! `salvage`: what a damaged vault still holds, brought into a new one.
//!
//! It promises: what came through, what did not, and what may be otherwise than it was is told in
//! counts and in words; the exit code tells whether it is everything.
//! It never: touches the damaged vault.

use std::cell::RefCell;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::failure::{Exit, Failure};
use super::opener::Unlocking;
use super::output;
use super::progress::Watch;
use super::secrets::Input;
use crate::clock::Clock;
use crate::error::Error;
use crate::vault::{Salvaged, SalvagedTable, Vault, Wreck};

/// Arguments of `salvage`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom salvage --data /var/lib/strongroom --into /var/lib/strongroom-new
  strongroom salvage --data ./broken --into ./saved --recovery
  strongroom salvage --data ./broken --into ./saved --key-file vault.key --json")]
pub struct SalvageArgs {
    /// The data directory of the damaged vault, whose server is stopped.
    #[arg(long, env = "STRONGROOM_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// What opens it.
    #[command(flatten)]
    pub with: Unlocking,
    /// Directory for the new vault: one that does not exist, or is empty.
    #[arg(long, value_name = "NEWDIR")]
    pub into: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Salvages.
///
/// # Errors
/// Not allowed, where what was given does not open the vault; failed, where no new vault was made;
/// incomplete, where one was made and not everything came through.
pub fn run(args: &SalvageArgs) -> Result<(), Failure> {
    let data = &args.data;
    // The file first: nobody types a passphrase to learn that there is nothing to open.
    let wreck = Wreck::open(data).map_err(|error| match error {
        Error::NotFound(_) => {
            let what = format!("there is no vault in {}", data.display());
            Failure::new(Exit::NotFound, what, "name its directory: `--data DIR`")
        }
        Error::Damaged(_) => Failure::from(error).with_hint(
            "restore a backup; where there is none, a copy of the disk made by a rescue tool may \
             have the header still",
        ),
        other => other.into(),
    })?;
    Vault::can_be_made_in(&args.into)?;
    let unlocker = args.with.unlocker(&mut Input::default())?;
    let watch = RefCell::new(Watch::new("salvage", args.json));
    let salvaged = wreck.salvage(
        &unlocker,
        &args.into,
        Clock::system(),
        &|what, done, all| {
            let mut watch = watch.borrow_mut();
            watch.turns_to(what);
            watch.set(done, all);
        },
    );
    drop(watch);
    let salvaged = salvaged.map_err(|error| match error {
        Error::UnlockFailed => Failure::from(error).with_hint(
            "try again; where it is the right one, the vault's header is damaged too, and nothing \
             can be opened without it: restore a backup",
        ),
        other => other.into(),
    })?;
    if args.json {
        output::json(&json!(salvaged))?;
    } else {
        show(&salvaged)?;
    }
    output::note(&format!(
        "The new vault is in {}. The damaged one was left as it is: keep it until the new one has \
         proved itself.",
        args.into.display()
    ));
    match salvaged.complete {
        true => Ok(()),
        false => Err(Failure::silent(Exit::Incomplete)),
    }
}

fn show(salvaged: &Salvaged) -> Result<(), Failure> {
    let mut grid = output::Grid::new(&[
        "TABLE",
        "CAME THROUGH",
        "OF THEM OLDER",
        "PERHAPS REMOVED",
        "LEFT OUT",
        "LOST",
    ]);
    for table in &salvaged.tables {
        grid.push(vec![
            table.table.to_owned(),
            table.came_through.to_string(),
            table.older.to_string(),
            table.not_referred.to_string(),
            table.left_out.to_string(),
            (table.lost + table.lost_unnamed).to_string(),
        ]);
    }
    grid.print()?;
    for lost in &salvaged.lost {
        let whose = output::whose([&lost.app, &lost.tenant, &lost.user]);
        output::line(&format!("lost: one of `{}`{whose}", lost.table))?;
    }
    for sentence in verdict(salvaged).iter().chain(&salvaged.notes) {
        output::line(sentence)?;
    }
    Ok(())
}

/// What it comes to, in sentences.
fn verdict(salvaged: &Salvaged) -> Vec<String> {
    let mut said = Vec::new();
    if salvaged.complete {
        let proof = match salvaged.proven {
            true => "the ledger proves it",
            false => "as far as the undamaged parts of the file tell",
        };
        said.push(format!(
            "Everything came through: {} records, {proof}.",
            salvaged.came_through()
        ));
    } else {
        said.push(format!(
            "{} records came through, {} are known to be lost.",
            salvaged.came_through(),
            salvaged.lost_in_all()
        ));
    }
    if salvaged.older() > 0 {
        said.push(format!(
            "{} of them are older than what was last written, which is damaged: a refresh token \
             among them may be spent, and its owner may have to connect again.",
            salvaged.older()
        ));
    }
    if salvaged.not_referred() > 0 {
        said.push(format!(
            "{} of them may have been removed before, or be older than what was last written: what \
             would tell is damaged. Look through `strongroom token list` and `key list`, and \
             remove what should not be there.",
            salvaged.not_referred()
        ));
    }
    let unchecked = |table: &&SalvagedTable| !table.checked;
    let unchecked: Vec<_> = salvaged.tables.iter().filter(unchecked).collect();
    if !unchecked.is_empty() {
        let names: Vec<_> = unchecked.iter().map(|table| table.table).collect();
        said.push(format!(
            "Nothing proves which records there were in: {}. More than is counted may be lost.",
            names.join(", ")
        ));
    }
    said.push(
        "Refreshing is paused until `strongroom serve --accept-rollback`: what came back may hold \
         spent refresh tokens. The same passphrase, recovery code and key files open it."
            .to_owned(),
    );
    said
}
