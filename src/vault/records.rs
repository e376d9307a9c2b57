//! Records as they are written: one version byte, then JSON, sealed.
//!
//! It promises: what this version wrote, every later version reads (golden files hold it to that);
//! a record written by a later version is refused, not half understood.
//! It never: lets a secret out otherwise than into bytes that are sealed next and wiped after.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::token::{Cold, HistoryEntry, Record, RefreshError, TokenKind, TokenState};
use crate::model::{Account, Address, AppId, Owner, Scopes, TokenId};
use crate::secret::Secret;

/// What is written. In 1 the lines of a history had the names of their fields.
const FORMAT: u8 = 2;
/// What is read.
const FORMATS: RangeInclusive<u8> = 1..=FORMAT;
/// Room taken at first, so that a usual record is not copied while it grows: a copy left behind
/// would not be wiped.
const CAPACITY: usize = 16 * 1024;

/// Writes a part of a record.
pub(super) fn encode(part: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(CAPACITY));
    bytes.push(FORMAT);
    serde_json::to_writer(&mut *bytes, part).expect("plain data, written to memory");
    bytes
}

/// Reads a part of a record.
///
/// # Errors
/// [`Error::TooNew`] for a later format, [`Error::Damaged`] for what cannot be read.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((format, json)) if FORMATS.contains(format) => serde_json::from_slice(json)
            .map_err(|_| Error::Damaged("a record opens but cannot be read".into())),
        Some((&format, _)) if format > FORMAT => Err(Error::TooNew(format!(
            "a record has format {format}; this program knows {FORMAT}"
        ))),
        _ => Err(Error::Damaged(
            "a record opens but is empty or of no known format".into(),
        )),
    }
}

/// How a secret stands in a record: as text.
pub(super) mod secret_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::secret::Secret;

    pub(in crate::vault) fn serialize<S: Serializer>(
        secret: &Option<Secret<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret
            .as_ref()
            .map(|secret| secret.expose().as_str())
            .serialize(serializer)
    }

    pub(in crate::vault) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret<String>>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

/// The hot part of a token, as written.
#[derive(Serialize, Deserialize)]
pub(super) struct HotRow {
    id: TokenId,
    app: AppId,
    owner: Owner,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
    scopes: Scopes,
    kind: TokenKind,
    #[serde(with = "secret_text")]
    value: Option<Secret<String>>,
    token_type: String,
    #[serde(
        default,
        with = "unix_ms_option",
        skip_serializing_if = "Option::is_none"
    )]
    expires_ms: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime_s: Option<u64>,
    granted: Scopes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    has_refresh_token: bool,
    state: TokenState,
    #[serde(with = "unix_ms")]
    created_ms: Timestamp,
    #[serde(with = "unix_ms")]
    obtained_ms: Timestamp,
    #[serde(
        default,
        with = "unix_ms_option",
        skip_serializing_if = "Option::is_none"
    )]
    refreshed_ms: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_error: Option<RefreshError>,
    #[serde(default)]
    failures: u32,
    #[serde(
        default,
        with = "unix_ms_option",
        skip_serializing_if = "Option::is_none"
    )]
    not_before_ms: Option<Timestamp>,
    /// When it falls due, so that its entry in `due` can be found again.
    #[serde(
        default,
        with = "unix_ms_option",
        skip_serializing_if = "Option::is_none"
    )]
    due_ms: Option<Timestamp>,
    granted_by: String,
}

impl HotRow {
    pub(super) fn new(record: &Record, due: Option<Timestamp>) -> Self {
        Self {
            id: record.id,
            app: record.address.app.clone(),
            owner: record.address.owner.clone(),
            account: record.address.account.clone(),
            scopes: record.address.scopes.clone(),
            kind: record.kind,
            value: record.value.clone(),
            token_type: record.token_type.clone(),
            expires_ms: record.expires_at,
            lifetime_s: record.lifetime_s,
            granted: record.granted.clone(),
            subject: record.subject.clone(),
            has_refresh_token: record.has_refresh_token,
            state: record.state,
            created_ms: record.created_at,
            obtained_ms: record.obtained_at,
            refreshed_ms: record.last_refreshed_at,
            refresh_error: record.last_refresh_error.clone(),
            failures: record.failures,
            not_before_ms: record.not_before,
            due_ms: due,
            granted_by: record.granted_by.clone(),
        }
    }

    /// The record and the moment it falls due.
    pub(super) fn into_record(self) -> (Record, Option<Timestamp>) {
        let due = self.due_ms;
        let record = Record {
            id: self.id,
            address: Address {
                app: self.app,
                owner: self.owner,
                account: self.account,
                scopes: self.scopes,
            },
            kind: self.kind,
            value: self.value,
            token_type: self.token_type,
            expires_at: self.expires_ms,
            lifetime_s: self.lifetime_s,
            granted: self.granted,
            subject: self.subject,
            has_refresh_token: self.has_refresh_token,
            state: self.state,
            created_at: self.created_ms,
            obtained_at: self.obtained_ms,
            last_refreshed_at: self.refreshed_ms,
            last_refresh_error: self.refresh_error,
            failures: self.failures,
            not_before: self.not_before_ms,
            granted_by: self.granted_by,
        };
        (record, due)
    }
}

/// The cold part of a token, as written.
#[derive(Serialize, Deserialize)]
pub(super) struct ColdRow {
    #[serde(default, with = "secret_text")]
    refresh_token: Option<Secret<String>>,
    #[serde(default, with = "secret_text")]
    id_token: Option<Secret<String>>,
    #[serde(default)]
    history: Vec<HistoryRow>,
}

/// A line of history, as written: `[milliseconds, what, by]`. A record has twenty of them before
/// long, and with the names of their fields they were longer than the rest of it. Read with names
/// and a time in text as well, as first written.
#[derive(Deserialize)]
struct HistoryRow {
    at: Moment,
    what: String,
    by: String,
}

/// A moment in either form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    #[serde(with = "unix_ms")]
    UnixMs(Timestamp),
    Text(Timestamp),
}

impl Serialize for HistoryRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        (self.at.moment().unix_ms(), &self.what, &self.by).serialize(serializer)
    }
}

impl Moment {
    fn moment(&self) -> Timestamp {
        match self {
            Self::UnixMs(moment) | Self::Text(moment) => *moment,
        }
    }
}

impl From<&HistoryEntry> for HistoryRow {
    fn from(entry: &HistoryEntry) -> Self {
        Self {
            at: Moment::UnixMs(entry.at),
            what: entry.what.clone(),
            by: entry.by.clone(),
        }
    }
}

impl From<HistoryRow> for HistoryEntry {
    fn from(row: HistoryRow) -> Self {
        Self {
            at: row.at.moment(),
            what: row.what,
            by: row.by,
        }
    }
}

impl ColdRow {
    pub(super) fn new(cold: &Cold) -> Self {
        Self {
            refresh_token: cold.refresh_token.clone(),
            id_token: cold.id_token.clone(),
            history: cold.history.iter().map(HistoryRow::from).collect(),
        }
    }

    pub(super) fn into_cold(self) -> Cold {
        Cold {
            refresh_token: self.refresh_token,
            id_token: self.id_token,
            history: self.history.into_iter().map(HistoryEntry::from).collect(),
        }
    }
}

/// One secret as a part of its own: a client secret, a PKCE verifier.
#[derive(Serialize, Deserialize)]
pub(super) struct SecretRow {
    #[serde(default, with = "secret_text")]
    pub(super) secret: Option<Secret<String>>,
}

/// A refresh that has begun, committed before the provider is called.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Intent {
    /// The record version it was planned on.
    pub(super) version: u64,
    /// Hash of the refresh token that is about to be spent, as hexadecimal digits.
    pub(super) spent: String,
    /// When it began.
    #[serde(with = "unix_ms")]
    pub(super) at: Timestamp,
    /// Counts the sends of this refresh token.
    pub(super) attempt: u32,
}

/// Milliseconds since the epoch: read faster than text, on the hot path.
pub(super) mod unix_ms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::clock::Timestamp;

    pub(in crate::vault) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.unix_ms().serialize(serializer)
    }

    pub(in crate::vault) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        u64::deserialize(deserializer).map(Timestamp::from_unix_ms)
    }
}

/// [`unix_ms`], or nothing.
pub(super) mod unix_ms_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::clock::Timestamp;

    pub(in crate::vault) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::unix_ms).serialize(serializer)
    }

    pub(in crate::vault) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Timestamp::from_unix_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a history is read as it is written, and as it was written first. Method: one line in
    /// both forms.
    #[test]
    fn a_history_is_read_in_both_forms() {
        let entry = HistoryEntry {
            at: Timestamp::parse("2026-01-31T12:00:00.123Z").unwrap(),
            what: "refreshed".into(),
            by: "scheduler".into(),
        };
        let cold = Cold {
            history: vec![entry.clone()],
            ..Cold::default()
        };
        let now = encode(&ColdRow::new(&cold));
        let text = str::from_utf8(&now[1..]).unwrap();
        let short = r#"[1769860800123,"refreshed","scheduler"]"#;
        assert!(text.contains(short), "{text}");
        let names = serde_json::to_string(&entry).unwrap();
        let first = [&[1], text.replace(short, &names).as_bytes()].concat();
        for bytes in [now.as_slice(), &first] {
            let read = decode::<ColdRow>(bytes).unwrap().into_cold();
            assert_eq!(read.history, cold.history);
        }
    }
}
