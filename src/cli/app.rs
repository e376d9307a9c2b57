//! `app`: the third-party services that tokens are for.
//!
//! It promises: `set` changes what is named and keeps the rest, the client secret included.
//! It never: shows a client secret, which the server does not give out either.

mod settings;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::settings::{SettingArgs, apply, inputs_of};
use super::args::Remote;
use super::client::Client;
use super::failure::Failure;
use super::output;
use super::output::Grid;
use super::secrets::{Input, confirm};

/// The commands of `app`.
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Examples:
  strongroom app templates calendar
  strongroom app add github --template github --client-id Iv1.abc --scope repo
  strongroom app add linear --mcp https://mcp.linear.app/mcp
  strongroom app add own --client-id c1 --issuer https://login.example.com")]
pub enum AppCommand {
    /// Add an app.
    ///
    /// An OAuth app needs a client id and either a template (`app templates` lists them), or an
    /// issuer, whose metadata has the endpoints, or the endpoints themselves. The client secret is
    /// asked for, or read from a file. Afterwards register the redirect URI that is printed at the
    /// provider. A remote MCP server's app needs no more than `--mcp` with the server's URL, where
    /// its authorization server lets clients register themselves. An API-key app needs no more than
    /// its id.
    Add(Box<AddArgs>),
    /// Search the services whose settings are known.
    ///
    /// Every word must be found in the id, the name or the category. `general` facts are generally
    /// known and not read in the service's own documentation: compare them with its page.
    Templates(TemplatesArgs),
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
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

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
        AppCommand::Add(args) => add(*args).await,
        AppCommand::Templates(args) => templates(args).await,
        AppCommand::List(args) => list(args).await,
        AppCommand::Show(args) => show(args).await,
        AppCommand::Set(args) => set(*args).await,
        AppCommand::Remove(args) => remove(args).await,
    }
}

async fn add(args: AddArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let template = match &args.template {
        Some(id) => Some(template(&client, id).await?),
        None => None,
    };
    let mut body = match &template {
        Some(template) => json!({"id": args.id, "template": template["id"],
            "kind": template["kind"], "client_auth": template["oauth"]["client_auth"]}),
        None => json!({"id": args.id, "name": args.id, "kind": "oauth"}),
    };
    apply(&mut body, &args.settings);
    if let Some(path) = &args.settings.client_secret_file {
        let secret = Input::default().read("the client secret", Some(path))?;
        body["client_secret"] = json!(secret.expose());
    } else if body["kind"] == "oauth"
        && body["client_auth"] != "none"
        && !is_registered_by_us(&body)
    {
        let secret = Input::default().read_optional("Client secret", None)?;
        if let Some(secret) = secret {
            body["client_secret"] = json!(secret.expose());
        }
    }
    let app = client.post(&["v1", "apps"], &body).await?;
    print(&app, args.json)?;
    let found_us =
        ["registered", "document"].contains(&output::cell(&app["remote"]["client"]).as_str());
    if !args.json && app["redirect_uri"].is_string() {
        output::note(match found_us {
            true => "There is nothing to register: the authorization server knows Strongroom now.",
            false => "Register the redirect URI at the provider, exactly as it stands.",
        });
    }
    if let Some(docs) = template
        .as_ref()
        .and_then(|template| template["docs"].as_str())
        && !args.json
    {
        output::note(&format!("The provider's own page: {docs}"));
    }
    Ok(())
}

/// Whether an MCP server's authorization server is to give the client id, and no secret is asked.
fn is_registered_by_us(body: &Value) -> bool {
    body["server_url"].is_string() && !body["client_id"].is_string()
}

/// The template of this id.
async fn template(client: &Client, id: &str) -> Result<Value, Failure> {
    let found = client.get(&["v1", "templates"], &[("q", id)]).await?;
    let mut found = found["templates"].as_array().into_iter().flatten();
    found.find(|one| one["id"] == id).cloned().ok_or_else(|| {
        Failure::usage(
            format!("there is no template `{id}`"),
            "`strongroom app templates` lists them",
        )
    })
}

async fn templates(args: TemplatesArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let words = args.words.join(" ");
    let found = client
        .get(&["v1", "templates"], &[("q", words.as_str())])
        .await?;
    if args.json {
        return output::json(&found);
    }
    if found["templates"].as_array().is_none_or(Vec::is_empty) {
        output::note("Nothing in the catalogue fits; `strongroom app add` takes the settings too.");
        return Ok(());
    }
    let mut grid = Grid::new(&["TEMPLATE", "NAME", "CATEGORY", "KIND", "FACTS", "DOCS"]);
    for template in found["templates"].as_array().into_iter().flatten() {
        let fields = ["id", "name", "category", "kind", "certainty", "docs"];
        grid.add(template, &fields);
    }
    grid.print()
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
