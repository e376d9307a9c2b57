//! `init`: a new vault.
//!
//! It promises: recovery code and access key are printed once, with what to do with them.
//! It never: writes either anywhere else.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::output;
use super::secrets::Input;
use crate::clock::Clock;
use crate::vault::{KdfParams, NewVault, Settings, Vault, check_passphrase};

/// Arguments of `init`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom init --data /var/lib/strongroom
  strongroom init --data ./vault --passphrase-file pass.txt --json > keep-me-safe.json")]
pub struct InitArgs {
    /// The directory to make; it may exist if it is empty and yours alone.
    #[arg(long, env = "STRONGROOM_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// File with the passphrase (`-`: standard input); without it you are asked twice.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Memory that each try of a passphrase takes, in MiB: more makes guessing dearer.
    #[command(flatten)]
    pub kdf: KdfArgs,
    /// Print JSON: {"access_key", "recovery_code", "project_id"}.
    #[arg(long)]
    pub json: bool,
}

/// The cost of a new passphrase slot.
#[derive(Args, Clone, Copy, Debug)]
pub struct KdfArgs {
    /// Memory that each try of the passphrase takes, in MiB: more makes guessing dearer.
    #[arg(long, value_name = "N", default_value_t = KdfParams::DEFAULT.memory_kib() / 1024)]
    pub kdf_memory_mib: u32,
}

impl KdfArgs {
    /// The cost, checked.
    ///
    /// # Errors
    /// Wrong use, where it is outside the bounds.
    pub fn params(self) -> Result<KdfParams, Failure> {
        let usual = KdfParams::DEFAULT;
        let memory_kib = self.kdf_memory_mib.saturating_mul(1024);
        Ok(KdfParams::new(memory_kib, usual.passes(), usual.lanes())?)
    }
}

/// Makes a vault.
///
/// # Errors
/// Wrong use for a weak passphrase; failed, where the directory is not empty or cannot be made.
pub fn run(args: &InitArgs) -> Result<(), Failure> {
    let kdf = args.kdf.params()?;
    // Nobody chooses a passphrase to learn that the directory is taken.
    Vault::can_be_created_in(&args.data)?;
    let file = args.passphrase_file.as_deref();
    if file.is_none() && std::io::stdin().is_terminal() {
        output::note("Choose a passphrase: four or more random words are strong.");
    }
    let passphrase = Input::default().read_new("the passphrase", file, check_passphrase)?;
    let was_cut_short = Vault::is_unfinished_in(&args.data);
    let new = Vault::create(
        &args.data,
        passphrase,
        kdf,
        Settings::default(),
        Clock::system(),
    )?;
    if was_cut_short {
        output::note("An init was cut short here; what it left is taken away.");
    }
    // Closed first: what is printed is on the disk by then.
    new.vault.close()?;
    if args.json {
        return output::json(&json!({
            "access_key": new.access_key.expose(),
            "recovery_code": new.recovery_code.expose(),
            "project_id": new.project_id,
        }));
    }
    tell(&args.data, &new)
}

fn tell(data: &Path, new: &NewVault) -> Result<(), Failure> {
    output::line(&format!(
        "\
A new vault is in {data}. Both of these are shown this once:

Recovery code:  {recovery}
Access key:     {key}

Project id:     {project} (no secret; for clients that speak of projects)

The recovery code replaces a forgotten passphrase. Write it down and keep it away from this
machine. The access key may do everything; keep it as you keep a root password, and make lesser
ones for programs.

Next:
  strongroom serve --data {data}
  strongroom unlock
  export STRONGROOM_KEY=<the access key>
  strongroom key add my-server --role server --connect-verify code",
        data = data.display(),
        recovery = new.recovery_code.expose(),
        key = new.access_key.expose(),
        project = new.project_id,
    ))
}
