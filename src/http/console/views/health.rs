//! What the first screen looks like.
//!
//! It promises: the part that changes stands in one element, which says where to ask for it.
//! It never: reads anything.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::tokens::title;
use super::{maybe_moment, moment, number};
use crate::http::console::chart::{Series, bars};
use crate::http::console::health::Health;
use crate::http::wire::tokens::in_words;
use crate::limits;
use crate::model::token::TokenState;
use crate::refresh::{Event, Stretch};
use crate::vault::{BackupState, Pause};

/// The whole screen.
pub(in crate::http::console) fn screen(health: &Health) -> Markup {
    html! {
        p.soft.small {
            span data-live-state="" { "Reload the page to see what is new." }
        }
        div data-live="/console/health/now" { (fresh(health)) }
    }
}

/// The part that changes.
pub(in crate::http::console) fn fresh(health: &Health) -> Markup {
    let needs = attention(health);
    html! {
        section aria-labelledby="attention" {
            h2 id="attention" { "Needs attention" }
            @if needs.is_empty() {
                p.alert.good { "Nothing. All is well." }
            } @else {
                ul.needs { @for need in &needs { li.card { (need) } } }
            }
        }
        (first_steps(health))
        section aria-labelledby="day" {
            h2 id="day" { "The last day" }
            div.charts {
                div.card { (refreshes(&health.day)) }
                div.card { (fetches(&health.day)) }
            }
            p.soft.small { "Counted since this server was started, for a day." }
        }
        section aria-labelledby="stands" {
            h2 id="stands" { "How it stands" }
            div.card { (facts(health)) }
        }
    }
}

/// What needs a hand, the most urgent first.
fn attention(health: &Health) -> Vec<Markup> {
    let mut needs = about_the_vault(health);
    for (app, trouble) in health.troubles.iter().flatten() {
        let what = match trouble.is_client_refused {
            true => "refuses its client credentials",
            false => "does not answer",
        };
        needs.push(html! {
            h3 {
                span.badge.bad { "app" } " "
                a href={ "/console/apps/" (app) } { (app) } " " (what)
            }
            p {
                code { (trouble.error.code) } " " (trouble.error.description) " · since "
                (moment(trouble.since, health.now)) ", " (number(trouble.failures))
                @if trouble.failures == 1 { " refresh failed" } @else { " refreshes failed" }
            }
            p.soft {
                @if trouble.is_client_refused {
                    "Its client id or secret is not right any more. "
                    a href={ "/console/apps/" (app) "/edit" } { "Change them" }
                    ", or look closer: " code { "strongroom app check " (app) } "."
                } @else {
                    "Tokens that are valid are handed out; the refreshes are tried again."
                }
            }
        });
    }
    if health.troubles.as_ref().map(BTreeMap::len) == Some(limits::CONSOLE_TROUBLES) {
        needs.push(html! { p { a href="/console/apps" { "There may be more apps in trouble." } } });
    }
    needs.extend(waiting(health));
    needs
}

fn about_the_vault(health: &Health) -> Vec<Markup> {
    let (status, overview) = (&health.status, &health.overview);
    let mut needs = Vec::new();
    let mut need = |what: &str, then: Markup| {
        needs.push(html! { h3 { span.badge.bad { "vault" } " " (what) } p.soft { (then) } });
    };
    if let Some(checking) = status.checking {
        let percent = checking.done * 100 / checking.total.max(1);
        need(
            "Its file is being checked",
            html! {
                (percent) " % done. What is found valid is handed out; nothing is written "
                "meanwhile."
            },
        );
    }
    if status.refresh_paused {
        let (why, flag) = match status.refresh_paused_because {
            Some(Pause::CopiedHost) => ("It was copied from another host", "--accept-host"),
            Some(Pause::Restored) => (
                "It was restored from a backup, or salvaged",
                "--accept-rollback",
            ),
            None => ("It was told to wait", "--accept-host"),
        };
        need(
            "Refreshing is paused",
            html! {
                (why) ". Two copies would spend the same refresh tokens. Where this is the only "
                "one, serve it once with " code { (flag) } ", and unlock it."
            },
        );
    }
    if overview.late > 0 {
        let more = if overview.late == limits::CONSOLE_LATE_COUNTED {
            "or more "
        } else {
            ""
        };
        need(
            "Refreshes are late",
            html! {
                (number(overview.late as u64)) " " (more)
                "tokens should have been refreshed by now."
            },
        );
    }
    if status.anchor.as_ref().is_some_and(|anchor| anchor.behind) {
        need(
            "Its anchor cannot be written",
            html! { "Look at the disk that it lies on." },
        );
    }
    if status.clock_off_s != 0 || status.clock_set_back_s.is_some() {
        need(
            "The machine's clock was set back",
            html! { "Set it right, and restart the server." },
        );
    }
    if let Some(backup) = &health.backup
        && backup.state == BackupState::Failed
    {
        need(
            "The last backup failed",
            html! { "The server's log says why." },
        );
    }
    needs
}

fn waiting(health: &Health) -> Option<Markup> {
    let (count, tokens) = health.waiting.as_ref()?;
    if count.tokens == 0 {
        return None;
    }
    let is_one = count.tokens == 1 && !count.more;
    let by_app = count.by_app.iter().take(limits::CONSOLE_WAITING);
    Some(html! {
        h3 {
            span.badge.warn { "tokens" } " " (number(count.tokens as u64))
            @if count.more { " or more" }
            @if is_one { " waits for its owner" } @else { " wait for their owners" }
            " to connect again"
        }
        p.soft {
            @for (at, (app, count)) in by_app.enumerate() {
                @if at > 0 { ", " } (app) " " (number(*count as u64))
            }
        }
        ul {
            @for token in tokens {
                li {
                    a href={ "/console/tokens/" (token.id) } { (title(token)) }
                    @if let TokenState::ReconnectRequired(reason) = token.state {
                        " · " (in_words(reason))
                    }
                }
            }
        }
        @if count.tokens > tokens.len() {
            p { a href="/console/tokens?state=reconnect_required" { "All of them" } }
        }
    })
}

/// What to do with a vault that is new.
fn first_steps(health: &Health) -> Markup {
    html! {
        @if health.overview.apps == 0 {
            section.card aria-labelledby="first" {
                h2 id="first" { "What comes next" }
                ol {
                    li {
                        a href="/console/new-app" { "Add an app" }
                        ": a service that your people connect."
                    }
                    li {
                        a href="/console/keys/new" { "Make a key" }
                        " for the program that will ask for tokens, with the role "
                        code { "server" } "."
                    }
                    li { "Connect yourself: every app has a button to try it." }
                }
            }
        }
    }
}

fn series(day: &[Stretch], class: &'static str, name: &'static str, events: &[Event]) -> Series {
    let count = |stretch: &Stretch| events.iter().map(|event| stretch.count(*event)).sum();
    Series {
        class,
        name,
        counts: day.iter().map(count).collect(),
    }
}

fn refreshes(day: &[Stretch]) -> Markup {
    let all = [
        series(day, "ok", "refreshed", &[Event::RefreshOk]),
        series(
            day,
            "transient",
            "failed for now",
            &[Event::RefreshTransient],
        ),
        series(
            day,
            "terminal",
            "refused for good",
            &[Event::RefreshTerminal],
        ),
    ];
    bars(
        "Refreshes",
        day.first()
            .map_or_else(Default::default, |first| first.from),
        &all,
    )
}

fn fetches(day: &[Stretch]) -> Markup {
    let nothing = [Event::FetchConnect, Event::FetchReconnect];
    let all = [
        series(day, "ok", "handed out", &[Event::FetchOk]),
        series(day, "transient", "somebody must connect", &nothing),
        series(day, "denied", "denied", &[Event::FetchDenied]),
        series(day, "terminal", "unavailable", &[Event::FetchUnavailable]),
    ];
    bars(
        "Fetches",
        day.first()
            .map_or_else(Default::default, |first| first.from),
        &all,
    )
}

fn facts(health: &Health) -> Markup {
    let (status, overview, now) = (&health.status, &health.overview, health.now);
    html! {
        dl.facts {
            dt { "Tokens" } dd { (number(overview.tokens)) }
            dt { "Apps" } dd { (number(overview.apps)) }
            dt { "Next refresh" } dd { (maybe_moment(overview.due, now, "none is due")) }
            dt { "Size of the file" } dd {
                @match overview.file_bytes {
                    Some(bytes) => (size(bytes)),
                    None => span.soft { "in memory: gone when the server ends" },
                }
            }
            dt { "Last backup" } dd {
                @match &health.backup {
                    Some(backup) => { (moment(backup.started_at, now)) ", commit "
                        (number(backup.epoch)) }
                    None => span.soft { "none since the server was started" },
                }
            }
            dt { "Commits" } dd { @if let Some(epoch) = status.epoch { (number(epoch)) } }
            dt { "Key term" } dd { @if let Some(term) = &status.key_term { (term.number) } }
            dt { "Keys in locked memory" } dd {
                @if status.keys_in_locked_memory == Some(true) { "yes" }
                @else { span.warn { "no: they may be swapped to the disk" } }
            }
            dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) }
        }
        @if health.troubles.is_none() || health.waiting.is_none() {
            p.soft { "This key does not see all: apps and tokens in trouble may be missing here." }
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}
