//! Questions to a person.
//!
//! It promises: a question says what it is about, how an answer looks, and what an empty line
//! means; it is asked a few times at most; a secret is typed without echo.
//! It never: asks where nobody is there to answer.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use super::failure::{Exit, Failure, printable};
use super::secrets;
use crate::limits;
use crate::secret::Secret;

/// Somebody who is asked.
pub struct Person<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
    /// Asks for a secret; an empty one means none.
    hidden: &'a dyn Fn(&'static str) -> Result<Option<Secret<String>>, Failure>,
}

/// Reads what was typed, or says what is wrong with it.
pub type Reader<'r> = dyn Fn(&str) -> crate::error::Result<String> + 'r;

/// What is asked for.
#[derive(Default)]
pub struct Question<'q> {
    /// What it is called.
    pub what: &'q str,
    /// What it is.
    pub help: &'q str,
    /// How an answer looks.
    pub example: Option<&'q str>,
    /// What an empty line means.
    pub default: Option<&'q str>,
    /// An empty line means: nothing.
    pub optional: bool,
    /// Reads an answer; one that it does not take is asked for again.
    pub read: Option<&'q Reader<'q>>,
}

impl<'a> Person<'a> {
    /// Somebody with this to type on, this to read, and this way to type secrets.
    pub fn of(
        input: &'a mut dyn BufRead,
        output: &'a mut dyn Write,
        hidden: &'a dyn Fn(&'static str) -> Result<Option<Secret<String>>, Failure>,
    ) -> Self {
        Self {
            input,
            output,
            hidden,
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// A failure where the terminal is gone.
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.output, "{}", printable(text)).map_err(gone)
    }

    /// Asks for a text; nothing where an empty line means that.
    ///
    /// # Errors
    /// A failure where the terminal is gone, or no answer comes.
    pub fn ask(&mut self, question: &Question<'_>) -> Result<Option<String>, Failure> {
        if !question.help.is_empty() {
            self.say(question.help)?;
        }
        let such_as = match (question.default, question.example) {
            (Some(default), _) => format!(" (empty: {default})"),
            (None, _) if question.optional => " (empty for none)".into(),
            (None, Some(example)) => format!(" (such as {example})"),
            (None, None) => String::new(),
        };
        for _ in 0..limits::CLIENT_QUESTIONS_MAX {
            let words = format!("{}{such_as}: ", question.what);
            let asked = write!(self.output, "{}", printable(&words));
            asked.and_then(|()| self.output.flush()).map_err(gone)?;
            let mut line = String::new();
            let mut input = (&mut *self.input).take(limits::TEXT_BYTES_MAX as u64);
            let read = input.read_line(&mut line).map_err(gone)?;
            match (line.trim(), question.default) {
                _ if read == 0 => break,
                ("", Some(default)) => return Ok(Some(default.to_owned())),
                ("", None) if question.optional => return Ok(None),
                ("", None) => {}
                (text, _) => match question.read.map(|read| read(text)) {
                    None => return Ok(Some(text.to_owned())),
                    Some(Ok(answer)) => return Ok(Some(answer)),
                    Some(Err(error)) => self.say(&error.to_string())?,
                },
            }
        }
        Err(Failure::usage(
            format!("{} was not given", question.what),
            "nothing was changed",
        ))
    }

    /// Asks for a secret, typed without echo; nothing where the line is empty.
    ///
    /// # Errors
    /// A failure where the terminal is gone, or what is typed is no secret.
    pub fn ask_hidden(&mut self, what: &'static str) -> Result<Option<Secret<String>>, Failure> {
        (self.hidden)(what)
    }
}

/// True where somebody is at a terminal to be asked.
pub fn is_anybody_there() -> bool {
    io::stdin().is_terminal()
}

/// Has whoever is at the terminal answer. Questions go to standard error: standard output is for
/// what comes of it.
///
/// # Errors
/// Those of `work`.
pub fn at_the_terminal<T>(
    work: impl FnOnce(&mut Person<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let hidden = |what| secrets::Input::default().read_optional(what, None);
    let (mut input, mut output) = (io::BufReader::new(io::stdin()), io::stderr());
    work(&mut Person::of(&mut input, &mut output, &hidden))
}

fn gone(error: io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the terminal cannot be used: {error}"),
        "give what is asked for as options",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(typed: &str, question: &Question<'_>) -> (Result<Option<String>, Failure>, String) {
        let (mut input, mut output) = (typed.as_bytes(), Vec::new());
        let hidden = |_| Ok(None);
        let answer = Person::of(&mut input, &mut output, &hidden).ask(question);
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn an_answer_that_cannot_be_is_asked_for_again() {
        let read = |text: &str| match text {
            "good" => Ok("GOOD".to_owned()),
            _ => Err(crate::error::Error::invalid("it is no such thing")),
        };
        let question = Question {
            what: "Shop",
            read: Some(&read),
            ..Question::default()
        };
        let (answer, said) = asked("bad\ngood\n", &question);
        assert_eq!(answer.unwrap().as_deref(), Some("GOOD"));
        assert!(said.contains("it is no such thing\nShop: "), "{said}");
        assert!(asked(&"bad\n".repeat(99), &question).0.is_err());
    }

    #[test]
    fn an_empty_line_means_what_the_question_says() {
        let plain = Question {
            what: "Shop",
            help: "The shop\u{1b}'s host.",
            example: Some("acme.example"),
            ..Question::default()
        };
        let (answer, said) = asked("\n  a.example \n", &plain);
        assert_eq!(answer.unwrap().as_deref(), Some("a.example"));
        let question = "Shop (such as acme.example): ";
        assert_eq!(
            said,
            format!("The shop\u{fffd}'s host.\n{question}{question}")
        );
        let with_default = Question {
            default: Some("eu"),
            ..plain
        };
        assert_eq!(asked("\n", &with_default).0.unwrap().as_deref(), Some("eu"));
        let optional = Question {
            default: None,
            optional: true,
            ..with_default
        };
        assert_eq!(asked("\n", &optional).0.unwrap(), None);
        for nothing in ["", "\n\n\n\n\n\n\n\n\n\n"] {
            let needed = Question {
                what: "Shop",
                ..Question::default()
            };
            assert_eq!(asked(nothing, &needed).0.unwrap_err().exit, Exit::Usage);
        }
    }
}
