//! A request, read whole and within bounds, and what is remembered of it.
//!
//! It promises: a body is bounded in size and time before anything looks at it; a parameter that
//! comes twice is an error (RFC 6749 3.1), an empty one counts as absent.
//! It never: decides anything.

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap};
use hyper::{Method, StatusCode};

use super::reply::Reply;
use super::rules::Refusal;
use crate::limits;
use crate::secret::Secret;

/// A request, read whole.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Fields,
    /// The body, where it is a form.
    pub(super) form: Fields,
    pub(super) is_form: bool,
    headers: HeaderMap,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// The answer to give, where the body is too long, too slow or broken.
    pub(super) async fn read(request: hyper::Request<Incoming>) -> Result<Self, Reply> {
        let (head, body) = request.into_parts();
        let whole = Limited::new(body, limits::BODY_BYTES_MAX).collect();
        let body = match tokio::time::timeout(limits::BODY_TIMEOUT, whole).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(problem)) if problem.is::<LengthLimitError>() => {
                return Err(broken(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is too long",
                ));
            }
            Ok(Err(_)) => return Err(broken(StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => {
                return Err(broken(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body took too long",
                ));
            }
        };
        let is_form = text(&head.headers, CONTENT_TYPE.as_str()).is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        Ok(Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: Fields::parse(head.uri.query().unwrap_or_default().as_bytes()),
            form: Fields::parse(if is_form { &body } else { b"" }),
            is_form,
            headers: head.headers,
        })
    }

    /// A header's value, where it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    /// The `Authorization` header.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.header(AUTHORIZATION.as_str())
    }

    /// A cookie's value.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.header(COOKIE.as_str())?
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// What is remembered of this request.
    pub(super) fn seen(&self) -> RequestSeen {
        let keep = |fields: &Fields| {
            let secret =
                |(name, value): &(String, String)| (name.clone(), Secret::new(value.clone()));
            fields.0.iter().map(secret).collect()
        };
        RequestSeen {
            method: self.method.to_string(),
            path: self.path.clone(),
            query: keep(&self.query),
            form: keep(&self.form),
            authorization: self.authorization().map(|it| Secret::new(it.to_owned())),
        }
    }
}

/// The parameters of a query or form, in the order they came.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The value of a parameter; `None` where it is absent or empty.
    ///
    /// # Errors
    /// `invalid_request` where it comes more than once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::new(
                "invalid_request",
                "a parameter came more than once",
            ));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// `invalid_request` with `description` where it is not there, or comes more than once.
    pub(super) fn needed(&self, name: &str, description: &'static str) -> Result<&str, Refusal> {
        self.one(name)?
            .ok_or(Refusal::new("invalid_request", description))
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A request as it was received, for tests that look at what a client sends. Its values cannot be
/// printed; they are asked for by name.
#[derive(Clone)]
pub struct RequestSeen {
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    query: Vec<(String, Secret<String>)>,
    form: Vec<(String, Secret<String>)>,
    authorization: Option<Secret<String>>,
}

impl RequestSeen {
    /// The first value of a form field; an empty one is `Some("")`.
    pub fn form(&self, name: &str) -> Option<&str> {
        find(&self.form, name)
    }

    /// The first value of a query parameter; an empty one is `Some("")`.
    pub fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// The `Authorization` header as it came.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(|it| it.expose().as_str())
    }

    /// The names of the form's fields, in the order they came.
    pub fn form_names(&self) -> Vec<&str> {
        self.form.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The names of the query's parameters, in the order they came.
    pub fn query_names(&self) -> Vec<&str> {
        self.query.iter().map(|(name, _)| name.as_str()).collect()
    }
}

fn find<'a>(fields: &'a [(String, Secret<String>)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find_map(|(key, value)| (key == name).then(|| value.expose().as_str()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn broken(status: StatusCode, what: &'static str) -> Reply {
    Reply::refusal(status, &Refusal::new("invalid_request", what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_comes_twice_is_an_error_and_an_empty_one_is_absent() {
        let fields = Fields::parse(b"a=1&b=&c=x&c=y&d=%20z+");
        assert_eq!(fields.one("a"), Ok(Some("1")));
        assert_eq!(fields.one("b"), Ok(None));
        assert_eq!(fields.one("c").unwrap_err().code, "invalid_request");
        assert_eq!(fields.one("d"), Ok(Some(" z ")));
        assert_eq!(
            fields.needed("e", "e is missing").unwrap_err().description,
            "e is missing"
        );
    }
}
