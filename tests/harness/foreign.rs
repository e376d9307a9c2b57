//! Where the suites of programs that others wrote begin: our side, served for them, and theirs, as
//! processes.
//!
//! It promises: what is missing is said aloud, and fails the test where nothing may be; a process
//! ends when its handle is dropped, or when this process dies.
//! It never: installs anything.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

#[path = "../it/browser.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
pub mod browser;
#[path = "../it/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the suite `it`, which uses all of it"
)]
pub mod support;

/// They start in seconds; a busy machine takes longer.
const START_MAX: Duration = Duration::from_secs(60);

/// What a test needs; nothing where it is missing, of which `needed` then says what.
///
/// # Panics
/// Where something is missing and `STRONGROOM_INTEROP=require` says that nothing may be.
pub fn or_skip<T>(test: &str, needed: Result<T, String>) -> Option<T> {
    let required = std::env::var("STRONGROOM_INTEROP").is_ok_and(|value| value == "require");
    match needed {
        Ok(needed) => Some(needed),
        Err(missing) if required => panic!("STRONGROOM_INTEROP=require, but {missing}"),
        Err(missing) => {
            // Written past the test harness, which would swallow it.
            _ = writeln!(std::io::stderr(), "SKIPPED {test}: {missing}");
            None
        }
    }
}

/// The folder of a suite.
pub fn folder_of(suite: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(suite)
}

/// Whether a command runs to a good end.
pub fn runs(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Where Node's packages lie of a suite that needs these of them: in its `node_modules`, or where
/// `variable` says. Else a sentence on what is missing.
pub fn node_packages(suite: &str, variable: &str, names: &[&str]) -> Result<PathBuf, String> {
    if !runs(Command::new("node").arg("--version")) {
        return Err("`node` does not run here".to_owned());
    }
    let named = std::env::var_os(variable).map(PathBuf::from);
    let packages = named.unwrap_or_else(|| folder_of(suite).join("node_modules"));
    for name in names {
        if !packages.join(name).join("package.json").is_file() {
            return Err(format!(
                "`{name}` is not in {}; `npm ci --prefix tests/{suite}` installs it",
                packages.display()
            ));
        }
    }
    Ok(packages)
}

/// A program of others that serves, on a port that it chose.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    /// The line it said when it listened.
    pub said: Value,
}

impl Process {
    /// Starts it, and waits until it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
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
        Self {
            child,
            stdin,
            said: serde_json::from_str(&line).unwrap(),
        }
    }

    /// A text of what it said.
    pub fn text(&self, name: &str) -> String {
        self.said[name].as_str().unwrap().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A program of Node's.
pub fn node(program: impl AsRef<OsStr>, packages: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(program).arg(packages);
    command
}
