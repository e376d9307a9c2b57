//! Watching what a server does by itself, once it was told to.
//!
//! It promises: it tells how far the server is until that has ended, and ends as it did.
//! It never: waits for ever, or takes another one's end for that of the one it watches.

use serde_json::{Value, json};

use super::client::Client;
use super::failure::{Exit, Failure};
use super::progress::Watch;
use crate::limits;

/// Something that the server's status tells of.
pub struct Followed {
    /// What it is, and the field of the status.
    pub what: &'static str,
    /// The fields that tell it from another one.
    pub same: &'static [&'static str],
    /// What to do where the server no longer knows of it.
    pub lost: &'static str,
}

impl Followed {
    /// Watches what `begun` tells of until it is done.
    ///
    /// # Errors
    /// As it failed; failed, where the server knows nothing of it any more.
    pub async fn to_its_end(
        &self,
        client: &Client,
        begun: &Value,
        quiet: bool,
    ) -> Result<Value, Failure> {
        let ended = tokio::time::timeout(
            limits::CLIENT_BACKUP_WAIT_MAX,
            self.watched(client, begun, quiet),
        );
        let ended = ended.await.map_err(|_| {
            let what = format!("the {} is still running", self.what);
            Failure::new(Exit::Unavailable, what, "`strongroom status --json` tells")
        })??;
        if ended["state"] == json!("done") {
            return Ok(ended);
        }
        let text = |field: &str| ended["error"][field].as_str().unwrap_or_default();
        let failure = Failure::new(Exit::of_code(text("code")), text("message"), text("hint"));
        Err(failure.with_code(text("code")))
    }

    async fn watched(&self, client: &Client, begun: &Value, quiet: bool) -> Result<Value, Failure> {
        let mut watch = Watch::new(self.what, quiet);
        loop {
            let status = client.get(&["v1", "status"], &[]).await?;
            let stands = &status[self.what];
            if self.same.iter().any(|field| stands[field] != begun[field]) {
                let what = format!(
                    "the server no longer knows of this {}: it was started anew, or makes another \
                     one",
                    self.what
                );
                return Err(Failure::new(Exit::Failed, what, self.lost));
            }
            if stands["state"] != json!("running") {
                return Ok(stands.clone());
            }
            watch.set(number(&stands["done"]), number(&stands["total"]));
            tokio::time::sleep(limits::CLIENT_BACKUP_POLL_EVERY).await;
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
