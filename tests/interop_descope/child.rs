//! A script of another language under test: its process, what it says, and what it asks for.
//!
//! It promises: each line is waited for within bounds; it ends when its handle is dropped; where it
//! fails, what it wrote is shown.
//! It never: is given an environment that points its SDK, or its way out, elsewhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

/// Longest wait for one line, a start and a retry of an SDK included.
const LINE_MAX: Duration = Duration::from_secs(120);
/// Of a proxy, and of an SDK that was set up for something else.
const FORGOTTEN: [&str; 9] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "DESCOPE_BASE_URI",
    "DESCOPE_MANAGEMENT_KEY",
    "DESCOPE_AUTH_MANAGEMENT_KEY",
];

pub struct Script {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
    complaints: Option<JoinHandle<String>>,
}

impl Script {
    pub fn start(command: &mut Command) -> Self {
        for name in FORGOTTEN {
            command.env_remove(name);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the interpreter starts, as it did before");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let mut stderr = child.stderr.take().expect("it is piped");
        let (told, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                _ = told.send(line);
            }
        });
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            stdin,
            lines,
            complaints: Some(complaints),
        }
    }

    /// The next line; nothing where it has ended well.
    ///
    /// # Panics
    /// Where it says nothing for long, or has failed.
    pub async fn next(&mut self) -> Option<Value> {
        match tokio::time::timeout(LINE_MAX, self.lines.recv()).await {
            Ok(Some(line)) => match serde_json::from_str(&line) {
                Ok(said) => Some(said),
                Err(_) => self.fail(&format!("it said what is no JSON: {line}")),
            },
            // Its output is closed, so that it is about to end.
            Ok(None) if self.child.wait().is_ok_and(|status| status.success()) => None,
            Ok(None) => self.fail("it failed"),
            Err(_) => self.fail("it said nothing for long"),
        }
    }

    pub fn tell(&mut self, what: &Value) {
        if writeln!(self.stdin, "{what}").is_err() {
            self.fail("it does not listen");
        }
    }

    fn fail(&mut self, what: &str) -> ! {
        _ = self.child.kill();
        let complaints = self.complaints.take().map(JoinHandle::join);
        let text = complaints.and_then(Result::ok).unwrap_or_default();
        panic!("{what}\n{text}");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
