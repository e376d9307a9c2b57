//! Pages elsewhere that may call us: on a few routes, from origins that an operator named (CORS).
//!
//! It promises: a page is let to read an answer where its origin is on the list and the route is
//! made for pages, whatever the answer is; it is named by its origin, for it may come with a
//! person's cookies; what it may send along is `authorization`, `content-type` and `x-descope-*`.
//! It never: opens a native route, or answers a page of an origin that is not on the list.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use crate::http::answer::Answer;
use crate::http::guard::HostRule;
use crate::http::routes::{Lookup, Route, look_up};
use crate::http::wire;
use crate::limits;

/// A page elsewhere that asks, and may read the answer. Put on an answer, it becomes its headers.
#[derive(Clone, Debug)]
pub struct Page {
    origin: HeaderValue,
    /// Of the request that a preflight asks for: its method, and the header fields it may have.
    preflight: Option<(HeaderValue, Option<HeaderValue>)>,
}

impl Page {
    /// The page behind a request, where it may call this route.
    pub fn of(head: &Parts, hosts: &HostRule) -> Option<Self> {
        let origin = HeaderValue::from_str(hosts.page_of(&head.headers)?).ok()?;
        let is_preflight = head.method == Method::OPTIONS;
        let wanted = match is_preflight {
            true => head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.clone(),
            false => HeaderValue::from_str(head.method.as_str()).ok()?,
        };
        let method = Method::from_bytes(wanted.as_bytes()).ok()?;
        let Lookup::Found(row, _) = look_up(&method, head.uri.path()) else {
            return None;
        };
        let Route::Descope(operation) = row.route else {
            return None;
        };
        let preflight = is_preflight.then(|| (wanted, let_through(&head.headers)));
        operation
            .is_for_pages()
            .then_some(Self { origin, preflight })
    }

    /// True where the browser only asks what the page may do.
    pub fn is_preflight(&self) -> bool {
        self.preflight.is_some()
    }

    /// The answer to a preflight.
    pub fn preflighted(self) -> Answer {
        self.lets_read(wire::ok(&serde_json::json!({})))
    }

    /// Lets the page read an answer.
    #[must_use]
    pub fn lets_read(self, mut answer: Answer) -> Answer {
        answer.extensions_mut().insert(self);
        answer
    }

    /// Writes down what the page may do with an answer.
    pub fn dress(self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        let yes = HeaderValue::from_static("true");
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        let Some((method, fields)) = self.preflight else {
            let exposed = HeaderValue::from_static("Retry-After");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
        if let Some(fields) = fields {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields);
        }
        let life = limits::PREFLIGHT_LIFE.as_secs();
        headers.insert(ACCESS_CONTROL_MAX_AGE, life.into());
    }
}

/// The header fields that a page wants to send and may.
fn let_through(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS);
    let names = wanted
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| may_be_sent(name));
    let names: Vec<String> = names.take(limits::PREFLIGHT_HEADERS_MAX).collect();
    HeaderValue::from_str(&names.join(", "))
        .ok()
        .filter(|list| !list.is_empty())
}

fn may_be_sent(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    matches!(name, "authorization" | "content-type")
        || name.starts_with("x-descope-") && name.bytes().all(plain)
}
