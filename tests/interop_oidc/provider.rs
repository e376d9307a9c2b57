//! The provider's process: npm `oidc-provider` under Node.
//!
//! It promises: it ends when its handle is dropped, or when this process dies.
//! It never: is reached from elsewhere than this machine.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

/// Characters that tell a form-encoded client secret from a plain one (RFC 6749 2.3.1).
pub const CLIENT_ID: &str = "strong:room id";
pub const CLIENT_SECRET: &str = "s/e+c:r et% of thirty-two bytes or more";
/// Nobody listens there: the client reads the address it is sent to, and does not go.
pub const REDIRECT_URI: &str = "http://127.0.0.1/callback/oidc";
/// Node starts in under a second; a busy machine takes a few.
const START_MAX: Duration = Duration::from_secs(60);

/// The provider's process. It ends when this is dropped, or when this process dies.
pub struct OidcProvider {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub issuer: Url,
}

impl OidcProvider {
    /// Starts it, and waits until it listens; nothing where Node or the packages are missing.
    ///
    /// # Panics
    /// Where something is missing and `STRONGROOM_INTEROP=require` says that nothing may be.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_for(test, REDIRECT_URI)
    }

    /// [`Self::start`], for a client whose redirect URI is another.
    pub fn start_for(test: &str, redirect_uri: &str) -> Option<Self> {
        let required = std::env::var("STRONGROOM_INTEROP").is_ok_and(|value| value == "require");
        match node_modules() {
            Ok(packages) => Some(Self::spawn(&packages, redirect_uri)),
            Err(missing) if required => panic!("STRONGROOM_INTEROP=require, but {missing}"),
            Err(missing) => {
                // Written past the test harness, which would swallow it.
                _ = writeln!(std::io::stderr(), "SKIPPED {test}: {missing}");
                None
            }
        }
    }

    fn spawn(packages: &Path, redirect_uri: &str) -> Self {
        let settings = json!({
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [redirect_uri],
            "node_modules": packages,
        });
        let mut child = Command::new("node")
            .arg(interop_folder().join("oidc-provider.mjs"))
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts, as it told its version before");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("it is piped");
        let (told, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            _ = told.send(read.map(|_| line));
        });
        let line = ready.recv_timeout(START_MAX).expect("it listens in time");
        let line = line.expect("its output can be read");
        let said: Value = serde_json::from_str(&line).expect("it says where it listens");
        let issuer = said["issuer"].as_str().expect("with an issuer");
        let issuer = Url::parse(issuer).expect("which is a URL");
        Self {
            child,
            stdin,
            issuer,
        }
    }

    pub fn endpoint(&self, path: &str) -> Url {
        self.issuer.join(path).expect("a path of ours")
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        drop(self.stdin.take());
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn interop_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// Where the packages lie, or a sentence on what is missing.
fn node_modules() -> Result<PathBuf, String> {
    let version = Command::new("node").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Err("`node` does not run here".to_owned());
    }
    let named = std::env::var_os("STRONGROOM_INTEROP_NODE_MODULES").map(PathBuf::from);
    let packages = named.unwrap_or_else(|| interop_folder().join("node_modules"));
    if packages.join("oidc-provider/package.json").is_file() {
        return Ok(packages);
    }
    Err(format!(
        "`oidc-provider` is not in {}; `npm ci --prefix tests/interop` installs it",
        packages.display()
    ))
}
