//! `rotate`: a new key for the records of a running server's vault.
//!
//! It promises: it shows how far the rotation is until it has ended, and ends itself as the
//! rotation does; interrupted, it leaves the rotation to the server, which goes on.
//! It never: does anything to a vault by itself.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::args::Remote;
use super::client::Client;
use super::failure::{Exit, Failure};
use super::output;
use super::progress::Watch;
use crate::limits;

/// What to do about a rotation that stopped.
pub const TAKE_IT_UP: &str = "what could be read before still can; make a backup and `strongroom \
                              check` it, restore or remove what it names, then `strongroom rotate` \
                              takes this up again";

/// Arguments of `rotate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom rotate
  strongroom rotate --no-wait && strongroom status")]
pub struct RotateArgs {
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Do not wait for the end; `strongroom status` shows how far it is.
    #[arg(long)]
    pub no_wait: bool,
    /// Print JSON: how the server stands at the end, or with `--no-wait` at the beginning.
    #[arg(long)]
    pub json: bool,
}

/// Rotates, and waits for the end.
///
/// # Errors
/// Failed, where a rotation is under way already or cannot end.
pub async fn run(args: RotateArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let begun = client
        .post(&["v1", "rotate"], &serde_json::json!({}))
        .await?;
    if args.no_wait {
        return match args.json {
            true => output::json(&begun),
            false => {
                output::note(&format!("Key term {} has begun.", begun["term"]));
                Ok(())
            }
        };
    }
    let status = wait(&client, args.json).await?;
    if args.json {
        return output::json(&status);
    }
    output::note(&format!(
        "Every record is sealed under key term {}; the old key opens nothing any more.",
        begun["term"]
    ));
    Ok(())
}

/// Shows how far it is, until nothing is left to do. How the server stands then comes back.
async fn wait(client: &Client, quiet: bool) -> Result<Value, Failure> {
    let mut watch = Watch::new("key rotation", quiet);
    let mut failures = 0;
    loop {
        match client.get(&["v1", "status"], &[]).await {
            Ok(status) if status["rotation"].is_null() => return Ok(status),
            Ok(status) => {
                failures = 0;
                show(&mut watch, &status["rotation"])?;
            }
            Err(failure) => {
                failures += 1;
                // A restart goes on with it; locked or gone for long, nobody does.
                if failure.exit != Exit::Unavailable || failures > limits::CLIENT_POLL_FAILURES_MAX
                {
                    return Err(failure);
                }
            }
        }
        tokio::time::sleep(pause(failures)).await;
    }
}

fn pause(failures: u32) -> Duration {
    limits::CLIENT_ROTATION_EVERY * (1 + failures)
}

fn show(watch: &mut Watch, rotation: &Value) -> Result<(), Failure> {
    let number = |field: &str| rotation[field].as_u64().unwrap_or(0);
    watch.set(number("records_done"), number("records_total"));
    let error = rotation["error"].as_str().unwrap_or_default();
    if rotation["state"] == "failed" {
        let what = format!("the rotation stopped: {error}");
        return Err(Failure::new(Exit::Failed, what, TAKE_IT_UP));
    }
    watch.waits_for(error);
    Ok(())
}
