//! A live MCP server of the SDK: connected by its URL alone, and its tool called.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{LiveServer, folder, packages_or_skip, run};
use crate::support::{Api, Browser, Inside, client, clock, new_home};

/// Through the server's own consent page.
async fn connects(api: &Api, server: &LiveServer) {
    let ask = json!({ "app": "notes", "user": "ada", "connect": {} });
    let (_, said) = api.post("/v1/token", ask).await;
    let link = said["connect"]["url"].as_str().unwrap().to_owned();
    let code = said["connect"]["code"].as_str().unwrap().to_owned();
    let mut browser = Browser::new();
    let page = browser.open(&link).await;
    let ticket = link.split("/c/").nth(1).unwrap();
    let page = browser.submit(&page, ticket, &[]).await;
    let page = browser.submit(&page, "/code", &[("code", &code)]).await;
    let consent = browser.submit(&page, "/notes/go", &[]).await;
    assert!(consent.url.starts_with(&server.issuer), "{}", consent.url);
    assert!(
        consent.text.contains("Let Strongroom in"),
        "{}",
        consent.text
    );
    let done = browser.submit(&consent, "/consent", &[]).await;
    assert!(
        done.text.contains("Connected"),
        "{}: {}",
        done.url,
        done.text
    );
}

async fn token(api: &Api) -> Value {
    api.post("/v1/token", json!({ "app": "notes", "user": "ada" }))
        .await
        .1
}

/// What the server's tool says of a token, called by the SDK's own client.
async fn whoami(packages: &Path, server: &LiveServer, token: &Value) -> Value {
    assert_eq!(token["outcome"], "ok", "{token}");
    let mut command = Command::new("node");
    command.arg(folder().join("client.mjs")).arg(packages);
    command.args([&server.url, "whoami"]);
    let token = token["access_token"].as_str().unwrap().to_owned();
    let output = run(command, Some(token)).await;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Goal: a live MCP server is of use by its URL alone (issue 6, point 4). Method: one request makes
/// the app; a person goes through the consent page; the token calls the server's tool, refreshed
/// too; the server forgets its clients; a removed token is revoked there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_mcp_server_is_connected_by_its_url_and_its_tool_called() {
    let test = "a_live_mcp_server_is_connected_by_its_url_and_its_tool_called";
    let Some(packages) = packages_or_skip(test) else {
        return;
    };
    let server = LiveServer::start(&packages);
    let clock = clock();
    let home = new_home(&clock);
    let inside = Inside::serve(home.vault, false).await;
    let api = inside.api(&home.admin);
    let new = json!({ "id": "notes", "server_url": server.url });
    let (status, app) = api.post("/v1/apps", new).await;
    assert_eq!(status, 201, "{app}");
    assert_eq!(app["remote"]["issuer"], server.issuer);
    assert_eq!(app["remote"]["client"], "registered");

    connects(&api, &server).await;
    let first = token(&api).await;
    let said = whoami(&packages, &server, &first).await;
    assert_eq!(said["client"], app["client_id"]);
    assert_eq!(said["scopes"], json!(["mcp:tools"]));
    assert_eq!(said["resource"], server.url);

    clock.advance(Duration::from_secs(601));
    let next = token(&api).await;
    assert_ne!(next["access_token"], first["access_token"]);
    assert_eq!(
        whoami(&packages, &server, &next).await["client"],
        app["client_id"]
    );

    // The server starts anew, as it were. Its refresh tokens are their client's alone.
    let forget = format!("{}test/forget", server.issuer);
    let forgotten = client().post(forget).send().await.unwrap();
    assert_eq!(forgotten.status().as_u16(), 200);
    clock.advance(Duration::from_secs(601));
    // Refused once, it may be a hiccup; refused for minutes, the client is forgotten.
    let refused = token(&api).await;
    assert_eq!(refused["outcome"], "unavailable", "{refused}");
    clock.advance(Duration::from_secs(301));
    let lost = token(&api).await;
    assert_eq!(lost["outcome"], "reconnect_required", "{lost}");
    connects(&api, &server).await;
    let again = token(&api).await;
    let renewed = whoami(&packages, &server, &again).await;
    assert_ne!(renewed["client"], app["client_id"], "registered anew");

    let path = format!("/v1/tokens/{}", again["token_id"].as_str().unwrap());
    let (_, gone) = api.delete(&path).await;
    assert_eq!(gone["revocation"]["result"], "revoked", "{gone}");
    inside.end().await;
}
