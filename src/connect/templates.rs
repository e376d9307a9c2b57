//! What the app that people connect may be made of: the templates of the catalogue.
//!
//! It promises: what a template says is the catalogue's, word for word.
//! It never: makes an app (that is the vault's).

use super::Connect;
use crate::limits;
use crate::model::template::Template;
use crate::provider::catalogue;

impl Connect {
    /// The template of this id.
    pub fn template(id: &str) -> Option<&'static Template> {
        catalogue::find(id)
    }

    /// The templates that every one of these words finds, the first few of them.
    pub fn templates(words: &str) -> Vec<&'static Template> {
        catalogue::search(words.split_whitespace().take(limits::SEARCH_WORDS_MAX))
    }
}
