//! A person's own tokens, walked: owner by owner, and nothing beside.
//!
//! It promises: somebody who comes with a JWT has nobody else's record opened, and learns nothing
//! of where one lies, not by a cursor either.
//! It never: decides what the person may do with what is found (`walk` asks).

use super::{Filter, Visit};
use crate::error::{Error, Result};
use crate::model::Owner;
use crate::model::access::{Action, Caller, Person};
use crate::vault::Vault;
use crate::vault::access::Permit;

impl Filter {
    /// Whom of a person's owners it lets through, in one order.
    fn owners_of(&self, person: &Person) -> Vec<Owner> {
        let user = || person.user.clone();
        let within = person.tenants.iter().flat_map(|tenant| {
            [
                Owner::TenantUser(tenant.clone(), user()),
                Owner::Tenant(tenant.clone()),
            ]
        });
        let all = std::iter::once(Owner::User(user())).chain(within);
        all.filter(|owner| self.fits_owner(owner)).collect()
    }
}

impl Vault {
    /// [`Vault::walk`] over what belongs to a person. A cursor names an owner by its place, and
    /// where in what that owner has the walk goes on.
    pub(super) fn walk_own(
        &self,
        permit: &Permit,
        (caller, person): (&Caller, &Person),
        action: Action,
        filter: &Filter,
        cursor: Option<&str>,
        visit: Visit<'_>,
    ) -> Result<Option<String>> {
        let (first, mut inner) = match cursor {
            None => (0, None),
            Some(cursor) => {
                let known = cursor.split_once('.');
                let known = known.and_then(|(place, inner)| Some((place.parse().ok()?, inner)));
                let wrong = || Error::invalid("the cursor is not one of this list");
                let (place, inner): (usize, &str) = known.ok_or_else(wrong)?;
                (place, Some(inner))
            }
        };
        let owners = filter.owners_of(person).into_iter().enumerate();
        for (place, owner) in owners.skip(first) {
            let own = Filter {
                owner: Some(owner),
                ..filter.clone()
            };
            let more = self.walk_ranges(permit, caller, action, &own, inner.take(), visit)?;
            if let Some(more) = more {
                return Ok(Some(format!("{place}.{more}")));
            }
        }
        Ok(None)
    }
}
