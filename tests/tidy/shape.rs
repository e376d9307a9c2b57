//! The look of a file: what it says first, how long it is, what it is called.
//!
//! It promises: the limits are hard and the same everywhere, tests included.
//! It never: repeats what `cargo fmt` does; it judges what rustfmt leaves alone.

use crate::scan::{Source, Token, after_group};
use crate::{Violation, violation};

/// Longest file, in lines. What is longer holds two things.
pub const FILE_LINES_MAX: usize = 450;
/// Longest function, in lines, signature and braces included: a screen is a screen.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Longest line, in characters.
pub const LINE_CHARS_MAX: usize = 100;
/// A line may be longer only where it holds a word of more than this many characters: a URL, a
/// hash, a sealed example. Such a word cannot be broken; a sentence can, also inside a literal. Nor
/// can the row of a table in a comment.
pub const UNBREAKABLE_CHARS: usize = 60;
const TABLE_ROWS: &[&str] = &["//! |", "/// |"];

/// What the comment at the top of every module of `src` says.
pub const MODULE_PHRASES: &[&str] = &["It promises", "It never"];
/// What the comment at the top of every bench says: what it measures, or that it measures nothing.
pub const BENCH_PHRASE: &str = "easure";
/// It calls `cli::run` and has nothing to promise.
const PHRASES_EXEMPT: &[&str] = &["src/main.rs"];

/// Names that tell nothing, and so gather everything. `mod` is here because a room's file stands
/// beside its folder.
pub const NAMES_BANNED: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "misc", "manager", "mod",
];

/// Finds modules that do not say what they are for.
pub fn check_module_comment(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let opening: Vec<&str> = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        let opening = opening.join("\n");
        let mut fault = |what| found.push(violation(source, 1, "module comment", what));
        if opening.is_empty() {
            fault("a file opens with `//!` and says what it is for".to_owned());
            continue;
        }
        if source.path.starts_with("benches/") && !opening.contains(BENCH_PHRASE) {
            fault("a bench says what it measures, and what not".to_owned());
        }
        let exempt = PHRASES_EXEMPT.contains(&source.path.as_str());
        let is_tests = source.path.ends_with("/tests.rs");
        if source.below_src().is_none() || exempt || is_tests {
            continue;
        }
        for phrase in MODULE_PHRASES {
            if !opening.contains(phrase) {
                fault(format!("the opening comment lacks `{phrase}`"));
            }
        }
    }
    found
}

/// Finds files, functions and lines that are too long.
pub fn check_lengths(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let count = source.text.lines().count();
        if count > FILE_LINES_MAX {
            let what = format!("{count} lines, at most {FILE_LINES_MAX}: it holds two things");
            found.push(violation(source, count, "file length", what));
        }
        for (index, line) in source.text.lines().enumerate() {
            let chars = line.chars().count();
            if chars > LINE_CHARS_MAX && !is_unbreakable(line) {
                let what = format!("{chars} characters, at most {LINE_CHARS_MAX}");
                found.push(violation(source, index + 1, "line length", what));
            }
        }
        for function in functions(&source.tokens) {
            if function.lines > FUNCTION_LINES_MAX {
                let what = format!(
                    "`{}` has {} lines, at most {FUNCTION_LINES_MAX}",
                    function.name, function.lines
                );
                found.push(violation(source, function.line, "function length", what));
            }
        }
    }
    found
}

fn is_unbreakable(line: &str) -> bool {
    let line = line.trim_start();
    let is_long = |word: &str| word.chars().count() > UNBREAKABLE_CHARS;
    TABLE_ROWS.iter().any(|start| line.starts_with(start)) || line.split_whitespace().any(is_long)
}

/// Finds files and folders with a name that tells nothing.
pub fn check_names(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let stem = source.path.strip_suffix(".rs").unwrap_or(&source.path);
        for part in stem.split('/').filter(|part| NAMES_BANNED.contains(part)) {
            let what = format!("`{part}` says nothing; name it after what it does");
            found.push(violation(source, 1, "file name", what));
        }
    }
    found
}

struct Function<'t> {
    name: &'t str,
    line: usize,
    lines: usize,
}

/// Every function with a body, the nested ones too.
fn functions(tokens: &[Token]) -> Vec<Function<'_>> {
    let mut found = Vec::new();
    for (index, pair) in tokens.windows(2).enumerate() {
        if !(pair[0].is("fn") && pair[1].is_name()) {
            continue;
        }
        let mut at = index + 2;
        while at < tokens.len() && !tokens[at].is("{") && !tokens[at].is(";") {
            let opens = tokens[at].is("(") || tokens[at].is("[");
            at = if opens {
                after_group(tokens, at)
            } else {
                at + 1
            };
        }
        if tokens.get(at).is_some_and(|token| token.is("{")) {
            let last = &tokens[after_group(tokens, at) - 1];
            found.push(Function {
                name: &pair[1].text,
                line: pair[0].line,
                lines: last.line - pair[0].line + 1,
            });
        }
    }
    found
}
