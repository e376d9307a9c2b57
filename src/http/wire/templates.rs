//! The shapes of templates on the wire: what an app is made of.
//!
//! It promises: a template is shown whole, as the schema of a form, with how sure it is.
//! It never: changes an app that is there.

use serde::Serialize;

use super::apps::Kind;
use crate::model::template::Template;

/// A template, as it is shown.
#[derive(Serialize)]
pub struct TemplateShape<'a> {
    kind: Kind,
    version: String,
    #[serde(flatten)]
    template: &'a Template,
}

impl<'a> TemplateShape<'a> {
    /// The shape of a template.
    pub fn of(template: &'a Template) -> Self {
        Self {
            kind: Kind::of(template),
            version: template.version(),
            template,
        }
    }
}
