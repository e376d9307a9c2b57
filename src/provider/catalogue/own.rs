//! An operator's own entries: files of the same schema as those that are built in.
//!
//! It promises: a directory is read whole or not at all; what is wrong is said with its file, line,
//! entry and field; an own entry says that it is one, whatever its file says.
//! It never: reads below the directory, or more than its bounds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::Catalogue;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::template::{Certainty, Template};

impl Catalogue {
    /// The built-in catalogue and, over it, the entries of every `*.json` file of a directory: a
    /// list of entries each. It blocks while it reads.
    ///
    /// # Errors
    /// [`Error::Settings`] for a directory or file that cannot be read or is too large, for an
    /// entry that is none, and for two of one id.
    pub fn with_own(directory: &Path) -> Result<Self> {
        let mut own: BTreeMap<String, (Template, PathBuf)> = BTreeMap::new();
        let mut bytes_left = limits::OWN_CATALOGUE_BYTES_MAX;
        for path in files(directory)? {
            let text = text(&path, &mut bytes_left)?;
            for template in entries(&path, &text)? {
                let id = template.id.to_string();
                if let Some((_, other)) = own.insert(id.clone(), (template, path.clone())) {
                    return Err(wrong(
                        &path,
                        &format!("the entry `{id}` is in {} already", other.display()),
                    ));
                }
            }
            if own.len() > limits::OWN_TEMPLATES_MAX {
                return Err(wrong(
                    &path,
                    &format!(
                        "there are more than {} own entries",
                        limits::OWN_TEMPLATES_MAX
                    ),
                ));
            }
        }
        Ok(Self::default().over(own))
    }

    fn over(self, own: BTreeMap<String, (Template, PathBuf)>) -> Self {
        let mut templates = self.templates;
        for (id, (_, path)) in &own {
            if templates.iter().any(|known| known.id.as_str() == id) {
                let path = path.display();
                tracing::info!("`{id}` of {path} takes the place of the built-in template");
            }
        }
        templates.retain(|known| !own.contains_key(known.id.as_str()));
        templates.extend(own.into_values().map(|(template, _)| Arc::new(template)));
        Self::of(templates)
    }
}

fn wrong(path: &Path, what: &str) -> Error {
    Error::Settings(format!("{}: {what}", path.display()))
}

/// The files of a directory, by name. One that is hidden is somebody's working copy.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| wrong(directory, &format!("cannot be read: {error}"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".json") && !name.starts_with('.') {
            found.push(path);
        }
        if found.len() > limits::OWN_CATALOGUE_FILES_MAX {
            let most = limits::OWN_CATALOGUE_FILES_MAX;
            return Err(wrong(directory, &format!("has more than {most} files")));
        }
    }
    found.sort();
    Ok(found)
}

/// A file's text, as far as all files together may be long.
fn text(path: &Path, bytes_left: &mut u64) -> Result<String> {
    let unreadable = |error: std::io::Error| wrong(path, &format!("cannot be read: {error}"));
    // A pipe would be waited for.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(wrong(path, "is no file"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    let read = file.take(*bytes_left + 1).read_to_string(&mut text);
    let read = read.map_err(unreadable)? as u64;
    *bytes_left = bytes_left.checked_sub(read).ok_or_else(|| {
        let most = limits::OWN_CATALOGUE_BYTES_MAX;
        wrong(
            path,
            &format!("all files together have at most {most} bytes"),
        )
    })?;
    Ok(text)
}

/// The entries of a file.
fn entries(path: &Path, text: &str) -> Result<Vec<Template>> {
    let list: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| wrong(path, &format!("is no JSON list of entries: {error}")))?;
    let read = |(nth, raw): (usize, &&RawValue)| {
        let entry: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        template(&entry).map_err(|what| {
            let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
            let line = 1 + text[..start].matches('\n').count();
            let id = entry["id"].as_str().map(|id| format!(" `{id}`"));
            let id = id.unwrap_or_default();
            let number = nth + 1;
            wrong(path, &format!("entry {number}{id} at line {line}: {what}"))
        })
    };
    list.iter().enumerate().map(read).collect()
}

/// One entry, checked.
fn template(entry: &Value) -> std::result::Result<Template, String> {
    if !entry.is_object() {
        return Err("is no JSON object".into());
    }
    let mut entry = entry.clone();
    // What an answer of ours adds to an entry is made of it: who copies one need not take it out.
    for name in ["kind", "version", "redirect_uris"] {
        entry.as_object_mut().and_then(|fields| fields.remove(name));
    }
    // How sure its operator is of it, nobody else can say.
    entry["certainty"] = serde_json::json!(Certainty::Own);
    let template = match parse(&entry) {
        Ok(template) => template,
        Err(error) => {
            let field = culprit(&entry, &error);
            let field = if field.is_empty() {
                field
            } else {
                format!("`{field}`: ")
            };
            return Err(format!("{field}{error}"));
        }
    };
    let checked = template.check().map_err(|error| error.to_string());
    checked.map(|()| template)
}

fn parse(entry: &Value) -> std::result::Result<Template, String> {
    serde_json::from_value(entry.clone()).map_err(|error| error.to_string())
}

/// Where the value stands that makes an entry unreadable with this error: the deepest one without
/// which the error is gone. Empty where it is none of them, as for a field that is missing.
fn culprit(entry: &Value, error: &str) -> String {
    let is_missing = |error: &str| error.starts_with("missing field");
    let is_gone = |pointer: &str| match parse(&without(entry, pointer)) {
        Ok(_) => true,
        // Of two fields that are missing, the one that was taken away is not the one sought.
        Err(other) => other != error && !(is_missing(error) && is_missing(&other)),
    };
    let (mut pointer, mut path) = (String::new(), Vec::new());
    while path.len() < limits::OWN_ENTRY_DEPTH_MAX {
        let names: Vec<String> = match entry.pointer(&pointer) {
            Some(Value::Object(fields)) => fields.keys().cloned().collect(),
            Some(Value::Array(list)) => (0..list.len()).map(|nth| nth.to_string()).collect(),
            _ => break,
        };
        let below = |name: &String| {
            let name = name.replace('~', "~0").replace('/', "~1");
            format!("{pointer}/{name}")
        };
        let Some(name) = names.iter().find(|name| is_gone(&below(name))) else {
            break;
        };
        pointer = below(name);
        path.push(name.clone());
    }
    path.join(".")
}

/// A value less what stands at this place.
fn without(entry: &Value, pointer: &str) -> Value {
    let mut less = entry.clone();
    let (above, name) = pointer.rsplit_once('/').unwrap_or_default();
    match less.pointer_mut(above) {
        Some(Value::Object(fields)) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(list)) => {
            if let Ok(nth) = name.parse::<usize>() {
                list.remove(nth);
            }
        }
        _ => {}
    }
    less
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id": "acme", "name": "Acme", "category": "work",
        "docs": "https://acme.example/docs", "oauth": {"client_auth": "post",
        "authorization_url": "https://acme.example/a", "token_url": "https://acme.example/t"}}"#;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        home
    }

    fn refused(files: &[(&str, &str)]) -> String {
        let home = directory(files);
        let error = Catalogue::with_own(home.path()).err().unwrap();
        assert_eq!(error.code(), "settings");
        error.to_string()
    }

    #[test]
    fn own_entries_stand_beside_and_over_the_built_in_ones() {
        let github = GOOD.replace("acme\"", "github\"");
        let home = directory(&[
            ("a.json", &format!("[{GOOD}]")),
            (
                "b.json",
                &format!(
                    "[{}]",
                    github.replace("{\"id\"", "{\"version\": \"1\", \"id\"")
                ),
            ),
            (".c.json", "junk"),
            ("README", "junk"),
        ]);
        let catalogue = Catalogue::with_own(home.path()).unwrap();
        assert_eq!(catalogue.all().len(), Catalogue::default().all().len() + 1);
        for id in ["acme", "github"] {
            let own = catalogue.find(id).unwrap();
            assert_eq!((own.certainty, own.name.as_str()), (Certainty::Own, "Acme"));
            assert_eq!(catalogue.version(id), Some(own.version().as_str()));
        }
        assert!(
            catalogue
                .find("airtable")
                .is_some_and(|one| one.certainty != Certainty::Own)
        );
    }

    /// Goal: whoever writes an entry is led to the place that is wrong. Method: a table of bad
    /// files, and what must be said of each beside the file's name.
    #[test]
    fn what_is_wrong_is_said_with_file_line_entry_and_field() {
        let bad = |from: &str, to: &str| {
            format!(
                "[\n{GOOD},\n{}]",
                GOOD.replace("acme\"", "x\"").replace(from, to)
            )
        };
        let table = [
            ("{}".to_owned(), "no JSON list of entries"),
            ("[1]".to_owned(), "entry 1 at line 1: is no JSON object"),
            ("[{}".to_owned(), "EOF while parsing a list at line 1"),
            (
                bad("\"Acme\"", "7"),
                "entry 2 `x` at line 5: `name`: invalid type",
            ),
            (
                bad("\"post\"", "\"pst\""),
                "`oauth.client_auth`: unknown variant `pst`",
            ),
            (bad("\"name\"", "\"nmae\""), "`nmae`: unknown field `nmae`"),
            (
                bad("\"name\": \"Acme\",", ""),
                "line 5: missing field `name`",
            ),
            (
                bad(
                    "\"token_url\": \"https://acme.example/t\"",
                    "\"pkce\": true",
                ),
                "`oauth`: missing field `token_url`",
            ),
            (
                bad("https://acme.example/t", "https://{shop/t"),
                "`oauth.token_url`: `{` has no `}`",
            ),
            (
                bad("\"post\"", "\"post\", \"scopes\": [\"a\", 7]"),
                "`oauth.scopes.1`: invalid type: integer",
            ),
            (bad("\"Acme\"", "\" \""), "`name` is missing"),
            (
                bad("https://acme.example/t", "ftp://acme.example/t"),
                "token_url",
            ),
            (format!("[{GOOD},{GOOD}]"), "the entry `acme` is in "),
        ];
        for (text, expected) in table {
            let said = refused(&[("own.json", &text)]);
            assert!(said.contains("own.json: "), "{said}");
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }

    #[test]
    fn a_directory_is_bounded() {
        assert!(Catalogue::with_own(Path::new("/nowhere")).is_err());
        let long = " ".repeat(usize::try_from(limits::OWN_CATALOGUE_BYTES_MAX).unwrap() / 2 + 1);
        assert!(refused(&[("a.json", &format!("[]{long}")), ("b.json", &long)]).contains("bytes"));
        let home = directory(&[]);
        for nth in 0..=limits::OWN_CATALOGUE_FILES_MAX {
            std::fs::write(home.path().join(format!("{nth}.json")), "[]").unwrap();
        }
        assert!(Catalogue::with_own(home.path()).is_err());
        let many: Vec<String> = (0..=limits::OWN_TEMPLATES_MAX)
            .map(|nth| GOOD.replace("acme\"", &format!("a{nth}\"")))
            .collect();
        let said = refused(&[("a.json", &format!("[{}]", many.join(",")))]);
        assert!(said.contains("own entries"), "{said}");
        let home = directory(&[]);
        std::fs::create_dir(home.path().join("d.json")).unwrap();
        assert!(Catalogue::with_own(home.path()).is_err());
    }
}
