//! Records as they are written: one version byte, then JSON, sealed.
//!
//! It promises: what this version wrote, every later version reads (golden files hold it to that);
//! a record written by a later version is refused, not half understood.
//! It never: lets a secret out otherwise than into bytes that are sealed next and wiped after.

mod beside;

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use self::beside::BesideRow;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::model::token::{Cold, HistoryEntry, Record, RefreshError, TokenKind, TokenState};
use crate::model::{Account, Address, AppId, Owner, Scopes, TokenId};
use crate::secret::Secret;

/// What is written. In 1 the lines of a history had the names of their fields, in 2 still the hot
/// part of a token; up to 3 nothing was kept beside a credential.
const FORMAT: u8 = 4;
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

/// The hot part of a token. Written in this order and without the names of its fields: every fetch
/// reads it, and the names took a third of that. Read with names as well, as first written. The
/// order is for ever: what is new goes behind the last and has a default.
#[derive(Deserialize)]
pub(super) struct HotRow {
    id: TokenId,
    app: AppId,
    owner: Owner,
    #[serde(default)]
    account: Option<Account>,
    scopes: Scopes,
    kind: TokenKind,
    #[serde(deserialize_with = "secret_text::deserialize")]
    value: Option<Secret<String>>,
    token_type: String,
    #[serde(default, deserialize_with = "unix_ms_or_none")]
    expires_ms: Option<Timestamp>,
    #[serde(default)]
    lifetime_s: Option<u64>,
    granted: Scopes,
    #[serde(default)]
    subject: Option<String>,
    has_refresh_token: bool,
    state: TokenState,
    #[serde(deserialize_with = "unix_ms::deserialize")]
    created_ms: Timestamp,
    #[serde(deserialize_with = "unix_ms::deserialize")]
    obtained_ms: Timestamp,
    #[serde(default, deserialize_with = "unix_ms_or_none")]
    refreshed_ms: Option<Timestamp>,
    #[serde(default)]
    refresh_error: Option<RefreshError>,
    #[serde(default)]
    failures: u32,
    #[serde(default, deserialize_with = "unix_ms_or_none")]
    not_before_ms: Option<Timestamp>,
    /// When it falls due, so that its entry in `due` can be found again.
    #[serde(default, deserialize_with = "unix_ms_or_none")]
    due_ms: Option<Timestamp>,
    granted_by: String,
    #[serde(default)]
    beside: Option<BesideRow>,
}

/// How many fields a hot part has.
const HOT_FIELDS: usize = 23;

impl Serialize for HotRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let ms = |moment: Option<Timestamp>| moment.map(Timestamp::unix_ms);
        let value = self.value.as_ref().map(|value| value.expose().as_str());
        let mut row = serializer.serialize_tuple(HOT_FIELDS)?;
        row.serialize_element(&self.id)?;
        row.serialize_element(&self.app)?;
        row.serialize_element(&self.owner)?;
        row.serialize_element(&self.account)?;
        row.serialize_element(&self.scopes)?;
        row.serialize_element(&self.kind)?;
        row.serialize_element(&value)?;
        row.serialize_element(&self.token_type)?;
        row.serialize_element(&ms(self.expires_ms))?;
        row.serialize_element(&self.lifetime_s)?;
        row.serialize_element(&self.granted)?;
        row.serialize_element(&self.subject)?;
        row.serialize_element(&self.has_refresh_token)?;
        row.serialize_element(&self.state)?;
        row.serialize_element(&self.created_ms.unix_ms())?;
        row.serialize_element(&self.obtained_ms.unix_ms())?;
        row.serialize_element(&ms(self.refreshed_ms))?;
        row.serialize_element(&self.refresh_error)?;
        row.serialize_element(&self.failures)?;
        row.serialize_element(&ms(self.not_before_ms))?;
        row.serialize_element(&ms(self.due_ms))?;
        row.serialize_element(&self.granted_by)?;
        row.serialize_element(&self.beside)?;
        row.end()
    }
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
            beside: BesideRow::new(&record.beside),
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
            beside: self.beside.map(BesideRow::into_beside).unwrap_or_default(),
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
fn unix_ms_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Timestamp>, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.map(Timestamp::from_unix_ms))
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

    /// Goal: a hot part is read as it is written, and as it was written first, whatever of it is
    /// absent. Method: a row of each kind, written; the same with names, as format 2 wrote it.
    #[test]
    fn a_hot_part_is_read_in_both_forms() {
        let full = r#"["tok_000102030405060708090a0b0c0d0e0f","calendar",{"tenant":"acme","user":"ann"},"work",["a"],"oauth","at-1","Bearer",1800000003600,3600,["a","b"],"sub",true,"active",1800000000000,1800000000001,1800000000002,{"code":"invalid_client","description":"no","at":"2027-01-15T08:00:00.003Z"},2,1800000000004,1800000000005,"key",{"label":"ann@example.com","metadata":{"instance_url":"https://a.example"},"secrets":{"webhook.url":"https://hook"},"refresh_token_ends_ms":1800000000006,"by_use":true,"second":true,"switched_from":"bob"}]"#;
        let names = [
            "id",
            "app",
            "owner",
            "account",
            "scopes",
            "kind",
            "value",
            "token_type",
            "expires_ms",
            "lifetime_s",
            "granted",
            "subject",
            "has_refresh_token",
            "state",
            "created_ms",
            "obtained_ms",
            "refreshed_ms",
            "refresh_error",
            "failures",
            "not_before_ms",
            "due_ms",
            "granted_by",
            "beside",
        ];
        let mut fields: Vec<serde_json::Value> = serde_json::from_str(full).unwrap();
        assert_eq!((names.len(), fields.len()), (HOT_FIELDS, HOT_FIELDS));
        let may_lack = [3, 8, 9, 11, 16, 17, 19, 20, 22];
        for lacks in [false, true] {
            if lacks {
                for at in may_lack {
                    fields[at] = serde_json::Value::Null;
                }
            }
            let written = serde_json::to_string(&fields).unwrap();
            let mut named = serde_json::Map::new();
            for (name, field) in names.iter().zip(&fields) {
                if !field.is_null() {
                    named.insert((*name).to_owned(), field.clone());
                }
            }
            let first = serde_json::to_string(&named).unwrap();
            for (format, text) in [(4, &written), (2, &first), (1, &first)] {
                let bytes = [&[format], text.as_bytes()].concat();
                let (record, due) = decode::<HotRow>(&bytes).unwrap().into_record();
                let again = encode(&HotRow::new(&record, due));
                assert_eq!(again[0], FORMAT);
                let text = str::from_utf8(&again[1..]).unwrap();
                let read: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
                assert_eq!(read, fields);
                assert!(lacks || text == full, "{text}");
            }
        }
    }
}
