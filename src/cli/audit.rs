//! `audit`: the trail as JSON lines.
//!
//! It promises: entries come oldest first, each once; following misses none.
//! It never: changes the trail, though reading it is on record like everything else.

use clap::Args;
use serde_json::{Value, json};

use super::args::Remote;
use super::client::Client;
use super::failure::{Exit, Failure};
use super::output;
use crate::limits;

/// Arguments of `audit`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  strongroom audit --limit 20
  strongroom audit --follow | jq 'select(.allowed | not)'
  strongroom audit --verify")]
pub struct AuditArgs {
    /// Where the server is.
    #[command(flatten)]
    pub remote: Remote,
    /// How many of the newest entries to print.
    #[arg(long, value_name = "N", default_value_t = limits::PAGE_DEFAULT)]
    pub limit: usize,
    /// Go on with what happens from now on. Reads of the trail itself are left out then.
    #[arg(long, conflicts_with = "verify")]
    pub follow: bool,
    /// Check the whole trail's chain instead; the exit code is 1 where it is broken.
    #[arg(long)]
    pub verify: bool,
}

/// Prints, follows or verifies the trail.
///
/// # Errors
/// Failed, where the trail is broken; what the server says otherwise.
pub async fn run(args: AuditArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    if args.verify {
        return verify(&client).await;
    }
    let entries = newest(&client, args.limit, None).await?;
    for entry in &entries {
        output::json_line(entry)?;
    }
    if !args.follow {
        return Ok(());
    }
    follow(&client, entries.last().and_then(seq_of).unwrap_or(0)).await
}

async fn verify(client: &Client) -> Result<(), Failure> {
    let found = client.post(&["v1", "audit", "verify"], &json!({})).await?;
    output::json(&found)?;
    match found["problems"].as_array() {
        Some(problems) if problems.is_empty() => Ok(()),
        _ => Err(Failure::new(
            Exit::Failed,
            "the audit trail is not whole",
            "keep its files as they are, and find out who could change them",
        )),
    }
}

async fn follow(client: &Client, mut last: u64) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(limits::CLIENT_FOLLOW_EVERY).await;
        for entry in newest(client, usize::MAX, Some(last)).await? {
            last = seq_of(&entry).unwrap_or(last).max(last);
            // Each look is itself on record; shown, it would be followed by itself for ever.
            if entry["action"] != "audit" || entry["outcome"] != "ok" {
                output::json_line(&entry)?;
            }
        }
    }
}

/// At most `most` of the newest entries, oldest first; with `after`, those with a greater number.
async fn newest(client: &Client, most: usize, after: Option<u64>) -> Result<Vec<Value>, Failure> {
    let mut found: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    while found.len() < most {
        let limit = (most - found.len()).min(limits::PAGE_MAX).to_string();
        let mut query = vec![("limit", limit.as_str())];
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let page = client.get(&["v1", "audit"], &query).await?;
        let entries = page["entries"].as_array().cloned().unwrap_or_default();
        let came = entries.len();
        found.extend(
            entries
                .into_iter()
                .filter(|entry| after.is_none_or(|after| seq_of(entry) > Some(after))),
        );
        let reached_known = after.is_some_and(|after| {
            let oldest = page["entries"]
                .as_array()
                .and_then(|entries| entries.last());
            oldest.and_then(seq_of).is_none_or(|seq| seq <= after + 1)
        });
        match page["cursor"].as_str() {
            Some(next) if came > 0 && !reached_known => cursor = next.to_owned(),
            _ => break,
        }
    }
    found.truncate(most);
    found.reverse();
    Ok(found)
}

fn seq_of(entry: &Value) -> Option<u64> {
    entry["seq"].as_u64()
}
