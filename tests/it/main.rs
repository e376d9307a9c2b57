//! Strongroom whole, over real sockets, against the sandbox provider.
//!
//! | promise | where it is shown |
//! |---|---|
//! | the main job, end to end (issue item 2) | `story` |
//! | a provider that misbehaves (issue item 7; R5, R8) | `misbehaviour` |
//! | storms of callers (issue item 3; R1) | `storm` |
//! | nobody gets an old token after the new was acknowledged (R1) | `acknowledged` |
//! | the scheduler by the test clock (R3, R4, R9) | `schedule` |
//! | clocks that jump, across a restart, in a run, in mid-refresh (R7 of the catalogue) | `clocks` |
//! | outages of every kind, ten thousand tokens (R3) | `outage` |
//! | `Retry-After` of every kind (R4) | `retry_after` |
//! | grants that are odd (R5) | `odd_answers` |
//! | malformed JSON on every route (N4) | `malformed` |
//! | guessing at passphrase and access keys (N7, T18) | `guessing` |
//! | forced refresh, what is handed out, revocation (R6, R7, R9, O9) | `forced` |
//! | the refresh protocol cut at its joints (R2, R4, R5) | `intents` |
//! | C1: nobody is sent to a provider before the proof (O3, T27) | `connect_proof`, `connect_state` |
//! | C2: `state`, cookies, redirect URIs: replayed, bent, crossed, late (O1, O2, O4) | `connect_state` |
//! | C3: `iss`, errors, PKCE, redirects of a token endpoint (O1, O4, O5) | `connect_provider` |
//! | C4: return URLs, and a link's life as its asker sees it (O5) | `connect_life` |
//! | C5: opening a link changes nothing | `connect_state` |
//! | a lock, a stop, a hang-up or another's refresh in the middle (R8) | `edges` |
//! | pages: headers, escaping, secrets, other sites' forms (O8, T22, T36) | `connect_pages` |
//! | how a link ends and who is told, what was there before, logos | `connect_endings` |
//! | DESIGN 5: every route, wrong methods, keys and bodies (N3, N4, V6) | `api_shape` |
//! | DESIGN 5: apps, tokens, lists, removal and revocation (O9) | `api_apps`, `api_tokens`, `api_removal`, `long_lists` |
//! | own templates, and apps that are updated from them; an app is checked (issue 6) | `catalogue`, `app_check` |
//! | a backup, a compaction by the wire (T5) | `api_backup`, `api_compact` |
//! | DESIGN 8, 9: access keys, unlocking, audit (V10, V11) | `api_keys`, `api_vault` |
//! | Descope's clients: every endpoint, in each SDK's form (issue 5) | `descope` |
//! | the ten hardest providers, by the catalogue's own entries (issue 6) | `hardest` |
//! | remote MCP servers as apps (issue 6; O4, O6) | `remote` |
//! | JWTs of configured issuers as callers (B1 to B5 are shown beside `bearer`) | `jwt` |
//! | authorization as the pure rule has it; "not yours" is "not there" (A1, T26, T34) | `authorization`, `authorization_bytes` |
//! | no secret in log, error, page, panic, audit or file (issue item 6, M3) | `canary`, `canary_story` |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod accounts;
mod acknowledged;
mod api_apps;
mod api_backup;
mod api_compact;
mod api_keys;
mod api_removal;
mod api_shape;
mod api_slots;
mod api_tokens;
mod api_vault;
mod app_check;
#[path = "../harness/asked.rs"]
mod asked;
mod authorization;
mod authorization_bytes;
mod browser;
mod canary;
mod canary_story;
mod catalogue;
mod clocks;
mod connect_endings;
mod connect_life;
mod connect_pages;
mod connect_proof;
mod connect_provider;
mod connect_state;
mod console;
mod descope;
mod edges;
mod forced;
mod guessing;
mod hardest;
mod intents;
#[path = "../harness/issuer.rs"]
#[allow(dead_code, reason = "shared with the unit tests of `bearer`")]
mod issuer;
mod jwt;
mod long_lists;
mod malformed;
mod misbehaviour;
mod odd_answers;
mod outage;
mod remote;
mod retry_after;
mod rig;
mod scene;
mod schedule;
#[path = "../harness/seeded.rs"]
#[allow(dead_code, reason = "shared with harnesses that use all of it")]
mod seeded;
#[path = "../provider/server.rs"]
#[allow(
    dead_code,
    reason = "shared with the suite `provider`, which uses all of it"
)]
mod server;
mod storm;
mod story;
mod support;
