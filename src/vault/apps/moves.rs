//! Where a client secret goes: whether a change of an app sends it to somebody it was not given
//! for.
//!
//! It promises: whatever carries the secret counts, and so does what fills its address.
//! It never: sends it.

use crate::model::app::App;
use crate::model::blanks::Blanks;
use crate::model::dialect::Call;
use crate::model::url::WebUrl;

/// True where a client secret that is kept would be sent to another host than before.
pub(super) fn moves(old: &App, new: &App) -> bool {
    if issuer_of_remote(old) != issuer_of_remote(new) {
        return true;
    }
    let known = places(old);
    !known.is_empty() && places(new).iter().any(|place| !known.contains(place))
}

/// Where an app's client secret is sent: hosts, and addresses of which each connection fills its
/// own.
fn places(app: &App) -> Vec<String> {
    let Some(oauth) = app.oauth() else {
        return Vec::new();
    };
    let settled = [
        oauth.token_url(),
        oauth.refresh_url(),
        oauth.revocation_url(),
    ];
    let settled = settled.into_iter().flatten().map(WebUrl::authority);
    let open = oauth.open.iter().flat_map(|open| {
        let open = [&open.token_url, &open.refresh_url, &open.revocation_url];
        open.into_iter().flatten().map(Blanks::to_string)
    });
    // Calls of the provider's own making carry the secret as well, and so does what fills them.
    let calls: Vec<&Call> = oauth.dialect.calls().collect();
    let known = app.known();
    let names = calls.iter().flat_map(|call| call.url.names());
    let filled = names.filter_map(|name| Some(format!("{name}={}", known.get(name)?)));
    let calls = calls.iter().map(|call| call.url.to_string());
    settled.chain(open).chain(calls).chain(filled).collect()
}

/// True where the addresses of two apps with endpoints of their own are the same.
pub(super) fn same_addresses(old: &App, new: &App) -> bool {
    let endpoints = |app: &App| {
        let oauth = app.oauth()?;
        Some((oauth.by_hand.clone(), oauth.open.clone()))
    };
    let old = endpoints(old);
    old.is_some() && old == endpoints(new)
}

/// The authorization server that an app of a remote MCP server has: what it gave is its alone.
fn issuer_of_remote(app: &App) -> Option<&WebUrl> {
    let oauth = app.oauth()?;
    oauth.remote.as_ref().and(oauth.issuer_in_use())
}
