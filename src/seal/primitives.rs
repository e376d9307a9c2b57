//! The primitives, each a thin function titled in notation. The only file that names the crypto
//! crates.
//!
//! It promises: `argon2id[P, S; m, t, p]` (RFC 9106), `hkdf[K, S, info]` (RFC 5869),
//! `hmac[K, M]` (RFC 2104), `sha256[M]`, `xchacha20poly1305[K, N, A](P)`
//! (draft-irtf-cfrg-xchacha, RFC 8439), with nothing of our own in between but the step that
//! makes the latter of its two halves.
//! It never: chooses a key, a nonce that is not random, or a parameter.

use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::memory::wipe_stack;
use super::slot::KdfParams;
use crate::error::{Error, Result};
use crate::limits;
use crate::secret::random;

/// Bytes of an XChaCha20 nonce. Random: 2^80 messages per key before a repeat is likely, and a VM
/// snapshot cannot replay a counter.
pub const NONCE_BYTES: usize = 24;
/// Bytes that sealing adds: nonce and tag.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + 16;

/// `argon2id[passphrase, salt; m, t, p]`, 64 bytes. The parameters were checked on construction.
///
/// # Errors
/// [`Error::Settings`] where the memory cannot be had.
pub fn argon2id(
    passphrase: &[u8],
    salt: &[u8; 16],
    params: KdfParams,
) -> Result<Zeroizing<[u8; 64]>> {
    let cost = argon2::Params::new(
        params.memory_kib(),
        params.passes(),
        params.lanes(),
        Some(64),
    )
    .map_err(|error| Error::Settings(format!("key derivation parameters: {error}")))?;
    // Taken by hand, so that missing memory is an error of ours and not an abort.
    let mut blocks: Vec<argon2::Block> = Vec::new();
    blocks.try_reserve_exact(cost.block_count()).map_err(|_| {
        Error::Settings(format!(
            "unlocking needs {} MiB of memory, which are not free",
            params.memory_kib() / 1024
        ))
    })?;
    blocks.resize(cost.block_count(), argon2::Block::default());
    let mut blocks = Zeroizing::new(blocks);
    let mut out = Zeroizing::new([0; 64]);
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cost)
        .hash_password_into_with_memory(passphrase, salt, out.as_mut_slice(), blocks.as_mut_slice())
        .map_err(|error| Error::Settings(format!("key derivation: {error}")))?;
    Ok(out)
}

/// `hkdf[key, salt, info]` over SHA-256, `N` bytes.
pub fn hkdf<const N: usize>(key: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "RFC 5869 2.3") };
    let mut out = Zeroizing::new([0; N]);
    hkdf::Hkdf::<Sha256>::new(Some(salt), key)
        .expand(info, out.as_mut_slice())
        .expect("N is within RFC 5869's bound");
    out
}

/// `hmac[key, parts]` over SHA-256, each part preceded by its length, so that no two lists of parts
/// make the same message.
pub fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    finish(Hasher::new(key).0, parts)
}

fn finish(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Keyed hashes by one key, many times. What it keeps of the key is as good as the key for this, so
/// that it is for one job and wiped behind it.
pub struct Hasher(Hmac<Sha256>);

impl Hasher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes any key"))
    }

    /// A keyed hash of `parts`.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        finish(self.0.clone(), parts)
    }
}

/// `sha256[parts]`, each part preceded by its length.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// `N || xchacha20poly1305[key, N, associated](plain)` with a fresh random `N`.
pub fn seal(key: &[u8; 32], associated: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_BYTES] = random();
    let sealed = seal_with_nonce(key, &nonce, associated, plain);
    wipe_stack::<{ limits::CIPHER_STACK_BYTES }>();
    sealed
}

/// [`seal`] with a given nonce: for known answers in tests, and for [`seal`].
#[inline(never)]
pub(super) fn seal_with_nonce(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    associated: &[u8],
    plain: &[u8],
) -> Vec<u8> {
    let (cipher, inner) = cipher(key, nonce);
    let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + plain.len());
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(plain);
    let body = &mut sealed[NONCE_BYTES..];
    let tag = cipher
        .seal_in_place_separate_tag(inner, Aad::from(associated), body)
        .expect("a message under 2^38 bytes seals");
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// Opens what [`seal`] made; `None` where anything differs.
pub fn open(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let opened = open_on_stack(key, associated, sealed);
    wipe_stack::<{ limits::CIPHER_STACK_BYTES }>();
    opened
}

// Never inlined, so that its frame lies where the stack is wiped.
#[inline(never)]
fn open_on_stack(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let (cipher, inner) = cipher(key, nonce);
    let mut opened = Zeroizing::new(body.to_vec());
    let length = cipher
        .open_in_place(inner, Aad::from(associated), &mut opened)
        .ok()?
        .len();
    opened.truncate(length);
    Some(opened)
}

/// The two halves of XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha, 2.3): HChaCha20 makes of the key
/// and the first 16 bytes of the nonce a key for this message alone; the rest of the nonce is that
/// of ChaCha20-Poly1305, behind four zeros. The second half is where the time goes, and is another
/// crate's, whose code is several times faster; the tests compare it with one that does both.
fn cipher(key: &[u8; 32], nonce: &[u8; NONCE_BYTES]) -> (LessSafeKey, Nonce) {
    let (first, rest) = nonce.split_first_chunk::<16>().expect("24 bytes");
    let subkey = chacha20::hchacha::<chacha20::R20>(key.into(), first.into());
    let mut inner = [0; 12];
    inner[4..].copy_from_slice(rest);
    let key = UnboundKey::new(&CHACHA20_POLY1305, &subkey).expect("a key has 32 bytes");
    (LessSafeKey::new(key), Nonce::assume_unique_for_key(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect()
    }

    /// draft-irtf-cfrg-xchacha-03, A.3.1.
    #[test]
    fn xchacha20poly1305_gives_the_known_answer() {
        let key: [u8; 32] =
            bytes("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
                .try_into()
                .unwrap();
        let nonce: [u8; 24] = bytes("404142434445464748494a4b4c4d4e4f5051525354555657")
            .try_into()
            .unwrap();
        let associated = bytes("50515253c0c1c2c3c4c5c6c7");
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
                      tip for the future, sunscreen would be it.";
        let sealed = seal_with_nonce(&key, &nonce, &associated, plain);
        assert_eq!(
            &sealed[sealed.len() - 16..],
            bytes("c0875924c1c7987947deafd8780acf49")
        );
        assert_eq!(&sealed[24..32], bytes("bd6d179d3e83d43b"));
        assert_eq!(open(&key, &associated, &sealed).unwrap().as_slice(), plain);
    }

    /// RFC 5869, A.1.
    #[test]
    fn hkdf_gives_the_known_answer() {
        let out: Zeroizing<[u8; 42]> = hkdf(
            &[0x0b; 22],
            &bytes("000102030405060708090a0b0c"),
            &bytes("f0f1f2f3f4f5f6f7f8f9"),
        );
        let wanted = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
                      34007208d5b887185865";
        assert_eq!(out.as_slice(), bytes(wanted));
    }

    #[test]
    fn lists_of_parts_that_join_alike_hash_apart() {
        let key = [1; 32];
        assert_ne!(hmac(&key, &[b"ab", b"c"]), hmac(&key, &[b"a", b"bc"]));
        assert_ne!(sha256(&[b"ab", b"c"]), sha256(&[b"a", b"bc"]));
        assert_ne!(hmac(&key, &[b"", b"a"]), hmac(&key, &[b"a"]));
    }

    /// Goal: the two halves are XChaCha20-Poly1305, bit for bit, whatever the lengths. Method: seal
    /// with both crates, and open what the other sealed.
    #[test]
    fn what_is_sealed_is_what_the_reference_seals() {
        use chacha20poly1305::aead::{Aead, Payload};
        use chacha20poly1305::{XChaCha20Poly1305, XNonce};
        let lengths = (0..300).chain([1023, 1024, 4097, 65_536, 70_001]);
        for length in lengths {
            let (key, nonce) = (random::<32>(), random::<NONCE_BYTES>());
            let msg: Vec<u8> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
            let aad = &msg[..length / 3];
            let reference = XChaCha20Poly1305::new(&key.into());
            let wanted = reference.encrypt(&XNonce::from(nonce), Payload { msg: &msg, aad });
            let sealed = seal_with_nonce(&key, &nonce, aad, &msg);
            assert_eq!(sealed[..NONCE_BYTES], nonce);
            assert_eq!(sealed[NONCE_BYTES..], wanted.unwrap(), "{length} bytes");
            let there = Payload {
                msg: &sealed[NONCE_BYTES..],
                aad,
            };
            let opened = reference.decrypt(&XNonce::from(nonce), there).unwrap();
            assert_eq!(opened, msg, "{length} bytes");
            assert_eq!(*open(&key, aad, &sealed).unwrap(), msg, "{length} bytes");
        }
    }

    #[test]
    fn sealed_bytes_open_whole_or_not_at_all() {
        let key = [7; 32];
        let sealed = seal(&key, b"where", b"what");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(
                open(&key, b"where", &changed).is_none(),
                "byte {at} may be changed"
            );
            assert!(
                open(&key, b"where", &sealed[..at]).is_none(),
                "cut at {at} opens"
            );
        }
        assert!(open(&key, b"elsewhere", &sealed).is_none());
        assert!(open(&[8; 32], b"where", &sealed).is_none());
    }
}
