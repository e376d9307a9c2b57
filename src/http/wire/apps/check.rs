//! A check of an app, and an update of one from its template, on the wire.
//!
//! It promises: what was found comes in the order it was looked at, with the worst of it on top.
//! It never: shows a client secret.

use serde::{Deserialize, Serialize};

use super::AppShape;
use crate::connect::{Finding, Level, UpdateWish, Updated, worst};
use crate::error::{Error, Result};
use crate::http::wire::secret;
use crate::model::AppId;
use crate::model::blanks::Known;
use crate::model::template::{Change, Choice};
use crate::secret::Secret;

/// `POST /v1/apps/{app}/check`: nothing can be said of it yet.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {}

/// What was found of an app.
#[derive(Serialize)]
pub struct CheckShape<'a> {
    app: &'a AppId,
    worst: &'static str,
    findings: Vec<FindingShape<'a>>,
}

#[derive(Serialize)]
struct FindingShape<'a> {
    level: &'static str,
    about: &'a str,
    found: &'a str,
    hint: &'a str,
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

impl<'a> CheckShape<'a> {
    /// The shape of what was found.
    pub fn of(app: &'a AppId, findings: &'a [Finding]) -> Self {
        let shape = |finding: &'a Finding| FindingShape {
            level: word(finding.level),
            about: &finding.about,
            found: &finding.found,
            hint: &finding.hint,
        };
        Self {
            app,
            worst: word(worst(findings)),
            findings: findings.iter().map(shape).collect(),
        }
    }
}

/// `POST /v1/apps/{app}/update`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateRequest {
    #[serde(default)]
    apply: bool,
    /// Take the changes of these settings alone.
    #[serde(default)]
    only: Vec<String>,
    /// Take every change but those of these settings.
    #[serde(default)]
    keep: Vec<String>,
    /// Said of variables, beside what the app has.
    #[serde(default)]
    values: Known,
    #[serde(default, deserialize_with = "secret")]
    client_secret: Option<Secret<String>>,
}

impl UpdateRequest {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it says both what is taken and what is kept.
    pub fn into_wish(self) -> Result<UpdateWish> {
        let choice = match (self.only.is_empty(), self.keep.is_empty()) {
            (true, true) => Choice::All,
            (false, true) => Choice::Only(self.only),
            (true, false) => Choice::Keep(self.keep),
            (false, false) => return Err(Error::invalid("give `only` or `keep`, not both")),
        };
        Ok(UpdateWish {
            choice,
            values: self.values,
            client_secret: self.client_secret,
            apply: self.apply,
        })
    }
}

/// What the catalogue says differently of an app, and the app.
#[derive(Serialize)]
pub struct UpdateShape<'a> {
    template: &'a AppId,
    /// Whether the app was changed.
    applied: bool,
    changes: &'a [Change],
    app: AppShape<'a>,
}

impl<'a> UpdateShape<'a> {
    /// The shape of an update; `app` is that of its app.
    pub fn of(updated: &'a Updated, app: AppShape<'a>) -> Self {
        Self {
            template: &updated.template.id,
            applied: updated.applied,
            changes: &updated.changes,
            app,
        }
    }
}
