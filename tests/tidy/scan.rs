//! Reads Rust source as tokens, well enough to judge it without a compiler.
//!
//! It promises: text inside a string or a comment never counts as code, a group is closed by its
//! own bracket, and every token knows its line and whether it is test code.
//! It never: expands a macro or resolves a name; a rule sees what a reader sees.

/// What a token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A name, keyword or number.
    Word,
    /// One character of punctuation; `::` is one token.
    Mark,
    /// A string or character literal; the token's text is its content.
    Text,
}

/// One token of code.
#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    /// Counted from one.
    pub line: usize,
    /// Inside an item that is compiled for tests only.
    pub test: bool,
}

impl Token {
    /// Whether this is the word or mark `text`.
    pub fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }

    /// Whether this is a name or keyword.
    pub fn is_name(&self) -> bool {
        self.kind == Kind::Word && !self.text.starts_with(|c: char| c.is_ascii_digit())
    }
}

/// A comment and the line it begins on.
#[derive(Clone, Debug)]
pub struct Comment {
    pub text: String,
    pub line: usize,
}

/// One source file, read.
pub struct Source {
    /// From the top of the repository, with `/`: `src/http/wire.rs`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
}

impl Source {
    /// Reads a file's text.
    pub fn new(path: &str, text: &str) -> Self {
        let mut reader = Reader {
            chars: text.chars().collect(),
            at: 0,
            line: 1,
            tokens: Vec::new(),
            comments: Vec::new(),
        };
        reader.read();
        let mut tokens = reader.tokens;
        if is_test_file(path) {
            tokens.iter_mut().for_each(|token| token.test = true);
        } else {
            mark_test_items(&mut tokens);
        }
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            comments: reader.comments,
        }
    }

    /// The path below `src/`, or nothing for a file that lives elsewhere.
    pub fn below_src(&self) -> Option<&str> {
        self.path.strip_prefix("src/")
    }

    /// The room of a file of `src`: `http` for `src/http.rs` and `src/http/wire.rs` alike.
    pub fn room(&self) -> Option<&str> {
        let first = self.below_src()?.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// How many modules deep the file lies: 1 for `src/http.rs`, 2 for `src/http/wire.rs`.
    pub fn depth(&self) -> usize {
        self.below_src().map_or(0, |path| path.split('/').count())
    }
}

/// Whether a whole file is test code: everything outside `src`, and `tests.rs` within it.
fn is_test_file(path: &str) -> bool {
    !path.starts_with("src/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

impl Reader {
    fn read(&mut self) {
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(0),
                ('\'', _) => self.quote(),
                _ if self.raw_string_hashes().is_some() => self.raw_string(),
                ('b' | 'c', Some('"')) => self.string(1),
                ('b', Some('\'')) => {
                    self.take();
                    self.quote();
                }
                _ if c.is_alphanumeric() || c == '_' => self.word(),
                (':', Some(':')) => {
                    self.push(Kind::Mark, "::".to_owned(), self.line);
                    self.at += 2;
                }
                _ if c.is_whitespace() => _ = self.take(),
                _ => {
                    self.push(Kind::Mark, c.to_string(), self.line);
                    self.take();
                }
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.tokens.push(Token {
            kind,
            text,
            line,
            test: false,
        });
    }

    fn word(&mut self) {
        let start = self.at;
        while self
            .peek(0)
            .is_some_and(|c| c.is_alphanumeric() || c == '_')
        {
            self.at += 1;
        }
        let text = self.chars[start..self.at].iter().collect();
        self.push(Kind::Word, text, self.line);
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let mut text = String::new();
        while let Some(c) = self.peek(0).filter(|c| *c != '\n') {
            text.push(c);
            self.at += 1;
        }
        self.comments.push(Comment { text, line });
    }

    fn block_comment(&mut self) {
        let line = self.line;
        let mut text = String::new();
        let mut depth = 0;
        while let Some(c) = self.take() {
            text.push(c);
            match (c, self.peek(0)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => continue,
            }
            text.extend(self.take());
            if depth == 0 {
                break;
            }
        }
        self.comments.push(Comment { text, line });
    }

    /// A string literal whose prefix is `prefix` characters long.
    fn string(&mut self, prefix: usize) {
        let line = self.line;
        self.at += prefix + 1;
        let mut text = String::new();
        while let Some(c) = self.take().filter(|c| *c != '"') {
            text.push(c);
            if c == '\\' {
                text.extend(self.take());
            }
        }
        self.push(Kind::Text, text, line);
    }

    /// The number of `#` where a raw string begins here, prefix and all.
    fn raw_string_hashes(&self) -> Option<(usize, usize)> {
        let prefix = match (self.peek(0)?, self.peek(1)?) {
            ('r', _) => 1,
            ('b' | 'c', 'r') => 2,
            _ => return None,
        };
        let hashes = (0..)
            .take_while(|n| self.peek(prefix + n) == Some('#'))
            .count();
        (self.peek(prefix + hashes) == Some('"')).then_some((prefix, hashes))
    }

    fn raw_string(&mut self) {
        let Some((prefix, hashes)) = self.raw_string_hashes() else {
            return;
        };
        let line = self.line;
        self.at += prefix + hashes + 1;
        let mut text = String::new();
        while let Some(c) = self.take() {
            if c == '"' && (0..hashes).all(|n| self.peek(n) == Some('#')) {
                self.at += hashes;
                break;
            }
            text.push(c);
        }
        self.push(Kind::Text, text, line);
    }

    /// A character literal, or the mark and name of a lifetime.
    fn quote(&mut self) {
        let line = self.line;
        self.take();
        let text = match (self.peek(0), self.peek(1)) {
            (Some('\\'), Some(escaped)) => {
                self.at += 2;
                let mut text = format!("\\{escaped}");
                while let Some(c) = self.peek(0).filter(|c| *c != '\'') {
                    text.push(c);
                    self.at += 1;
                }
                text
            }
            (Some(c), Some('\'')) => {
                self.take();
                c.to_string()
            }
            // A lifetime: its name follows as a word and harms no rule.
            _ => return,
        };
        self.take();
        self.push(Kind::Text, text, line);
    }
}

/// The index after the bracket that closes the group opened at `open`.
pub fn after_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if ["(", "[", "{"].iter().any(|mark| token.is(mark)) {
            depth += 1;
        } else if [")", "]", "}"].iter().any(|mark| token.is(mark)) {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return index + 1;
            }
        }
    }
    tokens.len()
}

/// The index after the item that begins at `start`: after its `;`, or after its braces.
pub fn after_item(tokens: &[Token], start: usize) -> usize {
    let is_use = is_import(&tokens[start..]);
    let mut index = start;
    while index < tokens.len() {
        let token = &tokens[index];
        if token.is(";") {
            return index + 1;
        }
        if token.is("{") && !is_use {
            return after_group(tokens, index);
        }
        let opens = ["(", "[", "{"].iter().any(|mark| token.is(mark));
        index = if opens {
            after_group(tokens, index)
        } else {
            index + 1
        };
    }
    tokens.len()
}

/// Whether an item is `use …`, `pub use …` or `pub(crate) use …`.
fn is_import(item: &[Token]) -> bool {
    let mut index = usize::from(item.first().is_some_and(|token| token.is("pub")));
    if index == 1 && item.get(1).is_some_and(|token| token.is("(")) {
        index = after_group(item, 1);
    }
    item.get(index).is_some_and(|token| token.is("use"))
}

/// Marks each item under `#[cfg(test)]`, attribute and all.
fn mark_test_items(tokens: &mut [Token]) {
    let mut index = 0;
    while index + 1 < tokens.len() {
        if !(tokens[index].is("#") && tokens[index + 1].is("[")) {
            index += 1;
            continue;
        }
        let after_attribute = after_group(tokens, index + 1);
        if !is_cfg_test(&tokens[index + 2..after_attribute]) {
            index = after_attribute;
            continue;
        }
        let mut item = after_attribute;
        while item + 1 < tokens.len() && tokens[item].is("#") && tokens[item + 1].is("[") {
            item = after_group(tokens, item + 1);
        }
        let end = after_item(tokens, item.min(tokens.len().saturating_sub(1)));
        tokens[index..end]
            .iter_mut()
            .for_each(|token| token.test = true);
        index = end;
    }
}

fn is_cfg_test(attribute: &[Token]) -> bool {
    let has = |word: &str| attribute.iter().any(|token| token.is(word));
    attribute.first().is_some_and(|token| token.is("cfg")) && has("test") && !has("not")
}
