//! `token get`: the one call.
//!
//! It promises: standard output holds the token and nothing else, or, with `--json`, the whole
//! answer whatever its outcome; each outcome has its exit code.
//! It never: waits for a person (that is `connect`).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::args::{Remote, span};
use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output;
use crate::cli::secrets::Input;
use crate::secret::Secret;

/// Whose token.
#[derive(Args, Clone, Debug)]
pub struct OwnerArgs {
    /// The user it belongs to.
    #[arg(long, value_name = "USER", required_unless_present = "tenant")]
    pub user: Option<String>,
    /// The tenant it belongs to, alone or with a user.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Which of the owner's accounts, where there are several.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
}

impl OwnerArgs {
    /// The owner as fields of a body.
    pub fn write(&self, body: &mut Value) {
        let given = [
            ("user", &self.user),
            ("tenant", &self.tenant),
            ("account", &self.account),
        ];
        for (name, text) in given {
            if let Some(text) = text {
                body[name] = json!(text);
            }
        }
    }
}

/// Arguments of `token get`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom token get github --user alice
  strongroom token get github --user alice --tenant acme --scope repo --min-ttl 5m
  strongroom token get github --user alice --connect --json")]
pub struct GetArgs {
    /// The app.
    #[arg(value_name = "APP")]
    pub app: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Whose token.
    #[command(flatten)]
    pub owner: OwnerArgs,
    /// A scope the token must have (repeatable).
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// How long it must still be valid: 90s, 10m.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub min_ttl: Option<Duration>,
    /// Refresh it first, though it is still valid.
    #[arg(long)]
    pub force_refresh: bool,
    /// File with the access token that the service refused, so that a newer one is not refreshed
    /// again (`-`: standard input).
    #[arg(long, value_name = "FILE", requires = "force_refresh")]
    pub rejected_file: Option<PathBuf>,
    /// Ask for the refresh token too; needs a right of its own, and shows with `--json`.
    #[arg(long, requires = "json")]
    pub with_refresh_token: bool,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Where there is no token, make a connect link and show it.
    #[arg(long)]
    pub connect: bool,
    /// Print the whole answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Fetches a token.
///
/// # Errors
/// Every outcome other than `ok`, by its exit code.
pub async fn run(args: GetArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let mut body = json!({"app": args.app});
    args.owner.write(&mut body);
    if !args.scope.is_empty() {
        body["scopes"] = json!(args.scope);
    }
    if let Some(span) = args.min_ttl {
        body["min_ttl_s"] = json!(span.as_secs());
    }
    for (name, wanted) in [
        ("force_refresh", args.force_refresh),
        ("with_refresh_token", args.with_refresh_token),
    ] {
        if wanted {
            body[name] = json!(true);
        }
    }
    if let Some(path) = &args.rejected_file {
        let rejected = Input::default().read("the rejected token", Some(path))?;
        body["rejected"] = json!(rejected.expose());
    }
    if let Some(reason) = &args.reason {
        body["reason"] = json!(reason);
    }
    if args.connect {
        body["connect"] = json!({});
    }
    let mut answer = client.outcome(&["v1", "token"], &body).await?;
    if args.json {
        output::json(&answer)?;
    } else if answer["outcome"] == "ok" {
        return print_token(&mut answer);
    }
    judge(&answer, &connect_command(&body))
}

fn print_token(answer: &mut Value) -> Result<(), Failure> {
    let missing = &answer["missing_scopes"];
    if missing.as_array().is_some_and(|scopes| !scopes.is_empty()) {
        let scopes = output::cell(missing);
        output::note(&format!("These scopes were not granted: {scopes}"));
    }
    let Value::String(token) = answer["access_token"].take() else {
        return Err(Failure::new(
            Exit::Failed,
            "the server's answer holds no token",
            "check that server and command line are of the same version",
        ));
    };
    output::value(Secret::new(token).expose())
}

/// The command that has a person connect an app, ready to be pasted. Names that a shell would take
/// apart are left to the reader.
pub fn connect_command(owned: &Value) -> String {
    let mut command = format!("strongroom connect {}", plain(&owned["app"], "APP"));
    let parts = [("user", "USER"), ("tenant", "TENANT"), ("account", "NAME")];
    for (name, stand_in) in parts {
        if owned[name].is_string() {
            let value = plain(&owned[name], stand_in);
            command.push_str(&format!(" --{name} {value}"));
        }
    }
    // A summary tells what was asked for; what was granted may be less.
    let scopes = ["requested_scopes", "scopes"].map(|name| owned[name].as_array());
    for scope in scopes.into_iter().flatten().next().into_iter().flatten() {
        command.push_str(&format!(" --scope {}", plain(scope, "SCOPE")));
    }
    command
}

/// A name as it can be pasted into a shell, or what stands in for it.
fn plain<'a>(name: &'a Value, stand_in: &'a str) -> &'a str {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._@+:/".contains(c);
    name.as_str()
        .filter(|text| !text.starts_with('-') && text.chars().all(fits))
        .unwrap_or(stand_in)
}

/// Says by words and exit code what an outcome means; nothing for `ok`. `connect` is the command
/// that has a person connect the app.
///
/// # Errors
/// Every other outcome.
pub fn judge(answer: &Value, connect: &str) -> Result<(), Failure> {
    let reconnect = format!("have the person connect it: `{connect}`");
    let (exit, words, hint) = match answer["outcome"].as_str().unwrap_or_default() {
        "ok" => return Ok(()),
        "connect_required" => (
            Exit::ConnectRequired,
            "nobody has connected this app for this owner",
            reconnect.as_str(),
        ),
        "reconnect_required" => (
            Exit::ReconnectRequired,
            "the person has to connect this app again",
            reconnect.as_str(),
        ),
        "pending" => (
            Exit::Pending,
            "the person is connecting this app right now",
            "ask again in a moment",
        ),
        "declined" => (
            Exit::NotConnected,
            "the person declined to connect this app",
            reconnect.as_str(),
        ),
        "denied" => (
            Exit::Denied,
            "this access key may not have this token",
            "ask an operator for a grant; `strongroom key list` shows what a key may",
        ),
        "unavailable" => (
            Exit::Unavailable,
            "the provider cannot be reached, and nothing valid is left",
            "nothing was lost; ask again later",
        ),
        _ => (
            Exit::Failed,
            "the server's answer has an outcome that this version does not know",
            "check that server and command line are of the same version",
        ),
    };
    let mut message = answer["message"].as_str().unwrap_or(words).to_owned();
    if let Some(reason) = answer["reason"].as_str() {
        message.push_str(&format!(" ({reason})"));
    }
    let hint = match (answer["connect"]["url"].as_str(), &answer["retry_after_s"]) {
        (Some(url), _) => match answer["connect"]["code"].as_str() {
            Some(code) => format!("have the person open {url} and type the code {code}"),
            None => format!("have the person open {url}"),
        },
        (None, Value::Number(seconds)) => format!("ask again in {seconds} s"),
        _ => hint.to_owned(),
    };
    Err(Failure::new(exit, message, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_in_a_hint_can_be_pasted() {
        let owned = json!({"app": "github", "user": "alice@example.com", "tenant": null});
        let command = connect_command(&owned);
        assert_eq!(
            command,
            "strongroom connect github --user alice@example.com"
        );
        let odd = json!({"app": "--json", "user": "$(reboot)", "tenant": "a b"});
        let command = connect_command(&odd);
        assert_eq!(
            command,
            "strongroom connect APP --user USER --tenant TENANT"
        );
        let narrow =
            json!({"app": "github", "user": "al", "account": "work", "scopes": ["a", "b c"]});
        assert_eq!(
            connect_command(&narrow),
            "strongroom connect github --user al --account work --scope a --scope SCOPE"
        );
    }
}
