//! `app add`: a new app, of a template or by hand.
//!
//! It promises: whoever is at a terminal is asked for what a template needs and was not given,
//! after being told where to register which redirect URI; elsewhere all that is missing is named at
//! once, with the options to give it by; what came of it is tried at the provider.
//! It never: asks for what was given, or fails because of what the trial found.

use serde_json::{Value, json};

use super::settings::{apply, read_file};
use super::{AddArgs, check, print};
use crate::cli::ask::{Person, Question, at_the_terminal, is_anybody_there};
use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output;
use crate::cli::secrets::Input;
use crate::model::Name;
use crate::model::blanks::Variable;

/// Something a template needs and nobody gave.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Gap {
    ClientId,
    ClientSecret,
    /// A variable; whether it has to be filled.
    Variable(String, bool),
}

pub(super) async fn run(args: AddArgs) -> Result<(), Failure> {
    let client = Client::with_key(&args.remote)?;
    let said = read_file(&args.settings)?;
    let template = template(&client, &args, &said).await?;
    let mut body = body(&args, template.as_ref(), &said);
    if let Some(path) = &args.settings.client_secret_file {
        let secret = Input::default().read("the client secret", Some(path))?;
        body["client_secret"] = json!(secret.expose());
    }
    match &template {
        Some(template) => complete(&args.id, template, &mut body)?,
        None if body["kind"] == "oauth"
            && body["client_auth"] != "none"
            && body["client_secret"].is_null()
            && !is_registered_by_us(&body) =>
        {
            let secret = Input::default().read_optional("Client secret", None)?;
            if let Some(secret) = secret {
                body["client_secret"] = json!(secret.expose());
            }
        }
        None => {}
    }
    let mut app = client.post(&["v1", "apps"], &body).await?;
    let found = match args.no_check {
        true => None,
        false => Some(check::ask(&client, &args.id).await),
    };
    if args.json {
        if let Some(Ok(found)) = found {
            app["check"] = found;
        }
        return print(&app, true);
    }
    print(&app, false)?;
    if app["redirect_uri"].is_string() {
        let client = output::cell(&app["remote"]["client"]);
        output::note(
            match ["registered", "document"].contains(&client.as_str()) {
                true => {
                    "There is nothing to register: the authorization server knows Strongroom now."
                }
                false => "Register the redirect URI at the provider, exactly as it stands.",
            },
        );
    }
    if let Some(docs) = template.as_ref().and_then(|one| one["docs"].as_str()) {
        output::note(&format!("The provider's own page: {docs}"));
    }
    match found {
        Some(Ok(found)) => check::note(&found),
        Some(Err(failure)) => {
            output::note(&format!("It could not be checked: {}", failure.message));
        }
        None => {}
    }
    Ok(())
}

/// Whether an MCP server's authorization server is to give the client id, and no secret is asked.
fn is_registered_by_us(body: &Value) -> bool {
    body["server_url"].is_string() && !body["client_id"].is_string()
}

/// The template that was named, or the one whose id is the app's where nothing says that the app is
/// another.
async fn template(client: &Client, args: &AddArgs, said: &Value) -> Result<Option<Value>, Failure> {
    let named = args.template.as_deref().or(said["template"].as_str());
    let settings = &args.settings;
    let by_hand = settings.kind.is_some()
        || settings.server_url.is_some()
        || settings.issuer.is_some()
        || settings.authorization_url.is_some()
        || settings.token_url.is_some()
        || [
            "kind",
            "server_url",
            "issuer",
            "authorization_url",
            "token_url",
        ]
        .iter()
        .any(|name| !said[name].is_null());
    let id = match named {
        Some(id) => id,
        None if by_hand => return Ok(None),
        None => args.id.as_str(),
    };
    match client.get(&["v1", "templates", id], &[]).await {
        Ok(template) => Ok(Some(template)),
        Err(failure) if failure.exit != Exit::NotFound => Err(failure),
        Err(_) if named.is_none() => Ok(None),
        Err(_) => Err(Failure::usage(
            format!("there is no template `{id}`"),
            "`strongroom app templates` lists them",
        )),
    }
}

/// What is asked of the server: what the template needs said, the file over it, the options last.
fn body(args: &AddArgs, template: Option<&Value>, said: &Value) -> Value {
    let mut body = match template {
        Some(template) => json!({"template": template["id"], "kind": template["kind"]}),
        None => json!({"name": args.id, "kind": "oauth"}),
    };
    if let Some(said) = said.as_object() {
        for (name, value) in said {
            body[name] = value.clone();
        }
    }
    body["id"] = json!(args.id);
    apply(&mut body, &args.settings);
    body
}

/// Fills what is missing.
fn complete(id: &str, template: &Value, body: &mut Value) -> Result<(), Failure> {
    let gaps = gaps(template, body);
    if gaps.is_empty() {
        return Ok(());
    }
    if is_anybody_there() {
        return at_the_terminal(|person| fill(person, id, template, &gaps, body));
    }
    match missing(id, template, &gaps) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// What is missing of what a template needs, in the order of asking.
fn gaps(template: &Value, body: &Value) -> Vec<Gap> {
    let mut gaps = Vec::new();
    // A remote MCP server registers its clients itself.
    let is_registered = template["kind"] == "oauth" && !template["server_url"].is_string();
    if is_registered && body["client_id"].is_null() {
        gaps.push(Gap::ClientId);
    }
    let auth = match &body["client_auth"] {
        Value::Null => &template["oauth"]["client_auth"],
        said => said,
    };
    if is_registered && auth != "none" && body["client_secret"].is_null() {
        gaps.push(Gap::ClientSecret);
    }
    for (name, variable) in template["variables"].as_object().into_iter().flatten() {
        let is_asked = variable["asked_of"] != "person" && body["values"][name].is_null();
        let is_needed = variable["optional"] != true && variable["default"].is_null();
        if is_asked {
            gaps.push(Gap::Variable(name.clone(), is_needed));
        }
    }
    gaps
}

/// All that is missing in one failure; nothing where all of it may be left out.
fn missing(id: &str, template: &Value, gaps: &[Gap]) -> Option<Failure> {
    let word = |gap: &Gap| match gap {
        Gap::ClientId => Some("--client-id ID".to_owned()),
        Gap::ClientSecret => Some(
            "--client-secret-file FILE (or `--client-auth none` for a public client)".to_owned(),
        ),
        Gap::Variable(_, false) => None,
        Gap::Variable(name, true) => {
            let variable = &template["variables"][name];
            let help = variable["help"].as_str().unwrap_or_default();
            let example = variable["example"].as_str();
            let example = example.map_or(String::new(), |one| format!(", such as `{one}`"));
            Some(format!("--value {name}=VALUE ({help}{example})"))
        }
    };
    let words: Vec<String> = gaps.iter().filter_map(word).collect();
    let redirect_uri = redirect_uri(id, template, &Value::Null);
    (!words.is_empty()).then(|| {
        Failure::usage(
            format!("`{id}` needs more: {}", words.join("; ")),
            format!(
                "the provider's page: {}; the redirect URI to register there: {redirect_uri}",
                output::cell(&template["docs"])
            ),
        )
    })
}

/// Where the provider is to send people back to.
fn redirect_uri(id: &str, template: &Value, body: &Value) -> String {
    let which = body["callback"].as_str().unwrap_or("own");
    let uri = output::cell(&template["redirect_uris"][which]);
    uri.replace("{app}", id)
}

/// Asks for what is missing, having said first what it is needed for.
fn fill(
    person: &mut Person<'_>,
    id: &str,
    template: &Value,
    gaps: &[Gap],
    body: &mut Value,
) -> Result<(), Failure> {
    let text = |name: &str| output::cell(&template[name]);
    person.say(&format!(
        "{}, by facts that are {}.",
        text("name"),
        text("certainty")
    ))?;
    for note in template["notes"].as_array().into_iter().flatten() {
        person.say(&format!("- {}", output::cell(note)))?;
    }
    person.say(&format!("The provider's page:         {}", text("docs")))?;
    if template["kind"] == "oauth" {
        let uri = redirect_uri(id, template, body);
        person.say(&format!("Register this redirect URI:  {uri}"))?;
    }
    for gap in gaps {
        match gap {
            Gap::ClientId => {
                let client_id = person.ask(&Question {
                    what: "Client id",
                    ..Question::default()
                })?;
                body["client_id"] = json!(client_id);
            }
            Gap::ClientSecret => {
                if let Some(secret) = person.ask_hidden("Client secret")? {
                    body["client_secret"] = json!(secret.expose());
                }
            }
            Gap::Variable(name, is_needed) => {
                let variable = &template["variables"][name];
                // As the server will read it: nobody types everything again for one typing error.
                let known: Option<(Name, Variable)> = Name::parse(name.clone())
                    .ok()
                    .zip(serde_json::from_value(variable.clone()).ok());
                let read = |text: &str| match &known {
                    Some((name, variable)) => variable.read(name, text),
                    None => Ok(text.to_owned()),
                };
                let value = person.ask(&Question {
                    what: name,
                    help: variable["help"].as_str().unwrap_or_default(),
                    example: variable["example"].as_str(),
                    default: variable["default"].as_str(),
                    optional: !is_needed,
                    read: Some(&read),
                })?;
                if let Some(value) = value {
                    body["values"][name] = json!(value);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn shop() -> Value {
        json!({
            "id": "shop", "name": "Shop", "kind": "oauth", "certainty": "documented",
            "docs": "https://shop.example/docs", "notes": ["Ask for little."],
            "oauth": {"client_auth": "post"},
            "redirect_uris": {"own": "https://v.example/callback/{app}", "shared": "https://v/s"},
            "variables": {
                "host": {"help": "The shop's host.", "example": "acme.example",
                    "pattern": "[a-z.]+"},
                "region": {"help": "Where it is.", "default": "eu"},
                "theirs": {"help": "Theirs.", "asked_of": "person"},
            },
        })
    }

    #[test]
    fn what_is_missing_is_named_at_once_with_the_options_to_give() {
        let all = gaps(&shop(), &json!({}));
        let failure = missing("mine", &shop(), &all).unwrap();
        assert_eq!(failure.exit, Exit::Usage);
        for part in [
            "--client-id ID",
            "--client-secret-file FILE",
            "--value host=VALUE (The shop's host., such as `acme.example`)",
        ] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        assert!(!failure.message.contains("region") && !failure.message.contains("theirs"));
        assert!(failure.hint.contains("https://v.example/callback/mine"));
        assert!(failure.hint.contains("https://shop.example/docs"));
        let body = json!({"client_id": "c", "client_auth": "none", "values": {"host": "a"}});
        let left = gaps(&shop(), &body);
        assert_eq!(left, [Gap::Variable("region".into(), false)]);
        assert_eq!(missing("mine", &shop(), &left), None);
    }

    /// Goal: a person is told what to register before being asked for the client id, and asked for
    /// what is missing alone. Method: answers typed; what was shown, in its order.
    #[test]
    fn a_person_is_told_what_to_register_before_being_asked() {
        let mut body = json!({"callback": "own"});
        let all = gaps(&shop(), &body);
        let (mut input, mut output) = (&b"client-1\n???\nacme.example\n\n"[..], Vec::new());
        let hidden = |what: &'static str| {
            assert_eq!(what, "Client secret");
            Ok(Some(Secret::new("s3cret".to_owned())))
        };
        let mut person = Person::of(&mut input, &mut output, &hidden);
        fill(&mut person, "mine", &shop(), &all, &mut body).unwrap();
        assert_eq!(
            body,
            json!({"callback": "own", "client_id": "client-1", "client_secret": "s3cret",
                "values": {"host": "acme.example", "region": "eu"}})
        );
        let said = String::from_utf8(output).unwrap();
        let mut at = 0;
        for part in [
            "documented",
            "- Ask for little.",
            "https://shop.example/docs",
            "https://v.example/callback/mine",
            "Client id",
            "The shop's host.",
            "host (such as acme.example): ",
            "`host` does not look right",
            "host (such as acme.example): ",
            "region (empty: eu): ",
        ] {
            at += said[at..]
                .find(part)
                .unwrap_or_else(|| panic!("{part}: {said}"));
        }
        assert!(!said.contains("s3cret"));
    }
}
