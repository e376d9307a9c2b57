//! How a command ends: what is wrong, what to do, and the exit code.
//!
//! It promises: one table from error codes, ours and the server's, to exit codes; two lines on
//! standard error, `strongroom: what is wrong` and `hint: what to do`.
//! It never: shows control characters of a text that came from elsewhere.

use std::process::ExitCode;

use crate::error::Error;
use crate::model::is_command;

/// Exit codes. `strongroom --help` lists them; scripts rely on them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// It failed.
    Failed = 1,
    /// Wrong use: an argument, setting or request that cannot be right.
    Usage = 2,
    /// The vault is locked.
    Locked = 3,
    /// Not allowed: no valid access key, a missing right, a wrong passphrase.
    Denied = 4,
    /// There is no such thing.
    NotFound = 5,
    /// The server or the provider cannot be reached or is busy; asking again later may help.
    Unavailable = 6,
    /// A person has to connect the app first.
    ConnectRequired = 7,
    /// A person has to connect the app again.
    ReconnectRequired = 8,
    /// A person is connecting the app right now; ask again.
    Pending = 9,
    /// A connect link ended and not every app on it is connected.
    NotConnected = 10,
    /// Another process has the vault's files.
    InUse = 11,
    /// A vault or backup is damaged.
    Damaged = 12,
    /// It was done, and not with everything.
    Incomplete = 13,
    /// The vault does not fit its anchor: an older copy is in its place, or the anchor is gone.
    RolledBack = 14,
    /// The check of an app found an error.
    Unsound = 15,
}

/// The list of exit codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed
   2  wrong use: an argument, setting or request that cannot be right
   3  the vault is locked
   4  not allowed: no valid access key, a missing right, a wrong passphrase
   5  there is no such thing
   6  server or provider not reachable or busy; asking again later may help
   7  a person has to connect the app first (connect_required)
   8  a person has to connect the app again (reconnect_required)
   9  a person is connecting the app right now; ask again (pending)
  10  a connect link ended and not every app on it is connected
  11  the vault's files are in use by another process
  12  a vault or backup is damaged
  13  done, and not with everything: a salvage that lost something, an import that was refused some
  14  the vault is older than its anchor, or does not fit it (rolled_back)
  15  the check of an app found an error";

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong. Empty: all is said already.
    pub message: String,
    /// What to do; empty where nothing helps.
    pub hint: String,
    /// The stable code of the error it was made of; empty where it was none.
    pub code: String,
}

impl Failure {
    /// A failure with words of its own.
    pub fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: hint.into(),
            code: String::new(),
        }
    }

    /// Remembers the stable code of the error it was made of.
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = code.to_owned();
        self
    }

    /// Puts another hint in the place of the one that is there.
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.hint = hint.to_owned();
        self
    }

    /// Wrong use of the command line.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message, hint)
    }

    /// Ends with `exit` and says nothing, since it is said already.
    pub fn silent(exit: Exit) -> Self {
        Self::new(exit, "", "")
    }

    /// Says it on standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("strongroom: {}", printable(&self.message));
        }
        if !self.hint.is_empty() {
            eprintln!("hint: {}", printable(&self.hint));
        }
        ExitCode::from(self.exit as u8)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::of_code(error.code()), error.to_string(), error.hint())
            .with_code(error.code())
    }
}

impl Exit {
    /// The exit code of an error's stable code, ours or the server's.
    pub fn of_code(code: &str) -> Self {
        match code {
            "invalid_request" | "settings" | "too_large" | "destination_forbidden" => Self::Usage,
            "locked" => Self::Locked,
            "unauthenticated" | "denied" | "unlock_failed" => Self::Denied,
            "not_found" => Self::NotFound,
            "in_use" => Self::InUse,
            "rolled_back" => Self::RolledBack,
            "damaged" => Self::Damaged,
            "busy" | "checking" | "shutting_down" | "provider_unavailable" | "unavailable" => {
                Self::Unavailable
            }
            _ => Self::Failed,
        }
    }
}

/// Text without the characters that would speak to a terminal or turn what it shows; line breaks
/// stay.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_command(c) && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_help() {
        let all = [
            Exit::Failed,
            Exit::Usage,
            Exit::Locked,
            Exit::Denied,
            Exit::NotFound,
            Exit::Unavailable,
            Exit::ConnectRequired,
            Exit::ReconnectRequired,
            Exit::Pending,
            Exit::NotConnected,
            Exit::InUse,
            Exit::RolledBack,
            Exit::Damaged,
            Exit::Incomplete,
            Exit::Unsound,
        ];
        for exit in all {
            let line = format!("\n  {:2}  ", exit as u8);
            assert!(EXIT_CODES.contains(&line), "{exit:?} is not listed");
        }
    }

    #[test]
    fn text_from_elsewhere_cannot_speak_to_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\nc\u{9b}"),
            "a\u{fffd}[2Jb\nc\u{fffd}"
        );
    }
}
