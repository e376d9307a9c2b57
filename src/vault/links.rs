//! Connect links: kept, watched and taken back by whoever asked. They are made in `making`; the
//! person's side is in `person` and `trip`.
//!
//! It promises: whatever can be presented (ticket, browser cookie, code, vouching ticket, `state`)
//! is kept as a keyed hash; `state` and the vouching ticket are single use, taken in a durable step
//! before anything is done on their strength (RFC 9700 4.7).
//! It never: leaves a person's browser bound to two links by one cookie, or lets a second browser
//! take over a link.

mod before;
mod making;
mod person;
mod trip;
mod vouch;

pub use self::before::Before;
pub use self::making::{MadeLink, NewLink};
pub use self::person::NoWay;
pub use self::trip::{Landing, Returned, Way};
pub use self::vouch::Vouched;

use super::Vault;
use super::index::{Indexer, PART};
use super::receipt::Receipt;
use super::records::{SecretRow, decode, encode};
use super::writer::Tx;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target, Who};
use crate::model::link::{Link, LinkApp, LinkEnd};
use crate::model::{AppId, LinkId, Owner};
use crate::seal::{Keyring, Purpose, Sealed};
use crate::secret::{Secret, from_base64url};
use crate::store::{Index, Records, Scan, View};

const LINK: u8 = 0;
const VERIFIER: u8 = 1;

/// A link kept with its verifier.
struct KeptLink {
    link: Link,
    verifier: Option<Secret<String>>,
}

impl Vault {
    /// The link as whoever made it sees it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn link(&self, caller: &Caller, id: LinkId) -> Result<Link> {
        self.link_if(caller, id, |link| Ok(is_asker(caller, link)))
    }

    /// A link that is this caller's by `is_theirs`; any other is not there.
    fn link_if(
        &self,
        caller: &Caller,
        id: LinkId,
        is_theirs: impl FnOnce(&Link) -> Result<bool>,
    ) -> Result<Link> {
        let permit = self
            .gate()
            .permit(caller, Action::Connect, &Target::default())?;
        let kept = read(permit.keys(), &self.store().read()?, id)?;
        let link = kept.ok_or(Error::NotFound("link"))?.link;
        match is_theirs(&link)? {
            true => Ok(link),
            false => Err(Error::NotFound("link")),
        }
    }

    /// The newest link of an owner and app, where one is remembered.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn newest_link(&self, caller: &Caller, app: &AppId, owner: &Owner) -> Result<Option<Link>> {
        let permit = self
            .gate()
            .permit(caller, Action::Fetch, &Target::of(app, owner))?;
        permit.may_say_no()?;
        let view = self.store().read()?;
        let place = Indexer(permit.keys()).link_owner(app, owner);
        let Some(id) = view.entry(Index::LinkOwners, &place)? else {
            return Ok(None);
        };
        let id = <[u8; PART]>::try_from(id.as_slice())
            .map_err(|_| Error::Damaged("an entry of the link owners cannot be read".into()))?;
        let kept = read(permit.keys(), &view, LinkId::new(id))?;
        Ok(kept
            .map(|kept| kept.link)
            .filter(|link| link.owner == *owner && is_asker(caller, link)))
    }

    /// Takes a link back.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn withdraw_link(&self, caller: &Caller, id: LinkId) -> Result<Receipt<Link>> {
        let link = self.link(caller, id)?;
        let permit = self
            .gate()
            .permit(caller, Action::Connect, &Target::default())?;
        let now = self.clock().now();
        permit.write_told(move |tx| {
            let mut kept = read(tx.keys(), tx.view(), link.id)?.ok_or(Error::NotFound("link"))?;
            let was_open = kept.link.is_open(now);
            if was_open {
                kept.link.dead = Some(LinkEnd::Withdrawn);
                kept.link.trip = None;
                kept.verifier = None;
                put(tx, &kept)?;
            }
            let how = if was_open {
                "withdrawn"
            } else {
                "over already"
            };
            Ok((kept.link, format!("link {id} {how}")))
        })
    }

    /// Forgets links that ended long ago.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`].
    pub fn forget_links(&self, caller: &Caller) -> Result<Receipt<usize>> {
        let permit = self
            .gate()
            .permit(caller, Action::Refresh, &Target::default())?;
        let (now, this) = (self.clock().now(), self.clone());
        permit.write_as("ended links are forgotten", None, move |tx| {
            let mut old: Vec<Link> = Vec::new();
            tx.view()
                .scan_records(Records::Links, b"", None, &mut |place, sealed| {
                    let opened = this.sound(place, open(tx.keys(), place, &sealed))?;
                    let is_old = |link: &Link| {
                        let is_from_later = link.created_at > now.plus(limits::LINK_MEMORY);
                        link.expires_at.plus(limits::LINK_MEMORY) <= now || is_from_later
                    };
                    old.extend(opened.map(|kept| kept.link).filter(is_old));
                    Ok(if old.len() < limits::COMMIT_GROUP_MAX {
                        Scan::Go
                    } else {
                        Scan::Stop
                    })
                })?;
            for link in &old {
                forget(tx, link)?;
            }
            Ok(old.len())
        })
    }
}

fn forget(tx: &mut Tx<'_>, link: &Link) -> Result<()> {
    for app in &link.apps {
        let place = Indexer(tx.keys()).link_owner(&app.app, &link.owner);
        let newest = tx.view().entry(Index::LinkOwners, &place)?;
        if newest.as_deref() == Some(link.id.as_bytes()) {
            tx.remove_entry(Index::LinkOwners, &place);
        }
    }
    let place = Indexer(tx.keys()).link(link.id);
    tx.remove(Records::Links, &place);
    Ok(())
}

/// A link is its maker's business, and nobody else's but the local operator's.
fn is_asker(caller: &Caller, link: &Link) -> bool {
    match &caller.who {
        Who::Key(key) => key.id == link.key_id,
        // Everybody of one issuer shares its key: somebody else's link is no business of theirs.
        Who::Person { key, person } => key.id == link.key_id && person.stands_for(&link.owner),
        Who::Local => true,
        Who::Link { id, .. } => *id == link.id,
        Who::Scheduler => false,
    }
}

fn put(tx: &mut Tx<'_>, kept: &KeptLink) -> Result<()> {
    let place = Indexer(tx.keys()).link(kept.link.id);
    let secret = SecretRow {
        secret: kept.verifier.clone(),
    };
    tx.put(
        Records::Links,
        &place,
        &[&encode(&kept.link), &encode(&secret)],
    )?;
    Ok(())
}

fn read(keys: &Keyring, view: &impl View, id: LinkId) -> Result<Option<KeptLink>> {
    let place = Indexer(keys).link(id);
    let sealed = view.record(Records::Links, &place)?;
    sealed.map(|sealed| open(keys, &place, &sealed)).transpose()
}

fn open(keys: &Keyring, place: &[u8], sealed: &Sealed) -> Result<KeptLink> {
    let link: Link = decode(&keys.open(Records::Links.name(), place, sealed, LINK)?)?;
    let secret: SecretRow = decode(&keys.open(Records::Links.name(), place, sealed, VERIFIER)?)?;
    Ok(KeptLink {
        link,
        verifier: secret.secret,
    })
}

/// A link without its verifier, which is opened all the same.
pub(super) fn open_settings(keys: &Keyring, place: &[u8], sealed: &Sealed) -> Result<Link> {
    open(keys, place, sealed).map(|kept| kept.link)
}

/// What a link would have stand in `link_owners`, were it the newest: the keys, and when it was
/// made.
pub(super) fn owner_keys(
    keys: &Keyring,
    place: &[u8],
    sealed: &Sealed,
) -> Result<(Vec<Vec<u8>>, Timestamp, LinkId)> {
    let link = open(keys, place, sealed)?.link;
    let key = |app: &LinkApp| Indexer(keys).link_owner(&app.app, &link.owner);
    let found = link.apps.iter().map(key).collect();
    Ok((found, link.created_at, link.id))
}

fn hash(keys: &Keyring, what: &[u8], id: LinkId, secret: &[u8]) -> Vec<u8> {
    keys.hash(Purpose::State, &[what, id.as_bytes(), secret])
        .to_vec()
}

fn same(kept: &[u8], presented: &[u8]) -> bool {
    Secret::new(kept.to_vec()).equals(presented)
}

/// A ticket or state: the link's id and 256 bits of chance.
fn split_ticket(text: &Secret<String>) -> Option<(LinkId, [u8; 32])> {
    let bytes: [u8; 48] = from_base64url(text.expose())?.try_into().ok()?;
    let (id, secret) = bytes.split_first_chunk::<16>()?;
    Some((LinkId::new(*id), secret.try_into().ok()?))
}
