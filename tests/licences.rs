//! What the program is made of may be given away: the licences of all dependencies, and lock files
//! that name no place to download from.
//!
//! Goal: nobody who ships the binary is surprised by a licence. Method: `cargo metadata` lists
//! every package of the lock file with its SPDX expression, which licences of the list must meet.

use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than their text and a name to be kept.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    // Data, not code: Mozilla's root certificates.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages of the interop suite that are under terms of their own, and why they are there. They
/// are installed for that suite alone: nothing of them is shipped.
const OF_THE_SUITE: &[&str] = &[
    // Descope's web SDK, which the suite has to run as it is, depends on it. The suite never calls
    // what it is for.
    "node_modules/@fingerprintjs/fingerprintjs-pro",
    // Judges pages in the browser suite. The Mozilla licence asks for changes to its own files to
    // be given on, and it is not changed.
    "node_modules/axe-core",
];

/// The lock files of the interop suites.
const LOCKS: [&str; 3] = [
    include_str!("interop/package-lock.json"),
    include_str!("interop_mcp/package-lock.json"),
    include_str!("interop_servers/package-lock.json"),
];

/// The packages of a lock file.
fn packages_of(lock: &&str) -> serde_json::Map<String, Value> {
    let lock: Value = serde_json::from_str(lock).expect("npm writes JSON");
    let packages = lock["packages"].as_object();
    packages.expect("a map of packages").clone()
}

/// Reads an SPDX expression: `OR` binds loosest, then `AND`, then `WITH`. The slash of old
/// manifests means `OR`.
struct Expression {
    words: Vec<String>,
    at: usize,
}

impl Expression {
    /// Whether the list meets the expression; nothing where it cannot be read.
    fn is_met(text: &str) -> Option<bool> {
        let spaced = text
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let words = spaced.split_whitespace().map(str::to_owned).collect();
        let mut expression = Self { words, at: 0 };
        let met = expression.any()?;
        (expression.at == expression.words.len()).then_some(met)
    }

    fn any(&mut self) -> Option<bool> {
        let mut met = self.all()?;
        while self.takes("OR") {
            met |= self.all()?;
        }
        Some(met)
    }

    fn all(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.takes("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.takes("(") {
            let met = self.any()?;
            return self.takes(")").then_some(met);
        }
        let mut licence = self.word()?;
        if self.takes("WITH") {
            licence = format!("{licence} WITH {}", self.word()?);
        }
        Some(ALLOWED.contains(&licence.as_str()))
    }

    fn takes(&mut self, word: &str) -> bool {
        let takes = self.words.get(self.at).is_some_and(|next| next == word);
        self.at += usize::from(takes);
        takes
    }

    fn word(&mut self) -> Option<String> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word.filter(|word| !["OR", "AND", "WITH", "(", ")"].contains(&word.as_str()))
    }
}

/// What is wrong with a package's licence, if anything.
fn fault(name: &str, licence: Option<&str>) -> Option<String> {
    let licence = match licence {
        Some(licence) => licence,
        None => return Some(format!("{name} names no licence")),
    };
    match Expression::is_met(licence) {
        Some(true) => None,
        Some(false) => Some(format!("{name} is under {licence}")),
        None => Some(format!("{name}: cannot read the expression {licence}")),
    }
}

/// `cargo metadata`, from what is on this machine: for all platforms where all is here (as after
/// `cargo fetch`), else for this one.
fn metadata() -> Value {
    let run = |further: &[&str]| {
        Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["metadata", "--format-version=1", "--locked", "--offline"])
            .args(further)
            .output()
            .expect("cargo runs, as it runs this test")
    };
    let mut output = run(&[]);
    if !output.status.success() {
        output = run(&["--filter-platform", &host()]);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {complaint}");
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let output = output.expect("rustc runs, as it compiled this test").stdout;
    let text = String::from_utf8(output).expect("rustc writes text");
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

#[test]
fn every_dependency_has_a_licence_of_the_list() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 1, "there are dependencies");
    let faults: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let name = package["name"].as_str().expect("a package has a name");
            fault(name, package["license"].as_str())
        })
        .collect();
    println!("licences: {} packages", packages.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_package_of_the_interop_suite_has_a_licence_of_the_list() {
    let packages: serde_json::Map<String, Value> = LOCKS.iter().flat_map(packages_of).collect();
    assert!(packages.len() > LOCKS.len(), "there are packages");
    for place in OF_THE_SUITE {
        assert!(
            packages.contains_key(*place),
            "{place} has gone: strike it off"
        );
    }
    for (place, package) in &packages {
        if !OF_THE_SUITE.contains(&place.as_str()) {
            assert_eq!(fault(place, package["license"].as_str()), None);
        }
    }
}

/// Goal: the packages come from whatever registry a machine is set up with. Method: a place to
/// download from stands in `resolved`; the hash that binds the content stays.
#[test]
fn the_interop_lock_file_names_hashes_and_no_host() {
    let packages = LOCKS.iter().flat_map(packages_of);
    for (place, package) in packages.filter(|(place, _)| !place.is_empty()) {
        assert!(package.get("resolved").is_none(), "{place}");
        assert!(package["integrity"].is_string(), "{place}");
    }
}

#[test]
fn expressions_are_read_as_spdx_says() {
    let cases = [
        ("MIT", Some(true)),
        ("GPL-3.0-only", Some(false)),
        ("MIT OR GPL-3.0-only", Some(true)),
        ("MIT AND GPL-3.0-only", Some(false)),
        ("GPL-3.0-only OR MIT AND ISC", Some(true)),
        ("(GPL-3.0-only OR MIT) AND Unicode-3.0", Some(true)),
        ("(MIT OR ISC) AND GPL-3.0-only", Some(false)),
        ("Apache-2.0 WITH LLVM-exception", Some(true)),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Some(false)),
        ("Unlicense/MIT", Some(true)),
        ("Apache-2.0 / MIT", Some(true)),
        ("", None),
        ("MIT OR", None),
        ("(MIT", None),
        ("MIT ISC", None),
    ];
    for (text, met) in cases {
        assert_eq!(Expression::is_met(text), met, "{text}");
    }
    assert_eq!(fault("x", None), Some("x names no licence".to_owned()));
    assert_eq!(
        fault("x", Some("AGPL-3.0-only")),
        Some("x is under AGPL-3.0-only".to_owned())
    );
}
