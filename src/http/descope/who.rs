//! Who asks, in the words of Descope's clients: a project and a credential in one bearer.
//!
//! ```text
//! Bearer <project id>:<credential>          every client with a management key, or a token
//! Bearer <project id>:<credential>:<more>   with a second key, which says nothing here
//! Bearer <credential>                       older ones; the project, if said, in a header
//! Bearer <project id>   and a cookie `DSR`  a page of a listed origin: the token is the cookie's
//! ```
//! A credential is an access key or a JWT, and neither has a colon, so that the first one ends the
//! project id.
//!
//! It promises: a credential counts for the project that is named with it, or for ours where none
//! is; a cookie, which a browser sends whoever made the page, counts only for what pages ask for,
//! from an origin that was let in, and only if it holds a JWT.
//! It never: decides whether a credential is any good.

use http::HeaderMap;
use http::header::ORIGIN;

use crate::bearer;
use crate::http::cookie::Cookie;
use crate::http::routes::descope::Operation;
use crate::secret::Secret;

const PROJECT_HEADER: &str = "x-descope-project-id";
/// The cookie in which Descope's pages keep the refresh token of who is signed in.
const SESSION_COOKIE: &str = "DSR";

/// The credential that is presented for `project`; none where there is none, or another project is
/// meant.
pub fn credential(
    bearer: &str,
    headers: &HeaderMap,
    project: Option<&str>,
    operation: Operation,
) -> Option<Secret<String>> {
    let mut parts = bearer.splitn(3, ':');
    let first = parts.next().unwrap_or_default();
    let (named, credential) = match parts.next() {
        Some(credential) => (Some(first), credential),
        None if Some(first) == project => return of_session(headers, operation),
        None => {
            let header = headers.get(PROJECT_HEADER);
            (
                header.map(|value| value.to_str().unwrap_or_default()),
                first,
            )
        }
    };
    let is_ours = named.is_none_or(|named| Some(named) == project);
    (is_ours && !credential.is_empty()).then(|| Secret::new(credential.to_owned()))
}

/// The session's token. A request that says its `Origin` and came as far as this was let in by the
/// list of origins (`guard`); one that says none may be any page's.
fn of_session(headers: &HeaderMap, operation: Operation) -> Option<Secret<String>> {
    if !operation.is_for_pages() || !headers.contains_key(ORIGIN) {
        return None;
    }
    let cookie = Cookie::new(SESSION_COOKIE, false);
    let token = Secret::new(cookie.read(headers)?.to_owned());
    bearer::is_jwt(&token).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::COOKIE;

    use super::*;
    use crate::http::routes::descope::{Level, Pick};

    const FETCH: Operation = Operation::Fetch(Level::User, Pick::Latest);
    const JWT: &str = "eyJh.eyJz.c2ln";

    #[test]
    fn a_credential_counts_for_its_own_project_in_each_form() {
        let presented = |bearer: &str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(project) = header {
                headers.insert(PROJECT_HEADER, HeaderValue::from_static(project));
            }
            let found = credential(bearer, &headers, Some("Pours"), FETCH);
            found.map(|found| found.expose().clone())
        };
        for own in ["sr_1_2", JWT] {
            let found = Some(own.to_owned());
            for form in ["Pours:{}", "Pours:{}:second", "Pours:{}:"] {
                let good = form.replace("{}", own);
                assert_eq!(presented(&good, None), found, "{good}");
                // The SDKs say it in both places; what stands with the credential counts.
                assert_eq!(presented(&good, Some("Pother")), found, "{good}");
            }
            assert_eq!(presented(own, Some("Pours")), found);
            assert_eq!(presented(own, None), found);
            assert_eq!(presented(&format!("Pother:{own}"), None), None);
            assert_eq!(presented(&format!(":{own}"), None), None);
            assert_eq!(presented(own, Some("Pother")), None);
        }
        for bad in ["Pours:", "Pours::sr_1_2", "Pours", ""] {
            assert_eq!(presented(bad, None), None, "{bad}");
        }
    }

    /// Goal: a cookie is a credential for what pages ask for, from an origin that was let in, and
    /// for nothing else. Method: one of these at a time is not so.
    #[test]
    fn a_sessions_cookie_counts_only_for_what_pages_ask_for() {
        let cookie = |bearer: &str, origin: bool, cookie: &str, operation: Operation| {
            let mut headers = HeaderMap::new();
            if origin {
                headers.insert(ORIGIN, HeaderValue::from_static("https://app.example"));
            }
            headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
            credential(bearer, &headers, Some("Pours"), operation).is_some()
        };
        let (session, pages) = (format!("a=1; DSR={JWT}"), Operation::ConnectedApps);
        assert!(cookie("Pours", true, &session, pages));
        assert!(!cookie("Pours", false, &session, pages));
        assert!(!cookie("Pours", true, &session, FETCH));
        assert!(!cookie("Pours:", true, &session, pages));
        assert!(!cookie("", true, &session, pages));
        assert!(!cookie("Pours", true, &format!("DS={JWT}"), pages));
        assert!(!cookie(
            "Pours",
            true,
            &format!("{session}; DSR=x.y.z"),
            pages
        ));
        assert!(!cookie("Pours", true, "DSR=sr_1_2", pages));
    }
}
