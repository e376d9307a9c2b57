//! What was typed into a form of the console.
//!
//! It promises: a field comes once; a value is a secret until it is asked for by name.
//! It never: says what was typed.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::http::app::Call;
use crate::secret::Secret;

/// A form's fields, by name. Of a request without a form there are none.
#[derive(Default)]
pub(super) struct Form(BTreeMap<String, Secret<String>>);

impl Form {
    /// Reads a request's form.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is none, or a field came twice.
    pub(super) fn of(call: &Call) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for (name, value) in call.form()? {
            if fields.insert(name, Secret::new(value)).is_some() {
                return Err(Error::invalid("a field of the form came twice"));
            }
        }
        Ok(Self(fields))
    }

    /// What was typed, without the space around it; `None` where that is nothing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.expose().trim();
        (!text.is_empty()).then_some(text)
    }

    /// Whether the form has this field, filled in or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The fields that were filled in and whose names begin so, by the rest of their names.
    pub(super) fn beginning<'a>(
        &'a self,
        start: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.keys().filter_map(move |name| {
            let rest = name.strip_prefix(start)?;
            Some((rest, self.text(name)?))
        })
    }

    /// A secret that was typed, as it was typed.
    ///
    /// # Errors
    /// [`Error::Invalid`] where nothing was.
    pub(super) fn secret(&self, name: &str) -> Result<Secret<String>> {
        let typed = self.0.get(name).map(Secret::expose);
        typed
            .filter(|text| !text.is_empty())
            .map(|text| Secret::new(text.clone()))
            .ok_or_else(|| Error::invalid("nothing was typed"))
    }
}
