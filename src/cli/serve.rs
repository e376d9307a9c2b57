//! Serving a vault: where settings become rooms.
//!
//! It promises: nothing yet.
//! It never: starts.

use super::args::ServeArgs;
use crate::error::{Error, Result};

/// Runs it until the process is told to end.
///
/// # Errors
/// [`Error::Settings`].
pub fn run(args: ServeArgs) -> Result<()> {
    let _ = args;
    Err(Error::Settings("`serve` is not there yet".into()))
}
