//! The binary as a child process, and what the system says of it.
//!
//! It promises: a locked vault on a free loopback port and a Unix socket, an end with the test.
//! It never: outlives the test that started it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub const PASSPHRASE: &str = "violet harbour mumbles often";
/// Nothing here takes this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Served {
    child: Child,
    home: tempfile::TempDir,
    pub address: SocketAddr,
}

/// What the system says of a process.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    pub rss_kib: u64,
    pub peak_rss_kib: u64,
    pub descriptors: usize,
}

/// Lets this process, and with it the child, have as many descriptors as the system allows.
pub fn many_descriptors() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: now.maximum.or(Some(1 << 20)),
        ..now
    };
    setrlimit(Resource::Nofile, wanted).unwrap();
    wanted.current.unwrap()
}

impl Served {
    /// Makes a vault and serves it, locked.
    pub fn locked() -> Self {
        many_descriptors();
        let home = tempfile::tempdir().unwrap();
        let passphrase = home.path().join("passphrase");
        std::fs::write(&passphrase, format!("{PASSPHRASE}\n")).unwrap();
        let mut init = command(&home);
        init.args([
            "init",
            "--json",
            "--kdf-memory-mib",
            "64",
            "--passphrase-file",
        ]);
        let made = init.arg(&passphrase).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success(), "{said}");
        let unix = format!("unix:{}", home.path().join("s").display());
        let mut child = command(&home)
            .args(["serve", "--listen", "127.0.0.1:0", "--listen", &unix])
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
                if let Some((_, rest)) = line.split_once("listening on http://") {
                    let _ = told.send(rest.split(',').next().unwrap_or_default().to_owned());
                }
            }
        });
        let address = heard.recv_timeout(PATIENCE).expect("it listens in time");
        Self {
            child,
            home,
            address: address.parse().unwrap(),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.home.path().join("s")
    }

    /// The bytes of the vault's file.
    pub fn file(&self) -> Vec<u8> {
        std::fs::read(self.home.path().join("data/vault.redb")).unwrap()
    }

    pub fn vitals(&self) -> Vitals {
        let of = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{of}/status")).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.unwrap().split_whitespace().next().unwrap();
            number.parse().unwrap()
        };
        Vitals {
            rss_kib: kib("VmRSS:"),
            peak_rss_kib: kib("VmHWM:"),
            descriptors: std::fs::read_dir(format!("{of}/fd")).unwrap().count(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(home: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command
        .env_clear()
        .env("STRONGROOM_DATA", home.path().join("data"))
        .env("STRONGROOM_LOG", "info");
    command
}

/// Status, head and body of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn retry_after(&self) -> Option<u64> {
        let lower = self.head.to_lowercase();
        let (_, rest) = lower.split_once("retry-after: ")?;
        rest.split("\r\n").next()?.parse().ok()
    }
}

/// A request on a connection of its own, which its answer ends.
pub async fn ask<I>(
    mut io: I,
    host: &str,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<Answer>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    io.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    io.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Ok(Answer {
        status: head
            .get(9..12)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
