//! `strongroom serve`: a vault from its directory, on its addresses, until told to end.
//!
//! It promises: a passphrase or key file that does not open the vault ends the start, with what is
//! wrong; without one the server starts locked and says how to unlock it. A vault that does not fit
//! its anchor starts locked too, and says why: its clients are told "locked", not nothing.
//! It never: keeps what unlocked the vault.

use super::args::{AuditChoice, ServeArgs};
use super::catalogue;
use super::descriptors::Shares;
use super::failure::Failure;
use super::secrets::{read_file, read_text_file};
use super::server::{Server, Settings, block_on};
use crate::clock::Clock;
use crate::error::Error;
use crate::http::listen::Tls;
use crate::provider::catalogue::Catalogue;
use crate::provider::egress::EgressSettings;
use crate::provider::proxy::ProxySettings;
use crate::vault::{AuditMode, Pause, Settings as VaultSettings, Unlocker, Vault};

/// Serves until the process is told to end.
///
/// # Errors
/// Whatever keeps it from starting, or from closing cleanly.
pub fn run(args: ServeArgs) -> Result<(), Failure> {
    let settings = VaultSettings {
        audit: match args.audit {
            AuditChoice::Grouped => AuditMode::Grouped,
            AuditChoice::Strict => AuditMode::Strict,
        },
        accept_host: args.accept_host,
        anchor: args.anchor.clone(),
        accept_rollback: args.accept_rollback,
        check_behind: args.check_behind,
    };
    let shares = Shares::of_the_system(args.connections_max, args.listen.len())?;
    let own = catalogue::read(args.catalogue.as_deref())?;
    let unlocker = unlocker(&args)?;
    let vault = Vault::open(&args.data, settings, Clock::system())?;
    if let Some(unlocker) = unlocker {
        match vault.unlock(&unlocker, "start") {
            // The vault has said why, in the log.
            Err(error @ Error::RolledBack(_)) => tracing::error!("{}", error.hint()),
            other => other?,
        }
    }
    let status = vault.status();
    if let Some(pause) = status.refresh_paused_because {
        let (what, flag) = match pause {
            Pause::CopiedHost => ("copied from another host", "--accept-host"),
            Pause::Restored => ("restored from a backup", "--accept-rollback"),
        };
        tracing::warn!(
            "this vault was {what}; refreshing is paused, since two copies would spend the same \
             refresh tokens. If the other one is gone for good, start with {flag}"
        );
    }
    let settings = server_settings(args, shares, own)?;
    block_on(async move {
        let server = Server::bind(vault, settings).await?;
        let state = if status.locked {
            format!(
                "locked; unlock it: strongroom unlock --url {}",
                server.local_url
            )
        } else if status.checking.is_some() {
            "unlocked; its file is being checked".to_owned()
        } else {
            "unlocked".to_owned()
        };
        tracing::info!(
            "listening on {}, reached by people at {} ({state})",
            server.local_url,
            server.public_url
        );
        Ok(server.run().await?)
    })
}

fn unlocker(args: &ServeArgs) -> Result<Option<Unlocker>, Failure> {
    if let Some(path) = &args.passphrase_file {
        return Ok(Some(Unlocker::from_typed(read_text_file(
            "the passphrase",
            path,
        )?)));
    }
    if let Some(path) = &args.key_file {
        return Ok(Some(Unlocker::key_file(read_file("the key file", path)?)?));
    }
    Ok(None)
}

fn server_settings(
    args: ServeArgs,
    shares: Shares,
    catalogue: Catalogue,
) -> Result<Settings, Failure> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(Tls::load(cert, key)?),
        _ => None,
    };
    let proxy = match args.no_env_proxy {
        true => None,
        false => ProxySettings::from_variables(|name| std::env::var(name).ok()),
    };
    Ok(Settings {
        listen: args.listen,
        tls,
        behind_proxy: args.behind_proxy,
        public_url: args.public_url,
        hosts: args.host,
        pages: args.allow_origin,
        egress: EgressSettings {
            allowed_hosts: args.allow_host,
            extra_roots: args.ca_file,
            proxy,
            calls_max: shares.calls,
            ..EgressSettings::default()
        },
        connections_max: shares.connections,
        brand: args.brand.read()?,
        remote_unlock: args.allow_remote_unlock,
        catalogue,
        reread_from: args.catalogue,
    })
}
