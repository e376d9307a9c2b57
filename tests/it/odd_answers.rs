//! Answers of a hostile provider that say "granted", and are odd (R5).
//!
//! | catalogue row R5 | here, or |
//! |---|---|
//! | 10 MiB, HTML, form, 307/302, absent fields | `misbehaviour`, `provider::hostile` |
//! | a byte now and then, a flood | `provider::hostile::r5_long_slow_and_broken_answers_are_bounded` |
//! | `expires_in`, token types, empty tokens, duplicates, gzip, types, bytes | `r5_an_odd_grant_has_its_documented_outcome` |

use std::time::Duration;

use strongroom::sandbox::Misbehaviour;

use crate::rig::{Rig, Setup};

const OK: &str = "200 ok";
const LATER: &str = "503 unavailable";

/// What an answer says, and what becomes of it.
struct Odd {
    name: &'static str,
    content_type: &'static str,
    encoding: Option<&'static str>,
    body: Vec<u8>,
    fetch: &'static str,
    /// The code of the last refresh error.
    code: &'static str,
    /// Life of what was stored, in seconds; where it was.
    life: Option<u64>,
}

fn odd(name: &'static str, body: &str, fetch: &'static str, code: &'static str) -> Odd {
    Odd {
        name,
        content_type: "application/json",
        encoding: None,
        body: body.as_bytes().to_vec(),
        fetch,
        code,
        life: None,
    }
}

fn granted(name: &'static str, body: &str, life: u64) -> Odd {
    Odd {
        life: Some(life),
        ..odd(name, body, OK, "")
    }
}

/// A JSON grant with `more` besides its token.
fn with(more: &str) -> String {
    format!("{{\"access_token\":\"new-one\",\"token_type\":\"Bearer\"{more}}}")
}

fn lives() -> Vec<Odd> {
    // The rig's tokens live an hour, and what no answer says is taken from the last one.
    let of =
        |name, value: &str, life| granted(name, &with(&format!(",\"expires_in\":{value}")), life);
    let most = strongroom::limits::LIFETIME_MAX.as_secs();
    vec![
        of("a negative life", "-5", 3600),
        of("a life of nought", "0", 3600),
        of("a life of text", "\"900\"", 900),
        of("a life that is no number", "\"soon\"", 3600),
        of("a life with a fraction", "900.5", 900),
        of("a life beyond all", "1e300", most),
        of("a life of a century", "3153600000", most),
        of("a life of many digits", "99999999999999999999999", most),
        of("a life that is null", "null", 3600),
        of("a life that is a list", "[900]", 3600),
    ]
}

fn kinds() -> Vec<Odd> {
    let unreadable = "answer_unreadable";
    let typed = |name, kind: &str| {
        granted(
            name,
            &format!("{{\"access_token\":\"new-one\",\"token_type\":{kind}}}"),
            3600,
        )
    };
    let bytes = |name, body: &[u8], fetch, code| Odd {
        body: body.to_vec(),
        ..odd(name, "", fetch, code)
    };
    vec![
        typed("a type in capitals", "\"BEARER\""),
        typed("a type of another kind", "\"mac\""),
        typed("a type that is null", "null"),
        typed("a type that is a number", "7"),
        granted(
            "an empty refresh token",
            &with(",\"refresh_token\":\"\""),
            3600,
        ),
        granted(
            "a refresh token that is null",
            &with(",\"refresh_token\":null"),
            3600,
        ),
        granted(
            "a refresh token that is a number",
            &with(",\"refresh_token\":7"),
            3600,
        ),
        odd(
            "an access token that is empty",
            "{\"access_token\":\"\"}",
            LATER,
            "no_access_token",
        ),
        odd(
            "an access token that is a list",
            "{\"access_token\":[\"a\"]}",
            LATER,
            "no_access_token",
        ),
        odd(
            "a line end in a token",
            "{\"access_token\":\"a\\r\\nX: y\"}",
            LATER,
            "credential_unusable",
        ),
        odd(
            "a nought in a token",
            "{\"access_token\":\"a\\u0000b\"}",
            LATER,
            "credential_unusable",
        ),
        odd("a list", "[]", LATER, unreadable),
        odd("nothing", "", LATER, unreadable),
        granted("text behind the object", &with("}{"), 3600),
        bytes(
            "bytes that are no UTF-8",
            b"{\"access_token\":\"\xff\xfe\"}",
            LATER,
            "credential_unusable",
        ),
        bytes("noughts", &[0; 64], LATER, unreadable),
    ]
}

fn wraps() -> Vec<Odd> {
    let right = with(",\"expires_in\":900");
    vec![
        Odd {
            content_type: "text/html",
            ..granted("JSON that calls itself HTML", &right, 900)
        },
        Odd {
            content_type: "",
            ..granted("JSON without a type", &right, 900)
        },
        Odd {
            encoding: Some("gzip"),
            body: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3],
            ..odd("compressed", "", LATER, "answer_unreadable")
        },
        granted(
            "one field twice",
            &with(",\"expires_in\":900,\"expires_in\":901"),
            901,
        ),
    ]
}

/// Goal: each odd answer has one outcome, written here, and none loses the refresh token. Method:
/// each meets an expired token of its own; what was handed out, what is stored, and that the very
/// next refresh with the stored refresh token works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_an_odd_grant_has_its_documented_outcome() {
    let rig = Rig::with(Setup {
        timeout: Duration::from_secs(5),
        ..Setup::default()
    })
    .await;
    let mut faults = Vec::new();
    let all = lives().into_iter().chain(kinds()).chain(wraps());
    for (number, odd) in all.enumerate() {
        let user = format!("u{number}");
        let stored = rig.store_expired(&user).await;
        let mut headers = vec![("content-type".to_owned(), odd.content_type.to_owned())];
        headers.retain(|(_, value)| !value.is_empty());
        headers.extend(
            odd.encoding
                .map(|how| ("content-encoding".to_owned(), how.to_owned())),
        );
        let (status, body) = (200, odd.body);
        rig.at_token(
            Misbehaviour::Raw {
                status,
                headers,
                body,
            },
            None,
        );
        let (line, said) = rig.fetch(&user).await;
        rig.behave();
        let summary = rig.summary(&stored.id).await;
        let code = summary["last_refresh_error"]["code"].as_str().unwrap_or("");
        let ends = summary["expires_at"]
            .as_str()
            .and_then(strongroom::clock::Timestamp::parse);
        let life = ends
            .map(|ends| ends.since(rig.now()).as_secs())
            .filter(|_| line == OK);
        if (line.as_str(), code, life) != (odd.fetch, odd.code, odd.life) {
            faults.push(format!("{}: {line} {code} {life:?}: {said}", odd.name));
        }
        assert_eq!(summary["state"], "active", "{}", odd.name);
        assert_eq!(
            rig.refresh_token(&stored.id).await,
            stored.refresh,
            "{}",
            odd.name
        );
        // Past any life and wait, the kept refresh token brings a new one.
        rig.advance(strongroom::limits::LIFETIME_MAX.as_secs() + 1);
        let before = rig.refreshed();
        rig.access(&user).await;
        assert_eq!(rig.refreshed() - before, 1, "{}", odd.name);
    }
    assert!(faults.is_empty(), "{faults:#?}");
    rig.inside.end().await;
}
