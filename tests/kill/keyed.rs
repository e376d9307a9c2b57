//! A vault that a key file unlocks, and the binary that serves it, started over and over.
//!
//! It promises: a start is cheap (no key derivation), bounded, and measured; what the process said
//! is kept for whoever reads a failure.
//! It never: outlives the test that started it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::support::{Api, PASSPHRASE, PATIENCE};

/// Lines of a process that are kept.
const LINES_KEPT: usize = 200;

/// A directory with `data`, `key` and `passphrase`.
pub struct Keyed {
    pub home: tempfile::TempDir,
    pub access_key: String,
    /// Opens the vault without a derivation.
    pub recovery_code: String,
}

impl Keyed {
    /// A copy of one vault that was made once: `init` and `add-key-file` derive keys.
    pub fn new() -> Self {
        Self::copied_to(tempfile::tempdir().unwrap())
    }

    /// The same where a sync costs nothing, if there is such a place: what a process has written is
    /// there after kill -9 whether or not it was synced, so many fast commits show as much as a few
    /// slow ones, and more of them are hit.
    pub fn in_memory() -> Self {
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::copied_to(home.unwrap())
    }

    fn copied_to(home: tempfile::TempDir) -> Self {
        static FIRST: OnceLock<Keyed> = OnceLock::new();
        let first = FIRST.get_or_init(Self::init);
        copy(first.home.path(), home.path());
        Self {
            home,
            access_key: first.access_key.clone(),
            recovery_code: first.recovery_code.clone(),
        }
    }

    fn init() -> Self {
        let mut made = Self {
            home: tempfile::tempdir().unwrap(),
            access_key: String::new(),
            recovery_code: String::new(),
        };
        std::fs::write(made.path("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        let said = ok(&made.run(&INIT));
        made.access_key = said["access_key"].as_str().unwrap().to_owned();
        made.recovery_code = said["recovery_code"].as_str().unwrap().to_owned();
        let add = ["passphrase", "add-key-file", "key", "--create"];
        let add = [&add[..], &["--passphrase-file", "passphrase"]].concat();
        ok(&made.run(&add));
        made
    }

    /// A file or directory beside the vault.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs a command in the directory, on the vault in `data`, to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A command in the directory, on the vault in `data`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command
            .env_clear()
            .env("STRONGROOM_DATA", "data")
            .env("STRONGROOM_LOG", "info")
            .current_dir(self.home.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts `serve`, and kills it so soon after; true where it did not listen yet.
    pub async fn cut_start(&self, after: Duration) -> bool {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--key-file", "key"];
        let mut child = self.command(&serve).spawn().unwrap();
        // That it never ends is the point.
        let _ = tokio::time::timeout(after, std::future::pending::<()>()).await;
        child.kill().unwrap();
        let said = child.wait_with_output().unwrap().stderr;
        !String::from_utf8_lossy(&said).contains("listening on ")
    }

    /// Starts `serve`, and waits until it listens.
    ///
    /// # Errors
    /// What it said, where it did not start.
    pub async fn start(&self, client: &reqwest::Client, more: &[&str]) -> Result<Running, String> {
        let began = Instant::now();
        let serve = ["serve", "--listen", "127.0.0.1:0", "--key-file", "key"];
        let mut command = self.command(&[&serve[..], more].concat());
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let (told, heard) = oneshot::channel();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || listen(stderr, &kept, told));
        let url = tokio::time::timeout(PATIENCE, heard).await;
        let mut running = Running {
            child,
            api: Api {
                client: client.clone(),
                url: String::new(),
                key: self.access_key.clone(),
            },
            start: began.elapsed(),
            lines,
        };
        match url {
            Ok(Ok(url)) => {
                running.api.url = url;
                Ok(running)
            }
            _ => {
                let said = running.said();
                running.kill();
                Err(format!("it does not start: {said}"))
            }
        }
    }
}

/// The arguments that make the vault.
pub const INIT: [&str; 6] = [
    "init",
    "--json",
    "--kdf-memory-mib",
    "64",
    "--passphrase-file",
    "passphrase",
];

fn ok(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn listen(
    stderr: std::process::ChildStderr,
    kept: &Mutex<VecDeque<String>>,
    told: oneshot::Sender<String>,
) {
    let mut told = Some(told);
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some((_, rest)) = line.split_once("listening on ")
            && let Some(told) = told.take()
        {
            let url = rest.split([',', ' ']).next().unwrap_or_default().to_owned();
            // Nobody waits any more only where the test has failed already.
            let _ = told.send(url);
        }
        let mut kept = kept.lock().unwrap();
        if kept.len() == LINES_KEPT {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

/// Copies a directory as it is, permissions included.
pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::DirBuilder::new().mode(0o700).create(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Puts a directory in the place of another.
pub fn put_back(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).unwrap();
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    copy(from, to);
}

/// A served vault in a process of its own.
pub struct Running {
    child: Child,
    pub api: Api,
    /// From the spawn to the line that says where it listens.
    pub start: Duration,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Running {
    /// The end of what it said.
    pub fn said(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// kill -9: no goodbye, no flush. It is gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends one request. `None`: no whole answer came.
pub async fn ask(api: &Api, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = api.client.request(method, format!("{}{path}", api.url));
    request = request.header("authorization", format!("Bearer {}", api.key));
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_string());
    }
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text:?}"));
    Some((status, json))
}
