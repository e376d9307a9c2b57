//! What every load begins with: a clock, settings, apps, owners, key files.
//!
//! It promises: the same each time; a slot's label tells the key file that opens it.
//! It never: waits for a key derivation.

use super::super::audit::AuditMode;
use super::super::*;
use crate::clock::Timestamp;
use crate::model::app::{App, AppKind, ClientAuth, Endpoints, OAuth};
use crate::model::url::WebUrl;
use crate::model::{AppId, Owner, UserId};

pub(super) fn clock() -> Clock {
    Clock::test(Timestamp::from_unix_ms(1_800_000_000_000))
}

pub(super) fn settings(mode: AuditMode) -> Settings {
    Settings {
        audit: mode,
        ..Settings::default()
    }
}

/// The key file whose slot has this label.
pub(super) fn key_file(label: &str) -> Unlocker {
    let mut bytes = [0x5a; 64];
    bytes[..label.len()].copy_from_slice(label.as_bytes());
    Unlocker::key_file(Secret::new(bytes.to_vec())).unwrap()
}

/// The slot that every vault of a load begins with.
pub(super) const FIRST_SLOT: &str = "first";

pub(super) fn owner(user: &str) -> Owner {
    Owner::User(UserId::parse(user).unwrap())
}

pub(super) fn app_of(id: &str, kind: AppKind) -> App {
    App {
        id: AppId::parse(id).unwrap(),
        name: format!("App {id}"),
        description: String::new(),
        logo: None,
        template: None,
        return_urls: vec![],
        kind,
        created_at: clock().now(),
        updated_at: clock().now(),
    }
}

pub(super) fn oauth() -> AppKind {
    let url = |path: &str| Some(WebUrl::parse("url", &format!("https://p.example{path}")).unwrap());
    AppKind::OAuth(Box::new(OAuth {
        client_id: "demo".into(),
        issuer: None,
        by_hand: Endpoints {
            authorization_url: url("/authorize"),
            token_url: url("/token"),
            revocation_url: url("/revoke"),
        },
        discovered: Endpoints::default(),
        iss_advertised: false,
        scopes: Scopes::default(),
        scope_separator: " ".into(),
        authorization_params: Default::default(),
        token_params: Default::default(),
        pkce: true,
        client_auth: ClientAuth::None,
        callback: Default::default(),
        default_lifetime_s: None,
        resource: Default::default(),
        remote: None,
    }))
}
