//! What is said about arguments that cannot be right.
//!
//! It promises: the two lines of every other failure, with the command whose help explains more.
//! It never: repeats an argument that might be a secret somebody typed in the wrong place.

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::failure::Failure;
use super::output;

/// Words in an option's name that mean a secret.
const SECRET_WORDS: [&str; 6] = ["key", "pass", "secret", "token", "code", "credential"];

/// Says what is wrong with the arguments, or shows the help or version that was asked for.
pub fn report(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match output::raw(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{text}");
            ExitCode::from(super::Exit::Usage as u8)
        }
        ErrorKind::UnknownArgument => unknown(error, &text).report(),
        _ => {
            let message = text.trim_start_matches("error: ");
            let message = message.split("\n\n").next().unwrap_or_default();
            let lines: Vec<&str> = message.lines().map(str::trim).collect();
            Failure::usage(lines.join(" "), see_help(&text)).report()
        }
    }
}

fn unknown(error: &clap::Error, text: &str) -> Failure {
    let given = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(given)) => given.as_str(),
        _ => "",
    };
    let option = given.split('=').next().unwrap_or_default();
    let is_option = option.starts_with("--")
        && option.len() > 2
        && option.chars().all(|c| c == '-' || c.is_ascii_lowercase());
    if !is_option {
        return Failure::usage("there is an argument too many", see_help(text));
    }
    let hint = match error.get(ContextKind::SuggestedArg) {
        _ if SECRET_WORDS.iter().any(|word| option.contains(word)) => format!(
            "secrets come from a terminal, a file (`--…-file FILE`) or standard input, never from \
             arguments; {}",
            see_help(text)
        ),
        Some(ContextValue::String(near)) => format!("did you mean `{near}`? {}", see_help(text)),
        _ => see_help(text),
    };
    Failure::usage(format!("there is no option `{option}` here"), hint)
}

/// The command whose help explains more, taken from the usage line; a wrong value comes without
/// one, and then from the arguments.
fn see_help(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let Some(usage) = usage else {
        return format!("`{} --help` explains it", command_given().join(" "));
    };
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let names: Vec<&str> = usage
        .split_whitespace()
        .take_while(|word| is_name(word) && !word.starts_with('-'))
        .collect();
    format!("`{} --help` explains it", names.join(" "))
}

/// The names of the command that was given: words that are commands of ours, and no others.
fn command_given() -> Vec<String> {
    let top = super::Cli::command();
    let mut names = vec![top.get_name().to_owned()];
    let mut command = &top;
    for word in std::env::args_os().skip(1) {
        let Some(next) = word.to_str().and_then(|word| command.find_subcommand(word)) else {
            break;
        };
        names.push(next.get_name().to_owned());
        command = next;
    }
    names
}
