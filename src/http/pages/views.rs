//! What the pages look like: markup, escaped by the template library, and one style sheet.
//!
//! It promises: text from apps, askers and providers is text on the page, and nothing else; the
//! style's hash stands in the policy, and a test holds the one against the other.
//! It never: holds a script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::connect::{AppCard, Visit};
use crate::error::Error;
use crate::model::Scopes;
use crate::model::link::{LinkAppState, LinkEnd, LinkStatus, Proof};
use crate::vault::NoWay;

const STYLE: &str = ":root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}\
section{border:1px solid #8886;border-radius:.5rem;padding:1rem;margin:1rem 0}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:0 0 .5rem}\
button,input{font:inherit;padding:.5rem 1rem;border-radius:.4rem;border:1px solid #8888}\
button.main{background:#1a56db;color:#fff;border-color:#1a56db}\
form{display:inline-block;margin:.25rem .5rem .25rem 0}form button{margin:.25rem 0}\
.note{opacity:.75}.ok{color:#197a3a}.bad{color:#b3261e}code{overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){.ok{color:#6cc98a}.bad{color:#ff8a80}}";

/// The base64 of SHA-256 of [`STYLE`], for the content policy.
pub(super) const STYLE_HASH: &str = "AsGLIxkSz4m5r4c4zyDZCCPRL9dyWWkdr5yNdp088j0=";

fn frame(title: &str, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (content) } }
        }
    }
}

/// The page of a link that was just opened: who asks for what. Going on is a form, so that the
/// preview of a chat does not use the link up.
pub(super) fn invitation(visit: &Visit, ticket: &str) -> Markup {
    let over = !matches!(visit.status, LinkStatus::Issued | LinkStatus::Visited);
    if over {
        return no_way(NoWay::Over(visit.status));
    }
    frame(
        "Connect your accounts",
        html! {
            (who_asks(visit))
            ul { @for card in &visit.apps { li { (name_of(card)) } } }
            form method="post" action={ "/c/" (ticket) } {
                button.main type="submit" { "Continue" }
            }
            p.note { "Only continue if you were just asked to do this." }
        },
    )
}

fn who_asks(visit: &Visit) -> Markup {
    html! {
        p {
            strong { (visit.link.asker) } " asks to use "
            @if visit.apps.len() == 1 { "this service" } @else { "these services" }
            " for "
            @if let Some(user) = visit.link.owner.user() { strong { (user) } }
            @if let Some(tenant) = visit.link.owner.tenant() {
                @if visit.link.owner.user().is_some() { " of " }
                strong { (tenant) }
            }
            "."
        }
        @if let Some(reason) = &visit.link.reason { p { "Reason given: " (reason) } }
    }
}

/// The page that wants to know who is there.
pub(super) fn proof(visit: &Visit) -> Markup {
    let id = visit.link.id;
    let body = match visit.link.proof {
        Proof::Code => html! {
            p { "Type the six-digit code that was shown where this link was made." }
            @if visit.link.code_tries > 0 {
                p.bad role="alert" { "That code was not right. Please check it." }
            }
            form method="post" action={ "/connect/" (id) "/code" } {
                label for="code" { "Code " }
                input id="code" name="code" inputmode="numeric" autocomplete="one-time-code"
                    maxlength="12" required;
                " "
                button.main type="submit" { "Go on" }
            }
        },
        Proof::Vouch | Proof::None | Proof::Page => html! {
            p { strong { (visit.link.asker) } " will confirm that it is you." }
            form method="post" action={ "/connect/" (id) "/vouch" } {
                button.main type="submit" { "Confirm" }
            }
        },
    };
    frame("Is it you?", html! { (who_asks(visit)) (body) })
}

/// The page that takes a person through the apps.
pub(super) fn apps(visit: &Visit) -> Markup {
    frame(
        "Connect your accounts",
        html! {
            (who_asks(visit))
            @for card in &visit.apps { (app_section(visit, card)) }
        },
    )
}

fn app_section(visit: &Visit, card: &AppCard) -> Markup {
    let base = format!("/connect/{}/{}", visit.link.id, card.entry.app);
    html! {
        section {
            h2 { (name_of(card)) }
            @if let Some(app) = &card.app {
                @if !app.description.is_empty() { p { (app.description) } }
            }
            @if !card.entry.scopes.is_empty() {
                p.note { "Asks for: " (scopes(&card.entry.scopes)) }
            }
            (app_state(card, &base))
        }
    }
}

fn scopes(scopes: &Scopes) -> Markup {
    html! { @for scope in scopes.iter() { code { (scope) } " " } }
}

fn app_state(card: &AppCard, base: &str) -> Markup {
    html! {
        @match &card.entry.state {
            LinkAppState::Connected { missing_scopes, label, switched_from, .. } => {
                (connected(label.as_deref(), switched_from.as_deref()))
                @if !missing_scopes.is_empty() {
                    p.bad { "Not granted: " (scopes(missing_scopes)) }
                    (actions(card, base, "Connect again"))
                }
            }
            LinkAppState::Declined => {
                p { "You declined this." }
                (actions(card, base, "Connect after all"))
            }
            LinkAppState::Failed { code, message } => {
                p.bad role="alert" {
                    "That did not work: " (code)
                    @if !message.is_empty() { " (" (message) ")" }
                }
                (actions(card, base, "Try again"))
            }
            LinkAppState::Waiting => (actions(card, base, "Connect")),
        }
    }
}

fn actions(card: &AppCard, base: &str, go: &str) -> Markup {
    let is_oauth = card.app.as_ref().is_some_and(|app| app.oauth().is_some());
    let waiting = matches!(
        card.entry.state,
        LinkAppState::Waiting | LinkAppState::Failed { .. }
    );
    html! {
        @if card.app.is_none() {
            p.bad { "This service is not set up any more." }
        } @else if is_oauth {
            form method="post" action={ (base) "/go" } {
                (variables(card))
                button.main type="submit" { (go) }
            }
        } @else {
            form method="post" action={ (base) "/key" } autocomplete="off" {
                (variables(card))
                (key_fields(card))
                @if card.entry.state.may_store_anyway() {
                    label { input type="checkbox" name="anyway" value="yes"; " Store it anyway" }
                    " "
                }
                button.main type="submit" { "Store" }
            }
        }
        @if waiting {
            form method="post" action={ (base) "/decline" } {
                button type="submit" { "Not now" }
            }
        }
    }
}

/// Whose account it is, so that a person sees when it is the wrong one.
fn connected(label: Option<&str>, switched_from: Option<&str>) -> Markup {
    html! {
        p.ok {
            "Connected"
            @if let Some(label) = label { " as " strong { (label) } }
            "."
        }
        @if let Some(before) = switched_from {
            p.bad { "Before, another account was connected: " strong { (before) } "." }
        }
    }
}

/// What the person is asked of the app's variables: those that the asker has not said.
fn variables(card: &AppCard) -> Markup {
    html! {
        @if let Some(app) = &card.app {
            @for (name, variable) in app.asked_of_person() {
                @if !card.entry.variables.contains_key(name) {
                    p {
                        label {
                            (name.as_str()) " "
                            input name={ "variable." (name) } autocomplete="off"
                                placeholder=[variable.example.as_deref()]
                                value=[variable.default.as_deref()]
                                required[!variable.optional];
                        }
                        @if !variable.help.is_empty() { br; span.note { (variable.help) } }
                    }
                }
            }
        }
    }
}

fn key_fields(card: &AppCard) -> Markup {
    let fields = card.app.as_ref().map_or(&[][..], |app| &app.fields);
    html! {
        @for field in fields {
            p {
                label {
                    (field.shown()) " "
                    input type=(if field.secret { "password" } else { "text" })
                        name={ "field." (field.name) } autocomplete="off" required;
                }
                @if !field.help.is_empty() { br; span.note { (field.help) } }
            }
        }
        @if fields.is_empty() {
            label { "API key "
                input type="password" name="api_key" autocomplete="off" required; }
            " "
        }
    }
}

/// The page at the end.
pub(super) fn finished(visit: &Visit) -> Markup {
    frame(
        "Done",
        html! {
            @for card in &visit.apps {
                section { h2 { (name_of(card)) }
                    @match &card.entry.state {
                        LinkAppState::Connected {
                            missing_scopes, label, switched_from, ..
                        } => {
                            (connected(label.as_deref(), switched_from.as_deref()))
                            @if !missing_scopes.is_empty() {
                                p.bad { "Not granted: " (scopes(missing_scopes)) }
                            }
                        }
                        _ => p { "You declined this." }
                    }
                }
            }
            p { "You can close this page." }
        },
    )
}

/// The page of a link that leads nowhere.
pub(super) fn no_way(why: NoWay) -> Markup {
    let (title, text) = match why {
        NoWay::Unknown => (
            "This link does not work",
            "It may be incomplete, or used already. Go back to where you got it and ask for a new \
             one.",
        ),
        NoWay::OtherBrowser => (
            "Opened elsewhere",
            "This link was opened in another browser first, and works only there. If that was not \
             you, ask for a new link and tell whoever sent you this one.",
        ),
        NoWay::Over(LinkStatus::Expired) => (
            "This link has expired",
            "Links live for a few minutes only. Ask for a new one.",
        ),
        NoWay::Over(LinkStatus::Dead(LinkEnd::WrongPerson)) => (
            "This link is for somebody else",
            "You are signed in as somebody other than the person it was made for. Nothing was \
             connected.",
        ),
        NoWay::Over(LinkStatus::Dead(LinkEnd::TooManyCodes)) => (
            "Too many wrong codes",
            "This link does not work any more. Ask for a new one.",
        ),
        NoWay::Over(LinkStatus::Dead(LinkEnd::Withdrawn | LinkEnd::Replaced)) => (
            "This link was taken back",
            "Whoever made it has withdrawn it or made a newer one.",
        ),
        NoWay::Over(_) => (
            "This link is done",
            "Nothing is left to do here. You can close this page.",
        ),
    };
    frame(title, html! { p { (text) } })
}

/// The page of what went wrong on our side.
pub(super) fn trouble(error: &Error) -> Markup {
    let text = match error {
        Error::NotFound(_) => "There is nothing here. Check the link.".to_owned(),
        Error::Denied => {
            "This step is not open yet. Go back to the link you were given.".to_owned()
        }
        Error::Locked => "The vault is locked at the moment. Try again later.".to_owned(),
        Error::Checking { .. } => {
            "The vault has just started and is still being checked. Try again in a minute."
                .to_owned()
        }
        Error::Invalid(what) => format!("That was not understood: {what}."),
        Error::Busy(_) => {
            "There is too much to do at the moment. Try again in a minute.".to_owned()
        }
        _ => {
            "Something went wrong on our side, and nothing was stored. Try again later.".to_owned()
        }
    };
    frame("That did not work", html! { p { (text) } })
}

fn name_of(card: &AppCard) -> &str {
    card.app
        .as_ref()
        .map_or(card.entry.app.as_str(), |app| app.name.as_str())
}
