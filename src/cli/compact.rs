//! `compact`: the vault's file made small, by its server, or here where that is stopped.
//!
//! It promises: what it says of the size is what the file takes of the disk.
//! It never: opens a file that a server has.

use std::path::Path;

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

/// Arguments of `compact`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom compact
  strongroom compact --json
  strongroom compact --data /var/lib/strongroom   (its server is stopped)")]
pub struct CompactArgs {
    /// Which vault, and what opens it where its server is stopped.
    #[command(flatten)]
    pub opener: Opener,
    /// Print JSON: {"bytes_before", "bytes_after", "writes_waited_ms"}.
    #[arg(long)]
    pub json: bool,
}

/// Compacts.
///
/// # Errors
/// Not allowed, without the right; failed, where the disk has no room for it.
pub fn run(args: &CompactArgs) -> Result<(), Failure> {
    match args.opener.stopped()? {
        Some(data) => here(args, data),
        None => wait(by_the_server(args)),
    }
}

/// Opens a stopped server's vault and compacts it in this process.
fn here(args: &CompactArgs, data: &Path) -> Result<(), Failure> {
    let input = &mut Input::default();
    let done = args.opener.with_vault(data, input, |vault, _| {
        let mut watch = Watch::new("compaction", args.json);
        let tell = &mut |done, total| watch.set(done, total);
        Ok(vault.compact(&Caller::local(), tell)?)
    })?;
    let told = json!({
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "writes_waited_ms": done.writes_waited_ms,
    });
    tell(&told, args.json)
}

/// Has the server do it, and watches.
async fn by_the_server(args: &CompactArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.opener.which.remote())?;
    let begun = client.post(&["v1", "compact"], &json!({})).await?;
    let followed = Followed {
        what: "compaction",
        same: &["started_at"],
        lost: "a compaction that was cut short has changed nothing; ask for another",
    };
    let ended = followed.to_its_end(&client, &begun, args.json).await?;
    tell(&ended, args.json)
}

fn tell(done: &Value, json: bool) -> Result<(), Failure> {
    let fields = ["bytes_before", "bytes_after", "writes_waited_ms"];
    if json {
        let told = fields.map(|field| (field.to_owned(), done[field].clone()));
        return output::json(&Value::Object(told.into_iter().collect()));
    }
    output::line(&format!(
        "{} bytes on the disk before, {} after.",
        done["bytes_before"], done["bytes_after"]
    ))?;
    output::note(&format!(
        "Writes waited for {} ms.",
        done["writes_waited_ms"]
    ));
    Ok(())
}
