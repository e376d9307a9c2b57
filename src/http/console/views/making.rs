//! What the screens look like on which an app is made or changed.
//!
//! It promises: a field says what it is for and where it comes from; a secret is never shown again.
//! It never: reads anything.

use std::sync::Arc;

use maud::{Markup, html};
use serde_json::Value;

use super::apps::certainty;
use crate::http::console::form::Form;
use crate::http::console::frame::form;
use crate::http::console::making::asked_of_operator;
use crate::model::app::App;
use crate::model::blanks::Variable;
use crate::model::template::Template;
use crate::vault::AtConsole;

/// What was typed before, and what is wrong with it.
type Typed<'a> = Option<(&'a Form, &'a str)>;

/// The catalogue, and the other ways.
pub(in crate::http::console) fn choose(words: &str, found: &[Arc<Template>]) -> Markup {
    html! {
        form.search method="get" action="/console/new-app" role="search" {
            div.field {
                label for="q" { "Search the catalogue" }
                input id="q" name="q" value=(words) autocomplete="off" spellcheck="false";
            }
            button.main type="submit" { "Search" }
        }
        section aria-labelledby="ways" {
            h2 id="ways" { "Not in the catalogue?" }
            div.acts {
                a.button href="/console/new-app/mcp" { "A remote MCP server, by its URL" }
                a.button href="/console/new-app/issuer" { "An issuer with metadata" }
                a.button href="/console/new-app/hand" { "By hand" }
                a.button href="/console/new-app/key" { "API keys" }
            }
        }
        section aria-labelledby="catalogue" {
            h2 id="catalogue" { "Catalogue" }
            @if found.is_empty() { p { "Nothing in the catalogue fits." } }
            ul.columns.plain {
                @for template in found {
                    li.card {
                        h3 { a href={ "/console/new-app/" (template.id) } { (template.name) } }
                        p.soft.small { (template.category) }
                        (certainty(template.certainty))
                    }
                }
            }
        }
    }
}

/// A field with one line to type into.
struct Line<'a> {
    name: &'a str,
    text: &'a str,
    hint: &'a str,
    is_required: bool,
}

const fn line<'a>(name: &'a str, text: &'a str, hint: &'a str, is_required: bool) -> Line<'a> {
    Line {
        name,
        text,
        hint,
        is_required,
    }
}

fn typed_before<'a>(typed: Typed<'a>, name: &str) -> Option<&'a str> {
    typed.and_then(|(form, _)| form.text(name))
}

fn input(line: &Line<'_>, value: Option<&str>) -> Markup {
    html! {
        div.field {
            label for=(line.name) { (line.text) }
            input id=(line.name) name=(line.name) value=[value] required[line.is_required]
                autocomplete="off" spellcheck="false"
                aria-describedby=[(!line.hint.is_empty()).then(|| format!("{}-hint", line.name))];
            @if !line.hint.is_empty() { p.hint id={ (line.name) "-hint" } { (line.hint) } }
        }
    }
}

fn secret(hint: &str) -> Markup {
    html! {
        div.field {
            label for="client_secret" { "Client secret" }
            input id="client_secret" name="client_secret" type="password" autocomplete="off"
                aria-describedby="client_secret-hint";
            p.hint id="client_secret-hint" { (hint) }
        }
    }
}

fn lines(name: &str, text: &str, hint: &str, value: Option<&str>) -> Markup {
    html! {
        div.field {
            label for=(name) { (text) }
            textarea id=(name) name=(name) rows="3" spellcheck="false"
                aria-describedby={ (name) "-hint" } { (value.unwrap_or_default()) }
            p.hint id={ (name) "-hint" } { (hint) }
        }
    }
}

fn wrong(typed: Typed<'_>) -> Markup {
    html! {
        @if let Some((_, said)) = typed {
            p.alert.bad role="alert" { strong { "Nothing was stored" } (said) }
        }
    }
}

const ID: Line<'static> = line(
    "id",
    "Id",
    "What programs call it: letters, digits and -._~@+. It cannot be changed later.",
    true,
);
const NAME: Line<'static> = line("name", "Name", "What people read.", false);
const CLIENT_ID: Line<'static> = line(
    "client_id",
    "Client id",
    "From the service, where the client is registered.",
    true,
);
const DESCRIPTION: Line<'static> = line(
    "description",
    "Description",
    "A sentence for the people who connect it.",
    false,
);
const SCOPES_HINT: &str = "With spaces or lines between.";

/// The form for an app that is in no catalogue.
pub(in crate::http::console) fn by_way(at: &AtConsole, way: &str, typed: Typed<'_>) -> Markup {
    let is_oauth = way != "key";
    let content = html! {
        (input(&ID, typed_before(typed, "id")))
        (input(&NAME, typed_before(typed, "name")))
        @for line in lines_of(way) { (input(line, typed_before(typed, line.name))) }
        @if is_oauth && way != "mcp" {
            (input(&CLIENT_ID, typed_before(typed, "client_id")))
            (secret("Left empty for a public client."))
            (client_auth(typed_before(typed, "client_auth")))
        }
        @if is_oauth {
            (lines("scopes", "Scopes", SCOPES_HINT, typed_before(typed, "scopes")))
        }
        (input(&DESCRIPTION, typed_before(typed, "description")))
        button.main type="submit" { "Make the app" }
    };
    html! {
        (wrong(typed))
        div.card { (form(at, &format!("/console/new-app/{way}"), content)) }
        p { a href="/console/new-app" { "Back to the catalogue" } }
    }
}

fn lines_of(way: &str) -> &'static [Line<'static>] {
    const ISSUER: [Line<'static>; 1] = [line(
        "issuer",
        "Issuer",
        "A URL. Its metadata (RFC 8414 or OpenID Connect) has the endpoints.",
        true,
    )];
    const MCP: [Line<'static>; 1] = [line(
        "server_url",
        "URL of the MCP server",
        "All else is found out: its authorization server, and a client of our own there.",
        true,
    )];
    const HAND: [Line<'static>; 3] = [
        line(
            "authorization_url",
            "Authorization endpoint",
            "Where people's browsers are sent.",
            true,
        ),
        line(
            "token_url",
            "Token endpoint",
            "Where codes and refresh tokens are redeemed.",
            true,
        ),
        line(
            "revocation_url",
            "Revocation endpoint",
            "Where tokens are revoked (RFC 7009), if anywhere.",
            false,
        ),
    ];
    match way {
        "issuer" => &ISSUER,
        "mcp" => &MCP,
        "hand" => &HAND,
        _ => &[],
    }
}

fn client_auth(before: Option<&str>) -> Markup {
    let ways = [
        ("basic", "Basic, as the RFC says"),
        ("basic_raw", "Basic, not form-encoded first"),
        ("post", "In the body"),
        ("none", "None: a public client"),
        (
            "private_key_jwt",
            "A signed JWT: the secret is its private key",
        ),
    ];
    html! {
        div.field {
            label for="client_auth" { "How the client proves itself" }
            select id="client_auth" name="client_auth" {
                @for (word, text) in ways {
                    option value=(word) selected[before == Some(word)] { (text) }
                }
            }
        }
    }
}

/// The form for an app of the catalogue.
pub(in crate::http::console) fn of_template(
    at: &AtConsole,
    template: &Template,
    redirect_uri: &str,
    typed: Typed<'_>,
) -> Markup {
    let id = typed_before(typed, "id").unwrap_or(template.id.as_str());
    let scopes = template.oauth.as_ref().map(|oauth| {
        let scopes: Vec<&str> = oauth.scopes.iter().collect();
        scopes.join("\n")
    });
    let needs_client = template.oauth.is_some() && template.server_url.is_none();
    let content = html! {
        (input(&ID, Some(id)))
        (input(&NAME, Some(typed_before(typed, "name").unwrap_or(&template.name))))
        @for (name, variable) in asked_of_operator(template) {
            (value_of(name.as_str(), variable, typed))
        }
        @if needs_client {
            (input(&CLIENT_ID, typed_before(typed, "client_id")))
            (secret("From the same place. Left empty for a public client."))
        }
        @if let Some(scopes) = &scopes {
            @let before = typed_before(typed, "scopes").unwrap_or(scopes);
            (lines("scopes", "Scopes", SCOPES_HINT, Some(before)))
        }
        (input(&DESCRIPTION, typed_before(typed, "description")))
        button.main type="submit" { "Make the app" }
    };
    html! {
        (wrong(typed))
        p {
            (certainty(template.certainty)) " "
            a href=(template.docs.as_str()) rel="noreferrer noopener" { (template.docs.as_str()) }
        }
        @for note in &template.notes { p { (note) } }
        @if needs_client {
            div.card {
                h2 { "Register this redirect URI there" }
                p { code.secret { (redirect_uri) } }
                p.hint { "It ends with the id of the app: with another id, with that one." }
            }
        }
        div.card { (form(at, &format!("/console/new-app/{}", template.id), content)) }
        p { a href="/console/new-app" { "Back to the catalogue" } }
    }
}

fn value_of(name: &str, variable: &Variable, typed: Typed<'_>) -> Markup {
    let field = format!("value.{name}");
    let before = typed_before(typed, &field).or(variable.default.as_deref());
    let example = variable.example.as_deref();
    let hint = match example {
        Some(example) => format!("{} For example {example}.", variable.help),
        None => variable.help.clone(),
    };
    input(&line(&field, name, &hint, !variable.optional), before)
}

/// The form that changes an app.
pub(in crate::http::console) fn edit(
    at: &AtConsole,
    app: &App,
    before: &Value,
    typed: Typed<'_>,
) -> Markup {
    let place = format!("/console/apps/{}/edit", app.id);
    let words = |list: &Value| {
        let items = list.as_array().into_iter().flatten();
        let items: Vec<&str> = items.filter_map(Value::as_str).collect();
        items.join("\n")
    };
    let own = |name: &str| {
        let said = typed_before(typed, name).map(str::to_owned);
        said.or_else(|| match &before[name] {
            Value::String(text) => Some(text.clone()),
            list @ Value::Array(_) => Some(words(list)),
            _ => None,
        })
    };
    let is_oauth = app.oauth().is_some();
    let fields = html! {
        (input(&NAME, own("name").as_deref()))
        (input(&DESCRIPTION, own("description").as_deref()))
        @if is_oauth {
            (input(&CLIENT_ID, own("client_id").as_deref()))
            (secret("Left empty the secret stays as it is. Typed, it takes the old one's place."))
            (lines("scopes", "Scopes", SCOPES_HINT, own("scopes").as_deref()))
        }
        (lines("return_urls", "Where people may come back to", "One URL a line.",
            own("return_urls").as_deref()))
        button.main type="submit" { "Store" }
    };
    let settings = typed_before(typed, "settings").map(str::to_owned);
    let settings = settings.unwrap_or_else(|| format!("{before:#}"));
    let whole = html! {
        div.field {
            label for="settings" { "Every setting, as JSON" }
            textarea.mono id="settings" name="settings" rows="20" spellcheck="false"
                aria-describedby="settings-hint" { (settings) }
            p.hint id="settings-hint" {
                "The same as " code { "PUT /v1/apps/" (app.id) } " takes. A setting that is left "
                "out is as if it had never been said; the client secret stays unless it is said."
            }
        }
        button type="submit" { "Store these settings" }
    };
    html! {
        (wrong(typed))
        div.card { (form(at, &place, fields)) }
        details { summary { "Every setting" } div.card { (form(at, &place, whole)) } }
        p { a href={ "/console/apps/" (app.id) } { "Back" } }
    }
}
