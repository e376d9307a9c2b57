//! The binary as a child process.
//!
//! It promises: port 0, a bounded wait for its first line, an end with the test.
//! It never: outlives the test that started it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use crate::support::{Api, PASSPHRASE, PATIENCE, client};

/// A data directory made by `init`, and what it printed.
pub struct Home {
    pub home: tempfile::TempDir,
    pub access_key: String,
}

impl Home {
    /// Runs `strongroom init`.
    pub fn init() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        let made = Self {
            home,
            access_key: String::new(),
        };
        let output = made.run(&[
            "init",
            "--json",
            "--kdf-memory-mib",
            "64",
            "--passphrase-file",
            made.passphrase_file().to_str().unwrap(),
        ]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        Self {
            access_key: said["access_key"].as_str().unwrap().to_owned(),
            ..made
        }
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn passphrase_file(&self) -> PathBuf {
        self.home.path().join("passphrase")
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        command(&self.data())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Starts `serve`, unlocked by the passphrase file, and waits until it listens.
    pub fn serve(&self, more: &[&str]) -> Served {
        let file = self.passphrase_file();
        let opener = ["--passphrase-file", file.to_str().unwrap()];
        self.serve_with(&[&opener[..], more].concat())
    }

    /// Starts `serve` with these arguments, and waits until it listens.
    pub fn serve_with(&self, arguments: &[&str]) -> Served {
        let mut child = command(&self.data())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (told, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Past the harness, for whoever reads a failure.
                let _ = writeln!(std::io::stderr(), "serve: {line}");
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let url = rest.split([',', ' ']).next().unwrap_or_default().to_owned();
                    let _ = told.send(url);
                }
            }
        });
        let url = heard.recv_timeout(PATIENCE).expect("it listens in time");
        Served {
            child,
            url,
            key: self.access_key.clone(),
        }
    }
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command
        .env_clear()
        .env("STRONGROOM_DATA", data)
        .env("STRONGROOM_LOG", "info");
    command
}

/// A served vault in a process of its own.
pub struct Served {
    child: Child,
    pub url: String,
    key: String,
}

impl Served {
    pub fn api(&self) -> Api {
        Api {
            client: client(),
            url: self.url.clone(),
            key: self.key.clone(),
        }
    }

    /// kill -9: no goodbye, no flush.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    /// Starts a command against this server.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .env_clear()
            .env("STRONGROOM_URL", &self.url)
            .env("STRONGROOM_KEY", &self.key)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a command against this server.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.spawn(arguments);
        // A command that reads nothing may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
