//! Token requests as the entries say that they are written.

use strongroom::model::app::ClientAuth;
use strongroom::model::dialect::{Format, Renewal};

use super::*;

type Params = BTreeMap<String, String>;

/// Where the parameters of a request stand that is written like this.
fn params_of(asked: &Asked, format: Format) -> Params {
    match format {
        Format::Query => asked.query.clone(),
        Format::Form | Format::Json => asked.fields(),
    }
}

/// The client's part of a request: in its parameters, or beside them.
fn client(facts: &OAuthTemplate, params: &mut Params) {
    match facts.client_auth {
        ClientAuth::Post => {
            params.insert("client_id".into(), "cid".into());
            params.insert("client_secret".into(), "s3".into());
        }
        ClientAuth::None => {
            params.insert("client_id".into(), "cid".into());
        }
        ClientAuth::Basic | ClientAuth::BasicRaw | ClientAuth::PrivateKeyJwt => {}
    }
}

fn texts(pairs: &[(&str, &str)]) -> Params {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

/// What is wrong with a token request of an entry.
fn wrong_in(stage: &Stage, asked: &Asked, path: &str, params: Params) -> Vec<String> {
    let facts = stage.facts();
    let own = &facts.dialect.asked;
    let mut wrong = Vec::new();
    let mut check = |what: String, is_right: bool| {
        if !is_right {
            wrong.push(format!("{}: {what}", stage.template.id));
        }
    };
    check(
        format!("{} {}", asked.method, asked.path),
        asked.method == "POST",
    );
    check(format!("{} is not {path}", asked.path), asked.path == path);
    let content_type = match own.token_format {
        Format::Form => "application/x-www-form-urlencoded",
        Format::Json => "application/json",
        Format::Query => "",
    };
    let said = asked.header("content-type");
    check(format!("content type {said}"), said == content_type);
    let (said, expected) = (params_of(asked, own.token_format), renamed(facts, params));
    check(format!("{said:?}, not {expected:?}"), said == expected);
    let basic = match facts.client_auth {
        ClientAuth::Basic | ClientAuth::BasicRaw => "cid:s3",
        _ => "",
    };
    check("authorization".into(), asked.basic() == basic);
    for (name, value) in &own.token_headers {
        check(format!("header {name}"), asked.header(name) == value);
    }
    wrong
}

/// Goal: a code is redeemed as each entry says: where, in what form, with which proof, parameters
/// and header fields, and nothing besides.
#[tokio::test]
async fn every_entry_redeems_a_code_as_its_facts_say() {
    let mut wrong = Vec::new();
    for template in every_oauth() {
        let stage = Stage::new(&template, |own, asked| {
            says(200, &answers::grant(own, &asked.at()))
        });
        let stage = stage.await;
        let (oauth, client_secret) = (stage.oauth(), secret("s3"));
        let (code, verifier) = (secret("c-1"), secret("v-1"));
        let verifier = stage.facts().pkce.then_some(&verifier);
        let exchanged = stage.provider.exchange(
            &oauth,
            Some(&client_secret),
            &code,
            CALLBACK,
            verifier,
            &stage.known,
        );
        exchanged.await.unwrap();
        let facts = stage.facts();
        let mut params = texts(&[
            ("grant_type", "authorization_code"),
            ("code", "c-1"),
            ("redirect_uri", CALLBACK),
        ]);
        if facts.pkce {
            params.insert("code_verifier".into(), "v-1".into());
        }
        client(facts, &mut params);
        let own = oauth
            .token_params
            .iter()
            .chain(&facts.dialect.asked.code_params);
        params.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        params.retain(|name, _| !facts.dialect.asked.without.code.contains(name));
        let path = stage.path(&facts.token_url);
        wrong.extend(wrong_in(&stage, &stage.asked()[0], &path, params));
    }
    all_right(&wrong);
}

/// Goal: a token is refreshed as each entry says, and never with a scope; one that is renewed by an
/// exchange is traded as its recipe says.
#[tokio::test]
async fn every_entry_renews_a_token_as_its_facts_say() {
    let mut wrong = Vec::new();
    for template in every_oauth() {
        let stage = Stage::new(&template, |own, asked| {
            says(200, &answers::grant(own, &asked.at()))
        });
        let stage = stage.await;
        let (oauth, client_secret, token) = (stage.oauth(), secret("s3"), secret("r-1"));
        let refreshed = stage
            .provider
            .refresh(&oauth, Some(&client_secret), &token, &stage.known);
        refreshed.await.unwrap();
        let asked = stage.asked();
        assert_eq!(asked.len(), 1, "{}", template.id);
        let facts = stage.facts();
        if let Renewal::Exchange(exchanges) = &facts.dialect.lives.renewal {
            let found = revocations::wrong_in(&stage, &exchanges.again, &asked[0], "r-1");
            wrong.extend(found);
            continue;
        }
        let mut params = texts(&[("grant_type", "refresh_token"), ("refresh_token", "r-1")]);
        client(facts, &mut params);
        params.extend(oauth.token_params.clone());
        for (name, value) in &facts.dialect.asked.refresh_params {
            let value = value.fill(|name| stage.known.get(name).map(String::as_str));
            params.insert(name.clone(), value.unwrap());
        }
        params.retain(|name, _| !facts.dialect.asked.without.refresh.contains(name));
        assert!(!params.contains_key("scope"));
        let path = stage.path(facts.refresh_url.as_ref().unwrap_or(&facts.token_url));
        wrong.extend(wrong_in(&stage, &asked[0], &path, params));
    }
    all_right(&wrong);
}
