//! What is kept beside a credential, as it is written.
//!
//! It promises: nothing is written where nothing is kept, which is so for most tokens.
//! It never: more than its parent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::unix_ms_or_none;
use crate::clock::Timestamp;
use crate::model::Name;
use crate::model::beside::Beside;
use crate::model::blanks::{Known, is_default};
use crate::secret::Secret;

/// [`Beside`], as written.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct BesideRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: Known,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "secrets")]
    secrets: BTreeMap<Name, Secret<String>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "unix_ms",
        deserialize_with = "unix_ms_or_none"
    )]
    refresh_token_ends_ms: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_default")]
    by_use: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    second: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    switched_from: Option<String>,
}

impl BesideRow {
    pub(super) fn new(beside: &Beside) -> Option<Self> {
        let is_empty = beside.label.is_none()
            && beside.metadata.is_empty()
            && beside.secrets.is_empty()
            && beside.refresh_token_ends_at.is_none()
            && !beside.is_second
            && beside.switched_from.is_none();
        (!is_empty).then(|| Self {
            label: beside.label.clone(),
            metadata: beside.metadata.clone(),
            secrets: beside.secrets.clone(),
            refresh_token_ends_ms: beside.refresh_token_ends_at,
            by_use: beside.is_kept_alive_by_use,
            second: beside.is_second,
            switched_from: beside.switched_from.clone(),
        })
    }

    pub(super) fn into_beside(self) -> Beside {
        Beside {
            label: self.label,
            metadata: self.metadata,
            secrets: self.secrets,
            refresh_token_ends_at: self.refresh_token_ends_ms,
            is_kept_alive_by_use: self.by_use,
            is_second: self.second,
            switched_from: self.switched_from,
        }
    }
}

fn unix_ms<S: serde::Serializer>(
    moment: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    moment.map(Timestamp::unix_ms).serialize(serializer)
}

/// How several secrets stand in a record: as text, by name.
mod secrets {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Name;
    use crate::secret::Secret;

    pub(super) fn serialize<S: Serializer>(
        secrets: &BTreeMap<Name, Secret<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(secrets.iter().map(|(name, secret)| (name, secret.expose())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Name, Secret<String>>, D::Error> {
        let read = BTreeMap::<Name, String>::deserialize(deserializer)?;
        let wrapped = read
            .into_iter()
            .map(|(name, text)| (name, Secret::new(text)));
        Ok(wrapped.collect())
    }
}
