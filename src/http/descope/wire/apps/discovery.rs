//! `discoveryUrl`: a document's URL to Descope's clients, and an issuer here.
//!
//! It promises: each form of such a URL names its issuer, and what is shown names it again.
//! It never: reads the document.

use super::super::super::failure::Result;
use crate::model::url::WebUrl;

/// Where metadata lies (OpenID Connect Discovery 4, RFC 8414 3), behind the issuer or before its
/// path.
const WELL_KNOWN: [&str; 2] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
];

/// The issuer whose document this is. What is no such document's URL is taken for the issuer's own.
///
/// # Errors
/// A failure that names the field.
pub fn issuer(document: &str) -> Result<WebUrl> {
    let found = WELL_KNOWN.iter().find_map(|name| document.split_once(name));
    let (origin, path) = found.unwrap_or((document, ""));
    Ok(WebUrl::parse("discoveryUrl", &format!("{origin}{path}"))?)
}

/// The document of an issuer, where clients look for it.
pub fn document_of(issuer: &WebUrl) -> String {
    let issuer = issuer.as_str().trim_end_matches('/');
    format!("{issuer}{}", WELL_KNOWN[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_found_in_each_form_of_its_documents_url() {
        for (document, expected) in [
            ("https://a.example", "https://a.example/"),
            ("https://a.example/t/1", "https://a.example/t/1"),
            (
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/",
            ),
            (
                "https://a.example/t/1/.well-known/openid-configuration",
                "https://a.example/t/1",
            ),
            (
                "https://a.example/.well-known/oauth-authorization-server/t/1",
                "https://a.example/t/1",
            ),
        ] {
            let found = issuer(document).unwrap();
            assert_eq!(found.as_str(), expected, "{document}");
            assert_eq!(issuer(&document_of(&found)).unwrap(), found, "{document}");
        }
    }
}
