//! What stands in finished code nowhere.
//!
//! It promises: half-made code, silenced lints and switched-off tests are named with their line.
//! It never: reads text inside strings, so a message may speak of what it forbids.

use crate::paths::paths;
use crate::scan::{Source, Token, after_group};
use crate::{Violation, violation};

/// Macros for code that is not finished.
pub const MACROS_BANNED: &[&str] = &["todo", "unimplemented", "dbg"];
/// Marks of unfinished work in a comment. An open question belongs in an issue.
pub const COMMENT_MARKS_BANNED: &[&str] = &["TODO", "FIXME"];
/// Attributes that silence a lint: only with `reason = "…"`.
pub const SILENCERS: &[&str] = &["allow", "expect"];

/// Finds them.
pub fn check(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        for pair in source.tokens.windows(2) {
            if let Some((rule, what)) = word(pair) {
                found.push(violation(source, pair[0].line, rule, what));
            }
        }
        found.extend(attributes(source));
        found.extend(globs(source));
        for comment in &source.comments {
            for mark in COMMENT_MARKS_BANNED {
                if comment.text.contains(mark) {
                    let what = format!("`{mark}` in a comment; do it or file it");
                    found.push(violation(source, comment.line, "unfinished", what));
                }
            }
        }
    }
    found
}

fn word(pair: &[Token]) -> Option<(&'static str, String)> {
    if pair[0].is("unsafe") {
        return Some(("unsafe", "a well-kept crate has what needs it".to_owned()));
    }
    let banned = MACROS_BANNED.iter().find(|name| pair[0].is(name))?;
    let what = format!("`{banned}!` is no finished code");
    pair[1].is("!").then_some(("unfinished", what))
}

fn attributes(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let tokens = &source.tokens;
    for (index, token) in tokens.iter().enumerate() {
        let open = index + 1 + usize::from(tokens.get(index + 1).is_some_and(|t| t.is("!")));
        if !(token.is("#") && tokens.get(open).is_some_and(|t| t.is("["))) {
            continue;
        }
        let attribute = &tokens[open + 1..after_group(tokens, open)];
        let has = |word: &str| attribute.iter().any(|token| token.is(word));
        // `cfg_attr(x, allow(…))` silences as well, so the whole attribute is searched.
        if SILENCERS.iter().any(|name| has(name)) && !has("reason") {
            let what = "a lint is silenced only with `reason = \"…\"`".to_owned();
            found.push(violation(source, token.line, "silenced lint", what));
        }
        if has("ignore") {
            let what = "a test that does not run proves nothing".to_owned();
            found.push(violation(source, token.line, "ignored test", what));
        }
    }
    found
}

/// Glob imports outside test code: they hide where a name comes from.
fn globs(source: &Source) -> Vec<Violation> {
    paths(&source.tokens)
        .iter()
        .filter(|path| path.imported && !path.test)
        .filter(|path| path.segments.last().is_some_and(|last| last == "*"))
        .map(|path| {
            let what = "name what you import".to_owned();
            violation(source, path.line, "glob import", what)
        })
        .collect()
}
