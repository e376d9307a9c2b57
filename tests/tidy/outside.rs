//! The house rules for tests, and for the top of the repository.
//!
//! It promises: no test waits by the clock or listens where somebody else may listen already.
//! It never: reads what git ignores.

use crate::paths::paths;
use crate::scan::{Kind, Source, Token, after_group};
use crate::{Violation, violation};

/// Ways to wait by the clock. A test waits for what it waits for, or moves a test clock.
pub const SLEEPS: &[&str] = &["thread::sleep", "time::sleep", "time::sleep_until"];
/// Files whose tests may sleep, each with its reason. There is none.
const SLEEPS_ALLOWED: &[&str] = &[];

/// Everything that stands at the top of the repository, dot-files aside.
pub const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "tests",
    "fuzz",
    "benches",
    "README.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    // Made by cargo and ignored by git.
    "target",
];

/// Finds tests that sleep.
pub fn check_sleeps(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        if SLEEPS_ALLOWED.contains(&source.path.as_str()) {
            continue;
        }
        for path in paths(&source.tokens).iter().filter(|path| path.test) {
            let sleep = SLEEPS
                .iter()
                .find(|sleep| path.contains(&sleep.split("::").collect::<Vec<_>>()));
            if let Some(sleep) = sleep {
                let what = format!("`{sleep}` in a test; await the event, or move a test clock");
                found.push(violation(source, path.line, "sleeping test", what));
            }
        }
    }
    found
}

/// Finds tests that bind a port of their own choice.
pub fn check_ports(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let tokens = &source.tokens;
        for index in (0..tokens.len()).filter(|index| tokens[*index].test) {
            let Some(address) = bound_address(tokens, index) else {
                continue;
            };
            if address.iter().any(names_a_port) {
                let what = "a port of the test's own choice; bind port 0 and ask which it became";
                let line = tokens[index].line;
                found.push(violation(source, line, "fixed port", what.to_owned()));
            }
        }
    }
    found
}

/// The tokens that say where to listen: the arguments of `bind(…)`, or what follows `--listen`.
fn bound_address(tokens: &[Token], index: usize) -> Option<&[Token]> {
    let token = &tokens[index];
    if token.is("bind") && tokens.get(index + 1)?.is("(") {
        return Some(&tokens[index + 2..after_group(tokens, index + 1)]);
    }
    if token.kind == Kind::Text && token.text == "--listen" {
        let next = tokens[index + 1..].iter().position(|t| !t.is(","))?;
        return Some(&tokens[index + 1 + next..index + 2 + next]);
    }
    None
}

fn names_a_port(token: &Token) -> bool {
    let port = match token.kind {
        Kind::Text => token.text.rsplit_once(':').map(|(_, port)| port),
        Kind::Word => Some(token.text.as_str()).filter(|_| !token.is_name()),
        Kind::Mark => None,
    };
    let digits: String = port.unwrap_or("0").chars().filter(|c| *c != '_').collect();
    digits
        .trim_end_matches("u16")
        .parse()
        .is_ok_and(|port: u16| port != 0)
}

/// Finds names at the top of the repository that do not belong there.
pub fn check_top_level(names: &[String]) -> Vec<Violation> {
    names
        .iter()
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| Violation {
            file: name.clone(),
            line: 1,
            rule: "top level",
            what: "does not belong at the top of the repository".to_owned(),
        })
        .collect()
}
