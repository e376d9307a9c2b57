//! How secrets come in: a terminal without echo, a file, standard input.
//!
//! It promises: exactly one line break at the end is taken off; white space around a secret, which
//! is an accident more often than not, is refused and never trimmed; one command takes one secret
//! from standard input at most.
//! It never: takes a secret from an argument, or repeats one in a message.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::failure::{Exit, Failure, printable};
use super::output;
use crate::limits;
use crate::secret::Secret;

/// Where a command's secrets come from.
#[derive(Default)]
pub struct Input {
    /// What standard input was read for, if it was.
    spent_on: Option<&'static str>,
}

/// Standard input, written as a file's name.
const STDIN: &str = "-";

impl Input {
    /// Reads a secret: from `file` where one is named (`-` is standard input), else from the
    /// terminal without echo, else from standard input. `what` stands in prompt and messages, such
    /// as "the passphrase".
    ///
    /// # Errors
    /// Wrong use, where it is empty, too long, not text, or has white space around it.
    pub fn read(
        &mut self,
        what: &'static str,
        file: Option<&Path>,
    ) -> Result<Secret<String>, Failure> {
        match file {
            Some(path) if path.as_os_str() != STDIN => text(what, read_file(what, path)?),
            None if io::stdin().is_terminal() => ask(what, what),
            _ => text(what, self.standard_input(what)?),
        }
    }

    /// Reads a new passphrase: as [`Self::read`], but a terminal is asked twice.
    ///
    /// # Errors
    /// As [`Self::read`]; wrong use where the two differ or `check` refuses the first.
    pub fn read_new(
        &mut self,
        what: &'static str,
        file: Option<&Path>,
        check: impl Fn(&Secret<String>) -> crate::error::Result<()>,
    ) -> Result<Secret<String>, Failure> {
        let first = self.read(what, file)?;
        check(&first)?;
        if file.is_none() && io::stdin().is_terminal() {
            let again = ask(what, "the same again")?;
            if !again.equals(first.expose().as_bytes()) {
                return Err(Failure::usage(
                    "the two are not the same",
                    "try again; nothing was changed",
                ));
            }
        }
        Ok(first)
    }

    /// Reads a secret that may be left out: from `file`, or from the terminal, where an empty line
    /// means none. Elsewhere there is none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_optional(
        &mut self,
        what: &'static str,
        file: Option<&Path>,
    ) -> Result<Option<Secret<String>>, Failure> {
        match file {
            Some(_) => self.read(what, file).map(Some),
            None if io::stdin().is_terminal() => {
                let typed = prompt(&format!("{what} (empty for none): "))?;
                if typed.expose().is_empty() {
                    return Ok(None);
                }
                check_text(what, typed).map(Some)
            }
            None => Ok(None),
        }
    }

    fn standard_input(&mut self, what: &'static str) -> Result<Secret<Vec<u8>>, Failure> {
        if let Some(before) = self.spent_on.replace(what) {
            return Err(Failure::usage(
                format!("standard input cannot hold both {before} and {what}"),
                "give one of them in a file, with the matching `--…-file` option",
            ));
        }
        bounded(what, io::stdin().lock())
    }
}

/// Reads the bytes of a file that holds a secret (`-` is standard input).
///
/// # Errors
/// Wrong use, where it cannot be read or is too long.
pub fn read_file(what: &str, path: &Path) -> Result<Secret<Vec<u8>>, Failure> {
    let refuse = |error: io::Error| {
        Failure::usage(
            format!("cannot read {what} from {}: {error}", path.display()),
            "check the file's name and permissions",
        )
    };
    if path.as_os_str() == STDIN {
        return bounded(what, io::stdin().lock());
    }
    let file = File::open(path).map_err(refuse)?;
    let about = file.metadata().map_err(refuse)?;
    if about.is_file() && about.mode() & 0o007 != 0 {
        output::note(&format!(
            "Everybody on this machine may read {0}; make it yours alone: chmod go= {0}",
            path.display()
        ));
    }
    bounded(what, file)
}

/// Reads the text of a file that holds a secret, as [`Input::read`] would.
///
/// # Errors
/// As [`Input::read`].
pub fn read_text_file(what: &str, path: &Path) -> Result<Secret<String>, Failure> {
    text(what, read_file(what, path)?)
}

/// Asks to confirm what cannot be undone; `yes` answers beforehand.
///
/// # Errors
/// Wrong use, where nobody is there to ask; a failure where the answer is no.
pub fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            format!("this needs a confirmation: {what}"),
            "nobody is at a terminal to ask; give `--yes`",
        ));
    }
    eprint!("{}? Type yes to go on: ", printable(what));
    let mut typed = String::new();
    let read = io::stdin().lock().take(64).read_line(&mut typed);
    if read.is_ok() && typed.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        "not confirmed; nothing was changed",
        "",
    ))
}

fn ask(what: &str, words: &str) -> Result<Secret<String>, Failure> {
    let mut chars = words.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    let words = first.unwrap_or_default() + chars.as_str();
    check_text(what, prompt(&format!("{words}: "))?)
}

fn prompt(words: &str) -> Result<Secret<String>, Failure> {
    rpassword::prompt_password(words)
        .map(Secret::new)
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the terminal cannot be read: {error}"),
                "give the secret in a file, or on standard input",
            )
        })
}

fn bounded(what: &str, source: impl Read) -> Result<Secret<Vec<u8>>, Failure> {
    let most = limits::KEY_FILE_BYTES_MAX;
    let mut bytes = Vec::new();
    let read = source.take(most as u64 + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("cannot read {what}: {error}"),
            "check where it comes from",
        )
    })?;
    if bytes.expose().len() > most {
        return Err(Failure::usage(
            format!("{what} is longer than {most} bytes"),
            "check that it is the right file",
        ));
    }
    Ok(bytes)
}

/// Bytes as text, less one line break at the end.
fn text(what: &str, bytes: Secret<Vec<u8>>) -> Result<Secret<String>, Failure> {
    let Ok(text) = std::str::from_utf8(bytes.expose()) else {
        return Err(Failure::usage(
            format!("{what} is not text (UTF-8)"),
            "check that it is the right file",
        ));
    };
    let line = text.strip_suffix("\r\n").or(text.strip_suffix('\n'));
    check_text(what, Secret::new(line.unwrap_or(text).to_owned()))
}

fn check_text(what: &str, text: Secret<String>) -> Result<Secret<String>, Failure> {
    let inner = text.expose();
    if inner.is_empty() {
        return Err(Failure::usage(
            format!("{what} is empty"),
            "type it, or give it in a file or on standard input",
        ));
    }
    if inner.trim() != inner {
        return Err(Failure::usage(
            format!("{what} begins or ends with white space, which is ambiguous"),
            "take the white space off; one line break at the end is taken off by itself",
        ));
    }
    if inner.chars().any(char::is_control) {
        return Err(Failure::usage(
            format!("{what} has a line break or another control character in it"),
            "a secret is one line of text",
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        text("it", Secret::new(bytes.to_vec()))
            .map(|text| text.expose().clone())
            .map_err(|failure| failure.message)
    }

    #[test]
    fn exactly_one_line_break_is_taken_off() {
        assert_eq!(read(b"a b").unwrap(), "a b");
        assert_eq!(read(b"a b\n").unwrap(), "a b");
        assert_eq!(read(b"a b\r\n").unwrap(), "a b");
        for ambiguous in [&b"a\n\n"[..], b" a", b"a ", b"a \n", b"\ta\n", b"a\r\n\n"] {
            assert!(read(ambiguous).unwrap_err().contains("white space"));
        }
    }

    #[test]
    fn what_is_no_line_of_text_is_refused() {
        assert!(read(b"").unwrap_err().contains("empty"));
        assert!(read(b"\n").unwrap_err().contains("empty"));
        assert!(read(b"a\nb").unwrap_err().contains("line break"));
        assert!(read(b"a\0b").unwrap_err().contains("control"));
        assert!(read(b"\xff\xfe").unwrap_err().contains("UTF-8"));
    }
}
