//! The screens of the audit trail: looked through, followed, verified, taken along.
//!
//! It promises: a search looks through a bounded part of the trail, and says where to go on.
//! It never: shows more than the trail holds, which is no secret.

use std::collections::BTreeMap;

use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::views::audit as views;
use super::{Visit, ok};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::api;
use crate::http::routes::console::Screen;
use crate::limits;
use crate::vault::{AuditFilter, AuditPage};

/// What the trail is narrowed to.
pub(super) struct Search {
    pub(super) filter: AuditFilter,
    pub(super) cursor: Option<String>,
    /// The page keeps itself fresh.
    pub(super) is_followed: bool,
}

impl Search {
    fn of(visit: &Visit<'_>) -> Result<Self> {
        let call = visit.call;
        call.takes(&[
            "caller", "action", "app", "user", "refused", "cursor", "follow",
        ])?;
        let typed = |name| call.optional(name).map(|text| text.trim().to_owned());
        Ok(Self {
            filter: AuditFilter {
                caller: typed("caller"),
                action: typed("action"),
                app: typed("app"),
                user: typed("user"),
                is_refused: call.optional("refused").map(|_| true),
            },
            cursor: typed("cursor"),
            is_followed: call.optional("follow").is_some(),
        })
    }

    /// The search as an address says it; with a cursor, where there is one.
    pub(super) fn query(&self, cursor: Option<&str>) -> String {
        let filter = &self.filter;
        let parts = [
            ("caller", filter.caller.as_deref()),
            ("action", filter.action.as_deref()),
            ("app", filter.app.as_deref()),
            ("user", filter.user.as_deref()),
            ("refused", filter.is_refused.map(|_| "yes")),
            ("cursor", cursor),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in parts {
            query.extend_pairs(value.map(|value| (name, value)));
        }
        query.finish()
    }
}

/// Entries as a screen shows them.
pub(super) struct Entries {
    pub(super) page: AuditPage,
    /// What the access keys among the callers are called.
    pub(super) names: BTreeMap<String, String>,
}

async fn entries(visit: &Visit<'_>, search: &Search) -> Result<Entries> {
    named(visit, found(visit, search, limits::CONSOLE_PAGE).await?)
}

fn named(visit: &Visit<'_>, page: AuditPage) -> Result<Entries> {
    let names = visit.app.vault.names_in(&visit.at.caller, &page)?;
    Ok(Entries { page, names })
}

async fn found(visit: &Visit<'_>, search: &Search, count: usize) -> Result<AuditPage> {
    let (vault, caller) = (visit.app.vault.clone(), visit.at.caller.clone());
    let (filter, cursor) = (search.filter.clone(), search.cursor.clone());
    api::blocking(move || vault.audit_search(&caller, &filter, cursor.as_deref(), count)).await
}

pub(super) async fn show(visit: &Visit<'_>) -> Result<Answer> {
    let search = Search::of(visit)?;
    let found = entries(visit, &search).await?;
    let content = views::screen(&visit.at, &search, &found, visit.now());
    Ok(ok(&visit.frame(Screen::Audit), "Audit", content))
}

/// The newest entries, for a page that follows the trail.
pub(super) async fn now(visit: &Visit<'_>) -> Result<Answer> {
    let search = Search::of(visit)?;
    if search.cursor.is_some() {
        return Err(Error::invalid(
            "a page that follows the trail has no older ones",
        ));
    }
    let (vault, filter) = (visit.app.vault.clone(), search.filter.clone());
    let looked = vault.look(&visit.at, "audit", &search.query(None))?;
    let newest = move || vault.audit_followed(&looked, &filter, limits::CONSOLE_PAGE);
    let found = named(visit, api::blocking(newest).await?)?;
    Ok(visit.app.look.part(views::entries(&found, visit.now())))
}

pub(super) async fn verify(visit: &Visit<'_>) -> Result<Answer> {
    let (vault, caller) = (visit.app.vault.clone(), visit.at.caller.clone());
    let found = api::blocking(move || vault.verify_audit(&caller)).await?;
    let content = views::verified(&found);
    Ok(ok(
        &visit.frame(Screen::VerifyAudit),
        "The trail was verified",
        content,
    ))
}

/// The newest entries that fit, as JSON lines, oldest first.
pub(super) async fn export(visit: &Visit<'_>) -> Result<Answer> {
    let search = Search::of(visit)?;
    let page = found(visit, &search, limits::CONSOLE_EXPORT_MAX).await?;
    let mut lines = String::new();
    for entry in page.entries.iter().rev() {
        let line = serde_json::to_string(entry);
        lines.push_str(&line.map_err(|_| Error::invalid("an entry is not text"))?);
        lines.push('\n');
    }
    let mut answer = http::Response::new(http_body_util::Full::new(lines.into()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    let name = HeaderValue::from_static("attachment; filename=\"strongroom-audit.jsonl\"");
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(answer)
}
