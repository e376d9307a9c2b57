//! That every entry of the catalogue is one an app can be made of, and used. Each test is a table
//! whose lines are the entries themselves.

mod addresses;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::model::AppId;
use crate::model::app::App;
use crate::model::blanks::{AskedOf, Known};
use crate::model::link::Hints;
use crate::model::template::{Certainty, OAuthTemplate};
use crate::provider::{AuthorizeRequest, EgressSettings, Provider};
use crate::secret::Secret;

fn all() -> &'static [Arc<Template>] {
    BUILT_IN.all()
}

/// What is known of services and not offered, and why.
const LEFT_OUT: [(&str, &str); 4] = [
    (
        "fitbit",
        "switched off on 2026-11-02; `google-health` has come after it",
    ),
    (
        "mcp-remote",
        "any server, by its address alone: no entry is needed",
    ),
    (
        "paypal",
        "tokens are minted with the client's own secret; nobody consents",
    ),
    (
        "stripe-apps",
        "its secret is the user name of Basic, with no password, and no client id",
    ),
];

/// Each variable as its example says, else as it is by default; those that `wanted` picks.
fn examples(template: &Template, wanted: impl Fn(AskedOf) -> bool) -> Known {
    let example = |(name, variable): (&crate::model::Name, &crate::model::blanks::Variable)| {
        let value = variable.example.as_ref().or(variable.default.as_ref())?;
        wanted(variable.asked_of).then(|| (name.clone(), value.clone()))
    };
    template.variables.iter().filter_map(example).collect()
}

/// An app of a template, and what one person says who connects it.
fn made(template: &Template) -> (App, Known) {
    let id = AppId::parse("app").unwrap();
    let said = examples(template, |of| of == AskedOf::Operator);
    let app = template.app(id, "the-client".into(), &said, Timestamp::default());
    let app = app.unwrap_or_else(|error| panic!("{}: {error}", template.id));
    let person = app.read_variables(&examples(template, |of| of == AskedOf::Person));
    let person = person.unwrap_or_else(|error| panic!("{}: {error}", template.id));
    (app, person)
}

/// Goal: each entry passes its own check and makes an app that keeps every rule, all of it copied.
#[test]
fn every_entry_makes_an_app_that_keeps_the_rules() {
    for template in all() {
        let id = &template.id;
        template
            .check()
            .unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(template.docs.as_url().scheme(), "https", "{id}");
        let kinds = [
            template.oauth.is_some(),
            template.server_url.is_some(),
            !template.fields.is_empty(),
        ];
        let said = kinds.into_iter().filter(|is_so| *is_so).count();
        assert_eq!(said, 1, "{id} is of one kind");
        if template.server_url.is_some() {
            continue;
        }
        let (app, _) = made(template);
        app.check().unwrap_or_else(|error| panic!("{id}: {error}"));
        let made_of = app.template.as_ref().unwrap();
        assert_eq!(made_of.id, template.id.as_str());
        assert_eq!(app.fields, template.fields);
        assert_eq!(app.api, template.api);
        assert!(app.api.is_some(), "{id} says how its credentials are used");
        let (Some(oauth), Some(facts)) = (app.oauth(), &template.oauth) else {
            assert!(app.oauth().is_none() && template.oauth.is_none(), "{id}");
            continue;
        };
        assert_eq!(oauth.dialect, facts.dialect, "{id}");
    }
}

/// Goal: the authorization URL of each entry has what the entry says and what is ours. Method: one
/// app of each, its variables filled, and the URL a person would be sent to.
#[test]
fn every_entry_builds_a_right_authorization_url() {
    let provider = Provider::new(&EgressSettings::default(), Clock::system()).unwrap();
    for template in all() {
        let Some(facts) = &template.oauth else {
            continue;
        };
        let (app, person) = made(template);
        let oauth = app.oauth_of(&person).unwrap().unwrap();
        let request = AuthorizeRequest {
            redirect_uri: "https://vault.example/callback/app",
            state: &Secret::new("s".into()),
            scopes: &oauth.scopes,
            hints: &Hints::default(),
        };
        let made = provider.authorize_url(&oauth, &request).unwrap();
        let url = url::Url::parse(made.url.expose()).unwrap();
        let mut known = app.known();
        known.extend(person.clone());
        let endpoint = facts.authorization_url.url("url", &known).unwrap();
        assert!(url.as_str().starts_with(endpoint.as_str()), "{url}");
        assert_eq!(url.scheme(), "https", "{}", template.id);
        let pairs: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let expected = authorize_params(facts, &known);
        for (name, value) in &expected {
            let said = pairs.get(name).map_or("", String::as_str);
            assert_eq!(said, value, "{}: {name}", template.id);
        }
        let challenge = pairs.contains_key("code_challenge");
        assert_eq!(challenge, facts.pkce, "{}", template.id);
        let more = pairs.keys().filter(|name| !expected.contains_key(*name));
        let more: Vec<&String> = more.filter(|name| *name != "code_challenge").collect();
        assert!(more.is_empty(), "{}: {more:?}", template.id);
    }
}

/// The parameters of the authorization request of an entry, but for the challenge itself.
fn authorize_params(facts: &OAuthTemplate, known: &Known) -> BTreeMap<String, String> {
    let asked = &facts.dialect.asked;
    let joined = |scopes: &crate::model::Scopes| scopes.joined(&facts.scope_separator);
    let mut params = BTreeMap::from([
        ("client_id".to_owned(), "the-client".to_owned()),
        (
            "redirect_uri".into(),
            "https://vault.example/callback/app".into(),
        ),
        ("response_type".into(), "code".into()),
        ("state".into(), "s".into()),
    ]);
    if facts.pkce {
        params.insert("code_challenge_method".into(), "S256".into());
    }
    if !facts.scopes.is_empty() {
        let name = asked.scope_param.clone();
        params.insert(name.unwrap_or("scope".into()), joined(&facts.scopes));
    }
    let more = asked.more_scopes.iter();
    params.extend(more.map(|(name, scopes)| (name.clone(), joined(scopes))));
    for (name, value) in &facts.authorization_params {
        let value = value.fill(|name| known.get(name).map(String::as_str));
        params.insert(name.clone(), value.unwrap());
    }
    params.retain(|name, _| !asked.without.authorize.contains(name));
    let renamed = |(name, value)| (asked.rename.get(&name).cloned().unwrap_or(name), value);
    params.into_iter().map(renamed).collect()
}

/// The counts are printed, since a catalogue is judged by them.
#[test]
fn ids_are_each_their_own_and_the_catalogue_is_as_large_as_is_said() {
    let ids: BTreeSet<&str> = all().iter().map(|template| template.id.as_str()).collect();
    assert_eq!(ids.len(), all().len());
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for template in all() {
        let kind = match (&template.oauth, &template.server_url) {
            (Some(_), _) => "oauth",
            (None, Some(_)) => "mcp",
            (None, None) => "api_key",
        };
        let certainty = match template.certainty {
            Certainty::Documented => "documented",
            Certainty::General => "general",
            Certainty::Own => panic!("{} is no operator's own", template.id),
        };
        *counts.entry((kind, certainty)).or_default() += 1;
    }
    println!("{} templates: {counts:?}", all().len());
    assert!(all().len() >= 120);
    let readme = include_str!("../../../README.md");
    let said = format!("The catalogue has the settings of {} services", all().len());
    assert!(readme.contains(&said), "README says how many: {said}");
    for (id, why) in LEFT_OUT {
        assert!(BUILT_IN.find(id).is_none(), "{id} is not offered: {why}");
    }
}

/// Goal: a page tells people in words what they agree to. Method: every description, and every
/// default scope of the services that are described at all.
#[test]
fn scopes_are_described_in_words_of_ours() {
    let (mut described, mut scopes) = (0, 0);
    for words in words() {
        for id in &words.templates {
            let is_there = |template: &&Arc<Template>| words.are_of(template.id.as_str());
            assert!(all().iter().any(|template| is_there(&template)), "{id}");
        }
        let mut seen = BTreeSet::new();
        for (scope, said) in &words.scope_descriptions {
            let first = said.chars().next().unwrap_or_default();
            assert!(
                first.is_uppercase() && !said.ends_with('.'),
                "{scope}: {said}"
            );
            assert!(said.split(' ').count() > 1, "{scope}: {said}");
            // Two scopes that read the same are not told apart.
            let is_told_twice = !seen.insert(said);
            assert!(
                !is_told_twice || said.starts_with("Stay connected"),
                "{said}"
            );
            scopes += 1;
        }
    }
    for template in all() {
        template.check().unwrap();
        let Some(oauth) = &template.oauth else {
            continue;
        };
        if template.scope_descriptions.is_empty() {
            continue;
        }
        described += 1;
        // Those of OpenID Connect mean the same everywhere: the page knows them.
        let everywhere = ["openid", "email", "profile", "offline_access", "offline"];
        for scope in oauth
            .scopes
            .iter()
            .filter(|scope| !everywhere.contains(scope))
        {
            let is_new = scope.starts_with("https://www.googleapis.com/auth/googlehealth.");
            let is_described = template.scope_descriptions.contains_key(scope);
            assert!(is_described || is_new, "{}: {scope}", template.id);
        }
    }
    println!("{scopes} scopes of {described} services are described");
    assert!(described >= 45 && scopes >= 270);
}

/// Goal: new words make no app outdated. Method: an entry with and without them.
#[test]
fn words_for_scopes_are_no_other_version() {
    let github = BUILT_IN.find("github").unwrap();
    let mute = Template {
        scope_descriptions: BTreeMap::new(),
        ..Template::clone(github)
    };
    assert!(!github.scope_descriptions.is_empty());
    assert_eq!(github.version(), mute.version());
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
