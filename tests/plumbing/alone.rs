//! What needs a process of its own: all descriptors spent, and all that is printed looked at.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::{PATIENCE, PAYLOAD, Running};

/// Ends the child with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Set for the child alone.
const CHILD: &str = "STRONGROOM_TEST_CHILD";

/// Starts the child; its lines, of both kinds, come through the channel.
fn start() -> (Ended, Receiver<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "alone::a_server_with_few_descriptors",
            "--nocapture",
        ])
        .env(CHILD, "yes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let outputs: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().unwrap()),
        Box::new(child.stderr.take().unwrap()),
    ];
    for output in outputs {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
    }
    (Ended(child), lines)
}

fn ask(mut io: TcpStream, path: &str) -> String {
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = io.peer_addr().unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    answer[9..12].to_owned()
}

/// N5 in small. Method: silent connections until the server says that it cannot accept; then each
/// asks and goes; then a panic; then all that was printed is looked at.
#[test]
fn out_of_descriptors_the_server_rests_and_recovers_and_a_panic_tells_nothing() {
    let (mut child, lines) = start();
    let mut printed = String::new();
    let mut wait_for = |text: &str| loop {
        let line = lines.recv_timeout(PATIENCE).expect("the child goes on");
        printed += &line;
        if let Some((_, rest)) = line.split_once(text) {
            return rest.to_owned();
        }
    };
    let address = wait_for("listens on ");
    let connect = || TcpStream::connect(&address).unwrap();
    let crowd: Vec<TcpStream> = (0..60).map(|_| connect()).collect();
    wait_for("cannot accept");
    for io in crowd {
        assert_eq!(ask(io, "/"), "200");
    }
    assert_eq!(ask(connect(), "/panic"), "500");
    assert_eq!(ask(connect(), "/"), "200");
    drop(child.0.stdin.take());
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        printed += &line;
    }
    assert!(child.0.wait().unwrap().success(), "{printed}");
    let complaints = printed.matches("cannot accept").count();
    assert!(
        (1..=12).contains(&complaints),
        "it spun: {complaints} complaints"
    );
    assert!(
        printed.contains("a handler panicked") && printed.contains("support.rs"),
        "{printed}"
    );
    assert!(!printed.contains(PAYLOAD), "the payload was printed");
}

/// The child of the test above: ends when its standard input does.
/// Started as a test of its own it has nothing to show.
#[tokio::test]
async fn a_server_with_few_descriptors() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let printer = tracing_subscriber::fmt().with_ansi(false);
    printer.with_writer(std::io::stdout).init();
    let few = Rlimit {
        current: Some(40),
        maximum: Some(40),
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let server = Running::tcp(|_| {}).await;
    println!("listens on {}", server.address.unwrap());
    let end_of_input = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0; 1]));
    assert_eq!(end_of_input.await.unwrap().unwrap(), 0);
    server.finish().await;
}
