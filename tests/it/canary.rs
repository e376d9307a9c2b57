//! Canaries: every secret that a test knows, and the search for them in whatever leaves a process.
//!
//! It promises: a secret is found as it is, in base64 at any alignment, in hexadecimal, in percent
//! escapes and as JSON text writes it; what is found is named, never shown.
//! It never: reports a run of digits in the middle of a longer one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::PATIENCE;

/// Where a watched test writes down its canaries. Set for the process that runs it.
pub const CANARY_FILE: &str = "STRONGROOM_TEST_CANARY_FILE";

/// Shortest secret that is looked for in every form; a shorter one is looked for as a word.
const LONG_ENOUGH: usize = 8;

/// The secrets that are known.
#[derive(Default)]
pub struct Canaries(Vec<(String, Vec<u8>)>);

impl Canaries {
    /// Remembers a secret under a name.
    pub fn add(&mut self, what: &str, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref().to_vec();
        assert!(
            secret.len() >= 6,
            "{what} is too short to be told from chance"
        );
        if !self.0.iter().any(|(_, known)| *known == secret) {
            self.0.push((what.to_owned(), secret));
        }
    }

    /// Remembers a secret that is base64url of an id and chance: as text, and its chance as bytes.
    pub fn add_ticket(&mut self, what: &str, text: &str) {
        self.add(what, text);
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
        self.add(what, &bytes[bytes.len() - 32..]);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names of the secrets that stand in `bytes`, each with the form it has there.
    pub fn search(&self, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (what, secret) in &self.0 {
            if secret.len() < LONG_ENOUGH {
                if has_word(bytes, secret) {
                    found.push(format!("{what}, as a word"));
                }
                continue;
            }
            let forms = forms(secret);
            let form = forms.iter().find(|(_, needle)| has(bytes, needle));
            found.extend(form.map(|(form, _)| format!("{what}, {form}")));
        }
        found
    }

    /// All of it as text, for another process; this text is itself a secret.
    pub fn to_text(&self) -> String {
        let all: Vec<Value> = self
            .0
            .iter()
            .map(|(what, secret)| json!([what, secret]))
            .collect();
        json!(all).to_string()
    }

    pub fn from_text(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }
}

/// The ways in which a secret may be written.
fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = secret.iter().map(|byte| format!("%{byte:02x}")).collect();
    let mut forms = vec![
        ("as it is", secret.to_vec()),
        ("in hexadecimal", hex.to_uppercase().into_bytes()),
        ("in hexadecimal", hex.into_bytes()),
        ("percent-encoded", percent.to_uppercase().into_bytes()),
        ("percent-encoded", percent.into_bytes()),
    ];
    if let Ok(text) = std::str::from_utf8(secret) {
        let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let quoted = json!(text).to_string();
        forms.push(("percent-encoded", form.replace('+', "%20").into_bytes()));
        forms.push(("as a form", form.into_bytes()));
        forms.push(("in JSON", quoted.as_bytes()[1..quoted.len() - 1].to_vec()));
        forms.push((
            "upside down",
            text.chars().rev().collect::<String>().into_bytes(),
        ));
    }
    // In base64 the characters depend on what stands before and after: three alignments, less the
    // ends that are shared with the neighbours.
    for shift in 0..3_usize {
        let mut padded = vec![0; shift];
        padded.extend_from_slice(secret);
        let skip = [0, 2, 3][shift];
        for text in [STANDARD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            let text = text.trim_end_matches('=');
            let whole = padded.len() * 8 / 6;
            forms.push(("in base64", text.as_bytes()[skip..whole].to_vec()));
        }
    }
    forms
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return false;
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn has_word(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).enumerate().any(|(at, window)| {
        let before = at.checked_sub(1).map(|place| bytes[place]);
        let after = bytes.get(at + word.len());
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric();
        window == word && !before.as_ref().is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Reads every file below a directory.
pub fn read_all(directory: &Path, seen: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, seen);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.is_empty());
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            seen.push((format!("the file {name}"), bytes));
        }
    }
}

/// Runs a test of this program in a process of its own, and waits for it, for a bounded time. What
/// it printed comes back, and the canaries it wrote down.
pub fn watch(test: &str, set: &[&str]) -> (Vec<u8>, Canaries) {
    let home = tempfile::tempdir().unwrap();
    let canary_file = home.path().join("canaries");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CANARY_FILE, &canary_file)
        .env("RUST_BACKTRACE", "full")
        .envs(set.iter().map(|name| (name, "1")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(command.output().unwrap()));
    let output = receiver.recv_timeout(4 * PATIENCE).unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&printed);
    let ours: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("hyper_util"))
        .collect();
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{ours:#?}");
    let canaries = Canaries::from_text(&std::fs::read_to_string(canary_file).unwrap());
    (printed, canaries)
}

/// Goal: the search finds what it is for, and nothing else.
/// Method: a secret in every form between other bytes; near misses.
#[test]
fn a_canary_is_found_in_every_form_and_a_near_miss_is_not() {
    let secret = "sr~q+7/Zk9\"vW x";
    let mut canaries = Canaries::default();
    canaries.add("the secret", secret);
    canaries.add("the code", "120934");
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut hidden = vec![
        secret.to_owned(),
        json!({ "a": secret }).to_string(),
        hex.to_uppercase(),
        hex,
        form.replace('+', "%20"),
        form,
    ];
    for around in ["", "a", "ab", "abc", "abcd"] {
        let text = format!("{around}{secret}{around}");
        hidden.push(STANDARD.encode(&text));
        hidden.push(URL_SAFE_NO_PAD.encode(&text));
    }
    for text in &hidden {
        let bytes = [b"\x00before ".as_slice(), text.as_bytes(), b" after\xff"].concat();
        assert!(!canaries.search(&bytes).is_empty(), "{text}");
    }
    assert_eq!(canaries.search(b"code=120934;"), ["the code, as a word"]);
    for text in [
        "1120934",
        "120934a",
        "12093",
        &secret[1..],
        "",
        "the secret",
    ] {
        assert!(canaries.search(text.as_bytes()).is_empty(), "{text}");
    }
    let copy = Canaries::from_text(&canaries.to_text());
    assert_eq!(
        (copy.len(), copy.search(secret.as_bytes()).is_empty()),
        (2, false)
    );
}
