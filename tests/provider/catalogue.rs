//! Every entry of the catalogue over real sockets, its hosts moved to loopback: what is asked, how
//! answers are read, how tokens are revoked and whose account they are, each as the entry's own
//! facts say (issue 6).

mod accounts;
mod answers;
mod requests;
mod revocations;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom::clock::Timestamp;
use strongroom::model::app::{App, OAuth};
use strongroom::model::blanks::{AskedOf, Known};
use strongroom::model::template::{OAuthTemplate, Template};
use strongroom::model::{AppId, Name};
use strongroom::provider::{Provider, catalogue};

use crate::asked::{Asked, moved};
use crate::server::{Reply, Server, reply, serve};
use crate::{provider_for, secret};

const CALLBACK: &str = "https://vault.example/callback/app";

/// An entry as it is asked on loopback.
struct Stage {
    template: Template,
    app: App,
    /// What is known of a connection: variables, what is kept, and our redirect URI.
    known: Known,
    server: Server,
    provider: Provider,
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Every template that is built in.
fn every() -> Vec<Template> {
    let known = catalogue::Catalogue::default();
    known.all().iter().map(|one| (**one).clone()).collect()
}

/// Those that have OAuth settings.
fn every_oauth() -> Vec<Template> {
    let all = every().into_iter();
    all.filter(|template| template.oauth.is_some()).collect()
}

impl Stage {
    /// The entry at a server that answers as `script` says; it is given this entry and its address.
    async fn new(
        template: &Template,
        script: impl Fn(&Template, &Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let own = template.clone();
        let server = serve(move |request| script(&own, &Asked::of(request))).await;
        let at = server.url("");
        let mut facts = serde_json::to_value(template).unwrap();
        for field in ["oauth", "api"] {
            if !facts[field].is_null() {
                facts[field] = moved(&facts[field], &at);
            }
        }
        let template: Template = serde_json::from_value(facts).unwrap();
        let said = examples(&template, AskedOf::Operator);
        let id = AppId::parse("app").unwrap();
        let app = template.app(id, "cid".into(), &said, Timestamp::from_unix_ms(0));
        let app = app.unwrap();
        let mut known = app.known();
        known.extend(examples(&template, AskedOf::Person));
        for (_, value) in known.iter_mut() {
            *value = value.replace("https://", &format!("{at}/"));
        }
        for path in kept(&template) {
            known.insert(name(&path), kept_value(&path, &at));
        }
        known.insert(name("redirect_uri"), CALLBACK.into());
        let provider = provider_for(&server);
        Self {
            template,
            app,
            known,
            server,
            provider,
        }
    }

    fn facts(&self) -> &OAuthTemplate {
        self.template.oauth.as_ref().unwrap()
    }

    /// The settings of this connection.
    fn oauth(&self) -> OAuth {
        let oauth = self.app.oauth_of(&self.known).unwrap();
        oauth.unwrap().into_owned()
    }

    fn asked(&self) -> Vec<Asked> {
        let seen = self.server.seen();
        seen.iter().map(|request| Asked::of(request)).collect()
    }

    /// The path of an address of this entry, its blanks filled.
    fn path(&self, address: &strongroom::model::blanks::Blanks) -> String {
        let url = address.url("url", &self.known).unwrap();
        url.as_url().path().to_owned()
    }
}

fn examples(template: &Template, of: AskedOf) -> Known {
    let said = template.variables.iter().filter_map(|(name, variable)| {
        let value = variable.example.as_ref().or(variable.default.as_ref())?;
        (variable.asked_of == of).then(|| (name.clone(), value.clone()))
    });
    said.collect()
}

/// The names of what is kept of an entry's answers and redirects.
fn kept(template: &Template) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    if let Some(oauth) = &template.oauth {
        let answered = &oauth.dialect.answered;
        kept.extend(answered.keep.iter().map(ToString::to_string));
        kept.extend(answered.keep_callback.iter().map(ToString::to_string));
    }
    let verify = template.api.iter().filter_map(|api| api.verify.as_ref());
    kept.extend(verify.flat_map(|verify| verify.keep.iter().map(ToString::to_string)));
    kept
}

/// What a service would say there: an address, where an address is kept.
fn kept_value(path: &str, at: &str) -> String {
    let word: String = path.chars().filter(char::is_ascii_alphanumeric).collect();
    let is_address = ["url", "uri", "domain", "href"];
    match is_address
        .iter()
        .any(|end| path.to_lowercase().contains(end))
    {
        true => format!("{at}/{word}.example"),
        false => format!("is-{word}"),
    }
}

/// Puts a value where a path says, and what is needed around it.
fn put(answer: &mut Value, path: &str, value: Value) {
    let mut place = answer;
    for part in path.split('.') {
        let (key, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[key];
        }
        for at in indexes.split('[').skip(1) {
            let at: usize = at.trim_end_matches(']').parse().unwrap_or(0);
            if !place.is_array() {
                *place = json!([]);
            }
            let list = place.as_array_mut().unwrap();
            list.resize(list.len().max(at + 1), Value::Null);
            place = &mut list[at];
        }
    }
    *place = value;
}

/// Says the same of every entry at once: what is wrong with which.
fn all_right(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A JSON answer.
fn says(status: u16, body: &Value) -> Reply {
    reply(
        status,
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

/// Parameters of a request under the names that its provider has for them.
fn renamed(facts: &OAuthTemplate, params: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let rename = &facts.dialect.asked.rename;
    let own = |(name, value)| (rename.get(&name).cloned().unwrap_or(name), value);
    params.into_iter().map(own).collect()
}
