//! `token`: fetched, stored, listed, refreshed, revealed, removed.
//!
//! It promises: lists and summaries show no secret; plain text comes from `get` and `reveal` alone.
//! It never: decides which of several tokens fits (the server does).

mod get;
mod put;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::get::GetArgs;
use self::put::PutArgs;
use super::app::revocations;
use super::args::Remote;
use super::client::Client;
use super::failure::{Exit, Failure};
use super::output;
use super::output::Grid;
use super::secrets::confirm;
use crate::limits;

/// The commands of `token`.
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:
  curl https://api.github.com/user \\
      -H \"Authorization: Bearer $(strongroom token get github --user alice)\"")]
pub enum TokenCommand {
    /// Fetch a token that is valid now.
    ///
    /// Prints the access token or API key and nothing else, so that `$(strongroom token get …)`
    /// works. It is refreshed first where it must be. Where a person has to connect the app, the
    /// exit code is 7 (never connected) or 8 (has to connect again), 9 while they are at it.
    Get(GetArgs),
    /// Store a token or API key.
    ///
    /// Without a file the API key is typed at the terminal or read from standard input. An OAuth
    /// token comes in files: an access token, a refresh token, or both.
    Put(PutArgs),
    /// List tokens, without their secrets.
    ///
    /// Shows what state each is in and whether a person has to connect again.
    List(ListArgs),
    /// Show one token's summary, without its secrets.
    ///
    /// Everything the list leaves out: the last refresh and its error, who connected it, when.
    Show(OneArgs),
    /// Refresh a token now.
    ///
    /// The scheduler does so by itself ahead of expiry; this is for looking into trouble.
    Refresh(OneArgs),
    /// Show a token in plain text, its refresh token included.
    ///
    /// Needs a right of its own, and is on record with the reason given.
    Reveal(RevealArgs),
    /// Remove a token, or all tokens of an app, user or tenant.
    ///
    /// Revokes at the provider where it can be done, says how that went, and deletes here in any
    /// case.
    Remove(RemoveArgs),
}

/// Arguments of `token list`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom token list --user alice
  strongroom token list --state reconnect_required --json")]
pub struct ListArgs {
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Which tokens.
    #[command(flatten)]
    pub filter: Filter,
    /// Only tokens in this state.
    #[arg(long, value_name = "STATE", value_parser = ["active", "reconnect_required"])]
    pub state: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = limits::PAGE_DEFAULT)]
    pub limit: usize,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Which tokens a command is about.
#[derive(Args, Clone, Debug)]
pub struct Filter {
    /// Only tokens of this app.
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// Only tokens of this user.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only tokens of this tenant.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
}

impl Filter {
    fn query(&self) -> Vec<(&str, &str)> {
        let all = [
            ("app", self.app.as_deref()),
            ("user", self.user.as_deref()),
            ("tenant", self.tenant.as_deref()),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// Arguments of the commands about one token.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom token show tok_0123456789abcdef0123456789abcdef
  strongroom token refresh tok_0123456789abcdef0123456789abcdef")]
pub struct OneArgs {
    /// The token's id, as lists show it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `token reveal`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:
  strongroom token reveal tok_0123456789abcdef0123456789abcdef --reason \"ticket 4711\"")]
pub struct RevealArgs {
    /// Which token.
    #[command(flatten)]
    pub one: OneArgs,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Arguments of `token remove`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom token remove tok_0123456789abcdef0123456789abcdef
  strongroom token remove --user alice
  strongroom token remove --app github --tenant acme --yes")]
pub struct RemoveArgs {
    /// The token's id; or say which ones with `--app`, `--user`, `--tenant`.
    #[arg(
        value_name = "ID",
        required_unless_present_any = ["app", "user", "tenant"],
        conflicts_with_all = ["app", "user", "tenant"]
    )]
    pub id: Option<String>,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Which tokens.
    #[command(flatten)]
    pub filter: Filter,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs a command of `token`.
///
/// # Errors
/// What the server says, as a failure; an outcome other than `ok` by its exit code.
pub async fn run(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Get(args) => get::run(args).await,
        TokenCommand::Put(args) => put::run(args).await,
        TokenCommand::List(args) => list(args).await,
        TokenCommand::Show(args) => show(args).await,
        TokenCommand::Refresh(args) => refresh(args).await,
        TokenCommand::Reveal(args) => reveal(args).await,
        TokenCommand::Remove(args) => remove(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let mut tokens: Vec<Value> = Vec::new();
    let mut cursor = Value::Null;
    while tokens.len() < args.limit {
        let limit = (args.limit - tokens.len())
            .min(limits::PAGE_MAX)
            .to_string();
        let mut query = args.filter.query();
        query.push(("limit", &limit));
        query.extend(args.state.as_deref().map(|state| ("state", state)));
        query.extend(cursor.as_str().map(|cursor| ("cursor", cursor)));
        let mut page = client.get(&["v1", "tokens"], &query).await?;
        // A filtered page may be empty and still have a next one.
        tokens.extend(page["tokens"].as_array().cloned().unwrap_or_default());
        cursor = page["cursor"].take();
        if cursor.is_null() {
            break;
        }
    }
    if args.json {
        return output::json(&json!({"tokens": tokens, "cursor": cursor}));
    }
    let mut grid = Grid::new(&[
        "ID", "APP", "TENANT", "USER", "ACCOUNT", "STATE", "EXPIRES", "SCOPES",
    ]);
    for token in &tokens {
        let fields = [
            "id",
            "app",
            "tenant",
            "user",
            "account",
            "state",
            "expires_at",
            "scopes",
        ];
        grid.add(token, &fields);
    }
    grid.print()?;
    if !cursor.is_null() {
        output::note("There are more; ask for them with `--limit N`, or filter.");
    }
    Ok(())
}

async fn show(args: OneArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let token = client.get(&["v1", "tokens", &args.id], &[]).await?;
    print(&token, args.json)
}

async fn refresh(args: OneArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let path = ["v1", "tokens", &args.id, "refresh"];
    let answer = client.outcome(&path, &json!({})).await?;
    print(
        if args.json { &answer } else { &answer["token"] },
        args.json,
    )?;
    get::judge(&answer, &get::connect_command(&answer["token"]))
}

async fn reveal(args: RevealArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.one.remote)?;
    let mut body = json!({});
    if let Some(reason) = &args.reason {
        body["reason"] = json!(reason);
    }
    let path = ["v1", "tokens", &args.one.id, "reveal"];
    let token = client.post(&path, &body).await?;
    if args.one.json {
        return output::json(&token);
    }
    let fields = [
        "id",
        "kind",
        "access_token",
        "token_type",
        "refresh_token",
        "id_token",
        "expires_at",
        "scopes",
    ];
    output::facts(&token, &fields)?;
    for line in token["history"].as_array().into_iter().flatten() {
        output::line(&format!(
            "{}  {} by {}",
            output::cell(&line["at"]),
            output::cell(&line["what"]),
            output::cell(&line["by"])
        ))?;
    }
    Ok(())
}

async fn remove(args: RemoveArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let Some(id) = &args.id else {
        return remove_many(&client, &args).await;
    };
    confirm(&format!("remove the token {id}"), args.yes)?;
    let gone = client.delete(&["v1", "tokens", id], &[]).await?;
    if args.json {
        return output::json(&gone);
    }
    let went = match gone["revocation"]["result"].as_str().unwrap_or_default() {
        "revoked" => " and revoked at the provider",
        "not_supported" => " here; its provider offers no way to revoke it",
        "failed" => " here; it could not be revoked at the provider and may still work there",
        _ => "",
    };
    output::note(&format!("The token is removed{went}."));
    Ok(())
}

async fn remove_many(client: &Client, args: &RemoveArgs) -> Result<(), Failure> {
    let query = args.filter.query();
    let which: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    confirm(
        &format!("remove every token of {}", which.join(", ")),
        args.yes,
    )?;
    let mut deleted = 0;
    let mut counts = json!({});
    loop {
        let gone = client.delete(&["v1", "tokens"], &query).await?;
        let now = gone["deleted"].as_u64().unwrap_or_default();
        deleted += now;
        for (name, count) in gone["revocations"].as_object().into_iter().flatten() {
            let before = counts[name].as_u64().unwrap_or_default();
            counts[name] = json!(before + count.as_u64().unwrap_or_default());
        }
        if gone["more"] != json!(true) {
            break;
        }
        if now == 0 {
            return Err(Failure::new(
                Exit::Failed,
                format!("{deleted} tokens are removed, and the server does not get further"),
                "look at the server's log",
            ));
        }
    }
    if args.json {
        return output::json(&json!({"deleted": deleted, "revocations": counts}));
    }
    let went = revocations(&counts);
    let (noun, verb) = if deleted == 1 {
        ("token", "is")
    } else {
        ("tokens", "are")
    };
    output::note(&format!("{deleted} {noun} {verb} removed.{went}"));
    Ok(())
}

/// Prints a summary.
fn print(token: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(token);
    }
    let fields = [
        "id",
        "app",
        "tenant",
        "user",
        "account",
        "kind",
        "type",
        "state",
        "reason",
        "subject",
        "scopes",
        "requested_scopes",
        "expires_at",
        "has_refresh_token",
        "last_refreshed_at",
        "last_refresh_error",
        "created_at",
        "granted_by",
    ];
    output::facts(token, &fields)
}
