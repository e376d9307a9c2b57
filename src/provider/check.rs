//! What a provider says to a client that only tries: is it there, and does it know us?
//!
//! It promises: a client secret goes to the token endpoint and nowhere else; the code that is tried
//! is made up, so that no grant comes of it; an endpoint in trouble that was only knocked at keeps
//! nobody's refresh waiting.
//! It never: follows a redirect, keeps an answer, or says what to do.

use super::Provider;
use super::classify::{FORBIDDEN, Failure, FailureKind};
use crate::error::Result;
use crate::limits;
use crate::model::app::OAuth;
use crate::model::blanks::Known;
use crate::model::token::Grant;
use crate::model::url::WebUrl;
use crate::secret::{Secret, base64url, random};

/// What a token endpoint says of a client that brings a made-up code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The code is refused, and so the client was not.
    ClientAccepted,
    /// The client is refused: its id, its secret, or the way it proves itself.
    ClientRefused(String),
    /// Our redirect URI is not the registered one.
    RedirectUriRefused(String),
    /// An OAuth error that says nothing of the client.
    Unclear(String),
    /// It redirects; nothing is sent after it.
    Redirects,
    /// What answers is no token endpoint: a page, or a status without an OAuth error.
    NoTokenEndpoint(String),
    /// It gave a token for a code that nobody issued.
    TakesAnything,
    /// It is busy or in trouble.
    InTrouble(String),
    /// It was not reached, or its answer was lost.
    Unreached(String),
    /// The rules of the way out refuse it.
    Forbidden(String),
}

impl Provider {
    /// Whether the rules of the way out let this URL be reached, as far as its text tells.
    ///
    /// # Errors
    /// [`crate::error::Error::Forbidden`] with the rule it breaks.
    pub fn may_reach(&self, url: &WebUrl) -> Result<()> {
        self.0.egress.check(url.as_url()).map(drop)
    }

    /// Asks for a URL without credentials or parameters; the status of whatever answers.
    ///
    /// # Errors
    /// See [`FailureKind`].
    pub async fn knock(&self, url: &WebUrl) -> std::result::Result<u16, Failure> {
        let request = http::Request::get(url.as_str())
            .body(Vec::new())
            .map_err(|_| Failure::ours(FailureKind::NotSent, "not_sent", "not a URL"))?;
        let most = limits::PROVIDER_BODY_BYTES_MAX;
        let answer = self.send_aside(&url.authority(), request, most).await?;
        Ok(answer.status)
    }

    /// Tries to redeem a made-up code, as the client of an app.
    pub async fn try_client(
        &self,
        app: &OAuth,
        client_secret: Option<&Secret<String>>,
        redirect_uri: &str,
        known: &Known,
    ) -> Verdict {
        let made_up = || Secret::new(base64url(&random::<32>()));
        let (code, verifier) = (made_up(), made_up());
        let verifier = Some(&verifier).filter(|_| app.pkce);
        let tried = self
            .exchange(app, client_secret, &code, redirect_uri, verifier, known)
            .await;
        verdict(tried)
    }
}

/// Codes that say: the client is not the one it says it is, each seen where `classify` says.
const OF_THE_CLIENT: [&str; 9] = [
    "invalid_client",
    "unauthorized_client",
    "incorrect_client_credentials",
    "bad_client_secret",
    "invalid_client_id",
    "invalid_client_secret",
    "deleted_client",
    "access_denied",
    "bad_client_id",
];

/// Codes that say: the redirect URI is another one.
const OF_THE_REDIRECT_URI: [&str; 3] = [
    "redirect_uri_mismatch",
    "bad_redirect_uri",
    "invalid_redirect_uri",
];

fn verdict(tried: std::result::Result<Grant, Failure>) -> Verdict {
    let failure = match tried {
        Ok(_) => return Verdict::TakesAnything,
        Err(failure) => failure,
    };
    let words = match failure.description.is_empty() {
        true => failure.code.clone(),
        false => format!("{}: {}", failure.code, failure.description),
    };
    let code = failure.code.as_str();
    match failure.kind {
        FailureKind::Refused => Verdict::ClientAccepted,
        FailureKind::ScopeRefused => Verdict::Unclear(words),
        FailureKind::NotSent if code == FORBIDDEN => Verdict::Forbidden(failure.description),
        FailureKind::NotSent => Verdict::Unreached(failure.description),
        FailureKind::Transient { .. } => Verdict::InTrouble(words),
        // It said success, and holds nothing that could be read.
        FailureKind::AnswerLost if matches!(failure.status, Some(200..300)) => {
            Verdict::NoTokenEndpoint(words)
        }
        FailureKind::AnswerLost => Verdict::Unreached(failure.description),
        FailureKind::ClientRefused => match code {
            "redirect_refused" => Verdict::Redirects,
            // A status and no error of OAuth's.
            _ if code.starts_with("http_") => match failure.status {
                // RFC 6749 5.2: a 401 is the client's.
                Some(401) => Verdict::ClientRefused(words),
                _ => Verdict::NoTokenEndpoint(words),
            },
            _ if OF_THE_REDIRECT_URI.contains(&code) => Verdict::RedirectUriRefused(words),
            _ if OF_THE_CLIENT.contains(&code) => Verdict::ClientRefused(words),
            _ => Verdict::Unclear(words),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Answer, read_grant};
    use super::*;
    use crate::clock::Timestamp;

    fn said(status: u16, content_type: &str, body: &str) -> Verdict {
        let answer = Answer {
            status,
            content_type: content_type.into(),
            retry_after: String::new(),
            kept_for: None,
            www_authenticate: String::new(),
            body: Ok(Secret::new(body.as_bytes().to_vec())),
        };
        verdict(read_grant(&answer, " ", Timestamp::default()))
    }

    fn error(status: u16, code: &str) -> Verdict {
        let body = format!(r#"{{"error":"{code}"}}"#);
        said(status, "application/json", &body)
    }

    /// Goal: what a token endpoint says of a made-up code is understood. Method: answers of real
    /// providers, by their shapes.
    #[test]
    fn an_answer_to_a_made_up_code_tells_what_is_wrong() {
        for code in ["invalid_grant", "bad_verification_code", "invalid_code"] {
            assert_eq!(error(400, code), Verdict::ClientAccepted, "{code}");
            assert_eq!(error(200, code), Verdict::ClientAccepted, "{code} in a 200");
        }
        let words = |code: &str| code.to_owned();
        for code in OF_THE_CLIENT {
            assert_eq!(
                error(401, code),
                Verdict::ClientRefused(words(code)),
                "{code}"
            );
        }
        for code in OF_THE_REDIRECT_URI {
            assert_eq!(
                error(400, code),
                Verdict::RedirectUriRefused(words(code)),
                "{code}"
            );
        }
        assert_eq!(
            error(400, "invalid_request"),
            Verdict::Unclear("invalid_request".into())
        );
        let page = "<!doctype html><title>Sign in</title>";
        for (status, verdict) in [
            (200, true),
            (404, true),
            (405, true),
            (403, true),
            (401, false),
        ] {
            let is_page = matches!(said(status, "text/html", page), Verdict::NoTokenEndpoint(_));
            assert_eq!(is_page, verdict, "{status}");
        }
        assert!(matches!(
            said(401, "text/html", page),
            Verdict::ClientRefused(_)
        ));
        assert_eq!(said(302, "", ""), Verdict::Redirects);
        assert!(matches!(
            said(503, "text/html", page),
            Verdict::InTrouble(_)
        ));
        let token = r#"{"access_token":"a","token_type":"Bearer"}"#;
        assert_eq!(said(200, "application/json", token), Verdict::TakesAnything);
    }
}
