//! `rotate`: a new key for the records of a running server's vault.
//!
//! It promises: it shows how far the rotation is until it has ended, and ends itself as the
//! rotation does; interrupted, it leaves the rotation to the server, which goes on.
//! It never: does anything to a vault by itself.

use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::args::Remote;
use super::client::Client;
use super::failure::{Exit, Failure};
use super::output;
use crate::limits;

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
    let status = wait(&client).await?;
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
async fn wait(client: &Client) -> Result<Value, Failure> {
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} records {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut failures = 0;
    loop {
        match client.get(&["v1", "status"], &[]).await {
            Ok(status) if status["rotation"].is_null() => {
                bar.finish_and_clear();
                return Ok(status);
            }
            Ok(status) => {
                failures = 0;
                show(&bar, &status["rotation"])?;
            }
            Err(failure) => {
                failures += 1;
                // A restart goes on with it; locked or gone for long, nobody does.
                if failure.exit != Exit::Unavailable || failures > limits::CLIENT_POLL_FAILURES_MAX
                {
                    bar.abandon();
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

fn show(bar: &ProgressBar, rotation: &Value) -> Result<(), Failure> {
    bar.set_length(rotation["records_total"].as_u64().unwrap_or(0));
    bar.set_position(rotation["records_done"].as_u64().unwrap_or(0));
    let error = rotation["error"].as_str().unwrap_or_default();
    if rotation["state"] == "failed" {
        bar.abandon();
        return Err(Failure::new(
            Exit::Failed,
            format!("the rotation stopped: {error}"),
            "every record can still be read; `strongroom rotate` takes it up again",
        ));
    }
    bar.set_message(super::failure::printable(error));
    Ok(())
}
