//! One client of the load: it writes, reads and removes what is its own, one request at a time, and
//! keeps the book of what it was told.
//!
//! It promises: an answer that came whole is in the book before the next request.
//! It never: touches what another client owns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::clock::Clock;
use tokio::sync::watch;

use crate::book::{Book, Change};
use crate::keyed::ask;
use crate::look::{Unlisted, is_locked, listed, place_of};
use crate::support::Api;

/// Apps of a client; the middle one is an OAuth app.
const APPS: u8 = 3;
/// Owner and account of the tokens of one app: user, tenant, account.
const PLACES: [[&str; 3]; 5] = [
    ["u", "", ""],
    ["", "t", "a0"],
    ["", "t", "a1"],
    ["u", "t", ""],
    ["v", "t", "a0"],
];

/// How a request ended.
enum Answer {
    /// It died with the server, or nobody knows what came of it.
    Lost,
    /// It was refused, as it should be, or the vault is locked.
    Refused,
    Done(Value),
}

/// A client.
pub struct Client {
    pub number: u8,
    pub api: Api,
    pub book: Book,
    /// Ids of tokens and access keys, by thing.
    pub ids: HashMap<String, String>,
    /// Texts of access keys that were made, by thing.
    pub texts: HashMap<String, String>,
    rng: fastrand::Rng,
    serial: u64,
}

impl Client {
    pub fn new(number: u8, api: &Api, seed: u64) -> Self {
        Self {
            number,
            api: api.clone(),
            book: Book::default(),
            ids: HashMap::new(),
            texts: HashMap::new(),
            rng: fastrand::Rng::with_seed(seed),
            serial: 0,
        }
    }

    /// Works until the server is gone, and counts whole answers.
    pub async fn run(mut self, answered: Arc<watch::Sender<u64>>) -> Self {
        while !matches!(self.step().await, Answer::Lost) {
            answered.send_modify(|count| *count += 1);
        }
        self
    }

    async fn step(&mut self) -> Answer {
        match self.rng.u32(0..100) {
            0..38 => self.put_token().await,
            38..50 => self.drop_token().await,
            50..52 => self.drop_tenant().await,
            52..74 => self.fetch().await,
            74..79 => self.list().await,
            79..87 => self.put_app().await,
            87..89 => self.drop_app().await,
            89..93 => self.add_key().await,
            93..96 => self.drop_key().await,
            96..99 => self.add_link().await,
            _ => self.drop_link().await,
        }
    }

    /// A write that is to be answered with `due`: 2xx for done, else refused and nothing changed.
    async fn write(
        &mut self,
        (method, path, body): (&str, &str, Option<Value>),
        changes: Vec<Change>,
        due: u16,
    ) -> Answer {
        self.book.begin(changes);
        match ask(&self.api, method, path, body).await {
            None => Answer::Lost,
            Some((status, said)) if status == due && due < 300 => {
                self.book.done();
                Answer::Done(said)
            }
            Some((status, said)) => {
                self.book.refused();
                if status != due && !is_locked(status, &said) {
                    let what = format!("{method} {path}: {status} and not {due}: {said}");
                    self.book.findings.push(what);
                }
                Answer::Refused
            }
        }
    }

    fn app(&mut self) -> (String, bool) {
        let app = self.rng.u8(0..APPS);
        (format!("c{}-{app}", self.number), app == 1)
    }

    fn text(&mut self, length: std::ops::Range<usize>) -> String {
        let length = self.rng.usize(length);
        (0..length).map(|_| self.rng.alphanumeric()).collect()
    }

    fn has_app(&self, app: &str) -> bool {
        self.book.has(&format!("app {app}"))
    }

    /// One of the things of a kind that are owed.
    fn one(&mut self, kind: &str) -> Option<String> {
        let owed = self.book.owed.keys();
        let all: Vec<&String> = owed.filter(|thing| thing.starts_with(kind)).collect();
        let chosen = self.rng.usize(0..all.len().max(1));
        all.get(chosen).map(|&thing| thing.clone())
    }

    async fn put_token(&mut self) -> Answer {
        let (app, is_oauth) = self.app();
        let [user, tenant, account] = PLACES[self.rng.usize(0..PLACES.len())];
        let value = self.text(1..2000);
        let mut body = json!({ "app": app, "user": user, "tenant": tenant, "account": account });
        let mut whole = format!("{value}+");
        if is_oauth {
            let refresh_token = self.text(8..200);
            whole.push_str(&refresh_token);
            let day = Duration::from_secs(86_400);
            body["access_token"] = json!(value);
            body["refresh_token"] = json!(refresh_token);
            body["expires_at"] = json!(Clock::system().now().plus(day).to_string());
        } else {
            body["api_key"] = json!(value);
        }
        let thing = place_of(&body);
        let due = if self.has_app(&app) { 200 } else { 404 };
        let changes = vec![(thing.clone(), Some(whole))];
        let request = ("PUT", "/v1/tokens", Some(body));
        let answer = self.write(request, changes, due).await;
        if let Answer::Done(said) = &answer {
            self.ids.insert(thing, said["id"].as_str().unwrap().into());
        }
        answer
    }

    async fn drop_token(&mut self) -> Answer {
        let Some(thing) = self.one("token ") else {
            return Answer::Refused;
        };
        let path = format!("/v1/tokens/{}", self.ids[&thing]);
        self.write(("DELETE", &path, None), vec![(thing, None)], 200)
            .await
    }

    /// All of an app and a tenant, by filter.
    async fn drop_tenant(&mut self) -> Answer {
        let (app, _) = self.app();
        let begin = format!("token {app} ");
        let owed = self.book.owed.keys();
        let ours = owed.filter(|thing| thing.starts_with(&begin) && thing.contains(" t="));
        let changes = ours.map(|thing| (thing.clone(), None)).collect();
        let path = format!("/v1/tokens?app={app}&tenant=t");
        self.write(("DELETE", &path, None), changes, 200).await
    }

    async fn fetch(&mut self) -> Answer {
        let (app, _) = self.app();
        if !self.has_app(&app) {
            return Answer::Refused;
        }
        let [user, tenant, account] = PLACES[self.rng.usize(0..PLACES.len())];
        self.serial += 1;
        let reason = format!(
            "reason-{}-{}-{}",
            self.number,
            self.serial,
            self.rng.u64(..)
        );
        let body = json!({
            "app": app, "user": user, "tenant": tenant, "account": account, "reason": reason,
        });
        let thing = place_of(&body);
        let Some((status, said)) = ask(&self.api, "POST", "/v1/token", Some(body)).await else {
            return Answer::Lost;
        };
        if is_locked(status, &said) {
            return Answer::Refused;
        }
        let told = said["access_token"].as_str();
        let owed = self.book.owed.get(&thing);
        let owed = owed.and_then(|whole| whole.split_once('+'));
        if told != owed.map(|(value, _)| value) {
            let what = format!("{thing} was fetched as {status} {said}");
            self.book.findings.push(what);
        }
        if told.is_some() {
            self.book.handed.push(reason);
        }
        Answer::Done(said)
    }

    async fn list(&mut self) -> Answer {
        let (app, _) = self.app();
        let things = match listed(&self.api, &format!("app={app}&")).await {
            Ok(things) => things,
            Err(Unlisted::Gone) => return Answer::Lost,
            Err(Unlisted::Locked) => return Answer::Refused,
        };
        let begin = format!("token {app} ");
        let owed = self.book.owed.keys();
        if !owed
            .filter(|thing| thing.starts_with(&begin))
            .eq(things.keys())
        {
            let what = format!("the list of {app} is {:?}", things.keys());
            self.book.findings.push(what);
        }
        Answer::Done(Value::Null)
    }

    async fn put_app(&mut self) -> Answer {
        let (app, is_oauth) = self.app();
        let name = self.text(1..60);
        let mut body = json!({ "kind": "api_key", "name": name });
        if is_oauth {
            body = json!({
                "kind": "oauth", "name": name, "client_id": "c", "client_secret": self.text(8..40),
                "authorization_url": "https://provider.example/authorize",
                "token_url": "https://provider.example/token",
            });
        }
        let changes = vec![(format!("app {app}"), Some(name))];
        if self.has_app(&app) {
            let path = format!("/v1/apps/{app}");
            return self.write(("PUT", &path, Some(body)), changes, 200).await;
        }
        body["id"] = json!(app);
        self.write(("POST", "/v1/apps", Some(body)), changes, 201)
            .await
    }

    async fn drop_app(&mut self) -> Answer {
        let (app, _) = self.app();
        let (this, begin) = (format!("app {app}"), format!("token {app} "));
        let due = if self.has_app(&app) { 200 } else { 404 };
        let owed = self.book.owed.keys();
        let gone = owed.filter(|thing| **thing == this || thing.starts_with(&begin));
        let changes = gone.map(|thing| (thing.clone(), None)).collect();
        let path = format!("/v1/apps/{app}");
        self.write(("DELETE", &path, None), changes, due).await
    }

    async fn add_key(&mut self) -> Answer {
        self.serial += 1;
        let name = format!("c{}-key-{}", self.number, self.serial);
        let role = ["reader", "server", "admin"][self.rng.usize(0..3)];
        let thing = format!("key {name}");
        let changes = vec![(thing.clone(), Some(role.to_owned()))];
        let body = json!({ "name": name, "role": role });
        let request = ("POST", "/v1/keys", Some(body));
        let answer = self.write(request, changes, 200).await;
        if let Answer::Done(said) = &answer {
            let field = |name: &str| said[name].as_str().unwrap().to_owned();
            self.ids.insert(thing.clone(), field("id"));
            self.texts.insert(thing, field("key"));
        }
        answer
    }

    async fn drop_key(&mut self) -> Answer {
        let Some(thing) = self.one("key ") else {
            return Answer::Refused;
        };
        let path = format!("/v1/keys/{}", self.ids[&thing]);
        self.write(("DELETE", &path, None), vec![(thing, None)], 200)
            .await
    }

    async fn add_link(&mut self) -> Answer {
        self.serial += 1;
        let user = format!("c{}-{}", self.number, self.serial);
        let body = json!({ "apps": [{ "app": "links" }], "user": user, "verify": "code" });
        // What was not answered has no id, so nobody can look for it.
        let request = ("POST", "/v1/connect", Some(body));
        let answer = self.write(request, vec![], 201).await;
        if let Answer::Done(said) = &answer {
            let thing = format!("link {}", said["id"].as_str().unwrap());
            self.book.owed.insert(thing, "issued".into());
        }
        answer
    }

    async fn drop_link(&mut self) -> Answer {
        let Some(thing) = self.one("link ") else {
            return Answer::Refused;
        };
        let path = format!("/v1/connect/{}", &thing["link ".len()..]);
        let changes = vec![(thing, Some("withdrawn".into()))];
        self.write(("DELETE", &path, None), changes, 200).await
    }
}
