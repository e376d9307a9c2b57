//! Looking at a vault from outside: everything that is there, as things with exact values, and what
//! its trail knows.
//!
//! It promises: lists and single answers are compared with each other on the way.
//! It never: believes a model.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::book::Things;
use crate::keyed::ask;
use crate::load::Client;
use crate::support::Api;

/// Tokens are revealed by so many at one time.
const READERS: usize = 6;

/// The thing that a token is, by its address.
pub fn place_of(token: &Value) -> String {
    let field = |name: &str| token[name].as_str().unwrap_or_default();
    let mut thing = format!("token {} ", field("app"));
    for (letter, name) in [("u", "user"), ("t", "tenant"), ("a", "account")] {
        if !field(name).is_empty() {
            thing.push_str(&format!(" {letter}={}", field(name)));
        }
    }
    thing
}

/// Why there is no list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unlisted {
    Gone,
    Locked,
}

/// True where an answer says that the vault is locked.
pub fn is_locked(status: u16, said: &Value) -> bool {
    status == 503 && said["error"]["code"] == json!("locked")
}

/// The tokens of a list, by thing, with their ids.
///
/// # Errors
/// That the server is gone, or the vault locked.
pub async fn listed(api: &Api, filter: &str) -> Result<BTreeMap<String, String>, Unlisted> {
    let mut things = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/tokens?{filter}limit=1000{cursor}");
        let answer = ask(api, "GET", &path, None).await;
        let (status, said) = answer.ok_or(Unlisted::Gone)?;
        if is_locked(status, &said) {
            return Err(Unlisted::Locked);
        }
        assert_eq!(status, 200, "{said}");
        for token in said["tokens"].as_array().unwrap() {
            let id = token["id"].as_str().unwrap().to_owned();
            let twin = things.insert(place_of(token), id);
            assert!(twin.is_none(), "{} is listed twice", place_of(token));
        }
        match said["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(things),
        }
    }
}

/// Everything that is there and belongs to the clients, which learn the ids.
///
/// # Errors
/// What does not fit together, or is refused.
pub async fn look(api: &Api, clients: &mut [Client]) -> Result<Things, String> {
    let gone = || "the server is gone".to_owned();
    let mut things = Things::new();
    let mut ids = Vec::new();
    let (_, said) = ask(api, "GET", "/v1/apps", None).await.ok_or_else(gone)?;
    for app in of_clients(&said["apps"], "id") {
        let name = app["name"].as_str().unwrap();
        things.insert(format!("app {}", app["id"].as_str().unwrap()), name.into());
    }
    let (_, said) = ask(api, "GET", "/v1/keys", None).await.ok_or_else(gone)?;
    for key in of_clients(&said["keys"], "name") {
        let thing = format!("key {}", key["name"].as_str().unwrap());
        ids.push((thing.clone(), key["id"].as_str().unwrap().to_owned()));
        things.insert(thing, key["role"].as_str().unwrap_or_default().into());
    }
    let all: Vec<(String, String)> = listed(api, "")
        .await
        .map_err(|why| format!("no list: {why:?}"))?
        .into_iter()
        .collect();
    let mut readers = JoinSet::new();
    for part in all.chunks(all.len().div_ceil(READERS).max(1)) {
        readers.spawn(reveal(api.clone(), part.to_vec()));
    }
    while let Some(part) = readers.join_next().await {
        things.extend(part.unwrap()?);
    }
    ids.extend(all);
    for client in clients {
        let owed = client.book.owed.keys();
        for thing in owed.filter(|thing| thing.starts_with("link ")) {
            let path = format!("/v1/connect/{}", &thing["link ".len()..]);
            let (_, said) = ask(api, "GET", &path, None).await.ok_or_else(gone)?;
            if let Some(status) = said["status"].as_str() {
                things.insert(thing.clone(), status.to_owned());
            }
        }
        client.ids = ids.iter().cloned().collect();
    }
    Ok(things)
}

/// The exact values of tokens.
async fn reveal(api: Api, tokens: Vec<(String, String)>) -> Result<Things, String> {
    let mut things = Things::new();
    for (thing, id) in tokens {
        let path = format!("/v1/tokens/{id}/reveal");
        let answer = ask(&api, "POST", &path, Some(json!({}))).await;
        let Some((200, said)) = &answer else {
            return Err(format!("{thing} is listed, and answered {answer:?}"));
        };
        let part = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        let whole = format!("{}+{}", part("access_token"), part("refresh_token"));
        things.insert(thing, whole);
    }
    Ok(things)
}

/// What of a list belongs to the clients: their names begin with a `c` and a number.
fn of_clients<'a>(list: &'a Value, name: &'a str) -> impl Iterator<Item = &'a Value> {
    let list = list.as_array().unwrap().iter();
    list.filter(move |one| {
        let name = one[name].as_str().unwrap().as_bytes();
        name[0] == b'c' && name[1].is_ascii_digit()
    })
}

/// Every access key that was acknowledged opens; every one whose removal was acknowledged does not.
pub async fn try_keys(api: &Api, client: &mut Client) -> Vec<String> {
    let mut findings = Vec::new();
    for (thing, text) in std::mem::take(&mut client.texts) {
        let as_key = Api {
            key: text.clone(),
            ..api.clone()
        };
        let answer = ask(&as_key, "GET", "/v1/status", None).await;
        let opens = answer.is_some_and(|(status, _)| status != 401);
        let is_owed = client.book.has(&thing);
        if opens != is_owed {
            findings.push(format!("{thing}: opens {opens}, and should {is_owed}"));
        }
        if is_owed {
            client.texts.insert(thing, text);
        }
    }
    findings
}

/// What the trail says.
#[derive(Default)]
pub struct Trail {
    /// The newest entry that was read before.
    seen: u64,
}

impl Trail {
    /// Checks the chain, and that the trail knows each secret that was handed out.
    pub async fn check(&mut self, api: &Api, handed: &[String]) -> Vec<String> {
        let mut findings = Vec::new();
        let verified = ask(api, "POST", "/v1/audit/verify", Some(json!({}))).await;
        match verified {
            Some((200, said)) if said["problems"] == json!([]) => {}
            other => findings.push(format!("the trail: {other:?}")),
        }
        let known = self.reasons(api).await;
        let missing = handed.iter().filter(|reason| !known.contains(*reason));
        findings.extend(missing.map(|reason| format!("{reason} was handed out off the record")));
        findings
    }

    /// The reasons of what was allowed since the last look.
    async fn reasons(&mut self, api: &Api) -> HashSet<String> {
        let mut reasons = HashSet::new();
        let mut newest = self.seen;
        let mut cursor = String::new();
        'pages: loop {
            let path = format!("/v1/audit?limit=1000{cursor}");
            let Some((200, said)) = ask(api, "GET", &path, None).await else {
                break;
            };
            for entry in said["entries"].as_array().unwrap() {
                let seq = entry["seq"].as_u64().unwrap();
                newest = newest.max(seq);
                if seq <= self.seen {
                    break 'pages;
                }
                if entry["allowed"] == json!(true)
                    && entry["outcome"] == json!("ok")
                    && let Some(reason) = entry["reason"].as_str()
                {
                    reasons.insert(reason.to_owned());
                }
            }
            match said["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        self.seen = newest;
        reasons
    }
}
