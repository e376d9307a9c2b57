//! What a token endpoint answers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::clock::Timestamp;
use strongroom::limits;
use strongroom::provider::answer::{Answer, Unread, read_grant, read_revocation};
use strongroom::provider::classify::FailureKind;
use strongroom::secret::Secret;

const TYPES: [&str; 6] = [
    "application/json",
    "application/json; charset=utf-8",
    "application/x-www-form-urlencoded",
    "text/html",
    "text/plain",
    "",
];
const STATUSES: [u16; 10] = [200, 200, 200, 201, 302, 400, 401, 429, 500, 503];

fuzz_target!(|data: &[u8]| {
    let Some((head, body)) = data.split_first_chunk::<3>() else {
        return;
    };
    let now = Timestamp::from_unix_ms(1_790_000_000_000);
    let status = STATUSES[usize::from(head[0]) % STATUSES.len()];
    let answer = Answer {
        status,
        content_type: TYPES[usize::from(head[1]) % TYPES.len()].into(),
        retry_after: String::from_utf8_lossy(&body[..body.len().min(16)]).into_owned(),
        kept_for: None,
        www_authenticate: String::new(),
        body: match head[2] {
            0 => Err(Unread::Broken),
            1 => Err(Unread::TooLong),
            _ => Ok(Secret::new(body.to_vec())),
        },
    };
    let separator = if head[2] % 2 == 0 { " " } else { "," };
    match read_grant(&answer, separator, now) {
        Ok(grant) => {
            assert!((200..300).contains(&status), "only a success grants");
            let tokens = [Some(&grant.access_token), grant.refresh_token.as_ref()];
            for token in tokens.into_iter().flatten() {
                let token = token.expose();
                assert!(!token.is_empty(), "an empty token is none");
                assert!(token.len() <= limits::CREDENTIAL_BYTES_MAX);
                assert!(!token.chars().any(char::is_control));
            }
            if let Some(lifetime) = grant.expires_in_s {
                assert!(lifetime <= limits::LIFETIME_MAX.as_secs());
            }
        }
        Err(failure) => {
            assert!(failure.code.chars().count() <= limits::PROVIDER_CODE_CHARS_MAX);
            assert!(failure.description.chars().count() <= limits::PROVIDER_TEXT_CHARS_MAX + 1);
            assert!(!failure.description.chars().any(char::is_control));
            if let FailureKind::Transient { retry_after } = failure.kind {
                assert!(retry_after.is_none_or(|wait| wait <= limits::RETRY_AFTER_MAX));
            }
            // A server in trouble never kills a grant, whatever its body says.
            let dead = failure.kind == FailureKind::Refused;
            assert!(!(dead && (status == 429 || status >= 500)));
        }
    }
    let _ = read_revocation(&answer, separator, now);
});
