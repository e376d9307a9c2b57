//! A server as a child process: the product's binary, or this one as a server of its own.
//!
//! Measures nothing. A server that says no address in time is an error; it ends with its handle,
//! and is never one that we did not start.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Outcome, machine};

/// Longest wait for a server that checks a large file before it listens.
const PATIENCE: Duration = Duration::from_secs(240);

/// A server that listens.
pub struct Server {
    child: Child,
    /// Where.
    pub address: SocketAddr,
    /// When it was started.
    pub begun: Instant,
}

impl Server {
    /// `strongroom serve` on a data directory, with more arguments.
    pub fn vault(binary: &Path, data: &Path, more: &[&str], core: Option<usize>) -> Outcome<Self> {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .stdin(Stdio::null());
        Self::start(command, core)
    }

    /// This program as a server of its own, by its first argument.
    pub fn own(arguments: &[String], core: Option<usize>) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        // It ends when its standard input does, and so with us however we end.
        command.env_clear().args(arguments).stdin(Stdio::piped());
        Self::start(command, core)
    }

    fn start(mut command: Command, core: Option<usize>) -> Outcome<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = machine::on_core(core, || Ok(command.spawn()?))?;
        let (told, heard) = mpsc::channel();
        let lines = child.stderr.take().ok_or("a child without its output")?;
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let url = rest.split([',', ' ']).next().unwrap_or_default();
                    let address = url.rsplit('/').next().unwrap_or_default().to_owned();
                    // Nobody waits for a second line.
                    let _ = told.send(address);
                } else if line.contains("ERROR") || line.starts_with("strongroom:") {
                    eprintln!("serve: {line}");
                }
            }
        });
        let heard = heard.recv_timeout(PATIENCE);
        let Ok(address) = heard else {
            child.kill()?;
            child.wait()?;
            return Err("a server does not listen".into());
        };
        Ok(Self {
            child,
            address: address.parse()?,
            begun,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it took so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        machine::cpu_of(self.pid())
    }

    /// Its resident memory, in MiB.
    pub fn resident_mib(&self) -> Outcome<f64> {
        machine::resident_mib(self.pid())
    }

    /// Ends it in order.
    pub fn end(mut self) -> Outcome<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("a server ended with {status}").into()),
        }
    }

    /// Ends it as a power cut of the process: kill -9.
    pub fn kill(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
