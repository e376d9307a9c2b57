//! npm `@modelcontextprotocol/conformance`: its scenarios of client authorization, each with a
//! server of its own, which judges what it is asked.

use std::path::Path;
use std::process::Command;

use crate::node::{folder, packages_or_skip, run};
use crate::support::{Inside, new_home};
use strongroom::clock::Clock;
use strongroom::provider::egress::EgressSettings;

/// The scenarios that a vault has a part in. Others are of grants without a person
/// (`client-credentials-*`, `cross-app-access-*`), or want what is refused here: metadata that
/// names another issuer than the one asked (`2025-03-26-oauth-metadata-backcompat`), or none, and
/// so no S256 (`2025-03-26-oauth-endpoint-fallback`).
const SCENARIOS: [&str; 17] = [
    "auth/metadata-default",
    "auth/metadata-var1",
    "auth/metadata-var2",
    "auth/metadata-var3",
    "auth/basic-cimd",
    "auth/scope-from-www-authenticate",
    "auth/scope-from-scopes-supported",
    "auth/scope-omitted-when-undefined",
    "auth/scope-step-up",
    "auth/scope-retry-limit",
    "auth/token-endpoint-auth-basic",
    "auth/token-endpoint-auth-post",
    "auth/token-endpoint-auth-none",
    "auth/resource-mismatch",
    "auth/pre-registration",
    "auth/offline-access-scope",
    "auth/offline-access-not-supported",
];

/// Goal: the makers of the specification find that its rules for clients are kept. Method: their
/// suite starts a server for each scenario and an agent that has its tokens from the vault; the
/// suite's verdict counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes_with_tokens_of_the_vault() {
    let test = "the_conformance_suite_passes_with_tokens_of_the_vault";
    let Some(packages) = packages_or_skip(test) else {
        return;
    };
    let home = new_home(&Clock::system());
    // Its servers call themselves `localhost`.
    let to_localhost = |settings| EgressSettings {
        allowed_hosts: vec!["localhost".into(), "127.0.0.1".into()],
        ..settings
    };
    let inside = Inside::serve_with(home.vault, false, to_localhost).await;
    let mut failed = Vec::new();
    for scenario in SCENARIOS {
        let output = run(suite(&packages, scenario, &inside.url, &home.admin), None).await;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let checks = String::from_utf8_lossy(&output.stdout);
            failed.push(format!("{scenario}:\n{said}\n{checks}"));
        }
    }
    inside.end().await;
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    println!("conformance: {} scenarios passed", SCENARIOS.len());
}

fn suite(packages: &Path, scenario: &str, url: &str, key: &str) -> Command {
    let mut command = Command::new("node");
    command.arg("--import").arg(folder().join("globbing.mjs"));
    command.arg(packages.join("@modelcontextprotocol/conformance/dist/index.js"));
    let agent = format!("node {}", folder().join("agent.mjs").display());
    command.args(["client", "--scenario", scenario, "--command", &agent]);
    command
        .env("STRONGROOM_URL", url)
        .env("STRONGROOM_KEY", key);
    command.env("NODE_MODULES", packages);
    command
}
