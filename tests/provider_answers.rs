//! Tables of provider answers: what each one means, exactly. No sockets, no time but a given one.

use std::time::Duration;

use strongroom::clock::Timestamp;
use strongroom::limits;
use strongroom::model::token::Grant;
use strongroom::provider::answer::{Answer, Unread, read_grant, read_revocation};
use strongroom::provider::classify::{Failure, FailureKind, filter_text, read_retry_after};
use strongroom::secret::{Secret, base64url};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const JSON: &str = "application/json";
const HTML: &str = "text/html";
const FORM: &str = "application/x-www-form-urlencoded";
const LATER: FailureKind = FailureKind::Transient { retry_after: None };

fn answer(status: u16, content_type: &str, body: &[u8]) -> Answer {
    Answer {
        status,
        content_type: content_type.into(),
        retry_after: String::new(),
        kept_for: None,
        www_authenticate: String::new(),
        body: Ok(Secret::new(body.to_vec())),
    }
}

fn read(status: u16, content_type: &str, body: &str) -> Result<Grant, Failure> {
    read_grant(&answer(status, content_type, body.as_bytes()), " ", NOW)
}

fn grant(body: &str) -> Grant {
    match read(200, JSON, body) {
        Ok(grant) => grant,
        Err(failure) => panic!("{body}: {failure:?}"),
    }
}

/// Goal: the classification of provider answers is exact (R8). Method: a table of answers of the
/// specifications and of real providers, each with its kind and code.
#[test]
fn r8_every_refusal_has_its_kind_and_code() {
    let lines = include_str!("provider_answers.txt").lines();
    let mut count = 0;
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = line.splitn(5, ' ').collect();
        let status = fields[0].parse().unwrap();
        let content_type = match fields[1] {
            "json" => JSON,
            "html" => HTML,
            "form" => FORM,
            "text" => "text/plain",
            _ => "",
        };
        // JSON reads its own escapes; what stands outside of it is read here.
        let body = fields
            .get(4)
            .unwrap_or(&"")
            .replace("\\u{feff}", "\u{feff}");
        let body = match body.strip_suffix("\\r\\n\\0") {
            Some(body) => format!("{body}\r\n\0"),
            None => body,
        };
        let Err(failure) = read(status, content_type, &body) else {
            panic!("taken for a grant: {line}");
        };
        let kind = match failure.kind {
            FailureKind::Transient { retry_after: None } => "LATER".to_owned(),
            kind => format!("{kind:?}"),
        };
        assert_eq!(
            (kind.as_str(), failure.code.as_str()),
            (fields[2], fields[3]),
            "{line}"
        );
        assert_eq!(failure.status, Some(status));
        count += 1;
    }
    assert!(count >= 45);
}

#[test]
fn r5_a_body_that_was_not_read_counts_by_its_status() {
    let kind = |status, unread| {
        let mut answer = answer(status, JSON, b"");
        answer.body = Err(unread);
        read_grant(&answer, " ", NOW)
            .err()
            .map(|f| (f.kind, f.code))
    };
    let lost = |code: &str| Some((FailureKind::AnswerLost, code.to_owned()));
    assert_eq!(kind(200, Unread::TooLong), lost("answer_too_long"));
    assert_eq!(kind(200, Unread::Broken), lost("answer_lost"));
    assert_eq!(
        kind(500, Unread::TooLong),
        Some((LATER, "http_500".to_owned()))
    );
    assert_eq!(
        kind(400, Unread::Broken),
        Some((FailureKind::ClientRefused, "http_400".to_owned()))
    );
}

/// Goal: odd but usable answers give their token (R5). Method: one of each tolerance.
#[test]
fn r5_odd_answers_give_their_token() {
    for (content_type, body) in [
        (JSON, r#"{"access_token":"at","token_type":"bearer"}"#),
        (HTML, r#"{"access_token":"at","token_type":"bearer"}"#),
        ("", r#"{"access_token":"at","token_type":"bearer"}"#),
        (FORM, r#"{"access_token":"at","token_type":"bearer"}"#),
        (
            JSON,
            "\u{feff} \n{\"access_token\":\"at\",\"token_type\":\"bearer\"} \r\n\0junk",
        ),
        (FORM, "access_token=at&token_type=bearer&scope="),
        (
            "text/plain",
            "access_token=at&expires=60&token_type=bearer\n",
        ),
        (JSON, "token_type=bearer&access_token=at"),
        (
            JSON,
            r#"{"access_token":"x","access_token":"at","token_type":"bearer"}"#,
        ),
        (
            JSON,
            r#"{"access_token":"at","token_type":"bearer","error":null,"extra":{"a":[1]}}"#,
        ),
        (
            JSON,
            r#"{"access_token":"at","token_type":"bearer","error":"","ok":true}"#,
        ),
        (
            JSON,
            r#"{"access_token":"at","token_type":"bearer","error":"warning"}"#,
        ),
        (
            JSON,
            r#"{"access_token":"at","token_type":"bearer","id_token":"not.a","scope":7}"#,
        ),
    ] {
        match read(200, content_type, body) {
            Ok(grant) => {
                assert_eq!(grant.access_token.expose(), "at", "{body}");
                assert_eq!(grant.token_type, "bearer", "{body}");
                assert!(grant.refresh_token.is_none() && grant.subject.is_none());
            }
            Err(failure) => panic!("{body}: {failure:?}"),
        }
    }
    let latin = b"{\"error\":\"invalid_grant\",\"error_description\":\"expir\xe9\"}";
    let failure = read_grant(&answer(400, JSON, latin), " ", NOW)
        .err()
        .unwrap();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert_eq!(
        grant(r#"{"access_token":"at","refresh_token":"r"}"#)
            .refresh_token
            .map(|token| token.expose().clone()),
        Some("r".to_owned())
    );
    for absent in ["null", "\"\"", "7", "false", "{}"] {
        let body = format!(r#"{{"access_token":"at","refresh_token":{absent}}}"#);
        assert!(grant(&body).refresh_token.is_none(), "{absent}");
    }
}

#[test]
fn a_token_type_is_kept_as_it_came_if_it_can_stand_in_a_header() {
    for (given, kept) in [
        (r#""bearer""#, "bearer"),
        (r#""DPoP""#, "DPoP"),
        (r#""token""#, "token"),
        (r#""""#, "Bearer"),
        ("null", "Bearer"),
        ("7", "Bearer"),
        (r#""a b""#, "Bearer"),
        (r#""a\nb""#, "Bearer"),
    ] {
        let body = format!(r#"{{"access_token":"at","token_type":{given}}}"#);
        assert_eq!(grant(&body).token_type, kept, "{given}");
    }
    assert_eq!(grant(r#"{"access_token":"at"}"#).token_type, "Bearer");
}

#[test]
fn r5_a_lifetime_is_read_from_whatever_makes_sense() {
    let max = limits::LIFETIME_MAX.as_secs();
    for (fields, lifetime) in [
        (r#""expires_in":3600"#, Some(3600)),
        (r#""expires_in":3599.97"#, Some(3599)),
        (r#""expires_in":"3600""#, Some(3600)),
        (r#""expires_in":" 3600.0 ""#, Some(3600)),
        (r#""expires_in":0"#, None),
        (r#""expires_in":-1"#, None),
        (r#""expires_in":"-1""#, None),
        (r#""expires_in":"soon""#, None),
        (r#""expires_in":"NaN""#, None),
        (r#""expires_in":"inf""#, None),
        (r#""expires_in":"""#, None),
        (r#""expires_in":null"#, None),
        (r#""expires_in":[3600]"#, None),
        (r#""expires_in":315360000"#, Some(max)),
        (r#""expires_in":9223372036854775807"#, Some(max)),
        (r#""expires_in":1e300"#, Some(max)),
        (r#""expires_in":1800003600"#, Some(3600)),
        (r#""expires_in":0,"expires_at":1800003600"#, Some(3600)),
        (r#""expires_in":60,"expires_at":1800003600"#, Some(60)),
        (r#""expires_at":1800003600"#, Some(3600)),
        (r#""expires_at":1800003600000"#, Some(3600)),
        (r#""expires_at":"1800003600""#, Some(3600)),
        (r#""expires_at":"2027-01-15T09:00:00Z""#, Some(3600)),
        (r#""expires_at":"2027-01-15T10:00:00+01:00""#, Some(3600)),
        (r#""expires_at":1700000000"#, None),
        (r#""expires_at":"2020-01-01T00:00:00Z""#, None),
        (r#""expires_on":"1800003600""#, Some(3600)),
        (r#""expires":5184000"#, Some(5_184_000)),
        (r#""expires":"never""#, None),
        (r#""x":1"#, None),
    ] {
        let grant = grant(&format!(r#"{{"access_token":"at",{fields}}}"#));
        assert_eq!(grant.expires_in_s, lifetime, "{fields}");
    }
}

#[test]
fn scopes_are_read_in_every_shape() {
    for (separator, fields, scopes) in [
        (" ", r#""scope":"b a""#, Some(vec!["a", "b"])),
        (" ", r#""scope":"repo,gist""#, Some(vec!["gist", "repo"])),
        (" ", r#""scope":" a ,  b,,a ""#, Some(vec!["a", "b"])),
        (",", r#""scope":"a,b""#, Some(vec!["a", "b"])),
        (",", r#""scope":"a b""#, Some(vec!["a", "b"])),
        (
            ",",
            r#""scope":"read all, write all""#,
            Some(vec!["read all", "write all"]),
        ),
        (";", r#""scope":"a;b""#, Some(vec!["a", "b"])),
        (" ", r#""scope":["b","a",7]"#, Some(vec!["a", "b"])),
        (" ", r#""scopes":["b"]"#, Some(vec!["b"])),
        (" ", r#""scope":"""#, None),
        (" ", r#""scope":[]"#, None),
        (" ", r#""scope":null"#, None),
        (" ", r#""scope":{"a":1}"#, None),
        (" ", r#""x":1"#, None),
    ] {
        let body = format!(r#"{{"access_token":"at",{fields}}}"#);
        let grant = read_grant(&answer(200, JSON, body.as_bytes()), separator, NOW)
            .unwrap_or_else(|failure| panic!("{body}: {failure:?}"));
        let found = grant
            .scopes
            .as_ref()
            .map(|scopes| scopes.iter().collect::<Vec<_>>());
        assert_eq!(found, scopes, "{fields}");
    }
    let many: Vec<String> = (0..1000).map(|n| format!("s{n}")).collect();
    let body = format!(r#"{{"access_token":"at","scope":"{}"}}"#, many.join(" "));
    assert!(grant(&body).scopes.is_none());
}

#[test]
fn the_subject_comes_from_the_id_token_if_it_can_be_read() {
    let with = |payload: &str| {
        let token = format!("{}.{}.sig", base64url(b"{}"), base64url(payload.as_bytes()));
        grant(&format!(r#"{{"access_token":"at","id_token":"{token}"}}"#))
    };
    assert_eq!(with(r#"{"sub":"alice"}"#).subject.as_deref(), Some("alice"));
    for odd in [
        "",
        "{}",
        r#"{"sub":7}"#,
        r#"{"sub":""}"#,
        r#"{"sub":"a\nb"}"#,
    ] {
        let grant = with(odd);
        assert!(grant.subject.is_none() && grant.id_token.is_some(), "{odd}");
    }
    for odd in ["x", "..", "a.b", "a.!.c"] {
        let grant = grant(&format!(r#"{{"access_token":"at","id_token":"{odd}"}}"#));
        assert!(grant.subject.is_none() && grant.id_token.is_some(), "{odd}");
    }
}

#[test]
fn credentials_have_a_longest_length() {
    let longest = "t".repeat(limits::CREDENTIAL_BYTES_MAX);
    let body = |access: &str, refresh: &str| {
        format!(r#"{{"access_token":"{access}","refresh_token":"{refresh}"}}"#)
    };
    assert!(read(200, JSON, &body(&longest, &longest)).is_ok());
    let longer = longest + "t";
    for body in [body(&longer, "r"), body("a", &longer)] {
        let failure = read(200, JSON, &body).err().unwrap();
        assert_eq!(failure.kind, FailureKind::AnswerLost);
        assert_eq!(failure.code, "credential_unusable");
    }
    // An id token that is too long costs itself alone.
    let grant = grant(&format!(r#"{{"access_token":"a","id_token":"{longer}"}}"#));
    assert!(grant.id_token.is_none());
}

#[test]
fn deep_and_hostile_json_is_refused_without_harm() {
    let deep = format!(r#"{{"access_token":"a","x":{}"#, "[".repeat(100_000));
    assert_eq!(
        read(200, JSON, &deep).err().unwrap().kind,
        FailureKind::AnswerLost
    );
    let wide = format!(r#"{{"access_token":"a"{}}}"#, r#","x":1"#.repeat(50_000));
    assert!(read(200, JSON, &wide).is_ok());
}

#[test]
fn retry_after_is_seconds_or_a_date_and_has_an_end() {
    let secs = Duration::from_secs;
    for (text, wait) in [
        ("120", Some(secs(120))),
        (" 7 ", Some(secs(7))),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("soon", None),
        ("315360000", Some(limits::RETRY_AFTER_MAX)),
        ("99999999999999999999999", Some(limits::RETRY_AFTER_MAX)),
        ("Fri, 15 Jan 2027 08:01:00 GMT", Some(secs(60))),
        ("Friday, 15-Jan-27 08:01:00 GMT", Some(secs(60))),
        (
            "Thu, 15 Jan 2037 08:01:00 GMT",
            Some(limits::RETRY_AFTER_MAX),
        ),
        ("Fri, 15 Jan 2027 07:59:00 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
    ] {
        assert_eq!(read_retry_after(text, NOW), wait, "{text:?}");
    }
    let mut busy = answer(429, JSON, b"{}");
    busy.retry_after = "30".into();
    let retry_after = Some(secs(30));
    let failure = read_grant(&busy, " ", NOW).err().unwrap();
    assert_eq!(failure.kind, FailureKind::Transient { retry_after });
}

/// Goal: no token in what we keep of an error. Method: tokens in every place a text can come from.
#[test]
fn provider_text_is_filtered_before_anybody_sees_it() {
    let canaries = [
        "CANARYabcdefghijklmnop0123456789",
        "CANARY-abc_def.ghi~jkl+mno/pqr=",
        "ya29.CANARY-abcdefghijkl",
        "xoxb-CANARY-123456789-abcdef",
        "CANARY%2Fabcdefgh%2Fijklmn",
        "CANARY:abcdefgh:ijklmnopq",
    ];
    for canary in canaries {
        for body in [
            format!(r#"{{"error":"invalid_grant","error_description":"bad token {canary}."}}"#),
            format!(r#"{{"error":"invalid_grant","error_description":"({canary})"}}"#),
            format!(r#"{{"error":"invalid_grant","message":"token='{canary}',x"}}"#),
            format!(r#"{{"errors":[{{"errorType":"invalid_grant","message":"{canary}"}}]}}"#),
            format!(r#"{{"error":"{canary}"}}"#),
            format!(r#"{{"error":{{"code":"{canary}","message":"{canary}"}}}}"#),
            format!("<html>{canary}</html>"),
            format!("error={canary}&error_description={canary}"),
        ] {
            let failure = read(400, JSON, &body).err().unwrap();
            let shown = format!("{failure:?}");
            assert!(!shown.contains("CANARY"), "{shown}");
            assert!(!shown.contains("abcdefghijklmnop"), "{shown}");
        }
    }
    assert_eq!(
        filter_text("Token has been expired or revoked.\r\n<b>\u{202e}</b>"),
        "Token has been expired or revoked. b /b"
    );
    let long = "word ".repeat(100);
    assert!(filter_text(&long).len() <= limits::PROVIDER_TEXT_CHARS_MAX);
    let code = format!(r#"{{"error":"{}"}}"#, "ab_".repeat(100));
    assert!(read(400, JSON, &code).err().unwrap().code.len() <= limits::PROVIDER_CODE_CHARS_MAX);
}

#[test]
fn o9_a_revocation_succeeds_whatever_a_success_holds() {
    let read = |status, body: &[u8]| read_revocation(&answer(status, JSON, body), " ", NOW);
    for (status, body) in [
        (200, &b""[..]),
        (200, b"{}"),
        (204, b""),
        (200, b"OK"),
        (200, b"{\"ok\":true,\"revoked\":true}"),
        (400, b"{\"error\":\"invalid_token\"}"),
        (400, b"{\"error\":\"invalid_grant\"}"),
    ] {
        assert_eq!(read(status, body), Ok(()), "{status}");
    }
    for (status, body, kind) in [
        (200, &b"{\"ok\":false,\"error\":\"ratelimited\"}"[..], LATER),
        (503, b"", LATER),
        (504, b"", FailureKind::AnswerLost),
        (
            400,
            b"{\"error\":\"unsupported_token_type\"}",
            FailureKind::ClientRefused,
        ),
        (
            401,
            b"{\"error\":\"invalid_client\"}",
            FailureKind::ClientRefused,
        ),
        (302, b"", FailureKind::ClientRefused),
    ] {
        assert_eq!(read(status, body).unwrap_err().kind, kind, "{status}");
    }
}
