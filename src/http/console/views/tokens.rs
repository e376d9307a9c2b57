//! What the screens of tokens look like.
//!
//! It promises: a credential stands on one page alone, which says that it goes.
//! It never: reads anything.

use maud::{Markup, html};

use super::{maybe_moment, moment, state};
use crate::clock::Timestamp;
use crate::connect::Started;
use crate::http::console::frame::{form, form_for_secret};
use crate::http::console::tokens::Search;
use crate::http::wire::tokens::in_words;
use crate::limits;
use crate::model::token::{Cold, HistoryEntry, Record, Summary, TokenKind, TokenState};
use crate::model::{Account, Scopes, TenantId, UserId};
use crate::secret::Secret;
use crate::vault::{AtConsole, TokenPage};

/// A token's heading.
pub(in crate::http::console) fn title(token: &Summary) -> String {
    format!("{} of {}", token.app, owner(token))
}

fn owner(token: &Summary) -> String {
    match (&token.user, &token.tenant) {
        (Some(user), Some(tenant)) => format!("{user} in {tenant}"),
        (Some(user), None) => user.to_string(),
        (None, Some(tenant)) => format!("{tenant} itself"),
        (None, None) => "nobody".to_owned(),
    }
}

/// The table, with its search.
pub(in crate::http::console) fn table(
    search: &Search<'_>,
    page: &TokenPage,
    is_further: bool,
    now: Timestamp,
) -> Markup {
    html! {
        (searching(search))
        @if page.tokens.is_empty() {
            (nothing(search, page, is_further))
        } @else {
            div.table tabindex="0" role="region" aria-label="Tokens" {
                table {
                    thead { tr {
                        th scope="col" { "App" } th scope="col" { "User" }
                        th scope="col" { "Tenant" } th scope="col" { "Account" }
                        th scope="col" { "State" } th scope="col" { "Access token ends" }
                        th scope="col" { "Refresh token" } th scope="col" { "Last refreshed" }
                        th scope="col" { "Last error" } th scope="col" { "Subject" }
                        th scope="col" { "Scopes" } th scope="col" { "Type" }
                        th scope="col" { "Id" }
                    } }
                    tbody { @for token in &page.tokens { (row(token, now)) } }
                }
            }
        }
        (pager(search, page, is_further))
    }
}

/// The search, where it could not be made.
pub(in crate::http::console) fn not_searched(search: &Search<'_>, why: &str) -> Markup {
    html! {
        (searching(search))
        div.alert.bad role="alert" { strong { "That cannot be searched for" } (why) "." }
    }
}

fn searching(search: &Search<'_>) -> Markup {
    let field = |name: &str, text: &str, value: Option<&str>| {
        html! {
            div.field {
                label for=(name) { (text) }
                input id=(name) name=(name) value=[value] autocomplete="off" spellcheck="false";
            }
        }
    };
    html! {
        form.search method="get" action="/console/tokens" role="search" {
            (field("app", "App", search.app))
            (field("user", "User", search.user))
            (field("tenant", "Tenant", search.tenant))
            div.field {
                label for="state" { "State" }
                select id="state" name="state" {
                    @for (value, text) in [
                        ("", "any"), ("active", "active"),
                        ("reconnect_required", "to be reconnected"),
                    ] {
                        option value=(value) selected[search.state.unwrap_or("") == value] {
                            (text)
                        }
                    }
                }
            }
            button.main type="submit" { "Search" }
        }
    }
}

fn row(token: &Summary, now: Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" { a href={ "/console/tokens/" (token.id) } { (token.app) } }
            (cut(token.user.as_ref().map(UserId::as_str)))
            (cut(token.tenant.as_ref().map(TenantId::as_str)))
            (cut(token.label.as_deref().or(token.account.as_ref().map(Account::as_str))))
            td { (state(token, now)) }
            td { (maybe_moment(token.expires_at, now, "never")) }
            td { @if token.has_refresh_token { "yes" } @else { "no" } }
            td { (maybe_moment(token.last_refreshed_at, now, "never")) }
            td {
                @if let Some(error) = &token.last_refresh_error {
                    code { (error.code) } " " (moment(error.at, now))
                }
            }
            (cut(token.subject.as_deref()))
            (cut(Some(&token.scopes.iter().collect::<Vec<_>>().join(" "))))
            td { (token.token_type) }
            td { code { (token.id) } }
        }
    }
}

/// A cell of a text that may be long.
fn cut(text: Option<&str>) -> Markup {
    html! { td.cut title=[text] { @if let Some(text) = text { (text) } } }
}

fn scopes(scopes: &Scopes) -> Markup {
    html! { @for scope in scopes.iter() { code { (scope) } " " } }
}

fn is_narrowed(search: &Search<'_>) -> bool {
    let parts = [search.app, search.user, search.tenant, search.state];
    parts.iter().any(Option::is_some)
}

fn nothing(search: &Search<'_>, page: &TokenPage, is_further: bool) -> Markup {
    html! {
        div.card {
            @if page.cursor.is_some() {
                p { "Nothing here fits, as far as this was looked through. Go on to look further." }
            } @else if is_further {
                p { "That was all: nothing comes after the page before." }
            } @else if is_narrowed(search) {
                p {
                    strong { "Nothing fits." }
                    " App, user and tenant are compared whole, as they were stored."
                }
                p { a.button href="/console/tokens" { "Clear the search" } }
            } @else {
                p { "No token is stored yet." }
                p.soft {
                    "A token comes in when a person connects an app ("
                    code { "strongroom connect APP --user USER" }
                    "), or is stored by a program (" code { "PUT /v1/tokens" } ")."
                }
            }
        }
    }
}

fn pager(search: &Search<'_>, page: &TokenPage, is_further: bool) -> Markup {
    let place = |cursor: Option<&str>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let parts = [
            ("app", search.app),
            ("user", search.user),
            ("tenant", search.tenant),
            ("state", search.state),
            ("cursor", cursor),
        ];
        for (name, value) in parts {
            query.extend_pairs(value.map(|value| (name, value)));
        }
        format!("/console/tokens?{}", query.finish())
    };
    html! {
        nav.pager aria-label="Pages" {
            @if is_further { a.button href=(place(None)) { "First page" } }
            @if let Some(cursor) = &page.cursor {
                a.button href=(place(Some(cursor.as_str()))) rel="next" { "Next page" }
            }
        }
    }
}

/// One token.
pub(in crate::http::console) fn token(
    at: &AtConsole,
    token: &Summary,
    history: &[HistoryEntry],
    now: Timestamp,
) -> Markup {
    let missing = token.missing_scopes();
    html! {
        @if let TokenState::ReconnectRequired(reason) = token.state {
            p.alert.bad { strong { "Its owner has to connect again" } (in_words(reason)) "." }
        }
        @if !missing.is_empty() {
            p.alert.warn { strong { "Not everything was granted" } "Missing: " (scopes(&missing)) }
        }
        (actions(at, token))
        div.card { (facts(token, now)) }
        h2 { "History" }
        div.card {
            @if history.is_empty() { p { "Nothing is on record with the token itself." } }
            ol.history {
                @for entry in history.iter().rev() {
                    li { (moment(entry.at, now)) " · " (entry.what)
                        span.soft { " · by " (entry.by) } }
                }
            }
        }
        p.small {
            a href=(in_the_trail(token)) { "Who fetched it, and all else, in the audit trail" }
        }
    }
}

/// The entries of its owner and app: the trail is not searched by token.
fn in_the_trail(token: &Summary) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("app", token.app.as_str());
    if let Some(user) = &token.user {
        query.append_pair("user", user.as_str());
    }
    format!("/console/audit?{}", query.finish())
}

fn actions(at: &AtConsole, token: &Summary) -> Markup {
    let base = format!("/console/tokens/{}", token.id);
    // Of a grant that is gone no refresh brings anything back.
    let is_dead = token.state != TokenState::Active;
    html! {
        div.acts {
            @if token.has_refresh_token && !is_dead {
                (form(at, &format!("{base}/refresh"), html! {
                    button.main type="submit" { "Refresh now" }
                }))
            }
            (form(at, &format!("{base}/reconnect"), html! {
                button.main[is_dead] type="submit" { "Make a link to reconnect" }
            }))
            a.button href={ (base) "/reveal" } { "Show in plain text…" }
            a.button.danger href={ (base) "/delete" } { "Delete…" }
        }
    }
}

fn facts(token: &Summary, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            dt { "State" } dd { (state(token, now)) }
            dt { "App" } dd { a href={ "/console/apps/" (token.app) } { (token.app) } }
            dt { "User" } dd { (or_none(&token.user)) }
            dt { "Tenant" } dd { (or_none(&token.tenant)) }
            dt { "Account" } dd { (or_none(&token.account)) }
            dt { "At the service" } dd {
                (or_none(&token.label))
                @if let Some(before) = &token.switched_from {
                    " " span.badge.warn { "before: " (before) }
                }
            }
            dt { "Subject" } dd { (or_none(&token.subject)) }
            dt { "Scopes" } dd { (scopes(&token.scopes)) }
            dt { "Kind" } dd {
                @match token.kind { TokenKind::OAuth => "OAuth", TokenKind::ApiKey => "API key" }
            }
            dt { "Token type" } dd { (token.token_type) }
            dt { "Access token ends" } dd { (maybe_moment(token.expires_at, now, "never")) }
            dt { "Refresh token" } dd { @if token.has_refresh_token { "yes" } @else { "no" } }
            @if let Some(end) = token.refresh_token_ends_at {
                dt { "Refresh token ends" } dd { (moment(end, now)) }
            }
            dt { "Last refreshed" } dd { (maybe_moment(token.last_refreshed_at, now, "never")) }
            dt { "Last refresh error" } dd {
                @match &token.last_refresh_error {
                    Some(error) => {
                        code { (error.code) } " " (error.description) " " (moment(error.at, now))
                    }
                    None => span.soft { "none" },
                }
            }
            @for (name, value) in &token.metadata { dt { (name.as_str()) } dd { (value) } }
            dt { "Stored" } dd { (moment(token.created_at, now)) }
            dt { "Granted by" } dd { code { (token.granted_by) } }
            dt { "Id" } dd { code { (token.id) } }
        }
    }
}

fn or_none(text: &Option<impl std::fmt::Display>) -> Markup {
    match text {
        Some(text) => html! { (text.to_string()) },
        None => html! { span.soft { "none" } },
    }
}

/// Asks again before a token is shown.
pub(in crate::http::console) fn ask_reveal(
    at: &AtConsole,
    token: &Summary,
    was_wrong: bool,
) -> Markup {
    let place = format!("/console/tokens/{}/reveal", token.id);
    let content = html! {
        div.field {
            label for="reason" { "Reason" }
            input id="reason" name="reason" autocomplete="off" aria-describedby="reason-hint"
                maxlength=(limits::TEXT_BYTES_MAX);
            p.hint id="reason-hint" { "It goes to the audit trail." }
        }
        div.field {
            label for="key" { "Your access key, again" }
            input id="key" name="key" type="password" required autocomplete="off"
                aria-invalid=[was_wrong.then_some("true")] aria-describedby="key-hint";
            p.hint id="key-hint" {
                @if was_wrong { strong.bad { "That is not the key you are signed in with. " } }
                "So that nobody at an unattended screen sees it."
            }
        }
        button.main type="submit" { "Show it" }
    };
    html! {
        p {
            "The token of " strong { (title(token)) } " will stand on the page for "
            (limits::CONSOLE_REVEAL.as_secs()) " seconds. That you saw it goes on record."
        }
        div.card { (form_for_secret(at, &place, content)) }
        p { a href={ "/console/tokens/" (token.id) } { "Back" } }
    }
}

/// A token in plain text.
pub(in crate::http::console) fn revealed(record: &Record, cold: &Cold) -> Markup {
    let shown = |name: &str, secret: Option<&Secret<String>>| {
        html! {
            @if let Some(secret) = secret {
                dt { (name) } dd { code.secret data-once="" { (secret.expose()) } }
            }
        }
    };
    html! {
        p.alert.warn role="status" {
            "This page leaves by itself after " (limits::CONSOLE_REVEAL.as_secs()) " seconds."
        }
        div.card {
            dl.facts {
                (shown(
                    if record.kind == TokenKind::ApiKey { "API key" } else { "Access token" },
                    record.value.as_ref(),
                ))
                (shown("Refresh token", cold.refresh_token.as_ref()))
                (shown("Id token", cold.id_token.as_ref()))
                @for (name, secret) in &record.beside.secrets {
                    (shown(name.as_str(), Some(secret)))
                }
            }
        }
        p { a.button href={ "/console/tokens/" (record.id) } { "Hide it now" } }
    }
}

/// Asks again before a token is deleted.
pub(in crate::http::console) fn ask_delete(at: &AtConsole, token: &Summary) -> Markup {
    let place = format!("/console/tokens/{}/delete", token.id);
    html! {
        p {
            "The token of " strong { (title(token)) } " is deleted here, and revoked at its "
            "service where that has a way to. Its owner has to connect again."
        }
        div.acts {
            (form(at, &place, html! { button.danger type="submit" { "Delete it" } }))
            a.button href={ "/console/tokens/" (token.id) } { "Keep it" }
        }
    }
}

/// A connect link for the token's owner.
pub(in crate::http::console) fn link(token: &Summary, started: &Started, now: Timestamp) -> Markup {
    html! {
        p { "Send this link to " strong { (owner(token)) } ", and to nobody else: it is for one \
             person, and works once." }
        div.card {
            dl.facts {
                dt { "Link" } dd { code.secret data-once="" { (started.url.expose()) } }
                @if let Some(code) = &started.code {
                    dt { "Code" } dd {
                        code.secret data-once="" { (code.expose()) }
                        p.hint { "By another way than the link: the page asks for it." }
                    }
                }
                dt { "Ends" } dd { (moment(started.expires_at, now)) }
            }
        }
        p { a href={ "/console/tokens/" (token.id) } { "Back to the token" } }
    }
}
