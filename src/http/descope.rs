//! Descope's clients: their words for what the native API does, on the paths that they know.
//!
//! Their SDKs are pointed here by their base URL alone. A request is read in their words, goes to
//! the vault or flow function that the native handler calls, and is answered in their words.
//!
//! It promises: an answer is a JSON object, also where a handler panics or takes too long, and
//! never a redirect, a 204 or a 503; what such a client may do is what its access key's grants say.
//! It never: does what the native API could not, but for a link that is bound to the browser of who
//! asks (a native route, closed to pages, has no use for it); or lets a word of theirs into it.

mod apps;
mod connect;
pub mod failure;
mod tokens;
pub mod who;
pub mod wire;

use std::time::Duration;

use self::failure::{Failure, Result};
use crate::http::answer::Answer;
use crate::http::app::{App, Call};
use crate::http::pace::within;
use crate::http::panics;
use crate::http::routes::descope::Operation;
use crate::http::wire::ok;
use crate::limits;

/// Answers a request of Descope's.
pub async fn answer(app: &App, operation: Operation, call: Call) -> Answer {
    let handled = panics::survive(dispatch(app, operation, &call));
    let outcome = match within(TIME_MAX, handled).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panics::Panicked)) => Err(Failure::internal()),
        Err(_) => Err(Failure::too_slow()),
    };
    outcome.unwrap_or_else(Failure::answer)
}

async fn dispatch(app: &App, operation: Operation, call: &Call) -> Result<Answer> {
    match operation {
        Operation::Fetch(level, pick) => tokens::fetch(app, call, level, pick).await,
        Operation::CreateApp => apps::create(app, call).await,
        Operation::CreateOfTemplate => apps::create_of_template(app, call).await,
        Operation::CreateOfPreset => apps::create_of_preset(),
        Operation::UpdateApp => apps::update(app, call).await,
        Operation::DeleteApp => apps::delete(app, call).await,
        Operation::LoadApp => apps::load(app, call),
        Operation::LoadApps => apps::load_all(app, call),
        Operation::Connect | Operation::AdaptiveConnect => connect::connect(app, call).await,
        Operation::ConnectedApps => tokens::connected_apps(app, call),
        Operation::DeleteTokens => tokens::delete_fitting(app, call).await,
        Operation::DeleteToken => tokens::delete(app, call).await,
        Operation::UploadKey(level) => tokens::upload_key(app, call, level).await,
        Operation::UploadToken(level) => tokens::upload(app, call, level).await,
        Operation::UploadTokens(level) => tokens::upload_batch(app, call, level).await,
        // The tier tells a client how often it may ask; the highest keeps it from slowing itself.
        Operation::License => Ok(ok(&serde_json::json!({ "rateLimitTier": "tier4" }))),
        // We sign no tokens: whoever holds one against these finds that it is not of ours.
        Operation::Keys => Ok(ok(&serde_json::json!({ "keys": [] }))),
    }
}

/// Longest life of a request here: shorter than the server's, whose answer would be a 503.
const TIME_MAX: Duration = Duration::from_secs(85);

const _: () = assert!(TIME_MAX.as_secs() < limits::REQUEST_TIMEOUT.as_secs());
