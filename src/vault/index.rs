//! Index keys: where a record lies, told by keyed hashes of its plain identity.
//!
//! It promises: parts of different kinds never hash alike; "no tenant" is a value of its own, so
//! the three owner levels never share a key; without the index subkey a key says nothing.
//! It never: is reversed. What is where stands sealed in the record.

use crate::clock::Timestamp;
use crate::model::{Account, Address, AppId, LinkId, Owner, Scopes, TenantId, TokenId, UserId};
use crate::seal::{Keyring, Purpose};

/// Bytes of one part of a key.
pub(super) const PART: usize = 16;
/// Bytes of a token key: app, tenant, user, account and scopes.
pub(super) const TOKEN_KEY: usize = 4 * PART;

/// A token's key in the `tokens` table.
pub(super) type TokenKey = [u8; TOKEN_KEY];

/// Makes index keys.
pub(super) struct Indexer<'a>(pub(super) &'a Keyring);

impl Indexer<'_> {
    fn part(&self, kind: &[u8], value: Option<&str>) -> [u8; PART] {
        let hash = match value {
            Some(value) => self
                .0
                .hash(Purpose::Index, &[kind, b"is", value.as_bytes()]),
            None => self.0.hash(Purpose::Index, &[kind, b"none"]),
        };
        *hash.first_chunk().expect("a hash has 32 bytes")
    }

    pub(super) fn app(&self, app: &AppId) -> [u8; PART] {
        self.part(b"app", Some(app.as_str()))
    }

    fn tenant(&self, tenant: Option<&TenantId>) -> [u8; PART] {
        self.part(b"tenant", tenant.map(TenantId::as_str))
    }

    fn user(&self, user: Option<&UserId>) -> [u8; PART] {
        self.part(b"user", user.map(UserId::as_str))
    }

    fn account_and_scopes(&self, account: Option<&Account>, scopes: &Scopes) -> [u8; PART] {
        let account = account.map_or([b"none".as_slice(), b""], |account| {
            [b"is".as_slice(), account.as_str().as_bytes()]
        });
        let mut parts = vec![b"account and scopes".as_slice(), account[0], account[1]];
        parts.extend(scopes.iter().map(str::as_bytes));
        let hash = self.0.hash(Purpose::Index, &parts);
        *hash.first_chunk().expect("a hash has 32 bytes")
    }

    /// Where a token lies.
    pub(super) fn token(&self, address: &Address) -> TokenKey {
        let owner = self.of_owner(&address.app, &address.owner);
        let last = self.account_and_scopes(address.account.as_ref(), &address.scopes);
        let mut key = [0; TOKEN_KEY];
        key[..3 * PART].copy_from_slice(&owner);
        key[3 * PART..].copy_from_slice(&last);
        key
    }

    /// The prefix of all tokens of an owner and app.
    pub(super) fn of_owner(&self, app: &AppId, owner: &Owner) -> [u8; 3 * PART] {
        let mut key = [0; 3 * PART];
        key[..PART].copy_from_slice(&self.app(app));
        key[PART..2 * PART].copy_from_slice(&self.tenant(owner.tenant()));
        key[2 * PART..].copy_from_slice(&self.user(owner.user()));
        key
    }

    /// The prefix of all tokens of an app, or of an app and tenant.
    pub(super) fn of_app(&self, app: &AppId, tenant: Option<&TenantId>) -> Vec<u8> {
        let mut key = self.app(app).to_vec();
        if tenant.is_some() {
            key.extend_from_slice(&self.tenant(tenant));
        }
        key
    }

    /// The prefix in `owners` of all tokens of an owner.
    pub(super) fn owner(&self, owner: &Owner) -> [u8; 2 * PART] {
        let mut key = [0; 2 * PART];
        key[..PART].copy_from_slice(&self.tenant(owner.tenant()));
        key[PART..].copy_from_slice(&self.user(owner.user()));
        key
    }

    /// The prefix in `owners` of all tokens of a tenant, its users' included.
    pub(super) fn tenant_prefix(&self, tenant: &TenantId) -> [u8; PART] {
        self.tenant(Some(tenant))
    }

    /// The prefix in `users` of all tokens of a user within whatever tenant.
    pub(super) fn user_prefix(&self, user: &UserId) -> [u8; PART] {
        self.user(Some(user))
    }

    /// The key in `link_owners` of an owner and app.
    pub(super) fn link_owner(&self, app: &AppId, owner: &Owner) -> Vec<u8> {
        [self.owner(owner).as_slice(), &self.app(app)].concat()
    }

    pub(super) fn access_key(&self, id: &str) -> [u8; PART] {
        self.part(b"access key", Some(id))
    }

    pub(super) fn link(&self, id: LinkId) -> [u8; PART] {
        *id.as_bytes()
    }
}

/// The key in `owners` of a token key: the same parts, the owner first.
pub(super) fn owners_key(key: &TokenKey) -> TokenKey {
    let mut out = [0; TOKEN_KEY];
    out[..2 * PART].copy_from_slice(&key[PART..3 * PART]);
    out[2 * PART..3 * PART].copy_from_slice(&key[..PART]);
    out[3 * PART..].copy_from_slice(&key[3 * PART..]);
    out
}

/// The token key of a key in `owners`.
pub(super) fn from_owners_key(key: &[u8]) -> Option<TokenKey> {
    let key: &TokenKey = key.try_into().ok()?;
    let mut out = [0; TOKEN_KEY];
    out[..PART].copy_from_slice(&key[2 * PART..3 * PART]);
    out[PART..3 * PART].copy_from_slice(&key[..2 * PART]);
    out[3 * PART..].copy_from_slice(&key[3 * PART..]);
    Some(out)
}

/// The key in `users` of a token of a user within a tenant: the same parts, the user first. Other
/// owners' tokens have none: those of a user alone are one range of `owners`, which saves every
/// write of one a row.
pub(super) fn users_key(key: &TokenKey, owner: &Owner) -> Option<TokenKey> {
    matches!(owner, Owner::TenantUser(..)).then(|| turned(key))
}

/// The token key of a key in `users`.
pub(super) fn from_users_key(key: &[u8]) -> Option<TokenKey> {
    let key: &TokenKey = key.try_into().ok()?;
    Some(turned(key))
}

/// App, tenant and user in the order of user, tenant and app; and back.
fn turned(key: &TokenKey) -> TokenKey {
    let mut out = *key;
    out[..PART].copy_from_slice(&key[2 * PART..3 * PART]);
    out[2 * PART..3 * PART].copy_from_slice(&key[..PART]);
    out
}

/// The tenant's part of a token key.
pub(super) fn tenant_part(key: &TokenKey) -> &[u8; PART] {
    key[PART..]
        .first_chunk()
        .expect("a token key has four parts")
}

/// The key in `due` of a token that falls due at `at`.
pub(super) fn due_key(at: Timestamp, key: &TokenKey) -> Vec<u8> {
    [at.unix_ms().to_be_bytes().as_slice(), key].concat()
}

/// Reads a key of `due`.
pub(super) fn from_due_key(key: &[u8]) -> Option<(Timestamp, TokenKey)> {
    let (at, key) = key.split_first_chunk::<8>()?;
    let key: &TokenKey = key.try_into().ok()?;
    Some((Timestamp::from_unix_ms(u64::from_be_bytes(*at)), *key))
}

/// The key in `ids` of a token id.
pub(super) fn id_key(id: TokenId) -> [u8; PART] {
    *id.as_bytes()
}

#[cfg(test)]
mod tests;
