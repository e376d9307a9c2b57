//! `backup`: one file with all a vault holds, written by its server, or here where that is stopped.
//!
//! It promises: what it says is there was verified; the path is the server's to resolve.
//! It never: holds up the server, or puts a file in the place of another.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::failure::Failure;
use super::follow::Followed;
use super::opener::Opener;
use super::progress::Watch;
use super::secrets::Input;
use super::{output, wait};
use crate::model::access::Caller;

/// Arguments of `backup`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom backup /var/backups/strongroom
  strongroom backup /var/backups/strongroom --json
  strongroom backup ./backups --data /var/lib/strongroom   (its server is stopped)
  strongroom backup ./backups --data /var/lib/strongroom --key-file ./vault.key")]
pub struct BackupArgs {
    /// The directory to write to, on the server's machine; with a running server an absolute path.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Which vault, and what opens it where its server is stopped.
    #[command(flatten)]
    pub opener: Opener,
    /// Print JSON: {"file", "epoch"}.
    #[arg(long)]
    pub json: bool,
}

/// Makes a backup.
///
/// # Errors
/// Not allowed, without the right; failed, where the directory cannot be written to.
pub fn run(args: &BackupArgs) -> Result<(), Failure> {
    match args.opener.stopped()? {
        Some(data) => here(args, data),
        None => wait(by_the_server(args)),
    }
}

/// Opens a stopped server's vault and writes the backup in this process.
fn here(args: &BackupArgs, data: &Path) -> Result<(), Failure> {
    let directory = std::path::absolute(&args.directory).map_err(|error| {
        let what = format!("cannot tell where {} is: {error}", args.directory.display());
        Failure::usage(what, "name a directory that is there")
    })?;
    let input = &mut Input::default();
    let made = args.opener.with_vault(data, input, |vault, _| {
        let mut watch = Watch::new("backup", args.json);
        Ok(
            vault.backup(&Caller::local(), &directory, &mut |done, total| {
                watch.set(done, total);
                Ok(())
            })?,
        )
    })?;
    tell(&json!({"file": made.file, "epoch": made.epoch}), args.json)
}

/// Has the server write it, and watches.
async fn by_the_server(args: &BackupArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.opener.which.remote())?;
    let body = json!({"directory": args.directory.to_string_lossy()});
    let begun = client.post(&["v1", "backup"], &body).await?;
    let followed = Followed {
        what: "backup",
        same: &["file", "started_at"],
        lost: "look into the directory: a file under the name of a backup is a whole one",
    };
    let ended = followed.to_its_end(&client, &begun, args.json).await?;
    tell(&ended, args.json)
}

fn tell(made: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&json!({"file": made["file"], "epoch": made["epoch"]}));
    }
    output::line(made["file"].as_str().unwrap_or_default())?;
    output::note(&format!(
        "It holds every app, token, access key and connect link as of epoch {}, sealed, and was \
         opened and verified.\nIt does not hold the audit trail (copy `audit/` beside it), or what \
         opens it: the passphrase, recovery code or key file of today. Keep those elsewhere.\nTo \
         use it: strongroom restore FILE --data NEW_DIRECTORY",
        made["epoch"]
    ));
    Ok(())
}
