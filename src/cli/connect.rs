//! `connect`: have a person connect apps, and wait for it.
//!
//! It promises: link and code stand on standard output, what happens meanwhile on standard error;
//! the exit code says whether everything is connected; the wait ends with the link's life.
//! It never: opens a browser by itself, for it may run where there is none.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::args::{Remote, span, web_url};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::output;
use crate::limits;
use crate::model::url::WebUrl;

/// Arguments of `connect`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom connect github --user alice
  strongroom connect github --user alice --tenant acme --scope repo
  strongroom connect google maps --user alice --verify code --json")]
pub struct ConnectArgs {
    /// The apps to connect.
    #[arg(value_name = "APP", required = true, num_args = 1..=limits::LINK_APPS_MAX)]
    pub apps: Vec<String>,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// The user the tokens will belong to.
    #[arg(long, value_name = "USER", required_unless_present = "tenant")]
    pub user: Option<String>,
    /// The tenant they will belong to, alone or with a user.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// A scope to ask for instead of the app's own (repeatable; for one app).
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// Name of the account, to tell several of one owner and app apart.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// How the person is proven; what the access key allows first, unless given.
    #[arg(long, value_name = "HOW")]
    pub verify: Option<Verify>,
    /// Where the person's browser goes at the end: one of the key's or app's return URLs.
    #[arg(long, value_name = "URL", value_parser = web_url)]
    pub return_url: Option<WebUrl>,
    /// Life of the link: 90s, 10m, 1h.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub expires_in: Option<Duration>,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print the link and do not wait.
    #[arg(long)]
    pub no_wait: bool,
    /// Print JSON lines: the link first, how it ended last.
    #[arg(long)]
    pub json: bool,
}

/// How the person is proven to be the one who was asked.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Verify {
    /// A short code, printed here, is typed on the page.
    Code,
    /// The asking application says who is signed in there.
    Vouch,
    /// No proof.
    None,
}

impl Verify {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Vouch => "vouch",
            Self::None => "none",
        }
    }
}

/// Makes a link, prints it, and waits for its end.
///
/// # Errors
/// Not connected, where the link ends without every app on it.
pub async fn run(args: ConnectArgs) -> Result<(), Failure> {
    if args.apps.len() > 1 && !args.scope.is_empty() {
        return Err(Failure::usage(
            "`--scope` goes with one app: scopes of one service mean nothing to another",
            "connect the app that needs other scopes by itself",
        ));
    }
    let client = Client::with_key(&args.remote)?;
    let link = client.post(&["v1", "connect"], &body(&args)).await?;
    if args.json {
        output::json_line(&link)?;
    } else {
        introduce(&link)?;
    }
    if args.no_wait {
        return Ok(());
    }
    let id = link["id"].as_str().unwrap_or_default();
    let wait = wait_for_end(&client, id, !args.json);
    let end = tokio::time::timeout(limits::CLIENT_CONNECT_WAIT_MAX, wait)
        .await
        .map_err(|_| Failure::new(Exit::NotConnected, "the link has lapsed", AGAIN))??;
    if args.json {
        output::json_line(&end)?;
    }
    judge(&end, &args)
}

const AGAIN: &str = "run `strongroom connect` again for a new link";

fn body(args: &ConnectArgs) -> Value {
    let apps: Vec<Value> = args
        .apps
        .iter()
        .map(|app| {
            let mut entry = json!({"app": app});
            if !args.scope.is_empty() {
                entry["scopes"] = json!(args.scope);
            }
            if let Some(account) = &args.account {
                entry["account"] = json!(account);
            }
            entry
        })
        .collect();
    let mut body = json!({"apps": apps});
    let verify = args.verify.map(Verify::word);
    let given = [
        ("user", args.user.as_deref()),
        ("tenant", args.tenant.as_deref()),
        ("return_url", args.return_url.as_ref().map(WebUrl::as_str)),
        ("verify", verify),
        ("reason", args.reason.as_deref()),
    ];
    for (name, text) in given {
        if let Some(text) = text {
            body[name] = json!(text);
        }
    }
    if let Some(life) = args.expires_in {
        body["expires_in_s"] = json!(life.as_secs());
    }
    body
}

/// Prints a link for a person to follow.
fn introduce(link: &Value) -> Result<(), Failure> {
    let mut text = format!("Open:  {}\n", output::cell(&link["url"]));
    if let Some(code) = link["code"].as_str() {
        text.push_str(&format!("Code:  {code}\n"));
    }
    output::line(text.trim_end())?;
    output::note(&format!(
        "The link works until {}.",
        output::cell(&link["expires_at"])
    ));
    Ok(())
}

/// Polls until the link has ended, and says what changes on the way.
async fn wait_for_end(client: &Client, id: &str, tell: bool) -> Result<Value, Failure> {
    let wait_s = limits::LINK_WAIT_MAX.as_secs().to_string();
    let mut before = Value::Null;
    let mut failures = 0;
    loop {
        let asked = client
            .get(&["v1", "connect", id], &[("wait", wait_s.as_str())])
            .await;
        match asked {
            Ok(now) => {
                failures = 0;
                if tell {
                    tell_changes(&before, &now);
                }
                if !matches!(now["status"].as_str(), Some("issued" | "visited")) {
                    return Ok(now);
                }
                before = now;
            }
            // A server that is being restarted comes back, and the link with it.
            Err(failure) => {
                failures += 1;
                let may_pass = matches!(failure.exit, Exit::Unavailable | Exit::Locked);
                if !may_pass || failures > limits::CLIENT_POLL_FAILURES_MAX {
                    return Err(failure);
                }
            }
        }
        tokio::time::sleep(limits::CLIENT_POLL_PAUSE).await;
    }
}

fn tell_changes(before: &Value, now: &Value) {
    if now["status"] == "visited" && before["status"] != "visited" {
        output::note("The link was opened.");
    }
    for (at, app) in now["apps"].as_array().into_iter().flatten().enumerate() {
        if app["state"] == before["apps"][at]["state"] {
            continue;
        }
        let name = output::cell(&app["app"]);
        match app["state"].as_str() {
            Some("connected") => output::note(&format!("{name}: connected.")),
            Some("declined") => output::note(&format!("{name}: the person said no.")),
            Some("failed") => output::note(&format!(
                "{name}: it went wrong, and may be tried again: {}",
                output::cell(&app["message"])
            )),
            _ => {}
        }
    }
}

/// Says how it ended, by words and exit code.
fn judge(end: &Value, args: &ConnectArgs) -> Result<(), Failure> {
    let apps: Vec<&Value> = end["apps"].as_array().into_iter().flatten().collect();
    let connected = apps.iter().filter(|app| app["state"] == "connected");
    for app in connected.clone() {
        let missing = &app["missing_scopes"];
        if missing.as_array().is_some_and(|scopes| !scopes.is_empty()) {
            let scopes = output::cell(missing);
            output::note(&format!(
                "{}: these scopes were not granted: {scopes}",
                output::cell(&app["app"])
            ));
        }
        if !args.json {
            output::line(&format!("Token: {}", output::cell(&app["token_id"])))?;
        }
    }
    if connected.count() == args.apps.len() {
        return Ok(());
    }
    let message = match end["status"].as_str().unwrap_or_default() {
        "finished" => "the person did not connect every app",
        "expired" => "the link has lapsed",
        "withdrawn" => "the link was withdrawn",
        "wrong_person" => "somebody else than the link's owner followed it; it is dead",
        "too_many_codes" => "too many wrong codes were typed; the link is dead",
        "cancelled" => "the person cancelled",
        "replaced" => "a newer link for the same person and apps took its place",
        _ => "the link ended in a way this version does not know",
    };
    Err(Failure::new(Exit::NotConnected, message, AGAIN))
}
