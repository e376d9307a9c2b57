//! That every entry of the catalogue is one an app can be made of, and used.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::model::AppId;
use crate::model::blanks::Known;
use crate::model::link::Hints;
use crate::model::template::Certainty;
use crate::provider::{AuthorizeRequest, EgressSettings, Provider};
use crate::secret::Secret;

fn all() -> &'static [Arc<Template>] {
    BUILT_IN.all()
}

/// Goal: each entry makes an app that keeps every rule, and its authorization URL has what the
/// entry says and what is ours. Method: one app of each, and the URL a person would be sent to.
#[test]
fn every_entry_makes_an_app_with_a_right_authorization_url() {
    let provider = Provider::new(&EgressSettings::default(), Clock::system()).unwrap();
    for template in all() {
        let id = AppId::parse("app").unwrap();
        let app = template.app(id, "the-client".into(), &Known::new(), Timestamp::default());
        let app = app.unwrap_or_else(|error| panic!("{}: {error}", template.id));
        app.check()
            .unwrap_or_else(|error| panic!("{}: {error}", template.id));
        let made_of = app.template.as_ref().unwrap();
        assert_eq!(made_of.id, template.id.as_str());
        assert_eq!(template.docs.as_url().scheme(), "https", "{}", template.id);
        let (Some(oauth), Some(facts)) = (app.oauth(), &template.oauth) else {
            assert!(app.oauth().is_none() && template.oauth.is_none());
            continue;
        };
        let request = AuthorizeRequest {
            redirect_uri: "https://vault.example/callback/app",
            state: &Secret::new("s".into()),
            scopes: &oauth.scopes,
            hints: &Hints::default(),
        };
        let made = provider.authorize_url(oauth, &request).unwrap();
        let url = url::Url::parse(made.url.expose()).unwrap();
        assert_eq!(url.scheme(), "https", "{}", template.id);
        assert_eq!(
            oauth.token_url().unwrap().as_url().scheme(),
            "https",
            "{}",
            template.id
        );
        assert!(url.as_str().starts_with(facts.authorization_url.as_str()));
        let pairs: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let scopes: Vec<&str> = facts.scopes.iter().collect();
        let scope = scopes.join(&facts.scope_separator);
        for (name, value) in [
            ("client_id", "the-client"),
            ("response_type", "code"),
            ("state", "s"),
            ("code_challenge_method", "S256"),
            ("scope", scope.as_str()),
        ] {
            let said = pairs.get(name).map_or("", String::as_str);
            assert_eq!(said, value, "{}: {name}", template.id);
        }
        for (name, value) in &facts.authorization_params {
            assert_eq!(pairs[name], value.as_str(), "{}: {name}", template.id);
        }
    }
}

/// The counts are printed, since a catalogue is judged by them.
#[test]
fn ids_are_each_their_own_and_the_catalogue_is_as_large_as_is_said() {
    let ids: BTreeSet<&str> = all().iter().map(|template| template.id.as_str()).collect();
    assert_eq!(ids.len(), all().len());
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for template in all() {
        let kind = if template.oauth.is_some() {
            "oauth"
        } else {
            "api_key"
        };
        let certainty = match template.certainty {
            Certainty::Documented => "documented",
            Certainty::General => "general",
            Certainty::Own => panic!("{} is built in", template.id),
        };
        *counts.entry((kind, certainty)).or_default() += 1;
    }
    println!("{} templates: {counts:?}", all().len());
    assert!(all().len() >= 80, "README says so");
}

#[test]
fn a_search_is_for_every_word_in_any_case() {
    let found = |words: &str| -> Vec<&str> {
        let found = BUILT_IN.search(words.split_whitespace());
        let id =
            |template: &Arc<Template>| BUILT_IN.find(template.id.as_str()).unwrap().id.as_str();
        found.iter().map(id).collect()
    };
    assert!(found("google CALENDAR").contains(&"google-calendar"));
    assert!(found("mail").contains(&"google-gmail"));
    assert!(found("calendar no-such-word").is_empty());
    assert_eq!(found("").len(), all().len());
    assert!(BUILT_IN.find("github").is_some() && BUILT_IN.find("GitHub").is_none());
}
