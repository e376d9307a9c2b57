//! `passphrase`: the ways to unlock a vault, changed while its server is stopped.
//!
//! It promises: whoever changes a slot opens the vault first, and the change is on record.
//! It never: works beside a running server, which has the vault's file to itself.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::{Exit, Failure};
use super::init::KdfArgs;
use super::secrets::Input;
use super::{lock, output, secrets};
use crate::clock::Clock;
use crate::error::Error;
use crate::model::access::Caller;
use crate::secret::{Secret, random};
use crate::vault::{RecoveryCode, Settings, SlotInfo, Unlocker, Vault, check_passphrase};

/// The commands of `passphrase`.
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "Example:\n  strongroom passphrase set --data /var/lib/strongroom")]
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
    /// List the ways to unlock the vault.
    ///
    /// Nothing has to be unlocked for it. Beside a running server use `strongroom status`.
    Slots(SlotsArgs),
    /// Take a way to unlock the vault away.
    ///
    /// The last one cannot be taken away. `passphrase slots` shows the numbers.
    RemoveSlot(RemoveSlotArgs),
}

/// Which vault, and what opens it.
#[derive(Args, Clone, Debug)]
pub struct Opener {
    /// The data directory of a stopped server.
    #[arg(long, env = "STRONGROOM_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// File with the current passphrase (`-`: standard input); without it you are asked.
    #[arg(long, value_name = "FILE", group = "opener")]
    pub passphrase_file: Option<PathBuf>,
    /// Open the vault with the recovery code, which is asked for.
    #[arg(long, group = "opener")]
    pub recovery: bool,
    /// Open the vault with the recovery code in a file (`-`: standard input).
    #[arg(long, value_name = "FILE", group = "opener")]
    pub recovery_file: Option<PathBuf>,
    /// Open the vault with a key file.
    #[arg(long, value_name = "FILE", group = "opener")]
    pub key_file: Option<PathBuf>,
}

/// Arguments of `passphrase set`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom passphrase set --data ./vault
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
#[command(after_help = "Example:\n  strongroom passphrase add --data ./vault --label \"Ada\"")]
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

/// Arguments of `passphrase slots`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom passphrase slots --data ./vault")]
pub struct SlotsArgs {
    /// The data directory of a stopped server.
    #[arg(long, env = "STRONGROOM_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `passphrase remove-slot`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  strongroom passphrase remove-slot 3 --data ./vault")]
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
/// Not allowed, where what was given does not open the vault; failed, where a server has it open.
pub fn run(command: PassphraseCommand) -> Result<(), Failure> {
    match command {
        PassphraseCommand::Set(args) => set(&args),
        PassphraseCommand::Add(args) => add(&args),
        PassphraseCommand::AddKeyFile(args) => add_key_file(&args),
        PassphraseCommand::Slots(args) => slots(&args),
        PassphraseCommand::RemoveSlot(args) => remove_slot(&args),
    }
}

fn set(args: &SetArgs) -> Result<(), Failure> {
    let kdf = args.kdf.params()?;
    let (vault, passphrase) = open_for_new(args)?;
    let changed = vault.change_passphrase(&Caller::local(), passphrase, kdf);
    closed(&vault, changed)?;
    output::note("The passphrase is changed.");
    Ok(())
}

fn add(args: &AddArgs) -> Result<(), Failure> {
    let kdf = args.set.kdf.params()?;
    let (vault, passphrase) = open_for_new(&args.set)?;
    let unlocker = Unlocker::Passphrase(passphrase);
    let added = vault.add_slot(&Caller::local(), unlocker, &args.label, kdf);
    let number = closed(&vault, added)?;
    output::note(&format!("The passphrase is added, as slot {number}."));
    Ok(())
}

/// Opens the vault and reads a new passphrase, both before anything is changed.
fn open_for_new(args: &SetArgs) -> Result<(Vault, Secret<String>), Failure> {
    let mut input = Input::default();
    let vault = args.opener.open(&mut input)?;
    let file = args.new_passphrase_file.as_deref();
    let passphrase = input.read_new("the new passphrase", file, check_passphrase)?;
    Ok((vault, passphrase))
}

fn add_key_file(args: &AddKeyFileArgs) -> Result<(), Failure> {
    let vault = args.opener.open(&mut Input::default())?;
    if args.create {
        create_key_file(&args.file)?;
    }
    let unlocker = key_file(&args.file)?;
    let kdf = crate::vault::KdfParams::DEFAULT;
    let added = vault.add_slot(&Caller::local(), unlocker, &args.label, kdf);
    let number = closed(&vault, added)?;
    output::note(&format!("The key file is added, as slot {number}."));
    Ok(())
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
    let vault = open_locked(&args.data)?;
    let slots = closed(&vault, vault.slots())?;
    let slots: Vec<_> = slots.iter().map(|slot: &SlotInfo| json!(slot)).collect();
    if args.json {
        output::json(&json!({"slots": slots}))
    } else {
        lock::show_slots(&slots)
    }
}

fn remove_slot(args: &RemoveSlotArgs) -> Result<(), Failure> {
    let vault = args.opener.open(&mut Input::default())?;
    let found = vault.slots()?;
    let Some(slot) = found.iter().find(|slot| slot.number == args.number) else {
        return closed(&vault, Err(Error::NotFound("key slot")));
    };
    let what = format!(
        "remove slot {} ({}, {})",
        slot.number, slot.kind, slot.label
    );
    secrets::confirm(&what, args.yes)?;
    let removed = vault.remove_slot(&Caller::local(), args.number);
    closed(&vault, removed)?;
    output::note(&format!("Slot {} is removed.", args.number));
    Ok(())
}

impl Opener {
    /// Opens the vault's file, asks for what unlocks it, and unlocks it.
    fn open(&self, input: &mut Input) -> Result<Vault, Failure> {
        // The file first: nobody types a passphrase to learn that a server is running.
        let vault = open_locked(&self.data)?;
        let unlocker = self.unlocker(input)?;
        vault.unlock(&unlocker, "command line")?;
        Ok(vault)
    }

    pub(super) fn unlocker(&self, input: &mut Input) -> Result<Unlocker, Failure> {
        if let Some(path) = &self.key_file {
            return key_file(path);
        }
        if self.recovery || self.recovery_file.is_some() {
            let code = input.read("the recovery code", self.recovery_file.as_deref())?;
            return RecoveryCode::parse(code.expose())
                .map(Unlocker::RecoveryCode)
                .ok_or_else(|| {
                    Failure::usage(
                        "this is not a recovery code",
                        "`init` printed it: `SR` and 13 groups of four letters and digits",
                    )
                });
        }
        let file = self.passphrase_file.as_deref();
        let passphrase = input.read("the current passphrase", file)?;
        Ok(Unlocker::from_typed(passphrase))
    }
}

fn open_locked(data: &Path) -> Result<Vault, Failure> {
    Vault::open(data, Settings::default(), Clock::system()).map_err(|error| match error {
        Error::InUse => Failure::from(error).with_hint(
            "this works on a stopped server's data: stop the server, or use `strongroom status` to \
             see the slots",
        ),
        Error::NotFound(_) => {
            let what = format!("there is no vault in {}", data.display());
            Failure::new(Exit::NotFound, what, "name its directory: `--data DIR`")
        }
        other => other.into(),
    })
}

fn key_file(path: &Path) -> Result<Unlocker, Failure> {
    let bytes = secrets::read_file("the key file", path)?;
    Ok(Unlocker::key_file(bytes)?)
}

/// Closes the vault whatever came before; the first failure of the two is the one that counts.
fn closed<T>(vault: &Vault, result: crate::error::Result<T>) -> Result<T, Failure> {
    let closing = vault.close();
    let value = result?;
    closing?;
    Ok(value)
}
