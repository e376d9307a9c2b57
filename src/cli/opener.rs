//! What opens a stopped server's vault: arguments, what is asked for, and the opening itself.
//!
//! It promises: the vault's file is looked at before anything is asked for; what was opened is
//! closed whatever came of it.
//! It never: keeps what opened the vault.

use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::{Exit, Failure};
use super::secrets;
use super::secrets::Input;
use crate::clock::Clock;
use crate::error::Error;
use crate::vault::{RecoveryCode, Settings, Unlocker, Vault};

/// What opens a vault.
#[derive(Args, Clone, Debug)]
pub struct Unlocking {
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

/// Opens and unlocks a stopped server's vault.
///
/// # Errors
/// As the commands of `passphrase`.
pub fn open_unlocked(
    data: &Path,
    anchor: Option<PathBuf>,
    with: &Unlocking,
    input: &mut Input,
) -> Result<Vault, Failure> {
    // The file first: nobody types a passphrase to learn that a server is running.
    let vault = open_locked(data, anchor)?;
    let unlocker = with.unlocker(input)?;
    vault.unlock(&unlocker, "command line")?;
    Ok(vault)
}

impl Unlocking {
    /// Reads or asks for what opens the vault.
    ///
    /// # Errors
    /// Wrong use, where it cannot be what it is said to be.
    pub fn unlocker(&self, input: &mut Input) -> Result<Unlocker, Failure> {
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

/// Opens a stopped server's vault. It is locked then.
///
/// # Errors
/// As the commands of `passphrase`.
pub fn open_locked(data: &Path, anchor: Option<PathBuf>) -> Result<Vault, Failure> {
    let settings = Settings {
        anchor,
        ..Settings::default()
    };
    Vault::open(data, settings, Clock::system()).map_err(|error| match error {
        Error::InUse => Failure::from(error).with_hint(
            "the server that has it can do this: leave `--data` and STRONGROOM_DATA out; or stop \
             the server first",
        ),
        Error::NotFound(_) => {
            let what = format!("there is no vault in {}", data.display());
            Failure::new(Exit::NotFound, what, "name its directory: `--data DIR`")
        }
        other => other.into(),
    })
}

/// Reads a vault's key file.
///
/// # Errors
/// Where it cannot be read, or is none.
pub fn key_file(path: &Path) -> Result<Unlocker, Failure> {
    let bytes = secrets::read_file("the key file", path)?;
    Ok(Unlocker::key_file(bytes)?)
}

/// Closes the vault whatever came before.
///
/// # Errors
/// The first failure of the two.
pub fn closed<T>(vault: &Vault, result: crate::error::Result<T>) -> Result<T, Failure> {
    let closing = vault.close();
    let value = result?;
    closing?;
    Ok(value)
}
