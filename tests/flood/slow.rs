//! Crowds of slow connections, and of short ones, against the real thing (N2, N5, T24).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use strongroom::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::child::{PATIENCE, Served, ask, many_descriptors};
use crate::seeded::Seeded;

/// What a process may grow by under any crowd.
const GROWTH_KIB: u64 = 100 * 1024;
/// Pause between two bytes of whoever is slow.
const EVERY: Duration = Duration::from_secs(5);
/// Stated time, the wait behind a refusal, and as much again for a busy machine.
const CLOSED_WITHIN: Duration =
    Duration::from_secs(2 * (limits::HEAD_TIMEOUT.as_secs() + limits::LINGER_MAX.as_secs()));

/// A way to be slow.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Slow {
    Silent,
    Head,
    Body,
    /// Asks and asks, and takes no answer.
    Unread,
}

/// Is slow until the other side closes; how long that took.
async fn crawl(mut io: TcpStream, how: Slow) -> Duration {
    let address = io.peer_addr().unwrap();
    let begun = Instant::now();
    let beginning = match how {
        Slow::Silent => String::new(),
        Slow::Head => "GET /health HTTP/1.1\r\nX: ".to_owned(),
        Slow::Body => format!(
            "POST /v1/unlock HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: 1000\r\n\r\n{{"
        ),
        Slow::Unread => {
            let all = format!("GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(100);
            // Slow from the moment that the buffers of both sides are full, and not before.
            let mut stalled = begun;
            while io.write_all(all.as_bytes()).await.is_ok() {
                stalled = Instant::now();
            }
            return stalled.elapsed();
        }
    };
    let _ = io.write_all(beginning.as_bytes()).await;
    let mut scrap = [0; 512];
    let mut every = tokio::time::interval(EVERY);
    every.tick().await;
    loop {
        tokio::select! {
            read = io.read(&mut scrap) => if !matches!(read, Ok(1..)) {
                return begun.elapsed();
            },
            _ = every.tick() => if io.write_all(b"x").await.is_err() {
                return begun.elapsed();
            },
        }
    }
}

/// Asks for health on a new connection; the status.
async fn health(address: SocketAddr) -> u16 {
    let io = TcpStream::connect(address).await.unwrap();
    let host = address.to_string();
    let answer = timeout(PATIENCE, ask(io, &host, "GET", "/health", "")).await;
    answer.unwrap().unwrap().status
}

/// Asks over and over, each time on a new connection, until `others` are gone; how long each took.
async fn healthy(
    address: SocketAddr,
    others: &mut JoinSet<(Duration, Slow)>,
) -> (Vec<Duration>, (Duration, Slow)) {
    let (mut waits, mut longest) = (Vec::new(), (Duration::ZERO, Slow::Silent));
    let mut every = tokio::time::interval(Duration::from_millis(20));
    while !others.is_empty() {
        let begun = Instant::now();
        assert_eq!(health(address).await, 200);
        waits.push(begun.elapsed());
        while let Some(ended) = others.try_join_next() {
            longest = longest.max(ended.unwrap());
        }
        every.tick().await;
    }
    waits.sort_unstable();
    (waits, longest)
}

/// Waits until the server has no more descriptors than this.
async fn settles(served: &Served, descriptors: usize) {
    let settled = async {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        while served.vitals().descriptors > descriptors {
            every.tick().await;
        }
    };
    let settled = timeout(PATIENCE, settled).await;
    assert!(settled.is_ok(), "{:?}", served.vitals());
}

/// Goal: a crowd of slow connections of every kind is closed in the stated time, holds up nobody
/// and costs little memory. Method: four kinds in equal parts (few that take no answer, for each
/// fills two sockets' buffers), a byte each five seconds, against a server with its usual seats;
/// meanwhile a client that asks on a new connection each time.
#[tokio::test]
async fn n2_a_crowd_of_slow_connections_is_closed_in_time_and_holds_up_nobody() {
    let chance = Seeded::new("N2");
    let crowd = chance.runs(400);
    let most = many_descriptors() - 200;
    assert!(
        crowd <= most,
        "`ulimit -Hn` leaves room for {most} of {crowd}"
    );
    let served = Served::locked();
    let base = served.vitals();
    let mut others = JoinSet::new();
    for number in 0..crowd {
        let how = match number % 50 {
            0 => Slow::Unread,
            rest if rest % 3 == 0 => Slow::Silent,
            rest if rest % 3 == 1 => Slow::Head,
            _ => Slow::Body,
        };
        let io = TcpStream::connect(served.address).await.unwrap();
        others.spawn(async move { (crawl(io, how).await, how) });
        if number % 50 == 49 {
            // Whoever came before this one has been accepted: no backlog overflows, where a
            // connection may be open on one side alone.
            assert_eq!(health(served.address).await, 200);
        }
    }
    let (waits, longest) = healthy(served.address, &mut others).await;
    let after = served.vitals();
    let (half, most) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    println!(
        "N2: {crowd} slow connections: the last closed after {longest:?}; {} healthy \
         requests: p50 {half:?}, p99 {most:?}; base {base:?}; after {after:?}",
        waits.len()
    );
    assert!(longest.0 <= CLOSED_WITHIN, "{longest:?}");
    assert!(waits.len() > 10);
    assert!(
        after.peak_rss_kib <= base.rss_kib + GROWTH_KIB,
        "{base:?} {after:?}"
    );
    settles(&served, base.descriptors).await;
}

/// Goal: nothing is left of connections that come and go at once. Method: a flood of them, half
/// reset in the middle of a head; then descriptors and memory as before.
#[tokio::test]
async fn n5_connections_that_come_and_go_leave_nothing_behind() {
    let chance = Seeded::new("N5");
    let flood = chance.runs(2000);
    let served = Served::locked();
    let base = served.vitals();
    for number in 0..flood {
        let mut io = TcpStream::connect(served.address).await.unwrap();
        io.set_zero_linger().unwrap();
        if number % 2 == 0 {
            io.write_all(b"GET /health HTTP/1.1\r\nX").await.unwrap();
        }
    }
    settles(&served, base.descriptors).await;
    let after = served.vitals();
    println!("N5: {flood} connections; base {base:?}; after {after:?}");
    assert!(
        after.rss_kib <= base.rss_kib + GROWTH_KIB,
        "{base:?} {after:?}"
    );
    assert_eq!(health(served.address).await, 200);
}
