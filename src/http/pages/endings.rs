//! The pages where a link ends: done, cancelled, or leading nowhere; and what went wrong with us.
//!
//! It promises: each says what happened and what to do next.
//! It never: says more of a link than its state to who is not bound to it.

use maud::{Markup, html};
use serde_json::json;

use super::card;
use super::views::{is_connected, name_of, picture_of};
use crate::connect::Visit;
use crate::error::Error;
use crate::http::look::Page;
use crate::http::wire::links::{state_word, status_word};
use crate::model::link::{LinkAppState, LinkEnd, LinkStatus};
use crate::model::url::WebUrl;
use crate::vault::NoWay;

/// The page at the end.
pub(super) fn finished(visit: &Visit) -> Page {
    let is_partial = |state: &LinkAppState| match state {
        LinkAppState::Connected { missing_scopes, .. } => !missing_scopes.is_empty(),
        LinkAppState::Waiting | LinkAppState::Declined | LinkAppState::Failed { .. } => false,
    };
    let content = html! {
        (outcomes(visit))
        p {
            @if visit.apps.iter().any(|card| is_partial(&card.entry.state)) {
                "To grant the rest after all, ask " bdi { (visit.link.asker) } " for a new link. "
            }
            "You can close this page."
        }
    };
    let title = match visit.apps.iter().any(is_connected) {
        true => "Done",
        false => "Nothing was connected",
    };
    Page::new(title, content)
}

/// The page of a link whose person said no to what was left of it.
pub(super) fn cancelled(visit: &Visit) -> Page {
    let content = html! {
        @if visit.apps.iter().any(is_connected) {
            (outcomes(visit))
        } @else {
            p { "Nothing was connected." }
        }
        p {
            bdi { (visit.link.asker) } " is told so. "
            "If you change your mind, ask there for a new link. You can close this page."
        }
    };
    Page::new("Cancelled", content)
}

/// The end of a link that a page opened as a pop-up: that page is told how it ended, and nothing
/// but that, whatever origin opened this one. Without scripts it is a page like any other.
pub(super) fn told_to_opener(visit: &Visit, end: Page, origin: &str) -> Page {
    let apps = visit.apps.iter().map(|card| {
        let state = state_word(&card.entry.state);
        json!({ "app": card.entry.app, "state": state })
    });
    let told = json!({
        "type": "strongroom:connect",
        "id": visit.link.id,
        "status": status_word(visit.status),
        "apps": apps.collect::<Vec<_>>(),
    });
    let next = visit.link.return_url.as_ref().map(WebUrl::as_str);
    let data = html! {
        div id="told" data-origin=(origin) data-told=(told) data-next=[next] {
            @if let Some(next) = next { p { a.button.main href=(next) { "Go on" } } }
        }
    };
    end.with_more(data).with_script(include_str!("popup.js"))
}

/// The page of a link that ended before a browser was bound to it: its state, and nothing of what
/// stands on it, for whoever has its URL.
pub(super) fn over_for_anybody(visit: &Visit) -> Page {
    let end = no_way(NoWay::Over(visit.status));
    match &visit.link.opener_origin {
        Some(origin) => told_to_opener(visit, end, origin),
        None => end,
    }
}

/// How each app came out.
fn outcomes(visit: &Visit) -> Markup {
    html! {
        @for card in &visit.apps {
            section.card {
                div.head {
                    (picture_of(card))
                    div { h2 { (name_of(card)) } }
                    (card::standing(card))
                }
                @match &card.entry.state {
                    LinkAppState::Connected { .. } => (card::connected(visit, card)),
                    LinkAppState::Declined => p { "You declined this. Nothing was stored." },
                    LinkAppState::Waiting | LinkAppState::Failed { .. } => {
                        p { "Nothing was stored." }
                    }
                }
            }
        }
    }
}

/// The page of a link that leads nowhere.
pub(super) fn no_way(why: NoWay) -> Page {
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
        NoWay::Over(status) => over(status),
    };
    Page::new(title, html! { div.card { p { (text) } } })
}

fn over(status: LinkStatus) -> (&'static str, &'static str) {
    match status {
        LinkStatus::Expired => (
            "This link has expired",
            "Links live for a few minutes only. Go back to where you got it and ask for a new one.",
        ),
        LinkStatus::Dead(LinkEnd::WrongPerson) => (
            "This link is for somebody else",
            "You are signed in as somebody other than the person it was made for. Nothing was \
             connected. Sign in as that person there, and ask for a new link.",
        ),
        LinkStatus::Dead(LinkEnd::TooManyCodes) => (
            "Too many wrong codes",
            "This link does not work any more. Go back to where you got it and ask for a new one.",
        ),
        LinkStatus::Dead(LinkEnd::Withdrawn | LinkEnd::Replaced) => (
            "This link was taken back",
            "Whoever made it has withdrawn it or made a newer one. Look there for the newest.",
        ),
        LinkStatus::Dead(LinkEnd::Cancelled) => (
            "Cancelled",
            "You said no to this. If you change your mind, ask for a new link where you got it.",
        ),
        LinkStatus::Issued | LinkStatus::Visited | LinkStatus::Finished => (
            "This link is done",
            "Nothing is left to do here. You can close this page.",
        ),
    }
}

/// The page of what went wrong on our side.
pub(super) fn trouble(error: &Error) -> Page {
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
        Error::Invalid(what) => {
            format!("That was not understood: {what}. Go back, and try it once more.")
        }
        Error::Busy(_) => {
            "There is too much to do at the moment. Try again in a minute.".to_owned()
        }
        _ => {
            "Something went wrong on our side, and nothing was stored. Try again later.".to_owned()
        }
    };
    Page::new("That did not work", html! { div.card { p { (text) } } })
}
