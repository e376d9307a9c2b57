//! What the screens of access keys look like.
//!
//! It promises: a key's text stands on the page of its making alone.
//! It never: reads anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::{maybe_moment, moment};
use crate::clock::Timestamp;
use crate::http::console::form::Form;
use crate::http::console::frame::{form, form_for_secret};
use crate::model::access::{AccessKey, Action, Grant, Match};
use crate::secret::Secret;
use crate::vault::AtConsole;

/// What each role is for.
const ROLES: [(&str, &str); 5] = [
    ("server", "Server: fetches, connects people, lists"),
    ("reader", "Reader: fetches, and nothing else"),
    (
        "operator",
        "Operator: looks after the vault, sees no secret",
    ),
    ("admin", "Admin: everything"),
    ("none", "None: only what is ticked below"),
];

/// The table.
pub(in crate::http::console) fn table(
    at: &AtConsole,
    keys: &[Arc<AccessKey>],
    uses: &BTreeMap<String, Timestamp>,
    now: Timestamp,
) -> Markup {
    let own = at.caller.key().map(|key| key.id.as_str());
    html! {
        p { a.button.main href="/console/keys/new" { "New access key…" } }
        div.table tabindex="0" role="region" aria-label="Access keys" {
            table {
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "May" }
                    th scope="col" { "Ends" } th scope="col" { "Last used" }
                    th scope="col" { "Made" } th scope="col" { "Id" }
                    th scope="col" { span.unseen { "What can be done" } }
                } }
                tbody {
                    @for key in keys {
                        tr {
                            th scope="row" {
                                (key.name)
                                @if own == Some(key.id.as_str()) { " " span.badge { "yours" } }
                                @if key.has_ended(now) { " " span.badge.bad { "ended" } }
                            }
                            td.wrap { (may(key)) }
                            td { (maybe_moment(key.expires_at, now, "never")) }
                            td { (maybe_moment(uses.get(&key.id).copied(), now, "not yet")) }
                            td {
                                (moment(key.created_at, now))
                                span.soft { " by " (key.created_by) }
                            }
                            td { code { (key.id) } }
                            td { a.button.danger href={ "/console/keys/" (key.id) "/remove" } {
                                "Remove…" span.unseen { " " (key.name) } } }
                        }
                    }
                }
            }
        }
        p.soft.small { "\u{201c}Last used\u{201d} counts since this server was started." }
    }
}

fn may(key: &AccessKey) -> Markup {
    html! {
        @if let Some(jwt) = &key.jwt { "JWTs of " code { (jwt.issuer) } ": " }
        @for (at, grant) in key.grants.iter().enumerate() {
            @if at > 0 { "; " }
            (granted(grant))
        }
    }
}

fn granted(grant: &Grant) -> Markup {
    html! {
        @if grant.actions.len() == Action::ALL.len() { "everything" } @else {
            @for (at, action) in grant.actions.iter().enumerate() {
                @if at > 0 { ", " } (action.as_str())
            }
        }
        (on("apps", &grant.apps)) (on("tenants", &grant.tenants)) (on("users", &grant.users))
        @if let Some(scopes) = &grant.scopes {
            " · scopes" @for scope in scopes.iter() { " " code { (scope) } }
        }
    }
}

fn on<T: Ord + std::fmt::Display>(what: &str, ids: &Match<T>) -> Markup {
    html! {
        @match ids {
            Match::Any => {}
            Match::OneOf(ids) if ids.is_empty() => { " · no " (what) }
            Match::OneOf(ids) => { " · " (what) @for id in ids { " " code { (id) } } }
        }
    }
}

/// The form for a new one; with what was typed, and what is wrong with it.
pub(in crate::http::console) fn new(at: &AtConsole, typed: Option<(&Form, &str)>) -> Markup {
    let before = |name: &str| typed.and_then(|(form, _)| form.text(name));
    let field = |name: &str, text: &str, hint: &str, is_required: bool| {
        html! {
            div.field {
                label for=(name) { (text) }
                input id=(name) name=(name) value=[before(name)] required[is_required]
                    spellcheck="false" aria-describedby={ (name) "-hint" };
                p.hint id={ (name) "-hint" } { (hint) }
            }
        }
    };
    let content = html! {
        (field("name", "Name", "What people read on a connect page: who asks.", true))
        div.field {
            label for="role" { "Role" }
            select id="role" name="role" {
                @for (word, text) in ROLES {
                    option value=(word) selected[before("role") == Some(word)] { (text) }
                }
            }
        }
        (field("days", "Ends after days", "Left empty it never ends.", false))
        details open[typed.is_some()] {
            summary { "Less, or more, than the role" }
            (actions(&before))
            (field("apps", "Only these apps", "Ids, with spaces between. Empty: any.", false))
            (field("tenants", "Only these tenants", "Empty: any, and none.", false))
            (field("users", "Only these users", "Empty: any, and none.", false))
            (field("scopes", "No more than these scopes", "Empty: no limit.", false))
        }
        details open[typed.is_some()] {
            summary { "Connecting people" }
            div.field {
                label for="return_urls" { "Where people may come back to" }
                textarea id="return_urls" name="return_urls" rows="3" {
                    (before("return_urls").unwrap_or_default())
                }
                p.hint { "One URL a line, compared exactly." }
            }
            (field("verify_url", "Where people are vouched for",
                "The application's own page, for links that are proven by it.", false))
            (proofs(&before))
        }
        button.main type="submit" { "Make the key" }
    };
    html! {
        @if let Some((_, said)) = typed {
            p.alert.bad role="alert" { strong { "No key was made" } (said) }
        }
        div.card { (form_for_secret(at, "/console/keys/new", content)) }
        p { a href="/console/keys" { "Back" } }
    }
}

fn actions<'a>(before: &impl Fn(&str) -> Option<&'a str>) -> Markup {
    html! {
        fieldset {
            legend { "Beside the role, may" }
            div.ticks {
                @for action in Action::ALL {
                    @let name = format!("action.{action}");
                    label.check {
                        input type="checkbox" name=(name) value="yes"
                            checked[before(&name).is_some()];
                        (action.as_str().replace('_', " "))
                    }
                }
            }
        }
    }
}

fn proofs<'a>(before: &impl Fn(&str) -> Option<&'a str>) -> Markup {
    let ways = [
        (
            "vouch",
            "The application vouches for who is signed in there",
        ),
        (
            "code",
            "A code is shown where the link is made, and typed on the page",
        ),
        (
            "none",
            "None: for development, and back ends that are trusted",
        ),
    ];
    html! {
        fieldset {
            legend { "How its people may be proven" }
            @for (word, text) in ways {
                @let name = format!("proof.{word}");
                label.check {
                    input type="checkbox" name=(name) value="yes" checked[before(&name).is_some()];
                    (text)
                }
            }
        }
    }
}

/// A key that was just made.
pub(in crate::http::console) fn made(key: &AccessKey, text: &Secret<String>) -> Markup {
    html! {
        p.alert.warn role="status" {
            strong { "This is shown once" }
            "Put it where " (key.name) " reads it, then leave this page."
        }
        div.card { p { code.secret data-once="" { (text.expose()) } } }
        p { a.button href="/console/keys" { "I have it" } }
    }
}

/// Asks again before a key is removed.
pub(in crate::http::console) fn ask_remove(
    at: &AtConsole,
    key: &AccessKey,
    is_own: bool,
) -> Markup {
    let place = format!("/console/keys/{}/remove", key.id);
    html! {
        p {
            "Whoever uses " strong { (key.name) } " is refused from the next request on. The "
            "tokens it stored stay."
        }
        @if is_own {
            p.alert.warn { "It is the key you are signed in with: you are signed out." }
        }
        div.acts {
            (form(at, &place, html! { button.danger type="submit" { "Remove it" } }))
            a.button href="/console/keys" { "Keep it" }
        }
    }
}
