//! `unlock`, `lock`, `status`: how a running server's vault stands.
//!
//! It promises: unlocking what is unlocked is no failure, nor is locking what is locked; `status`
//! tells scripts by its exit code.
//! It never: keeps the passphrase longer than the request takes.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::args::{Remote, Server};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::output;
use super::output::Grid;
use super::rotate::TAKE_IT_UP;
use super::secrets::Input;

/// Arguments of `unlock`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom unlock
  strongroom unlock --passphrase-file /run/credentials/vault
  pass show strongroom | strongroom unlock")]
pub struct UnlockArgs {
    /// Where the server is.
    #[command(flatten)]
    pub server: Server,
    /// File with the passphrase or recovery code (`-`: standard input).
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `lock`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom lock")]
pub struct LockArgs {
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
}

/// Arguments of `status`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom status
  strongroom status --json")]
pub struct StatusArgs {
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Unlocks the server's vault.
///
/// # Errors
/// Not allowed, where the passphrase does not open it.
pub async fn unlock(args: UnlockArgs) -> Result<(), Failure> {
    let client = Client::without_key(&args.server)?;
    let passphrase = Input::default().read("the passphrase", args.passphrase_file.as_deref())?;
    let body = json!({"passphrase": passphrase.expose()});
    match client.post(&["v1", "unlock"], &body).await {
        Ok(_) => output::note("The vault is unlocked."),
        Err(failure) if failure.code == "already_unlocked" => {
            output::note("The vault was unlocked already.");
        }
        // The server says "too much at one time" of everything that has to wait.
        Err(failure) if failure.code == "busy" => {
            return Err(failure.with_hint(
                "after a wrong try the next one has to wait a little longer each time; whoever the \
                 server runs as does not wait over a Unix socket (serve --listen unix:PATH)",
            ));
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// Locks the server's vault.
///
/// # Errors
/// Not allowed, where the key has not the right.
pub async fn lock(args: LockArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    match client.post(&["v1", "lock"], &json!({})).await {
        Ok(_) => output::note("The vault is locked."),
        Err(failure) if failure.code == "locked" => output::note("The vault was locked already."),
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// Shows how the server stands.
///
/// # Errors
/// Locked, said by the exit code alone; unavailable, where no server answers.
pub async fn status(args: StatusArgs) -> Result<(), Failure> {
    let open = Client::without_key(&args.remote.server)?;
    let health = open.get(&["health"], &[]).await?;
    if health["locked"] == json!(true) {
        show(&health, args.json)?;
        return Err(Failure::silent(Exit::Locked));
    }
    let client = Client::with_key(&args.remote)?;
    let status = client.get(&["v1", "status"], &[]).await?;
    show(&status, args.json)
}

fn show(status: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(status);
    }
    output::facts(
        status,
        &[
            "locked",
            "version",
            "project_id",
            "epoch",
            "audit_seq",
            "keys_in_locked_memory",
            "refresh_paused",
            "key_term",
            "locked_because",
            "clock_off_s",
            "clock_set_back_s",
        ],
    )?;
    tell_of_rollback(status);
    if status["refresh_paused"] == json!(true) {
        let (what, flag) = match status["refresh_paused_because"].as_str() {
            Some("restored") => ("restored from a backup or salvaged", "--accept-rollback"),
            _ => ("copied from another host", "--accept-host"),
        };
        output::note(&format!(
            "Refreshing is paused: this vault was {what}, and two copies would spend the same \
             refresh tokens. If the other is gone: `serve {flag}`."
        ));
    }
    show_check(status)?;
    show_rotation(status)?;
    match status["slots"].as_array() {
        Some(slots) => show_slots(slots),
        None => Ok(()),
    }
}

/// Prints how far the check of the file is, while it goes on.
fn show_check(status: &Value) -> Result<(), Failure> {
    let check = &status["checking"];
    if check.is_null() {
        return Ok(());
    }
    output::line(&format!(
        "checking  {} of {} steps",
        check["done"], check["total"]
    ))?;
    output::note(
        "The vault's file is still being checked: tokens that are found and valid are handed out, \
         everything else waits.",
    );
    Ok(())
}

/// Prints how far a key rotation is, where there is one.
fn show_rotation(status: &Value) -> Result<(), Failure> {
    let rotation = &status["rotation"];
    if rotation.is_null() {
        return Ok(());
    }
    output::line(&format!(
        "key rotation  {}: {} of {} records",
        output::cell(&rotation["state"]),
        rotation["records_done"],
        rotation["records_total"]
    ))?;
    let error = rotation["error"].as_str().unwrap_or_default();
    match rotation["state"].as_str() {
        Some("failed") => output::note(&format!("{error}\nhint: {TAKE_IT_UP}")),
        Some("waiting") => output::note(&format!("{error}; it is tried again by itself")),
        _ => {}
    }
    Ok(())
}

fn tell_of_rollback(status: &Value) {
    if status["locked_because"] == json!("rolled_back") {
        output::note(
            "The vault does not fit its anchor: an older copy was put in its place, or the anchor \
             is gone. The server's log has the details. Where this copy is what you want: `serve \
             --accept-rollback`, once.",
        );
    }
    if status["anchor"]["behind"] == json!(true) {
        output::note(
            "The anchor's disk fails: what it holds is older than the vault. It is tried again \
             every second.",
        );
    }
}

/// Prints key slots as a table.
///
/// # Errors
/// Where standard output cannot be written.
pub fn show_slots(slots: &[Value]) -> Result<(), Failure> {
    let mut grid = Grid::new(&["SLOT", "OPENED BY", "LABEL", "MADE", "KDF MEMORY"]);
    for slot in slots {
        let memory = slot["kdf_memory_kib"].as_u64();
        grid.push(vec![
            output::cell(&slot["number"]),
            output::cell(&slot["kind"]),
            output::cell(&slot["label"]),
            output::cell(&slot["created_at"]),
            memory.map_or("-".into(), |kib| format!("{} MiB", kib / 1024)),
        ]);
    }
    grid.print()
}
