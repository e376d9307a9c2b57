//! Vaults full of tokens, made once a count by the library, and copied for whoever changes one.
//!
//! Measures nothing. A record is what an OAuth app with a long opaque token brings: an access token
//! of [`ACCESS_BYTES`] in the hot part, a refresh token of [`REFRESH_BYTES`] in the cold part,
//! about 1 KiB sealed in all, with its entries in three indexes.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strongroom::clock::{Clock, Timestamp};
use strongroom::model::access::{Caller, Role};
use strongroom::model::app::{App, AppKind, ClientAuth, Endpoints, OAuth};
use strongroom::model::url::WebUrl;
use strongroom::model::{Address, AppId, Owner, Scopes, UserId};
use strongroom::secret::Secret;
use strongroom::vault::{
    KdfParams, NewCredential, NewKey, NewToken, Receipt, Settings, Unlocker, Upload, Vault,
};
use tempfile::TempDir;

use crate::answers::{PLACE, digits};
use crate::plan::Plan;
use crate::{Outcome, machine};

/// The app of every token.
pub const APP: &str = "calendar";
/// What every access token begins with, before its user's digits.
pub const ACCESS: &str = "at-";
/// Length of an access token.
pub const ACCESS_BYTES: usize = 400;
/// Length of a refresh token.
pub const REFRESH_BYTES: usize = 64;
/// What opens every vault here, slowly.
pub const PASSPHRASE: &str = "benches measure seventeen quiet harbours";
/// Writes that wait at one time while a vault is filled: many commits of a whole group.
const OUTSTANDING: usize = 4096;
/// Whoever stores so many tokens is told how far it is.
const TELL_FROM: usize = 300_000;
/// Disk taken for each record while a set and a copy of it are there, generously.
const DISK_BYTES_A_RECORD: u64 = 12 * 1024;

/// What is known of a data set, beside its directory.
#[derive(Clone, Serialize, Deserialize)]
pub struct About {
    /// An access key that may do everything.
    pub admin: String,
    /// An access key of an MCP server: it fetches, connects and lists.
    pub reader: String,
    /// Opens the vault at once: no key derivation stands before it.
    pub recovery_code: String,
}

/// All data sets of a run.
pub struct Shelf {
    root: PathBuf,
    // Removed when the run ends.
    _scratch: Option<TempDir>,
    made: BTreeMap<usize, About>,
    kdf: KdfParams,
}

/// A copy of a data set, to be changed at will; gone with its handle.
pub struct Replica {
    home: TempDir,
    /// What is known of it.
    pub about: About,
    /// How many tokens it holds.
    pub records: usize,
}

impl Replica {
    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The store's file.
    pub fn file(&self) -> PathBuf {
        self.data().join("vault.redb")
    }

    /// Opens the vault at once.
    pub fn key_file(&self) -> PathBuf {
        self.home.path().join("key")
    }

    /// The vault in this process, unlocked.
    pub fn open(&self) -> Outcome<Vault> {
        let vault = Vault::open(&self.data(), Settings::default(), Clock::system())?;
        let code = Secret::new(self.about.recovery_code.clone());
        vault.unlock(&Unlocker::from_typed(code), "bench")?;
        Ok(vault)
    }
}

impl Shelf {
    /// An empty one.
    pub fn new(plan: &Plan) -> Outcome<Self> {
        let (root, scratch) = match &plan.keep {
            Some(root) => (root.clone(), None),
            None => {
                let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
                fs::create_dir_all(target)?;
                let scratch = tempfile::Builder::new()
                    .prefix("figures-")
                    .tempdir_in(target)?;
                (scratch.path().to_owned(), Some(scratch))
            }
        };
        fs::create_dir_all(&root)?;
        Ok(Self {
            root,
            _scratch: scratch,
            made: BTreeMap::new(),
            kdf: plan.choose(KdfParams::FLOOR, KdfParams::DEFAULT),
        })
    }

    /// A directory for whatever else a section needs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A fresh copy of a data set, which is made where it is not there yet.
    pub fn copy(&mut self, records: usize) -> Outcome<Replica> {
        let home = self.root.join(records.to_string());
        if !self.made.contains_key(&records) {
            let known = fs::read(home.join("about.json"));
            let about = match known {
                Ok(text) => serde_json::from_slice(&text)?,
                Err(_) => self.make(&home, records)?,
            };
            self.made.insert(records, about);
        }
        let copy = tempfile::Builder::new()
            .prefix("copy-")
            .tempdir_in(&self.root)?;
        copy_directory(&home, copy.path())?;
        Ok(Replica {
            home: copy,
            about: self.made[&records].clone(),
            records,
        })
    }

    fn make(&self, home: &Path, records: usize) -> Outcome<About> {
        machine::check_room(&self.root, records as u64 * DISK_BYTES_A_RECORD + (1 << 30))?;
        if home.exists() {
            // Begun by a run that was cut short.
            fs::remove_dir_all(home)?;
        }
        make_directory(home)?;
        let made = Vault::create(
            &home.join("data"),
            Secret::new(PASSPHRASE.to_owned()),
            self.kdf,
            Settings::default(),
            Clock::system(),
        )?;
        let (vault, me) = (made.vault, Caller::local());
        let key = [fastrand::u128(..), fastrand::u128(..)].map(u128::to_le_bytes);
        write_private(&home.join("key"), &key.concat())?;
        let unlocker = Unlocker::key_file(Secret::new(key.concat()))?;
        vault.add_slot(&me, unlocker, "bench", KdfParams::FLOOR)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let new = NewKey {
            name: "reader".into(),
            role: Some(Role::Server),
            ..NewKey::default()
        };
        let (_, reader) = runtime.block_on(vault.add_key(&me, new))?;
        vault
            .add_app(
                &me,
                app(vault.clock(), APP, "https://provider.example/token")?,
                None,
            )?
            .wait()?;
        fill(&vault, 0..records)?;
        vault.close()?;
        let about = About {
            admin: made.access_key.expose().clone(),
            reader: reader.expose().clone(),
            recovery_code: made.recovery_code.expose().clone(),
        };
        write_private(&home.join("about.json"), &serde_json::to_vec(&about)?)?;
        Ok(about)
    }
}

/// An OAuth app of a public client of the same name.
pub fn app(clock: &Clock, id: &str, token_url: &str) -> Outcome<App> {
    let url = |text: &str| WebUrl::parse("url", text);
    Ok(App {
        name: "Calendar".into(),
        return_urls: vec![],
        ..App::of(
            AppId::parse(id)?,
            AppKind::OAuth(Box::new(OAuth {
                by_hand: Endpoints {
                    authorization_url: Some(url("https://provider.example/authorize")?),
                    token_url: Some(url(token_url)?),
                    revocation_url: None,
                    ..Endpoints::default()
                },
                scopes: Scopes::parse(["calendar.read"])?,
                client_auth: ClientAuth::None,
                ..OAuth::of(id)
            })),
            clock.now(),
        )
    })
}

/// Stores the tokens of these users, in their order, many in each commit.
pub fn fill(vault: &Vault, users: impl ExactSizeIterator<Item = usize>) -> Outcome<()> {
    let me = Caller::local();
    // Whole seconds, so that every answer that tells it has one length.
    let now_s = vault.clock().now().unix_ms() / 1000;
    let end = Timestamp::from_unix_ms(now_s * 1000).plus(Duration::from_secs(100 * 86_400));
    let (all, mut waiting) = (users.len(), VecDeque::with_capacity(OUTSTANDING));
    for (done, user) in users.enumerate() {
        if waiting.len() == OUTSTANDING {
            waiting.pop_front().map_or(Ok(()), settle)?;
        }
        let credential = NewCredential::Uploaded(Upload {
            access_token: Some(Secret::new(access_token(&digits(user)))),
            refresh_token: Some(Secret::new(refresh_token(&digits(user)))),
            expires_at: Some(end),
            ..Upload::default()
        });
        let address = Address {
            app: AppId::parse(APP)?,
            owner: owner(user)?,
            account: None,
            scopes: Scopes::parse(["calendar.read"])?,
        };
        let new = NewToken::of(address, credential);
        waiting.push_back(vault.store_token(&me, new)?);
        if all >= TELL_FROM && done % (all / 10) == 0 {
            eprintln!("stored {done} of {all}");
        }
    }
    waiting.into_iter().try_for_each(settle)
}

fn settle<T>(receipt: Receipt<T>) -> Outcome<()> {
    receipt.wait().map(drop).map_err(Into::into)
}

/// The owner of a user's token.
pub fn owner(user: usize) -> Outcome<Owner> {
    Ok(Owner::User(UserId::parse(format!("u{}", digits(user)))?))
}

/// An access token; `whose` are a user's digits.
pub fn access_token(whose: &str) -> String {
    stretched(format!("{ACCESS}{whose}-"), ACCESS_BYTES)
}

/// A refresh token; `whose` are a user's digits.
pub fn refresh_token(whose: &str) -> String {
    stretched(format!("rt-{whose}-"), REFRESH_BYTES)
}

fn stretched(mut text: String, bytes: usize) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    text.extend(alphabet.chars().cycle().take(bytes - text.len()));
    text
}

/// The body that fetches a token, with a place for the user's digits.
pub fn fetch_body() -> String {
    format!(r#"{{"app":"{APP}","user":"u{PLACE}"}}"#)
}

fn write_private(path: &Path, bytes: &[u8]) -> Outcome<()> {
    fs::write(path, bytes)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?)
}

fn make_directory(path: &Path) -> Outcome<()> {
    Ok(DirBuilder::new().mode(0o700).create(path)?)
}

fn copy_directory(from: &Path, to: &Path) -> Outcome<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            make_directory(&to)?;
            copy_directory(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
