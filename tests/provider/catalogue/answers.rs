//! Answers in the shapes that the entries state, and what is made of them.

use strongroom::model::api::{BadIf, BadWhen};
use strongroom::model::beside::SecondGrant;
use strongroom::model::dialect::{Answered, Renewal, Unit};
use strongroom::model::token::Grant;
use strongroom::provider::classify::FailureKind;

use super::*;

/// How long things live in these answers, in seconds.
const LIFE_S: u64 = 7200;
const REFRESH_LIFE_S: u64 = 2_592_000;
/// The end of an access token in them: the clock of these tests and [`LIFE_S`].
const ENDS: &str = "2027-01-15T10:00:00Z";
/// The end of a refresh token.
const REFRESH_ENDS: &str = "2027-02-14T08:00:00Z";

/// The answer to a token request, as an entry says that it looks.
pub(super) fn grant(template: &Template, at: &str) -> Value {
    let facts = template.oauth.as_ref().unwrap();
    let answered = &facts.dialect.answered;
    let mut answer = json!({ "token_type": "bearer" });
    let path = |path: &Option<strongroom::model::field::FieldPath>, usual: &str| {
        path.as_ref().map_or(usual.to_owned(), ToString::to_string)
    };
    put(
        &mut answer,
        &path(&answered.access_token, "access_token"),
        json!("a-1"),
    );
    put(
        &mut answer,
        &path(&answered.refresh_token, "refresh_token"),
        json!("r-1"),
    );
    let lifetime = path(&answered.lifetime, "expires_in");
    put(
        &mut answer,
        &lifetime,
        life(&lifetime, answered.lifetime_unit),
    );
    let separator = answered.scope_separator.as_ref();
    let separator = separator.unwrap_or(&facts.scope_separator);
    put(
        &mut answer,
        &path(&answered.scope, "scope"),
        json!(format!("one{separator}two")),
    );
    if let Some(path) = &answered.refresh_token_lifetime {
        let life = match path.as_str().ends_with("_at") {
            true => json!(REFRESH_ENDS),
            false => json!(REFRESH_LIFE_S),
        };
        put(&mut answer, path.as_str(), life);
    }
    put_second(answered, &mut answer);
    for path in answered.keep.iter().chain(&answered.keep_secret) {
        let is_there = path.of(&answer).is_some_and(|value| !value.is_null());
        if !is_there {
            put(
                &mut answer,
                path.as_str(),
                json!(kept_value(path.as_str(), at)),
            );
        }
    }
    for path in answered.account_id.iter().chain(&answered.account_label) {
        put(
            &mut answer,
            path.as_str(),
            json!(kept_value(path.as_str(), at)),
        );
    }
    if let Some(bad_when) = &answered.bad_when {
        let is_good = match &bad_when.is {
            BadIf::Present => Value::Null,
            BadIf::False => json!(true),
            BadIf::Not(word) => json!(word),
        };
        put(&mut answer, bad_when.field.as_str(), is_good);
    }
    answer
}

/// Puts the further tokens of an answer where the entry says.
fn put_second(answered: &Answered, answer: &mut Value) {
    for second in &answered.second_tokens {
        put(answer, second.access_token.as_str(), json!("a-2"));
        for (path, value) in [
            (&second.refresh_token, json!("r-2")),
            (&second.lifetime, json!(LIFE_S)),
            (&second.scope, json!("three")),
            (&second.account_id, json!("somebody")),
        ] {
            if let Some(path) = path {
                put(answer, path.as_str(), value);
            }
        }
    }
}

fn life(path: &str, unit: Unit) -> Value {
    match unit {
        _ if path.ends_with("_at") => json!(ENDS),
        Unit::Seconds => json!(LIFE_S),
        Unit::Milliseconds => json!(LIFE_S * 1000),
        Unit::Minutes => json!(LIFE_S / 60),
    }
}

/// What is wrong with the grant that was read of [`grant`].
fn wrong_in(stage: &Stage, grant: &Grant) -> Vec<&'static str> {
    let dialect = &stage.facts().dialect;
    let answered = &dialect.answered;
    let text = |secret: &strongroom::secret::Secret<String>| secret.expose().clone();
    let refresh_token = match &dialect.lives.renewal {
        Renewal::Refresh => Some("r-1"),
        // The token itself is what buys the next.
        Renewal::Exchange(_) => Some("a-1"),
        Renewal::None => None,
    };
    let mut wrong = Vec::new();
    let mut check = |what: &'static str, is_right: bool| {
        if !is_right {
            wrong.push(what);
        }
    };
    check("access_token", text(&grant.access_token) == "a-1");
    let read = grant.refresh_token.as_ref().map(text);
    check("refresh_token", read.as_deref() == refresh_token);
    check("lifetime", grant.expires_in_s == Some(LIFE_S));
    let scopes: Vec<&str> = grant
        .scopes
        .iter()
        .flat_map(|scopes| scopes.iter())
        .collect();
    check("scopes", scopes == ["one", "two"]);
    let brought = &grant.brought;
    for path in &answered.keep {
        let is_kept = brought.metadata.contains_key(&name(path.as_str()));
        check("metadata", is_kept);
    }
    let secrets: Vec<&str> = brought.secrets.keys().map(Name::as_str).collect();
    let stated: Vec<&str> = answered
        .keep_secret
        .iter()
        .map(|path| path.as_str())
        .collect();
    check(
        "secrets",
        secrets.len() == stated.len() && stated.iter().all(|s| secrets.contains(s)),
    );
    check(
        "account",
        grant.subject.is_some() == answered.account_id.is_some(),
    );
    check(
        "label",
        brought.label.is_some() == answered.account_label.is_some(),
    );
    if answered.refresh_token_lifetime.is_some() {
        check(
            "refresh life",
            brought.refresh_token_lifetime_s == Some(REFRESH_LIFE_S),
        );
    }
    wrong.extend(wrong_in_second(answered, &brought.second));
    wrong
}

/// What is wrong with the further tokens.
fn wrong_in_second(answered: &Answered, second_grants: &[SecondGrant]) -> Vec<&'static str> {
    let text = |secret: &strongroom::secret::Secret<String>| secret.expose().clone();
    let second: Vec<String> = second_grants.iter().map(|s| s.slot.to_string()).collect();
    let stated: Vec<String> = answered
        .second_tokens
        .iter()
        .map(|s| s.slot.to_string())
        .collect();
    let mut wrong = Vec::new();
    if second != stated {
        wrong.push("second tokens");
    }
    for second in second_grants {
        let grant = &second.grant;
        let is_right = text(&grant.access_token) == "a-2"
            && grant.refresh_token.as_ref().map(text).as_deref() == Some("r-2")
            && grant.expires_in_s == Some(LIFE_S);
        if !is_right || grant.subject.as_deref() != Some("somebody") {
            wrong.push("second token");
        }
    }
    wrong
}

/// Goal: an answer in the shape that an entry states is read whole. Method: an exchange with each,
/// answered by what [`grant`] makes of its own facts: paths, units, separators, further tokens.
#[tokio::test]
async fn every_entry_survives_the_answer_its_facts_state() {
    let mut wrong = Vec::new();
    for template in every_oauth() {
        let stage = Stage::new(&template, |own, asked| says(200, &grant(own, &asked.at()))).await;
        let (oauth, client_secret) = (stage.oauth(), secret("s3"));
        let (code, verifier) = (secret("c-1"), secret("v-1"));
        let exchanged = stage.provider.exchange(
            &oauth,
            Some(&client_secret),
            &code,
            CALLBACK,
            Some(&verifier),
            &stage.known,
        );
        match exchanged.await {
            Ok(grant) => {
                let found = wrong_in(&stage, &grant).into_iter();
                wrong.extend(found.map(|what| format!("{}: {what}", template.id)));
            }
            Err(failure) => wrong.push(format!("{}: {failure:?}", template.id)),
        }
    }
    all_right(&wrong);
}

/// A refusal as an entry says that it looks: with a good status, where that is its way.
fn refusal(template: &Template, code: &str) -> Reply {
    let facts = template.oauth.as_ref().unwrap();
    let answered = &facts.dialect.answered;
    let mut answer = json!({ "message": "no" });
    let status = match &answered.bad_when {
        None => 400,
        Some(BadWhen { field, is }) => {
            let is_bad = match is {
                BadIf::Present => json!(code),
                BadIf::False => json!(false),
                BadIf::Not(_) => json!("other"),
            };
            put(&mut answer, field.as_str(), is_bad);
            200
        }
    };
    let place = answered.error_code.as_ref();
    let place = place.map_or("error".to_owned(), ToString::to_string);
    let code = code
        .parse::<u64>()
        .map_or(json!(code), |number| json!(number));
    put(&mut answer, &place, code);
    says(status, &answer)
}

/// Goal: the codes that an entry has for a grant that is gone end it, those for "later" do not,
/// and `invalid_grant` ends it everywhere. Method: a refresh with each, refused by each code.
#[tokio::test]
async fn every_entry_tells_a_dead_grant_from_one_that_waits() {
    let mut wrong = Vec::new();
    for template in every_oauth() {
        let dialect = &template.oauth.as_ref().unwrap().dialect;
        let dead = dialect
            .answered
            .dead_codes
            .iter()
            .map(|code| (code.clone(), true));
        let later = dialect
            .answered
            .later_codes
            .iter()
            .map(|code| (code.clone(), false));
        for (code, is_dead) in dead
            .chain(later)
            .chain([("invalid_grant".to_owned(), true)])
        {
            let said = code.clone();
            let stage = Stage::new(&template, move |own, _| refusal(own, &said)).await;
            let (oauth, client_secret, token) = (stage.oauth(), secret("s3"), secret("r-1"));
            let refreshed =
                stage
                    .provider
                    .refresh(&oauth, Some(&client_secret), &token, &stage.known);
            let kind = refreshed.await.err().map(|failure| failure.kind);
            let is_right = match is_dead {
                true => kind == Some(FailureKind::Refused),
                false => matches!(kind, Some(FailureKind::Transient { .. })),
            };
            if !is_right {
                wrong.push(format!("{}: {code} is {kind:?}", template.id));
            }
        }
    }
    all_right(&wrong);
}
