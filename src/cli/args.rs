//! The arguments of `strongroom` and of `serve`; the other commands' stand beside their code.
//!
//! It promises: every command has a summary, an explanation and an example; what can be checked
//! without looking at anything is checked here.
//! It never: takes a secret.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::app::AppCommand;
use super::audit::AuditArgs;
use super::backup::BackupArgs;
use super::brand::BrandArgs;
use super::check::CheckArgs;
use super::compact::CompactArgs;
use super::completions::CompletionsArgs;
use super::connect::ConnectArgs;
use super::dev::DevArgs;
use super::failure::EXIT_CODES;
use super::import::ImportCommand;
use super::init::InitArgs;
use super::key::KeyCommand;
use super::lock::{LockArgs, StatusArgs, UnlockArgs};
use super::passphrase::PassphraseCommand;
use super::restore::RestoreArgs;
use super::rotate::RotateArgs;
use super::salvage::SalvageArgs;
use super::sandbox::SandboxArgs;
use super::token::TokenCommand;
use crate::http::guard::page_origin;
use crate::http::listen::ListenAddress;
use crate::limits;
use crate::model::url::WebUrl;

/// Where a server listens and is looked for, unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7420";
/// The same as an address to listen on.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7420";

/// A token vault: stores, refreshes and hands out third-party OAuth tokens and API keys.
///
/// Strongroom keeps the tokens of your users and tenants for MCP servers and agents. To look
/// around, run `strongroom dev`. To run it for real: `strongroom init`, then `strongroom serve`,
/// then `strongroom app add`, `strongroom connect` and `strongroom token get`.
#[derive(Debug, Parser)]
#[command(
    name = "strongroom",
    version,
    arg_required_else_help = true,
    after_help = environment(),
    infer_long_args = false
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

fn environment() -> String {
    format!(
        "\
Environment:
  STRONGROOM_URL           where the server is, instead of `--url`
  STRONGROOM_KEY           the access key, instead of a file that holds it
  STRONGROOM_DATA          the data directory, instead of `--data`
  STRONGROOM_ANCHOR        the vault's anchor, instead of `--anchor`
  STRONGROOM_CATALOGUE     the directory of own templates, instead of `--catalogue`
  STRONGROOM_BRAND_NAME    instead of `--brand-name` of `serve` and `dev`
  STRONGROOM_BRAND_LOGO    instead of `--brand-logo`
  STRONGROOM_BRAND_ACCENT  instead of `--brand-accent`
  STRONGROOM_LOG           off, error, warn, info or debug: how much is logged on standard error

Secrets are typed at a terminal without echo, read from a file (`--…-file FILE`, `-` for standard
input) or from standard input. They are never taken from arguments, which every process can see.

{EXIT_CODES}

Example:
  strongroom dev"
    )
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a vault in memory with a sandbox provider, to look around and to develop against.
    ///
    /// Nothing is written to disk, nothing has to be unlocked, and only this machine can reach it.
    /// The first lines printed are `STRONGROOM_URL=…` and `STRONGROOM_KEY=…`, then come commands to
    /// try. A sandbox provider runs inside, with one OAuth app, one API-key app and one user
    /// connected.
    Dev(DevArgs),
    /// Make a new vault in a data directory of its own.
    ///
    /// Asks for a passphrase twice, refuses a weak one, and prints a recovery code and the first
    /// access key, once. The directory and what is in it are yours alone (modes 0700 and 0600).
    Init(InitArgs),
    /// Serve a vault.
    ///
    /// The vault starts locked unless a passphrase or key file is given; `strongroom unlock`
    /// unlocks it. An address other than loopback is refused without TLS, or `--behind-proxy` where
    /// a proxy of yours ends TLS. On SIGTERM open requests and refreshes in flight are finished
    /// first.
    Serve(Box<ServeArgs>),
    /// Unlock a running server's vault.
    ///
    /// Takes a passphrase or the recovery code. The server answers from this machine alone, unless
    /// it was started with `--allow-remote-unlock`. After a wrong try the next has to wait a little
    /// longer.
    Unlock(UnlockArgs),
    /// Lock a running server's vault.
    ///
    /// Its keys are wiped from memory. Every request is refused until somebody unlocks it again.
    Lock(LockArgs),
    /// Show how a running server stands.
    ///
    /// The exit code is 0 where the vault is unlocked, 3 where it is locked, and 6 where no server
    /// answers. While it is locked no access key is needed.
    Status(StatusArgs),
    /// Look after apps: the third-party services that tokens are for.
    ///
    /// An app is an OAuth client registered at a provider, or a service that people have API keys
    /// for.
    #[command(subcommand)]
    App(AppCommand),
    /// Have a person connect apps, and wait for it.
    ///
    /// Prints a link, and a code to type there, for the person whose tokens they will be. Waits
    /// until every app on it is connected or declined, or the link has lapsed, and says what
    /// happened; the exit code is 0 where every app is connected and 10 where not.
    Connect(ConnectArgs),
    /// Look after tokens.
    ///
    /// A token belongs to a user (`--user`), to a user within a tenant (both), or to a tenant
    /// (`--tenant`). The three are never interchangeable.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Bring in the tokens of another service.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Look after access keys: what programs present to this server.
    ///
    /// Not to be mixed up with API keys, which are third parties' credentials and kept as tokens.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Read the audit trail, as JSON lines.
    ///
    /// Every secret handed out, every change and every refusal is on record, sealed and chained.
    /// Entries come oldest first.
    Audit(AuditArgs),
    /// Write a backup of a vault that is in use: one file, sealed and verified.
    ///
    /// The server writes it, on its own machine, while it goes on serving. The file's name carries
    /// the epoch, the number of the last commit; a file is never put in another's place. With
    /// `--data` (or STRONGROOM_DATA) a stopped server's vault is backed up without it, and the
    /// options that open it are for that.
    Backup(BackupArgs),
    /// Make the vault's file as small as what it holds, while the server serves.
    ///
    /// Everything is copied into a new file, compared, and the new file takes the old one's place:
    /// for that time the disk has to have room for both. Who reads does not notice. Writes,
    /// refreshes among them, wait meanwhile and are done then: about a second for every 15,000
    /// tokens. A power cut or a kill leaves the old file or the new one, each whole. With `--data`
    /// (or STRONGROOM_DATA) it is done to a stopped server's vault, and the options that open it
    /// are for that.
    Compact(CompactArgs),
    /// Make a vault of a backup, in a new directory.
    ///
    /// Opens every record of it first. The vault starts with refreshing paused, because the other
    /// one may still run: `serve --accept-rollback`, once, says that it does not. A restore that
    /// fails leaves nothing behind.
    Restore(RestoreArgs),
    /// Check whether a vault or a backup is whole.
    ///
    /// Looks at the file's structure, the header, every record, every index entry, the ledger, and
    /// the audit trail, and changes nothing. The vault's server has to be stopped; beside a running
    /// one make a backup and check that.
    Check(CheckArgs),
    /// Look after the ways to unlock a vault.
    ///
    /// A vault has key slots: passphrases, recovery codes, key files. Any one of them unlocks it.
    /// Without `--data` (and STRONGROOM_DATA) the running server changes them, from this machine
    /// and with an access key that may lock; with `--data` they are changed in the directory of a
    /// stopped server. What opens the vault now is asked for either way.
    #[command(subcommand)]
    Passphrase(PassphraseCommand),
    /// Put a new key in the place of the one that seals records, while the server serves.
    ///
    /// Every record is sealed anew in the background; then the old key goes and opens nothing any
    /// more. Nobody has to wait meanwhile, and a restart goes on where it was. Passphrases, access
    /// keys and tokens stay as they are. Backups made before stay readable with what opened the
    /// vault then.
    Rotate(RotateArgs),
    /// Bring what a damaged vault still holds into a new one.
    ///
    /// For when the vault's file is damaged and there is no good backup. Every record that still
    /// authenticates is written to a new vault, which the same passphrase, recovery code and key
    /// files open; the damaged file is only read. Tells by table what came through and what did
    /// not. The exit code is 0 where everything came through, 13 where a new vault was made and
    /// something is lost, older than last written, or perhaps removed before. The server that had
    /// the vault must be stopped.
    Salvage(SalvageArgs),
    /// Run the sandbox OAuth provider alone.
    ///
    /// A complete OAuth provider for development and tests: a login and consent page, PKCE,
    /// rotating refresh tokens with reuse detection, revocation, and a small protected API that
    /// says whose token it was shown. Only this machine can reach it. Never use it for anything
    /// real.
    Sandbox(SandboxArgs),
    /// Print completions for a shell.
    ///
    /// Put them where your shell looks for completions, then start a new shell.
    Completions(CompletionsArgs),
}

/// Where the server is.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// The server's address: https://…, http://127.0.0.1:PORT or unix:PATH.
    #[arg(long, env = "STRONGROOM_URL", value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,
    /// PEM file of a root certificate to trust beside the system's (may be repeated).
    #[arg(long, value_name = "FILE")]
    pub ca_file: Vec<PathBuf>,
}

/// Where the server is, and which access key to present.
#[derive(Args, Clone, Debug)]
pub struct Remote {
    /// Where the server is.
    #[command(flatten)]
    pub server: Server,
    /// File that holds the access key; without it STRONGROOM_KEY is presented.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// Arguments of `serve`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom serve --data /var/lib/strongroom
  strongroom serve --data /var/lib/strongroom --passphrase-file /run/credentials/vault \\
      --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem \\
      --public-url https://vault.example.com
  strongroom serve --data ./vault --listen unix:/run/strongroom/socket
  strongroom serve --data ./vault --anchor /mnt/other/vault.anchor")]
pub struct ServeArgs {
    /// The data directory that `init` made.
    #[arg(long, env = "STRONGROOM_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Address to listen on, IP:PORT or unix:PATH (may be repeated).
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_LISTEN, value_parser = listen)]
    pub listen: Vec<ListenAddress>,
    /// File with a passphrase or recovery code to unlock with at start (`-`: standard input).
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub passphrase_file: Option<PathBuf>,
    /// Key file to unlock with at start; see `strongroom passphrase add-key-file`.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The URL under which people's browsers and programs reach this server.
    #[arg(long, value_name = "URL", value_parser = web_url)]
    pub public_url: Option<WebUrl>,
    /// PEM file of the server's certificate chain.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A proxy that ends TLS stands before this server, and nobody else can reach it.
    #[arg(long, conflicts_with = "tls_cert")]
    pub behind_proxy: bool,
    /// Name under which this server answers, HOST or HOST:PORT, beside its addresses (repeatable).
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Origin of pages that may call from browsers, such as `https://app.example.com` (repeatable).
    ///
    /// For what a page with an SDK of Descope's asks for: a connect link, the apps, the connected
    /// apps of a person. Nothing else is ever open to pages.
    #[arg(long, value_name = "ORIGIN", value_parser = page_origin)]
    pub allow_origin: Vec<String>,
    /// Internal provider that may be reached, HOST or HOST:PORT, though private (repeatable).
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// PEM file of a root certificate for providers, beside the system's (repeatable).
    #[arg(long, value_name = "FILE")]
    pub ca_file: Vec<PathBuf>,
    /// Reach providers directly, whatever HTTPS_PROXY says.
    #[arg(long)]
    pub no_env_proxy: bool,
    /// Directory with templates of your own, `*.json`, beside the built-in ones.
    ///
    /// Each file is a list of entries of the form that `GET /v1/templates` shows; one whose id is
    /// built in takes its place. Read again on SIGHUP; what is wrong then changes nothing and is
    /// logged.
    #[arg(long, env = "STRONGROOM_CATALOGUE", value_name = "DIR")]
    pub catalogue: Option<PathBuf>,
    /// When an audit entry counts as written.
    #[arg(long, value_name = "MODE", default_value = "grouped")]
    pub audit: AuditChoice,
    /// Take a vault that was copied from another host for this host's own, and refresh its tokens.
    #[arg(long)]
    pub accept_host: bool,
    /// File elsewhere, best on another disk, that remembers the last commit; made where missing.
    ///
    /// With it an older copy of the vault that is put in its place is noticed: it stays locked and
    /// says why. Once a vault has an anchor it is not unlocked without.
    #[arg(long, env = "STRONGROOM_ANCHOR", value_name = "PATH")]
    pub anchor: Option<PathBuf>,
    /// Let an older or restored copy of the vault in, once; it is put on record.
    #[arg(long)]
    pub accept_rollback: bool,
    /// Check the vault's file behind the first answers, for a vault so large that the check takes
    /// long.
    ///
    /// Otherwise nothing is served before the file is checked whole and every record is counted.
    /// With it tokens that are found and valid are handed out meanwhile, and everything else waits:
    /// a token that is not found is `unavailable`, not `connect_required`, nothing is refreshed and
    /// nothing is changed. Damage that is found locks the vault. `strongroom status` shows how far
    /// it is. With `--accept-rollback` the check comes first all the same.
    #[arg(long)]
    pub check_behind: bool,
    /// Most connections at one time; fewer where the system allows too few open files.
    #[arg(long, value_name = "N", default_value_t = limits::CONNECTIONS_MAX, value_parser = seats)]
    pub connections_max: usize,
    /// Whose pages these are.
    #[command(flatten)]
    pub brand: BrandArgs,
    /// Let other machines unlock the vault, change its key slots and have backups written too.
    #[arg(long)]
    pub allow_remote_unlock: bool,
}

/// When an audit entry counts as written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum AuditChoice {
    /// Once the operating system has it; on the disk at most 50 ms later.
    Grouped,
    /// Once it is on the disk. Slower; survives a power cut without a gap.
    Strict,
}

/// Reads an address to listen on.
///
/// # Errors
/// [`crate::error::Error::Invalid`] where it is none.
pub fn listen(text: &str) -> crate::error::Result<ListenAddress> {
    ListenAddress::parse(text)
}

/// Reads a web URL.
///
/// # Errors
/// [`crate::error::Error::Invalid`] where it is none.
pub fn web_url(text: &str) -> crate::error::Result<WebUrl> {
    WebUrl::parse("url", text)
}

fn seats(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|seats| (1..=limits::CONNECTIONS_MAX).contains(seats))
        .ok_or_else(|| format!("give a number from 1 to {}", limits::CONNECTIONS_MAX))
}

/// Reads a span of time: `90s`, `10m`, `12h`, `30d`.
///
/// # Errors
/// What such a span looks like.
pub fn span(text: &str) -> Result<Duration, String> {
    let (number, unit_s) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => ("", 0),
    };
    number
        .parse::<u32>()
        .ok()
        .filter(|number| *number > 0)
        .map(|number| Duration::from_secs(u64::from(number) * unit_s))
        .ok_or_else(|| "a span of time is written 90s, 10m, 12h or 30d".to_owned())
}

/// Reads `name=value`.
///
/// # Errors
/// What it looks like.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests;
