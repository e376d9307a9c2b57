//! Bounds of the catalogue, and of what is kept of a service beside a credential.
//!
//! It promises: as its parent.
//! It never: more than its parent.

use std::time::Duration;

/// Longest name of a value, in bytes. Names are paths of fields (`authed_user.id`) at the longest.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest path to a field of an answer, in bytes.
pub const FIELD_PATH_BYTES_MAX: usize = 128;
/// Longest pattern, in bytes. That of Salesforce's hosts is 220.
pub const PATTERN_BYTES_MAX: usize = 512;
/// Most memory a compiled pattern takes, in bytes: patterns may come from an operator's file.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;
/// Longest value of a variable, in bytes: a host name has 253.
pub const VARIABLE_BYTES_MAX: usize = 512;
/// Most variables of a service.
pub const VARIABLES_MAX: usize = 16;
/// Most fields of a key. Twilio's and Datadog's keys have two.
pub const FIELDS_MAX: usize = 8;
/// Most values kept beside a credential.
pub const METADATA_MAX: usize = 32;
/// Longest value kept beside a credential, in bytes: a URL, an id, a name.
pub const METADATA_VALUE_BYTES_MAX: usize = 1024;
/// Most tokens in one answer beside the first. Slack has one.
pub const SECOND_TOKENS_MAX: usize = 4;
/// Longest life of a refresh token that is believed. QuickBooks' end after five years.
pub const REFRESH_TOKEN_LIFE_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);
/// A refresh token that lapses unless it is used is used this long before it does: long enough for
/// an operator to come back from a holiday's outage.
pub const REFRESH_TOKEN_AHEAD: Duration = Duration::from_secs(7 * 86_400);
/// Life of a client's proof by its private key: one request, and a clock that is off a little.
pub const ASSERTION_LIFE: Duration = Duration::from_secs(60);
/// Longest fixed body of a call to a service, in bytes: a GraphQL query.
pub const CALL_BODY_BYTES_MAX: usize = 2048;
