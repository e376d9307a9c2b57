//! Crowds of slow connections (N2, T24), with time-outs short enough to be waited for.
//!
//! | catalogue row N2 | here |
//! |---|---|
//! | closed in the stated time: silence, a head byte by byte, answers not taken | `n2_a_slow_crowd_is_closed_in_time` |
//! | a handshake that stalls | `listening::n8_tls_is_spoken_and_nothing_less` |
//! | a healthy client meanwhile, where the crowd has more connections than there are seats | `n2_a_crowd_beyond_all_seats_holds_up_nobody` |
//! | the real time-outs, bodies, memory, 10,000 connections | `flood` |

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{Running, SHORT, ask};

/// A connection of this number that is slow in one of three ways, until it is closed.
async fn crawl(mut io: TcpStream, host: String, number: usize) {
    let mut every = tokio::time::interval(SHORT / 3);
    let beginning = match number % 30 {
        0 => format!("GET /big HTTP/1.1\r\n{host}\r\n"),
        odd if odd % 2 == 1 => "GET / HTTP/1.1\r\nX: ".to_owned(),
        _ => String::new(),
    };
    let takes_answers = !number.is_multiple_of(30);
    let _ = io.write_all(beginning.as_bytes()).await;
    let mut scrap = [0; 256];
    loop {
        tokio::select! {
            read = io.read(&mut scrap), if takes_answers => if !matches!(read, Ok(1..)) {
                return;
            },
            _ = every.tick() => if io.write_all(b"x").await.is_err() {
                return;
            },
        }
    }
}

/// Lets a crowd be slow; how many are still open when `patience` is over.
async fn left_open(server: &Running, count: usize, patience: Duration) -> usize {
    let mut crowd = JoinSet::new();
    for number in 0..count {
        let io = server.connect().await;
        crowd.spawn(crawl(io, server.host(), number));
    }
    let gone = timeout(patience, async {
        while crowd.join_next().await.is_some() {}
    });
    let _ = gone.await;
    crowd.len()
}

/// Goal: whoever is slow is closed, however many they are. Method: a crowd with a seat for each,
/// against short time-outs.
#[tokio::test]
async fn n2_a_slow_crowd_is_closed_in_time() {
    let server = Running::tcp(|settings| {
        settings.head_timeout = SHORT;
        settings.answer_timeout = SHORT;
    })
    .await;
    assert_eq!(left_open(&server, 240, crate::support::PATIENCE).await, 0);
    server.finish().await;
}

/// Goal: the check above sees a server that waits. Method: the same crowd against time-outs of an
/// hour.
#[tokio::test]
async fn n2_the_check_sees_a_server_without_time_outs() {
    let server = Running::tcp(|settings| {
        settings.head_timeout = Duration::from_secs(3600);
        settings.answer_timeout = Duration::from_secs(3600);
        settings.drain_max = Duration::ZERO;
    })
    .await;
    assert_eq!(left_open(&server, 60, 4 * SHORT).await, 60);
    server.finish().await;
}

/// Goal: a crowd that takes every seat holds up nobody: a newcomer gets the seat of who is silent
/// longest, and a client at work keeps its own. Method: time-outs of an hour, eight seats, a client
/// whose request is in the handler all along, a hundred silent connections, and a client that asks
/// on a new connection each time.
#[tokio::test]
async fn n2_a_crowd_beyond_all_seats_holds_up_nobody() {
    let server = Running::tcp(|settings| {
        settings.head_timeout = Duration::from_secs(3600);
        settings.connections_max = 8;
    })
    .await;
    let mut at_work = server.connect().await;
    let slow = format!("GET /slow HTTP/1.1\r\n{}\r\n", server.host());
    at_work.write_all(slow.as_bytes()).await.unwrap();
    server.state.slow.notified().await;
    let mut crowd = Vec::new();
    let request = format!("GET / HTTP/1.1\r\n{}\r\n", server.host());
    for number in 0..100 {
        crowd.push(server.connect().await);
        if number % 20 == 19 {
            assert_eq!(ask(&mut server.connect().await, &request).await.status, 200);
        }
    }
    server.state.go.notify_one();
    let done = crate::support::receive(&mut at_work).await.unwrap();
    assert_eq!(done.body, "slow", "who was at work was not cut");
    drop(crowd);
    server.finish().await;
}
