//! The bounds of sealing, of key slots and of what people type to unlock.
//!
//! It promises: what a header may ask for is checked against these before any memory is taken.
//! It never: loosens for an old file.

/// Argon2id memory of a new passphrase slot, in KiB (256 MiB: 0.5 to 1.2 s on a small machine).
pub const KDF_MEMORY_KIB_DEFAULT: u32 = 256 * 1024;
/// Least Argon2id memory of any slot, in KiB (RFC 9106's second recommendation).
pub const KDF_MEMORY_KIB_MIN: u32 = 64 * 1024;
/// Most Argon2id memory a header may ask for, in KiB: checked before any memory is taken.
pub const KDF_MEMORY_KIB_MAX: u32 = 4 * 1024 * 1024;
/// Passes of a new passphrase slot, and the fewest of any slot.
pub const KDF_PASSES_MIN: u32 = 3;
/// Most passes a header may ask for.
pub const KDF_PASSES_MAX: u32 = 64;
/// Most lanes a header may ask for. New slots use one: more bring nothing on two cores.
pub const KDF_LANES_MAX: u32 = 16;
/// Most work a header may ask for, in KiB times passes: about a minute on a small machine.
pub const KDF_WORK_KIB_PASSES_MAX: u64 = 16 * 1024 * 1024;
/// Most key slots. Each wrong passphrase costs one derivation per passphrase slot.
pub const KEY_SLOTS_MAX: usize = 8;
/// Most key terms at one time (two while records are being resealed, a few after a crash).
pub const KEY_TERMS_MAX: usize = 8;
/// Longest vault header, in bytes.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Shortest passphrase, in characters. The strength estimate below does the real work.
pub const PASSPHRASE_CHARS_MIN: usize = 10;
/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 4096;
/// Least strength of a passphrase, zxcvbn's scale from 0 to 4.
pub const PASSPHRASE_SCORE_MIN: u8 = 3;
/// Shortest key file, in bytes: less is not 256 bits of chance.
pub const KEY_FILE_BYTES_MIN: usize = 32;
/// Longest key file, in bytes.
pub const KEY_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Stack that is wiped after a cipher, in bytes. It keeps key, stream and plain text of a few
/// blocks there; this is some more. Wiping it costs less than a tenth of opening a record.
pub const CIPHER_STACK_BYTES: usize = 8 * 1024;
/// Tries to store a header that was prepared from one a rotation has changed meanwhile: it changes
/// the header twice in all.
pub const HEADER_TRIES_MAX: u32 = 3;
/// Longest sealed record, in bytes: three credentials of the longest kind and room for words.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;
