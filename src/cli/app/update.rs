//! `app update`: what the catalogue says differently of an app by now.
//!
//! It promises: what would change is shown first; nothing is changed that was not agreed to.
//! It never: changes the client id or secret, scopes, return URLs or the name.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::args::{Remote, pair};
use crate::cli::ask::is_anybody_there;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Grid};
use crate::cli::secrets::{Input, confirm};

/// Arguments of `app update`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom app update github
  strongroom app update github --keep token_url --yes")]
pub struct UpdateArgs {
    /// The app.
    #[arg(value_name = "APP")]
    pub id: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Take the change of this setting alone (repeatable).
    #[arg(long, value_name = "SETTING", conflicts_with = "keep")]
    pub only: Vec<String>,
    /// Keep this setting as it is (repeatable).
    #[arg(long, value_name = "SETTING")]
    pub keep: Vec<String>,
    /// What a variable of the template is (repeatable).
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub value: Vec<(String, String)>,
    /// File with the client secret (`-`: standard input), where the token URL's host changes.
    #[arg(long, value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(args: UpdateArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let path = ["v1", "apps", args.id.as_str(), "update"];
    let values = args.value.iter().cloned();
    let values: Value = values.map(|(name, value)| (name, json!(value))).collect();
    let mut body = json!({"only": args.only, "keep": args.keep, "values": values});
    let shown = client.post(&path, &body).await?;
    let differs = shown["changes"]
        .as_array()
        .is_some_and(|all| !all.is_empty());
    if !args.json {
        show(&shown)?;
    }
    // Where nothing differs there is nothing to agree to: that it was looked at is noted down.
    let is_outdated = shown["app"]["template_outdated"] == true;
    let applies = match (differs, args.yes || !is_anybody_there()) {
        (false, _) => is_outdated,
        (true, true) => args.yes,
        (true, false) if args.json => false,
        (true, false) => {
            confirm(&format!("change the app {} so", args.id), false)?;
            true
        }
    };
    if !applies {
        if differs && !args.json {
            output::note("Nothing was changed; `--yes` changes it.");
        }
        return if args.json {
            output::json(&shown)
        } else {
            Ok(())
        };
    }
    if let Some(file) = &args.client_secret_file {
        let secret = Input::default().read("the client secret", Some(file))?;
        body["client_secret"] = json!(secret.expose());
    }
    body["apply"] = json!(true);
    let done = client.post(&path, &body).await?;
    if args.json {
        return output::json(&done);
    }
    if differs {
        output::note("The app is updated; `strongroom app check` tries it.");
    }
    Ok(())
}

fn show(shown: &Value) -> Result<(), Failure> {
    let changes = shown["changes"].as_array().into_iter().flatten();
    let mut grid = Grid::new(&["SETTING", "YOURS", "CATALOGUE", "TAKEN"]);
    let mut count = 0;
    for change in changes {
        grid.add(change, &["field", "yours", "catalogue", "taken"]);
        count += 1;
    }
    if count == 0 {
        output::note("The app says what the catalogue says.");
        return Ok(());
    }
    grid.print()
}
