//! The shapes of templates on the wire: what an app is made of.
//!
//! It promises: a template is shown whole, as the schema of a form, with how sure it is.
//! It never: changes an app that is there.

use serde::Serialize;

use super::apps::Kind;
use crate::connect::Connect;
use crate::model::app::Callback;
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

/// A template with what an app of it will need to be registered.
#[derive(Serialize)]
pub struct TemplateWhole<'a> {
    #[serde(flatten)]
    shape: TemplateShape<'a>,
    redirect_uris: RedirectUris,
}

/// Where providers send people back to, by what an app says of its `callback`. `{app}` stands for
/// the id of the app.
#[derive(Serialize)]
struct RedirectUris {
    own: String,
    shared: String,
}

impl<'a> TemplateWhole<'a> {
    /// The shape of a template of which apps are made here.
    pub fn of(template: &'a Template, connect: &Connect) -> Self {
        Self {
            shape: TemplateShape::of(template),
            redirect_uris: RedirectUris {
                own: connect.redirect_uri(&"{app}", Callback::Own),
                shared: connect.redirect_uri(&"{app}", Callback::Shared),
            },
        }
    }
}
