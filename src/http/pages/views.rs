//! What the pages of a link look like on the way: the invitation, the proof, the apps.
//!
//! It promises: text from apps, askers and providers is text on the page, and nothing else; every
//! input has its label, and what is wrong is bound to it; there is one clear thing to press.
//! It never: holds a script, or what a person typed.

use maud::{Markup, html};

use super::card;
use crate::connect::{AppCard, Visit};
use crate::http::look::Page;
use crate::http::look::parts::{Tone, alert, picture};
use crate::limits;
use crate::model::link::{LinkAppState, Proof};

/// The page of a link that was just opened: who asks for what. Going on is a form, so that the
/// preview of a chat does not use the link up.
pub(super) fn invitation(visit: &Visit, ticket: &str) -> Page {
    let content = html! {
        (who_asks(visit))
        ul.list.card {
            @for card in &visit.apps {
                li {
                    (picture_of(card))
                    div {
                        strong { (name_of(card)) }
                        @if let Some(app) = &card.app {
                            @if !app.description.is_empty() {
                                br; span.soft { (app.description) }
                            }
                        }
                    }
                }
            }
        }
        div.acts {
            form.grow method="post" action={ "/c/" (ticket) } {
                button.main type="submit" { "Continue" }
            }
        }
        p.hint {
            "Only continue if you were just asked to do this. "
            "Nothing is connected before you agree to it."
        }
    };
    Page::new(title_of(visit), content)
}

fn title_of(visit: &Visit) -> String {
    match visit.apps.as_slice() {
        [one] => format!("Connect {}", name_of(one)),
        _ => "Connect your accounts".into(),
    }
}

/// Who asks, for whom, and why.
fn who_asks(visit: &Visit) -> Markup {
    let owner = &visit.link.owner;
    html! {
        p {
            strong { (visit.link.asker) } " asks to use "
            @match visit.apps.as_slice() {
                [one] => strong { (name_of(one)) },
                _ => "these services",
            }
            " for "
            @if let Some(user) = owner.user() { strong { (user) } }
            @if let Some(tenant) = owner.tenant() {
                @if owner.user().is_some() { " of " }
                strong { (tenant) }
            }
            "."
        }
        @if let Some(reason) = &visit.link.reason {
            (alert(Tone::Plain, html! { strong { "Reason given" } (reason) }))
        }
    }
}

/// The page that wants to know who is there.
pub(super) fn proof(visit: &Visit) -> Page {
    let id = visit.link.id;
    let body = match visit.link.proof {
        Proof::Code => code(visit),
        Proof::Vouch | Proof::None | Proof::Page => html! {
            p { strong { (visit.link.asker) } " will confirm that it is you, and send you back." }
            div.acts {
                form.grow method="post" action={ "/connect/" (id) "/vouch" } {
                    button.main type="submit" { "Confirm" }
                }
                (cancel(visit))
            }
        },
    };
    Page::new("Is it you?", html! { (who_asks(visit)) (body) })
}

fn code(visit: &Visit) -> Markup {
    let id = visit.link.id;
    let is_wrong = visit.link.code_tries > 0;
    let left = limits::CODE_TRIES_MAX.saturating_sub(visit.link.code_tries);
    let described = match is_wrong {
        true => "code-wrong code-hint",
        false => "code-hint",
    };
    html! {
        div.acts {
            form.grow.full method="post" action={ "/connect/" (id) "/code" } {
                @if is_wrong {
                    div.alert.bad role="alert" id="code-wrong" {
                        strong { "That code was not right." }
                        "Please check it. "
                        @if left == 1 { "This is the last try." }
                        @else { (left) " tries are left." }
                    }
                }
                div.field {
                    label for="code" { "Code" }
                    input.code-input id="code" name="code" inputmode="numeric" maxlength="12"
                        required autocomplete="one-time-code" aria-describedby=(described)
                        aria-invalid=[is_wrong.then_some("true")];
                    p.hint id="code-hint" {
                        "The six digits that were shown where this link was made."
                    }
                }
                button.main type="submit" { "Continue" }
            }
            (cancel(visit))
        }
    }
}

/// The page that takes a person through the apps.
pub(super) fn apps(visit: &Visit) -> Page {
    let next = visit.apps.iter().position(is_open).unwrap_or_default();
    let content = html! {
        (who_asks(visit))
        (progress(visit))
        @for (at, card) in visit.apps.iter().enumerate() {
            (card::shown(visit, card, at == next))
        }
        div.acts.end { (cancel(visit)) }
        @if visit.apps.iter().any(is_connected) {
            p.hint { "What is connected stays connected." }
        }
    };
    Page::new(title_of(visit), content)
}

/// True where there is something left to press for.
pub(super) fn is_open(card: &AppCard) -> bool {
    matches!(
        card.entry.state,
        LinkAppState::Waiting | LinkAppState::Failed { .. }
    )
}

/// True where there is something to use now.
pub(super) fn is_connected(card: &AppCard) -> bool {
    matches!(card.entry.state, LinkAppState::Connected { .. })
}

/// How far a link of several apps has come.
fn progress(visit: &Visit) -> Markup {
    let connected = visit.apps.iter().filter(|card| is_connected(card)).count();
    let all = visit.apps.len();
    html! {
        @if all > 1 {
            p.small.soft role="status" { (connected) " of " (all) " connected" }
            div.steps aria-hidden="true" {
                @for card in &visit.apps {
                    @match card.entry.state {
                        LinkAppState::Connected { .. } => span.done {}
                        LinkAppState::Declined => span.not {}
                        LinkAppState::Waiting | LinkAppState::Failed { .. } => span {}
                    }
                }
            }
        }
    }
}

/// The no to all of it, which whoever asked learns.
fn cancel(visit: &Visit) -> Markup {
    html! {
        form method="post" action={ "/connect/" (visit.link.id) "/cancel" } {
            button.plain type="submit" { "Cancel" }
        }
    }
}

/// What people know an app by.
pub(super) fn name_of(card: &AppCard) -> &str {
    card.app
        .as_ref()
        .map_or(card.entry.app.as_str(), |app| app.name.as_str())
}

/// What stands for an app.
pub(super) fn picture_of(card: &AppCard) -> Markup {
    let logo = card.app.as_ref().and_then(|app| app.logo.as_ref());
    picture(logo, name_of(card))
}
