//! `token put`: an API key or an OAuth token from elsewhere.
//!
//! It promises: the credential comes from a terminal without echo, a file or standard input.
//! It never: prints it back.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::get::OwnerArgs;
use crate::cli::args::{Remote, span};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::secrets::Input;
use crate::clock::Clock;

/// Arguments of `token put`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom token put maps --user alice
  strongroom token put maps --tenant acme --api-key-file key.txt
  strongroom token put github --user alice --access-token-file a.txt --refresh-token-file r.txt \\
      --expires-in 8h --scope repo")]
pub struct PutArgs {
    /// The app.
    #[arg(value_name = "APP")]
    pub app: String,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Whose token.
    #[command(flatten)]
    pub owner: OwnerArgs,
    /// File with the API key (`-`: standard input).
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["access_token_file", "refresh_token_file"]
    )]
    pub api_key_file: Option<PathBuf>,
    /// File with the access token (`-`: standard input).
    #[arg(long, value_name = "FILE")]
    pub access_token_file: Option<PathBuf>,
    /// File with the refresh token (`-`: standard input).
    #[arg(long, value_name = "FILE")]
    pub refresh_token_file: Option<PathBuf>,
    /// How long the access token is still valid: 90s, 10m, 8h.
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "access_token_file")]
    pub expires_in: Option<Duration>,
    /// A scope that was granted (repeatable).
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// Refresh at once, to see whether the refresh token works, and store what comes back.
    #[arg(long, requires = "refresh_token_file")]
    pub verify_refresh: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Stores a token.
///
/// # Errors
/// What the server says, as a failure.
pub async fn run(args: PutArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let mut body = json!({"app": args.app});
    args.owner.write(&mut body);
    let mut input = Input::default();
    let (access, refresh) = (&args.access_token_file, &args.refresh_token_file);
    if access.is_none() && refresh.is_none() {
        let key = input.read("the API key", args.api_key_file.as_deref())?;
        body["api_key"] = json!(key.expose());
    }
    if let Some(path) = access {
        let token = input.read("the access token", Some(path))?;
        body["access_token"] = json!(token.expose());
    }
    if let Some(path) = refresh {
        let token = input.read("the refresh token", Some(path))?;
        body["refresh_token"] = json!(token.expose());
    }
    if let Some(span) = args.expires_in {
        body["expires_at"] = json!(Clock::system().now().plus(span));
    }
    if !args.scope.is_empty() {
        body["scopes"] = json!(args.scope);
    }
    if args.verify_refresh {
        body["verify_refresh"] = json!(true);
    }
    let token = client.put(&["v1", "tokens"], &body).await?;
    super::print(&token, args.json)
}
