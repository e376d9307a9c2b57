//! Asks an issuer for its metadata, wherever it may be kept.
//!
//! It promises: each place is asked once, within the bounds of the way out; where no document
//! serves, the error says what each place answered; a place in trouble keeps nobody's refresh
//! waiting.
//! It never: takes an endpoint that the rules of the way out would refuse later.

use super::Provider;
use super::answer::{Answer, Unread};
use super::classify::{FORBIDDEN, Failure, FailureKind, read_retry_after};
use super::metadata::{self, Discovered};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::url::WebUrl;

impl Provider {
    /// Learns an issuer's endpoints from its metadata: every document there is, joined.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an issuer that cannot be one; [`Error::Forbidden`] where the rules of
    /// the way out refuse it or an endpoint it names; [`Error::ProviderRefused`] or
    /// [`Error::ProviderUnavailable`] where no document serves, saying what each place answered.
    pub async fn discover(&self, issuer: &WebUrl) -> Result<Discovered> {
        let found = self.metadata(issuer).await?;
        let endpoints = &found.endpoints;
        if endpoints.authorization_url.is_none() || endpoints.token_url.is_none() {
            return Err(incomplete(
                "the issuer names no authorization or no token endpoint",
            ));
        }
        let named = [
            &endpoints.authorization_url,
            &endpoints.token_url,
            &endpoints.revocation_url,
        ];
        for endpoint in named.into_iter().flatten() {
            self.0.egress.check(endpoint.as_url())?;
        }
        Ok(found)
    }

    /// Learns from an issuer's metadata where the keys are that it signs with, and how it writes
    /// itself.
    ///
    /// # Errors
    /// As [`Provider::discover`].
    pub async fn place_of_keys(&self, issuer: &WebUrl) -> Result<(WebUrl, String)> {
        let found = self.metadata(issuer).await?;
        let place = found
            .jwks_url
            .ok_or_else(|| incomplete("the issuer names no `jwks_uri`"))?;
        Ok((place, found.issuer))
    }

    /// Every document of an issuer that there is, joined.
    async fn metadata(&self, issuer: &WebUrl) -> Result<Discovered> {
        self.0.egress.check(issuer.as_url())?;
        let mut documents = Vec::new();
        let mut answers = Vec::new();
        // One place after the other: an app is set up once, and a slow issuer must not hold four
        // of its seats.
        for place in metadata::candidates(issuer)? {
            match self.document(issuer, &place).await {
                Ok(document) => documents.push(document),
                Err(failure) => {
                    // A host that did not answer is not asked three times more.
                    let is_silent =
                        matches!(failure.kind, FailureKind::NotSent | FailureKind::AnswerLost);
                    answers.push((place, failure));
                    if is_silent {
                        break;
                    }
                }
            }
        }
        let is_missing =
            |(_, failure): &(WebUrl, Failure)| failure.kind == FailureKind::ClientRefused;
        let mut found = metadata::merge(documents).ok_or_else(|| no_document(&answers))?;
        found.is_whole = answers.iter().all(is_missing);
        Ok(found)
    }

    /// Asks for a public JSON document.
    pub(super) async fn get(
        &self,
        place: &WebUrl,
        body_max: usize,
    ) -> std::result::Result<Answer, Failure> {
        let request = http::Request::get(place.as_str())
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| Failure::ours(FailureKind::ClientRefused, "metadata", "not a URL"))?;
        self.send_aside(&place.authority(), request, body_max).await
    }

    async fn document(
        &self,
        issuer: &WebUrl,
        place: &WebUrl,
    ) -> std::result::Result<Discovered, Failure> {
        let unusable = |what: String| Failure::ours(FailureKind::ClientRefused, "metadata", what);
        let answer = self.get(place, limits::METADATA_BYTES_MAX).await?;
        match (answer.status, &answer.body) {
            (200, Ok(body)) => {
                let read = metadata::read(issuer, body.expose()).map_err(unusable)?;
                let kept_for = answer.kept_for;
                Ok(Discovered { kept_for, ..read })
            }
            (200, Err(Unread::TooLong)) => Err(unusable("the document is too long".into())),
            (200, Err(Unread::Broken)) => Err(Failure::ours(
                FailureKind::AnswerLost,
                "answer_lost",
                "the document broke off",
            )),
            (status, _) => {
                let kind = match status {
                    429 | 500.. => FailureKind::Transient {
                        retry_after: read_retry_after(&answer.retry_after, self.0.clock.now()),
                    },
                    _ => FailureKind::ClientRefused,
                };
                Err(Failure::ours(kind, "metadata", format!("status {status}")))
            }
        }
    }
}

fn incomplete(what: &str) -> Error {
    Error::ProviderRefused {
        code: "metadata_incomplete".into(),
        description: what.into(),
    }
}

fn no_document(answers: &[(WebUrl, Failure)]) -> Error {
    if let Some((_, failure)) = answers
        .iter()
        .find(|(_, failure)| failure.code == FORBIDDEN)
    {
        return Error::Forbidden(failure.description.clone());
    }
    let said: Vec<String> = answers
        .iter()
        .map(|(place, failure)| format!("`{}`: {}", place.as_url().path(), failure.description))
        .collect();
    let what = format!("no metadata of the issuer: {}", said.join("; "));
    let is_refused = |(_, failure): &(WebUrl, Failure)| failure.kind == FailureKind::ClientRefused;
    // A place in trouble may have had one.
    if answers.iter().all(is_refused) {
        return Error::ProviderRefused {
            code: "no_metadata".into(),
            description: what,
        };
    }
    let waits = answers
        .iter()
        .filter_map(|(_, failure)| match failure.kind {
            FailureKind::Transient { retry_after } => retry_after,
            _ => None,
        });
    Error::ProviderUnavailable {
        what,
        retry_after: waits.max(),
    }
}
