//! `app`: the third-party services that tokens are for.
//!
//! It promises: `set` changes what is named and keeps the rest, the client secret included.
//! It never: shows a client secret, which the server does not give out either.

mod add;
mod check;
mod settings;
mod templates;
mod update;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::check::CheckArgs;
use self::settings::{SettingArgs, apply, read_file};
use self::templates::TemplatesArgs;
use self::update::UpdateArgs;
use super::args::Remote;
use super::client::Client;
use super::failure::Failure;
use super::output;
use super::output::Grid;
use super::secrets::{Input, confirm};
use crate::http::wire::apps::inputs_of;

/// The commands of `app`.
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Examples:
  strongroom app templates calendar
  strongroom app add github
  strongroom app add linear --mcp https://mcp.linear.app/mcp
  strongroom app add own --client-id c1 --issuer https://login.example.com")]
pub enum AppCommand {
    /// Add an app.
    ///
    /// An OAuth app needs a client id and either a template (`app templates` lists them; one whose
    /// id is the app's is taken unless other settings say what the app is), or an issuer, whose
    /// metadata has the endpoints, or the endpoints themselves. At a terminal you are told which
    /// redirect URI to register where, and asked for what the template needs; elsewhere all that is
    /// missing is named. A remote MCP server's app needs no more than `--mcp` with the server's
    /// URL, where its authorization server lets clients register themselves. An API-key app needs
    /// no more than its id. Then the app is checked, as by `app check`.
    Add(Box<AddArgs>),
    /// Search the services whose settings are known.
    ///
    /// Every word must be found in the id, the name or the category. `documented` facts were read
    /// in the service's own documentation; `general` ones are generally known: compare them with
    /// its page; `own` ones are from the server's `--catalogue`. With words, what apps of them ask
    /// for is shown too.
    Templates(TemplatesArgs),
    /// Look at an app as a doctor would.
    ///
    /// Reaches its endpoints, tries a made-up code with its client id and secret at its token URL,
    /// and compares it with its issuer's metadata. Says what is wrong and what to do. The exit code
    /// is 15 where something keeps it from working.
    Check(CheckArgs),
    /// Show what the catalogue says differently of an app by now, and take it over.
    ///
    /// An app is a copy of its template: a later catalogue changes nothing of it by itself. What
    /// you have set otherwise yourself shows as a difference too; keep it with `--keep`. Client id
    /// and secret, scopes, return URLs and name stay in any case. Without `--yes` you are asked,
    /// and where nobody is at a terminal nothing is changed.
    Update(UpdateArgs),
    /// List the apps.
    ///
    /// Client secrets are not shown; whether there is one is.
    List(ListArgs),
    /// Show an app with all its settings.
    ///
    /// The redirect URI among them is what the provider must know.
    Show(ShowArgs),
    /// Change an app's settings.
    ///
    /// What is not named stays as it is, the client secret included. A list, such as the scopes, is
    /// replaced as a whole; `--clear NAME` empties a setting.
    Set(Box<SetArgs>),
    /// Remove an app with all its tokens.
    ///
    /// Tokens are revoked at the provider where it can be done, and deleted here in any case.
    Remove(RemoveArgs),
}

/// Arguments of `app add`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom app add github --client-id Iv1.abc --client-secret-file secret.txt --scope repo
  strongroom app add google --issuer https://accounts.google.com --client-id 123.apps \\
      --client-secret-file secret.txt --scope openid --param access_type=offline
  strongroom app add maps --kind api-key --name \"Maps\"")]
pub struct AddArgs {
    /// Names the app: letters, digits and -._~@+.
    #[arg(value_name = "APP")]
    pub id: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// The service it is for, by its id in `app templates`: fills in what is not said.
    #[arg(long, value_name = "TEMPLATE")]
    pub template: Option<String>,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Do not try the app at its provider.
    #[arg(long)]
    pub no_check: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `app list`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom app list")]
pub struct ListArgs {
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `app show`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom app show github")]
pub struct ShowArgs {
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

/// Arguments of `app set`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom app set github --scope repo --scope read:user
  strongroom app set github --client-secret-file new-secret.txt
  strongroom app set github --clear revocation_url
  strongroom app set linear --clear client_id      # an MCP server's: register anew")]
pub struct SetArgs {
    /// The app.
    #[arg(value_name = "APP")]
    pub id: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// The settings to change.
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Empty a setting, named as in `app show --json` (repeatable); `client_secret` too.
    #[arg(long, value_name = "NAME")]
    pub clear: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `app remove`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom app remove github")]
pub struct RemoveArgs {
    /// The app.
    #[arg(value_name = "APP")]
    pub id: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs a command of `app`.
///
/// # Errors
/// What the server says, as a failure.
pub async fn run(command: AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Add(args) => add::run(*args).await,
        AppCommand::Templates(args) => templates::run(args).await,
        AppCommand::Check(args) => check::run(args).await,
        AppCommand::Update(args) => update::run(args).await,
        AppCommand::List(args) => list(args).await,
        AppCommand::Show(args) => show(args).await,
        AppCommand::Set(args) => set(*args).await,
        AppCommand::Remove(args) => remove(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let apps = client.get(&["v1", "apps"], &[]).await?;
    if args.json {
        return output::json(&apps);
    }
    let mut grid = Grid::new(&["APP", "NAME", "KIND", "CLIENT ID", "SCOPES", "REDIRECT URI"]);
    for app in apps["apps"].as_array().into_iter().flatten() {
        let fields = ["id", "name", "kind", "client_id", "scopes", "redirect_uri"];
        grid.add(app, &fields);
    }
    grid.print()
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let app = client.get(&["v1", "apps", &args.id], &[]).await?;
    print(&app, args.json)
}

async fn set(args: SetArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let path = ["v1", "apps", args.id.as_str()];
    let before = client.get(&path, &[]).await?;
    let mut body = inputs_of(&before);
    for name in &args.clear {
        settings::clear(&mut body, name)?;
    }
    for (name, value) in read_file(&args.settings)?.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    apply(&mut body, &args.settings);
    if let Some(file) = &args.settings.client_secret_file {
        let secret = Input::default().read("the client secret", Some(file))?;
        body["client_secret"] = json!(secret.expose());
    }
    let app = client.put(&path, &body).await?;
    print(&app, args.json)
}

async fn remove(args: RemoveArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    confirm(
        &format!("remove the app {} and every token of it", args.id),
        args.yes,
    )?;
    let gone = client.delete(&["v1", "apps", &args.id], &[]).await?;
    if args.json {
        return output::json(&gone);
    }
    output::note(&format!(
        "The app is removed, with {} tokens.{}",
        output::cell(&gone["tokens_deleted"]),
        revocations(&gone["revocations"])
    ));
    Ok(())
}

/// Says how revoking went, from the counts of an answer.
pub fn revocations(counts: &Value) -> String {
    let of = |name: &str| counts[name].as_u64().unwrap_or_default();
    let words = [
        (of("revoked"), "revoked at the provider"),
        (
            of("failed"),
            "could not be revoked at the provider and may still work there",
        ),
        (
            of("not_supported"),
            "cannot be revoked there, since it offers no way",
        ),
    ];
    words
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!(" {count} {words}."))
        .collect()
}

fn print(app: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(app);
    }
    let known = [
        "id",
        "name",
        "kind",
        "redirect_uri",
        "callback",
        "client_id",
        "has_client_secret",
    ];
    let rest: Vec<&str> = app
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| !known.contains(&name.as_str()) && output::cell(value) != "-")
        .map(|(name, _)| name.as_str())
        .collect();
    output::facts(app, &[&known[..], &rest].concat())
}
