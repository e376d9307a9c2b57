//! Node, the packages, and the live server's process.
//!
//! It promises: what is missing is said aloud, and fails the test where nothing may be; a server
//! ends when its handle is dropped, or when this process dies.
//! It never: installs anything.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// Node starts in under a second; a busy machine takes a few.
const START_MAX: Duration = Duration::from_secs(60);

/// Where the packages lie; nothing where they, or Node, are missing.
///
/// # Panics
/// Where something is missing and `STRONGROOM_INTEROP=require` says that nothing may be.
pub fn packages_or_skip(test: &str) -> Option<PathBuf> {
    let required = std::env::var("STRONGROOM_INTEROP").is_ok_and(|value| value == "require");
    match packages() {
        Ok(packages) => Some(packages),
        Err(missing) if required => panic!("STRONGROOM_INTEROP=require, but {missing}"),
        Err(missing) => {
            // Written past the test harness, which would swallow it.
            _ = writeln!(std::io::stderr(), "SKIPPED {test}: {missing}");
            None
        }
    }
}

fn packages() -> Result<PathBuf, String> {
    let version = Command::new("node").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Err("`node` does not run here".to_owned());
    }
    let named = std::env::var_os("STRONGROOM_INTEROP_MCP_NODE_MODULES").map(PathBuf::from);
    let packages = named.unwrap_or_else(|| folder().join("node_modules"));
    for name in ["sdk", "conformance"] {
        let name = format!("@modelcontextprotocol/{name}");
        if !packages.join(&name).join("package.json").is_file() {
            return Err(format!(
                "`{name}` is not in {}; `npm ci --prefix tests/interop_mcp` installs it",
                packages.display()
            ));
        }
    }
    Ok(packages)
}

/// The folder of this suite.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop_mcp")
}

/// Runs a program of Node's to its end, away from the threads that serve.
pub async fn run(mut command: Command, input: Option<String>) -> Output {
    let run = move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if let Some(input) = input {
            writeln!(stdin, "{input}").unwrap();
        }
        drop(stdin);
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The live server.
pub struct LiveServer {
    child: Child,
    stdin: Option<ChildStdin>,
    pub url: String,
    pub issuer: String,
}

impl LiveServer {
    /// Starts it, and waits until it listens.
    pub fn start(packages: &Path) -> Self {
        let mut child = Command::new("node")
            .arg(folder().join("server.mjs"))
            .arg(packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        let (told, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            _ = told.send(read.map(|_| line));
        });
        let line = ready.recv_timeout(START_MAX).unwrap().unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        Self {
            child,
            stdin,
            url: text("url"),
            issuer: text("issuer"),
        }
    }
}

impl Drop for LiveServer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
