//! The paths of a file: what its code names, `use` trees written out.
//!
//! It promises: a name reached through a grouped or nested `use` is found like one written whole.
//! It never: follows an alias; `as` is dropped, and the path before it judged.

use crate::scan::{Token, after_group};

/// A path as it stands in the code, `use` trees written out: `["crate", "seal", "Sealed"]`.
#[derive(Clone, Debug)]
pub struct Path {
    pub segments: Vec<String>,
    pub line: usize,
    pub test: bool,
    /// It stands in a `use` statement.
    pub imported: bool,
}

impl Path {
    /// Whether the segments contain `words`, one after the other.
    pub fn contains(&self, words: &[&str]) -> bool {
        self.segments
            .windows(words.len())
            .any(|window| window == words)
    }

    /// Whether the path is `words` or leads below it.
    pub fn leads_to(&self, words: &[&str]) -> bool {
        self.segments.len() >= words.len() && self.segments.iter().zip(words).all(|(a, b)| a == b)
    }
}

/// Every path of two segments or more, and every import.
pub fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let next_is = |mark: &str| tokens.get(index + 1).is_some_and(|next| next.is(mark));
        if tokens[index].is("use") && !next_is("<") {
            index = use_tree(tokens, index + 1, &[], &mut found);
        } else if tokens[index].is_name() && next_is("::") {
            let mut path = Path {
                segments: vec![tokens[index].text.clone()],
                line: tokens[index].line,
                test: tokens[index].test,
                imported: false,
            };
            while index + 2 < tokens.len()
                && tokens[index + 1].is("::")
                && tokens[index + 2].is_name()
            {
                index += 2;
                path.segments.push(tokens[index].text.clone());
            }
            found.push(path);
            index += 1;
        } else {
            index += 1;
        }
    }
    found
}

/// Reads one tree of a `use` statement and returns the index after it.
fn use_tree(tokens: &[Token], start: usize, above: &[String], found: &mut Vec<Path>) -> usize {
    let mut segments = above.to_vec();
    let mut index = start;
    let mut grouped = false;
    while let Some(token) = tokens.get(index) {
        if token.is("{") {
            grouped = true;
            let end = after_group(tokens, index);
            let mut branch = index + 1;
            while branch + 1 < end {
                branch = use_tree(&tokens[..end - 1], branch, &segments, found);
            }
            index = end;
        } else if token.is("as") {
            index += 2;
        } else if token.is(",") || token.is(";") {
            index += 1;
            break;
        } else {
            if token.is_name() || token.is("*") {
                segments.push(token.text.clone());
            }
            index += 1;
        }
    }
    if !grouped && segments.len() > above.len() {
        let token = &tokens[start];
        found.push(Path {
            segments,
            line: token.line,
            test: token.test,
            imported: true,
        });
    }
    index
}
