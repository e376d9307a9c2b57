//! Request bodies: read whole, within a limit and a time, and told apart by type.
//!
//! It promises: a body declared too long is refused unread; one that turns out too long is refused
//! at the limit; one that does not arrive in time is refused.
//! It never: decompresses, guesses a type, or replaces bytes that are not text.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::BodyExt;
use hyper::body::Body;
use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::http::pace::within;
use crate::limits;

/// The types of body that we take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContentType {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

/// What a body says it is. `None` for no type, several, any other, a character set other than
/// UTF-8, or a compressed body.
///
/// The strictness is a guard of its own: a page of another site can send `text/plain` or a form
/// without a preflight, and `application/json` it cannot.
pub fn content_type(headers: &HeaderMap) -> Option<ContentType> {
    if headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let mut parts = value.to_str().ok()?.split(';').map(str::trim);
    let name = parts.next()?;
    for parameter in parts {
        let (key, value) = parameter.split_once('=')?;
        let utf8 = value.trim_matches('"').eq_ignore_ascii_case("utf-8");
        if !key.eq_ignore_ascii_case("charset") || !utf8 {
            return None;
        }
    }
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    match () {
        () if is("application/json") => Some(ContentType::Json),
        () if is("application/x-www-form-urlencoded") => Some(ContentType::Form),
        () => None,
    }
}

/// Reads a body whole, up to `limit_bytes`.
///
/// # Errors
/// [`Error::TooLarge`] beyond the limit (unread where the length was declared);
/// [`Error::Invalid`] where it breaks off or takes longer than [`limits::BODY_TIMEOUT`].
pub async fn read_body<B>(body: B, limit_bytes: usize) -> Result<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
{
    let too_large = || Error::TooLarge(format!("the body is longer than {limit_bytes} bytes"));
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > limit_bytes {
        return Err(too_large());
    }
    match within(limits::BODY_TIMEOUT, collect(body, limit_bytes)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(())) => Err(Error::invalid(
            "the body broke off or is not framed as declared",
        )),
        Err(_) => Err(Error::invalid(format!(
            "the body did not arrive within {} s",
            limits::BODY_TIMEOUT.as_secs()
        ))),
    }
}

/// `None` where there is more than the limit.
async fn collect<B>(mut body: B, limit_bytes: usize) -> std::result::Result<Option<Bytes>, ()>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ())?.into_data() else {
            continue; // trailers: bounded by hyper, and of no use to us
        };
        if first.len() + rest.len() + data.len() > limit_bytes {
            return Ok(None);
        }
        // Most bodies are one frame: it is taken as it is, without a copy.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(Some(first));
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(Some(whole.freeze()))
}

/// Reads a submitted form: its fields in order, decoded.
///
/// # Errors
/// Those of [`read_body`]; [`Error::Invalid`] for more than [`limits::FORM_FIELDS_MAX`] fields or
/// for text that is not UTF-8. A key altered in silence would be stored and never work.
pub async fn read_form<B>(body: B, limit_bytes: usize) -> Result<Vec<(String, String)>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let bytes = read_body(body, limit_bytes).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_text())?;
    parse_form(text)
}

/// Reads `a=1&b=2`, as a form or a query has it. The limits are those of [`read_form`].
///
/// # Errors
/// [`Error::Invalid`] as in [`read_form`].
pub fn parse_form(text: &str) -> Result<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let mut fields = Vec::new();
    for pair in pairs {
        if fields.len() == limits::FORM_FIELDS_MAX {
            let most = limits::FORM_FIELDS_MAX;
            return Err(Error::invalid(format!(
                "the form has more than {most} fields"
            )));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.push((decode(name)?, decode(value)?));
    }
    Ok(fields)
}

fn decode(text: &str) -> Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| not_text())
}

fn not_text() -> Error {
    Error::invalid("the form is not UTF-8 text")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http::HeaderValue;
    use http_body_util::{Empty, Full};
    use hyper::body::{Frame, SizeHint};

    use super::*;

    /// A body of `frames` pieces of `piece` bytes that tells how far it was read.
    struct Pieces<'a> {
        left: usize,
        piece: usize,
        declared: bool,
        polled: &'a mut usize,
    }

    impl Body for Pieces<'_> {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.left -= 1;
            *self.polled += 1;
            let piece = Bytes::from(vec![b'x'; self.piece]);
            Poll::Ready(Some(Ok(Frame::data(piece))))
        }

        fn size_hint(&self) -> SizeHint {
            if self.declared {
                return SizeHint::with_exact((self.left * self.piece) as u64);
            }
            SizeHint::default()
        }
    }

    /// A body that never comes.
    struct Never;

    impl Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        for (left, declared, polls, fits) in [
            (10, true, 10, true),
            (10, false, 10, true),
            (11, true, 0, false),
            (11, false, 11, false),
            (usize::MAX / 1024, false, 11, false),
            (0, true, 0, true),
        ] {
            let mut polled = 0;
            let body = Pieces {
                left,
                piece: 10,
                declared,
                polled: &mut polled,
            };
            let read = read_body(body, 100).await;
            assert_eq!(
                read.as_ref().map(Bytes::len).ok(),
                fits.then_some(left * 10)
            );
            if !fits {
                assert!(matches!(read, Err(Error::TooLarge(_))));
            }
            assert_eq!(polled, polls, "{left} pieces, declared: {declared}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_given_up() {
        assert!(matches!(
            read_body(Never, 100).await,
            Err(Error::Invalid(_))
        ));
    }

    #[test]
    fn only_json_and_forms_have_a_type() {
        let json = Some(ContentType::Json);
        for (text, expected) in [
            ("application/json", json),
            ("Application/JSON; charset=UTF-8", json),
            ("application/json;charset=\"utf-8\"", json),
            ("application/json; charset=latin1", None),
            ("application/json; boundary=x", None),
            ("application/json;", None),
            ("application/jsonp", None),
            ("text/plain", None),
            ("application/x-www-form-urlencoded", Some(ContentType::Form)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(text));
            assert_eq!(content_type(&headers), expected, "{text}");
            headers.append(CONTENT_TYPE, HeaderValue::from_static(text));
            assert_eq!(content_type(&headers), None, "twice {text}");
        }
        let mut zipped = HeaderMap::new();
        zipped.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        zipped.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(content_type(&zipped), None);
    }

    #[tokio::test]
    async fn a_form_is_decoded_strictly_and_bounded() {
        let form =
            |text: &'static str| read_form(Full::new(Bytes::from_static(text.as_bytes())), 99);
        let fields = form("a=1+2&&b=%C3%A9%26&c").await.unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(fields, [pair("a", "1 2"), pair("b", "é&"), pair("c", "")]);
        assert!(form("a=%FF").await.is_err());
        assert!(parse_form(&"a&".repeat(limits::FORM_FIELDS_MAX)).is_ok());
        assert!(parse_form(&"a&".repeat(limits::FORM_FIELDS_MAX + 1)).is_err());
        assert_eq!(read_form(Empty::new(), 99).await.unwrap(), []);
    }
}
