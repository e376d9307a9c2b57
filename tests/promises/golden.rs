//! A vault of each file format, kept and opened for ever (DESIGN 11).
//!
//! `tests/golden/v1` was written once, by [`d2_the_golden_vault_is_written_when_asked_for`], with
//! `STRONGROOM_WRITE_GOLDEN=1 cargo test --test promises golden`. It is never written over: a
//! format that changes takes a directory of its own. Only before the first release may it be
//! removed by hand and written anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom::clock::Clock;
use strongroom::model::access::{Action, Caller, Grant as AccessGrant, Role};
use strongroom::model::link::{LinkApp, LinkAppState, LinkStatus, Proof};
use strongroom::model::plan::Verdict;
use strongroom::model::token::{Grant, ReconnectReason, RefreshError, TokenState};
use strongroom::model::url::WebUrl;
use strongroom::model::{LinkId, TokenId};
use strongroom::secret::Secret;
use strongroom::vault::{
    Ask, Begin, Filter, KdfParams, NewCredential, NewKey, NewLink, RefreshAsk, Settings, Unlocker,
    Vault, Wreck,
};

use crate::support::*;

const KEY_FILE: &[u8; 40] = b"a key file of the golden vault, 40 bytes";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// What was handed out when the vault was made: name and value, a line each.
fn known() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(golden().join("known.txt")).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The golden vault, copied, since opening a vault may write to it.
fn copied() -> Disk {
    let known = known();
    let empty = tempfile::tempdir().unwrap();
    let directory = empty.path().join("data");
    copy_directory(&golden(), &directory);
    std::fs::remove_file(directory.join("known.txt")).unwrap();
    Disk {
        _home: empty,
        directory,
        clock: Clock::test(NOW.plus(Duration::from_secs(60))),
        recovery: known["recovery"].clone(),
        access_key: known["access_key"].clone(),
    }
}

/// The golden vault, unlocked: it was made on another host, whose vault it is not any more.
fn unlocked(disk: &Disk) -> Vault {
    let settings = Settings {
        accept_host: true,
        ..Settings::default()
    };
    let vault = Vault::open(&disk.directory, settings, disk.clock.clone()).unwrap();
    vault.unlock(&recovery(&disk.recovery), "").unwrap();
    vault
}

fn key_file() -> Unlocker {
    Unlocker::key_file(Secret::new(KEY_FILE.to_vec())).unwrap()
}

fn token_id(known: &BTreeMap<String, String>, name: &str) -> TokenId {
    TokenId::parse(&known[name]).unwrap()
}

fn mail() -> strongroom::model::Address {
    let place = with_account(address("mail", &owner("tenant", "user")), "work");
    with_scopes(place, &["mail.read", "mail.send"])
}

/// Everything a golden vault holds; what is handed out comes back.
fn furnish(vault: &Vault) -> Vec<(&'static str, String)> {
    let me = Caller::local();
    add_apps(vault);
    let granted = Grant {
        id_token: Some(secret("golden-id-token")),
        scopes: Some(scopes(&["mail.read"])),
        subject: Some("golden-subject".into()),
        ..grant("golden-access-token", Some("golden-refresh-token"))
    };
    let mail = store(vault, mail(), NewCredential::Granted(granted));
    let key = NewCredential::ApiKey(secret("golden-api-key"));
    let maps = store(vault, address("maps", &owner("tenant", "")), key);
    let begin = |id| {
        let ask = RefreshAsk { id, rejected: None };
        match vault.begin_refresh(&me, ask).unwrap().wait().unwrap() {
            Begin::Go(job) => job,
            _ => panic!("no refresh"),
        }
    };
    let doomed = address("mail", &owner("", "user"));
    let dead = store(vault, doomed, self::granted("dead", Some("dead")));
    let job = begin(dead.id);
    let error = RefreshError {
        code: "invalid_grant".into(),
        description: "gone".into(),
        at: NOW,
    };
    let verdict = Verdict::Dead(ReconnectReason::Revoked, error);
    let finished = vault.finish_refresh(&me, &job, verdict).unwrap();
    finished.wait().unwrap();
    begin(mail.id);
    let link = NewLink {
        apps: vec![LinkApp {
            app: app_id("mail"),
            scopes: scopes(&["mail.read"]),
            account: None,
            hints: Default::default(),
            variables: Default::default(),
            state: LinkAppState::Waiting,
        }],
        owner: owner("tenant", "user"),
        proof: Proof::Code,
        return_url: Some(WebUrl::parse("url", "https://app.example/back").unwrap()),
        opener_origin: None,
        life: Duration::from_secs(600),
    };
    let made = vault.make_link(&me, link).unwrap().wait().unwrap();
    vault
        .add_slot(&me, key_file(), "golden", KdfParams::FLOOR)
        .unwrap();
    vec![
        ("mail", mail.id.to_string()),
        ("maps", maps.id.to_string()),
        ("dead", dead.id.to_string()),
        ("link", made.link.id.to_string()),
        ("ticket", made.ticket.expose().clone()),
        ("code", made.code.unwrap().expose().clone()),
    ]
}

/// Writes the golden vault, where that is asked for and there is none. Else there is nothing to do.
#[test]
fn d2_the_golden_vault_is_written_when_asked_for() {
    if std::env::var("STRONGROOM_WRITE_GOLDEN").as_deref() != Ok("1") {
        return;
    }
    assert!(!golden().exists(), "there is one already, which stays");
    let (disk, vault) = Disk::create(Settings::default());
    let mut known = furnish(&vault);
    let new = NewKey {
        name: "golden server".into(),
        role: Some(Role::Server),
        grants: vec![AccessGrant {
            scopes: Some(scopes(&["mail.read"])),
            ..AccessGrant::everywhere([Action::Reveal].into())
        }],
        return_urls: vec![WebUrl::parse("url", "https://app.example/back").unwrap()],
        connect_verify: vec![Proof::Code],
        ..NewKey::default()
    };
    let (_, text) = block_on(vault.add_key(&Caller::local(), new)).unwrap();
    known.push(("server_key", text.expose().clone()));
    known.push(("recovery", disk.recovery.clone()));
    known.push(("access_key", disk.access_key.clone()));
    vault.close().unwrap();
    std::fs::create_dir_all(golden().parent().unwrap()).unwrap();
    copy_directory(&disk.directory, &golden());
    let lines: String = known
        .iter()
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect();
    std::fs::write(golden().join("known.txt"), lines).unwrap();
}

/// Goal: format 1 is opened for ever. Method: each of the three ways in.
#[test]
fn d2_the_golden_vault_opens_by_passphrase_code_and_key_file() {
    let disk = copied();
    let ways = [passphrase(PASSPHRASE), recovery(&disk.recovery), key_file()];
    for way in &ways {
        let vault = disk.open();
        vault.unlock(way, "").unwrap();
        let slots = vault.slots().unwrap();
        let kinds: Vec<_> = slots.iter().map(|slot| slot.kind).collect();
        assert_eq!(kinds, ["passphrase", "recovery code", "key file"]);
        assert_eq!(slots[2].label, "golden");
        assert_eq!(slots[0].created_at, NOW);
        vault.close().unwrap();
    }
}

/// Goal: every kind of record of format 1 is read. Method: each, field by field.
#[test]
fn d2_every_record_of_the_golden_vault_is_read() {
    let (disk, known) = (copied(), known());
    let vault = unlocked(&disk);
    let me = Caller::local();
    let app = vault.app(&me, &app_id("mail")).unwrap();
    assert!(app.has_client_secret);
    assert_eq!(app.app, oauth_app("mail"));
    assert_eq!(vault.apps(&me).unwrap().len(), 2);
    let asked = Ask {
        with_refresh_token: true,
        ..ask(&mail())
    };
    let handed = fresh(&vault, &asked);
    assert_eq!(handed.id, token_id(&known, "mail"));
    assert!(handed.value.equals(b"golden-access-token"));
    assert!(
        handed
            .refresh_token
            .unwrap()
            .equals(b"golden-refresh-token")
    );
    assert_eq!(handed.expires_at, Some(NOW.plus(Duration::from_secs(3600))));
    assert_eq!(handed.scopes, scopes(&["mail.read"]));
    assert_eq!(handed.account, mail().account);
    assert_eq!(handed.subject.as_deref(), Some("golden-subject"));
    let (record, cold) = vault.reveal(&me, handed.id).unwrap();
    assert_eq!(record.address, mail());
    assert_eq!((record.created_at, record.lifetime_s), (NOW, Some(3600)));
    assert!(cold.id_token.unwrap().equals(b"golden-id-token"));
    assert_eq!(cold.history[0].what, "connected");
    let maps = fresh(&vault, &ask(&address("maps", &owner("tenant", ""))));
    assert_eq!(maps.id, token_id(&known, "maps"));
    assert!(maps.value.equals(b"golden-api-key"));
    let dead = vault.token(&me, token_id(&known, "dead")).unwrap();
    let revoked = TokenState::ReconnectRequired(ReconnectReason::Revoked);
    assert_eq!(dead.state, revoked);
    assert_eq!(dead.last_refresh_error.unwrap().description, "gone");
    let (due, next) = vault.due(&me, NOW, 10).unwrap();
    assert!(due.is_empty() && next.is_some());
}

/// Goal: the indexes that came later are filled in a vault of format 1, and lists by user and by
/// state answer alike before and after. Method: list at once, then when a check says that they are;
/// the vault is whole at both times.
#[test]
fn d2_the_golden_vault_gets_the_indexes_that_came_later() {
    let (disk, known) = (copied(), known());
    let vault = unlocked(&disk);
    let me = Caller::local();
    let listed = |filter: &Filter| -> Vec<TokenId> {
        let page = vault.list(&me, filter, 10, None).unwrap();
        page.tokens.iter().map(|token| token.id).collect()
    };
    let by_user = Filter {
        user: owner("", "user").user().cloned(),
        ..Filter::default()
    };
    let by_state = Filter {
        active: Some(false),
        ..Filter::default()
    };
    let (mail, dead) = (token_id(&known, "mail"), token_id(&known, "dead"));
    let check = || {
        let of_user = listed(&by_user);
        assert_eq!(of_user.len(), 2);
        assert!(of_user.contains(&mail) && of_user.contains(&dead));
        assert_eq!(listed(&by_state), [dead]);
        assert_eq!(vault.waiting(&me, 10).unwrap().by_app[&app_id("mail")], 1);
        let report = vault.check(&me, &mut |_, _| Ok(())).unwrap();
        assert!(report.is_whole(), "{report:?}");
        report.not_filled.is_empty()
    };
    let begun = std::time::Instant::now();
    while !check() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never filled");
    }
    assert!(check());
    vault.close().unwrap();
    let report = Vault::check_at(
        &disk.directory,
        Some(&recovery(&disk.recovery)),
        &mut |_, _| Ok(()),
    );
    let report = report.unwrap();
    assert!(report.is_whole() && report.not_filled.is_empty());
    assert_eq!((report.entries["users"], report.entries["waiting"]), (1, 1));
    // What was made before there were these indexes is salvaged and proven without them.
    let golden = copied();
    let into = golden.directory.with_file_name("saved");
    let wreck = Wreck::open(&golden.directory).unwrap();
    let told = wreck
        .salvage(
            &recovery(&disk.recovery),
            &into,
            Clock::test(NOW),
            &|_, _, _| {},
        )
        .unwrap();
    assert!(told.complete && told.proven, "{told:?}");
    let saved = Vault::check_at(&into, Some(&recovery(&disk.recovery)), &mut |_, _| Ok(()));
    let saved = saved.unwrap();
    assert!(saved.is_whole() && saved.not_filled.is_empty(), "{saved:?}");
    assert_eq!((saved.entries["users"], saved.entries["waiting"]), (1, 1));
}

/// Goal: what waits in a vault of format 1 goes on. Method: the open intent, the link, the keys,
/// the trail.
#[test]
fn d2_what_was_under_way_in_the_golden_vault_goes_on() {
    let (disk, known) = (copied(), known());
    let vault = unlocked(&disk);
    let me = Caller::local();
    let mail = token_id(&known, "mail");
    assert_eq!(vault.interrupted(&me).unwrap(), [mail]);
    let ask = RefreshAsk {
        id: mail,
        rejected: None,
    };
    let Begin::Go(job) = vault.begin_refresh(&me, ask).unwrap().wait().unwrap() else {
        panic!("no refresh")
    };
    assert!(job.uncertain && job.refresh_token.equals(b"golden-refresh-token"));
    let client_secret = job.app.client_secret.unwrap();
    assert!(client_secret.equals(b"client-secret-of-mail"));
    let id = LinkId::parse(&known["link"]).unwrap();
    let link = vault.link(&me, id).unwrap();
    assert_eq!(link.status(disk.clock.now()), LinkStatus::Issued);
    let (person, link) = vault
        .visit(&secret(&known["ticket"]), None, "")
        .unwrap()
        .unwrap();
    vault.bind_browser(&person, &link).unwrap().wait().unwrap();
    let typed = vault.try_code(&person, &link, secret(&known["code"]));
    assert!(typed.unwrap().wait().unwrap().proven);
    let names: Vec<String> = vault
        .keys(&me)
        .unwrap()
        .iter()
        .map(|key| key.name.clone())
        .collect();
    assert_eq!(names, ["first admin", "golden server"]);
    let server = secret(&known["server_key"]);
    let server = vault.authenticate(Some(&server), "").unwrap();
    let key = server.key().unwrap();
    assert_eq!((key.role, key.grants.len()), (Some(Role::Server), 2));
    let admin = vault
        .authenticate(Some(&secret(&disk.access_key)), "")
        .unwrap();
    // Made before there were backups, an admin key may do everything all the same.
    let backups = tempfile::tempdir().unwrap();
    let backup = vault.backup(&admin, backups.path(), &mut |_, _| Ok(()));
    let report = crate::backups::check(&disk, &backup.unwrap().file).unwrap();
    assert!(report.is_whole(), "{report:?}");
    let verified = vault.verify_audit(&me).unwrap();
    assert_eq!(verified.problems, [""; 0]);
    assert!(verified.entries > 10);
    let page = vault.audit(&me, None, 1000).unwrap();
    assert_eq!(page.entries.last().unwrap().seq, 1);
}
