//! The project id: what clients that speak of projects call this vault.
//!
//! ```text
//! id := "P" and 27 digits to the base 62 of SHA-256 of "strongroom 1 project" and
//!       the vault's id, length-prefixed; the least significant digit first
//! ```
//! Made of the vault's id, which is random, it needs no place in the file: a vault of any version
//! has one, and keeps it through a backup, a restore and a rotation.
//!
//! It promises: the same vault, the same id; 160 of its bits are as good as random.
//! It never: opens anything. It is a name, and no secret.

use std::sync::Arc;

use super::Vault;
use crate::error::Result;
use crate::seal::digest;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DIGITS_SHOWN: usize = 27;

impl Vault {
    /// The project id.
    ///
    /// # Errors
    /// [`crate::error::Error::Locked`]: until then nobody vouches for the header.
    pub fn project_id(&self) -> Result<Arc<str>> {
        self.gate().project_id()
    }
}

/// The project id of the vault of this id.
pub(super) fn of(vault_id: &[u8; 16]) -> String {
    let mut number = digest(&[b"strongroom 1 project", vault_id]);
    let digit = |_| char::from(DIGITS[divide(&mut number)]);
    let digits: String = (0..DIGITS_SHOWN).map(digit).collect();
    format!("P{digits}")
}

/// Divides a number, most significant byte first, by the base; the remainder comes back.
fn divide(number: &mut [u8; 32]) -> usize {
    let mut rest = 0;
    for byte in number {
        let dividend = rest * 256 + usize::from(*byte);
        *byte = u8::try_from(dividend / DIGITS.len()).expect("the rest is less than the base");
        rest = dividend % DIGITS.len();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an id that was given out holds for ever. Method: two vault ids and what came of them.
    #[test]
    fn a_project_id_is_the_vaults_for_ever() {
        assert_eq!(of(&[0; 16]), "P1TCMKmqAl4jIMoXY9sldoWUR1Q1");
        assert_ne!(of(&[0; 16]), of(&[1; 16]));
        for id in [of(&[0; 16]), of(&[1; 16]), of(&[255; 16])] {
            let digits = id.strip_prefix('P').unwrap();
            assert_eq!(digits.len(), DIGITS_SHOWN);
            assert!(digits.bytes().all(|digit| digit.is_ascii_alphanumeric()));
        }
    }
}
