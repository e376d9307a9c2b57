//! The catalogue: services whose settings are known, so that nobody looks them up again.
//!
//! It promises: an entry is a fact about a service, with the page to compare it with and how sure
//! it is; what an app's settings cannot say of a service keeps that service out; an operator's own
//! entry takes the place of the built-in one of the same id.
//! It never: changes an app that was made of an entry.

mod own;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use crate::model::template::Template;

/// The entries that are built in, in files of facts beside this one.
static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| {
    let files = [
        include_str!("catalogue/commerce.json"),
        include_str!("catalogue/data.json"),
        include_str!("catalogue/developer.json"),
        include_str!("catalogue/files.json"),
        include_str!("catalogue/google.json"),
        include_str!("catalogue/identity.json"),
        include_str!("catalogue/keys.json"),
        include_str!("catalogue/keys_ai.json"),
        include_str!("catalogue/mcp.json"),
        include_str!("catalogue/media.json"),
        include_str!("catalogue/meetings.json"),
        include_str!("catalogue/microsoft.json"),
        include_str!("catalogue/sales.json"),
        include_str!("catalogue/social.json"),
        include_str!("catalogue/work.json"),
    ];
    let read = |file| serde_json::from_str::<Vec<Template>>(file);
    let entries = files.map(|file| read(file).expect("a test reads every entry"));
    let words = words();
    let described = entries.concat().into_iter().map(|mut template| {
        for words in words
            .iter()
            .filter(|words| words.are_of(template.id.as_str()))
        {
            let more = words.scope_descriptions.clone();
            template.scope_descriptions.extend(more);
        }
        Arc::new(template)
    });
    Catalogue::of(described.collect())
});

/// What scopes mean that several entries share, once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    /// Ids of entries; one that ends with `-` stands for all that begin so.
    templates: Vec<String>,
    scope_descriptions: BTreeMap<String, String>,
}

impl Words {
    fn are_of(&self, id: &str) -> bool {
        let mut ids = self.templates.iter();
        ids.any(|known| known == id || known.ends_with('-') && id.starts_with(known.as_str()))
    }
}

fn words() -> Vec<Words> {
    let file = include_str!("catalogue/scopes.json");
    serde_json::from_str(file).expect("a test reads every entry")
}

/// The templates that apps can be made of.
#[derive(Clone)]
pub struct Catalogue {
    /// By their ids.
    templates: Vec<Arc<Template>>,
    /// What each says, named ([`Template::version`]).
    versions: Vec<String>,
}

impl Default for Catalogue {
    /// The one that is built in.
    fn default() -> Self {
        BUILT_IN.clone()
    }
}

impl Catalogue {
    fn of(mut templates: Vec<Arc<Template>>) -> Self {
        templates.sort_by(|a, b| a.id.cmp(&b.id));
        Self {
            versions: templates.iter().map(|known| known.version()).collect(),
            templates,
        }
    }

    /// Every template, by its id.
    pub fn all(&self) -> &[Arc<Template>] {
        &self.templates
    }

    /// The template of this id.
    pub fn find(&self, id: &str) -> Option<&Arc<Template>> {
        self.place(id).map(|place| &self.templates[place])
    }

    /// What the template of this id says, named.
    pub fn version(&self, id: &str) -> Option<&str> {
        self.place(id).map(|place| self.versions[place].as_str())
    }

    /// The templates that every word finds.
    pub fn search<'w>(&self, words: impl Iterator<Item = &'w str> + Clone) -> Vec<Arc<Template>> {
        let is_found =
            |template: &&Arc<Template>| words.clone().all(|word| template.is_found_by(word));
        self.templates.iter().filter(is_found).cloned().collect()
    }

    fn place(&self, id: &str) -> Option<usize> {
        let found = self
            .templates
            .binary_search_by(|known| known.id.as_str().cmp(id));
        found.ok()
    }
}

#[cfg(test)]
mod tests;
