//! Connect links, the person's side: found by what a browser presents, and taken step by step. The
//! trip to a provider is in `trip`.
//!
//! It promises: nothing is said of a link to who presents neither its ticket nor its cookie; a step
//! is decided on the record as the writer's transaction sees it, so that of two that come at once
//! one wins.
//! It never: takes a step for a browser that the link is not bound to, but the first.

use std::collections::BTreeSet;

use super::{KeptLink, hash, put, read, same, split_ticket};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target, Who};
use crate::model::link::{Link, LinkApp, LinkAppState, LinkEnd, LinkStatus, Proof};
use crate::model::url::WebUrl;
use crate::model::{AppId, LinkId};
use crate::seal::Keyring;
use crate::secret::{Secret, base64url, from_base64url, random};
use crate::vault::Vault;
use crate::vault::receipt::Receipt;

/// What a step brings, and what is put on record of it.
type Told<T> = Result<(T, String)>;

/// Why a presented link or state leads nowhere: told to the page, which words it for a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoWay {
    /// There is no such link, or the presented secret is not its.
    Unknown,
    /// It was opened in another browser.
    OtherBrowser,
    /// It is over.
    Over(LinkStatus),
}

impl Vault {
    /// Finds a link by the ticket of its URL and the browser's cookie.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`]; what a person is told is inside.
    pub fn visit(
        &self,
        ticket: &Secret<String>,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Result<std::result::Result<(Caller, Link), NoWay>> {
        let Some((id, secret)) = split_ticket(ticket) else {
            return Ok(Err(NoWay::Unknown));
        };
        self.present(id, from, |keys, link| {
            let wrong_ticket = !same(&link.ticket_hash, &hash(keys, b"ticket", id, &secret));
            refuse_if(wrong_ticket, NoWay::Unknown)?;
            refuse_if(!fits_browser(keys, link, cookie), NoWay::OtherBrowser)
        })
    }

    /// Finds a link by its id, for the browser it is bound to and for no other.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`]; what a person is told is inside.
    pub fn visit_bound(
        &self,
        id: LinkId,
        cookie: Option<&Secret<String>>,
        from: &str,
    ) -> Result<std::result::Result<(Caller, Link), NoWay>> {
        self.present(id, from, |keys, link| {
            // Who has no cookie at all is told no more than that there is no such link.
            refuse_if(
                cookie.is_none() || link.browser_hash.is_none(),
                NoWay::Unknown,
            )?;
            refuse_if(!fits_browser(keys, link, cookie), NoWay::OtherBrowser)
        })
    }

    /// Where the asking application vouches for people.
    ///
    /// # Errors
    /// [`Error::Settings`] where its key is gone or has no such address any more.
    pub fn verify_url(&self, caller: &Caller, link: &Link) -> Result<WebUrl> {
        let target = Target {
            owner: Some(&link.owner),
            ..Target::default()
        };
        let permit = self.gate().permit(caller, Action::Connect, &target)?;
        let keys = permit.access_keys().all();
        let key = keys.iter().find(|key| key.id == link.key_id);
        key.and_then(|key| key.verify_url.clone()).ok_or_else(|| {
            Error::Settings("the application that asked cannot vouch for anybody any more".into())
        })
    }

    /// Looks a link up for somebody who has no access key, and checks what was presented.
    pub(super) fn present(
        &self,
        id: LinkId,
        from: &str,
        check: impl FnOnce(&Keyring, &Link) -> std::result::Result<(), NoWay>,
    ) -> Result<std::result::Result<(Caller, Link), NoWay>> {
        // What is presented makes the caller; until then the vault itself looks the link up.
        let permit = self
            .gate()
            .permit(&Caller::local(), Action::Connect, &Target::default())?;
        let Some(kept) = read(permit.keys(), &self.store().read()?, id)? else {
            return Ok(Err(NoWay::Unknown));
        };
        // What a key began ends with the key.
        let maker = &kept.link.key_id;
        let is_orphaned =
            !maker.is_empty() && self.gate().usable_key(maker, self.clock().now())?.is_none();
        let withdrawn = NoWay::Over(LinkStatus::Dead(LinkEnd::Withdrawn));
        let checked =
            check(permit.keys(), &kept.link).and_then(|()| refuse_if(is_orphaned, withdrawn));
        if let Err(no_way) = checked {
            let why = format!("{no_way:?}");
            self.gate().record_visitor(id, from, &why)?;
            return Ok(Err(no_way));
        }
        let caller = visitor(&kept.link, from);
        Ok(Ok((caller, kept.link)))
    }

    /// Binds a link to the browser that opened it first. The cookie to set comes back; `None` where
    /// it is bound already.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn bind_browser(
        &self,
        caller: &Caller,
        link: &Link,
    ) -> Result<Receipt<Option<Secret<String>>>> {
        let secret: [u8; 32] = random();
        self.step(caller, link, move |keys, kept, _| {
            if kept.link.browser_hash.is_some() {
                return Ok((None, "opened in a browser already".into()));
            }
            kept.link.browser_hash = Some(hash(keys, b"browser", kept.link.id, &secret));
            kept.link.proven = kept.link.proof == Proof::None;
            let cookie = Secret::new(base64url(&secret));
            Ok((Some(cookie), "opened in a browser".into()))
        })
    }

    /// Checks a typed code. Too many wrong ones kill the link.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn try_code(
        &self,
        caller: &Caller,
        link: &Link,
        typed: Secret<String>,
    ) -> Result<Receipt<Link>> {
        self.step(caller, link, move |keys, kept, now| {
            let link = &mut kept.link;
            if link.proof != Proof::Code || link.proven || !link.is_open(now) {
                return Ok((link.clone(), "no code was asked for".into()));
            }
            let digits: String = typed
                .expose()
                .chars()
                .filter(char::is_ascii_digit)
                .collect();
            let typed_hash = hash(keys, b"code", link.id, digits.as_bytes());
            let outcome = match &link.code_hash {
                Some(code_hash) if same(code_hash, &typed_hash) => {
                    link.proven = true;
                    "the right code was typed".to_owned()
                }
                _ => {
                    link.code_tries += 1;
                    let tries = link.code_tries;
                    if tries >= limits::CODE_TRIES_MAX {
                        link.dead = Some(LinkEnd::TooManyCodes);
                        format!("wrong code {tries}, so the link is dead")
                    } else {
                        format!("wrong code {tries}")
                    }
                }
            };
            Ok((link.clone(), outcome))
        })
    }

    /// Makes the single-use ticket that goes to the asking application.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn begin_vouch(&self, caller: &Caller, link: &Link) -> Result<Receipt<Secret<String>>> {
        let secret: [u8; 32] = random();
        self.step(caller, link, move |keys, kept, _| {
            kept.link.vouch_hash = Some(hash(keys, b"vouch", kept.link.id, &secret));
            let ticket = [kept.link.id.as_bytes().as_slice(), &secret].concat();
            let outcome = "sent to the asking application to be vouched for";
            Ok((Secret::new(base64url(&ticket)), outcome.into()))
        })
    }

    /// Takes a browser back from the asking application, which vouched for the person in it. Only
    /// here is the person proven: by the word, and by being in the browser the link is bound to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn come_vouched(
        &self,
        caller: &Caller,
        link: &Link,
        back: &Secret<String>,
    ) -> Result<Receipt<bool>> {
        let presented = from_base64url(back.expose()).unwrap_or_default();
        self.step(caller, link, move |keys, kept, now| {
            let presented = hash(keys, b"vouched", kept.link.id, &presented);
            let expected = kept.link.vouched_hash.take();
            let fits = expected.is_some_and(|expected| same(&expected, &presented));
            kept.link.proven |= fits && kept.link.is_open(now);
            let outcome = match fits {
                true => "came back vouched for",
                false => "came back without the asking application's word",
            };
            Ok((fits, outcome.into()))
        })
    }

    /// The link that a ticket or state belongs to, so that its cookie can be looked for. Proves
    /// nothing.
    pub fn link_of(ticket: &Secret<String>) -> Option<LinkId> {
        split_ticket(ticket).map(|(id, _)| id)
    }

    /// Writes down how one app of a link came out.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn settle(
        &self,
        caller: &Caller,
        link: &Link,
        app: &AppId,
        state: LinkAppState,
    ) -> Result<Receipt<Link>> {
        let app = app.clone();
        self.step(caller, link, move |_, kept, _| {
            let entry = kept.link.app_mut(&app).ok_or(Error::NotFound("app"))?;
            let outcome = match &state {
                LinkAppState::Waiting => format!("`{app}` waits"),
                LinkAppState::Connected { .. } => format!("`{app}` connected"),
                LinkAppState::Declined => format!("`{app}` declined"),
                LinkAppState::Failed { code, .. } => format!("`{app}` failed: {code}"),
            };
            entry.state = state;
            Ok((kept.link.clone(), outcome))
        })
    }

    /// Takes a person's no to all that is left of a link. What is connected stays so. The no is the
    /// owner's, app by app, only where the person is proven to be the owner; before, the link ends
    /// and nobody has declined anything.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn cancel_link(&self, caller: &Caller, link: &Link) -> Result<Receipt<Link>> {
        self.step(caller, link, move |_, kept, now| {
            let link = &mut kept.link;
            if !link.is_open(now) {
                return Ok((link.clone(), "nothing was left to cancel".into()));
            }
            link.dead = Some(LinkEnd::Cancelled);
            link.trip = None;
            kept.verifier = None;
            let is_theirs = link.proven;
            let is_left = |app: &&mut LinkApp| {
                is_theirs && !matches!(app.state, LinkAppState::Connected { .. })
            };
            for app in link.apps.iter_mut().filter(is_left) {
                app.state = LinkAppState::Declined;
            }
            Ok((link.clone(), "cancelled".into()))
        })
    }

    /// True where a link was ended by force while its person was away: withdrawn, replaced, or the
    /// wrong person's. One that merely lapsed meanwhile is not.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::NotFound`].
    pub fn is_dead(&self, caller: &Caller, link: &Link) -> Result<bool> {
        let target = Target {
            owner: Some(&link.owner),
            ..Target::default()
        };
        let permit = self.gate().permit(caller, Action::Connect, &target)?;
        let kept = read(permit.keys(), &self.store().read()?, link.id)?;
        Ok(kept.ok_or(Error::NotFound("link"))?.link.dead.is_some())
    }

    /// One step of a link by the person on it. What came of it, in words, is put on record.
    pub(super) fn step<T: Send + 'static>(
        &self,
        caller: &Caller,
        link: &Link,
        change: impl FnOnce(&Keyring, &mut KeptLink, Timestamp) -> Told<T> + Send + 'static,
    ) -> Result<Receipt<T>> {
        let target = Target {
            owner: Some(&link.owner),
            ..Target::default()
        };
        let permit = self.gate().permit(caller, Action::Connect, &target)?;
        let (id, now) = (link.id, self.clock().now());
        permit.write_told(move |tx| {
            let mut kept = read(tx.keys(), tx.view(), id)?.ok_or(Error::NotFound("link"))?;
            let told = change(tx.keys(), &mut kept, now)?;
            put(tx, &kept)?;
            Ok(told)
        })
    }
}

/// The person on a link, as a caller.
fn visitor(link: &Link, from: &str) -> Caller {
    let apps: BTreeSet<AppId> = link.apps.iter().map(|app| app.app.clone()).collect();
    let who = Who::Link {
        id: link.id,
        owner: link.owner.clone(),
        apps,
    };
    Caller {
        who,
        from: from.into(),
        reason: link.reason.clone(),
    }
}

pub(super) fn refuse_if(wrong: bool, why: NoWay) -> std::result::Result<(), NoWay> {
    if wrong { Err(why) } else { Ok(()) }
}

/// A link that no browser has opened fits any; one that a browser has opened fits that one.
pub(super) fn fits_browser(keys: &Keyring, link: &Link, cookie: Option<&Secret<String>>) -> bool {
    let Some(bound) = &link.browser_hash else {
        return true;
    };
    cookie
        .and_then(|cookie| from_base64url(cookie.expose()))
        .is_some_and(|secret| same(bound, &hash(keys, b"browser", link.id, &secret)))
}
