//! Where Python, Node and Chromium are, with the packages of the SDKs.
//!
//! It promises: what is missing is said aloud, and fails the test where nothing may be.
//! It never: installs anything.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

type Found = Result<Command, String>;

/// A command of this interpreter; nothing where it is missing.
///
/// # Panics
/// Where something is missing and `STRONGROOM_INTEROP=require` says that nothing may be.
pub fn or_skip(test: &str, found: Found) -> Option<Command> {
    let required = std::env::var("STRONGROOM_INTEROP").is_ok_and(|value| value == "require");
    match found {
        Ok(command) => Some(command),
        Err(missing) if required => panic!("STRONGROOM_INTEROP=require, but {missing}"),
        Err(missing) => {
            // Written past the test harness, which would swallow it.
            _ = writeln!(std::io::stderr(), "SKIPPED {test}: {missing}");
            None
        }
    }
}

/// Python with PyPI `descope`.
pub fn python() -> Found {
    let named = std::env::var_os("STRONGROOM_INTEROP_PYTHON");
    let python = named.unwrap_or_else(|| "python3".into());
    if !runs(Command::new(&python).args(["-c", "import descope"])) {
        return Err(format!(
            "`{}` has no `descope`; make a venv, have it `pip install -r \
             tests/interop_descope/requirements.txt`, and set STRONGROOM_INTEROP_PYTHON to its \
             interpreter",
            python.display()
        ));
    }
    let mut command = Command::new(python);
    command.arg(folder("tests/interop_descope").join("sdk.py"));
    Ok(command)
}

/// Node, and where npm `@descope/node-sdk` lies.
pub fn node() -> Result<(Command, PathBuf), String> {
    if !runs(Command::new("node").arg("--version")) {
        return Err("`node` does not run here".to_owned());
    }
    let named = std::env::var_os("STRONGROOM_INTEROP_NODE_MODULES").map(PathBuf::from);
    let packages = named.unwrap_or_else(|| folder("tests/interop").join("node_modules"));
    if !packages.join("@descope/node-sdk/package.json").is_file() {
        return Err(format!(
            "`@descope/node-sdk` is not in {}; `npm ci --prefix tests/interop` installs it",
            packages.display()
        ));
    }
    let mut command = Command::new("node");
    command.arg(folder("tests/interop_descope").join("sdk.mjs"));
    Ok((command, packages))
}

/// Node with a Chromium, to run a page in, and with these packages; what `script` is given of both.
pub fn web(script: &str, needed: &[&str]) -> Result<(Command, Value), String> {
    let (_, packages) = node()?;
    for package in needed.iter().chain(&["playwright-core"]) {
        if !packages.join(package).join("package.json").is_file() {
            return Err(format!(
                "`{package}` is not in {}; `npm ci --prefix tests/interop` installs it",
                packages.display()
            ));
        }
    }
    let named = std::env::var_os("STRONGROOM_INTEROP_CHROMIUM").map(PathBuf::from);
    let chromium = named.unwrap_or_else(|| "/usr/bin/chromium".into());
    if !runs(Command::new(&chromium).arg("--version")) {
        return Err(format!(
            "`{}` does not run here; set STRONGROOM_INTEROP_CHROMIUM to a Chromium",
            chromium.display()
        ));
    }
    let mut command = Command::new("node");
    command.arg(folder(script));
    let given = json!({ "node_modules": packages, "chromium": chromium });
    Ok((command, given))
}

fn runs(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
