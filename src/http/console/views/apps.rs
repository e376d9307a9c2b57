//! What the screens of apps look like.
//!
//! It promises: the redirect URI to register stands where it can be copied whole.
//! It never: reads anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::{moment, number};
use crate::clock::Timestamp;
use crate::connect::{Finding, Level, Started, Updated};
use crate::http::console::frame::form;
use crate::model::AppId;
use crate::model::app::{App, AppKind, OAuth};
use crate::model::template::{Certainty, Template};
use crate::refresh::Trouble;
use crate::vault::{AtConsole, ShownApp};

/// The table.
pub(in crate::http::console) fn table(
    apps: &[ShownApp],
    troubles: &BTreeMap<AppId, Trouble>,
    is_outdated: &dyn Fn(&App) -> bool,
) -> Markup {
    html! {
        p { a.button.main href="/console/new-app" { "New app…" } }
        @if apps.is_empty() {
            div.card { p { "No app is set up yet. An app is a service that people connect." } }
        } @else {
            div.table tabindex="0" role="region" aria-label="Apps" {
                table {
                    thead { tr {
                        th scope="col" { "App" } th scope="col" { "Kind" }
                        th scope="col" { "Made of" } th scope="col" { "State" }
                        th scope="col" { "Scopes" } th scope="col" { "Id" }
                    } }
                    tbody {
                        @for app in apps {
                            tr {
                                th scope="row" {
                                    a href={ "/console/apps/" (app.id) } { (app.name) }
                                }
                                td { (kind(app)) }
                                td { @if let Some(of) = &app.template { (of.id) } }
                                td { (state(troubles.get(&app.id), is_outdated(app))) }
                                td.wrap {
                                    @if let Some(oauth) = app.oauth() {
                                        @for scope in oauth.scopes.iter() { code { (scope) } " " }
                                    }
                                }
                                td { code { (app.id) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn kind(app: &App) -> &'static str {
    match &app.kind {
        AppKind::ApiKey => "API key",
        AppKind::OAuth(oauth) if oauth.remote.is_some() => "MCP server",
        AppKind::OAuth(_) => "OAuth",
    }
}

fn state(trouble: Option<&Trouble>, is_outdated: bool) -> Markup {
    html! {
        @match trouble {
            Some(trouble) if trouble.is_client_refused => {
                span.badge.bad { "client refused" }
            }
            Some(_) => { span.badge.bad { "does not answer" } }
            None => { span.badge.good { "well" } }
        }
        @if is_outdated { " " span.badge { "catalogue has news" } }
    }
}

/// All that one app's screen tells.
pub(in crate::http::console) struct Whole<'a> {
    pub(in crate::http::console) app: &'a ShownApp,
    pub(in crate::http::console) redirect_uri: String,
    pub(in crate::http::console) is_outdated: bool,
    pub(in crate::http::console) template: Option<Arc<Template>>,
    pub(in crate::http::console) trouble: Option<Trouble>,
    pub(in crate::http::console) findings: Option<&'a [Finding]>,
}

/// One app.
pub(in crate::http::console) fn app(at: &AtConsole, page: &Whole<'_>, now: Timestamp) -> Markup {
    let app = page.app;
    html! {
        @if !app.description.is_empty() { p { (app.description) } }
        @if let Some(trouble) = &page.trouble {
            p.alert.bad {
                strong {
                    @if trouble.is_client_refused { "Its service refuses the client" }
                    @else { "Its service does not answer" }
                }
                code { (trouble.error.code) } " " (trouble.error.description)
                ", since " (moment(trouble.since, now))
            }
        }
        @if let Some(findings) = page.findings { (found(findings)) }
        (actions(at, page))
        @if let Some(oauth) = app.oauth() { (to_register(page, oauth)) }
        div.card { (facts(page, now)) }
        (connect_me(at, app))
    }
}

fn actions(at: &AtConsole, page: &Whole<'_>) -> Markup {
    let base = format!("/console/apps/{}", page.app.id);
    html! {
        div.acts {
            (form(at, &format!("{base}/check"), html! {
                button.main type="submit" { "Check it" }
            }))
            a.button href={ (base) "/edit" } { "Change…" }
            @if page.is_outdated {
                a.button href={ (base) "/update" } { "See what the catalogue says now…" }
            }
            a.button href={ "/console/tokens?app=" (page.app.id) } { "Its tokens" }
            a.button.danger href={ (base) "/delete" } { "Delete…" }
        }
    }
}

fn to_register(page: &Whole<'_>, oauth: &OAuth) -> Markup {
    html! {
        div.card {
            h2 { "Redirect URI to register" }
            p { code.secret { (page.redirect_uri) } }
            p.hint {
                @if oauth.remote.is_some() { "It is registered by itself at the MCP server." }
                @else if let Some(template) = &page.template {
                    "Register it, character by character, at "
                    @let docs = template.docs.as_str();
                    a href=(docs) rel="noreferrer noopener" { (docs) }
                }
                @else { "Register it, character by character, at the service." }
            }
        }
    }
}

fn facts(page: &Whole<'_>, now: Timestamp) -> Markup {
    let app = page.app;
    html! {
        dl.facts {
            dt { "Id" } dd { code { (app.id) } }
            dt { "Kind" } dd { (kind(app)) }
            @if let Some(of) = &app.template {
                dt { "Made of" } dd {
                    (of.id)
                    @if let Some(template) = &page.template { " " (certainty(template.certainty)) }
                }
            }
            @if let Some(oauth) = app.oauth() { (oauth_facts(page, oauth)) }
            @for (name, value) in &app.values { dt { (name.as_str()) } dd { (value) } }
            @for field in &app.fields { dt { "Field" } dd { (field.shown()) } }
            @if !app.return_urls.is_empty() {
                dt { "People come back to" }
                dd { @for url in &app.return_urls { div { code { (url.as_str()) } } } }
            }
            dt { "Made" } dd { (moment(app.created_at, now)) }
            dt { "Changed" } dd { (moment(app.updated_at, now)) }
        }
    }
}

fn oauth_facts(page: &Whole<'_>, oauth: &OAuth) -> Markup {
    let url = |name: &str, url: Option<&crate::model::url::WebUrl>| {
        html! { @if let Some(url) = url { dt { (name) } dd { code { (url.as_str()) } } } }
    };
    html! {
        dt { "Client id" } dd { code { (oauth.client_id) } }
        dt { "Client secret" } dd {
            @if page.app.has_client_secret { "kept, and never shown" } @else { "none" }
        }
        (url("Issuer", oauth.issuer.as_ref()))
        (url("Authorization endpoint", oauth.authorization_url()))
        (url("Token endpoint", oauth.token_url()))
        (url("Revocation endpoint", oauth.revocation_url()))
        dt { "Scopes" } dd {
            @for scope in oauth.scopes.iter() { code { (scope) } " " }
            @if oauth.scopes.is_empty() { span.soft { "none" } }
        }
        dt { "PKCE" } dd {
            @if oauth.pkce { "S256" } @else { span.warn { "off: its service refuses it" } }
        }
    }
}

/// How sure the catalogue is of an entry.
pub(in crate::http::console) fn certainty(certainty: Certainty) -> Markup {
    html! {
        @match certainty {
            Certainty::Documented => { span.badge.good { "documented" } }
            Certainty::General => { span.badge.warn { "general knowledge" } }
            Certainty::Own => { span.badge { "your own entry" } }
        }
    }
}

/// What is wrong stands above what is well.
fn worst_first(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    let of = |level: Level| {
        findings
            .iter()
            .filter(move |finding| finding.level == level)
    };
    let levels = [Level::Error, Level::Warning, Level::Ok];
    levels.into_iter().flat_map(of)
}

fn found(findings: &[Finding]) -> Markup {
    html! {
        section aria-labelledby="found" {
            h2 id="found" { "What the check found" }
            ul.rows.card {
                @for finding in worst_first(findings) {
                    li {
                        h3 {
                            @match finding.level {
                                Level::Ok => { span.badge.good { "well" } }
                                Level::Warning => { span.badge.warn { "perhaps" } }
                                Level::Error => { span.badge.bad { "wrong" } }
                            }
                            " " (finding.about)
                        }
                        p { (finding.found) }
                        @if !finding.hint.is_empty() { p.soft { (finding.hint) } }
                    }
                }
            }
        }
    }
}

fn connect_me(at: &AtConsole, app: &App) -> Markup {
    let place = format!("/console/apps/{}/connect", app.id);
    let content = html! {
        div.field {
            label for="user" { "User" }
            input id="user" name="user" autocomplete="off" spellcheck="false"
                aria-describedby="user-hint";
            p.hint id="user-hint" { "Whom the token will belong to: yourself, for a try." }
        }
        div.field {
            label for="tenant" { "Tenant" }
            input id="tenant" name="tenant" autocomplete="off" spellcheck="false"
                aria-describedby="tenant-hint";
            p.hint id="tenant-hint" { "Where the user has one." }
        }
        button type="submit" { "Start a connection" }
    };
    html! {
        section.card aria-labelledby="try" {
            h2 id="try" { "Try it" }
            (form(at, &place, content))
        }
    }
}

/// A link for whoever tries an app.
pub(in crate::http::console) fn connecting(
    app: &AppId,
    started: &Started,
    now: Timestamp,
) -> Markup {
    html! {
        p { "Open the link in this browser, as the person you named." }
        div.card {
            dl.facts {
                dt { "Link" } dd {
                    a href=(started.url.expose()) target="_blank" rel="noopener noreferrer" {
                        "Open the connect page"
                    }
                }
                @if let Some(code) = &started.code {
                    dt { "Code" } dd { code.secret data-once="" { (code.expose()) } }
                }
                dt { "Ends" } dd { (moment(started.expires_at, now)) }
            }
        }
        p { a href={ "/console/apps/" (app) } { "Back to the app" } }
    }
}

/// What the catalogue says differently, to choose from.
pub(in crate::http::console) fn ask_update(at: &AtConsole, updated: &Updated) -> Markup {
    let place = format!("/console/apps/{}/update", updated.app.id);
    let content = html! {
        @for change in &updated.changes {
            label.check {
                input type="checkbox" name={ "take." (change.field) } value="yes" checked;
                span {
                    strong { (change.field) }
                    br; span.soft { "yours " } code { (change.yours) }
                    br; span.soft { "catalogue " } code { (change.catalogue) }
                }
            }
        }
        div.field {
            label for="client_secret" { "Client secret, again" }
            input id="client_secret" name="client_secret" type="password" autocomplete="off"
                aria-describedby="secret-hint";
            p.hint id="secret-hint" { "Only where the token endpoint moves to another host." }
        }
        button.main type="submit" { "Take what is ticked" }
    };
    html! {
        @if updated.changes.is_empty() {
            p { "Nothing that the app says is different by now." }
        }
        div.card { (form(at, &place, content)) }
        p { a href={ "/console/apps/" (updated.app.id) } { "Leave it as it is" } }
    }
}

/// Asks again before an app is deleted.
pub(in crate::http::console) fn ask_remove(
    at: &AtConsole,
    app: &App,
    count: Option<(usize, bool)>,
) -> Markup {
    let place = format!("/console/apps/{}/delete", app.id);
    html! {
        div.alert.warn {
            strong {
                @match count {
                    None => "Every token of it is deleted as well",
                    Some((0, _)) => "No token of it is stored",
                    Some((count, has_more)) => {
                        (number(count as u64))
                        @if has_more { " or more" }
                        @if count == 1 { " token is deleted as well" }
                        @else { " tokens are deleted as well" }
                    }
                }
            }
            "They are revoked at the service where it has a way to. The people they belong to have "
            "to connect again, should the app come back."
        }
        div.acts {
            (form(at, &place, html! {
                button.danger type="submit" { "Delete " (app.name) }
            }))
            a.button href={ "/console/apps/" (app.id) } { "Keep it" }
        }
    }
}
