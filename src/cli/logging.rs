//! Log lines on standard error.
//!
//! It promises: plain lines, no colours, as chatty as `STRONGROOM_LOG` says.
//! It never: writes to standard output, which belongs to answers.

use tracing_subscriber::filter::LevelFilter;

use super::failure::{Exit, Failure};

/// The variable that says how much is logged.
const VARIABLE: &str = "STRONGROOM_LOG";

/// Starts logging; `usual` holds where the variable is not set.
///
/// # Errors
/// Wrong use, where the variable holds no level.
pub fn start(usual: LevelFilter) -> Result<(), Failure> {
    let level = match std::env::var(VARIABLE) {
        Ok(text) if text.is_empty() => usual,
        Ok(text) => level(&text)?,
        Err(_) => usual,
    };
    // Started twice only by a program that embeds the command line and logs by itself already.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .with_writer(std::io::stderr)
        .try_init();
    Ok(())
}

fn level(text: &str) -> Result<LevelFilter, Failure> {
    match text {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("`{VARIABLE}` holds no level"),
            "set it to off, error, warn, info or debug",
        )),
    }
}
