//! `passphrase`: the ways to unlock a vault, changed through its running server, or in the data
//! directory of a stopped one.
//!
//! It promises: whoever changes a slot opens the vault first, and the change is on record; with
//! `--data` it is the directory, without it the server.
//! It never: touches a directory that a running server has to itself.

mod online;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::{Remote, Server};
use super::failure::{Exit, Failure};
use super::init::KdfArgs;
use super::opener::{Unlocking, closed, key_file, open_locked, open_unlocked};
use super::secrets::Input;
use super::{lock, output, secrets};
use crate::error::Error;
use crate::model::access::Caller;
use crate::secret::{Secret, random};
use crate::vault::{KdfParams, RecoveryCode, SlotInfo, Unlocker, Vault, check_passphrase};

/// The commands of `passphrase`.
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Examples:
  strongroom passphrase set
  strongroom passphrase set --data /var/lib/strongroom")]
pub enum PassphraseCommand {
    /// Put a new passphrase in the place of the old one.
    ///
    /// Opens the vault with the current passphrase, or with the recovery code where the passphrase
    /// is forgotten (`--recovery`). Every passphrase slot goes, one new slot comes; the recovery
    /// code and key files stay. Nothing is sealed anew, so it takes no longer than an unlock.
    Set(SetArgs),
    /// Add a passphrase beside those that are there.
    ///
    /// For a second person who may unlock the vault. Any one of the slots unlocks it.
    Add(AddArgs),
    /// Add a key file, to unlock without a person.
    ///
    /// The file holds at least 32 random bytes and unlocks the vault alone, so keep it where only
    /// the server reads it, such as a systemd credential: `serve --key-file FILE`.
    AddKeyFile(AddKeyFileArgs),
    /// Add a recovery code, and print it once.
    ///
    /// For a code that was lost or seen: add a new one, write it down, then take the old one away
    /// with `passphrase remove-slot`.
    AddRecoveryCode(AddRecoveryCodeArgs),
    /// List the ways to unlock the vault.
    ///
    /// With `--data` nothing has to be unlocked for it; a server is asked for them with an access
    /// key.
    Slots(SlotsArgs),
    /// Take a way to unlock the vault away.
    ///
    /// The last one cannot be taken away. `passphrase slots` shows the numbers.
    RemoveSlot(RemoveSlotArgs),
}

/// Which vault: a stopped server's directory, or a running server.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// The data directory of a stopped server; without it the server at `--url` is asked.
    #[arg(long, env = "STRONGROOM_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the server is.
    #[command(flatten)]
    pub server: Server,
    /// File that holds the access key; without it STRONGROOM_KEY is presented to the server.
    #[arg(long, value_name = "FILE")]
    pub access_key_file: Option<PathBuf>,
}

impl Which {
    fn remote(&self) -> Remote {
        Remote {
            server: self.server.clone(),
            key_file: self.access_key_file.clone(),
        }
    }
}

/// Which vault, and what opens it.
#[derive(Args, Clone, Debug)]
pub struct Opener {
    /// Which vault.
    #[command(flatten)]
    pub which: Which,
    /// What opens it.
    #[command(flatten)]
    pub with: Unlocking,
    /// The vault's anchor, where it has one; see `strongroom help serve`.
    #[arg(long, env = "STRONGROOM_ANCHOR", value_name = "PATH")]
    pub anchor: Option<PathBuf>,
}

/// Arguments of `passphrase set`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom passphrase set
  strongroom passphrase set --recovery
  strongroom passphrase set --data ./vault --recovery
  strongroom passphrase set --data ./vault --passphrase-file old.txt \\
      --new-passphrase-file new.txt")]
pub struct SetArgs {
    /// Which vault, and what opens it.
    #[command(flatten)]
    pub opener: Opener,
    /// File with the new passphrase (`-`: standard input); without it you are asked twice.
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    /// The new slot's cost.
    #[command(flatten)]
    pub kdf: KdfArgs,
}

/// Arguments of `passphrase add`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom passphrase add --label \"Ada\"
  strongroom passphrase add --data ./vault --label \"Ada\"")]
pub struct AddArgs {
    /// Which vault, what opens it, and the new passphrase.
    #[command(flatten)]
    pub set: SetArgs,
    /// What the slot is called in lists.
    #[arg(long, value_name = "TEXT", default_value = "added")]
    pub label: String,
}

/// Arguments of `passphrase add-key-file`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom passphrase add-key-file ./vault.key --create
  strongroom passphrase add-key-file ./vault.key --create --data ./vault
  strongroom serve --data ./vault --key-file ./vault.key")]
pub struct AddKeyFileArgs {
    /// The key file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Make the file, with 32 random bytes, readable by you alone.
    #[arg(long)]
    pub create: bool,
    /// Which vault, and what opens it.
    #[command(flatten)]
    pub opener: Opener,
    /// What the slot is called in lists.
    #[arg(long, value_name = "TEXT", default_value = "key file")]
    pub label: String,
}

/// Arguments of `passphrase add-recovery-code`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom passphrase add-recovery-code
  strongroom passphrase add-recovery-code --data ./vault")]
pub struct AddRecoveryCodeArgs {
    /// Which vault, and what opens it.
    #[command(flatten)]
    pub opener: Opener,
    /// What the slot is called in lists.
    #[arg(long, value_name = "TEXT", default_value = "added")]
    pub label: String,
}

/// Arguments of `passphrase slots`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom passphrase slots
  strongroom passphrase slots --data ./vault")]
pub struct SlotsArgs {
    /// Which vault.
    #[command(flatten)]
    pub which: Which,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `passphrase remove-slot`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom passphrase remove-slot 3
  strongroom passphrase remove-slot 3 --data ./vault")]
pub struct RemoveSlotArgs {
    /// The slot's number.
    #[arg(value_name = "N")]
    pub number: u32,
    /// Which vault, and what opens it.
    #[command(flatten)]
    pub opener: Opener,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// Runs a command of `passphrase`.
///
/// # Errors
/// Not allowed, where what was given does not open the vault; failed, where a server has the
/// directory open.
pub fn run(command: PassphraseCommand) -> Result<(), Failure> {
    match command {
        PassphraseCommand::Set(args) => set(&args),
        PassphraseCommand::Add(args) => add(&args),
        PassphraseCommand::AddKeyFile(args) => add_key_file(&args),
        PassphraseCommand::AddRecoveryCode(args) => add_recovery_code(&args),
        PassphraseCommand::Slots(args) => slots(&args),
        PassphraseCommand::RemoveSlot(args) => remove_slot(&args),
    }
}

fn set(args: &SetArgs) -> Result<(), Failure> {
    let kdf = args.kdf.params()?;
    match &args.opener.which.data {
        None => super::wait(online::set(args))?,
        Some(data) => {
            let (vault, passphrase) = open_for_new(args, data)?;
            let changed = vault.change_passphrase(&Caller::local(), passphrase, kdf);
            closed(&vault, changed)?;
        }
    }
    output::note("The passphrase is changed.");
    Ok(())
}

fn add(args: &AddArgs) -> Result<(), Failure> {
    let kdf = args.set.kdf.params()?;
    let number = match &args.set.opener.which.data {
        None => super::wait(online::add(args))?,
        Some(data) => {
            let (vault, passphrase) = open_for_new(&args.set, data)?;
            let unlocker = Unlocker::Passphrase(passphrase);
            let added = vault.add_slot(&Caller::local(), unlocker, &args.label, kdf);
            closed(&vault, added)?
        }
    };
    output::note(&format!("The passphrase is added, as slot {number}."));
    Ok(())
}

/// Opens the vault and reads a new passphrase, both before anything is changed.
fn open_for_new(args: &SetArgs, data: &Path) -> Result<(Vault, Secret<String>), Failure> {
    let mut input = Input::default();
    let vault = args.opener.open(data, &mut input)?;
    Ok((vault, args.new_passphrase(&mut input)?))
}

fn add_key_file(args: &AddKeyFileArgs) -> Result<(), Failure> {
    let number = match &args.opener.which.data {
        None => super::wait(online::add_key_file(args))?,
        Some(data) => {
            let vault = args.opener.open(data, &mut Input::default())?;
            if args.create {
                create_key_file(&args.file)?;
            }
            let unlocker = key_file(&args.file)?;
            let kdf = KdfParams::DEFAULT;
            let added = vault.add_slot(&Caller::local(), unlocker, &args.label, kdf);
            closed(&vault, added)?
        }
    };
    output::note(&format!("The key file is added, as slot {number}."));
    Ok(())
}

fn add_recovery_code(args: &AddRecoveryCodeArgs) -> Result<(), Failure> {
    let (number, code) = match &args.opener.which.data {
        None => super::wait(online::add_recovery_code(args))?,
        Some(data) => {
            let vault = args.opener.open(data, &mut Input::default())?;
            let code = RecoveryCode::generate();
            let text = code.to_text();
            let unlocker = Unlocker::RecoveryCode(code);
            let kdf = KdfParams::DEFAULT;
            let added = vault.add_slot(&Caller::local(), unlocker, &args.label, kdf);
            (closed(&vault, added)?, text)
        }
    };
    output::note(&format!(
        "The recovery code is added, as slot {number}. It is shown this once: write it down."
    ));
    output::value(code.expose())
}

fn create_key_file(path: &Path) -> Result<(), Failure> {
    let bytes = Secret::new(random::<32>());
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes.expose())?;
            file.sync_all()
        })
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot make {}: {error}", path.display()),
                "name a file that does not exist, or leave `--create` out to use one that does",
            )
        })
}

fn slots(args: &SlotsArgs) -> Result<(), Failure> {
    let slots = match &args.which.data {
        None => super::wait(online::slots(&args.which))?,
        Some(data) => {
            let vault = open_locked(data, None)?;
            let slots = closed(&vault, vault.slots())?;
            slots.iter().map(|slot: &SlotInfo| json!(slot)).collect()
        }
    };
    if args.json {
        output::json(&json!({"slots": slots}))
    } else {
        lock::show_slots(&slots)
    }
}

fn remove_slot(args: &RemoveSlotArgs) -> Result<(), Failure> {
    let sure = |slot: &Value| {
        let what = format!(
            "remove slot {} ({}, {})",
            slot["number"],
            output::cell(&slot["kind"]),
            output::cell(&slot["label"])
        );
        secrets::confirm(&what, args.yes)
    };
    match &args.opener.which.data {
        None => super::wait(online::remove_slot(args, sure))?,
        Some(data) => {
            let vault = args.opener.open(data, &mut Input::default())?;
            let found = vault.slots()?;
            let Some(slot) = found.iter().find(|slot| slot.number == args.number) else {
                return closed(&vault, Err(Error::NotFound("key slot")));
            };
            sure(&json!(slot))?;
            let removed = vault.remove_slot(&Caller::local(), args.number);
            closed(&vault, removed)?;
        }
    }
    output::note(&format!("Slot {} is removed.", args.number));
    Ok(())
}

impl SetArgs {
    fn new_passphrase(&self, input: &mut Input) -> Result<Secret<String>, Failure> {
        let file = self.new_passphrase_file.as_deref();
        input.read_new("the new passphrase", file, check_passphrase)
    }
}

impl Opener {
    fn open(&self, data: &Path, input: &mut Input) -> Result<Vault, Failure> {
        open_unlocked(data, self.anchor.clone(), &self.with, input)
    }
}
