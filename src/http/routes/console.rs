//! The doors of the operator's console.
//!
//! It promises: what changes anything is a `POST`; what is not in the table is not there.
//! It never: says who may knock (a session does, and the access key behind it).

use http::Method;

use super::{Entrance, Route, Row};
use crate::limits::{BODY_BYTES_MAX, UPLOAD_BODY_BYTES_MAX};

/// What a request at the console is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Screen {
    /// The way in: unlock, or sign in, or on to the first screen.
    Entry,
    /// An access key is typed.
    SignIn,
    /// A passphrase is typed.
    Unlock,
    /// Out, in this browser.
    SignOut,
    /// Out, in every browser that signed in with the same key.
    SignOutEverywhere,
    /// Lock the vault.
    Lock,
    /// What needs attention, and how it goes.
    Health,
    /// The part of that which changes, for a page that keeps itself fresh.
    HealthNow,
    /// The table of tokens.
    Tokens,
    /// One token.
    Token,
    /// Refresh it now.
    Refresh,
    /// Ask again before it is shown.
    AskReveal,
    /// Show it in plain text.
    Reveal,
    /// Ask again before it is deleted.
    AskDelete,
    /// Delete it.
    Delete,
    /// A link for its owner, to connect it again.
    Reconnect,
    /// The table of apps.
    Apps,
    /// The catalogue, to make one of.
    NewApp,
    /// The form for a new one.
    AskApp,
    /// Make it.
    MakeApp,
    /// One app.
    App,
    /// Look at it as a doctor would.
    CheckApp,
    /// A connection of the operator's own.
    ConnectMe,
    /// The form that changes it.
    EditApp,
    /// Change it.
    ChangeApp,
    /// What the catalogue says of it by now.
    AskUpdate,
    /// Take that over.
    UpdateApp,
    /// Ask again before it is deleted.
    AskRemoveApp,
    /// Delete it.
    RemoveApp,
    /// The table of access keys.
    Keys,
    /// The form for a new one.
    NewKey,
    /// Make it.
    MakeKey,
    /// Ask again before one is removed.
    AskRemoveKey,
    /// Remove it.
    RemoveKey,
    /// The audit trail.
    Audit,
    /// Its newest entries, for a page that follows it.
    AuditNow,
    /// Check its chain.
    VerifyAudit,
    /// Take a part of it along.
    ExportAudit,
}

impl Screen {
    /// True where a page asks by itself, whether or not anybody looks at it.
    pub fn is_asked_by_itself(self) -> bool {
        matches!(self, Self::HealthNow | Self::AuditNow)
    }
}

const fn row(method: Method, path: &'static str, screen: Screen) -> Row {
    Row {
        method,
        path,
        entrance: Entrance::Page,
        route: Route::Console(screen),
        body_bytes_max: BODY_BYTES_MAX,
    }
}

/// What carries a passphrase or a key may be as long as one.
const fn typed(method: Method, path: &'static str, screen: Screen) -> Row {
    Row {
        method,
        path,
        entrance: Entrance::Page,
        route: Route::Console(screen),
        body_bytes_max: UPLOAD_BODY_BYTES_MAX,
    }
}

/// The table.
pub static TABLE: [Row; 38] = {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    [
        row(GET, "/console", Screen::Entry),
        typed(POST, "/console/sign-in", Screen::SignIn),
        typed(POST, "/console/unlock", Screen::Unlock),
        row(POST, "/console/sign-out", Screen::SignOut),
        row(
            POST,
            "/console/sign-out/everywhere",
            Screen::SignOutEverywhere,
        ),
        row(POST, "/console/lock", Screen::Lock),
        row(GET, "/console/health", Screen::Health),
        row(GET, "/console/health/now", Screen::HealthNow),
        row(GET, "/console/tokens", Screen::Tokens),
        row(GET, "/console/tokens/{}", Screen::Token),
        row(POST, "/console/tokens/{}/refresh", Screen::Refresh),
        row(GET, "/console/tokens/{}/reveal", Screen::AskReveal),
        typed(POST, "/console/tokens/{}/reveal", Screen::Reveal),
        row(GET, "/console/tokens/{}/delete", Screen::AskDelete),
        row(POST, "/console/tokens/{}/delete", Screen::Delete),
        row(POST, "/console/tokens/{}/reconnect", Screen::Reconnect),
        row(GET, "/console/apps", Screen::Apps),
        row(GET, "/console/new-app", Screen::NewApp),
        row(GET, "/console/new-app/{}", Screen::AskApp),
        typed(POST, "/console/new-app/{}", Screen::MakeApp),
        row(GET, "/console/apps/{}", Screen::App),
        row(POST, "/console/apps/{}/check", Screen::CheckApp),
        row(POST, "/console/apps/{}/connect", Screen::ConnectMe),
        row(GET, "/console/apps/{}/edit", Screen::EditApp),
        typed(POST, "/console/apps/{}/edit", Screen::ChangeApp),
        row(GET, "/console/apps/{}/update", Screen::AskUpdate),
        typed(POST, "/console/apps/{}/update", Screen::UpdateApp),
        row(GET, "/console/apps/{}/delete", Screen::AskRemoveApp),
        row(POST, "/console/apps/{}/delete", Screen::RemoveApp),
        row(GET, "/console/keys", Screen::Keys),
        row(GET, "/console/keys/new", Screen::NewKey),
        row(POST, "/console/keys/new", Screen::MakeKey),
        row(GET, "/console/keys/{}/remove", Screen::AskRemoveKey),
        row(POST, "/console/keys/{}/remove", Screen::RemoveKey),
        row(GET, "/console/audit", Screen::Audit),
        row(GET, "/console/audit/now", Screen::AuditNow),
        row(POST, "/console/audit/verify", Screen::VerifyAudit),
        row(GET, "/console/audit/export", Screen::ExportAudit),
    ]
};
