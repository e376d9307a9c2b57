//! Connect links: kept, found by what a browser presents, changed in one-way steps.
//!
//! It promises: whatever can be presented (ticket, browser cookie, code, vouching ticket, `state`)
//! is kept as a keyed hash; `state` and the vouching ticket are single use, taken in a durable step
//! before anything is done on their strength (RFC 9700 4.7).
//! It never: leaves a person's browser bound to two links by one cookie, or lets a second browser
//! take over a link.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Vault;
use super::index::{Indexer, PART};
use super::records::{SecretRow, decode, encode};
use super::writer::{Receipt, Tx};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::access::{Action, Caller, Target, Who};
use crate::model::link::{Link, LinkApp, LinkAppState, LinkEnd, LinkStatus, Proof, Trip};
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

/// A trip to a provider that came back.
pub struct Returned {
    /// The person, as a caller.
    pub caller: Caller,
    /// The link.
    pub link: Link,
    /// The PKCE verifier.
    pub verifier: Option<Secret<String>>,
}

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
        let permit =
            self.gate()
                .permit(caller, Action::Connect, &Target::of(&first.app, &new.owner))?;
        for app in &new.apps[1..] {
            self.gate()
                .permit(caller, Action::Connect, &Target::of(&app.app, &new.owner))?;
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
            browser_hash: None,
            proven: false,
            trip: None,
            dead: None,
            return_url: new.return_url,
            reason: caller.reason.clone(),
            created_at: now,
            expires_at: now.plus(new.life.min(limits::LINK_LIFE_MAX)),
        };
        permit.write(None, move |tx| {
            if tx.count(Records::Links, b"", limits::LINKS_OPEN_MAX)? >= limits::LINKS_OPEN_MAX {
                return Err(Error::Busy(limits::LINK_LIFE_DEFAULT));
            }
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
            Ok(MadeLink { link, ticket, code })
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
        permit.write(None, move |tx| {
            let mut kept = read(tx.keys(), tx.view(), link.id)?.ok_or(Error::NotFound("link"))?;
            if kept.link.is_open(now) {
                kept.link.dead = Some(LinkEnd::Withdrawn);
                kept.link.trip = None;
                kept.verifier = None;
                put(tx, &kept)?;
            }
            Ok(kept.link)
        })
    }

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
        let keys = permit.access_keys();
        let key = keys.iter().find(|key| key.id == link.key_id);
        key.and_then(|key| key.verify_url.clone()).ok_or_else(|| {
            Error::Settings("the application that asked cannot vouch for anybody any more".into())
        })
    }

    /// Looks a link up for somebody who has no access key, and checks what was presented.
    fn present(
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
        if let Err(no_way) = check(permit.keys(), &kept.link) {
            permit.record(&format!("link {id} refused: {no_way:?}"), None)?;
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
                return Ok(None);
            }
            kept.link.browser_hash = Some(hash(keys, b"browser", kept.link.id, &secret));
            kept.link.proven = kept.link.proof == Proof::None;
            Ok(Some(Secret::new(base64url(&secret))))
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
            if link.proven || !link.is_open(now) {
                return Ok(link.clone());
            }
            let digits: String = typed
                .expose()
                .chars()
                .filter(char::is_ascii_digit)
                .collect();
            let typed_hash = hash(keys, b"code", link.id, digits.as_bytes());
            match &link.code_hash {
                Some(code_hash) if same(code_hash, &typed_hash) => link.proven = true,
                _ => {
                    link.code_tries += 1;
                    if link.code_tries >= limits::CODE_TRIES_MAX {
                        link.dead = Some(LinkEnd::TooManyCodes);
                    }
                }
            }
            Ok(link.clone())
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
            Ok(Secret::new(base64url(
                &[kept.link.id.as_bytes().as_slice(), &secret].concat(),
            )))
        })
    }

    /// Takes the asking application's word for who is signed in. A wrong owner kills the link.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a link, or a ticket, that is not the caller's or was used.
    pub fn vouch(
        &self,
        caller: &Caller,
        id: LinkId,
        ticket: &Secret<String>,
        owner: Owner,
    ) -> Result<Receipt<Link>> {
        let link = self.link(caller, id)?;
        let presented = split_ticket(ticket).filter(|(of, _)| *of == link.id);
        let permit = self.gate().permit(
            caller,
            Action::Connect,
            &Target {
                owner: Some(&link.owner),
                ..Target::default()
            },
        )?;
        let now = self.clock().now();
        permit.write(None, move |tx| {
            let mut kept = read(tx.keys(), tx.view(), link.id)?.ok_or(Error::NotFound("link"))?;
            let (_, secret) = presented.ok_or(Error::NotFound("ticket"))?;
            let expected = kept
                .link
                .vouch_hash
                .take()
                .ok_or(Error::NotFound("ticket"))?;
            let fits = same(&expected, &hash(tx.keys(), b"vouch", link.id, &secret));
            if !fits || !kept.link.is_open(now) {
                return Err(Error::NotFound("ticket"));
            }
            match kept.link.owner == owner {
                true => kept.link.proven = true,
                false => kept.link.dead = Some(LinkEnd::WrongPerson),
            }
            put(tx, &kept)?;
            Ok(kept.link)
        })
    }

    /// Begins a trip to a provider. `state` comes back; the verifier is kept sealed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`] for a link that is not proven or not open.
    pub fn begin_trip(
        &self,
        caller: &Caller,
        link: &Link,
        app: &AppId,
        verifier: Option<Secret<String>>,
        state: &Secret<String>,
    ) -> Result<Receipt<()>> {
        let (id, secret) = split_ticket(state).ok_or(Error::NotFound("state"))?;
        let app = app.clone();
        self.step(caller, link, move |keys, kept, now| {
            if !kept.link.proven || !kept.link.is_open(now) || id != kept.link.id {
                return Err(Error::Denied);
            }
            let entry = kept.link.app_mut(&app).ok_or(Error::Denied)?;
            entry.state = LinkAppState::Waiting;
            kept.link.trip = Some(Trip {
                app,
                state_hash: hash(keys, b"state", kept.link.id, &secret),
                expires_at: now.plus(limits::STATE_LIFE),
            });
            kept.verifier = verifier;
            Ok(())
        })
    }

    /// The link that a ticket or state belongs to, so that its cookie can be looked for. Proves
    /// nothing.
    pub fn link_of(ticket: &Secret<String>) -> Option<LinkId> {
        split_ticket(ticket).map(|(id, _)| id)
    }

    /// A fresh `state` for a link: its id, so that it is found again, and 256 bits of chance.
    pub fn new_state(link: &Link) -> Secret<String> {
        let secret: [u8; 32] = random();
        Secret::new(base64url(
            &[link.id.as_bytes().as_slice(), &secret].concat(),
        ))
    }

    /// Takes a trip that came back: `state` must be the link's open one, in the browser the link is
    /// bound to, on the redirect URI of the same app, in time. It is taken, durably, here.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`]; what a person is told is inside.
    pub async fn take_trip(
        &self,
        state: &Secret<String>,
        cookies: &[Secret<String>],
        app: &AppId,
        from: &str,
    ) -> Result<std::result::Result<Returned, NoWay>> {
        let Some((id, secret)) = split_ticket(state) else {
            return Ok(Err(NoWay::Unknown));
        };
        let now = self.clock().now();
        let presented = self.present(id, from, |keys, link| {
            // COAT/CORF: the app in the path must be the one the trip began for.
            let state_hash = hash(keys, b"state", id, &secret);
            let known = link.trip.as_ref().is_some_and(|trip| {
                trip.app == *app && trip.expires_at > now && same(&trip.state_hash, &state_hash)
            });
            refuse_if(!known, NoWay::Unknown)?;
            let own = cookies
                .iter()
                .any(|cookie| fits_browser(keys, link, Some(cookie)));
            refuse_if(!own, NoWay::OtherBrowser)?;
            refuse_if(!link.is_open(now), NoWay::Over(link.status(now)))
        })?;
        let (caller, link) = match presented {
            Ok(presented) => presented,
            Err(no_way) => return Ok(Err(no_way)),
        };
        let expected = link.trip.clone();
        let taken = self.step(&caller, &link, move |_, kept, _| {
            // Two callbacks at once: the one that comes second finds the trip taken.
            if kept.link.trip.is_none() || kept.link.trip != expected {
                return Ok(None);
            }
            kept.link.trip = None;
            Ok(Some((kept.link.clone(), kept.verifier.take())))
        })?;
        Ok(match taken.await? {
            Some((link, verifier)) => Ok(Returned {
                caller,
                link,
                verifier,
            }),
            None => Err(NoWay::Unknown),
        })
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
            entry.state = state;
            Ok(kept.link.clone())
        })
    }

    /// One step of a link by the person on it.
    fn step<T: Send + 'static>(
        &self,
        caller: &Caller,
        link: &Link,
        change: impl FnOnce(&Keyring, &mut KeptLink, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<Receipt<T>> {
        let target = Target {
            owner: Some(&link.owner),
            ..Target::default()
        };
        let permit = self.gate().permit(caller, Action::Connect, &target)?;
        let (id, now) = (link.id, self.clock().now());
        permit.write(None, move |tx| {
            let mut kept = read(tx.keys(), tx.view(), id)?.ok_or(Error::NotFound("link"))?;
            let value = change(tx.keys(), &mut kept, now)?;
            put(tx, &kept)?;
            Ok(value)
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
        let now = self.clock().now();
        permit.write(None, move |tx| {
            let mut old: Vec<Link> = Vec::new();
            tx.view()
                .scan_records(Records::Links, b"", None, &mut |place, sealed| {
                    let link = open(tx.keys(), place, &sealed)?.link;
                    if link.expires_at.plus(limits::LINK_MEMORY) <= now {
                        old.push(link);
                    }
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
        from: from.to_owned(),
        reason: link.reason.clone(),
    }
}

/// A link is its maker's business, and nobody else's but the local operator's.
fn is_asker(caller: &Caller, link: &Link) -> bool {
    match &caller.who {
        Who::Key(key) => key.id == link.key_id,
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

fn refuse_if(wrong: bool, why: NoWay) -> std::result::Result<(), NoWay> {
    if wrong { Err(why) } else { Ok(()) }
}

/// A link that no browser has opened fits any; one that a browser has opened fits that one.
fn fits_browser(keys: &Keyring, link: &Link, cookie: Option<&Secret<String>>) -> bool {
    let Some(bound) = &link.browser_hash else {
        return true;
    };
    cookie
        .and_then(|cookie| from_base64url(cookie.expose()))
        .is_some_and(|secret| same(bound, &hash(keys, b"browser", link.id, &secret)))
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
