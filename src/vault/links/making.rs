//! Connect links are made: by an asker, for a person who is proven later; or by that person.
//!
//! ```text
//!   make_link         any asker that may      the browser that opens it first, once proven
//!   make_bound_link   the owner, by a JWT     the browser that asked, and no other: proven by that
//! ```
//!
//! It promises: a link that is proven from its birth is its own maker's, who came with a JWT, and
//! is bound to the one browser that gets the cookie with it; nobody has a person consent to more
//! than the maker's own scope ceiling.
//! It never: makes one where too many wait, or leaves two that wait for one owner and app of one
//! asker.

use std::time::Duration;

use super::{KeptLink, forget, hash, open, put, read};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{AccessKey, Action, Caller, Target};
use crate::model::link::{Link, LinkApp, LinkEnd, Proof};
use crate::model::url::WebUrl;
use crate::model::{AppId, LinkId, Owner};
use crate::seal::Keyring;
use crate::secret::{Secret, base64url, random};
use crate::store::{Index, Records, Scan, View};
use crate::vault::Vault;
use crate::vault::access::Permit;
use crate::vault::index::{Indexer, PART};
use crate::vault::receipt::Receipt;
use crate::vault::writer::Tx;

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
    /// The origin of the page that opens it as a pop-up.
    pub opener_origin: Option<String>,
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
    /// The cookie of the browser it is bound to, where it is from its birth.
    pub cookie: Option<Secret<String>>,
}

impl Vault {
    /// Makes a link, whose person is proven when a browser opens it. One that waits for the same
    /// owner and app is replaced.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Busy`] where too many wait.
    pub fn make_link(&self, caller: &Caller, new: NewLink) -> Result<Receipt<MadeLink>> {
        let permit = self.may_make(caller, &new)?;
        let made = draft(permit.keys(), caller, new, self.clock().now());
        write_new(&permit, made, "made")
    }

    /// Makes a link for the browser that asks, on the word of its owner's JWT: bound to that
    /// browser, by the cookie that comes back, and proven from its birth. `proof` says nothing.
    ///
    /// # Errors
    /// [`Error::Denied`], also to everybody but the owner in person; [`Error::Busy`] where too many
    /// wait.
    pub fn make_bound_link(&self, caller: &Caller, new: NewLink) -> Result<Receipt<MadeLink>> {
        let permit = self.may_make(caller, &new)?;
        // A header says that it is a browser that asks, and whoever holds the token can write that:
        // so it is the key's to say whether its people are proven by it.
        let is_of_pages = |key: &AccessKey| key.connect_verify.contains(&Proof::Page);
        if caller.person().is_none() || !caller.key().is_some_and(is_of_pages) {
            permit.record(
                "refused: only a person of a key for pages is proven by asking",
                None,
            )?;
            return Err(Error::Denied);
        }
        let new = NewLink {
            proof: Proof::Page,
            ..new
        };
        let mut made = draft(permit.keys(), caller, new, self.clock().now());
        let cookie: [u8; 32] = random();
        made.link.browser_hash = Some(hash(permit.keys(), b"browser", made.link.id, &cookie));
        made.link.proven = true;
        made.cookie = Some(Secret::new(base64url(&cookie)));
        write_new(&permit, made, "made for the browser of its owner")
    }

    /// Nobody lets a person consent to more than the scope ceiling it has itself; and a person asks
    /// for itself alone, whatever the grants of its issuer's key say.
    fn may_make(&self, caller: &Caller, new: &NewLink) -> Result<Permit> {
        let Some((first, others)) = new.apps.split_first() else {
            return Err(Error::invalid("`apps` names at least one app"));
        };
        if new.apps.len() > limits::LINK_APPS_MAX {
            return Err(Error::invalid(format!(
                "a link has at most {} apps",
                limits::LINK_APPS_MAX
            )));
        }
        let may = |app: &LinkApp| {
            let target = Target {
                scopes: Some(&app.scopes),
                ..Target::of(&app.app, &new.owner)
            };
            self.gate().permit(caller, Action::Connect, &target)
        };
        let permit = may(first)?;
        for app in others {
            may(app)?;
        }
        if caller
            .person()
            .is_some_and(|person| !person.stands_for(&new.owner))
        {
            permit.record("refused: it is for somebody else", None)?;
            return Err(Error::Denied);
        }
        new.apps.iter().try_for_each(|app| app.hints.check())?;
        Ok(permit)
    }
}

/// A link that nobody has opened, and what is presented for it.
fn draft(keys: &Keyring, caller: &Caller, new: NewLink, now: Timestamp) -> MadeLink {
    let id = LinkId::new(random());
    let secret: [u8; 32] = random();
    let code = (new.proof == Proof::Code).then(six_digits);
    let code_hash = |code: &Secret<String>| hash(keys, b"code", id, code.expose().as_bytes());
    let key = caller.key();
    let link = Link {
        id,
        ticket_hash: hash(keys, b"ticket", id, &secret),
        owner: new.owner,
        key_id: key.map(|key| key.id.clone()).unwrap_or_default(),
        asker: key.map_or_else(|| "this computer".into(), |key| key.name.clone()),
        apps: new.apps,
        proof: new.proof,
        code_hash: code.as_ref().map(code_hash),
        code_tries: 0,
        vouch_hash: None,
        vouched_hash: None,
        browser_hash: None,
        proven: false,
        trip: None,
        dead: None,
        return_url: new.return_url,
        opener_origin: new.opener_origin,
        reason: caller.reason.clone(),
        created_at: now,
        expires_at: now.plus(new.life.min(limits::LINK_LIFE_MAX)),
    };
    MadeLink {
        link,
        ticket: Secret::new(base64url(&[id.as_bytes().as_slice(), &secret].concat())),
        code,
        cookie: None,
    }
}

fn write_new(permit: &Permit, made: MadeLink, how: &'static str) -> Result<Receipt<MadeLink>> {
    permit.write_told(move |tx| {
        let now = made.link.created_at;
        make_room(tx, now, limits::LINKS_OPEN_MAX)?;
        for app in &made.link.apps {
            replace_newest(tx, &made.link, &app.app, now)?;
        }
        let kept = KeptLink {
            link: made.link.clone(),
            verifier: None,
        };
        put(tx, &kept)?;
        let outcome = format!("link {} {how}", made.link.id);
        Ok((made, outcome))
    })
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
                hints: Default::default(),
                variables: Default::default(),
                state: crate::model::link::LinkAppState::Waiting,
            }],
            owner: Owner::User(UserId::parse(format!("u{user}")).unwrap()),
            proof: Proof::Code,
            return_url: None,
            opener_origin: None,
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
