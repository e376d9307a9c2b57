//! `key`: access keys, which programs present to this server.
//!
//! It promises: a new key stands alone on standard output, once; a role confined to some apps,
//! tenants or users becomes a grant of just that.
//! It never: makes a key that may do more than the one presented (the server refuses).

mod jwt;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use self::jwt::JwtArgs;
use super::args::{Remote, span, web_url};
use super::client::Client;
use super::failure::Failure;
use super::output;
use super::output::Grid;
use super::secrets::confirm;
use crate::clock::Clock;
use crate::limits;
use crate::model::access::{Action, Grant, Role};
use crate::model::url::WebUrl;

/// The commands of `key`.
#[derive(Clone, Debug, Subcommand)]
#[command(
    after_help = "Example:\n  strongroom key add my-server --role server --connect-verify code"
)]
pub enum KeyCommand {
    /// Make an access key; it is shown this once.
    ///
    /// Give a role, actions, or both. `--app`, `--tenant`, `--user` and `--scope` confine them;
    /// several different grants come as JSON with `--grants-file`. On a connect page the key's name
    /// says who asks.
    ///
    /// With `--jwt-issuer` there is no key to be shown: whoever presents a JWT of that issuer acts
    /// by these grants, for the JWT's own user and tenants.
    Add(Box<AddArgs>),
    /// List access keys and what they may do.
    ///
    /// The keys themselves are kept as hashes and cannot be shown.
    List(ListArgs),
    /// Remove an access key. It is refused from the next request on.
    ///
    /// The last key that may make keys cannot be removed, nor the last that may make every key.
    Remove(RemoveArgs),
}

/// Arguments of `key add`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom key add my-server --role server --connect-verify code
  strongroom key add ci --action fetch --app github --user ci-bot --scope repo --expires-in 90d
  strongroom key add shop --role server --tenant acme --connect-verify vouch \\
      --verify-url https://shop.example.com/vouch --return-url https://shop.example.com/done
  strongroom key add agents --role server --jwt-issuer https://idp.example.com \\
      --jwt-audience https://mcp.example.com --jwt-scope outbound.token.fetch")]
pub struct AddArgs {
    /// What people call it. On a connect page it says who asks.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// A bundle of actions by name.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<RoleChoice>,
    /// An action it may do (repeatable).
    #[arg(long, value_name = "ACTION", value_parser = actions())]
    pub action: Vec<Action>,
    /// Only on this app (repeatable).
    #[arg(long, value_name = "APP")]
    pub app: Vec<String>,
    /// Only for this tenant (repeatable).
    #[arg(long, value_name = "TENANT")]
    pub tenant: Vec<String>,
    /// Only for owners without a tenant.
    #[arg(long, conflicts_with = "tenant")]
    pub no_tenant: bool,
    /// Only for this user (repeatable).
    #[arg(long, value_name = "USER")]
    pub user: Vec<String>,
    /// Only for tenant-level tokens, which belong to no user.
    #[arg(long, conflicts_with = "user")]
    pub no_user: bool,
    /// No token with other scopes than these (repeatable).
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// File with a JSON list of grants (`-`: standard input), beside what the options say.
    #[arg(long, value_name = "FILE")]
    pub grants_file: Option<PathBuf>,
    /// How long it works: 12h, 90d.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub expires_in: Option<Duration>,
    /// Where people may be sent back to after connecting, exactly (repeatable).
    #[arg(long, value_name = "URL", value_parser = web_url)]
    pub return_url: Vec<WebUrl>,
    /// Where a browser is sent to be vouched for, exactly.
    #[arg(long, value_name = "URL", value_parser = web_url)]
    pub verify_url: Option<WebUrl>,
    /// A way of proof that its connect links may use (repeatable).
    #[arg(long, value_name = "HOW")]
    pub connect_verify: Vec<KeyVerify>,
    /// Who presents it.
    #[command(flatten)]
    pub jwt: JwtArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `key list`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom key list")]
pub struct ListArgs {
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `key remove`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom key remove 0123456789abcdef")]
pub struct RemoveArgs {
    /// The key's id, as `key list` shows it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// Bundles of actions.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeyVerify {
    /// A short code, shown where the link was made, is typed on the page. For local and single-user
    /// set-ups.
    Code,
    /// The asking application says who is signed in there.
    Vouch,
    /// No proof.
    None,
    /// With a JWT rule: the person asked from a page in its own browser.
    Page,
}

impl KeyVerify {
    /// The word on the wire.
    fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Vouch => "vouch",
            Self::None => "none",
            Self::Page => "page",
        }
    }
}

/// What a key may do, by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleChoice {
    /// Everything.
    Admin,
    /// Looks after the vault and sees no secret.
    Operator,
    /// An MCP server or back end: fetches, connects people, lists.
    Server,
    /// Fetches, and nothing else.
    Reader,
}

impl RoleChoice {
    fn role(self) -> Role {
        match self {
            Self::Admin => Role::Admin,
            Self::Operator => Role::Operator,
            Self::Server => Role::Server,
            Self::Reader => Role::Reader,
        }
    }
}

fn actions() -> impl TypedValueParser<Value = Action> {
    PossibleValuesParser::new(Action::ALL.map(Action::as_str)).map(|word| {
        let known = Action::ALL
            .into_iter()
            .find(|action| action.as_str() == word);
        known.expect("the parser lets only these words through")
    })
}

/// Runs a command of `key`.
///
/// # Errors
/// What the server says, as a failure.
pub async fn run(command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Add(args) => add(*args).await,
        KeyCommand::List(args) => list(args).await,
        KeyCommand::Remove(args) => remove(args).await,
    }
}

async fn add(args: AddArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let body = body(&args)?;
    let answer = client.post(&["v1", "keys"], &body).await?;
    if args.json {
        return output::json(&answer);
    }
    if args.connect_verify.is_empty() && matches!(args.role, Some(RoleChoice::Server)) {
        output::note("This one makes no connect links; a key with `--connect-verify code` does.");
    }
    if let Some(issuer) = &args.jwt.jwt_issuer {
        let id = output::cell(&answer["id"]);
        output::note(&format!(
            "JWTs of {issuer} are taken by the rules of this access key:"
        ));
        return output::value(&id);
    }
    output::note(&format!(
        "Access key {} for {}, shown this once:",
        output::cell(&answer["id"]),
        args.name
    ));
    output::value(answer["key"].as_str().unwrap_or_default())
}

fn body(args: &AddArgs) -> Result<Value, Failure> {
    let mut body = json!({"name": args.name});
    let mut grants = match &args.grants_file {
        Some(path) => read_grants(path)?,
        None => Vec::new(),
    };
    match grant(args)? {
        Some(grant) => grants.push(grant),
        None => {
            if let Some(role) = args.role {
                body["role"] = json!(role.role());
            }
        }
    }
    if grants.is_empty() && body["role"].is_null() {
        return Err(Failure::usage(
            "a key that may do nothing opens nothing",
            "give `--role`, `--action` or `--grants-file`",
        ));
    }
    body["grants"] = json!(grants);
    if let Some(span) = args.expires_in {
        body["expires_at"] = json!(Clock::system().now().plus(span));
    }
    if !args.return_url.is_empty() {
        body["return_urls"] = json!(args.return_url);
    }
    if let Some(url) = &args.verify_url {
        body["verify_url"] = json!(url);
    }
    if !args.connect_verify.is_empty() {
        let ways: Vec<&str> = args
            .connect_verify
            .iter()
            .map(|way| (*way).word())
            .collect();
        body["connect_verify"] = json!(ways);
    }
    if let Some(rule) = args.jwt.rule() {
        body["jwt"] = rule;
    }
    Ok(body)
}

/// The grant that the options make; nothing where a role alone says it all.
fn grant(args: &AddArgs) -> Result<Option<Value>, Failure> {
    let confined = !args.app.is_empty()
        || !args.tenant.is_empty()
        || args.no_tenant
        || !args.user.is_empty()
        || args.no_user
        || !args.scope.is_empty();
    if !confined && args.action.is_empty() {
        return Ok(None);
    }
    let mut actions: BTreeSet<Action> = args.action.iter().copied().collect();
    actions.extend(args.role.into_iter().flat_map(|role| role.role().actions()));
    if actions.is_empty() {
        return Err(Failure::usage(
            "these options confine a grant, and none is given",
            "give `--role` or `--action` beside them",
        ));
    }
    let mut grant = json!({"actions": actions});
    for (name, ids, nobody) in [
        ("apps", &args.app, false),
        ("tenants", &args.tenant, args.no_tenant),
        ("users", &args.user, args.no_user),
        ("scopes", &args.scope, false),
    ] {
        if !ids.is_empty() || nobody {
            grant[name] = json!(ids);
        }
    }
    Ok(Some(grant))
}

/// Reads a list of grants, and checks it here, where the file's line can be named.
fn read_grants(path: &Path) -> Result<Vec<Value>, Failure> {
    let refuse = |why: String| {
        Failure::usage(
            format!("{} is no list of grants: {why}", path.display()),
            "it looks like [{\"actions\": [\"fetch\"], \"apps\": [\"github\"]}]",
        )
    };
    let bytes = match path.to_str() {
        Some("-") => read_bounded(std::io::stdin().lock()),
        _ => std::fs::File::open(path).and_then(read_bounded),
    };
    let bytes = bytes.map_err(|error| refuse(error.to_string()))?;
    if bytes.len() > limits::CLIENT_GRANTS_FILE_BYTES_MAX {
        return Err(refuse("it is too long".into()));
    }
    let grants: Vec<Grant> =
        serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
    Ok(grants.into_iter().map(|grant| json!(grant)).collect())
}

fn read_bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = limits::CLIENT_GRANTS_FILE_BYTES_MAX as u64 + 1;
    source.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let keys = client.get(&["v1", "keys"], &[]).await?;
    if args.json {
        return output::json(&keys);
    }
    let mut grid = Grid::new(&[
        "ID",
        "NAME",
        "ROLE",
        "MAY",
        "PRESENTED BY",
        "EXPIRES",
        "LAST USED",
        "MADE",
        "BY",
    ]);
    for key in keys["keys"].as_array().into_iter().flatten() {
        let grants = key["grants"].as_array().into_iter().flatten();
        let may: Vec<String> = grants.map(in_words).collect();
        let fields = ["expires_at", "last_used_at", "created_at", "created_by"];
        let [expires, used, made, by] = fields.map(|field| output::cell(&key[field]));
        grid.push(vec![
            output::cell(&key["id"]),
            output::cell(&key["name"]),
            output::cell(&key["role"]),
            may.join("; "),
            jwt::in_words(&key["jwt"]),
            expires,
            used,
            made,
            by,
        ]);
    }
    grid.print()
}

/// A grant as people read it: `fetch list on apps github, users alice`.
fn in_words(grant: &Value) -> String {
    let mut words = match grant["actions"].as_array() {
        Some(actions) if actions.len() == Action::ALL.len() => "everything".to_owned(),
        _ => output::cell(&grant["actions"]),
    };
    let parts: Vec<String> = ["apps", "tenants", "users", "scopes"]
        .into_iter()
        .filter_map(|name| match &grant[name] {
            Value::Array(ids) if ids.is_empty() && name != "scopes" => Some(format!("no {name}")),
            Value::Array(ids) => Some(format!("{name} {}", output::cell(&json!(ids)))),
            _ => None,
        })
        .collect();
    if !parts.is_empty() {
        words.push_str(" on ");
        words.push_str(&parts.join(", "));
    }
    words
}

async fn remove(args: RemoveArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    confirm(&format!("remove the access key {}", args.id), args.yes)?;
    client.delete(&["v1", "keys", &args.id], &[]).await?;
    output::note("The access key is removed.");
    Ok(())
}
