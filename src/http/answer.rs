//! The shape of every answer: the error object and the headers that no answer goes without.
//!
//! It promises: an error is `{"error":{"code","message","hint"}}`, and no answer leaves without
//! `nosniff`, a referrer policy and a cache rule.
//! It never: lets a `Server` header out, or a CORS header that `cors` did not write, and never puts
//! a request's text in an answer.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, SERVER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::http::cors::Page;

/// An answer as this room makes it: whole, in memory, of known length.
pub type Answer = Response<Full<Bytes>>;

/// Marks an answer that was made before the request's body was read.
#[derive(Clone, Copy, Debug)]
pub struct BodyUnread;

/// Marks an answer as made before the request's body was read: the connection ends with it.
#[must_use]
pub fn before_body(mut answer: Answer) -> Answer {
    answer.extensions_mut().insert(BodyUnread);
    answer
}

/// Makes an error answer: a stable code, what is wrong, and what to do about it.
pub fn error(status: StatusCode, code: &str, message: &str, hint: &str) -> Answer {
    let body = serde_json::json!({
        "error": { "code": code, "message": message, "hint": hint }
    });
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// Gives an answer the headers that all of them carry, and takes those that none may carry.
///
/// `Cache-Control` and `Referrer-Policy` stay as the handler set them, where it did.
pub fn dress(answer: &mut Answer) {
    let page = answer.extensions_mut().remove::<Page>();
    let headers = answer.headers_mut();
    if headers.keys().any(is_banned) {
        let banned: Vec<HeaderName> = headers
            .keys()
            .filter(|name| is_banned(name))
            .cloned()
            .collect();
        for name in banned {
            headers.remove(name);
        }
    }
    if let Some(page) = page {
        page.dress(headers);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(REFERRER_POLICY)
        .or_insert(HeaderValue::from_static("no-referrer"));
}

fn is_banned(name: &HeaderName) -> bool {
    *name == SERVER || name.as_str().starts_with("access-control-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_loses_what_none_may_carry_and_gains_what_all_must() {
        let mut answer = error(StatusCode::NOT_FOUND, "not_found", "no", "look");
        for name in [
            "access-control-allow-origin",
            "access-control-max-age",
            "server",
        ] {
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static("*"));
        }
        dress(&mut answer);
        let mut names: Vec<&str> = answer.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "cache-control",
            "content-type",
            "referrer-policy",
            "x-content-type-options",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_handler_may_choose_its_cache_rule_and_referrer_policy() {
        let mut answer = error(StatusCode::OK, "x", "x", "x");
        let cached = HeaderValue::from_static("max-age=60");
        answer.headers_mut().insert(CACHE_CONTROL, cached.clone());
        let same = HeaderValue::from_static("same-origin");
        answer.headers_mut().insert(REFERRER_POLICY, same.clone());
        dress(&mut answer);
        assert_eq!(answer.headers()[CACHE_CONTROL], cached);
        assert_eq!(answer.headers()[REFERRER_POLICY], same);
    }
}
