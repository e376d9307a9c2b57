//! Nothing readable in the file (DESIGN 3; D3).

use std::path::Path;

use strongroom::model::access::{Action, Caller, Grant};
use strongroom::model::beside::Brought;
use strongroom::model::link::{LinkApp, LinkAppState, Proof};
use strongroom::model::token::Grant as Granted;
use strongroom::model::{Name, Owner};
use strongroom::secret::{base64url, hex};
use strongroom::vault::{KdfParams, NewCredential, NewLink, RefreshAsk, Settings, Unlocker};

use crate::support::*;

/// Every byte of every file below `directory`.
fn bytes_below(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(bytes_below(&path));
        } else {
            all.extend(std::fs::read(&path).unwrap());
        }
    }
    all
}

/// The forms in which a word would be readable: as it is, in hexadecimal digits of either case, and
/// in both base64 alphabets at each of the three places it can have within a longer text.
fn forms(word: &[u8]) -> Vec<Vec<u8>> {
    let digits = hex(word);
    let mut forms = vec![
        word.to_vec(),
        digits.clone().into_bytes(),
        digits.to_uppercase().into_bytes(),
    ];
    for shift in 0..3 {
        let shifted = [vec![0; shift], word.to_vec()].concat();
        let text = base64url(&shifted);
        // Digits at either end hold bits of what stands around the word.
        let (from, to) = (
            shift * 4 / 3 + usize::from(shift > 0),
            shifted.len() * 4 / 3,
        );
        let inner = &text[from..to];
        forms.push(inner.as_bytes().to_vec());
        forms.push(inner.replace('-', "+").replace('_', "/").into_bytes());
    }
    forms
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Goal: the search itself finds what is there. Method: plant a word in each form.
#[test]
fn d3_the_search_finds_what_is_planted() {
    let word = b"alice@example.com";
    let standard = base64url(b"xxalice@example.com, and more");
    for planted in [hex(word), base64url(b"say alice@example.com"), standard] {
        let bytes = format!("....{planted}....").into_bytes();
        assert!(forms(word).iter().any(|form| holds(&bytes, form)));
    }
    assert!(!forms(word).iter().any(|form| holds(b"nothing here", form)));
}

fn name(name: &str) -> Name {
    Name::parse(name).unwrap()
}

fn link(app: &str, whose: Owner) -> NewLink {
    NewLink {
        apps: vec![LinkApp {
            app: app_id(app),
            scopes: scopes(&["needle-scope-link"]),
            account: None,
            hints: Default::default(),
            variables: Default::default(),
            state: LinkAppState::Waiting,
        }],
        owner: whose,
        proof: Proof::Code,
        return_url: None,
        opener_origin: None,
        life: std::time::Duration::from_secs(600),
    }
}

/// Fills a vault with one of each kind of record; every name and secret of it comes back.
fn fill() -> (Disk, Vec<String>) {
    let (disk, vault) = Disk::create(Settings::default());
    let me = Caller::local();
    let apps = ["needle-mail-app", "needle-maps-app"];
    add_app(&vault, oauth_app(apps[0]));
    add_app(&vault, api_key_app(apps[1]));
    let whose = owner("needle-tenant-01", "needle-user-0001");
    let mail = with_account(address(apps[0], &whose), "needle-account-1");
    let mail = with_scopes(mail, &["needle-scope-read"]);
    let brought = Brought {
        label: Some("needle-label-001".into()),
        metadata: [(name("needle-meta-name"), "needle-meta-text".into())].into(),
        secrets: [(name("needle-part-name"), secret("needle-part-text"))].into(),
        ..Brought::default()
    };
    let granted = Granted {
        id_token: Some(secret("needle-id-token-1")),
        subject: Some("needle-subject-1".into()),
        brought: Box::new(brought),
        ..grant("needle-access-token", Some("needle-refresh-token"))
    };
    let stored = store(&vault, mail, NewCredential::Granted(granted));
    let key = NewCredential::ApiKey(secret("needle-api-key-01"));
    store(&vault, address(apps[1], &whose), key);
    let ask = RefreshAsk {
        id: stored.id,
        rejected: None,
    };
    vault.begin_refresh(&me, ask).unwrap().wait().unwrap();
    let made = vault.make_link(&me, link(apps[0], whose)).unwrap();
    let made = made.wait().unwrap();
    key_with(&vault, vec![Grant::everywhere(Action::ALL.into())]);
    let file = Unlocker::key_file(strongroom::secret::Secret::new(
        b"needle-key-file-0123456789abcdef-0123456789".to_vec(),
    ));
    vault
        .add_slot(&me, file.unwrap(), "label", KdfParams::FLOOR)
        .unwrap();
    vault.close().unwrap();
    // `sr_<id>_<secret>`; the secret may hold a `_` of its own.
    let secret_of_key = disk.access_key.splitn(3, '_').nth(2).unwrap().to_owned();
    let mut words: Vec<String> = apps.map(str::to_owned).to_vec();
    words.extend([PASSPHRASE.to_owned(), disk.recovery.clone(), secret_of_key]);
    words.extend([made.ticket.expose().clone(), disk.recovery.replace('-', "")]);
    let named = [
        "needle",
        "client-secret-of",
        "needle-tenant-01",
        "needle-user-0001",
        "needle-account-1",
        "needle-scope-read",
        "needle-access-token",
        "needle-refresh-token",
        "needle-id-token-1",
        "needle-subject-1",
        "needle-label-001",
        "needle-meta-name",
        "needle-meta-text",
        "needle-part-name",
        "needle-part-text",
        "needle-api-key-01",
        "needle-key-file",
        "first admin",
        "https://",
    ];
    words.extend(named.map(str::to_owned));
    // What is too short would be found by chance.
    assert!(words.iter().all(|word| word.len() >= 6), "{words:?}");
    (disk, words)
}

/// Goal: a stolen data directory names nobody and nothing. Method: fill a vault with one of each
/// kind of record, close it, and look for every name and secret in every form in every file.
#[test]
fn d3_no_name_and_no_secret_is_readable_in_the_data_directory() {
    let (disk, words) = fill();
    let bytes = bytes_below(&disk.directory);
    assert!(bytes.len() > 10_000);
    for word in words {
        for form in forms(word.as_bytes()) {
            let shown = String::from_utf8_lossy(&form).into_owned();
            assert!(!holds(&bytes, &form), "`{word}` is readable as `{shown}`");
        }
    }
}
