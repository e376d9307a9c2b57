//! The doors at which Descope's clients knock: its paths for connections, and ours behind them.
//!
//! It promises: a path counts with its slashes collapsed, since a base URL that ends in one doubles
//! it; what is not in the table is answered in the shape that such clients read.
//! It never: hides a native route, which is looked for first and by the path as it is.

use std::borrow::Cow;

use http::Method;

use super::{Entrance, Route, Row};
use crate::limits::{BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX, UPLOAD_BODY_BYTES_MAX};

/// Whose token a path is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// A user's, in a tenant or in none.
    User,
    /// A tenant's own.
    Tenant,
}

/// Which token of several a path asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pick {
    /// The one with these scopes.
    ByScopes,
    /// The newest.
    Latest,
}

/// What a request of Descope's is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Make an app.
    CreateApp,
    /// Make an app of a template.
    CreateOfTemplate,
    /// Make an app of a preset.
    CreateOfPreset,
    /// Change an app.
    UpdateApp,
    /// Delete an app.
    DeleteApp,
    /// Show an app.
    LoadApp,
    /// List apps.
    LoadApps,
    /// Fetch a token.
    Fetch(Level, Pick),
    /// A connect link for the person who asks, mostly from a browser.
    Connect,
    /// A connect link for whom an agent or a back end speaks for.
    AdaptiveConnect,
    /// Which apps a user is connected to.
    ConnectedApps,
    /// Delete tokens of users.
    DeleteTokens,
    /// Delete a token.
    DeleteToken,
    /// Store an API key.
    UploadKey(Level),
    /// Store a token.
    UploadToken(Level),
    /// Store many tokens.
    UploadTokens(Level),
    /// What the client may ask how often.
    License,
    /// The keys that tokens of ours are signed with.
    Keys,
}

impl Operation {
    /// True where a page asks for it in the name of who is signed in there.
    pub fn is_for_pages(self) -> bool {
        matches!(self, Self::Connect | Self::LoadApps | Self::ConnectedApps)
    }
}

const fn row(
    method: Method,
    path: &'static str,
    body_bytes_max: usize,
    operation: Operation,
) -> Row {
    Row {
        method,
        path,
        // Keys are for everybody who checks a signature.
        entrance: match operation {
            Operation::Keys => Entrance::Open,
            _ => Entrance::Key,
        },
        route: Route::Descope(operation),
        body_bytes_max,
    }
}

/// The table.
pub static TABLE: [Row; 27] = {
    use Level::{Tenant, User};
    use Operation as Op;
    use Pick::{ByScopes, Latest};
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const DELETE: Method = Method::DELETE;
    const PLAIN: usize = BODY_BYTES_MAX;
    const UPLOAD: usize = UPLOAD_BODY_BYTES_MAX;
    const BATCH: usize = BATCH_BODY_BYTES_MAX;
    [
        // Asked for most, and found first.
        row(
            POST,
            "/v1/mgmt/outbound/app/user/token",
            PLAIN,
            Op::Fetch(User, ByScopes),
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/user/token/latest",
            PLAIN,
            Op::Fetch(User, Latest),
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/tenant/token",
            PLAIN,
            Op::Fetch(Tenant, ByScopes),
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/tenant/token/latest",
            PLAIN,
            Op::Fetch(Tenant, Latest),
        ),
        row(POST, "/v1/mgmt/outbound/app/create", PLAIN, Op::CreateApp),
        row(
            POST,
            "/v1/mgmt/outbound/app/create/bytemplate",
            PLAIN,
            Op::CreateOfTemplate,
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/create/bydcrpreset",
            PLAIN,
            Op::CreateOfPreset,
        ),
        row(POST, "/v1/mgmt/outbound/app/update", PLAIN, Op::UpdateApp),
        row(POST, "/v1/mgmt/outbound/app/delete", PLAIN, Op::DeleteApp),
        row(GET, "/v1/mgmt/outbound/app/{}", PLAIN, Op::LoadApp),
        row(GET, "/v1/mgmt/outbound/app", PLAIN, Op::LoadApp),
        row(GET, "/v1/mgmt/outbound/apps", PLAIN, Op::LoadApps),
        row(POST, "/v1/outbound/oauth/connect", PLAIN, Op::Connect),
        row(
            POST,
            "/v1/mgmt/outbound/app/connect",
            PLAIN,
            Op::AdaptiveConnect,
        ),
        // A person's browser, on the way back from a provider.
        Row {
            method: GET,
            path: "/v1/outbound/oauth/callback",
            entrance: Entrance::Page,
            route: Route::SharedCallback,
            body_bytes_max: PLAIN,
        },
        row(
            GET,
            "/v1/mgmt/outbound/apps-with-user-token",
            PLAIN,
            Op::ConnectedApps,
        ),
        row(
            DELETE,
            "/v1/mgmt/outbound/user/tokens",
            PLAIN,
            Op::DeleteTokens,
        ),
        row(DELETE, "/v1/mgmt/outbound/tokens", PLAIN, Op::DeleteTokens),
        row(DELETE, "/v1/mgmt/outbound/token", PLAIN, Op::DeleteToken),
        row(
            POST,
            "/v1/mgmt/outbound/app/user/apikey/upload",
            UPLOAD,
            Op::UploadKey(User),
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/tenant/apikey/upload",
            UPLOAD,
            Op::UploadKey(Tenant),
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/user/oauthtoken/upload",
            UPLOAD,
            Op::UploadToken(User),
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/tenant/oauthtoken/upload",
            UPLOAD,
            Op::UploadToken(Tenant),
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/user/oauthtoken/batch/upload",
            BATCH,
            Op::UploadTokens(User),
        ),
        row(
            POST,
            "/v1/mgmt/outbound/app/tenant/oauthtoken/batch/upload",
            BATCH,
            Op::UploadTokens(Tenant),
        ),
        row(GET, "/v1/mgmt/license", PLAIN, Op::License),
        row(GET, "/v2/keys/{}", PLAIN, Op::Keys),
    ]
};

/// Where paths of Descope's begin, whether or not we have them.
const BEGINNINGS: [&str; 3] = ["/v1/mgmt/", "/v1/outbound/", "/v2/keys"];

/// True where a client of Descope's knocks.
pub fn is_theirs(path: &str) -> bool {
    let path = collapsed(path);
    BEGINNINGS
        .iter()
        .any(|beginning| path.starts_with(beginning))
}

/// A path with each run of slashes as one.
pub fn collapsed(path: &str) -> Cow<'_, str> {
    let mut path = Cow::Borrowed(path);
    while path.contains("//") {
        path = Cow::Owned(path.replace("//", "/"));
    }
    path
}
