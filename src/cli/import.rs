//! `import`: the tokens of another service, from a file of any length.
//!
//! It promises: what is stored already is left as it is unless told otherwise, so that an import
//! that broke off is simply run again; each token that is refused is told with its place and why;
//! nothing of a file's secrets is shown.
//! It never: makes an app, or guesses one.

mod file;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::file::{Found, Place, read_all};
use super::args::Remote;
use super::client::Client;
use super::failure::{Exit, Failure, printable};
use super::output;
use super::progress::Watch;
use crate::http::descope::wire::imports::read_token;
use crate::limits;
use crate::model::{Address, Owner};
use crate::secret::Secret;
use crate::vault::{NewCredential, NewToken};

/// The commands of `import`.
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  strongroom import descope tokens.json --dry-run")]
pub enum ImportCommand {
    /// Bring in tokens of Descope Connections (Outbound Apps).
    ///
    /// The file holds JSON: `{"tokens": [...]}` as for a batch upload, or a list of such tokens, or
    /// JSON lines of either an upload or the answer to a fetch each. The apps must be there, under
    /// the ids that the file names. A token with a `userId` is that user's, within `tenantId` where
    /// it has one too; one with a `tenantId` alone is the tenant's. What is stored already stays as
    /// it is, since it may have been refreshed since; an import that broke off is run again. The
    /// exit code is 13 where something was refused.
    Descope(DescopeArgs),
}

/// Arguments of `import descope`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom import descope tokens.json --dry-run
  strongroom import descope tokens.jsonl
  fetch-them-all | strongroom import descope - --json")]
pub struct DescopeArgs {
    /// The file (`-`: standard input).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Read and check everything, and store nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Put a token of the file in the place of one that is stored already.
    #[arg(long)]
    pub overwrite: bool,
    /// Print JSON lines: one for each token that was refused, then the sum.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
///
/// # Errors
/// What is wrong with the file or what the server says, as a failure; incomplete, where a token was
/// refused.
pub async fn run(command: ImportCommand) -> Result<(), Failure> {
    let ImportCommand::Descope(args) = command;
    let client = Client::with_key(&args.remote)?;
    let apps = apps(&client).await?;
    let (file, length) = open(&args.file)?;
    let mut import = Import {
        client: Arc::new(client),
        apps,
        under_way: JoinSet::new(),
        addresses: HashSet::new(),
        watch: Watch::new("import", args.json),
        length,
        sum: Sum::default(),
        args,
    };
    let outcome = import.take_all(file).await;
    let told = import.finish();
    outcome.and(told)
}

/// What a file's apps are: whether their tokens are API keys.
async fn apps(client: &Client) -> Result<HashMap<String, bool>, Failure> {
    let answer = client.get(&["v1", "apps"], &[]).await?;
    let apps = answer["apps"].as_array().map_or(&[][..], Vec::as_slice);
    let known = apps.iter().filter_map(|app| {
        let is_for_keys = app["kind"].as_str()? == "api_key";
        Some((app["id"].as_str()?.to_owned(), is_for_keys))
    });
    Ok(known.collect())
}

/// Opens the file; its length where it has one.
fn open(path: &Path) -> Result<(Box<dyn BufRead + Send>, u64), Failure> {
    if path.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            return Err(Failure::usage(
                "standard input is a terminal",
                "name a file, or send one: strongroom import descope - < FILE",
            ));
        }
        return Ok((Box::new(BufReader::new(io::stdin())), 0));
    }
    let shown = printable(&path.to_string_lossy());
    let cannot = |error: io::Error| {
        Failure::usage(
            format!("{shown} cannot be read: {error}"),
            "name another file",
        )
    };
    let file = File::open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if about.is_dir() {
        return Err(Failure::usage(
            format!("{shown} is a directory"),
            "name a file",
        ));
    }
    Ok((Box::new(BufReader::new(file)), about.len()))
}

/// An import under way.
struct Import {
    args: DescopeArgs,
    client: Arc<Client>,
    apps: HashMap<String, bool>,
    under_way: JoinSet<(Told, Result<Value, Failure>)>,
    /// Where they go.
    addresses: HashSet<Address>,
    watch: Watch,
    length: u64,
    sum: Sum,
}

#[derive(Default)]
struct Sum {
    /// Of those that could be read, how many are a tenant's own.
    of_tenants: u64,
    stored: u64,
    there_already: u64,
    refused: u64,
}

/// What is told of a token that is refused.
struct Told {
    place: Place,
    address: Option<Address>,
}

/// What comes from the file.
enum Next {
    Found(Found),
    Ended(Result<(), Failure>),
}

impl Import {
    /// Takes what is in the file, token by token.
    async fn take_all(&mut self, file: Box<dyn BufRead + Send>) -> Result<(), Failure> {
        let (sender, inbox) = mpsc::channel(limits::IMPORT_WINDOW);
        // A thread of its own, and not the runtime's, which would wait for it at the end: a read of
        // standard input may never come back.
        std::thread::spawn(move || {
            let ended = read_all(file, |found| {
                sender.blocking_send(Next::Found(found)).is_ok()
            });
            // Where nobody listens any more, nobody waits for it.
            let _ = sender.blocking_send(Next::Ended(ended));
        });
        let mut outcome = self.take_from(inbox).await;
        // What is under way may be stored, whatever went wrong with another.
        while let Some(settled) = self.settle_one().await {
            outcome = outcome.and(settled);
        }
        outcome
    }

    async fn take_from(&mut self, mut inbox: mpsc::Receiver<Next>) -> Result<(), Failure> {
        while let Some(next) = inbox.recv().await {
            match next {
                Next::Found(found) => self.take(found).await?,
                Next::Ended(ended) => return ended,
            }
        }
        let what = "reading the file broke down";
        Err(Failure::new(Exit::Failed, what, "run the same again"))
    }

    async fn take(&mut self, found: Found) -> Result<(), Failure> {
        self.watch.set(found.read_bytes, self.length);
        let read = found.written.map_err(str::to_owned).and_then(|written| {
            let is_for_keys = |app: &str| self.apps.get(app).copied();
            read_token(&written, is_for_keys)
        });
        let new = match read {
            Ok(new) => new,
            Err(why) => return self.refuse(&Told::at(found.place), &why),
        };
        if new.address.owner.user().is_none() {
            self.sum.of_tenants += 1;
        }
        if self.args.dry_run {
            self.sum.stored += 1;
            return Ok(());
        }
        // Of two for one place the later line counts, so it waits for the earlier one.
        let is_crowded = |import: &Self| {
            import.under_way.len() >= limits::IMPORT_WINDOW
                || import.addresses.contains(&new.address)
        };
        while is_crowded(self) {
            self.settle_one().await.unwrap_or(Ok(()))?;
        }
        self.addresses.insert(new.address.clone());
        let told = Told::of(found.place, &new);
        let (client, body) = (Arc::clone(&self.client), body(&new, !self.args.overwrite));
        self.under_way.spawn(async move {
            let stored = client.put(&["v1", "tokens"], &body).await;
            (told, stored)
        });
        Ok(())
    }

    /// Waits for one of those under way; `None` where there is none.
    async fn settle_one(&mut self) -> Option<Result<(), Failure>> {
        let (told, stored) = match self.under_way.join_next().await? {
            Ok(settled) => settled,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        if let Some(address) = &told.address {
            self.addresses.remove(address);
        }
        let failure = match stored {
            Ok(_) => {
                self.sum.stored += 1;
                return Some(Ok(()));
            }
            Err(failure) => failure,
        };
        Some(match failure.code.as_str() {
            "already_there" => {
                self.sum.there_already += 1;
                Ok(())
            }
            "invalid_request" | "not_found" | "denied" | "conflict" | "too_large" => {
                self.refuse(&told, &failure.message)
            }
            // Not this token's fault: the next would fare no better.
            _ => Err(failure),
        })
    }

    fn refuse(&mut self, told: &Told, why: &str) -> Result<(), Failure> {
        self.sum.refused += 1;
        let json = self.args.json;
        self.watch.beside(|| match json {
            true => output::json_line(&told.json(why)),
            false => output::line(&told.text(why)),
        })
    }

    /// Tells the sum.
    fn finish(self) -> Result<(), Failure> {
        let Sum {
            of_tenants,
            stored,
            there_already,
            refused,
        } = self.sum;
        drop(self.watch);
        if self.args.json {
            output::json_line(&json!({
                "stored": stored,
                "there_already": there_already,
                "refused": refused,
                "of_tenants": of_tenants,
                "dry_run": self.args.dry_run,
            }))?;
        } else {
            let (done, left) = match self.args.dry_run {
                true => (
                    "would be stored, unless they are there already",
                    String::new(),
                ),
                false => (
                    "stored",
                    format!(", {there_already} there already and left as they are"),
                ),
            };
            let whose = match of_tenants {
                0 => String::new(),
                some => format!("; {some} of all are a tenant's own, of no user"),
            };
            output::line(&format!("{stored} {done}{left}, {refused} refused{whose}"))?;
        }
        match refused {
            0 => Ok(()),
            _ => Err(Failure::silent(Exit::Incomplete)),
        }
    }
}

impl Told {
    fn at(place: Place) -> Self {
        Self {
            place,
            address: None,
        }
    }

    fn of(place: Place, new: &NewToken) -> Self {
        Self {
            place,
            address: Some(new.address.clone()),
        }
    }

    fn owner(&self) -> Option<&Owner> {
        self.address.as_ref().map(|address| &address.owner)
    }

    fn text(&self, why: &str) -> String {
        let place = &self.place;
        let app = self
            .address
            .as_ref()
            .map(|address| format!(", {}", address.app));
        let owner = self.owner();
        let user = owner
            .and_then(Owner::user)
            .map(|user| format!(", user {user}"));
        let tenant = owner.and_then(Owner::tenant);
        let tenant = tenant.map(|tenant| format!(", tenant {tenant}"));
        let whose: String = [app, user, tenant].into_iter().flatten().collect();
        format!("{place}{whose}: {why}")
    }

    fn json(&self, why: &str) -> Value {
        let (word, number) = match self.place {
            Place::Line(number) => ("line", number),
            Place::Item(number) => ("item", number),
        };
        json!({
            word: number,
            "app": self.address.as_ref().map(|address| &address.app),
            "user": self.owner().and_then(Owner::user),
            "tenant": self.owner().and_then(Owner::tenant),
            "refused": why,
        })
    }
}

/// A token as `PUT /v1/tokens` takes it.
fn body(new: &NewToken, if_absent: bool) -> Value {
    let address = &new.address;
    let mut body = json!({
        "app": address.app,
        "user": address.owner.user(),
        "tenant": address.owner.tenant(),
        "account": address.account,
        "scopes": address.scopes,
        "if_absent": if_absent,
    });
    match &new.credential {
        NewCredential::ApiKey(key) => body["api_key"] = json!(key.expose()),
        NewCredential::Uploaded(upload) => {
            let said = |secret: &Option<Secret<String>>| json!(secret.as_ref().map(Secret::expose));
            body["access_token"] = said(&upload.access_token);
            body["refresh_token"] = said(&upload.refresh_token);
            body["id_token"] = said(&upload.id_token);
            body["expires_at"] = json!(upload.expires_at);
            body["token_type"] = json!(upload.token_type);
            body["granted_by"] = json!(upload.granted_by);
        }
        NewCredential::Granted(_) => unreachable!("a file holds no grants of ours"),
    }
    body
}
