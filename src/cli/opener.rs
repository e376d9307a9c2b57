//! Which vault, what opens it, and the opening of a stopped server's.
//!
//! It promises: the vault's file is looked at before anything is asked for; what was opened is
//! closed whatever came of it.
//! It never: keeps what opened the vault.

use std::path::{Path, PathBuf};

use clap::Args;

use super::args::{Remote, Server};
use super::failure::{Exit, Failure};
use super::secrets;
use super::secrets::Input;
use crate::clock::Clock;
use crate::error::Error;
use crate::vault::{RecoveryCode, Settings, Unlocker, Vault};

/// What opens a vault.
#[derive(Args, Clone, Debug)]
pub struct Unlocking {
    /// File with the passphrase (`-`: standard input); without it you are asked.
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
    /// The server, and the access key to present to it.
    pub fn remote(&self) -> Remote {
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
    /// With `--data`: the vault's anchor, where it has one; see `strongroom help serve`.
    #[arg(long, env = "STRONGROOM_ANCHOR", value_name = "PATH")]
    pub anchor: Option<PathBuf>,
}

impl Opener {
    /// The directory of a stopped server's vault; `None` where a running server is to do the work.
    ///
    /// # Errors
    /// Wrong use, where it is said how to open a running server's vault.
    pub fn stopped(&self) -> Result<Option<&Path>, Failure> {
        if self.which.data.is_none() && self.with.is_given() {
            return Err(Failure::usage(
                "a running server's vault is open already, and nothing is taken to open it",
                "the access key is in STRONGROOM_KEY, or in a file: `--access-key-file FILE`; \
                 where the server is stopped say `--data DIR`",
            ));
        }
        Ok(self.which.data.as_deref())
    }

    /// Opens and unlocks a stopped server's vault, does `work` on it, and closes it.
    ///
    /// # Errors
    /// As [`with_vault`]; not allowed, where what was given does not open it.
    pub fn with_vault<T>(
        &self,
        data: &Path,
        input: &mut Input,
        work: impl FnOnce(&Vault, &mut Input) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // The file first: nobody types a passphrase to learn that a server is running.
        with_vault(data, self.anchor.clone(), |vault| {
            vault.unlock(&self.with.unlocker(input)?, "command line")?;
            work(vault, input)
        })
    }
}

/// Opens a stopped server's vault, which is locked then, does `work` on it, and closes it whatever
/// came of that.
///
/// # Errors
/// The first failure of opening, `work` and closing; in use, where a server has the directory open.
pub fn with_vault<T>(
    data: &Path,
    anchor: Option<PathBuf>,
    work: impl FnOnce(&Vault) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let vault = open(data, anchor)?;
    let done = work(&vault);
    let closing = vault.close();
    let value = done?;
    closing?;
    Ok(value)
}

impl Unlocking {
    /// True where it was said how to open the vault.
    pub fn is_given(&self) -> bool {
        let files = [&self.passphrase_file, &self.recovery_file, &self.key_file];
        self.recovery || files.into_iter().any(Option::is_some)
    }

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
        let passphrase = input.read("the passphrase", file)?;
        Ok(Unlocker::from_typed(passphrase))
    }
}

fn open(data: &Path, anchor: Option<PathBuf>) -> Result<Vault, Failure> {
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
