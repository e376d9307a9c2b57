//! Tokens revoked as the entries say: by RFC 7009, by a recipe of the service's own, or not at all.

use strongroom::model::api::Method;
use strongroom::model::dialect::{Call, CallAuth, Format};
use strongroom::provider::{Revocation, Tokens};

use super::*;

/// What fills the blanks of a call.
fn filled(stage: &Stage, text: &strongroom::model::blanks::Blanks, access_token: &str) -> String {
    let value = |name: &Name| match name.as_str() {
        "access_token" => Some(access_token),
        "refresh_token" => Some("r-1"),
        "client_id" => Some("cid"),
        "client_secret" => Some("s3"),
        _ => stage.known.get(name).map(String::as_str),
    };
    text.fill(value).unwrap()
}

/// What is wrong with a request that a recipe was made into.
pub(super) fn wrong_in(
    stage: &Stage,
    call: &Call,
    asked: &Asked,
    access_token: &str,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: String, is_right: bool| {
        if !is_right {
            wrong.push(format!("{}: {what}", stage.template.id));
        }
    };
    let url = filled(stage, &call.url, access_token);
    let path = url.split_once(&stage.server.url("")).unwrap().1;
    check(format!("{} is not {path}", asked.path), asked.path == path);
    check(asked.method.clone(), asked.method == call.method.as_str());
    let params = call.params.iter();
    let mut params: BTreeMap<String, String> = params
        .map(|(name, value)| (name.clone(), filled(stage, value, access_token)))
        .collect();
    if call.auth == CallAuth::Post {
        params.insert("client_id".into(), "cid".into());
        params.insert("client_secret".into(), "s3".into());
    }
    let in_query = call.method == Method::Get || call.format == Format::Query;
    let said = match in_query {
        true => asked.query.clone(),
        false => asked.fields(),
    };
    check(format!("{said:?}, not {params:?}"), said == params);
    let is_json = asked.header("content-type").contains("json");
    check("format".into(), is_json == (call.format == Format::Json));
    match call.auth {
        CallAuth::Basic => check("basic".into(), asked.basic() == "cid:s3"),
        CallAuth::Bearer => check("bearer".into(), asked.bearer() == access_token),
        CallAuth::None | CallAuth::Post => {
            let said = asked.header("authorization");
            check(
                "bare".into(),
                said.is_empty() || call.headers.contains_key("Authorization"),
            );
        }
    }
    for (name, value) in &call.headers {
        let value = filled(stage, value, access_token);
        check(format!("header {name}"), asked.header(name) == value);
    }
    wrong
}

/// Goal: each entry's tokens are revoked as it states. Method: a revocation with each, compared
/// with its recipe, or with RFC 7009; where there is neither, nothing is asked.
#[tokio::test]
async fn every_entry_revokes_as_its_facts_say() {
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for template in every_oauth() {
        let stage = Stage::new(&template, |_, _| says(200, &json!({ "ok": true }))).await;
        let (oauth, client_secret) = (stage.oauth(), secret("s3"));
        let (access_token, refresh_token) = (secret("a-1"), secret("r-1"));
        let tokens = Tokens {
            access_token: Some(&access_token),
            refresh_token: Some(&refresh_token),
            known: &stage.known,
        };
        let revoked = stage
            .provider
            .revoke_grant(&oauth, Some(&client_secret), tokens);
        let (revoked, asked) = (revoked.await, stage.asked());
        let facts = stage.facts();
        let expected = match (&facts.dialect.revocation, &facts.revocation_url) {
            (Some(call), _) if asked.len() == 1 => {
                *counts.entry("recipe").or_default() += 1;
                wrong.extend(wrong_in(&stage, call, &asked[0], "a-1"));
                Revocation::Done
            }
            (None, Some(url)) if asked.len() == 2 => {
                *counts.entry("rfc 7009").or_default() += 1;
                for (asked, token) in asked.iter().zip(["r-1", "a-1"]) {
                    let is_right = asked.method == "POST"
                        && asked.path == stage.path(url)
                        && asked.field("token") == token;
                    if !is_right {
                        wrong.push(format!("{}: {} {}", template.id, asked.path, asked.body));
                    }
                }
                Revocation::Done
            }
            (None, None) if asked.is_empty() => {
                *counts.entry("none").or_default() += 1;
                Revocation::Unsupported
            }
            _ => {
                wrong.push(format!(
                    "{}: asked {} times: {revoked:?}",
                    template.id,
                    asked.len()
                ));
                continue;
            }
        };
        if !matches!(&revoked, Ok(Some(done)) if *done == expected) {
            wrong.push(format!("{}: {revoked:?}", template.id));
        }
    }
    println!("revocations: {counts:?}");
    all_right(&wrong);
}
