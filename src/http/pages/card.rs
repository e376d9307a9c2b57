//! One app on a link's page: what it is, what it would be used for, how it stands, what to press.
//!
//! It promises: what went wrong is told in words, with what to do, and bound to the inputs it is
//! about; ids are the app's own, so that a page of several apps has no two alike.
//! It never: shows a key, but its last four characters after it was stored.

use maud::{Markup, html};

use super::views::{is_open, name_of, picture_of};
use super::words;
use crate::connect::{AppCard, Visit};
use crate::http::look::parts::{Tone, alert, badge};
use crate::model::Scopes;
use crate::model::blanks::Variable;
use crate::model::link::{LinkAppState, Proof};

/// The card of an app; `is_next` where it is the one to go on with.
pub(super) fn shown(visit: &Visit, card: &AppCard, is_next: bool) -> Markup {
    let app = card.app.as_ref();
    let description = app.map_or("", |app| app.description.as_str());
    let heading = format!("app-{}", card.entry.app);
    html! {
        section.card aria-labelledby=(heading) {
            div.head {
                (picture_of(card))
                div {
                    h2 id=(heading) { (name_of(card)) }
                    @if !description.is_empty() { p.soft.small { (description) } }
                }
                (standing(card))
            }
            (body(visit, card, is_next))
        }
    }
}

/// How it stands, in a word.
pub(super) fn standing(card: &AppCard) -> Markup {
    match &card.entry.state {
        LinkAppState::Connected { .. } => badge(Tone::Good, "Connected"),
        LinkAppState::Declined => badge(Tone::Plain, "Not now"),
        LinkAppState::Failed { .. } => badge(Tone::Bad, "Failed"),
        LinkAppState::Waiting if card.before.is_some() => badge(Tone::Plain, "Connected before"),
        LinkAppState::Waiting => html! {},
    }
}

fn body(visit: &Visit, card: &AppCard, is_next: bool) -> Markup {
    let base = format!("/connect/{}/{}", visit.link.id, card.entry.app);
    let actions = |go: &str| actions(card, &base, go, is_next);
    html! {
        @match &card.entry.state {
            LinkAppState::Connected { missing_scopes, .. } => {
                (connected(visit, card))
                @if !missing_scopes.is_empty() { (actions("Connect again")) }
            }
            LinkAppState::Declined => {
                p { "You declined this. Nothing was stored." }
                (actions("Connect after all"))
            }
            LinkAppState::Failed { code, message } => {
                (failed(card, code, message))
                (actions("Try again"))
            }
            LinkAppState::Waiting => {
                (before(visit, card))
                (asked_for(visit, card))
                (actions("Connect"))
            }
        }
    }
}

/// True where the person is known to be the owner. By a link that asks for no proof anybody may
/// come, who is not to learn what the owner's accounts are called.
fn is_known(visit: &Visit) -> bool {
    visit.link.proof != Proof::None
}

/// What the owner has there already.
fn before(visit: &Visit, card: &AppCard) -> Markup {
    html! {
        @if let Some(before) = &card.before {
            p.small {
                "Connected already"
                @if let Some(label) = before.label.as_ref().filter(|_| is_known(visit)) {
                    " as " strong { (label) }
                }
                ". Connecting again takes its place."
            }
        }
    }
}

fn asked_for(visit: &Visit, card: &AppCard) -> Markup {
    let scopes = &card.entry.scopes;
    html! {
        @if !scopes.is_empty() {
            p.small.soft { bdi { (visit.link.asker) } " wants to:" }
            (listed(card, scopes))
        }
    }
}

/// Scopes in words, each with what it is called where it comes from.
fn listed(card: &AppCard, scopes: &Scopes) -> Markup {
    html! {
        ul.scopes {
            @for scope in scopes.iter() {
                @let said = match card.described(scope) {
                    Some(described) => described.to_owned(),
                    None => words::scope(scope),
                };
                li {
                    (said)
                    @if said != scope { " " code.soft { (scope) } }
                }
            }
        }
    }
}

/// Whose account it is, so that a person sees when it is the wrong one; and what is missing.
pub(super) fn connected(visit: &Visit, card: &AppCard) -> Markup {
    let LinkAppState::Connected {
        missing_scopes,
        label,
        switched_from,
        last_four,
        ..
    } = &card.entry.state
    else {
        return html! {};
    };
    html! {
        @if label.is_some() || last_four.is_some() {
            p {
                @if let Some(label) = label { "Connected as " strong { (label) } ". " }
                @if let Some(end) = last_four { "The key ends in " code { (end) } "." }
            }
        }
        @if let Some(before) = switched_from {
            (alert(Tone::Warn, html! {
                strong { "This is not the account of last time" }
                "Before, another account was connected"
                @if is_known(visit) { ": " strong { (before) } }
                "."
            }))
        }
        @if !missing_scopes.is_empty() {
            (alert(Tone::Warn, html! {
                strong { "Not all of it was granted" }
                "This is missing, and what needs it will not work:"
                (listed(card, missing_scopes))
            }))
        }
    }
}

fn failed(card: &AppCard, code: &str, message: &str) -> Markup {
    let told = words::failure(code);
    html! {
        div.alert.bad role="alert" id={ "wrong-" (card.entry.app) } {
            strong { (told.what) }
            (told.to_do)
            p.small.soft {
                @if message.is_empty() || message == code { "Code: " } @else { (message) " · " }
                code { (code) }
            }
        }
    }
}

fn actions(card: &AppCard, base: &str, go: &str, is_next: bool) -> Markup {
    let Some(app) = &card.app else {
        return html! {
            (alert(Tone::Bad, html! {
                strong { "This service is not set up any more." }
                "Tell whoever sent you here."
            }))
            div.acts { (not_now(card, base)) }
        };
    };
    let is_oauth = app.oauth().is_some();
    let place = if is_oauth { "/go" } else { "/key" };
    let fields = html! {
        (variables(card))
        @if !is_oauth { (key_fields(card)) }
        @if card.entry.state.may_store_anyway() && !is_oauth {
            label.check {
                input type="checkbox" name="anyway" value="yes";
                " Store it anyway"
            }
        }
    };
    let class = match fields.0.is_empty() {
        true => "grow",
        false => "grow full",
    };
    html! {
        div.acts {
            form class=(class) method="post" action={ (base) (place) } autocomplete="off" {
                (fields)
                button.main[is_next] type="submit" { (go) span.unseen { " " (name_of(card)) } }
            }
            (not_now(card, base))
        }
    }
}

fn not_now(card: &AppCard, base: &str) -> Markup {
    html! {
        @if is_open(card) {
            form method="post" action={ (base) "/decline" } {
                button.plain type="submit" { "Not now" span.unseen { ": " (name_of(card)) } }
            }
        }
    }
}

/// What an input says of itself to who cannot see what stands around it.
struct Described {
    by: Option<String>,
    is_wrong: bool,
}

impl Described {
    /// An input with `hint`, for which `is_about` tells whether a failure is about it.
    fn of(card: &AppCard, id: &str, hint: &str, is_about: impl Fn(&str, &str) -> bool) -> Self {
        let is_wrong = match &card.entry.state {
            LinkAppState::Failed { code, message } => is_about(code, message),
            LinkAppState::Waiting | LinkAppState::Declined | LinkAppState::Connected { .. } => {
                false
            }
        };
        let wrong = is_wrong.then(|| format!("wrong-{}", card.entry.app));
        let hint = (!hint.is_empty()).then(|| format!("{id}-hint"));
        let by: Vec<String> = wrong.into_iter().chain(hint).collect();
        Self {
            by: (!by.is_empty()).then(|| by.join(" ")),
            is_wrong,
        }
    }
}

/// What the person is asked of the app's variables: those that the asker has not said.
fn variables(card: &AppCard) -> Markup {
    let asked = card.app.iter().flat_map(|app| app.asked_of_person());
    html! {
        @for (name, variable) in asked {
            @if !card.entry.variables.contains_key(name) {
                (variable_field(card, name.as_str(), variable))
            }
        }
    }
}

fn variable_field(card: &AppCard, name: &str, variable: &Variable) -> Markup {
    let id = format!("variable-{}-{name}", card.entry.app);
    let is_about = |code: &str, message: &str| code == "invalid_variable" && message.contains(name);
    let described = Described::of(card, &id, &variable.help, is_about);
    html! {
        div.field {
            label for=(id) {
                (words::name(name))
                @if variable.optional { span.soft { " (optional)" } }
            }
            input id=(id) name={ "variable." (name) } autocomplete="off" autocapitalize="none"
                spellcheck="false" placeholder=[variable.example.as_deref()]
                value=[variable.default.as_deref()] required[!variable.optional]
                aria-describedby=[described.by] aria-invalid=[described.is_wrong.then_some("true")];
            @if !variable.help.is_empty() { p.hint id={ (id) "-hint" } { (variable.help) } }
        }
    }
}

fn key_fields(card: &AppCard) -> Markup {
    let fields = card.app.as_ref().map_or(&[][..], |app| &app.fields);
    html! {
        @for field in fields {
            (key_field(card, &format!("field.{}", field.name), field.shown(), &field.help,
                field.secret))
        }
        @if fields.is_empty() { (key_field(card, "api_key", "API key", "", true)) }
    }
}

fn key_field(card: &AppCard, name: &str, label: &str, help: &str, is_secret: bool) -> Markup {
    let id = format!("{name}-{}", card.entry.app);
    let is_about = |code: &str, message: &str| match code {
        // It begins with what the input is called, and is `the key` where there is one alone.
        "invalid_key" | "key_looks_wrong" => {
            message.starts_with(label) || message.starts_with("the key")
        }
        "key_refused" => is_secret,
        _ => false,
    };
    let described = Described::of(card, &id, help, is_about);
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) type=(if is_secret { "password" } else { "text" }) name=(name)
                autocomplete="off" autocapitalize="none" spellcheck="false" required
                aria-describedby=[described.by] aria-invalid=[described.is_wrong.then_some("true")];
            @if !help.is_empty() { p.hint id={ (id) "-hint" } { (help) } }
        }
    }
}
