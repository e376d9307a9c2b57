//! The screens on which an app is made or changed.
//!
//! ```text
//!   catalogue | by issuer | by MCP server | by hand | API key -> form -> the API's own request
//! ```
//!
//! It promises: what is typed here makes the app that the same words make through the API; what was
//! wrong with it is said above the form, which keeps what was typed, but for secrets.
//! It never: has rules of its own about apps.

use serde_json::{Map, Value, json};

use super::apps::{app_id, the_app};
use super::form::Form;
use super::views::making as views;
use super::{Visit, ok};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::api;
use crate::http::routes::console::Screen;
use crate::http::wire;
use crate::http::wire::apps::{AppRequest, inputs_of};
use crate::model::blanks::AskedOf;

/// How an app is made, beside from the catalogue.
pub(super) const WAYS: [&str; 4] = ["issuer", "mcp", "hand", "key"];

/// The fields that are one text in a form and one in a request.
const TEXTS: [&str; 15] = [
    "id",
    "name",
    "template",
    "server_url",
    "client_id",
    "client_secret",
    "issuer",
    "authorization_url",
    "token_url",
    "refresh_url",
    "revocation_url",
    "client_auth",
    "callback",
    "description",
    "logo",
];

pub(super) fn choose(visit: &Visit<'_>) -> Result<Answer> {
    visit.call.takes(&["q"])?;
    let words = visit.call.optional("q").unwrap_or_default();
    let found = visit.app.connect.templates(words);
    let content = views::choose(words, &found);
    Ok(ok(&visit.frame(Screen::NewApp), "New app", content))
}

pub(super) fn ask(visit: &Visit<'_>) -> Result<Answer> {
    let content = asked(visit, None)?;
    Ok(ok(&visit.frame(Screen::AskApp), "New app", content))
}

/// The form, with what was typed before and what is wrong with it.
fn asked(visit: &Visit<'_>, typed: Option<(&Form, &str)>) -> Result<maud::Markup> {
    let connect = &visit.app.connect;
    let way = visit.call.capture(0);
    if WAYS.contains(&way) {
        return Ok(views::by_way(&visit.at, way, typed));
    }
    let template = connect.template(way).ok_or(Error::NotFound("template"))?;
    let redirect_uri = connect.redirect_uri(&template.id, Default::default());
    Ok(views::of_template(
        &visit.at,
        &template,
        &redirect_uri,
        typed,
    ))
}

pub(super) async fn make(visit: &Visit<'_>) -> Result<Answer> {
    let form = &visit.form;
    let made = match new_of(visit, form).and_then(request) {
        Ok(request) => Box::pin(api::make(visit.app, &visit.at.caller, request)).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(app) => {
            let told = match app.oauth() {
                Some(_) => "app-made",
                None => "keys-app-made",
            };
            visit.on(&format!("/console/apps/{}?told={told}", app.id))
        }
        Err(error) if is_typed_wrong(&error) => {
            let said = wire::message_of(&error);
            let content = asked(visit, Some((form, &said)))?;
            let frame = visit.frame(Screen::AskApp);
            Ok(frame.answer(wire::status_of(&error), "New app", content))
        }
        Err(error) => Err(error),
    }
}

/// What the person at the form can mend there.
fn is_typed_wrong(error: &Error) -> bool {
    matches!(
        error,
        Error::Invalid(_)
            | Error::Conflict(_)
            | Error::Forbidden(_)
            | Error::ProviderRefused { .. }
            | Error::ProviderUnavailable { .. }
    )
}

/// The request that a form says.
fn new_of(visit: &Visit<'_>, form: &Form) -> Result<Value> {
    let mut body = Map::new();
    lay_texts(&mut body, form);
    lay_lists(&mut body, form);
    match visit.call.capture(0) {
        "key" => _ = body.insert("kind".into(), json!("api_key")),
        "mcp" => {}
        "issuer" | "hand" => _ = body.insert("kind".into(), json!("oauth")),
        template => _ = body.insert("template".into(), json!(template)),
    }
    let values: Map<String, Value> = form
        .beginning("value.")
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    if !values.is_empty() {
        body.insert("values".into(), Value::Object(values));
    }
    Ok(Value::Object(body))
}

fn lay_texts(body: &mut Map<String, Value>, form: &Form) {
    for name in TEXTS {
        if let Some(text) = form.text(name) {
            body.insert(name.to_owned(), json!(text));
        }
    }
}

fn lay_lists(body: &mut Map<String, Value>, form: &Form) {
    if let Some(scopes) = form.text("scopes") {
        let scopes: Vec<&str> = scopes.split_whitespace().collect();
        body.insert("scopes".into(), json!(scopes));
    }
    if let Some(urls) = form.text("return_urls") {
        let urls: Vec<&str> = urls.split_whitespace().collect();
        body.insert("return_urls".into(), json!(urls));
    }
}

fn request(body: Value) -> Result<AppRequest> {
    // Read as the API reads it: its words about what is wrong hold no value.
    wire::read(&bytes::Bytes::from(body.to_string()))
}

pub(super) fn edit(visit: &Visit<'_>) -> Result<Answer> {
    let app = the_app(visit)?;
    let before = as_it_is(visit, &app)?;
    let content = views::edit(&visit.at, &app, &before, None);
    Ok(ok(
        &visit.frame(Screen::EditApp),
        format!("Change {}", app.name),
        content,
    ))
}

fn as_it_is(visit: &Visit<'_>, app: &crate::vault::ShownApp) -> Result<Value> {
    let shown = serde_json::to_value(api::shape(visit.app, app));
    let shown = shown.map_err(|_| Error::invalid("the app cannot be shown"))?;
    Ok(inputs_of(&shown))
}

pub(super) async fn change(visit: &Visit<'_>) -> Result<Answer> {
    let (app, form) = (the_app(visit)?, &visit.form);
    let before = as_it_is(visit, &app)?;
    let changed = match changed_of(form, before.clone()).and_then(request) {
        Ok(request) => {
            let whole = (app.id.clone(), request);
            Box::pin(api::make_over(visit.app, &visit.at.caller, whole)).await
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(_) => visit.on(&format!(
            "/console/apps/{}?told=app-changed",
            app_id(visit)?
        )),
        Err(error) if is_typed_wrong(&error) => {
            let said = wire::message_of(&error);
            let content = views::edit(&visit.at, &app, &before, Some((form, &said)));
            let frame = visit.frame(Screen::EditApp);
            let title = format!("Change {}", app.name);
            Ok(frame.answer(wire::status_of(&error), title, content))
        }
        Err(error) => Err(error),
    }
}

/// The request that makes an app what the form says: the settings as JSON, or the fields above.
fn changed_of(form: &Form, before: Value) -> Result<Value> {
    if let Some(text) = form.text("settings") {
        return serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::invalid(format!(
                "the settings are not JSON at line {line}, column {column}"
            ))
        });
    }
    let Value::Object(mut body) = before else {
        return Err(Error::invalid("the app cannot be shown"));
    };
    for name in ["name", "description", "client_id", "scopes", "return_urls"] {
        // What was emptied is left out; a secret that was not typed stays as it is.
        if form.has(name) {
            body.remove(name);
        }
    }
    lay_texts(&mut body, form);
    lay_lists(&mut body, form);
    body.remove("template");
    Ok(Value::Object(body))
}

/// The blanks of a template that whoever makes the app fills in.
pub(super) fn asked_of_operator(
    template: &crate::model::template::Template,
) -> impl Iterator<Item = (&crate::model::Name, &crate::model::blanks::Variable)> {
    let variables = template.variables.iter();
    variables.filter(|(_, variable)| variable.asked_of == AskedOf::Operator)
}
