//! JSON that is none, or too much, on every route that reads JSON (N4).
//!
//! | catalogue row N4 | here |
//! |---|---|
//! | depth 10,000; as many keys as the limit takes; duplicates; surrogates; NaN; huge numbers; BOM | `monsters`, `bent` |
//! | wrong types, unknown fields, each field | `api_shape::n4_a_wrong_body_is_refused_and_never_quoted` |
//! | 400 with a fixed text, no echo, connection usable | `refused` |
//! | cut and bent bodies, by chance | `n4_a_body_cut_or_bent_by_chance_is_answered_and_never_quoted` |

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api_shape::bodies;
use crate::scene::Scene;
use crate::seeded::Seeded;
use crate::support::PATIENCE;

/// What no answer may hold.
const CANARY: &str = "CANARYc4n4ry";

/// A client that keeps one connection.
struct Line {
    io: TcpStream,
    host: String,
    key: String,
}

impl Line {
    async fn to(scene: &Scene) -> Self {
        let host = scene.inside.url.strip_prefix("http://").unwrap().to_owned();
        Self {
            io: TcpStream::connect(&host).await.unwrap(),
            host,
            key: scene.admin.key.clone(),
        }
    }

    /// Status and body of the answer to one request.
    async fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            self.key,
            body.len()
        );
        self.io
            .write_all(&[head.as_bytes(), body].concat())
            .await
            .ok()?;
        tokio::time::timeout(PATIENCE, self.answer())
            .await
            .expect("an answer in time")
    }

    async fn answer(&mut self) -> Option<(u16, String)> {
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&read);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.to_lowercase();
                let length = length.split("content-length: ").nth(1).unwrap();
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                if body.len() >= length {
                    return Some((head[9..12].parse().unwrap(), body.to_owned()));
                }
            }
            if self.io.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
    }
}

/// Bodies as deep, wide and long as a route takes: what each is, and its bytes.
fn monsters(room: usize) -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: String| text.into_bytes();
    let keys = |same: bool| {
        let mut all = String::from("{");
        let mut number = 0;
        while all.len() < room - 32 {
            all += &format!("\"{CANARY}{}\":1,", if same { 0 } else { number });
            number += 1;
        }
        text(format!("{all}\"z\":1}}"))
    };
    let field = |value: &str| text(format!("{{\"{CANARY}\":{value}}}"));
    let deep = |open: &str, close: &str| {
        field(&format!(
            "{}{CANARY}{}",
            open.repeat(10_000),
            close.repeat(10_000)
        ))
    };
    vec![
        ("lists ten thousand deep", deep("[", "]")),
        (
            "objects ten thousand deep",
            field(&"{\"a\":".repeat(10_000)),
        ),
        ("as many keys as fit", keys(false)),
        ("one key as often as it fits", keys(true)),
    ]
}

/// Bodies that are no JSON, or none that a text or number of ours could be.
fn bent() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: String| text.into_bytes();
    let field = |value: &str| text(format!("{{\"{CANARY}\":{value}}}"));
    let mut wide = vec![0xff, 0xfe];
    wide.extend(
        format!("{{\"{CANARY}\":1}}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes),
    );
    vec![
        ("a lone high surrogate", field("\"\\ud800\"")),
        ("a lone low surrogate", field("\"\\udc00\"")),
        (
            "surrogates the wrong way round",
            field("\"\\udc00\\ud800\""),
        ),
        ("half an escape", field("\"\\u12\"")),
        ("an escape that is none", field("\"\\x41\"")),
        ("NaN", field("NaN")),
        ("Infinity", field("-Infinity")),
        ("a number beyond a float", field("1e999999")),
        (
            "a number of fifty thousand digits",
            field(&"9".repeat(50_000)),
        ),
        (
            "a fraction of fifty thousand digits",
            field(&format!("0.{}", "9".repeat(50_000))),
        ),
        ("a number that begins with nought", field("007")),
        ("a hexadecimal number", field("0x10")),
        ("a plus", field("+1")),
        (
            "a byte order mark",
            text(format!("\u{feff}{{\"{CANARY}\":1}}")),
        ),
        ("UTF-16", wide),
        (
            "an overlong slash",
            [b"{\"a\":\"".as_slice(), &[0xc0, 0xaf], b"\"}"].concat(),
        ),
        (
            "a surrogate in UTF-8",
            [b"{\"a\":\"".as_slice(), &[0xed, 0xa0, 0x80], b"\"}"].concat(),
        ),
        ("a nought byte", field("\"\0\"")),
        ("a line end in a string", field("\"\n\"")),
        ("a comment", text(format!("{{/*{CANARY}*/}}"))),
        ("a comma too many", field("1,")),
        ("single quotes", text(format!("{{'{CANARY}':1}}"))),
        ("two objects", text(format!("{{}}{{\"{CANARY}\":1}}"))),
        ("a string without end", text(format!("{{\"{CANARY}"))),
        ("spaces alone", text(" ".repeat(1000))),
    ]
}

/// Checks that a refusal is one: the status, the code, and nothing of what was sent. Its message.
fn refused(answer: Option<(u16, String)>, what: &str) -> String {
    let (status, body) = answer.unwrap_or_else(|| panic!("{what}: the connection ended"));
    assert_eq!(status, 400, "{what}: {body}");
    assert!(!body.contains("CANARY"), "{what}: {body}");
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(said["error"]["code"], "invalid_request", "{what}");
    said["error"]["message"].as_str().unwrap().to_owned()
}

/// Goal: JSON that is malformed or monstrous is refused with one of few fixed texts that echo
/// nothing, and the connection serves the next request. Method: the corpus, on every route that
/// takes a body, all over one connection; then the right body's route is asked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n4_malformed_json_is_refused_on_every_route_with_a_fixed_text() {
    let scene = Scene::new().await;
    let mut line = Line::to(&scene).await;
    let mut texts = BTreeSet::new();
    let (_, before) = scene.admin.get("/v1/status").await;
    for (method, path, _) in bodies() {
        for (what, body) in monsters(64 * 1024).into_iter().chain(bent()) {
            let what = format!("{method} {path}: {what}");
            texts.insert(refused(line.ask(method, path, &body).await, &what));
        }
        let health = line.ask("GET", "/health", b"").await.unwrap();
        assert_eq!(health.0, 200, "{path}: the connection is usable");
    }
    // serde names the place; what it names beside that is of a list of our own.
    let shapes: BTreeSet<String> = texts
        .iter()
        .map(|text| text.replace(|c: char| c.is_ascii_digit(), ""))
        .collect();
    assert!(shapes.len() <= 40, "{shapes:#?}");
    let (_, after) = scene.admin.get("/v1/status").await;
    assert_eq!(before["epoch"], after["epoch"], "nothing was stored");
    scene.end().await;
}

/// Goal: no body whatever costs more than its refusal. Method: right bodies with a canary in each
/// text, cut or bent by chance; an answer always comes, it is no failure of ours, and what is
/// refused is not quoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n4_a_body_cut_or_bent_by_chance_is_answered_and_never_quoted() {
    let chance = Seeded::new("N4");
    let scene = Scene::new().await;
    let mut line = Line::to(&scene).await;
    // Unlocking would end the test: a wrong passphrase is tried and waits.
    let routes: Vec<_> = bodies()
        .into_iter()
        .filter(|one| one.1 != "/v1/unlock")
        .collect();
    for case in 0..chance.runs(1500) {
        let mut chance = chance.case(case);
        let at = chance.at(&format!("case {case}"));
        let rng = chance.rng();
        let (method, path, right) = &routes[rng.usize(..routes.len())];
        let mut body = right.to_string().into_bytes();
        for _ in 0..rng.usize(1..4) {
            let place = rng.usize(..body.len());
            match rng.u8(0..4) {
                0 => body.truncate(place.max(1)),
                1 => body[place] = rng.u8(..),
                2 => body.insert(place, b"{}[]\",:\\0x"[rng.usize(..10)]),
                _ => {
                    let text = format!("\"{CANARY}\"");
                    body.splice(place..place, text.into_bytes());
                }
            }
        }
        let (status, said) = line.ask(method, path, &body).await.expect(&at);
        assert!(status < 500, "{at}: {said}");
        assert!(status < 400 || !said.contains("CANARY"), "{at}: {said}");
    }
    assert_eq!(line.ask("GET", "/health", b"").await.unwrap().0, 200);
    scene.end().await;
}

/// Goal: the check above sees an answer that quotes, one of another status and a connection that
/// ended. Method: such answers.
#[test]
fn n4_the_check_sees_a_refusal_that_quotes_or_is_none() {
    let error = |message: &str| {
        let error = serde_json::json!({
            "error": { "code": "invalid_request", "message": message, "hint": "" }
        });
        error.to_string()
    };
    assert_eq!(refused(Some((400, error("no"))), ""), "no");
    for planted in [
        Some((400, error(&format!("unknown field `{CANARY}`")))),
        Some((500, error("no"))),
        Some((200, error("no"))),
        None,
    ] {
        assert!(std::panic::catch_unwind(|| refused(planted, "planted")).is_err());
    }
}
