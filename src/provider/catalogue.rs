//! The catalogue: services whose settings are known, so that nobody looks them up again.
//!
//! It promises: an entry is a fact about a service, with the page to compare it with and how sure
//! it is; what an app's settings cannot say of a service keeps that service out.
//! It never: changes an app that was made of an entry.

use std::sync::LazyLock;

use crate::model::template::Template;

/// The entries, in files of facts beside this one.
static ENTRIES: LazyLock<Vec<Template>> = LazyLock::new(|| {
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
    let mut entries = entries.concat();
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    entries
});

/// Every template, by its id.
pub fn all() -> &'static [Template] {
    &ENTRIES
}

/// The template of this id.
pub fn find(id: &str) -> Option<&'static Template> {
    all().iter().find(|template| template.id.as_str() == id)
}

/// The templates that every word finds.
pub fn search<'w>(words: impl Iterator<Item = &'w str> + Clone) -> Vec<&'static Template> {
    let is_found = |template: &&Template| words.clone().all(|word| template.is_found_by(word));
    all().iter().filter(is_found).collect()
}

#[cfg(test)]
mod tests;
