//! Endpoint, the SDKs' functions, and what is checked of each.
//!
//! It promises: a check stands here once for each function that goes through the endpoint, and a
//! script has to have said that it made it, with that endpoint on the wire.
//! It never: lists what is checked by the suite `it`, which has the forms of other SDKs.

use std::collections::BTreeSet;

use strongroom::http::routes::descope::TABLE;

/// What a fetch is checked for, by a management key and by a token's place.
pub const FETCHES: &[&str] = &[
    "an OAuth token",
    "an API key",
    "refreshed",
    "400",
    "401",
    "403",
    "404 nothing stored",
    "404 dead connection",
    "404 no app",
    "429",
    "502",
];
const BATCHES: &[&str] = &[
    "stored whole",
    "nothing for one bad item",
    "400",
    "401",
    "403",
    "429",
];

/// Endpoint, function in Python, function in Node, checks. `node: ` before a check: of Node's
/// alone, since Python's function cannot say it.
pub const CHECKED: [(&str, &str, &str, &[&str]); 27] = [
    (
        "POST /v1/mgmt/outbound/app/user/token",
        "fetch_token_by_scopes",
        "fetchTokenByScopes",
        FETCHES,
    ),
    (
        "POST /v1/mgmt/outbound/app/user/token/latest",
        "fetch_token",
        "fetchToken",
        FETCHES,
    ),
    (
        "POST /v1/mgmt/outbound/app/tenant/token",
        "fetch_tenant_token_by_scopes",
        "fetchTenantTokenByScopes",
        FETCHES,
    ),
    (
        "POST /v1/mgmt/outbound/app/tenant/token/latest",
        "fetch_tenant_token",
        "fetchTenantToken",
        FETCHES,
    ),
    (
        "POST /v1/mgmt/outbound/app/create",
        "create_application",
        "createApplication",
        &[
            "an OAuth app",
            "node: an API-key app",
            "400",
            "401",
            "403",
            "429",
        ],
    ),
    (
        "POST /v1/mgmt/outbound/app/create/bytemplate",
        "",
        "createApplicationByTemplate",
        &["400", "401", "429"],
    ),
    ("POST /v1/mgmt/outbound/app/create/bydcrpreset", "", "", &[]),
    (
        "POST /v1/mgmt/outbound/app/update",
        "update_application",
        "updateApplication",
        &[
            "the whole app",
            "the secret stays",
            "400",
            "401",
            "403",
            "404",
            "429",
        ],
    ),
    (
        "POST /v1/mgmt/outbound/app/delete",
        "delete_application",
        "deleteApplication",
        &["with its tokens", "400", "401", "403", "404", "429"],
    ),
    (
        "GET /v1/mgmt/outbound/app/{}",
        "load_application",
        "loadApplication",
        &["as it was made", "401", "403", "404", "429"],
    ),
    // Java's form of loading.
    ("GET /v1/mgmt/outbound/app", "", "", &[]),
    (
        "GET /v1/mgmt/outbound/apps",
        "load_all_applications",
        "loadAllApplications",
        &["every app", "401", "403", "429"],
    ),
    (
        "POST /v1/outbound/oauth/connect",
        "",
        "outbound.connect",
        &["a link", "400", "401", "403", "404", "429"],
    ),
    // Of agents, which have no SDK here.
    ("POST /v1/mgmt/outbound/app/connect", "", "", &[]),
    // A browser's.
    ("GET /v1/outbound/oauth/callback", "", "", &[]),
    (
        "GET /v1/mgmt/outbound/apps-with-user-token",
        "list_apps_with_user_token",
        "listAppsWithUserToken",
        &[
            "of a user",
            "of a user in a tenant",
            "400",
            "401",
            "403",
            "429",
        ],
    ),
    (
        "DELETE /v1/mgmt/outbound/user/tokens",
        "delete_user_tokens",
        "deleteUserTokens",
        &[
            "by both",
            "of a user",
            "of an app",
            "400",
            "401",
            "403",
            "429",
        ],
    ),
    // Java's form of deleting.
    ("DELETE /v1/mgmt/outbound/tokens", "", "", &[]),
    (
        "DELETE /v1/mgmt/outbound/token",
        "delete_token",
        "deleteTokenById",
        &[
            "an OAuth token",
            "an API key",
            "400",
            "401",
            "403",
            "404",
            "429",
        ],
    ),
    (
        "POST /v1/mgmt/outbound/app/user/apikey/upload",
        "upload_user_api_key",
        "uploadUserApiKey",
        &["stored", "in a tenant", "400", "401", "403", "404", "429"],
    ),
    (
        "POST /v1/mgmt/outbound/app/tenant/apikey/upload",
        "upload_tenant_api_key",
        "uploadTenantApiKey",
        &["stored", "400", "401", "403", "404", "429"],
    ),
    (
        "POST /v1/mgmt/outbound/app/user/oauthtoken/upload",
        "upload_user_token",
        "uploadUserToken",
        &[
            "with all that was said",
            "in a tenant",
            "tried first",
            "400",
            "400 refresh refused",
            "401",
            "403",
            "404",
            "429",
            "502",
        ],
    ),
    (
        "POST /v1/mgmt/outbound/app/tenant/oauthtoken/upload",
        "upload_tenant_token",
        "uploadTenantToken",
        &[
            "with all that was said",
            "tried first",
            "400",
            "400 refresh refused",
            "401",
            "403",
            "404",
            "429",
            "502",
        ],
    ),
    (
        "POST /v1/mgmt/outbound/app/user/oauthtoken/batch/upload",
        "batch_upload_user_tokens",
        "batchUploadUserTokens",
        BATCHES,
    ),
    (
        "POST /v1/mgmt/outbound/app/tenant/oauthtoken/batch/upload",
        "batch_upload_tenant_tokens",
        "batchUploadTenantTokens",
        BATCHES,
    ),
    (
        "GET /v1/mgmt/license",
        "DescopeClient",
        "DescopeClient",
        &["the tier"],
    ),
    ("GET /v2/keys/{}", "validate_session", "getKey", &["no key"]),
];

/// Before the name of a fetch by token.
const BY_TOKEN: &str = "by_token.";
/// What Python's by-token class is checked for with a JWT besides.
const WITH_JWTS: [&str; 2] = ["with a JWT", "403 with another's JWT"];
/// Functions of the client itself, and not of its class for outbound applications.
const OF_THE_CLIENT: [&str; 4] = [
    "DescopeClient",
    "validate_session",
    "getKey",
    "outbound.connect",
];

/// What a script has to have said.
pub struct Expected {
    /// The functions of the SDK's classes.
    pub functions: BTreeSet<String>,
    /// Endpoint, function and check.
    pub checks: BTreeSet<(String, String, String)>,
}

pub fn of_python() -> Expected {
    let alike = |check: &'static str| (!check.starts_with("node: ")).then_some(check);
    let mut expected = expected(|(_, python, ..)| python, alike);
    for (endpoint, python, _, _) in CHECKED.iter().filter(|(.., checks)| *checks == FETCHES) {
        let function = format!("{BY_TOKEN}{python}");
        for check in WITH_JWTS {
            let check = ((*endpoint).to_owned(), function.clone(), check.to_owned());
            expected.checks.insert(check);
        }
    }
    expected
}

pub fn of_node() -> Expected {
    let all = |check: &'static str| Some(check.strip_prefix("node: ").unwrap_or(check));
    expected(|(_, _, node, _)| node, all)
}

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

fn expected(
    name_of: impl Fn(Row) -> &'static str,
    of_this: impl Fn(&'static str) -> Option<&'static str>,
) -> Expected {
    let mut expected = Expected {
        functions: BTreeSet::new(),
        checks: BTreeSet::new(),
    };
    for row in CHECKED.into_iter().filter(|row| !name_of(*row).is_empty()) {
        let (endpoint, _, _, checks) = row;
        let mut functions = vec![name_of(row).to_owned()];
        if checks == FETCHES {
            functions.push(format!("{BY_TOKEN}{}", name_of(row)));
        }
        for function in functions {
            for check in checks.iter().copied().filter_map(&of_this) {
                let check = (endpoint.to_owned(), function.clone(), check.to_owned());
                expected.checks.insert(check);
            }
            if !OF_THE_CLIENT.contains(&function.as_str()) {
                expected.functions.insert(function);
            }
        }
    }
    expected
}

/// The endpoint of a request that was seen: `GET /v1/mgmt/outbound/app/mail` is one of
/// `GET /v1/mgmt/outbound/app/{}`. What is none stays as it is.
pub fn endpoint_of(seen: &str) -> String {
    let known = TABLE
        .iter()
        .map(|row| format!("{} {}", row.method, row.path));
    let mut fitting = known.filter(|known| {
        let parts = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let (known, seen) = (parts(known), parts(seen));
        let is_alike = |(k, s): (&String, &String)| k == s || k == "{}";
        known.len() == seen.len() && known.iter().zip(&seen).all(is_alike)
    });
    fitting.next().unwrap_or_else(|| seen.to_owned())
}
