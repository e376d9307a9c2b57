//! The first screen: what needs attention, how it goes, and how the vault stands.
//!
//! It promises: what needs a hand stands first, with the way to mend it; the same part of the page
//! is what a browser with scripts fetches anew, so that both say the same. Who opens it is on
//! record, and who leaves it open is so now and then.
//! It never: shows what the caller's key may not see; where it may not see apps or tokens, what
//! those need is left out, and that is said.

use std::collections::BTreeMap;

use maud::Markup;

use super::views::health as views;
use super::{Visit, ok};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::http::answer::Answer;
use crate::http::api;
use crate::http::routes::console::Screen;
use crate::limits;
use crate::model::AppId;
use crate::model::token::Summary;
use crate::refresh::{Stretch, Trouble};
use crate::vault::{Backup, Overview, Status, Waiting};

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
    Ok(visit.app.look.part(part_of_it))
}

/// Reads it apart from who is served: a list of what waits may have to look through many.
async fn whole(visit: &Visit<'_>) -> Result<Health> {
    let (app, now) = (visit.app.clone(), visit.now());
    let looked = app.vault.look(&visit.at, "health", "")?;
    api::blocking(move || {
        Ok(Health {
            now,
            status: app.vault.status(),
            overview: app.vault.overview(looked.caller())?,
            day: app.refresher.day(looked.caller())?,
            backup: app.vault.latest_backup(looked.caller())?,
            troubles: app.refresher.troubles(&looked, limits::CONSOLE_TROUBLES)?,
            waiting: app.vault.waiting_seen(&looked, limits::CONSOLE_WAITING)?,
        })
    })
    .await
}
