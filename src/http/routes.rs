//! Every door in one table: method, path, who may knock, how much may be carried in.
//!
//! It promises: a path is matched by whole segments, each decoded once; what is not in the table
//! is not there.
//! It never: looks at a body or a caller.

pub mod console;
pub mod descope;

use http::Method;

use crate::limits::{BODY_BYTES_MAX, UPLOAD_BODY_BYTES_MAX};

/// Who may knock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entrance {
    /// Anybody.
    Open,
    /// Who has an access key.
    Key,
    /// A person's browser.
    Page,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// Is it there, and is it locked.
    Health,
    /// How it stands.
    Status,
    /// Unlock.
    Unlock,
    /// Lock.
    Lock,
    /// Write a backup.
    Backup,
    /// Compact the vault's file.
    Compact,
    /// Make a key slot.
    AddSlot,
    /// Delete a key slot.
    RemoveSlot,
    /// Change the passphrase.
    Passphrase,
    /// Rotate the keys that seal records.
    Rotate,
    /// List what the catalogue has.
    Templates,
    /// Show one entry of the catalogue.
    Template,
    /// List apps.
    Apps,
    /// Make an app.
    AddApp,
    /// Show an app.
    App,
    /// Change an app.
    ChangeApp,
    /// Bring an app to what its template says by now.
    UpdateApp,
    /// Look at an app as a doctor would.
    CheckApp,
    /// Delete an app with its tokens.
    RemoveApp,
    /// Describe us to an authorization server.
    ClientDocument,
    /// The one call.
    Token,
    /// Store a token.
    Store,
    /// List tokens.
    Tokens,
    /// Delete tokens by filter.
    RemoveTokens,
    /// Show a token's summary.
    Summary,
    /// Refresh a token now.
    Refresh,
    /// Show a token in plain text.
    Reveal,
    /// Delete a token.
    RemoveToken,
    /// Make a connect link.
    StartLink,
    /// Where a link stands.
    Link,
    /// Vouch for who is on a link.
    Vouch,
    /// Take a link back.
    Withdraw,
    /// List access keys.
    Keys,
    /// Make an access key.
    AddKey,
    /// Delete an access key.
    RemoveKey,
    /// Read the audit trail.
    Audit,
    /// Check the audit trail.
    VerifyAudit,
    /// A link's URL, opened.
    Ticket,
    /// This browser takes the link.
    Enter,
    /// A link's page.
    Page,
    /// A code is typed.
    Code,
    /// To the asking application, to be vouched for.
    ToVouch,
    /// Back from the asking application.
    Vouched,
    /// To an app's provider.
    Go,
    /// An API key is typed.
    ApiKey,
    /// A person's no.
    Decline,
    /// A person's no to all of a link.
    Cancel,
    /// Back from the provider of an app.
    Callback,
    /// Back from the provider of an app whose callback is the shared one.
    SharedCallback,
    /// What a browser at the console asks for.
    Console(console::Screen),
    /// What a client of Descope's asks for.
    Descope(descope::Operation),
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// The method.
    pub method: Method,
    /// The path, with `{}` where it names something.
    pub path: &'static str,
    /// Who may knock.
    pub entrance: Entrance,
    /// What it is for.
    pub route: Route,
    /// Longest body.
    pub body_bytes_max: usize,
}

const fn row(method: Method, path: &'static str, entrance: Entrance, route: Route) -> Row {
    Row {
        method,
        path,
        entrance,
        route,
        body_bytes_max: BODY_BYTES_MAX,
    }
}

const fn upload(method: Method, path: &'static str, entrance: Entrance, route: Route) -> Row {
    Row {
        method,
        path,
        entrance,
        route,
        body_bytes_max: UPLOAD_BODY_BYTES_MAX,
    }
}

/// The table.
pub static TABLE: [Row; 48] = {
    use Entrance::{Key, Open, Page};
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const DELETE: Method = Method::DELETE;
    [
        // The one that is asked for most is found first.
        upload(POST, "/v1/token", Key, Route::Token),
        row(GET, "/health", Open, Route::Health),
        row(GET, "/v1/status", Key, Route::Status),
        row(POST, "/v1/unlock", Open, Route::Unlock),
        row(POST, "/v1/lock", Key, Route::Lock),
        row(POST, "/v1/backup", Key, Route::Backup),
        row(POST, "/v1/compact", Key, Route::Compact),
        upload(POST, "/v1/slots", Key, Route::AddSlot),
        upload(DELETE, "/v1/slots/{}", Key, Route::RemoveSlot),
        upload(PUT, "/v1/passphrase", Key, Route::Passphrase),
        row(POST, "/v1/rotate", Key, Route::Rotate),
        row(GET, "/v1/templates", Key, Route::Templates),
        row(GET, "/v1/templates/{}", Key, Route::Template),
        row(GET, "/v1/apps", Key, Route::Apps),
        row(POST, "/v1/apps", Key, Route::AddApp),
        row(GET, "/v1/apps/{}", Key, Route::App),
        row(PUT, "/v1/apps/{}", Key, Route::ChangeApp),
        row(DELETE, "/v1/apps/{}", Key, Route::RemoveApp),
        row(POST, "/v1/apps/{}/update", Key, Route::UpdateApp),
        row(POST, "/v1/apps/{}/check", Key, Route::CheckApp),
        upload(PUT, "/v1/tokens", Key, Route::Store),
        row(GET, "/v1/tokens", Key, Route::Tokens),
        row(DELETE, "/v1/tokens", Key, Route::RemoveTokens),
        row(GET, "/v1/tokens/{}", Key, Route::Summary),
        row(DELETE, "/v1/tokens/{}", Key, Route::RemoveToken),
        row(POST, "/v1/tokens/{}/refresh", Key, Route::Refresh),
        row(POST, "/v1/tokens/{}/reveal", Key, Route::Reveal),
        row(POST, "/v1/connect", Key, Route::StartLink),
        row(GET, "/v1/connect/{}", Key, Route::Link),
        row(DELETE, "/v1/connect/{}", Key, Route::Withdraw),
        row(POST, "/v1/connect/{}/vouch", Key, Route::Vouch),
        row(GET, "/v1/keys", Key, Route::Keys),
        row(POST, "/v1/keys", Key, Route::AddKey),
        row(DELETE, "/v1/keys/{}", Key, Route::RemoveKey),
        row(GET, "/v1/audit", Key, Route::Audit),
        row(POST, "/v1/audit/verify", Key, Route::VerifyAudit),
        row(GET, "/c/{}", Page, Route::Ticket),
        row(POST, "/c/{}", Page, Route::Enter),
        row(GET, "/connect/{}", Page, Route::Page),
        row(POST, "/connect/{}/code", Page, Route::Code),
        row(POST, "/connect/{}/vouch", Page, Route::ToVouch),
        row(GET, "/connect/{}/vouched/{}", Page, Route::Vouched),
        row(POST, "/connect/{}/{}/go", Page, Route::Go),
        upload(POST, "/connect/{}/{}/key", Page, Route::ApiKey),
        row(POST, "/connect/{}/{}/decline", Page, Route::Decline),
        row(POST, "/connect/{}/cancel", Page, Route::Cancel),
        row(GET, "/callback/{}", Page, Route::Callback),
        row(GET, "/oauth/client/{}", Open, Route::ClientDocument),
    ]
};

/// What [`look_up`] found.
pub enum Lookup {
    /// A row, and what the path names.
    Found(&'static Row, Vec<String>),
    /// The path is there, under these methods.
    WrongMethod(Vec<&'static Method>),
    /// No such path.
    Unknown,
}

/// Finds the row of a request.
pub fn look_up(method: &Method, path: &str) -> Lookup {
    match look_in(&TABLE, method, path) {
        Lookup::Unknown => {}
        found => return found,
    }
    match look_in(&console::TABLE, method, path) {
        Lookup::Unknown => look_in(&descope::TABLE, method, &descope::collapsed(path)),
        found => found,
    }
}

fn look_in(table: &'static [Row], method: &Method, path: &str) -> Lookup {
    let mut allowed = Vec::new();
    for row in table {
        let Some(captures) = fits(row.path, path) else {
            continue;
        };
        if row.method == *method {
            return Lookup::Found(row, captures);
        }
        allowed.push(&row.method);
    }
    if allowed.is_empty() {
        Lookup::Unknown
    } else {
        Lookup::WrongMethod(allowed)
    }
}

fn fits(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut captures = Vec::new();
    let mut given = path.split('/');
    for wanted in pattern.split('/') {
        let segment = given.next()?;
        if wanted == "{}" {
            let decoded = percent_encoding::percent_decode_str(segment)
                .decode_utf8()
                .ok()?;
            if decoded.is_empty() {
                return None;
            }
            captures.push(decoded.into_owned());
        } else if wanted != segment {
            return None;
        }
    }
    given.next().is_none().then_some(captures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_by_whole_segments() {
        let found = |method: Method, path: &str| match look_up(&method, path) {
            Lookup::Found(row, captures) => Some((row.route, captures)),
            _ => None,
        };
        assert_eq!(found(Method::GET, "/health"), Some((Route::Health, vec![])));
        assert_eq!(
            found(Method::GET, "/v1/apps/a%2Bb"),
            Some((Route::App, vec!["a+b".to_owned()]))
        );
        for wrong in [
            "/health/",
            "//health",
            "/v1/apps/",
            "/v1//apps",
            "/v1/apps/a/b",
            "/",
            "",
        ] {
            assert_eq!(found(Method::GET, wrong), None, "{wrong}");
        }
        assert!(
            matches!(look_up(&Method::PATCH, "/v1/apps"), Lookup::WrongMethod(m) if m.len() == 2)
        );
    }

    #[test]
    fn no_row_hides_another() {
        let rows = TABLE.iter().chain(&console::TABLE);
        let rows: Vec<&Row> = rows.chain(&descope::TABLE).collect();
        for (at, row) in rows.iter().enumerate() {
            let twin = rows[..at]
                .iter()
                .find(|o| o.method == row.method && o.path == row.path);
            assert!(twin.is_none(), "{} {} stands twice", row.method, row.path);
        }
    }
}
