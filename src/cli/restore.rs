//! `restore`: a backup becomes a vault in a directory of its own.
//!
//! It promises: a vault that is whole, or nothing; what is to be done before it refreshes is said.
//! It never: writes into a directory that holds something.

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
use crate::vault::Vault;

/// Arguments of `restore`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom restore /var/backups/strongroom-epoch-0000001234.redb --data ./restored
  strongroom restore backup.redb --data ./restored --passphrase-file pass.txt
  strongroom serve --data ./restored --accept-rollback")]
pub struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The new directory, which may exist if it is empty and yours alone.
    #[arg(long, env = "STRONGROOM_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// What opened the vault when the backup was made.
    #[command(flatten)]
    pub with: Unlocking,
    /// Print JSON: {"epoch", "entries", "audit_seq"}.
    #[arg(long)]
    pub json: bool,
}

/// Restores a backup.
///
/// # Errors
/// Not allowed, where what was given does not open it; damaged, where the backup is; failed, where
/// the directory is not empty.
pub fn run(args: &RestoreArgs) -> Result<(), Failure> {
    // What needs no passphrase first: nobody types one to learn that the file is not there.
    if !args.file.exists() {
        let what = format!("there is no file {}", args.file.display());
        return Err(Failure::new(Exit::NotFound, what, "name a backup's file"));
    }
    let data = &args.data;
    Vault::can_be_made_in(data)?;
    let unlocker = args.with.unlocker(&mut Input::default())?;
    let mut watch = Watch::new("restore", args.json);
    let restored = Vault::restore(
        &args.file,
        data,
        &unlocker,
        Clock::system(),
        &mut |done, total| {
            watch.set(done, total);
            Ok(())
        },
    );
    drop(watch);
    let restored = restored.map_err(|error| match error {
        Error::UnlockFailed => Failure::from(error).with_hint(
            "a backup opens with what opened the vault when the backup was made: an earlier \
             passphrase, or the recovery code (`--recovery`)",
        ),
        Error::Damaged(_) => Failure::from(error).with_hint(
            "nothing was restored; take an earlier backup (`strongroom check FILE` tells whether \
             it is whole), or carry over what still opens: `strongroom salvage`",
        ),
        other => other.into(),
    })?;
    if args.json {
        return output::json(&json!(restored));
    }
    output::line(&format!(
        "The vault as of epoch {epoch} is in {data}: {entries} records and index entries, all of \
         them opened.

It begins an audit trail of its own; the earlier one ended at entry {audit} or later. What was
stored, connected, refreshed or deleted after the backup is not in it: tokens deleted since are
back, so delete them again, and access keys removed since are too.

Refreshing is paused, since two copies that spend the same refresh tokens end the connections of
both. Once the other one is gone for good, start this one, once, with:

  strongroom serve --data {data} --accept-rollback",
        epoch = restored.epoch,
        data = data.display(),
        entries = restored.entries,
        audit = restored.audit_seq,
    ))
}
