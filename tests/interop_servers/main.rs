//! OAuth servers that others wrote, in other languages: PyPI `django-oauth-toolkit` under Django,
//! and npm `better-auth` with its OAuth provider. `interop_oidc` has npm `oidc-provider`.
//!
//! | | `django-oauth-toolkit` | `better-auth` |
//! |---|---|---|
//! | issuer | an origin | with a path |
//! | pages | forms with a CSRF token | forms of the operator's, before an API of JSON |
//! | refresh token | always | with `offline_access` alone |
//! | an old one | is refused | is refused, and takes the new one with it |
//! | a person who said yes before | is asked again | is not |
//! | client authentication | any way | the one it was registered with |
//! | registration | of clients with a secret | of public ones too |
//! | a token for a named resource | can be taken back | is signed, and cannot |
//!
//! Each is connected by discovery and by hand, with `client_secret_basic` and
//! `client_secret_post`, and by a client that Strongroom registers itself.
//!
//! Needs Python with the packages of `tests/interop_servers/requirements.txt`, and Node with those
//! of its `package.json`. Where they are missing, each test says so aloud and passes; where
//! `STRONGROOM_INTEROP=require` is set, it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../harness/foreign.rs"]
mod foreign;
mod server;
mod story;

use foreign::{browser, support};
