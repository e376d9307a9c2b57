//! Key slots in words: what opens the vault now, and what is to open it.
//!
//! It promises: a secret that comes in is a [`Secret`] from the first line; a recovery code goes
//! out once, in the answer that made it.
//! It never: repeats what was sent.

use serde::{Deserialize, Serialize};

use super::typed;
use crate::error::{Error, Result};
use crate::secret::{Secret, from_base64url};
use crate::vault::{KdfParams, RecoveryCode, Unlocker};

/// What opens the vault now: presented anew with every change of a slot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    #[serde(default, deserialize_with = "typed")]
    current: Option<Secret<String>>,
    #[serde(default, deserialize_with = "typed")]
    current_key_file: Option<Secret<String>>,
}

impl Proof {
    /// What it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] where none, or more than one, was sent.
    pub fn into_unlocker(self) -> Result<Unlocker> {
        match (self.current, self.current_key_file) {
            (Some(typed), None) => Ok(Unlocker::from_typed(typed)),
            (None, Some(file)) => key_file("current_key_file", &file),
            _ => Err(Error::invalid(
                "give what opens the vault now: `current` (a passphrase or the recovery code), or \
                 `current_key_file`",
            )),
        }
    }
}

/// The kinds of slots on the wire.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Passphrase,
    RecoveryCode,
    KeyFile,
}

/// A new slot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotRequest {
    kind: Kind,
    #[serde(default, deserialize_with = "typed")]
    passphrase: Option<Secret<String>>,
    #[serde(default, deserialize_with = "typed")]
    key_file: Option<Secret<String>>,
    #[serde(default)]
    label: String,
    #[serde(default)]
    kdf_memory_mib: Option<u32>,
    #[serde(default, deserialize_with = "typed")]
    current: Option<Secret<String>>,
    #[serde(default, deserialize_with = "typed")]
    current_key_file: Option<Secret<String>>,
}

/// A new slot, checked.
pub struct NewSlot {
    /// What opens the vault now.
    pub current: Unlocker,
    /// What is to open it.
    pub unlocker: Unlocker,
    /// What people call it.
    pub label: String,
    /// The cost of a try, for a passphrase.
    pub kdf: KdfParams,
    /// The recovery code, where one was made.
    pub recovery_code: Option<Secret<String>>,
}

impl SlotRequest {
    /// Checks it, and makes a recovery code where one is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn into_slot(self) -> Result<NewSlot> {
        let proof = Proof {
            current: self.current,
            current_key_file: self.current_key_file,
        };
        let mut recovery_code = None;
        let unlocker = match (self.kind, self.passphrase, self.key_file) {
            (Kind::Passphrase, Some(passphrase), None) => Unlocker::Passphrase(passphrase),
            (Kind::KeyFile, None, Some(file)) => key_file("key_file", &file)?,
            (Kind::RecoveryCode, None, None) => {
                let code = RecoveryCode::generate();
                recovery_code = Some(code.to_text());
                Unlocker::RecoveryCode(code)
            }
            _ => {
                return Err(Error::invalid(
                    "a slot of kind \"passphrase\" takes `passphrase`, one of kind \"key_file\" \
                     takes `key_file`, one of kind \"recovery_code\" neither",
                ));
            }
        };
        Ok(NewSlot {
            current: proof.into_unlocker()?,
            unlocker,
            label: self.label,
            kdf: kdf(self.kdf_memory_mib)?,
            recovery_code,
        })
    }
}

/// A new passphrase.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassphraseRequest {
    #[serde(default, deserialize_with = "typed")]
    passphrase: Option<Secret<String>>,
    #[serde(default)]
    kdf_memory_mib: Option<u32>,
    #[serde(default, deserialize_with = "typed")]
    current: Option<Secret<String>>,
    #[serde(default, deserialize_with = "typed")]
    current_key_file: Option<Secret<String>>,
}

impl PassphraseRequest {
    /// What opens the vault now, the new passphrase, and its cost.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn into_change(self) -> Result<(Unlocker, Secret<String>, KdfParams)> {
        let proof = Proof {
            current: self.current,
            current_key_file: self.current_key_file,
        };
        let passphrase = self
            .passphrase
            .ok_or_else(|| Error::invalid("`passphrase` is missing"))?;
        let kdf = kdf(self.kdf_memory_mib)?;
        Ok((proof.into_unlocker()?, passphrase, kdf))
    }
}

/// A slot that was made.
#[derive(Serialize)]
pub struct MadeSlot<'a> {
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_code: Option<&'a str>,
}

impl<'a> MadeSlot<'a> {
    /// Its number, and the recovery code where one was made, shown this once.
    pub fn of(number: u32, recovery_code: Option<&'a Secret<String>>) -> Self {
        Self {
            number,
            recovery_code: recovery_code.map(|code| code.expose().as_str()),
        }
    }
}

fn kdf(memory_mib: Option<u32>) -> Result<KdfParams> {
    let usual = KdfParams::DEFAULT;
    memory_mib.map_or(Ok(usual), |mib| {
        let memory_kib = mib.saturating_mul(1024);
        KdfParams::new(memory_kib, usual.passes(), usual.lanes()).map_err(wrong)
    })
}

/// The bytes of a key file. Both alphabets of base64 are taken, with padding or without.
fn key_file(field: &'static str, text: &Secret<String>) -> Result<Unlocker> {
    let plain = text.expose().trim_end_matches('=');
    let plain = Secret::new(plain.replace('+', "-").replace('/', "_"));
    let bytes = from_base64url(plain.expose()).map(Secret::new);
    let bytes = bytes
        .ok_or_else(|| Error::invalid(format!("`{field}` is the key file's content in base64")))?;
    Unlocker::key_file(bytes).map_err(wrong)
}

/// What is a setting of the operator's elsewhere is a field of the request here.
fn wrong(error: Error) -> Error {
    Error::Invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &serde_json::Value) -> Result<NewSlot> {
        let body = bytes::Bytes::from(body.to_string());
        crate::http::wire::read::<SlotRequest>(&body)?.into_slot()
    }

    /// Goal: a slot says one kind and brings what belongs to it. Method: each kind with what is
    /// missing, and with what is another's.
    #[test]
    fn a_slot_brings_what_its_kind_takes_and_nothing_else() {
        let file = "A".repeat(44);
        let good = [
            serde_json::json!({"kind": "passphrase", "passphrase": "p", "current": "c"}),
            serde_json::json!({"kind": "key_file", "key_file": file, "current": "c"}),
            serde_json::json!({"kind": "recovery_code", "current_key_file": "+/".repeat(22)}),
        ];
        for body in &good {
            assert!(read(body).is_ok(), "{body}");
        }
        assert!(read(&good[2]).unwrap().recovery_code.is_some());
        for body in [
            serde_json::json!({"kind": "passphrase", "passphrase": "p"}),
            serde_json::json!({"kind": "passphrase", "key_file": file, "current": "c"}),
            serde_json::json!({"kind": "recovery_code", "passphrase": "p", "current": "c"}),
            serde_json::json!({"kind": "key_file", "key_file": "AAAA", "current": "c"}),
            serde_json::json!({"kind": "key_file", "key_file": "not base64!", "current": "c"}),
            serde_json::json!({"kind": "key_file", "key_file": file, "current": "c",
                "current_key_file": file}),
            serde_json::json!({"kind": "console", "current": "c"}),
            serde_json::json!({"kind": "passphrase", "passphrase": "p", "current": "c",
                "kdf_memory_mib": 1}),
        ] {
            let refused = read(&body).err();
            assert!(
                matches!(refused, Some(Error::Invalid(_))),
                "{body}: {refused:?}"
            );
        }
    }
}
