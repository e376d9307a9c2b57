//! Strongroom: a self-hosted token vault in one binary.
//!
//! It stores, refreshes and hands out third-party OAuth tokens and API keys for the users and
//! tenants of MCP servers and agents: exactly the right one to exactly the right caller. This
//! crate is the whole of it; the binary `strongroom` is a thin user. A Rust MCP server can embed
//! the vault in its own process.
//!
//! # The map
//!
//! ```text
//! main  cli
//!       http        words in, words out: routes, wire shapes, pages
//!       bearer      a JWT becomes a caller
//!       connect     a person connects an app       refresh   a token stays fresh
//!       remote      from an MCP server's URL to an app; issuers read again
//!       provider    the OAuth client, and the one way out
//!       vault       the only meeting place of policy, seal, store and audit
//!       store       redb: bytes by address         seal      the crypto room
//!       model       plain data and pure rules, parsed on construction
//!       limits  clock  secret  error               know nobody
//! sandbox           an OAuth provider for development and tests; knows nobody but the base
//! ```
//!
//! An import goes down only; `tests/tidy` holds that, and the one door each outside crate has.
//!
//! # The two flows
//!
//! ```text
//!   a request                                      the clock
//!      |                                              |
//!    http ........ who asks, in which words         refresh ....... what is due
//!      |                                              |
//!    vault ....... may they, say so on record       vault ......... intent, durable
//!      |  \                                           |
//!      |   seal .. open one part of one record      provider ...... ask the OAuth server, once
//!      |                                              |
//!    store ....... bytes by address                 vault ......... outcome, durable
//! ```
//!
//! A fetch: [`http::app`] finds the row of the request in [`http::routes`], has the vault make a
//! [`model::access::Caller`] of the bearer, and calls [`refresh::Refresher::token`]. The vault
//! decides ([`model::access::decide`]), puts the answer on record, and only then lets the hot part
//! of the record out. A stale one is refreshed first: one flight per token, an intent before the
//! call, one commit after it. A plain fetch writes nothing to the store.
//!
//! # What each room never does
//!
//! * [`model`]: reads, writes, or asks the time.
//! * [`seal`]: knows what a token is, or hands out a key.
//! * [`store`]: sees plaintext.
//! * [`vault`]: waits for a network.
//! * [`provider`]: learns more than the one credential it is handed.
//! * [`bearer`]: believes what a token says before its issuer's key has said so.
//! * [`remote`]: uses at one authorization server what another gave.
//! * [`connect`], [`refresh`]: reach a record otherwise than by the vault.
//! * [`http`]: decides who may do what.
//! * [`cli`]: takes a secret from an argument.
//!
//! # Embedding
//!
//! Without the command line and what it depends on: `default-features = false`.
//!
//! ```
//! use std::time::Duration;
//!
//! use strongroom::clock::Clock;
//! use strongroom::error::Result;
//! use strongroom::model::access::Caller;
//! use strongroom::model::app::{App, AppKind};
//! use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
//! use strongroom::secret::Secret;
//! use strongroom::vault::{Ask, Found, NewCredential, NewToken, Vault};
//!
//! # fn main() -> Result<()> {
//! // `Vault::open(directory, ..)` and `vault.unlock(..)` for one that lasts.
//! let clock = Clock::system();
//! let (vault, _first_access_key) = Vault::in_memory(clock.clone())?;
//! let me = Caller::local();
//! let app = App {
//!     name: "Weather".into(),
//!     ..App::of(AppId::parse("weather")?, AppKind::ApiKey, clock.now())
//! };
//! vault.add_app(&me, app.clone(), None)?.wait()?;
//! let alice = Owner::User(UserId::parse("alice")?);
//! let address = Address {
//!     app: app.id.clone(),
//!     owner: alice.clone(),
//!     account: None,
//!     scopes: Scopes::default(),
//! };
//! let credential = NewCredential::ApiKey(Secret::new("key-of-alice".into()));
//! vault.store_token(&me, NewToken::of(address, credential))?.wait()?;
//!
//! let ask = Ask {
//!     app: app.id,
//!     owner: alice,
//!     account: None,
//!     scopes: None,
//!     min_ttl: Duration::ZERO,
//!     with_refresh_token: false,
//! };
//! let Found::Fresh(handed) = vault.fetch(&me, &ask)? else { panic!("it was stored") };
//! assert!(handed.value.equals(b"key-of-alice"));
//! # Ok(())
//! # }
//! ```
//!
//! It promises: what each room's head says, numbered, each number borne by a test.
//! It never: phones home.

pub mod bearer;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod connect;
pub mod error;
pub mod http;
pub mod limits;
pub mod model;
pub mod provider;
pub mod refresh;
pub mod remote;
pub mod sandbox;
pub mod seal;
pub mod secret;
#[cfg(test)]
#[path = "../tests/harness/seeded.rs"]
#[allow(dead_code, reason = "shared with the other harnesses")]
mod seeded;
pub mod store;
pub mod vault;
