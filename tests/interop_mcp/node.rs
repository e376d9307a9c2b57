//! The packages of this suite, and the live server.
//!
//! It promises: as [`crate::foreign`], which it is made of.
//! It never: installs anything.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::foreign::{Process, folder_of, node, node_packages, or_skip};

/// Where the packages lie; nothing where they, or Node, are missing.
///
/// # Panics
/// Where something is missing and `STRONGROOM_INTEROP=require` says that nothing may be.
pub fn packages_or_skip(test: &str) -> Option<PathBuf> {
    let names = [
        "@modelcontextprotocol/sdk",
        "@modelcontextprotocol/conformance",
    ];
    let variable = "STRONGROOM_INTEROP_MCP_NODE_MODULES";
    or_skip(test, node_packages("interop_mcp", variable, &names))
}

/// The folder of this suite.
pub fn folder() -> PathBuf {
    folder_of("interop_mcp")
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
    _process: Process,
    pub url: String,
    pub issuer: String,
}

impl LiveServer {
    /// Starts it, and waits until it listens.
    pub fn start(packages: &Path) -> Self {
        let process = Process::start(node(folder().join("server.mjs"), packages));
        Self {
            url: process.text("url"),
            issuer: process.text("issuer"),
            _process: process,
        }
    }
}
