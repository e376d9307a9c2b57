//! The asking application's word for who is signed in there.
//!
//! It promises: a ticket is taken once; the word alone proves nobody: the person is proven when
//! that person's browser comes back, and is the one the link is bound to (`person`).
//! It never: takes a word for another owner than the link's; that kills the link.

use super::{hash, put, read, same, split_ticket};
use crate::error::{Error, Result};
use crate::model::access::{AccessKey, Action, Caller, Target, Who};
use crate::model::link::{Link, LinkEnd};
use crate::model::{LinkId, Owner};
use crate::secret::{Secret, base64url, random};
use crate::vault::Vault;
use crate::vault::receipt::Receipt;

/// What became of a vouching.
pub struct Vouched {
    /// The link.
    pub link: Link,
    /// What the vouched person's browser is sent back with; `None` for the wrong person.
    pub back: Option<Secret<String>>,
}

impl Vault {
    /// The link that this caller may vouch for: an access key's own; and those of a key that JWTs
    /// stand for, which has no secret to come with, for the access key of the application at the
    /// same `verify_url`. A person's own word proves nobody.
    fn link_to_vouch_for(&self, caller: &Caller, id: LinkId) -> Result<Link> {
        self.link_if(caller, id, |link| {
            Ok(match &caller.who {
                Who::Key(key) => key.id == link.key_id || self.speaks_for(key, link)?,
                Who::Local => true,
                Who::Person { .. } | Who::Link { .. } | Who::Scheduler => false,
            })
        })
    }

    /// Whether this is the access key of the application that says who the people are of the key
    /// that a link was made by.
    fn speaks_for(&self, key: &AccessKey, link: &Link) -> Result<bool> {
        let other = self.gate().usable_key(&link.key_id, self.clock().now())?;
        let of_people = other.filter(|other| other.jwt.is_some());
        Ok(of_people
            .is_some_and(|other| key.verify_url.is_some() && key.verify_url == other.verify_url))
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
    ) -> Result<Receipt<Vouched>> {
        let link = self.link_to_vouch_for(caller, id)?;
        let secret_back: [u8; 32] = random();
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
        permit.write_told(move |tx| {
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
            let (back, outcome) = if kept.link.owner == owner {
                let vouched = hash(tx.keys(), b"vouched", link.id, &secret_back);
                kept.link.vouched_hash = Some(vouched);
                let back = Secret::new(base64url(&secret_back));
                (Some(back), format!("link {id}: the person was vouched for"))
            } else {
                kept.link.dead = Some(LinkEnd::WrongPerson);
                let outcome = format!("link {id}: somebody else was vouched for, so it is dead");
                (None, outcome)
            };
            put(tx, &kept)?;
            let link = kept.link;
            Ok((Vouched { link, back }, outcome))
        })
    }
}
