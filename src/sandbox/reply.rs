//! An answer before it leaves: status, headers, and content that can still be reshaped.
//!
//! It promises: every answer has the strict headers (no store, no sniffing, no framing, no
//! referrer, and for pages a content policy without scripts).
//! It never: reaches the wire itself (that is `serve`).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, PRAGMA, REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use maud::Markup;
use serde_json::{Value, json};

use super::rules::Refusal;
use crate::clock::Clock;
use crate::limits;

/// An answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
}

/// An answer's body.
pub(super) enum Content {
    Empty,
    Json(Value),
    Raw(Bytes),
}

/// Which content policy a page has. A form's target policy covers the redirects that follow, too.
#[derive(Clone, Copy)]
pub(super) enum Policy {
    /// Forms go to this server and stay here.
    Here,
    /// The form's answer leads to the client, and from there to wherever the client sends people,
    /// so no list of targets can be given.
    Onwards,
}

impl Reply {
    /// An answer without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (CACHE_CONTROL, "no-store"),
            (PRAGMA, "no-cache"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Self {
            status,
            headers,
            content: Content::Empty,
        }
    }

    /// A JSON answer.
    pub(super) fn json(status: StatusCode, value: Value) -> Self {
        let mut reply = Self::empty(status).with(CONTENT_TYPE, "application/json");
        reply.content = Content::Json(value);
        reply
    }

    /// Text of some kind.
    pub(super) fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Self {
        let mut reply = Self::empty(status).with(CONTENT_TYPE, kind);
        reply.content = Content::Raw(text.into());
        reply
    }

    /// A page.
    pub(super) fn page(status: StatusCode, policy: Policy, page: Markup) -> Self {
        let policy = match policy {
            Policy::Here => {
                "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                 base-uri 'none'"
            }
            Policy::Onwards => {
                "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"
            }
        };
        Self::text(status, "text/html; charset=utf-8", page.into_string())
            .with(CONTENT_SECURITY_POLICY, policy)
    }

    /// An OAuth error (RFC 6749 5.2); a failed client authentication says how to authenticate.
    pub(super) fn refusal(status: StatusCode, refusal: &Refusal) -> Self {
        let content = json!({"error": refusal.code, "error_description": refusal.description});
        let reply = Self::json(status, content);
        if status == StatusCode::UNAUTHORIZED {
            reply.with(WWW_AUTHENTICATE, "Basic realm=\"sandbox\"")
        } else {
            reply
        }
    }

    /// A redirect with 303, so that a form's POST becomes a GET. `None` where `to` cannot stand in
    /// a header.
    pub(super) fn see_other(to: &str) -> Option<Self> {
        let to = HeaderValue::from_str(to).ok()?;
        let mut reply = Self::empty(StatusCode::SEE_OTHER);
        reply.headers.insert(LOCATION, to);
        Some(reply)
    }

    /// With one header more.
    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// With the browser's session cookie.
    pub(super) fn with_session(mut self, token: &str) -> Self {
        // No `Secure`: the sandbox speaks plain HTTP, on the loopback interface.
        let cookie = format!("sbx_session={token}; Path=/; HttpOnly; SameSite=Lax");
        let cookie = HeaderValue::from_str(&cookie).expect("a token is base64url");
        self.headers.insert(SET_COOKIE, cookie);
        self
    }

    /// The body's bytes.
    pub(super) fn bytes(&self) -> Bytes {
        match &self.content {
            Content::Empty => Bytes::new(),
            Content::Json(value) => value.to_string().into(),
            Content::Raw(bytes) => bytes.clone(),
        }
    }

    /// The answer, with `body` in place of its content.
    pub(super) fn into_response(self, body: Outgoing) -> Response<Outgoing> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// A body on its way out.
pub(super) enum Outgoing {
    /// At once.
    Whole(Bytes),
    /// One byte at a time.
    Drip(Drip),
    /// Half of it, and then nothing more.
    Half(Half),
    /// Far more than anybody wants, of unknown length.
    Flood {
        /// Bytes still to come.
        left: u64,
        /// The first of them have left.
        begun: bool,
    },
}

/// A body that leaves one byte at a time.
pub(super) struct Drip {
    bytes: Bytes,
    every: Duration,
    clock: Clock,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// A body of which only the first half leaves.
pub(super) struct Half {
    bytes: Bytes,
    /// Bytes that are announced and have not left.
    left: u64,
    silence: Pin<Box<tokio::time::Sleep>>,
}

impl Outgoing {
    /// Half of a body, and then silence; after a very long one the connection is closed.
    pub(super) fn half(bytes: Bytes) -> Self {
        Self::Half(Half {
            left: bytes.len() as u64,
            bytes: bytes.slice(..bytes.len() / 2),
            silence: Box::pin(tokio::time::sleep(limits::SANDBOX_HANG_MAX)),
        })
    }

    /// A body that leaves one byte at a time, with a pause before each.
    pub(super) fn drip(bytes: Bytes, every: Duration, clock: Clock) -> Self {
        Self::Drip(Drip {
            bytes,
            every: every.min(limits::SANDBOX_DRIP_EVERY_MAX),
            clock,
            pause: None,
        })
    }

    /// A JSON object of `size` bytes, made while it is sent.
    pub(super) fn flood(size: u64) -> Self {
        Self::Flood {
            left: size.min(limits::SANDBOX_HUGE_BYTES_MAX),
            begun: false,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Self::Whole(bytes) => std::mem::take(bytes),
            Self::Drip(drip) => match drip.poll(context) {
                Poll::Ready(bytes) => bytes,
                Poll::Pending => return Poll::Pending,
            },
            Self::Half(half) => match half.poll(context) {
                Poll::Ready(bytes) => bytes,
                Poll::Pending => return Poll::Pending,
            },
            Self::Flood { left, begun } => flood(left, begun),
        };
        Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Drip(drip) => drip.bytes.is_empty(),
            Self::Half(_) => false,
            Self::Flood { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Drip(drip) => SizeHint::with_exact(drip.bytes.len() as u64),
            Self::Half(half) => SizeHint::with_exact(half.left),
            Self::Flood { .. } => SizeHint::default(),
        }
    }
}

impl Drip {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        if self.bytes.is_empty() {
            return Poll::Ready(Bytes::new());
        }
        let (clock, every) = (self.clock.clone(), self.every);
        let pause = self.pause.get_or_insert_with(|| {
            Box::pin(async move {
                // Even a drip without pauses lets the last byte leave before the next.
                tokio::task::yield_now().await;
                clock.sleep_until(clock.now().plus(every)).await;
            })
        });
        if pause.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.pause = None;
        Poll::Ready(self.bytes.split_to(1))
    }
}

impl Half {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        if self.bytes.is_empty() {
            return self.silence.as_mut().poll(context).map(|()| Bytes::new());
        }
        self.left -= self.bytes.len() as u64;
        Poll::Ready(std::mem::take(&mut self.bytes))
    }
}

const FLOOD_HEAD: &str = "{\"access_token\":\"";
const FLOOD_TAIL: &str = "\"}";
static FLOOD_CHUNK: [u8; 16 * 1024] = [b'a'; 16 * 1024];

fn flood(left: &mut u64, begun: &mut bool) -> Bytes {
    let tail = FLOOD_TAIL.len() as u64;
    let next: &'static [u8] = if !*begun {
        *begun = true;
        FLOOD_HEAD.as_bytes()
    } else if *left > tail {
        let size = usize::try_from(*left - tail).unwrap_or(usize::MAX);
        &FLOOD_CHUNK[..size.min(FLOOD_CHUNK.len())]
    } else {
        FLOOD_TAIL.as_bytes()
    };
    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(next.len());
    *left -= size as u64;
    Bytes::from_static(&next[..size])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_as_long_as_asked_and_reads_as_json() {
        let (mut left, mut begun, mut whole) = (100_000, false, Vec::new());
        while left > 0 {
            whole.extend_from_slice(&flood(&mut left, &mut begun));
        }
        assert_eq!(whole.len(), 100_000);
        assert!(serde_json::from_slice::<Value>(&whole).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_body_is_announced_whole_and_followed_by_silence() {
        let mut body = Outgoing::half(Bytes::from_static(b"{\"a\":1}"));
        assert_eq!(body.size_hint().exact(), Some(7));
        let mut next =
            async || std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let first = next().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "{\"a");
        let silence = tokio::time::timeout(limits::SANDBOX_HANG_MAX / 2, next());
        assert!(silence.await.is_err());
        assert!(next().await.is_none(), "the connection is closed at last");
    }
}
