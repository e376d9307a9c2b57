//! The shapes of apps on the wire.
//!
//! It promises: a client secret goes in and never comes out.
//! It never: fills in what a request left out but by a stated default, or by the template it names.

mod again;
mod check;
mod request;
mod shape;

use serde::{Deserialize, Serialize};

pub use self::again::{INPUTS, inputs_of};
pub use self::check::{CheckRequest, CheckShape, UpdateRequest, UpdateShape};
pub use self::request::AppRequest;
pub use self::shape::AppShape;
use crate::model::template::Template;

/// The two kinds, as a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub enum Kind {
    /// OAuth.
    #[serde(rename = "oauth")]
    OAuth,
    /// API key.
    #[serde(rename = "api_key")]
    ApiKey,
}

impl Kind {
    /// What apps of this template are.
    pub fn of(template: &Template) -> Self {
        match template.oauth.is_some() || template.server_url.is_some() {
            true => Self::OAuth,
            false => Self::ApiKey,
        }
    }
}
