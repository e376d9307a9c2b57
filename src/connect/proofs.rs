//! Which way a person is proven: what the asker wants, within what its key allows.
//!
//! It promises: nobody gets a weaker proof than their key allows.
//! It never: proves anybody.

use crate::error::{Error, Result};
use crate::model::access::{Caller, Who};
use crate::model::link::Proof;

/// The way of proof: the one asked for, if the key allows it; else the key's own, the strongest
/// first.
pub(super) fn choose_proof(caller: &Caller, asked: Option<Proof>) -> Result<Proof> {
    let allowed = match &caller.who {
        Who::Key(key) | Who::Person { key, .. } => &key.connect_verify,
        Who::Local => return Ok(asked.unwrap_or(Proof::Code)),
        Who::Link { .. } | Who::Scheduler => return Err(Error::Denied),
    };
    match asked {
        // A person is proven by a page for having asked from there, and not for being named.
        Some(Proof::Page) => Err(Error::invalid("`verify` is `vouch`, `code` or `none`")),
        Some(proof) if allowed.contains(&proof) => Ok(proof),
        Some(_) => Err(Error::invalid(
            "`verify` is not one of the access key's `connect_verify`",
        )),
        None => [Proof::Vouch, Proof::Code, Proof::None]
            .into_iter()
            .find(|proof| allowed.contains(proof))
            .ok_or_else(|| {
                Error::invalid(
                    "this access key has no `connect_verify`, so it cannot make connect links",
                )
            }),
    }
}
