//! The sandbox provider alone.
//!
//! It promises: nothing yet.
//! It never: starts.

use super::args::SandboxArgs;
use crate::error::{Error, Result};

/// Runs it until the process is told to end.
///
/// # Errors
/// [`Error::Settings`].
pub fn run(args: SandboxArgs) -> Result<()> {
    let _ = args;
    Err(Error::Settings("`sandbox` is not there yet".into()))
}
