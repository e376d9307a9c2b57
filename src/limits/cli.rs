//! The bounds of the command line.
//!
//! It promises: a wait for a server, what is read of one, and what one takes of the system to
//! start, has a bound here.
//! It never: is shorter than what the server allows itself.

use std::time::Duration;

use super::{BODY_BYTES_MAX, LINK_LIFE_MAX, REQUEST_TIMEOUT, UPLOAD_BODY_BYTES_MAX};

/// The command line's longest wait for a connection to the server, which is mostly this machine.
pub const CLIENT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The command line's longest wait for a whole answer: a little more than the server allows itself.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(100);
/// Longest answer of the server that the command line reads, in bytes: 4096 apps with all fields.
pub const CLIENT_ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Pause between two polls of a connect link, so that a server that does not wait is not flooded.
pub const CLIENT_POLL_PAUSE: Duration = Duration::from_millis(500);
/// Polls of a connect link that may fail in a row: a restart of the server takes less.
pub const CLIENT_POLL_FAILURES_MAX: u32 = 20;
/// Longest wait for the end of a connect link: its life and what the clocks may differ by.
pub const CLIENT_CONNECT_WAIT_MAX: Duration = Duration::from_secs(3600 + 300);
/// Pause between two looks at the audit trail while following it. Each look is itself on record.
pub const CLIENT_FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Pause between two looks at a backup that the server writes.
pub const CLIENT_BACKUP_POLL_EVERY: Duration = Duration::from_millis(250);
/// Longest wait for a backup that the server writes: a million records to a slow disk take minutes.
pub const CLIENT_BACKUP_WAIT_MAX: Duration = Duration::from_secs(6 * 3600);
/// Pause between two looks at a key rotation.
pub const CLIENT_ROTATION_EVERY: Duration = Duration::from_millis(200);
/// Longest JSON file of grants given to `key add`, in bytes: what a request body may hold.
pub const CLIENT_GRANTS_FILE_BYTES_MAX: usize = BODY_BYTES_MAX;
/// Longest JSON file of an app's settings, in bytes: what a request body may hold.
pub const CLIENT_SETTINGS_FILE_BYTES_MAX: u64 = BODY_BYTES_MAX as u64;
/// How often a question is asked that is answered by an empty line.
pub const CLIENT_QUESTIONS_MAX: u32 = 5;

/// File descriptors kept for ourselves: the store, the audit trail (one segment, the next, its
/// directory, those being read), the runtime, signals and the standard streams.
pub const DESCRIPTORS_OURS: usize = 24;
/// File descriptors a call to a provider may take: a connection tried over IPv6 and IPv4 at one
/// time, or the look-up of its name, and one more.
pub const DESCRIPTORS_PER_CALL: usize = 3;
/// The fewest file descriptors a server starts with: ours, a few calls and a few connections.
pub const DESCRIPTORS_MIN: usize = DESCRIPTORS_OURS + 16;

const _: () = assert!(DESCRIPTORS_MIN >= DESCRIPTORS_OURS + 4 * DESCRIPTORS_PER_CALL);
const _: () = assert!(CLIENT_TIMEOUT.as_secs() > REQUEST_TIMEOUT.as_secs());
const _: () = assert!(CLIENT_CONNECT_WAIT_MAX.as_secs() > LINK_LIFE_MAX.as_secs());
/// Longest token that is taken from a file to be imported, as it is written there: an upload's.
pub const IMPORT_TOKEN_BYTES_MAX: u64 = UPLOAD_BODY_BYTES_MAX as u64;
/// How much of a file is looked at to see what is in it.
pub const IMPORT_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Tokens of an import that are on their way to the server at one time.
pub const IMPORT_WINDOW: usize = 32;
