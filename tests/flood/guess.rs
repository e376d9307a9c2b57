//! Guessing at the unlock route of the real thing (N7, T18).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::child::{Answer, PASSPHRASE, PATIENCE, Served, ask};
use crate::seeded::Seeded;

/// Memory of one derivation, as `init` was told.
const KDF_KIB: u64 = 64 * 1024;
/// What a process may grow by besides: stacks, buffers, the allocator's slack.
const SLACK_KIB: u64 = 32 * 1024;

async fn over_unix(served: &Served, passphrase: &str) -> Answer {
    let body = json!({ "passphrase": passphrase }).to_string();
    let io = UnixStream::connect(served.socket()).await.unwrap();
    let answer = ask(io, "localhost", "POST", "/v1/unlock", &body);
    timeout(PATIENCE, answer).await.unwrap().unwrap()
}

/// Guesses over TCP, as fast as it is let, until told to stop; how often it was refused.
async fn guesses(address: std::net::SocketAddr, stop: Arc<AtomicBool>, begun: Arc<AtomicUsize>) {
    let body = json!({ "passphrase": "not this one" }).to_string();
    while !stop.load(Ordering::Relaxed) {
        let Ok(io) = TcpStream::connect(address).await else {
            continue;
        };
        let host = address.to_string();
        if let Ok(answer) = ask(io, &host, "POST", "/v1/unlock", &body).await {
            assert!([401, 409, 429].contains(&answer.status), "{answer:?}");
        }
        begun.fetch_add(1, Ordering::Relaxed);
    }
}

/// Goal: however many guess, one derivation at a time is made, wrong tries change nothing and are
/// answered alike, and the owner gets in while the guessing goes on. Method: a crowd of wrong tries
/// at once over the Unix socket, a hundred guessers over TCP, the process's peak of memory, the
/// file's bytes, and then the right passphrase from this user over the Unix socket.
#[tokio::test]
async fn n7_guessing_costs_one_derivation_at_a_time_and_the_owner_gets_in() {
    let chance = Seeded::new("N7");
    let tries = usize::try_from(chance.runs(60)).unwrap();
    let served = Arc::new(Served::locked());
    let (base, file) = (served.vitals(), served.file());

    // Nobody but this user is delayed less: the line alone bounds what is tried.
    let (mut wrong, mut refused, mut made) = (None, 0, 0);
    let mut crowd = JoinSet::new();
    for _ in 0..tries {
        let served = Arc::clone(&served);
        crowd.spawn(async move { over_unix(&served, "not this one either").await });
        if crowd.len() >= 100 {
            let answer = crowd.join_next().await.unwrap().unwrap();
            count(answer, &mut wrong, &mut refused, &mut made);
        }
    }
    while let Some(answer) = crowd.join_next().await {
        count(answer.unwrap(), &mut wrong, &mut refused, &mut made);
    }
    assert!(made >= 5 && refused > 0, "{made} made, {refused} refused");

    let (stop, begun) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut guessers = JoinSet::new();
    for _ in 0..100 {
        guessers.spawn(guesses(
            served.address,
            Arc::clone(&stop),
            Arc::clone(&begun),
        ));
    }
    let enough = async {
        while begun.load(Ordering::Relaxed) < 300 {
            tokio::task::yield_now().await;
        }
    };
    let enough = timeout(PATIENCE, enough).await;
    assert!(enough.is_ok(), "{begun:?} guesses were answered");
    assert_eq!(served.file(), file, "a wrong try changes nothing");
    let peak = served.vitals().peak_rss_kib;
    println!("N7: {made} made, {refused} refused; base {base:?}; peak {peak} KiB");
    assert!(
        peak <= base.rss_kib + KDF_KIB + SLACK_KIB,
        "{base:?}, {peak}"
    );

    // One derivation at most is before it: it is first in line, and pays for nobody's guesses.
    let answer = over_unix(&served, PASSPHRASE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    stop.store(true, Ordering::Relaxed);
    while let Some(guesser) = guessers.join_next().await {
        guesser.unwrap();
    }
}

/// Every wrong try is answered alike; who finds no place is told when to come back.
fn count(answer: Answer, wrong: &mut Option<Answer>, refused: &mut usize, made: &mut usize) {
    match answer.status {
        401 => {
            let undated = |answer: &Answer| {
                let lines = answer.head.lines();
                let kept: Vec<&str> = lines.filter(|line| !line.starts_with("date")).collect();
                (kept.join("\n"), answer.body.clone())
            };
            let first = wrong.get_or_insert_with(|| answer.clone());
            assert_eq!(undated(first), undated(&answer));
            *made += 1;
        }
        429 => {
            assert!(
                answer
                    .retry_after()
                    .is_some_and(|wait| (1..=30).contains(&wait)),
                "{answer:?}"
            );
            *refused += 1;
        }
        _ => panic!("{answer:?}"),
    }
}
