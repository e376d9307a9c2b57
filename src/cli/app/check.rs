//! `app check`: what keeps an app from working, as far as it can be told without a person.
//!
//! It promises: what was found, and what to do; an error is an exit code of its own.
//! It never: changes the app.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::args::Remote;
use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{self, Grid};

/// Arguments of `app check`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit codes: 0 where there is no error, warnings or not; 15 where there is.

Example:\n  strongroom app check github"
)]
pub struct CheckArgs {
    /// The app.
    #[arg(value_name = "APP")]
    pub id: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(args: CheckArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let found = ask(&client, &args.id).await?;
    if args.json {
        output::json(&found)?;
    } else {
        let mut grid = Grid::new(&["LEVEL", "SETTING", "FOUND", "WHAT TO DO"]);
        for finding in found["findings"].as_array().into_iter().flatten() {
            grid.add(finding, &["level", "about", "found", "hint"]);
        }
        grid.print()?;
    }
    match found["worst"] == "error" {
        true if args.json => Err(Failure::silent(Exit::Unsound)),
        true => Err(Failure::new(
            Exit::Unsound,
            format!("`{}` will not work as it is", args.id),
            "mend what is an error above, then check again",
        )),
        false => Ok(()),
    }
}

/// Has the server look at an app.
pub(super) async fn ask(client: &Client, id: &str) -> Result<Value, Failure> {
    client.post(&["v1", "apps", id, "check"], &json!({})).await
}

/// Says what was found of an app that was just made.
pub(super) fn note(found: &Value) {
    let findings = found["findings"].as_array().into_iter().flatten();
    let mut all_is_well = true;
    for finding in findings.filter(|finding| finding["level"] != "ok") {
        all_is_well = false;
        let cell = |name: &str| output::cell(&finding[name]);
        output::note(&format!(
            "{}: {}: {}\n  {}",
            cell("level"),
            cell("about"),
            cell("found"),
            cell("hint")
        ));
    }
    if all_is_well {
        output::note("It was checked: nothing is wrong as far as can be told.");
    }
}
