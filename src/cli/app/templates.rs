//! `app templates`: the catalogue, searched.
//!
//! It promises: what is found is shown with how sure it is, and what an app of it asks for.
//! It never: shows more in a table than its rows; programs take JSON.

use clap::Args;
use serde_json::Value;

use crate::cli::args::Remote;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Grid};

/// Arguments of `app templates`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom app templates google mail")]
pub struct TemplatesArgs {
    /// What to search for; everything unless given.
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(args: TemplatesArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let words = args.words.join(" ");
    let found = client
        .get(&["v1", "templates"], &[("q", words.as_str())])
        .await?;
    if args.json {
        return output::json(&found);
    }
    let found = found["templates"].as_array().map_or(&[][..], Vec::as_slice);
    if found.is_empty() {
        output::note("Nothing in the catalogue fits; `strongroom app add` takes the settings too.");
        return Ok(());
    }
    let mut grid = Grid::new(&["TEMPLATE", "NAME", "CATEGORY", "KIND", "FACTS", "DOCS"]);
    for template in found {
        let fields = ["id", "name", "category", "kind", "certainty", "docs"];
        grid.add(template, &fields);
    }
    grid.print()?;
    // Of everything there is that would be a second catalogue.
    match args.words.is_empty() {
        true => Ok(()),
        false => asks(found),
    }
}

/// What apps of these templates ask for, and whom.
fn asks(found: &[Value]) -> Result<(), Failure> {
    let mut grid = Grid::new(&[
        "TEMPLATE",
        "ASKS FOR",
        "OF",
        "DEFAULT",
        "EXAMPLE",
        "WHAT IT IS",
    ]);
    let mut is_empty = true;
    for template in found {
        let id = output::cell(&template["id"]);
        for (name, variable) in template["variables"].as_object().into_iter().flatten() {
            let of = match variable["asked_of"].as_str() {
                Some("person") => "whoever connects",
                _ => "the operator",
            };
            let cell = |field: &str| output::cell(&variable[field]);
            let rest = [cell("default"), cell("example"), cell("help")];
            grid.push([vec![id.clone(), name.clone(), of.into()], rest.to_vec()].concat());
            is_empty = false;
        }
        for field in template["fields"].as_array().into_iter().flatten() {
            let cell = |name: &str| output::cell(&field[name]);
            let of = "whoever connects".to_owned();
            let rest = ["-".to_owned(), "-".to_owned(), cell("help")];
            grid.push([vec![id.clone(), cell("name"), of], rest.to_vec()].concat());
            is_empty = false;
        }
    }
    match is_empty {
        true => Ok(()),
        false => {
            output::raw("\n")?;
            grid.print()
        }
    }
}
