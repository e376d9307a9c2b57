//! A request as a double got it, and entries of the catalogue with their hosts moved to a double.
//!
//! It promises: every host is the first part of a path at the double, so that what is asked of whom
//! can be seen.
//! It never: judges a request.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A request, taken apart.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub body: String,
    headers: BTreeMap<String, String>,
}

impl Asked {
    pub fn of(request: &str) -> Self {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let mut first = lines.next().unwrap().split(' ');
        let (method, target) = (first.next().unwrap(), first.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        });
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: pairs(query),
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    /// A header field; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let name = name.to_ascii_lowercase();
        self.headers.get(&name).map_or("", String::as_str)
    }

    /// A parameter of the query; empty where there is none.
    pub fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// The fields of the body: a form, or a JSON object of texts.
    pub fn fields(&self) -> BTreeMap<String, String> {
        match self.header("content-type").contains("json") {
            false => pairs(&self.body),
            true => serde_json::from_str(&self.body).unwrap(),
        }
    }

    /// A field of the body; empty where there is none.
    pub fn field(&self, name: &str) -> String {
        self.fields().remove(name).unwrap_or_default()
    }

    /// Id and secret of HTTP Basic.
    pub fn basic(&self) -> String {
        let sent = self.header("authorization").strip_prefix("Basic ");
        let sent = STANDARD.decode(sent.unwrap_or_default()).unwrap();
        String::from_utf8(sent).unwrap()
    }

    /// The bearer token it carries.
    pub fn bearer(&self) -> &str {
        let sent = self.header("authorization").strip_prefix("Bearer ");
        sent.unwrap_or_default()
    }

    /// Where the double is that got it.
    pub fn at(&self) -> String {
        format!("http://{}", self.header("host"))
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// The same with every host a path at this double.
pub fn moved(value: &Value, at: &str) -> Value {
    match value {
        Value::String(text) => json!(text.replace("https://", &format!("{at}/"))),
        Value::Array(list) => list.iter().map(|value| moved(value, at)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), moved(value, at)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
