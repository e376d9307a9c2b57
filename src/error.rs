//! What can go wrong, sorted by what the caller can do about it.
//!
//! It promises: every message says what is wrong, every hint what to do; neither holds a secret.
//! It never: knows a status code (that is `http/wire`) or a library's error type.

use std::fmt;
use std::time::Duration;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, named after what the caller can do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    /// The request is wrong as it stands: the message names the field and the rule.
    Invalid(String),
    /// No caller could be made of what was presented: missing, malformed, unknown or expired key.
    Unauthenticated,
    /// The caller may not do this. Answered before anything is looked up.
    Denied,
    /// There is no such thing, or it is not the caller's: the two are not told apart.
    NotFound(&'static str),
    /// It exists already, or it changed meanwhile.
    Conflict(String),
    /// Another process has the vault's file.
    InUse,
    /// The vault is locked; somebody must unlock it.
    Locked,
    /// The vault's file is being checked behind the first answers. Until that is done nothing is
    /// changed, and nothing is said of what is not found.
    Checking {
        /// How far it is.
        percent: u8,
        /// When it may be done, as far as that can be told.
        retry_after: Duration,
    },
    /// The vault is unlocked already.
    AlreadyUnlocked,
    /// Something is there already, and was to be stored only where nothing is.
    AlreadyThere,
    /// The passphrase, recovery code or key file does not open this vault. Always this one error.
    UnlockFailed,
    /// Too much at one time; come back after this long.
    Busy(Duration),
    /// The body, list or value is longer than a limit: the message names it.
    TooLarge(String),
    /// A stored thing does not authenticate or cannot be read. Never served, never repaired here.
    Damaged(String),
    /// The vault's file is older than its anchor remembers, or does not fit it: the vault stays
    /// locked until the operator decides.
    RolledBack(String),
    /// The file was written by a newer version.
    TooNew(String),
    /// The disk failed or is full. Nothing was lost; what was asked was not done.
    Storage(String),
    /// The commit's outcome is unknown: reopen and re-read before deciding.
    OutcomeUnknown(String),
    /// The audit entry could not be written, so the operation was refused.
    AuditUnavailable(String),
    /// The provider answered with an error that asking again will not mend.
    ProviderRefused {
        /// The provider's error code, filtered.
        code: String,
        /// The provider's description, filtered and cut; empty where it gave none.
        description: String,
    },
    /// The provider could not be reached or is in trouble; asking again later may help.
    ProviderUnavailable {
        /// What happened, in our words.
        what: String,
        /// How long the provider asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The keys that an issuer signs its JWTs with cannot be had just now, so that nobody can tell
    /// whether this one is good.
    IssuerUnavailable {
        /// When to come back.
        retry_after: Duration,
    },
    /// A destination that the rules of the way out refuse.
    Forbidden(String),
    /// A setting or file of the operator's is wrong.
    Settings(String),
    /// The process is ending and takes no new work.
    ShuttingDown,
}

impl Error {
    /// Makes an [`Error::Invalid`] of text.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }

    /// The stable code of this error: it stands in answers, logs and audit entries.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::InUse => "in_use",
            Self::Locked => "locked",
            Self::Checking { .. } => "checking",
            Self::AlreadyUnlocked => "already_unlocked",
            Self::AlreadyThere => "already_there",
            Self::UnlockFailed => "unlock_failed",
            Self::Busy(_) => "busy",
            Self::TooLarge(_) => "too_large",
            Self::Damaged(_) => "damaged",
            Self::RolledBack(_) => "rolled_back",
            Self::TooNew(_) => "too_new",
            Self::Storage(_) => "storage",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::AuditUnavailable(_) => "audit_unavailable",
            Self::ProviderRefused { .. } => "provider_refused",
            Self::ProviderUnavailable { .. } => "provider_unavailable",
            Self::IssuerUnavailable { .. } => "unavailable",
            Self::Forbidden(_) => "destination_forbidden",
            Self::Settings(_) => "settings",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// What to do about it, as a sentence or a command that works when pasted.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "correct the request; nothing was changed",
            Self::Unauthenticated => {
                "send `Authorization: Bearer <access key>`; an operator makes one with \
                 `strongroom key add`"
            }
            Self::Denied => {
                "ask an operator for a grant; `strongroom key list` shows what a key may"
            }
            Self::NotFound("vault in this directory") => {
                "look at `--data`; `strongroom init --data DIR` makes a new vault"
            }
            Self::NotFound("access key") => "check the id; `strongroom key list` shows them",
            Self::NotFound("key slot") => {
                "check the number; `strongroom passphrase slots --data DIR` shows them"
            }
            Self::NotFound(_) => {
                "check the id; `strongroom app list` and `strongroom token list` show what is there"
            }
            Self::Conflict(_) => "look at what is there now; nothing was changed",
            Self::InUse => "stop that one first; one process has a vault at a time",
            Self::Locked => "unlock it: `strongroom unlock`",
            Self::Checking { .. } => {
                "ask again as told; `strongroom status` shows how far the check is"
            }
            Self::AlreadyUnlocked => "nothing to do",
            Self::AlreadyThere => "it was left as it is; without `if_absent` it is replaced",
            Self::UnlockFailed => {
                "try again; a forgotten passphrase is replaced with the recovery code, while the \
                 server is stopped: `strongroom passphrase set --recovery --data DIR`"
            }
            Self::Busy(_) => "wait as told, then ask again",
            Self::TooLarge(_) => "send less",
            Self::Damaged(_) => {
                "stop writing to this vault, keep its files, and restore the last good copy; where \
                 there is none: `strongroom salvage --data DIR --into NEWDIR`"
            }
            Self::RolledBack(_) => {
                "find the newest copy and the anchor (`--anchor PATH`); where this one is what you \
                 want, let it in once: `strongroom serve --accept-rollback`"
            }
            Self::TooNew(_) => "use the version of strongroom that wrote it, or a later one",
            Self::Storage(_) => "look at the disk: free space, permissions, the system's log",
            Self::OutcomeUnknown(_) => "read it again: it was either stored whole or not at all",
            Self::AuditUnavailable(_) => {
                "make room for the `audit` directory; nothing is handed out that is not on record"
            }
            Self::ProviderRefused { .. } => "look at the app's settings, or connect again",
            Self::ProviderUnavailable { .. } => "nothing was lost; ask again later",
            Self::IssuerUnavailable { .. } => {
                "ask again later; the server's log says what keeps it from the issuer's keys"
            }
            Self::Forbidden(_) => {
                "an operator may allow a named internal host: `strongroom serve --allow-host HOST`"
            }
            Self::Settings(_) => {
                "correct it and try again; the command's `--help` explains its settings"
            }
            Self::ShuttingDown => "ask again when the server is back",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what)
            | Self::Conflict(what)
            | Self::TooLarge(what)
            | Self::Damaged(what)
            | Self::RolledBack(what)
            | Self::TooNew(what)
            | Self::Settings(what)
            | Self::Forbidden(what) => f.write_str(what),
            Self::Unauthenticated => f.write_str("no valid access key was presented"),
            Self::Denied => f.write_str("this access key may not do this"),
            Self::NotFound(what) => write!(f, "there is no such {what}"),
            Self::InUse => f.write_str("the vault's file is in use by another process"),
            Self::Locked => f.write_str("the vault is locked"),
            Self::Checking {
                percent,
                retry_after,
            } => write!(
                f,
                "the vault's file is still being checked ({percent} % done): until then only \
                 tokens that are found and valid are handed out; come back in {} s",
                in_seconds(*retry_after)
            ),
            Self::AlreadyUnlocked => f.write_str("the vault is unlocked already"),
            Self::AlreadyThere => {
                f.write_str("a token of this app, owner, account and scopes is stored already")
            }
            Self::UnlockFailed => f.write_str("this does not open the vault"),
            Self::Busy(wait) => {
                let wait = in_seconds(*wait);
                write!(f, "too much at one time; come back in {wait} s")
            }
            Self::Storage(what) => write!(f, "the store could not do it: {what}"),
            Self::OutcomeUnknown(what) => {
                write!(f, "it is not known whether this was stored: {what}")
            }
            Self::AuditUnavailable(what) => {
                write!(f, "refused, since it could not be put on record: {what}")
            }
            Self::ProviderRefused { code, description } if description.is_empty() => {
                write!(f, "the provider refused: {code}")
            }
            Self::ProviderRefused { code, description } => {
                write!(f, "the provider refused: {code}: {description}")
            }
            Self::ProviderUnavailable { what, .. } => {
                write!(f, "the provider is not available: {what}")
            }
            Self::IssuerUnavailable { .. } => {
                f.write_str("the issuer of this JWT cannot be asked for its keys")
            }
            Self::ShuttingDown => f.write_str("the server is shutting down"),
        }
    }
}

fn in_seconds(wait: Duration) -> u128 {
    wait.as_millis().div_ceil(1000).max(1)
}

impl std::error::Error for Error {}
