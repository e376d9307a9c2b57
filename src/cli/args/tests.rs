//! That the arguments explain themselves and are consistent.

use clap::CommandFactory;

use super::*;

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn spans_are_read_with_their_unit() {
    assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
    assert_eq!(span("10m"), Ok(Duration::from_secs(600)));
    assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 86_400)));
    for bad in [
        "",
        "10",
        "m",
        "0s",
        "-1h",
        "1w",
        "1.5h",
        "5é",
        "99999999999d",
    ] {
        assert!(span(bad).is_err(), "{bad:?} was taken");
    }
}

#[test]
fn every_variable_that_stands_in_for_an_option_is_listed() {
    fn walk(command: &clap::Command, listed: &str) {
        for name in command.get_arguments().filter_map(clap::Arg::get_env) {
            let line = format!("\n  {} ", name.to_string_lossy());
            assert!(listed.contains(&line), "{line} is not listed");
        }
        let inner = command.get_subcommands();
        inner.for_each(|command| walk(command, listed));
    }
    walk(&Cli::command(), &environment());
}

#[test]
fn every_command_explains_itself_with_an_example() {
    fn walk(command: &clap::Command) {
        let name = command.get_name();
        assert!(command.get_about().is_some(), "{name} has no summary");
        let after = command.get_after_help().map(ToString::to_string);
        let after = after.unwrap_or_default();
        assert!(after.contains("Example"), "{name} has no example");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{name}: {}",
                argument.get_id()
            );
        }
        command.get_subcommands().for_each(walk);
    }
    walk(&Cli::command());
}
