//! An operator's own templates: read at the start, and again on SIGHUP.
//!
//! It promises: a directory that is wrong ends the start; read again it changes nothing, and the
//! log says what is wrong with it.
//! It never: serves a part of it.

use std::path::{Path, PathBuf};

use tokio::signal::unix::Signal;

use crate::connect::Connect;
use crate::error::{Error, Result};
use crate::provider::catalogue::Catalogue;

/// The built-in catalogue, with the templates of a directory over it where one is named.
///
/// # Errors
/// [`Error::Settings`] naming file, entry and field.
pub fn read(directory: Option<&Path>) -> Result<Catalogue> {
    let Some(directory) = directory else {
        return Ok(Catalogue::default());
    };
    let catalogue = Catalogue::with_own(directory)?;
    tracing::info!(
        "the catalogue has {} templates, with those of {}",
        catalogue.all().len(),
        directory.display()
    );
    Ok(catalogue)
}

/// Reads the directory again whenever the process is told to (SIGHUP).
pub async fn follow(directory: PathBuf, mut hangups: Signal, connect: Connect) {
    while hangups.recv().await.is_some() {
        let place = directory.clone();
        let again = tokio::task::spawn_blocking(move || read(Some(&place))).await;
        match again.unwrap_or(Err(Error::ShuttingDown)) {
            Ok(catalogue) => connect.set_catalogue(catalogue),
            Err(error) => tracing::error!("the catalogue stays as it was: {error}"),
        }
    }
}
