//! What the process gives up before it reads its first secret.
//!
//! It promises: no core dump holds its memory, no other process of the same user reads it (T9); a
//! panic says where it was, and not what it held.
//! It never: goes on where the system refuses the first two.

use std::panic;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::error::{Error, Result};

/// Switches core dumps off and makes the process undumpable, which also keeps debuggers out.
///
/// # Errors
/// [`Error::Settings`] where the system refuses.
pub fn process() -> Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)
        .map_err(|error| Error::Settings(format!("core dumps cannot be switched off: {error}")))?;
    undumpable()
}

#[cfg(target_os = "linux")]
fn undumpable() -> Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| Error::Settings(format!("the process cannot be made undumpable: {error}")))
}

#[cfg(not(target_os = "linux"))]
fn undumpable() -> Result<()> {
    Ok(())
}

/// Puts a panic hook in place that prints the place alone: a panic's message is made of whatever
/// was at hand, a secret included.
pub fn panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location();
        let (file, line) = place.map_or(("an unknown place", 0), |at| (at.file(), at.line()));
        eprintln!("strongroom: an internal error at {file}:{line}");
        eprintln!("hint: this is a bug; please report the place with what you did");
    }));
}
