//! Requests framed so that two readers would see different ones (N3, T24; RFC 9112 6 and 11.2).

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{PAYLOAD, Running, within};

/// What must never be seen as a request: it would be answered with 500.
const SMUGGLED: &str = "GET /panic HTTP/1.1\r\nHost: HOST\r\n\r\n";

/// Fields that frame a body in a way that somebody reads otherwise.
const FRAMES: [&str; 24] = [
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 0\r\nContent-Length: 5",
    "Content-Length: 5, 6",
    "Content-Length: +5",
    "Content-Length: -0",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: 5;",
    "Content-Length: ",
    "Content-Length: 99999999999999999999999",
    "Content-Length : 5",
    " Content-Length: 5",
    "Content-Length\u{b}: 5",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: chunked\r\n\tx: y",
    "Transfer-Encoding: gzip, chunked, gzip",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\0\r\nContent-Length: 5",
    "Transfer-Encoding: \"chunked\"",
];

/// Chunks that end where somebody does not see it.
const CHUNKS: [&str; 10] = [
    "0x5\r\nabcde\r\n0\r\n\r\n",
    "+5\r\nabcde\r\n0\r\n\r\n",
    "5 5\r\nabcde\r\n0\r\n\r\n",
    "-1\r\nabcde\r\n0\r\n\r\n",
    "ffffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
    "\r\nabcde\r\n0\r\n\r\n",
    "5\rabcde\r\n0\r\n\r\n",
    "5\r\nabcdeX\r\n0\r\n\r\n",
    "5;\nx\r\nabcde\r\n0\r\n\r\n",
    "g\r\nabcde\r\n0\r\n\r\n",
];

/// Sends bytes, ends, and reads all that comes: the statuses of the answers.
async fn answers(server: &Running, bytes: &str) -> Vec<u16> {
    let host = server.address.unwrap().to_string();
    let mut io = server.connect().await;
    let _ = io.write_all(bytes.replace("HOST", &host).as_bytes()).await;
    let _ = io.shutdown().await;
    let mut read = Vec::new();
    let _ = within(io.read_to_end(&mut read)).await;
    let text = String::from_utf8_lossy(&read).into_owned();
    assert!(!text.contains(PAYLOAD), "{text}");
    let codes = text.split("HTTP/1.1 ").skip(1);
    codes
        .filter_map(|rest| rest.get(..3)?.parse().ok())
        .collect()
}

/// Goal: what is framed ambiguously is one refused request, and what stands behind it is none.
/// Method: each frame and each chunk, with a request hidden behind; it must never be answered.
#[tokio::test]
async fn n3_no_request_hides_behind_another() {
    let server = Running::tcp(|_| {}).await;
    for frame in FRAMES {
        let bytes =
            format!("POST /echo HTTP/1.1\r\nHost: HOST\r\n{frame}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        let seen = answers(&server, &bytes).await;
        assert!(matches!(seen[..], [] | [400]), "{frame:?}: {seen:?}");
    }
    assert_eq!(server.state.handled.load(Ordering::SeqCst), 0);
    for chunk in CHUNKS {
        let head = "POST /echo HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n";
        let seen = answers(&server, &format!("{head}{chunk}{SMUGGLED}")).await;
        assert!(matches!(seen[..], [] | [400]), "{chunk:?}: {seen:?}");
    }
    // The hidden one is a request where it is not hidden: the check can see it.
    assert_eq!(answers(&server, SMUGGLED).await, [500]);
    server.finish().await;
}

/// Goal: nothing that is endless is taken for long. Method: fields, extensions, trailers and a
/// request line without end, each sent until the other side has enough.
#[tokio::test]
async fn n3_what_is_endless_is_cut() {
    let server = Running::tcp(|_| {}).await;
    let host = server.host();
    let chunked = format!("POST /echo HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n");
    for (what, beginning, piece) in [
        (
            "fields",
            format!("GET / HTTP/1.1\r\n{host}"),
            "X: yyyyyyyyyyyyyyyyyyyy\r\n",
        ),
        (
            "one field",
            format!("GET / HTTP/1.1\r\n{host}X: "),
            "yyyyyyyyyyyyyyyy",
        ),
        ("a request line", "GET /".to_owned(), "aaaaaaaaaaaaaaaa"),
        ("one extension", format!("{chunked}1;"), "xxxxxxxxxxxxxxxx"),
        (
            "extensions",
            chunked.clone(),
            "1;xxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n",
        ),
        (
            "trailers",
            format!("{chunked}0\r\n"),
            "X: yyyyyyyyyyyyyyyyyyyy\r\n",
        ),
        ("a chunk size", chunked.clone(), "0000000000000000"),
    ] {
        let (mut reader, mut writer) = server.connect().await.into_split();
        let piece = piece.repeat(1024);
        let sending = tokio::spawn(async move {
            let _ = writer.write_all(beginning.as_bytes()).await;
            let mut sent = 0;
            while writer.write_all(piece.as_bytes()).await.is_ok() {
                sent += piece.len();
            }
            sent
        });
        let mut read = Vec::new();
        let _ = within(reader.read_to_end(&mut read)).await;
        drop(reader);
        let sent = within(sending).await.unwrap();
        // What the system's buffers hold went before the cut was known. Noughts before a chunk's
        // size are kept nowhere and have no end for hyper: the body's time-out is theirs.
        let is_cut = sent < 64 << 20 || what == "a chunk size";
        assert!(is_cut, "{what}: {sent} bytes went before the cut");
        let text = String::from_utf8_lossy(&read);
        let status = text.get(9..12).unwrap_or("none");
        assert!(
            ["none", "400", "413", "414", "431"].contains(&status),
            "{what}: {text}"
        );
    }
    server.finish().await;
}
