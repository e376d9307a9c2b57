//! A key file that is made for a new slot.
//!
//! It promises: readable by its owner alone, and in no other file's place; where it is sure that
//! the slot was not added it is taken away again, so that the same command may be run anew.
//! It never: takes away a file it has not made, or one that may open the vault.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::AddKeyFileArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output;
use crate::secret::{Secret, random};

/// The file, where one was made.
pub(super) struct NewKeyFile<'a>(Option<&'a Path>);

impl<'a> NewKeyFile<'a> {
    /// Makes the file where that was asked for.
    ///
    /// # Errors
    /// Failed, where there is one already or none can be made.
    pub(super) fn make(args: &'a AddKeyFileArgs) -> Result<Self, Failure> {
        if !args.create {
            return Ok(Self(None));
        }
        let path = args.file.as_path();
        let failed = |error| {
            Failure::new(
                Exit::Failed,
                format!("cannot make {}: {error}", path.display()),
                "name a file that does not exist, or leave `--create` out to use one that does",
            )
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let made = Self(Some(path));
        let bytes = Secret::new(random::<32>());
        let written = file
            .write_all(bytes.expose())
            .and_then(|()| file.sync_all());
        if written.is_err() {
            made.remove();
        }
        written.map_err(failed)?;
        Ok(made)
    }

    /// Takes the file away where what comes before the change failed.
    ///
    /// # Errors
    /// That of `before`.
    pub(super) fn before<T>(&self, before: Result<T, Failure>) -> Result<T, Failure> {
        before.inspect_err(|_| self.remove())
    }

    /// Keeps the file where its slot was added, or may have been.
    ///
    /// # Errors
    /// That of `added`.
    pub(super) fn settle<T>(&self, added: Result<T, Failure>) -> Result<T, Failure> {
        if added.as_ref().is_err_and(was_not_added) {
            self.remove();
        }
        added
    }

    fn remove(&self) {
        let Some(path) = self.0 else { return };
        if let Err(error) = std::fs::remove_file(path) {
            output::note(&format!(
                "{} opens nothing, and cannot be removed: {error}",
                path.display()
            ));
        }
    }
}

/// False where the change may have been made all the same: no answer came, or one that leaves it
/// open.
fn was_not_added(failure: &Failure) -> bool {
    let unsure = [
        "",
        "timeout",
        "outcome_unknown",
        "internal",
        "shutting_down",
    ];
    !unsure.contains(&failure.code.as_str())
}
