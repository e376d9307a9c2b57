//! `passphrase`: the ways to unlock a vault, changed through its running server, or in the data
//! directory of a stopped one.
//!
//! It promises: whoever changes a slot opens the vault first, and the change is on record; with
//! `--data` it is the directory, without it the server.
//! It never: touches a directory that a running server has to itself.

mod created;
mod online;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::created::NewKeyFile;
use super::failure::Failure;
use super::init::KdfArgs;
use super::opener::{Opener, Which, key_file, with_vault};
use super::secrets::Input;
use super::{lock, output, secrets};
use crate::error::Error;
use crate::model::access::Caller;
use crate::secret::Secret;
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
        Some(data) => args.with_new(data, |vault, passphrase| {
            Ok(vault.change_passphrase(&Caller::local(), passphrase, kdf)?)
        })?,
    }
    output::note("The passphrase is changed.");
    Ok(())
}

fn add(args: &AddArgs) -> Result<(), Failure> {
    let kdf = args.set.kdf.params()?;
    let number = match &args.set.opener.which.data {
        None => super::wait(online::add(args))?,
        Some(data) => args.set.with_new(data, |vault, passphrase| {
            let unlocker = Unlocker::Passphrase(passphrase);
            Ok(vault.add_slot(&Caller::local(), unlocker, &args.label, kdf)?)
        })?,
    };
    output::note(&format!("The passphrase is added, as slot {number}."));
    Ok(())
}

fn add_key_file(args: &AddKeyFileArgs) -> Result<(), Failure> {
    let opener = &args.opener;
    let number = match &opener.which.data {
        None => super::wait(online::add_key_file(args))?,
        Some(data) => opener.with_vault(data, &mut Input::default(), |vault, _| {
            let file = NewKeyFile::make(args)?;
            let unlocker = file.before(key_file(&args.file))?;
            let kdf = KdfParams::DEFAULT;
            let added = vault.add_slot(&Caller::local(), unlocker, &args.label, kdf);
            file.settle(added.map_err(Failure::from))
        })?,
    };
    output::note(&format!("The key file is added, as slot {number}."));
    Ok(())
}

fn add_recovery_code(args: &AddRecoveryCodeArgs) -> Result<(), Failure> {
    let opener = &args.opener;
    let (number, code) = match &opener.which.data {
        None => super::wait(online::add_recovery_code(args))?,
        Some(data) => opener.with_vault(data, &mut Input::default(), |vault, _| {
            let code = RecoveryCode::generate();
            let text = code.to_text();
            let unlocker = Unlocker::RecoveryCode(code);
            let kdf = KdfParams::DEFAULT;
            let number = vault.add_slot(&Caller::local(), unlocker, &args.label, kdf)?;
            Ok((number, text))
        })?,
    };
    output::note(&format!(
        "The recovery code is added, as slot {number}. It is shown this once: write it down."
    ));
    output::value(code.expose())
}

fn slots(args: &SlotsArgs) -> Result<(), Failure> {
    let slots = match &args.which.data {
        None => super::wait(online::slots(&args.which))?,
        Some(data) => {
            let slots = with_vault(data, None, |vault| Ok(vault.slots()?))?;
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
    let opener = &args.opener;
    match &opener.which.data {
        None => super::wait(online::remove_slot(args, sure))?,
        Some(data) => opener.with_vault(data, &mut Input::default(), |vault, _| {
            let slots = vault.slots()?;
            let slot = slots.iter().find(|slot| slot.number == args.number);
            sure(&json!(slot.ok_or(Error::NotFound("key slot"))?))?;
            Ok(vault.remove_slot(&Caller::local(), args.number)?)
        })?,
    }
    output::note(&format!("Slot {} is removed.", args.number));
    Ok(())
}

impl SetArgs {
    fn new_passphrase(&self, input: &mut Input) -> Result<Secret<String>, Failure> {
        let file = self.new_passphrase_file.as_deref();
        input.read_new("the new passphrase", file, check_passphrase)
    }

    /// Opens the vault and reads a new passphrase, both before `work` changes anything.
    fn with_new<T>(
        &self,
        data: &Path,
        work: impl FnOnce(&Vault, Secret<String>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let input = &mut Input::default();
        self.opener.with_vault(data, input, |vault, input| {
            work(vault, self.new_passphrase(input)?)
        })
    }
}
