//! Vaults, apps, tokens and callers for the tests of this suite.

use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom::clock::{Clock, Timestamp};
use strongroom::error::Result;
use strongroom::model::access::{AccessKey, Caller, Grant};
use strongroom::model::app::{App, AppKind, Endpoints, OAuth};
use strongroom::model::token::{Grant as Granted, Summary};
use strongroom::model::url::WebUrl;
use strongroom::model::{Account, Address, AppId, Owner, Scopes, TenantId, UserId};
use strongroom::secret::Secret;
use strongroom::vault::{
    Ask, Found, Handed, KdfParams, NewCredential, NewKey, NewToken, RecoveryCode, Settings,
    Unlocker, Vault,
};
use tempfile::TempDir;

pub const PASSPHRASE: &str = "violet harbour mumbles often";
pub const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// A vault in a temporary directory, and what opens it.
pub struct Disk {
    pub _home: TempDir,
    pub directory: PathBuf,
    pub clock: Clock,
    pub recovery: String,
    pub access_key: String,
}

impl Disk {
    /// A new vault, unlocked.
    pub fn create(settings: Settings) -> (Self, Vault) {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("data");
        let clock = Clock::test(NOW);
        let passphrase = Secret::new(PASSPHRASE.to_owned());
        let new = Vault::create(
            &directory,
            passphrase,
            KdfParams::FLOOR,
            settings,
            clock.clone(),
        )
        .unwrap();
        let disk = Self {
            _home: home,
            directory,
            clock,
            recovery: new.recovery_code.expose().clone(),
            access_key: new.access_key.expose().clone(),
        };
        (disk, new.vault)
    }

    /// The vault, opened and locked.
    pub fn open(&self) -> Vault {
        Vault::open(&self.directory, Settings::default(), self.clock.clone()).unwrap()
    }

    /// The vault, opened and unlocked by its recovery code, which takes no time.
    pub fn unlocked(&self) -> Result<Vault> {
        let vault = self.open();
        vault.unlock(&recovery(&self.recovery), "")?;
        Ok(vault)
    }

    /// A copy of the data directory, to be tampered with.
    pub fn copy(&self) -> Self {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("data");
        copy_directory(&self.directory, &directory);
        Self {
            _home: home,
            directory,
            clock: self.clock.clone(),
            recovery: self.recovery.clone(),
            access_key: self.access_key.clone(),
        }
    }

    pub fn file(&self) -> PathBuf {
        self.directory.join("vault.redb")
    }

    /// The first audit segment.
    pub fn segment(&self) -> PathBuf {
        self.directory.join("audit").join("0000000001.seg")
    }
}

/// Copies a data directory with the modes a vault asks for.
pub fn copy_directory(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(to).unwrap();
    mode(to, 0o700);
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
            mode(&target, 0o600);
        }
    }
}

pub fn recovery(code: &str) -> Unlocker {
    Unlocker::RecoveryCode(RecoveryCode::parse(code).unwrap())
}

pub fn passphrase(text: &str) -> Unlocker {
    Unlocker::Passphrase(Secret::new(text.to_owned()))
}

/// A vault in memory with an OAuth app `mail` and an API-key app `maps`.
pub fn memory() -> (Vault, Clock) {
    let clock = Clock::test(NOW);
    let (vault, _) = Vault::in_memory(clock.clone()).unwrap();
    add_apps(&vault);
    (vault, clock)
}

/// Adds an OAuth app `mail` and an API-key app `maps`.
pub fn add_apps(vault: &Vault) {
    add_app(vault, oauth_app("mail"));
    add_app(vault, api_key_app("maps"));
}

pub fn add_app(vault: &Vault, app: App) {
    let secret = app
        .oauth()
        .map(|_| Secret::new(format!("client-secret-of-{}", app.id)));
    let receipt = vault.add_app(&Caller::local(), app, secret).unwrap();
    receipt.wait().unwrap();
}

pub fn api_key_app(id: &str) -> App {
    App {
        name: id.into(),
        return_urls: vec![],
        ..App::of(app_id(id), AppKind::ApiKey, NOW)
    }
}

pub fn oauth_app(id: &str) -> App {
    let url = |path: &str| WebUrl::parse("url", &format!("https://id.example/{path}")).unwrap();
    let oauth = OAuth {
        by_hand: Endpoints {
            authorization_url: Some(url("authorize")),
            token_url: Some(url("token")),
            revocation_url: Some(url("revoke")),
            ..Endpoints::default()
        },
        authorization_params: [].into(),
        token_params: [].into(),
        client_auth: strongroom::model::app::ClientAuth::Basic,
        ..OAuth::of("client")
    };
    App {
        kind: AppKind::OAuth(Box::new(oauth)),
        ..api_key_app(id)
    }
}

pub fn app_id(id: &str) -> AppId {
    AppId::parse(id).unwrap()
}

pub fn scopes(list: &[&str]) -> Scopes {
    Scopes::parse(list.iter().copied()).unwrap()
}

/// An owner of what is not empty.
pub fn owner(tenant: &str, user: &str) -> Owner {
    let tenant = (!tenant.is_empty()).then(|| TenantId::parse(tenant).unwrap());
    let user = (!user.is_empty()).then(|| UserId::parse(user).unwrap());
    Owner::new(tenant, user).unwrap()
}

/// The address of an owner's only token of an app.
pub fn address(app: &str, owner: &Owner) -> Address {
    Address {
        app: app_id(app),
        owner: owner.clone(),
        account: None,
        scopes: Scopes::default(),
    }
}

pub fn with_account(address: Address, account: &str) -> Address {
    let account = (!account.is_empty()).then(|| Account::parse(account).unwrap());
    Address { account, ..address }
}

pub fn with_scopes(address: Address, list: &[&str]) -> Address {
    Address {
        scopes: scopes(list),
        ..address
    }
}

pub fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// What a provider granted: valid for an hour.
pub fn grant(access_token: &str, refresh_token: Option<&str>) -> Granted {
    Granted {
        access_token: secret(access_token),
        token_type: "Bearer".into(),
        refresh_token: refresh_token.map(secret),
        id_token: None,
        expires_in_s: Some(3600),
        scopes: None,
        subject: None,
        brought: Default::default(),
    }
}

pub fn granted(access_token: &str, refresh_token: Option<&str>) -> NewCredential {
    NewCredential::Granted(grant(access_token, refresh_token))
}

/// Stores as the local operator.
pub fn store(vault: &Vault, address: Address, credential: NewCredential) -> Summary {
    let new = NewToken::of(address, credential);
    let receipt = vault.store_token(&Caller::local(), new).unwrap();
    receipt.wait().unwrap()
}

pub fn ask(address: &Address) -> Ask {
    Ask {
        app: address.app.clone(),
        owner: address.owner.clone(),
        account: address.account.clone(),
        scopes: None,
        min_ttl: Duration::ZERO,
        with_refresh_token: false,
    }
}

/// Fetches as the local operator what must be there and valid.
pub fn fresh(vault: &Vault, ask: &Ask) -> Handed {
    match vault.fetch(&Caller::local(), ask).unwrap() {
        Found::Fresh(handed) => *handed,
        other => panic!("{}", said(&other)),
    }
}

/// A fetch's outcome in one word, and the id where there is one.
pub fn said(found: &Found) -> String {
    match found {
        Found::Fresh(handed) => format!("fresh {}", handed.value.expose()),
        Found::Stale(..) => "stale".into(),
        Found::Reconnect(_, reason) => format!("reconnect {}", reason.as_str()),
        Found::Missing => "missing".into(),
    }
}

/// Makes an access key with these grants and calls with it.
pub fn key_with(vault: &Vault, grants: Vec<Grant>) -> Caller {
    let new = NewKey {
        name: "test".into(),
        grants,
        ..NewKey::default()
    };
    let (_, text): (AccessKey, _) = block_on(vault.add_key(&Caller::local(), new)).unwrap();
    vault.authenticate(Some(&text), "").unwrap()
}

/// Runs what is async. Not to be nested with `Receipt::wait`.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
