//! One of the hardest providers, on loopback, scripted as its documentation says.
//!
//! It promises: every request is kept; people consent at once.
//! It never: keeps count: what comes next is read off the token that is presented.

use serde_json::Value;

pub use crate::asked::Asked;
use crate::server::{Reply, Server, reply, serve};

/// A method, a path, and what is said there.
pub type Route = (&'static str, &'static str, fn(&Asked) -> Reply);

pub struct Double {
    server: Server,
}

impl Double {
    pub async fn start(routes: &'static [Route]) -> Self {
        let script = move |request: &str| {
            let asked = Asked::of(request);
            let is_it = |(method, path, _): &&Route| asked.method == *method && asked.path == *path;
            match routes.iter().find(is_it) {
                Some((_, _, says)) => says(&asked),
                None => reply(404, "", "nobody is here"),
            }
        };
        let server = serve(script).await;
        Self { server }
    }

    pub fn at(&self) -> String {
        self.server.url("")
    }

    /// What was asked at this path, oldest first.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let all = self.server.seen();
        let all = all.iter().map(|request| Asked::of(request));
        all.filter(|asked| asked.path == path).collect()
    }

    /// The last request at this path.
    pub fn last(&self, path: &str) -> Asked {
        let asked = self.asked(path).pop();
        asked.unwrap_or_else(|| panic!("{path} was not asked: {:?}", self.paths()))
    }

    /// Methods and paths, in the order they were asked.
    pub fn paths(&self) -> Vec<String> {
        let seen = self.server.seen();
        let line = |request: &String| {
            let asked = Asked::of(request);
            format!("{} {}", asked.method, asked.path)
        };
        seen.iter().map(line).collect()
    }
}

/// Sends the browser back with a code, and with what this provider says beside.
pub fn back(asked: &Asked, beside: &[(&str, &str)]) -> Reply {
    let fields = [("code", "c-1"), ("state", asked.query("state"))];
    back_with(asked, fields.iter().chain(beside))
}

/// Sends the browser back with these parameters.
pub fn back_with<'a>(asked: &Asked, fields: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Reply {
    let mut place = reqwest::Url::parse(asked.query("redirect_uri")).unwrap();
    place.query_pairs_mut().extend_pairs(fields);
    reply(303, &format!("Location: {place}\r\n"), "")
}

/// A JSON answer.
pub fn says(status: u16, body: Value) -> Reply {
    let fields = "Content-Type: application/json\r\n";
    reply(status, fields, &body.to_string())
}

/// What comes behind a token that ends in a number: `rt-1` is followed by 2.
pub fn next(token: &str) -> u32 {
    let digits = token.rsplit('-').next().unwrap_or_default();
    digits.parse::<u32>().map_or(1, |number| number + 1)
}
