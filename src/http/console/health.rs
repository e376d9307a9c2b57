//! The first screen: what needs attention, how it goes, and how the vault stands.
//!
//! It promises: what needs a hand stands first, with the way to mend it; the same part of the page
//! is what a browser with scripts fetches anew, so that both say the same.
//! It never: shows what the caller's key may not see; where it may not see apps or tokens, what
//! those need is left out, and that is said.

use std::collections::BTreeMap;

use maud::Markup;

use super::views::health as views;
use super::{Visit, ok};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::api;
use crate::http::app::App;
use crate::http::look::part;
use crate::http::routes::console::Screen;
use crate::limits;
use crate::model::AppId;
use crate::model::access::Caller;
use crate::model::token::Summary;
use crate::refresh::{Stretch, Trouble};
use crate::vault::{Backup, Filter, Overview, Status, Waiting};

/// All that the screen tells.
pub(super) struct Health {
    pub(super) now: Timestamp,
    pub(super) status: Status,
    pub(super) overview: Overview,
    pub(super) day: Vec<Stretch>,
    pub(super) backup: Option<Backup>,
    /// Apps in trouble; `None` for who may not see apps.
    pub(super) troubles: Option<BTreeMap<AppId, Trouble>>,
    /// Tokens that wait for their owners: how many, and the first few; `None` for who may not
    /// list.
    pub(super) waiting: Option<(Waiting, Vec<Summary>)>,
}

pub(super) async fn show(visit: &Visit<'_>) -> Result<Answer> {
    let content = views::screen(&whole(visit).await?);
    Ok(ok(&visit.frame(Screen::Health), "Health", content))
}

pub(super) async fn now(visit: &Visit<'_>) -> Result<Answer> {
    let part_of_it: Markup = views::fresh(&whole(visit).await?);
    Ok(part(part_of_it))
}

/// Reads it apart from who is served: a list of what waits may have to look through many.
async fn whole(visit: &Visit<'_>) -> Result<Health> {
    let (app, caller, now) = (visit.app.clone(), visit.at.caller.clone(), visit.now());
    api::blocking(move || {
        Ok(Health {
            now,
            status: app.vault.status(),
            overview: app.vault.overview(&caller)?,
            day: app.refresher.day(&caller)?,
            backup: app.vault.latest_backup(&caller)?,
            troubles: unless_denied(app.refresher.troubles(&caller))?,
            waiting: unless_denied(waiting(&app, &caller))?,
        })
    })
    .await
}

fn waiting(app: &App, caller: &Caller) -> Result<(Waiting, Vec<Summary>)> {
    let waiting = Filter {
        active: Some(false),
        ..Filter::default()
    };
    let count = app.vault.waiting(caller, limits::WAITING_COUNT_MAX)?;
    let page = app
        .vault
        .list(caller, &waiting, limits::CONSOLE_WAITING, None)?;
    Ok((count, page.tokens))
}

fn unless_denied<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Error::Denied) => Ok(None),
        Err(error) => Err(error),
    }
}
