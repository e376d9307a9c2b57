//! That no entry leads anywhere else than to its service: its addresses, and what fills them.
//!
//! It promises: every entry, every variable and every hostile value meet.
//! It never: asks anybody.

use serde_json::Value;

use super::*;
use crate::model::Name;
use crate::model::blanks::Blanks;
use crate::model::dialect::{Call, Renewal};

/// What a blank may be beside variables, fields and what is kept of answers.
const WORDS: [&str; 5] = [
    "access_token",
    "refresh_token",
    "client_id",
    "client_secret",
    "redirect_uri",
];

/// Every address of an entry that has blanks, or might have.
fn addresses(template: &Template) -> Vec<&Blanks> {
    let mut all: Vec<&Blanks> = Vec::new();
    if let Some(oauth) = &template.oauth {
        all.extend([&oauth.authorization_url, &oauth.token_url]);
        all.extend(oauth.refresh_url.iter().chain(&oauth.revocation_url));
        let mut calls: Vec<&Call> = oauth.dialect.revocation.iter().collect();
        if let Renewal::Exchange(exchanges) = &oauth.dialect.lives.renewal {
            calls.extend([&exchanges.first, &exchanges.again]);
        }
        all.extend(calls.into_iter().map(|call| &call.url));
    }
    if let Some(api) = &template.api {
        all.extend(&api.base_url);
        let verify = api.verify.iter().map(|verify| &verify.url);
        // A path follows the base, which is looked at by itself.
        all.extend(verify.filter(|url| !url.as_str().starts_with('/')));
    }
    all
}

/// What is kept of the answers and redirects of a service.
fn kept(template: &Template) -> BTreeSet<String> {
    let answered = template.oauth.iter().map(|oauth| &oauth.dialect.answered);
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for answered in answered {
        kept.extend(answered.keep.iter().map(ToString::to_string));
        kept.extend(answered.keep_secret.iter().map(ToString::to_string));
        kept.extend(answered.keep_callback.iter().map(ToString::to_string));
    }
    let verify = template.api.iter().filter_map(|api| api.verify.as_ref());
    kept.extend(verify.flat_map(|verify| verify.keep.iter().map(ToString::to_string)));
    kept
}

/// The names of the blanks of every text below a value, JSON bodies aside.
fn blanks_of(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let blanks = Blanks::parse(text.clone()).unwrap();
            found.extend(blanks.names().iter().map(ToString::to_string));
        }
        Value::Array(list) => list.iter().for_each(|value| blanks_of(value, found)),
        Value::Object(fields) => {
            let texts = fields.iter().filter(|(name, _)| *name != "json");
            texts.for_each(|(_, value)| blanks_of(value, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Goal: what an entry has a blank for can be known: a variable, a field of the key, what is kept,
/// or what is being sent. And no variable is asked for that nothing needs.
#[test]
fn every_blank_can_be_filled_and_every_variable_fills_one() {
    for template in all() {
        let mut blanks = BTreeSet::new();
        blanks_of(&serde_json::to_value(&template.oauth).unwrap(), &mut blanks);
        blanks_of(&serde_json::to_value(&template.api).unwrap(), &mut blanks);
        let kept = kept(template);
        let fields: BTreeSet<&str> = template.fields.iter().map(|f| f.name.as_str()).collect();
        let variables: BTreeSet<&str> = template.variables.keys().map(Name::as_str).collect();
        for blank in &blanks {
            let known = variables.contains(blank.as_str())
                || fields.contains(blank.as_str())
                || kept.contains(blank)
                || WORDS.contains(&blank.as_str());
            assert!(known, "{}: nothing fills `{blank}`", template.id);
        }
        for variable in variables {
            assert!(blanks.contains(variable), "{}: {variable}", template.id);
        }
    }
}

/// Goal: nothing is ever asked in the clear. An address is `https`, or begins with a blank whose
/// value is an `https` address, or one that the service names itself.
#[test]
fn every_address_is_https() {
    for template in all() {
        if let Some(server) = &template.server_url {
            assert_eq!(server.as_url().scheme(), "https", "{}", template.id);
        }
        let kept = kept(template);
        for address in addresses(template) {
            let text = address.as_str();
            if text.starts_with("https://") {
                continue;
            }
            assert!(text.starts_with('{'), "{}: {text}", template.id);
            let first = &address.names()[0];
            let by_default = template.variables.get(first).map(|variable| {
                let value = variable.default.as_ref().or(variable.example.as_ref());
                value.is_some_and(|value| value.starts_with("https://"))
            });
            let is_kept = kept.contains(first.as_str());
            assert!(by_default.unwrap_or(is_kept), "{}: {text}", template.id);
        }
        let text = serde_json::to_string(&**template).unwrap();
        assert!(!text.contains("http://"), "{}", template.id);
    }
}

#[test]
fn what_a_variable_is_by_default_or_by_example_fits_it() {
    for template in all() {
        for (name, variable) in &template.variables {
            let who = format!("{}: {name}", template.id);
            assert!(!variable.help.is_empty(), "{who} says what it is");
            let values: Vec<&String> = variable.default.iter().chain(&variable.example).collect();
            assert!(!values.is_empty(), "{who} has a default or an example");
            for value in values {
                assert_eq!(&variable.read(name, value).unwrap(), value, "{who}");
            }
            assert!(variable.pattern.is_some(), "{who} has a pattern");
        }
    }
}

/// What somebody might say who wants a secret to go elsewhere.
const HOSTILE: [&str; 14] = [
    "evil.example",
    "evil.example/",
    "https://evil.example/",
    "evil.example/.zendesk.com",
    "evil.example#.okta.com",
    "login.salesforce.com.evil.example",
    "acme.myshopify.com.evil.example",
    "https://accounts.zoho.com.evil.example",
    "a@b",
    "x?y",
    "a\\b",
    "..",
    "acme.evil.example:443",
    "evil.example%2f",
];

/// T28: a value that a person or a redirect says leads to no other service. Method: every hostile
/// value for every variable of every entry; what is taken keeps the last two labels of the host.
/// A host that is the operator's own to name (GitLab, Grafana) is taken whole or not at all.
#[test]
fn t28_no_value_leads_to_another_host() {
    let service = |url: &crate::model::url::WebUrl| -> String {
        let host = url.as_url().host_str().unwrap().to_owned();
        let labels: Vec<&str> = host.rsplit('.').take(2).collect();
        labels.join(".")
    };
    for template in all() {
        let own = examples(template, |_| true);
        for (name, variable) in &template.variables {
            for said in HOSTILE {
                let Ok(value) = variable.read(name, said) else {
                    continue;
                };
                let mut moved = own.clone();
                moved.insert(name.clone(), value.clone());
                for address in addresses(template) {
                    if !address.names().contains(name) {
                        continue;
                    }
                    let Ok(url) = address.url("url", &moved) else {
                        continue;
                    };
                    let usual = address.url("url", &own).unwrap();
                    if service(&url) == service(&usual) {
                        continue;
                    }
                    let who = format!("{}: {name} of {said:?} leads to {url}", template.id);
                    assert_eq!(variable.asked_of, AskedOf::Operator, "{who}");
                    assert!(variable.callback_param.is_none(), "{who}");
                    let authority = url.authority();
                    let host = value.strip_prefix("https://").unwrap_or(&value);
                    assert!(authority.starts_with(host), "{who}");
                }
            }
        }
    }
}

/// A value that fills an address must match, not only be asked about once more.
#[test]
fn what_is_entered_into_an_address_has_a_firm_pattern() {
    for template in all() {
        for field in &template.fields {
            let in_address = |address: &&Blanks| address.names().contains(&field.name);
            if addresses(template).iter().any(in_address) {
                let who = format!("{}: {}", template.id, field.name);
                assert!(field.pattern.is_some() && !field.soft, "{who}");
            }
        }
    }
}
