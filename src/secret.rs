//! Secrets in memory, and the source of chance.
//!
//! It promises: a [`Secret`] cannot be printed, compared with `==` or serialized, and is wiped when
//! dropped. [`Secret::expose`] is its one exit: searching for that word lists every place to audit.
//! It never: copies a secret by itself (a clone is written out as one).

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value nobody should see.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value in. The caller's own copies stay the caller's duty.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Lends the value out, to the one line that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Compares in a time that depends on the lengths alone.
    pub fn equals(&self, other: &[u8]) -> bool {
        self.0.as_ref().ct_eq(other).into()
    }
}

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// Where the system has no random source: nothing safe can be done without one.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random source answers");
    bytes
}

/// A number in `0.0..1.0` for jitter, where predictability harms nobody.
pub fn chance() -> f64 {
    let bits = u64::from_le_bytes(random()) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes as URL-safe base64 without padding.
pub fn base64url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads what [`base64url`] wrote.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_compares_by_content() {
        let secret = Secret::new(String::from("correct horse"));
        assert!(secret.equals(b"correct horse"));
        assert!(!secret.equals(b"correct horsf"));
        assert!(!secret.equals(b""));
    }

    #[test]
    fn chance_stays_between_nothing_and_one() {
        for _ in 0..1000 {
            let sample = chance();
            assert!((0.0..1.0).contains(&sample));
        }
    }
}
