//! Where a list walks: the ranges that hold everything that fits, and a bounded walk through them.
//!
//! ```text
//! filter                          range
//! one owner, an app               the owner's tokens of the app
//! one owner                       the owner's entries in `owners`
//! an app, or an app and a tenant  their tokens
//! a tenant                        its entries in `owners`
//! else                            all tokens
//!
//! filter                          ranges, once the indexes that came later are whole
//! a user, in whatever tenant      the user's own as above, then the user's entries in `users`
//! those that wait                 `waiting`, or the part of an app, or of an app and a tenant
//!
//! cursor  key:64                  of the range
//!         number:1 key:64         of one of the ranges that came later, from 1
//! ```
//!
//! It promises: each token that fits is in one of the ranges, and in one alone; a cursor goes on
//! where it was given out, also where the indexes have become whole since.
//! It never: trusts an index: the record that an entry leads to says whose it is.

use super::{Filter, Visit};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Owner;
use crate::model::access::{Action, Caller, Target};
use crate::seal::{Keyring, Sealed};
use crate::secret::{base64url, from_base64url};
use crate::store::{Index, Read, Records, Scan, View};
use crate::vault::Vault;
use crate::vault::access::Permit;
use crate::vault::index::{Indexer, PART, TOKEN_KEY, TokenKey, tenant_part};
use crate::vault::kept::{Kept, open_hot, token_key_of};

/// Told of a key: the place of the token it leads to, and the record where that is at hand.
type Lead<'v> = dyn FnMut(&[u8], TokenKey, Option<Sealed>) -> Result<Scan> + 'v;

/// Part of a table or index: the keys with this prefix.
pub(super) struct Range {
    over: Over,
    prefix: Vec<u8>,
    /// The tenant's part that a token key must have: others are passed over unopened.
    tenant: Option<[u8; PART]>,
}

/// What a range is of.
#[derive(Clone, Copy)]
enum Over {
    Tokens,
    Entries(Index),
}

impl Range {
    fn of(over: Over, prefix: &[u8]) -> Self {
        Self {
            over,
            prefix: prefix.to_vec(),
            tenant: None,
        }
    }

    /// Visits its keys in order, from after `after`.
    fn visit(&self, view: &Read, after: Option<&[u8]>, visit: &mut Lead<'_>) -> Result<()> {
        let wrong = |table: &str| Error::Damaged(format!("a key of {table} has not its length"));
        match self.over {
            Over::Tokens => {
                view.scan_records(Records::Tokens, &self.prefix, after, &mut |key, sealed| {
                    let place = key.try_into().map_err(|_| wrong("tokens"))?;
                    visit(key, place, Some(sealed))
                })
            }
            Over::Entries(index) => view.scan_index(index, &self.prefix, after, &mut |key, _| {
                let place = token_key_of(index, key).ok_or_else(|| wrong(index.name()))?;
                visit(key, place, None)
            }),
        }
    }

    /// The token that a key of it leads to; `None` where it need not be opened.
    fn open(
        &self,
        keys: &Keyring,
        view: &Read,
        place: TokenKey,
        sealed: Option<Sealed>,
    ) -> Result<Option<Kept>> {
        if self
            .tenant
            .is_some_and(|tenant| tenant != *tenant_part(&place))
        {
            return Ok(None);
        }
        let sealed = match (sealed, self.over) {
            (Some(sealed), _) => sealed,
            (None, over) => view.record(Records::Tokens, &place)?.ok_or_else(|| {
                let table = match over {
                    Over::Tokens => Records::Tokens.name(),
                    Over::Entries(index) => index.name(),
                };
                Error::Damaged(format!("an entry of the {table} table leads nowhere"))
            })?,
        };
        let (place, record, due) = open_hot(keys, &place, &sealed)?;
        Ok(Some(Kept {
            place,
            sealed,
            record,
            due,
        }))
    }
}

impl Filter {
    /// The one owner whose tokens alone fit, where there is one.
    fn one_owner(&self) -> Option<Owner> {
        match (&self.owner, &self.tenant, &self.user) {
            (Some(owner), ..) => Some(owner.clone()),
            (None, Some(tenant), Some(user)) => {
                Some(Owner::TenantUser(tenant.clone(), user.clone()))
            }
            _ => None,
        }
    }

    fn of_owner(&self, indexer: &Indexer<'_>, owner: &Owner) -> Range {
        match &self.app {
            Some(app) => Range::of(Over::Tokens, &indexer.of_owner(app, owner)),
            None => Range::of(Over::Entries(Index::Owners), &indexer.owner(owner)),
        }
    }

    /// The narrowest range of what a vault had from the beginning that holds everything that fits.
    pub(super) fn range(&self, indexer: &Indexer<'_>) -> Range {
        if let Some(owner) = self.one_owner() {
            return self.of_owner(indexer, &owner);
        }
        match (&self.app, &self.tenant) {
            (Some(app), tenant) => Range::of(Over::Tokens, &indexer.of_app(app, tenant.as_ref())),
            (None, Some(tenant)) => {
                Range::of(Over::Entries(Index::Owners), &indexer.tenant_prefix(tenant))
            }
            (None, None) => Range::of(Over::Tokens, b""),
        }
    }

    /// Narrower ones that together hold everything that fits, with the help of the indexes that
    /// came later; nothing where they are of none.
    pub(super) fn later_ranges(&self, indexer: &Indexer<'_>) -> Vec<Range> {
        if self.one_owner().is_some() {
            return Vec::new();
        }
        if let Some(user) = &self.user {
            let alone = self.of_owner(indexer, &Owner::User(user.clone()));
            let within = Range::of(Over::Entries(Index::Users), &indexer.user_prefix(user));
            return vec![alone, within];
        }
        if self.active != Some(false) {
            return Vec::new();
        }
        let tenant = self.tenant.as_ref();
        let prefix = self.app.as_ref().map(|app| indexer.of_app(app, tenant));
        vec![Range {
            tenant: tenant.map(|tenant| indexer.tenant_prefix(tenant)),
            ..Range::of(Over::Entries(Index::Waiting), &prefix.unwrap_or_default())
        }]
    }
}

/// The ranges that are left to walk through, and where in the first of them.
struct Way {
    ranges: Vec<Range>,
    /// The number of the first, in the cursors that it gives out; none of what is not numbered.
    first: Option<u8>,
    after: Option<Vec<u8>>,
}

impl Way {
    /// Where a list begins, or goes on.
    fn of(
        filter: &Filter,
        indexer: &Indexer<'_>,
        later_is_whole: bool,
        cursor: Option<&str>,
    ) -> Result<Self> {
        let later = || match later_is_whole {
            true => filter.later_ranges(indexer),
            false => Vec::new(),
        };
        let Some(cursor) = cursor else {
            let later = later();
            let first = (!later.is_empty()).then_some(1);
            return Ok(Self {
                ranges: match first {
                    Some(_) => later,
                    None => vec![filter.range(indexer)],
                },
                first,
                after: None,
            });
        };
        let bytes = from_base64url(cursor).unwrap_or_default();
        let (first, key) = match bytes.len() {
            TOKEN_KEY => (None, &bytes[..]),
            _ => (bytes.first().copied(), bytes.get(1..).unwrap_or_default()),
        };
        let ranges: Vec<Range> = match first {
            None => vec![filter.range(indexer)],
            Some(number) => {
                let walked = usize::from(number.saturating_sub(1));
                later().into_iter().skip(walked).collect()
            }
        };
        match ranges.first() {
            Some(range) if key.len() == TOKEN_KEY && key.starts_with(&range.prefix) => {}
            _ => {
                let what = "`cursor` is not one that was given out for this list";
                return Err(Error::invalid(what));
            }
        }
        Ok(Self {
            ranges,
            first,
            after: Some(key.to_vec()),
        })
    }
}

/// The cursor that goes on after a key of the range of this number.
fn cursor_of(number: Option<u8>, key: &[u8]) -> String {
    let number: Vec<u8> = number.into_iter().collect();
    base64url(&[&number, key].concat())
}

impl Vault {
    pub(super) fn walk_ranges(
        &self,
        permit: &Permit,
        caller: &Caller,
        action: Action,
        filter: &Filter,
        cursor: Option<&str>,
        visit: Visit<'_>,
    ) -> Result<Option<String>> {
        let keys = permit.keys();
        // Asked before the view is taken: it shows whatever was whole then.
        let later_is_whole = self.0.filler.is_whole();
        let mut way = Way::of(filter, &Indexer(keys), later_is_whole, cursor)?;
        let view = self.store().read()?;
        let (mut looked, mut last) = (0, None);
        for (number, range) in (way.first.unwrap_or_default()..).zip(&way.ranges) {
            let number = way.first.map(|_| number);
            let after = way.after.take();
            range.visit(&view, after.as_deref(), &mut |key, place, sealed| {
                looked += 1;
                let mut wish = Scan::Go;
                if let Some(kept) = range.open(keys, &view, place, sealed)? {
                    let address = &kept.record.address;
                    let target = Target::of(&address.app, &address.owner);
                    let granted = &kept.record.granted;
                    if filter.fits(&kept) && self.would_hand_out(caller, action, &target, granted) {
                        wish = visit(&kept);
                    }
                }
                if wish == Scan::Stop || looked >= limits::LIST_SCAN_MAX {
                    last = Some(cursor_of(number, key));
                    wish = Scan::Stop;
                }
                Ok(wish)
            })?;
            if last.is_some() {
                break;
            }
        }
        Ok(last)
    }
}
