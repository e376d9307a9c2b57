//! The calls that name an account: how each entry's credential is sent, and what is read.

use strongroom::model::api::{Api, BadIf, Placement, Verify};
use strongroom::provider::{NotIdentified, Shown};
use strongroom::secret::Secret;

use super::*;

/// A good answer to the call, as the entry says that it looks.
fn account(verify: &Verify, at: &str) -> Value {
    let mut answer = json!({});
    let fields = verify.account_id.iter().chain(&verify.account_label);
    for path in fields.chain(&verify.keep) {
        put(
            &mut answer,
            path.as_str(),
            json!(kept_value(path.as_str(), at)),
        );
    }
    if let Some(bad_when) = &verify.bad_when {
        let is_good = match &bad_when.is {
            BadIf::Present => Value::Null,
            BadIf::False => json!(true),
            BadIf::Not(word) => json!(word),
        };
        put(&mut answer, bad_when.field.as_str(), is_good);
    }
    answer
}

/// Whether a request carries the credential as it should: `k-…` for each field, `k-1` the first.
fn carries(asked: &Asked, placement: &Placement) -> bool {
    let filled = |text: &strongroom::model::blanks::Blanks| {
        let value = |name: &Name| match name.as_str() {
            "access_token" => "k-1".to_owned(),
            other => other.to_owned(),
        };
        let known = text.names().iter().map(|name| (name.clone(), value(name)));
        let known: Known = known.collect();
        text.fill(|name| known.get(name).map(String::as_str))
            .unwrap()
    };
    match placement {
        Placement::Header { name, prefix } => asked.header(name) == format!("{prefix}k-1"),
        Placement::Headers { headers } => {
            let mut headers = headers.iter();
            headers.all(|(name, value)| asked.header(name) == filled(value))
        }
        Placement::Query { params } => {
            let mut params = params.iter();
            params.all(|(name, value)| asked.query(name) == filled(value))
        }
        Placement::Basic { username, password } => {
            asked.basic() == format!("{}:{}", filled(username), filled(password))
        }
        Placement::Path { template } => asked.path.contains(&filled(template)),
    }
}

/// What is wrong with the call of an entry.
async fn wrong_in(template: &Template, api: &Api, verify: &Verify) -> Vec<String> {
    let stage = Stage::new(template, |own, asked| {
        let verify = own.api.as_ref().and_then(|api| api.verify.as_ref());
        says(200, &account(verify.unwrap(), &asked.at()))
    });
    let stage = stage.await;
    let mut known = stage.known.clone();
    // What the call itself is to bring is not known before it.
    for path in &verify.keep {
        known.remove(&name(path.as_str()));
    }
    let mut secrets: BTreeMap<Name, Secret<String>> = BTreeMap::new();
    for field in &template.fields {
        match field.secret {
            true => {
                secrets.insert(field.name.clone(), secret(field.name.as_str()));
            }
            false => {
                known.insert(field.name.clone(), field.name.to_string());
            }
        }
    }
    let credential = secret("k-1");
    let shown = Shown {
        credential: &credential,
        known: &known,
        secrets: &secrets,
    };
    let own = stage.template.api.as_ref().unwrap();
    let identity = match stage.provider.identify(own, shown).await {
        Ok(identity) => identity,
        Err(why) => return vec![format!("{}: {why:?}", template.id)],
    };
    let mut wrong = Vec::new();
    let mut check = |what: &str, is_right: bool| {
        if !is_right {
            wrong.push(format!("{}: {what}", template.id));
        }
    };
    let asked = stage.asked();
    let asked = &asked[0];
    check("method", asked.method == verify.method.as_str());
    check(
        "body",
        asked.body == verify.json.clone().unwrap_or_default(),
    );
    let placement = verify.credential.as_ref().unwrap_or(&api.credential);
    check("credential", carries(asked, placement));
    for (name, value) in api.headers.iter().chain(&verify.headers) {
        // One whose blank nothing fills is left out.
        let value = value.fill(|name| known.get(name).map(String::as_str));
        check(name, asked.header(name) == value.unwrap_or_default());
    }
    check(
        "account",
        identity.subject.is_some() == verify.account_id.is_some(),
    );
    check(
        "label",
        identity.label.is_some() == verify.account_label.is_some(),
    );
    check("kept", identity.metadata.len() == verify.keep.len());
    wrong
}

/// Goal: whose account a credential is for is asked as each entry says, and read where it says.
#[tokio::test]
async fn every_entry_names_the_account_as_its_facts_say() {
    let (mut wrong, mut counts) = (Vec::new(), [0; 3]);
    for template in every() {
        let verify = template.api.as_ref().map(|api| (api, api.verify.as_ref()));
        let Some((api, Some(verify))) = verify else {
            counts[2] += 1;
            continue;
        };
        counts[usize::from(verify.account_id.is_none())] += 1;
        wrong.extend(wrong_in(&template, api, verify).await);
    }
    println!("calls that name the account, prove the credential only, none: {counts:?}");
    all_right(&wrong);
}

/// Goal: a credential that a service refuses is told from one that nobody knows about.
#[tokio::test]
async fn every_entry_that_says_no_with_a_good_status_is_understood() {
    let mut wrong = Vec::new();
    for template in every() {
        let verify = template.api.as_ref().and_then(|api| api.verify.as_ref());
        let Some(bad_when) = verify.and_then(|verify| verify.bad_when.clone()) else {
            continue;
        };
        let stage = Stage::new(&template, move |_, _| {
            let mut answer = json!({});
            put(&mut answer, bad_when.field.as_str(), json!(false));
            says(200, &answer)
        });
        let stage = stage.await;
        let (credential, secrets) = (
            secret("k-1"),
            BTreeMap::from([
                (name("bot_token"), secret("k-1")),
                (name("api_token"), secret("k-1")),
            ]),
        );
        let shown = Shown {
            credential: &credential,
            known: &stage.known,
            secrets: &secrets,
        };
        let own = stage.template.api.as_ref().unwrap();
        let found = stage.provider.identify(own, shown).await;
        if !matches!(found, Err(NotIdentified::Refused(_))) {
            wrong.push(format!("{}: {found:?}", template.id));
        }
    }
    all_right(&wrong);
}
