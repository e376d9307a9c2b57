//! Reads what a protected resource asks for: `WWW-Authenticate` (RFC 9110 11.6.1, RFC 9728 5.1).
//! Pure.
//!
//! It promises: whatever the field holds, it is read once, in bounded memory; what cannot be read
//! costs what stands behind it and no more.
//! It never: takes a parameter of another scheme for one of `Bearer` or `DPoP`.

use super::usable;
use crate::limits;
use crate::model::Scopes;
use crate::model::url::WebUrl;

/// The parameters of a challenge that are of use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Challenge {
    resource_metadata: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// Reads fields, one a line. The first challenge that names a thing counts.
    pub fn read(fields: &str) -> Self {
        let mut found = Self::default();
        for field in fields.lines() {
            let mut text = Text(field);
            let mut is_ours = false;
            for _ in 0..limits::CHALLENGE_PARAMS_MAX {
                match text.next() {
                    None => break,
                    Some(Part::Scheme(scheme)) => {
                        let known = ["bearer", "dpop"];
                        is_ours = known.contains(&scheme.to_ascii_lowercase().as_str());
                    }
                    Some(Part::Param(name, value)) if is_ours => found.take(name, value),
                    Some(Part::Param(..)) => {}
                }
            }
        }
        found
    }

    fn take(&mut self, name: &str, value: String) {
        let place = match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => &mut self.resource_metadata,
            "scope" => &mut self.scope,
            _ => return,
        };
        if !value.is_empty() {
            place.get_or_insert(value);
        }
    }

    /// Where it says that the resource's metadata is, if it says so.
    pub fn place(&self) -> Option<WebUrl> {
        let text = self.resource_metadata.as_deref()?;
        WebUrl::parse("resource_metadata", text).ok()
    }

    /// The scopes it wants, if it names any.
    pub fn scopes(&self) -> Option<Scopes> {
        let words = usable(self.scope.as_deref()?.split(' '));
        Some(words).filter(|scopes| !scopes.is_empty())
    }
}

enum Part<'a> {
    Scheme(&'a str),
    Param(&'a str, String),
}

/// What is left of a field.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The next scheme or parameter.
    fn next(&mut self) -> Option<Part<'a>> {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
        let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        if word.is_empty() {
            return None;
        }
        self.0 = rest;
        let value = rest.trim_start_matches([' ', '\t']).strip_prefix('=');
        let Some(value) = value else {
            return Some(Part::Scheme(word));
        };
        // A `token68` may end with more of them (RFC 9110 11.2): then it is no parameter.
        let value = value.trim_start_matches('=');
        let value = value.trim_start_matches([' ', '\t']);
        let (value, rest) = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = value.find([',', ' ', '\t']).unwrap_or(value.len());
                (value[..end].to_owned(), &value[end..])
            }
        };
        self.0 = rest;
        Some(Part::Param(word, value))
    }
}

/// A quoted string after its first quote, and what is behind its last one.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> (Option<String>, Option<String>) {
        let found = Challenge::read(fields);
        (found.resource_metadata, found.scope)
    }

    fn both(place: &str, scope: &str) -> (Option<String>, Option<String>) {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (text(place), text(scope))
    }

    #[test]
    fn challenges_are_read_as_they_are_written() {
        let place = "https://a.example/.well-known/oauth-protected-resource/mcp";
        for field in [
            format!(r#"Bearer resource_metadata="{place}", scope="a b""#),
            format!(r#"Bearer error="invalid_token", scope="a b",resource_metadata="{place}""#),
            format!(r#"bearer  Scope = "a b" , RESOURCE_METADATA="{place}""#),
            format!("Bearer resource_metadata={place}, scope=\"a b\""),
            format!(r#"Bearer realm="x, scope=\"no\"", scope="a b", resource_metadata="{place}""#),
            format!(r#"Basic realm="x", Bearer scope="a b", resource_metadata="{place}""#),
            format!(
                "Basic realm=\"x\"\nBearer scope=\"a b\"\nBearer resource_metadata=\"{place}\""
            ),
            format!(r#"DPoP algs="ES256", scope="a b", resource_metadata="{place}""#),
            format!(r#"Negotiate YWJj==, Bearer scope="a b", resource_metadata="{place}""#),
            format!(r#"Bearer scope="a b", scope="c", resource_metadata="{place}""#),
        ] {
            assert_eq!(read(&field), both(place, "a b"), "{field}");
        }
    }

    #[test]
    fn what_is_no_challenge_of_ours_says_nothing() {
        for field in [
            "",
            "Bearer",
            ",,, ",
            "\"",
            "=",
            "Bearer =",
            "Bearer ===",
            r#"Basic scope="a", resource_metadata="https://a.example/x""#,
            r#"Bearer scopes="a""#,
            "Bearer \u{fe}scope=\"a\"",
        ] {
            assert_eq!(read(field), both("", ""), "{field}");
        }
        let (place, scope) = read(r#"Bearer resource_metadata="/x", scope="a \"b"#);
        assert_eq!(
            (place.as_deref(), scope.as_deref()),
            (Some("/x"), Some("a \"b"))
        );
        let odd = Challenge::read(r#"Bearer resource_metadata="/x", scope="a \"b c""#);
        assert_eq!(odd.place(), None, "a URL is absolute");
        assert_eq!(odd.scopes(), Scopes::parse(["a", "\"b", "c"]).ok());
        let endless = "Bearer ".to_owned() + &"x=y, ".repeat(100_000) + "scope=a";
        assert_eq!(read(&endless), both("", ""));
    }
}
