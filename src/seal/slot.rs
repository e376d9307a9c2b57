//! Key slots: ways to the root key, each one wrapping of it (as in LUKS).
//!
//! ```text
//! slot := number:u32 kind:u8 created_ms:u64 label:(u8 length, UTF-8)
//!         memory_kib:u32 passes:u32 lanes:u32        all zero where the secret has 256 bits
//!         salt:16 check:32 wrapped:(24 nonce, 32 root key, 16 tag)
//! ```
//!
//! It promises: parameters outside floor and cap are refused before any memory is taken; a slot's
//! every field is bound into its wrapping; each slot commits to its own key, so that one guess
//! tests one passphrase and no more (T7).
//! It never: says which slot a wrong secret came close to.

use zeroize::Zeroizing;

use super::primitives;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::secret::{Secret, random};

/// Argon2id's cost: memory, passes, lanes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KdfParams {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfParams {
    /// The cost of new slots, unless said otherwise.
    pub const DEFAULT: Self = Self {
        memory_kib: limits::KDF_MEMORY_KIB_DEFAULT,
        passes: limits::KDF_PASSES_MIN,
        lanes: 1,
    };
    /// The least cost allowed: for tests and very small machines.
    pub const FLOOR: Self = Self {
        memory_kib: limits::KDF_MEMORY_KIB_MIN,
        passes: limits::KDF_PASSES_MIN,
        lanes: 1,
    };

    /// Checks a cost, chosen or read from a file, against floor and cap.
    ///
    /// # Errors
    /// [`Error::Settings`] naming the bound. No memory has been taken by then.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self> {
        let within = (limits::KDF_MEMORY_KIB_MIN..=limits::KDF_MEMORY_KIB_MAX)
            .contains(&memory_kib)
            && (limits::KDF_PASSES_MIN..=limits::KDF_PASSES_MAX).contains(&passes)
            && (1..=limits::KDF_LANES_MAX).contains(&lanes)
            && u64::from(memory_kib) * u64::from(passes) <= limits::KDF_WORK_KIB_PASSES_MAX;
        if within {
            Ok(Self {
                memory_kib,
                passes,
                lanes,
            })
        } else {
            Err(Error::Settings(format!(
                "key derivation with {} MiB, {passes} passes and {lanes} lanes is outside the \
                 bounds: {} MiB to {} MiB, from {} passes, at most {} MiB times passes",
                memory_kib / 1024,
                limits::KDF_MEMORY_KIB_MIN / 1024,
                limits::KDF_MEMORY_KIB_MAX / 1024,
                limits::KDF_PASSES_MIN,
                limits::KDF_WORK_KIB_PASSES_MAX / 1024,
            )))
        }
    }

    /// Memory, in KiB.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    pub fn lanes(self) -> u32 {
        self.lanes
    }
}

/// What opens a vault.
pub enum Unlocker {
    /// Something a person remembers.
    Passphrase(Secret<String>),
    /// What `init` printed once.
    RecoveryCode(RecoveryCode),
    /// A file of chance, such as a systemd credential.
    KeyFile(Secret<Vec<u8>>),
}

impl Unlocker {
    /// Reads what a person typed: a recovery code looks like nothing a person chooses.
    pub fn from_typed(text: Secret<String>) -> Self {
        match RecoveryCode::parse(text.expose()) {
            Some(code) => Self::RecoveryCode(code),
            None => Self::Passphrase(text),
        }
    }

    /// Takes the bytes of a key file.
    ///
    /// # Errors
    /// [`Error::Settings`] where it is too short to hold 256 bits of chance, or too long.
    pub fn key_file(bytes: Secret<Vec<u8>>) -> Result<Self> {
        let fits = limits::KEY_FILE_BYTES_MIN..=limits::KEY_FILE_BYTES_MAX;
        if fits.contains(&bytes.expose().len()) {
            Ok(Self::KeyFile(bytes))
        } else {
            Err(Error::Settings(format!(
                "a key file has {} bytes to 1 MiB of random data; make one with \
                 `head -c 32 /dev/urandom`",
                limits::KEY_FILE_BYTES_MIN
            )))
        }
    }

    /// Which kind of slot it opens.
    pub fn kind(&self) -> SlotKind {
        match self {
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::RecoveryCode(_) => SlotKind::Recovery,
            Self::KeyFile(_) => SlotKind::KeyFile,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Passphrase(text) => text.expose().as_bytes(),
            Self::RecoveryCode(code) => code.0.expose(),
            Self::KeyFile(bytes) => bytes.expose(),
        }
    }
}

/// 256 bits in 13 groups of four letters and digits, after `SR`: `SR-1A2B-...`.
pub struct RecoveryCode(Secret<[u8; 32]>);

/// Crockford's alphabet: no I, L, O, U, which hands and eyes mix up.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl RecoveryCode {
    /// A new code.
    pub fn generate() -> Self {
        Self(Secret::new(random()))
    }

    /// The code as printed once.
    pub fn to_text(&self) -> Secret<String> {
        let mut text = String::with_capacity(67);
        text.push_str("SR");
        let (mut held, mut bits) = (0_u32, 0_u32);
        let mut digits = 0;
        for byte in self.0.expose().iter().chain(std::iter::once(&0)) {
            held = (held << 8) | u32::from(*byte);
            bits += 8;
            while bits >= 5 && digits < 52 {
                bits -= 5;
                if digits % 4 == 0 {
                    text.push('-');
                }
                text.push(char::from(ALPHABET[((held >> bits) & 31) as usize]));
                digits += 1;
            }
        }
        Secret::new(text)
    }

    /// Reads a typed code, whatever its case, dashes and spaces.
    pub fn parse(text: &str) -> Option<Self> {
        let plain: Zeroizing<String> = Zeroizing::new(
            text.chars()
                .filter(|c| !c.is_whitespace() && *c != '-')
                .map(|c| match c.to_ascii_uppercase() {
                    'O' => '0',
                    'I' | 'L' => '1',
                    other => other,
                })
                .collect(),
        );
        let digits = plain
            .strip_prefix("SR")
            .filter(|digits| digits.len() == 52)?;
        let mut out = Zeroizing::new([0_u8; 33]);
        for (at, digit) in digits.bytes().enumerate() {
            let value = ALPHABET.iter().position(|&letter| letter == digit)? as u16;
            let bit = at * 5;
            let placed = value << (11 - bit % 8);
            out[bit / 8] |= (placed >> 8) as u8;
            if let Some(next) = out.get_mut(bit / 8 + 1) {
                *next |= placed as u8;
            }
        }
        // 52 digits hold 260 bits; a code has zeros in the last four.
        if out[32] != 0 {
            return None;
        }
        out.first_chunk::<32>().map(|code| Self(Secret::new(*code)))
    }
}

/// The kinds of slots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlotKind {
    /// Opened by a passphrase.
    Passphrase = 1,
    /// Opened by the recovery code.
    Recovery = 2,
    /// Opened by a key file.
    KeyFile = 3,
}

impl SlotKind {
    /// The word people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery code",
            Self::KeyFile => "key file",
        }
    }
}

/// One wrapping of the root key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Slot {
    /// Names it; never used again after removal.
    pub number: u32,
    /// What opens it.
    pub kind: SlotKind,
    /// When it was made.
    pub created_at: Timestamp,
    /// What people call it.
    pub label: String,
    /// The cost of a try, for passphrases.
    pub kdf: Option<KdfParams>,
    pub(super) salt: [u8; 16],
    pub(super) check: [u8; 32],
    pub(super) wrapped: Vec<u8>,
}

/// Bytes of a wrapped root key.
pub(super) const WRAPPED_BYTES: usize = 32 + primitives::OVERHEAD_BYTES;

impl Slot {
    /// Wraps `root` for `unlocker`.
    ///
    /// # Errors
    /// [`Error::Settings`] where the derivation cannot be done.
    pub(super) fn wrap(
        new: NewSlot<'_>,
        vault_id: &[u8; 16],
        root: &[u8; 32],
        now: Timestamp,
    ) -> Result<Self> {
        let kind = new.unlocker.kind();
        let mut slot = Self {
            number: new.number,
            kind,
            created_at: now,
            label: new.label.to_owned(),
            kdf: (kind == SlotKind::Passphrase).then_some(new.kdf),
            salt: random(),
            check: [0; 32],
            wrapped: Vec::new(),
        };
        let derived = slot.derive(new.unlocker)?;
        let (check, key) = derived.split_at(32);
        slot.check.copy_from_slice(check);
        let key: &[u8; 32] = key.try_into().expect("64 less 32");
        slot.wrapped = primitives::seal(key, &slot.associated(vault_id), root);
        Ok(slot)
    }

    /// Tries to unwrap the root key; `None` where the secret is another or anything was changed.
    ///
    /// # Errors
    /// [`Error::Settings`] where the derivation cannot be done for want of memory.
    pub(super) fn unwrap(
        &self,
        unlocker: &Unlocker,
        vault_id: &[u8; 16],
    ) -> Result<Option<Zeroizing<[u8; 32]>>> {
        let derived = self.derive(unlocker)?;
        let (check, key) = derived.split_at(32);
        if !Secret::new(self.check).equals(check) {
            return Ok(None);
        }
        let key: &[u8; 32] = key.try_into().expect("64 less 32");
        let Some(root) = primitives::open(key, &self.associated(vault_id), &self.wrapped) else {
            return Ok(None);
        };
        Ok(root.as_slice().try_into().ok().map(Zeroizing::new))
    }

    fn derive(&self, unlocker: &Unlocker) -> Result<Zeroizing<[u8; 64]>> {
        match self.kdf {
            Some(params) => primitives::argon2id(unlocker.bytes(), &self.salt, params),
            // 256 bits of chance cannot be guessed, so they need no slow derivation.
            None => Ok(primitives::hkdf(
                unlocker.bytes(),
                &self.salt,
                b"strongroom 1 slot",
            )),
        }
    }

    fn associated(&self, vault_id: &[u8; 16]) -> Vec<u8> {
        let mut bytes = b"strongroom 1 slot".to_vec();
        bytes.extend_from_slice(vault_id);
        self.write_description(&mut bytes);
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.check);
        bytes
    }

    pub(super) fn write_description(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.created_at.unix_ms().to_le_bytes());
        out.push(u8::try_from(self.label.len()).expect("a label has at most 64 bytes"));
        out.extend_from_slice(self.label.as_bytes());
        let (memory_kib, passes, lanes) = self
            .kdf
            .map_or((0, 0, 0), |kdf| (kdf.memory_kib, kdf.passes, kdf.lanes));
        for number in [memory_kib, passes, lanes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// What a new slot is made of.
pub(super) struct NewSlot<'a> {
    pub(super) number: u32,
    pub(super) unlocker: &'a Unlocker,
    pub(super) label: &'a str,
    pub(super) kdf: KdfParams,
}

/// Refuses a passphrase that is guessed too soon.
///
/// # Errors
/// [`Error::Invalid`] with the reason and what would help.
pub fn check_passphrase(passphrase: &Secret<String>) -> Result<()> {
    let text = passphrase.expose();
    if text.chars().count() < limits::PASSPHRASE_CHARS_MIN {
        return Err(Error::invalid(format!(
            "a passphrase has at least {} characters",
            limits::PASSPHRASE_CHARS_MIN
        )));
    }
    if text.len() > limits::PASSPHRASE_BYTES_MAX {
        return Err(Error::invalid("a passphrase has at most 4096 bytes"));
    }
    if RecoveryCode::parse(text).is_some() {
        // It would be taken for one when it is typed, and open nothing.
        return Err(Error::invalid(
            "this has the shape of a recovery code; take something else",
        ));
    }
    let estimate = zxcvbn::zxcvbn(text, &["strongroom"]);
    if u8::from(estimate.score()) < limits::PASSPHRASE_SCORE_MIN {
        let warning = estimate
            .feedback()
            .and_then(|feedback| feedback.warning())
            .map(|warning| format!(": {}", warning.to_string().trim_end_matches('.')))
            .unwrap_or_default();
        return Err(Error::invalid(format!(
            "this passphrase is too easy to guess{warning}; four or more random words are strong"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_read_as_it_is_printed_and_as_people_type_it() {
        for _ in 0..200 {
            let code = RecoveryCode::generate();
            let text = code.to_text();
            assert_eq!(text.expose().len(), 2 + 13 * 5);
            let again = RecoveryCode::parse(text.expose()).unwrap();
            assert!(again.0.equals(code.0.expose()));
            let typed = text
                .expose()
                .to_lowercase()
                .replace('-', " ")
                .replace('0', "o");
            assert!(
                RecoveryCode::parse(&typed)
                    .unwrap()
                    .0
                    .equals(code.0.expose())
            );
        }
        assert!(RecoveryCode::parse("correct horse battery staple").is_none());
        assert!(RecoveryCode::parse(&format!("SR{}", "Z".repeat(52))).is_none());
    }

    #[test]
    fn costs_outside_floor_and_cap_are_refused() {
        let mib = 1024;
        for (memory, passes, lanes) in [
            (63 * mib, 3, 1),
            (64 * mib, 2, 1),
            (64 * mib, 3, 0),
            (64 * mib, 3, 17),
            (4097 * mib, 3, 1),
            (4096 * mib, 5, 1),
            (64 * mib, 65, 1),
            (0, 0, 0),
            (u32::MAX, u32::MAX, u32::MAX),
        ] {
            assert!(
                KdfParams::new(memory, passes, lanes).is_err(),
                "{memory} {passes} {lanes}"
            );
        }
        assert!(KdfParams::new(4096 * mib, 4, 1).is_ok());
    }

    #[test]
    fn weak_passphrases_are_refused_and_strong_ones_taken() {
        for weak in ["", "short", "passwordpassword", "1234567890", "strongroom1"] {
            assert!(
                check_passphrase(&Secret::new(weak.into())).is_err(),
                "{weak:?} was taken"
            );
        }
        let strong = Secret::new(String::from("violet harbour mumbles often"));
        assert!(check_passphrase(&strong).is_ok());
        let code = RecoveryCode::generate().to_text();
        assert!(check_passphrase(&code).is_err(), "it would be misread");
    }
}
