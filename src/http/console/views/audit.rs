//! What the screens of the audit trail look like.
//!
//! It promises: what was refused is seen at a glance.
//! It never: reads anything.

use maud::{Markup, html};

use super::{moment, number};
use crate::clock::Timestamp;
use crate::http::console::audit::{Entries, Search};
use crate::http::console::frame::form;
use crate::limits;
use crate::vault::{AtConsole, AuditEntry, Verified};

/// The whole screen.
pub(in crate::http::console) fn screen(
    at: &AtConsole,
    search: &Search,
    found: &Entries,
    now: Timestamp,
) -> Markup {
    let is_live = search.is_followed && search.cursor.is_none();
    let live = format!("/console/audit/now?{}", search.query(None));
    html! {
        (searching(search))
        div.acts {
            @if is_live {
                a.button href={ "/console/audit?" (search.query(None)) } { "Stop following" }
            } @else {
                a.button href={ "/console/audit?follow=yes&" (search.query(None)) } { "Follow" }
            }
            (form(at, "/console/audit/verify", html! {
                button type="submit" { "Verify the whole trail" }
            }))
            a.button href={ "/console/audit/export?" (search.query(None)) } {
                "Export as JSON lines"
            }
        }
        @if is_live {
            p.soft.small {
                span data-live-state="" { "Following takes scripts; reload the page instead." }
            }
        }
        div.gap data-live=[is_live.then_some(live)] { (entries(found, now)) }
        nav.pager aria-label="Pages" {
            @if search.cursor.is_some() {
                a.button href={ "/console/audit?" (search.query(None)) } { "Newest" }
            }
            @if let Some(cursor) = &found.page.cursor {
                a.button rel="next" href={ "/console/audit?" (search.query(Some(cursor))) } {
                    "Older"
                }
            }
        }
        p.soft.small {
            "An export has the newest " (number(limits::CONSOLE_EXPORT_MAX as u64))
            " that fit; " code { "strongroom audit --limit N" } " prints more. Looking here is on "
            "record too."
        }
    }
}

fn searching(search: &Search) -> Markup {
    let filter = &search.filter;
    let field = |name: &str, text: &str, value: &Option<String>| {
        html! {
            div.field {
                label for=(name) { (text) }
                input id=(name) name=(name) value=[value.as_deref()] autocomplete="off"
                    spellcheck="false";
            }
        }
    };
    html! {
        form.search method="get" action="/console/audit" role="search" {
            (field("caller", "Caller", &filter.caller))
            (field("action", "Action", &filter.action))
            (field("app", "App", &filter.app))
            (field("user", "User", &filter.user))
            label.check {
                input type="checkbox" name="refused" value="yes"
                    checked[filter.is_refused.is_some()];
                "Only refused"
            }
            button.main type="submit" { "Search" }
        }
    }
}

/// The entries.
pub(in crate::http::console) fn entries(found: &Entries, now: Timestamp) -> Markup {
    let page = &found.page;
    html! {
        @if page.entries.is_empty() {
            div.card { p {
                @if page.cursor.is_some() { "Nothing fits, as far as this was looked through." }
                @else { "Nothing fits." }
            } }
        } @else {
            div.table tabindex="0" role="region" aria-label="Entries of the audit trail" {
                table {
                    thead { tr {
                        th scope="col" { "When" } th scope="col" { "Caller" }
                        th scope="col" { "Action" } th scope="col" { "Outcome" }
                        th scope="col" { "On" } th scope="col" { "Reason" }
                        th scope="col" { "From" } th scope="col" { "No." }
                    } }
                    tbody { @for entry in &page.entries { (row(found, entry, now)) } }
                }
            }
        }
    }
}

fn row(found: &Entries, entry: &AuditEntry, now: Timestamp) -> Markup {
    html! {
        tr {
            td { (moment(entry.at, now)) }
            td {
                @if let Some(name) = found.names.get(&entry.caller) { (name) br; }
                code.soft { (entry.caller) }
            }
            td { (entry.action) }
            td.wrap {
                @if !entry.allowed { span.badge.bad { "refused" } " " }
                (entry.outcome)
            }
            td {
                @for part in [&entry.app, &entry.user, &entry.tenant].into_iter().flatten() {
                    (part) " "
                }
                @if let Some(token) = &entry.token {
                    a href={ "/console/tokens/" (token) } { code { (token) } }
                }
            }
            td.wrap { @if let Some(reason) = &entry.reason { (reason) } }
            td { (entry.from) }
            td { (entry.seq) }
        }
    }
}

/// How a verification went.
pub(in crate::http::console) fn verified(found: &Verified) -> Markup {
    html! {
        @if found.problems.is_empty() {
            p.alert.good {
                strong { "The trail is whole" }
                (number(found.entries)) " entries authenticate and follow each other."
            }
        } @else {
            div.alert.bad {
                strong { "The trail is not whole" }
                ul { @for problem in &found.problems { li { (problem) } } }
            }
            p { "Keep its files as they are, and find out who could write to them." }
        }
        p { a href="/console/audit" { "Back to the trail" } }
    }
}
