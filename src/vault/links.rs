//! Connect links: kept, watched and taken back by whoever asked; the person's side is in `person`.
//!
//! It promises: whatever can be presented (ticket, browser cookie, code, vouching ticket, `state`)
//! is kept as a keyed hash; `state` and the vouching ticket are single use, taken in a durable step
//! before anything is done on their strength (RFC 9700 4.7).
//! It never: leaves a person's browser bound to two links by one cookie, or lets a second browser
//! take over a link.

mod person;
mod vouch;

use std::time::Duration;

pub use self::person::{NoWay, Returned};
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
use crate::model::link::{Link, LinkApp, LinkEnd, Proof};
use crate::model::url::WebUrl;
use crate::model::{AppId, LinkId, Owner};
use crate::seal::{Keyring, Purpose, Sealed};
use crate::secret::{Secret, base64url, from_base64url, random};
use crate::store::{Index, Records, Scan, View};

const LINK: u8 = 0;
const VERIFIER: u8 = 1;

/// What a new link is to be.
pub struct NewLink {
    /// The apps on it.
    pub apps: Vec<LinkApp>,
    /// Whom it is for.
    pub owner: Owner,
    /// How the person is proven.
    pub proof: Proof,
    /// Where the person is sent at the end.
    pub return_url: Option<WebUrl>,
    /// How long it lives.
    pub life: Duration,
}

/// A new link: what is presented stands here and nowhere else.
pub struct MadeLink {
    /// The link.
    pub link: Link,
    /// The secret of its URL.
    pub ticket: Secret<String>,
    /// The code to type, where proof is by code.
    pub code: Option<Secret<String>>,
}

/// A link kept with its verifier.
struct KeptLink {
    link: Link,
    verifier: Option<Secret<String>>,
}

impl Vault {
    /// Makes a link. One that waits for the same owner and app is replaced.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Busy`] where too many wait.
    pub fn make_link(&self, caller: &Caller, new: NewLink) -> Result<Receipt<MadeLink>> {
        let now = self.clock().now();
        let Some(first) = new.apps.first() else {
            return Err(Error::invalid("`apps` names at least one app"));
        };
        if new.apps.len() > limits::LINK_APPS_MAX {
            return Err(Error::invalid(format!(
                "a link has at most {} apps",
                limits::LINK_APPS_MAX
            )));
        }
        // Nobody lets a person consent to more than the scope ceiling it has itself.
        let may = |app: &LinkApp| {
            let target = Target {
                scopes: Some(&app.scopes),
                ..Target::of(&app.app, &new.owner)
            };
            self.gate().permit(caller, Action::Connect, &target)
        };
        let permit = may(first)?;
        for app in &new.apps[1..] {
            may(app)?;
        }
        let id = LinkId::new(random());
        let secret: [u8; 32] = random();
        let ticket = Secret::new(base64url(&[id.as_bytes().as_slice(), &secret].concat()));
        let code = (new.proof == Proof::Code).then(six_digits);
        let key = caller.key();
        let link = Link {
            id,
            ticket_hash: hash(permit.keys(), b"ticket", id, &secret),
            owner: new.owner,
            key_id: key.map(|key| key.id.clone()).unwrap_or_default(),
            asker: key.map_or_else(|| "this computer".into(), |key| key.name.clone()),
            apps: new.apps,
            proof: new.proof,
            code_hash: code
                .as_ref()
                .map(|code| hash(permit.keys(), b"code", id, code.expose().as_bytes())),
            code_tries: 0,
            vouch_hash: None,
            vouched_hash: None,
            browser_hash: None,
            proven: false,
            trip: None,
            dead: None,
            return_url: new.return_url,
            reason: caller.reason.clone(),
            created_at: now,
            expires_at: now.plus(new.life.min(limits::LINK_LIFE_MAX)),
        };
        permit.write_told(move |tx| {
            make_room(tx, now, limits::LINKS_OPEN_MAX)?;
            for app in &link.apps {
                replace_newest(tx, &link, &app.app, now)?;
            }
            put(
                tx,
                &KeptLink {
                    link: link.clone(),
                    verifier: None,
                },
            )?;
            let outcome = format!("link {id} made");
            Ok((MadeLink { link, ticket, code }, outcome))
        })
    }

    /// The link as whoever made it sees it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not there or not the caller's.
    pub fn link(&self, caller: &Caller, id: LinkId) -> Result<Link> {
        let permit = self
            .gate()
            .permit(caller, Action::Connect, &Target::default())?;
        let kept = read(permit.keys(), &self.store().read()?, id)?;
        kept.map(|kept| kept.link)
            .filter(|link| is_asker(caller, link))
            .ok_or(Error::NotFound("link"))
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

/// Room for one more among at most `kept_max` links. The memory of those that ended goes first;
/// only where all of them wait is there none.
fn make_room(tx: &mut Tx<'_>, now: Timestamp, kept_max: usize) -> Result<()> {
    if tx.count(Records::Links, b"", kept_max)? < kept_max {
        return Ok(());
    }
    let mut ended: Vec<Link> = Vec::new();
    tx.view()
        .scan_records(Records::Links, b"", None, &mut |place, sealed| {
            ended.extend(Some(open(tx.keys(), place, &sealed)?.link).filter(|l| !l.is_open(now)));
            Ok(Scan::Go)
        })?;
    if ended.is_empty() {
        return Err(Error::Busy(limits::LINK_LIFE_DEFAULT));
    }
    // A tenth at once, so that the next call need not look at all of them again.
    ended.sort_by_key(|link| link.expires_at);
    for link in ended.iter().take((kept_max / 10).max(1)) {
        forget(tx, link)?;
    }
    Ok(())
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

/// Makes `link` the newest of its owner and `app`; one of the same asker that waits is dead then.
fn replace_newest(tx: &mut Tx<'_>, link: &Link, app: &AppId, now: Timestamp) -> Result<()> {
    let place = Indexer(tx.keys()).link_owner(app, &link.owner);
    let newest = tx.view().entry(Index::LinkOwners, &place)?;
    if let Some(id) = newest.and_then(|id| <[u8; PART]>::try_from(id.as_slice()).ok())
        && let Some(mut old) = read(tx.keys(), tx.view(), LinkId::new(id))?
        && old.link.key_id == link.key_id
        && old.link.is_open(now)
    {
        old.link.dead = Some(LinkEnd::Replaced);
        old.link.trip = None;
        old.verifier = None;
        put(tx, &old)?;
    }
    tx.put_entry(Index::LinkOwners, &place, link.id.as_bytes());
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

/// Six digits, each as likely: the bias of a 64-bit number modulo 10^6 is below 2^-44.
fn six_digits() -> Secret<String> {
    let number = u64::from_le_bytes(random()) % 1_000_000;
    Secret::new(format!("{number:06}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::model::{Scopes, UserId};

    fn wish(user: usize) -> NewLink {
        NewLink {
            apps: vec![LinkApp {
                app: AppId::parse("app").unwrap(),
                scopes: Scopes::default(),
                account: None,
                state: crate::model::link::LinkAppState::Waiting,
            }],
            owner: Owner::User(UserId::parse(format!("u{user}")).unwrap()),
            proof: Proof::Code,
            return_url: None,
            life: limits::LINK_LIFE_DEFAULT,
        }
    }

    /// Goal: links that ended make room for new ones, and those that wait do not.
    /// Method: a small shelf, filled; then some of its links end.
    #[test]
    fn links_that_ended_make_room_and_those_that_wait_do_not() {
        let clock = Clock::test(Timestamp::from_unix_ms(1_790_000_000_000));
        let (vault, _) = Vault::in_memory(clock.clone()).unwrap();
        let me = Caller::local();
        let made: Vec<LinkId> = (0..5)
            .map(|n| vault.make_link(&me, wish(n)).unwrap().wait().unwrap())
            .map(|made| made.link.id)
            .collect();
        let room = |kept_max| {
            let now = clock.now();
            let permit = vault
                .gate()
                .permit(&me, Action::Connect, &Target::default());
            let write = permit
                .unwrap()
                .write(None, move |tx| make_room(tx, now, kept_max));
            write.unwrap().wait()
        };
        let left = || {
            made.iter()
                .filter(|id| vault.link(&me, **id).is_ok())
                .count()
        };
        assert_eq!((room(6), left()), (Ok(()), 5));
        assert_eq!(room(5), Err(Error::Busy(limits::LINK_LIFE_DEFAULT)));
        vault.withdraw_link(&me, made[3]).unwrap().wait().unwrap();
        assert_eq!((room(5), left()), (Ok(()), 4));
        assert!(vault.link(&me, made[3]).is_err());
        clock.advance(limits::LINK_LIFE_DEFAULT);
        assert_eq!((room(4), left()), (Ok(()), 3));
        assert_eq!(
            vault.newest_link(&me, &wish(3).apps[0].app, &wish(3).owner),
            Ok(None)
        );
    }
}
