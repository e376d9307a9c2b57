//! A vault in memory with a sandbox provider, to look around and to develop against.
//!
//! It promises: nothing yet.
//! It never: starts.

use super::args::DevArgs;
use crate::error::{Error, Result};

/// Runs it until the process is told to end.
///
/// # Errors
/// [`Error::Settings`].
pub fn run(args: DevArgs) -> Result<()> {
    let _ = args;
    Err(Error::Settings("`dev` is not there yet".into()))
}
