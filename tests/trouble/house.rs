//! A data directory, the disks under it, and the binary on it as a child process.
//!
//! It promises: port 0, bounded waits, everything mounted or started ends with the test.
//! It never: touches a disk that it did not mount.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Api, PASSPHRASE, PATIENCE, client};

/// A small disk in memory, mounted. Gone when dropped.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one of so many KiB over `path`, which is made where it is missing. `None` where this
    /// cannot be done here.
    pub fn mount(path: &Path, kib: u32) -> Option<Self> {
        private(path);
        let options = format!("size={kib}k,mode=0700");
        let done = run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], path);
        done.then(|| Self(path.to_owned()))
    }

    /// Shows `what` at `path` as well.
    pub fn bind(what: &Path, path: &Path) -> Option<Self> {
        private(path);
        let done = run("mount", &["--bind", what.to_str().unwrap()], path);
        done.then(|| Self(path.to_owned()))
    }

    /// Takes what room there is, to the last page; gives it back when dropped.
    pub fn fill(&self) -> Filler {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create_new(&path).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[0xAA; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        Filler(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A child that was just killed may hold it for a moment.
        run("umount", &["--lazy"], &self.0);
    }
}

/// What fills a disk.
pub struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn private(path: &Path) {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).unwrap();
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let mut command = Command::new(program);
    let command = command.args(arguments).arg(path).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Set for a test that runs in a namespace of its own.
const UNSHARED: &str = "STRONGROOM_TEST_UNSHARED";

/// For a test that could not mount: runs it anew in a namespace where whoever runs it may, or says
/// that it is skipped. `test` is its path, as the harness calls it.
pub fn elsewhere(test: &str) {
    let unshare = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]).arg(program);
        command.args(arguments).env(UNSHARED, "yes").output()
    };
    let is_possible =
        || unshare(Path::new("true"), &[]).is_ok_and(|output| output.status.success());
    if std::env::var_os(UNSHARED).is_none() && is_possible() {
        let this = std::env::current_exe().unwrap();
        let output = unshare(&this, &["--exact", test]).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // A name that is nobody's would be no failure to the harness.
        let is_well = output.status.success() && said.contains("1 passed");
        assert!(is_well, "{test} in a namespace: {said} {}", told(&output));
        let _ = std::io::stderr().write_all(&output.stderr);
    } else {
        skip(test, "it mounts small disks, which is not possible here");
    }
}

/// Says aloud, past the harness, that a test is skipped. It is no failure where mounting is not
/// possible: a back end that reports a full disk shows the same of the store and of a refresh
/// (`src/store/disk/tests.rs`, `src/refresh/tests.rs`).
pub fn skip(name: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}

/// A vault made by `init`, and the disks it lies on.
pub struct House {
    // Dropped first: a directory is not removed from under a mount.
    pub disks: Vec<Disk>,
    pub home: tempfile::TempDir,
    key: String,
}

impl House {
    /// A vault on the test's own disk.
    pub fn plain() -> Self {
        Self::init(tempfile::tempdir().unwrap(), vec![])
    }

    /// A vault on a small disk, with another one for its trail where `audit_kib` says so.
    pub fn on_disks(store_kib: u32, audit_kib: Option<u32>) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let disk = Disk::mount(&data, store_kib)?;
        let mut house = Self::init(home, vec![disk]);
        if let Some(kib) = audit_kib {
            let audit = data.join("audit");
            let (name, there) = ("0000000001.seg", "begun");
            std::fs::copy(audit.join(name), house.home.path().join(there)).unwrap();
            house.disks.push(Disk::mount(&audit, kib)?);
            std::fs::copy(house.home.path().join(there), audit.join(name)).unwrap();
        }
        Some(house)
    }

    fn init(home: tempfile::TempDir, disks: Vec<Disk>) -> Self {
        let passphrase = home.path().join("passphrase");
        std::fs::write(&passphrase, format!("{PASSPHRASE}\n")).unwrap();
        set_mode(&passphrase, 0o600);
        let mut house = Self {
            disks,
            home,
            key: String::new(),
        };
        let file = passphrase.to_str().unwrap();
        let made = house.run(&[
            "init",
            "--json",
            "--kdf-memory-mib",
            "64",
            "--passphrase-file",
            file,
        ]);
        assert!(made.status.success(), "{}", told(&made));
        let said: Value = serde_json::from_slice(&made.stdout).unwrap();
        house.key = said["access_key"].as_str().unwrap().to_owned();
        house
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Runs a command on this vault to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.env_clear().env("STRONGROOM_DATA", self.data());
        ended(command.args(arguments))
    }

    /// A `serve` that is expected to be refused.
    pub fn refused(&self, data: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command
            .env_clear()
            .args(["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--passphrase-file");
        command.arg(self.home.path().join("passphrase"));
        ended(command.arg("--data").arg(data))
    }

    /// A `serve` that is expected to be refused, with at most `files` descriptors.
    pub fn refused_with(&self, files: u32) -> Output {
        ended(&mut self.serve_command(Some(files), &[]))
    }

    /// Starts `serve` and waits until it listens; with at most `files` descriptors where given.
    pub fn serve(&self, files: Option<u32>, more: &[&str]) -> Server {
        let child = self
            .serve_command(files, more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Server::listening(child, &self.key)
    }

    fn serve_command(&self, files: Option<u32>, more: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        let limit = files.map_or(String::new(), |files| format!("ulimit -n {files}; "));
        command.arg("-c").arg(format!("{limit}exec \"$0\" \"$@\""));
        command.arg(env!("CARGO_BIN_EXE_strongroom"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--passphrase-file"]);
        command.arg(self.home.path().join("passphrase")).args(more);
        command.env_clear().env("STRONGROOM_LOG", "info");
        command.env("STRONGROOM_DATA", self.data());
        command
    }
}

/// Runs a command to its end, at most [`PATIENCE`] long.
fn ended(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            panic!("{command:?} does not end");
        }
    }
}

/// What a command said on standard error.
pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A served vault in a process of its own.
pub struct Server {
    child: Child,
    pub api: Api,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn listening(mut child: Child, key: &str) -> Self {
        let stderr = child.stderr.take().unwrap();
        let (said, heard) = mpsc::channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Past the harness, for whoever reads a failure; one line a refusal is too much.
                if !line.contains("a request failed") {
                    let _ = writeln!(std::io::stderr(), "serve: {line}");
                }
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let url = rest.split([',', ' ']).next().unwrap_or_default().to_owned();
                    let _ = said.send(url);
                }
                lines.lock().unwrap().push(line);
            }
        });
        let Ok(url) = heard.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it does not listen: {:?}", log.lock().unwrap());
        };
        let api = Api {
            client: client(),
            url,
            key: key.to_owned(),
        };
        Self { child, api, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True where a line of the log so far holds `text`.
    pub fn has_logged(&self, text: &str) -> bool {
        let log = self.log.lock().unwrap();
        log.iter().any(|line| line.contains(text))
    }

    /// kill -9: no goodbye, no flush.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
