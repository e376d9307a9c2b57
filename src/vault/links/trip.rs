//! A trip to a provider and back, as the link keeps it: begun with a fresh `state`, taken once.
//!
//! It promises: what comes back is taken in the browser the link is bound to, on the redirect URI
//! that was sent along, in time, and once; that is durable before any code is redeemed.
//! It never: lets an answer choose its app: that is the trip's own.

use super::person::{NoWay, fits_browser, refuse_if};
use super::{hash, same, split_ticket};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::AppId;
use crate::model::access::Caller;
use crate::model::app::Callback;
use crate::model::blanks::Known;
use crate::model::link::{Link, LinkAppState, Trip};
use crate::secret::{Secret, base64url, random};
use crate::vault::Vault;
use crate::vault::receipt::Receipt;

/// A trip to a provider that came back.
pub struct Returned {
    /// The person, as a caller.
    pub caller: Caller,
    /// The link.
    pub link: Link,
    /// The trip, which is over.
    pub trip: Trip,
    /// The PKCE verifier.
    pub verifier: Option<Secret<String>>,
}

/// The redirect URI that a browser came back on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Landing {
    /// That of this app alone.
    Own(AppId),
    /// The one for all apps that share it: the state says which.
    Shared,
}

/// Where a trip leads.
pub struct Way {
    /// The app whose provider is visited.
    pub app: AppId,
    /// Where it is told to send the person back to.
    pub callback: Callback,
    /// What is said of the app's variables.
    pub variables: Known,
}

impl Way {
    /// To an app whose variables nobody has said anything of.
    pub fn of(app: &AppId, callback: Callback) -> Self {
        Self {
            app: app.clone(),
            callback,
            variables: Known::new(),
        }
    }
}

impl Landing {
    fn is_of(&self, trip: &Trip) -> bool {
        match self {
            Self::Own(app) => trip.callback == Callback::Own && trip.app == *app,
            Self::Shared => trip.callback == Callback::Shared,
        }
    }
}

impl Vault {
    /// A fresh `state` for a link: its id, so that it is found again, and 256 bits of chance.
    pub fn new_state(link: &Link) -> Secret<String> {
        let secret: [u8; 32] = random();
        Secret::new(base64url(
            &[link.id.as_bytes().as_slice(), &secret].concat(),
        ))
    }

    /// Begins a trip to a provider, which is to come back on this callback. `state` comes back with
    /// it; the verifier is kept sealed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`] for a link that is not proven or not open.
    pub fn begin_trip(
        &self,
        caller: &Caller,
        link: &Link,
        way: Way,
        verifier: Option<Secret<String>>,
        state: &Secret<String>,
    ) -> Result<Receipt<()>> {
        let (id, secret) = split_ticket(state).ok_or(Error::NotFound("state"))?;
        let Way {
            app,
            callback,
            variables,
        } = way;
        self.step(caller, link, move |keys, kept, now| {
            if !kept.link.proven || !kept.link.is_open(now) || id != kept.link.id {
                return Err(Error::Denied);
            }
            let entry = kept.link.app_mut(&app).ok_or(Error::Denied)?;
            entry.state = LinkAppState::Waiting;
            let outcome = format!("sent to the provider of `{app}`");
            kept.link.trip = Some(Trip {
                app,
                callback,
                variables,
                state_hash: hash(keys, b"state", kept.link.id, &secret),
                expires_at: now.plus(limits::STATE_LIFE),
            });
            kept.verifier = verifier;
            Ok(((), outcome))
        })
    }

    /// Takes a trip that came back: `state` must be the link's open one, in the browser the link is
    /// bound to, on the redirect URI it was sent with, in time. It is taken, durably, here.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Storage`]; what a person is told is inside.
    pub async fn take_trip(
        &self,
        state: &Secret<String>,
        cookies: &[Secret<String>],
        landing: &Landing,
        from: &str,
    ) -> Result<std::result::Result<Returned, NoWay>> {
        let Some((id, secret)) = split_ticket(state) else {
            return Ok(Err(NoWay::Unknown));
        };
        let now = self.clock().now();
        let presented = self.present(id, from, |keys, link| {
            // COAT/CORF: the path must be the one the trip began for.
            let state_hash = hash(keys, b"state", id, &secret);
            let known = link.trip.as_ref().is_some_and(|trip| {
                let fits = same(&trip.state_hash, &state_hash);
                fits && landing.is_of(trip) && trip.expires_at > now
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
            if kept.link.trip != expected {
                return Ok((None, "came back from the provider a second time".into()));
            }
            let taken = kept
                .link
                .trip
                .take()
                .map(|trip| (kept.link.clone(), trip, kept.verifier.take()));
            Ok((taken, "came back from the provider".into()))
        })?;
        Ok(match taken.await? {
            Some((link, trip, verifier)) => Ok(Returned {
                caller,
                link,
                trip,
                verifier,
            }),
            None => Err(NoWay::Unknown),
        })
    }
}
