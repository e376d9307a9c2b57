//! What a sandbox is told before it starts: its clients, its users, and how it issues tokens.
//!
//! It promises: nothing here is hidden; whoever makes the settings sees every rule in force.
//! It never: is read from a file or the environment.

use std::time::Duration;

use crate::secret::Secret;

/// Everything a sandbox is told. [`Settings::new`] has sensible values for development.
pub struct Settings {
    /// The issuer, and the address everything is served under, such as `http://127.0.0.1:9000`.
    pub issuer: String,
    /// Who may ask for tokens.
    pub clients: Vec<Client>,
    /// Who may sign in.
    pub users: Vec<User>,
    /// The scopes there are; others are refused with `invalid_scope`. Empty: any scope.
    pub scopes: Vec<String>,
    /// The scopes of a request that names none.
    pub default_scopes: Vec<String>,
    /// Life of an access token.
    pub access_token_life: Duration,
    /// Life of a refresh token from its issue. `None`: until revoked.
    pub refresh_token_life: Option<Duration>,
    /// What becomes of a refresh token that was used.
    pub rotation: Rotation,
    /// Refuse requests without a PKCE challenge. Public clients need one in any case.
    pub pkce_required: bool,
    /// Send `iss` with every authorization response (RFC 9207), and say so in the metadata.
    pub iss_parameter: bool,
}

impl Settings {
    /// No clients and no users; any scope; tokens of one hour; rotation with 30 s of grace; PKCE
    /// required; `iss` sent.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            clients: Vec::new(),
            users: Vec::new(),
            scopes: Vec::new(),
            default_scopes: vec![String::from("read")],
            access_token_life: Duration::from_secs(3600),
            refresh_token_life: None,
            rotation: Rotation::On {
                grace: Duration::from_secs(30),
            },
            pkce_required: true,
            iss_parameter: true,
        }
    }
}

/// A client: an application that may ask for tokens.
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Its secret. `None`: a public client.
    pub secret: Option<Secret<String>>,
    /// Where people may be sent back to. Compared byte by byte.
    pub redirect_uris: Vec<String>,
    /// How it must prove itself. Without meaning for a public client.
    pub auth: ClientAuth,
}

/// Which ways a client with a secret may use to prove itself (RFC 6749 2.3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAuth {
    /// Basic with id and secret form-encoded first, or both in the body: what the RFC allows.
    Any,
    /// Only Basic, with id and secret form-encoded first.
    Basic,
    /// Only Basic, with id and secret as they are: the servers that read the RFC in haste.
    BasicRaw,
    /// Only id and secret in the body.
    Post,
}

/// Somebody who may sign in.
pub struct User {
    /// The name, and the `sub` of id tokens.
    pub name: String,
    /// The password. `None`: the name alone is enough, which suits a demonstration.
    pub password: Option<Secret<String>>,
}

/// What becomes of a refresh token that was used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rotation {
    /// Nothing: it stays, and comes back in every answer.
    Off,
    /// It is replaced by a new one. Within `grace` of its first use it is answered again, with yet
    /// another new one; after that its use revokes the whole grant (RFC 9700 4.14.2).
    On {
        /// How long a used refresh token is still answered. Zero: not once more.
        grace: Duration,
    },
    /// It is replaced by a new one, and works until the new one is first used. After that its use
    /// revokes the whole grant.
    PreviousUntilNewUsed,
}
