//! Requests and connections: what is answered, what is refused, what is cut, and when.

use std::sync::atomic::Ordering;
use std::time::Instant;

use strongroom::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Running, SHORT, ask, closed, receive, within};

#[tokio::test]
async fn one_connection_carries_request_after_request() {
    let server = Running::tcp(|_| {}).await;
    let mut io = server.connect().await;
    let request = format!("GET /v1/x HTTP/1.1\r\n{}\r\n", server.host());
    for _ in 0..5 {
        assert_eq!(ask(&mut io, &request).await.body, "ok");
    }
    // Pipelined: all sent before the first answer is read; answered in order.
    let post = |body: &str| {
        let host = server.host();
        format!(
            "POST /echo HTTP/1.1\r\n{host}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    io.write_all([post("a"), post("bb"), post("ccc")].concat().as_bytes())
        .await
        .unwrap();
    for body in ["a", "bb", "ccc"] {
        assert_eq!(receive(&mut io).await.unwrap().body, body);
    }
    server.finish().await;
}

#[tokio::test]
async fn every_answer_carries_the_house_headers_and_none_that_are_banned() {
    let server = Running::tcp(|_| {}).await;
    for (path, host, status) in [
        ("/cors", server.host(), 200),
        ("/v1/x", server.host(), 200),
        ("/panic", server.host(), 500),
        ("/v1/x", "Host: evil.example\r\n".to_owned(), 421),
        ("/v1/x", String::new(), 400),
    ] {
        let mut io = server.connect().await;
        let answer = ask(&mut io, format!("GET {path} HTTP/1.1\r\n{host}\r\n")).await;
        assert_eq!(answer.status, status);
        assert!(
            answer.has("x-content-type-options: nosniff"),
            "{}",
            answer.head
        );
        assert!(answer.has("cache-control: no-store"), "{}", answer.head);
        assert!(
            answer.has("referrer-policy: no-referrer"),
            "{}",
            answer.head
        );
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
        assert!(!answer.head.contains("server:"), "{}", answer.head);
        if status >= 400 {
            let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            for key in ["code", "message", "hint"] {
                assert!(
                    body["error"][key]
                        .as_str()
                        .is_some_and(|text| !text.is_empty())
                );
            }
        }
    }
    server.finish().await;
}

/// N1 over a real socket, in part; the whole table is in `http/guard`.
#[tokio::test]
async fn n1_hosts_and_origins_are_checked_on_the_wire() {
    let server = Running::tcp(|_| {}).await;
    let address = server.address.unwrap();
    let (port, own) = (
        address.port(),
        format!("http://localhost:{}", address.port()),
    );
    let with = |lines: &str| format!("Host: localhost:{port}\r\n{lines}");
    for (method, target, lines, status) in [
        ("GET", "/v1/x", with(""), 200),
        ("GET", "/v1/x", format!("Host: LOCALHOST:{port}\r\n"), 200),
        ("GET", "/v1/x", format!("Host: [::1]:{port}\r\n"), 200),
        ("GET", "/v1/x", "Host: localhost\r\n".to_owned(), 421),
        ("GET", "/v1/x", format!("Host: localhost.:{port}\r\n"), 421),
        ("GET", "/v1/x", format!("Host: 0.0.0.0:{port}\r\n"), 421),
        ("GET", "/v1/x", format!("Host: 2130706433:{port}\r\n"), 421),
        (
            "GET",
            "/v1/x",
            format!("Host: rebound.example:{port}\r\n"),
            421,
        ),
        ("GET", "/v1/x", with(&with("")), 400),
        ("GET", "/v1/x", format!("Host: a@localhost:{port}\r\n"), 400),
        ("GET", "/v1/x", String::new(), 400),
        ("GET", "http://evil.example/v1/x", with(""), 400),
        ("GET", "/v1/x", with("Origin: http://evil.example\r\n"), 403),
        ("GET", "/v1/x", with("Origin: null\r\n"), 403),
        ("POST", "/v1/x", with(&format!("Origin: {own}\r\n")), 200),
        ("POST", "/v1/x", with("Sec-Fetch-Site: cross-site\r\n"), 403),
        (
            "GET",
            "/page",
            with("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"),
            200,
        ),
        (
            "POST",
            "/page",
            with("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"),
            403,
        ),
        (
            "POST",
            "/page",
            with("Sec-Fetch-Site: same-origin\r\nOrigin: null\r\n"),
            200,
        ),
    ] {
        let mut io = server.connect().await;
        let answer = ask(
            &mut io,
            format!("{method} {target} HTTP/1.1\r\n{lines}\r\n"),
        )
        .await;
        assert_eq!(answer.status, status, "{method} {target} {lines}");
    }
    let absolute = format!(
        "GET http://localhost:{port}/v1/x HTTP/1.1\r\n{}\r\n",
        with("")
    );
    assert_eq!(ask(&mut server.connect().await, absolute).await.status, 200);
    server.finish().await;
}

#[tokio::test]
async fn a_proxy_before_us_makes_nobody_local() {
    for (behind_proxy, line, local) in [
        (false, "", true),
        (false, "X-Forwarded-For: 203.0.113.7\r\n", false),
        (false, "Via: 1.1 x\r\n", false),
        (true, "", false),
    ] {
        let server = Running::tcp(|settings| settings.behind_proxy = behind_proxy).await;
        let request = format!("GET /peer HTTP/1.1\r\n{}{line}\r\n", server.host());
        let answer = ask(&mut server.connect().await, request).await;
        assert!(
            answer.body.contains(&format!("loopback_or_unix: {local}")),
            "{}",
            answer.body
        );
        server.finish().await;
    }
}

/// N2: nothing said, half a head, a head byte by byte, and silence after an answer.
#[tokio::test]
async fn n2_who_is_slow_with_a_head_is_closed_in_time() {
    let server = Running::tcp(|settings| settings.head_timeout = SHORT).await;
    let begun = Instant::now();
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut idle = server.connect().await;
    ask(
        &mut idle,
        format!("GET / HTTP/1.1\r\n{}\r\n", server.host()),
    )
    .await;
    let mut dripping = server.connect().await;
    let drip = tokio::spawn(async move {
        let mut tick = tokio::time::interval(SHORT / 10);
        dripping.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        loop {
            tick.tick().await;
            if dripping.write_all(b"x").await.is_err() {
                return;
            }
        }
    });
    closed(&mut silent).await;
    closed(&mut half).await;
    closed(&mut idle).await;
    within(drip).await.unwrap();
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(server.state.handled.load(Ordering::SeqCst), 1);
    server.finish().await;
}

/// N2: an answer that nobody reads.
#[tokio::test]
async fn n2_who_does_not_take_an_answer_is_let_go() {
    let server = Running::tcp(|settings| {
        settings.answer_timeout = SHORT;
        settings.connections_max = 1;
    })
    .await;
    let mut greedy = server.connect().await;
    let big = format!("GET /big HTTP/1.1\r\n{}\r\n", server.host());
    greedy.write_all(big.as_bytes()).await.unwrap();
    // The only seat comes free without a byte of the answer being read.
    let request = format!("GET / HTTP/1.1\r\n{}\r\n", server.host());
    assert_eq!(ask(&mut server.connect().await, request).await.status, 200);
    drop(greedy);
    server.finish().await;
}

/// N3: too long a body, declared or not, is refused without being read, and the refusal arrives.
#[tokio::test]
async fn n3_a_body_beyond_the_limit_is_refused_unread() {
    let server = Running::tcp(|_| {}).await;
    let head = format!("POST /echo HTTP/1.1\r\n{}", server.host());
    let most = limits::BODY_BYTES_MAX;
    let fits = format!("{head}Content-Length: {most}\r\n\r\n{}", "x".repeat(most));
    assert_eq!(ask(&mut server.connect().await, fits).await.status, 200);
    // One byte more, all of it sent.
    let more = format!(
        "{head}Content-Length: {}\r\n\r\n{}",
        most + 1,
        "x".repeat(most + 1)
    );
    assert_eq!(ask(&mut server.connect().await, more).await.status, 413);
    // Declared, and never sent: the answer does not wait for it.
    let mut io = server.connect().await;
    let declared = format!("{head}Content-Length: 1073741824\r\n\r\n");
    assert_eq!(ask(&mut io, declared).await.status, 413);
    drop(io);
    // Chunks without end: taken up to the limit, then cut.
    let (mut reader, mut writer) = server.connect().await.into_split();
    let begun = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let endless = tokio::spawn(async move {
        writer.write_all(begun.as_bytes()).await.unwrap();
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let mut sent = 0_usize;
        while writer.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
        sent
    });
    assert_eq!(receive(&mut reader).await.unwrap().status, 413);
    drop(reader);
    let sent = within(endless).await.unwrap();
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes went before the cut");
    server.finish().await;
}

/// N3: chunk extensions without end, and framing that smuggles.
#[tokio::test]
async fn n3_bad_framing_reaches_no_handler() {
    let server = Running::tcp(|_| {}).await;
    let head = format!("POST /echo HTTP/1.1\r\n{}", server.host());
    for lines in [
        "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 1, 1\r\n\r\na",
        "Transfer-Encoding: gzip\r\n\r\n",
        "Transfer-Encoding: chunked, gzip\r\n\r\n",
        "X : y\r\n\r\n",
        "X\r\n\r\n",
    ] {
        let mut io = server.connect().await;
        assert_eq!(
            ask(&mut io, format!("{head}{lines}")).await.status,
            400,
            "{lines}"
        );
        closed(&mut io).await;
    }
    assert_eq!(server.state.handled.load(Ordering::SeqCst), 0);
    let extended = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n1;{}",
        "x".repeat(64 * 1024)
    );
    let mut io = server.connect().await;
    assert_eq!(ask(&mut io, extended).await.status, 400);
    // Both lengths: the chunked one counts, and the connection ends (RFC 9112 6.1).
    let mut io = server.connect().await;
    let both = format!(
        "{head}Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    );
    assert_eq!(ask(&mut io, both).await.body, "a");
    closed(&mut io).await;
    server.finish().await;
}

/// N3: more fields or longer ones than a head may have.
#[tokio::test]
async fn n3_a_head_beyond_the_limit_is_refused() {
    let server = Running::tcp(|_| {}).await;
    let fields = |count: usize| {
        let lines: String = (1..count)
            .map(|index| format!("X-{index}: y\r\n"))
            .collect();
        format!("GET / HTTP/1.1\r\n{}{lines}\r\n", server.host())
    };
    let long = |bytes: usize| {
        let value = "y".repeat(bytes);
        format!("GET / HTTP/1.1\r\n{}X: {value}\r\n\r\n", server.host())
    };
    let most = limits::HEADERS_MAX;
    // A megabyte is more than is taken before the end, so that its sender may hear of a reset and
    // not of the refusal. Nobody else may.
    let too_long = 1024 * 1024;
    assert!(too_long > limits::LINGER_BYTES_MAX);
    for (request, status, may_be_reset) in [
        (fields(most), 200, false),
        (fields(most + 1), 431, false),
        (fields(10_000), 431, false),
        (long(limits::HEAD_BYTES_MAX - 1024), 200, false),
        (long(limits::HEAD_BYTES_MAX), 431, false),
        (long(too_long), 431, true),
    ] {
        let handled = server.state.handled.load(Ordering::SeqCst);
        let (mut reader, mut writer) = server.connect().await.into_split();
        let sending = tokio::spawn(async move { writer.write_all(request.as_bytes()).await });
        match tokio::spawn(async move { receive(&mut reader).await }).await {
            Ok(Some(answer)) => assert_eq!(answer.status, status),
            other => assert!(may_be_reset, "{other:?} where {status} is due"),
        }
        // Whoever was refused may have been cut in the middle of sending.
        let _ = within(sending).await;
        let more = server.state.handled.load(Ordering::SeqCst) - handled;
        assert_eq!(more == 1, status == 200, "{more} handled");
    }
    server.finish().await;
}

#[tokio::test]
async fn who_finds_no_seat_waits_and_is_served() {
    let server = Running::tcp(|settings| settings.connections_max = 2).await;
    let request = format!("GET / HTTP/1.1\r\n{}\r\n", server.host());
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    ask(&mut first, &request).await;
    ask(&mut second, &request).await;
    let mut third = server.connect().await;
    third.write_all(request.as_bytes()).await.unwrap();
    assert!(
        tokio::time::timeout(SHORT, third.read_u8()).await.is_err(),
        "no seat was free"
    );
    assert_eq!(server.state.handled.load(Ordering::SeqCst), 2);
    drop(first);
    assert_eq!(receive(&mut third).await.unwrap().status, 200);
    // An idle connection is asked for nothing more and still open.
    assert_eq!(ask(&mut second, &request).await.status, 200);
    server.finish().await;
}

#[tokio::test]
async fn a_handler_that_takes_too_long_costs_one_answer() {
    let server = Running::tcp(|settings| settings.request_timeout = SHORT).await;
    let mut io = server.connect().await;
    let answer = ask(
        &mut io,
        format!("GET /slow HTTP/1.1\r\n{}\r\n", server.host()),
    )
    .await;
    assert_eq!(answer.status, 503);
    assert!(answer.has("connection: close") && answer.body.contains("\"timeout\""));
    closed(&mut io).await;
    server.finish().await;
}

#[tokio::test]
async fn at_the_end_an_open_request_is_finished_and_an_idle_connection_closed() {
    let server = Running::tcp(|_| {}).await;
    let (address, state) = (server.address.unwrap(), server.state.clone());
    let mut idle = server.connect().await;
    ask(
        &mut idle,
        format!("GET / HTTP/1.1\r\n{}\r\n", server.host()),
    )
    .await;
    let mut open = server.connect().await;
    let slow = format!("GET /slow HTTP/1.1\r\n{}\r\n", server.host());
    open.write_all(slow.as_bytes()).await.unwrap();
    within(state.slow.notified()).await;
    let ended = tokio::spawn(server.end());
    closed(&mut idle).await;
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody is let in any more"
    );
    assert!(!ended.is_finished());
    state.go.notify_one();
    assert_eq!(receive(&mut open).await.unwrap().body, "slow");
    closed(&mut open).await;
    within(ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn at_the_end_a_request_that_does_not_finish_is_cut() {
    let server = Running::tcp(|settings| settings.drain_max = SHORT).await;
    let mut open = server.connect().await;
    let slow = format!("GET /slow HTTP/1.1\r\n{}\r\n", server.host());
    open.write_all(slow.as_bytes()).await.unwrap();
    within(server.state.slow.notified()).await;
    server.finish().await;
    closed(&mut open).await;
}
