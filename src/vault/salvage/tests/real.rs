//! The same files by the way that everybody goes: `Vault::open`, `Vault::unlock`, and the
//! operations that hand out what is stored.
//!
//! It promises: what this way hands out is compared with what it handed out of the undamaged file.
//! It never: repeats a step of unlocking, but where it plants that one is left out.

use std::path::Path;
use std::sync::Arc;

use super::salvaging::lay_out;
use super::*;
use crate::model::access::Action;

/// One case in so many goes this way too. Eight bits a byte: every bit has its turn.
pub(super) const EVERY: u64 = 17;

/// How the vault is unlocked.
#[derive(Clone, Copy)]
pub(super) enum Unlocking {
    /// As it is.
    Whole,
    /// The planted fault: nobody adds up what the ledger counts, or looks at which header it is.
    WithoutLedger,
}

/// What a vault hands out, by what it is asked for.
pub(super) type Handed = BTreeMap<String, String>;

/// All that a vault hands out of these bytes.
pub(super) fn handed(bytes: &[u8], unlocker: &Unlocker, how: Unlocking) -> Result<Handed> {
    // Memory where there is such a place: it is made and thrown away with each case.
    let memory = Path::new("/dev/shm");
    let home = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let directory = home.as_ref().unwrap().path().join("vault");
    lay_out(bytes, &directory);
    std::fs::remove_file(directory.join("audit/0000000001.seg")).unwrap();
    let vault = Vault::open(&directory, Settings::default(), Clock::test(NOW))?;
    let unlocked = match how {
        Unlocking::Whole => vault.unlock(unlocker, ""),
        Unlocking::WithoutLedger => let_in(&vault, unlocker),
    };
    let all = unlocked.and_then(|()| read_all(&vault));
    vault.close()?;
    all
}

fn let_in(vault: &Vault, unlocker: &Unlocker) -> Result<()> {
    let header = Header::parse(&vault.store().header()?)?;
    let keys = Keyring::unlock(&header, unlocker)?;
    vault.let_in(Arc::new(keys), None).map(drop)
}

fn read_all(vault: &Vault) -> Result<Handed> {
    let me = Caller::local();
    let mut all = Handed::new();
    let text = |secret: Option<Secret<String>>| secret.map(|secret| secret.expose().clone());
    for shown in vault.apps(&me)? {
        let with_secret = vault.app_secrets(&me, Action::Fetch, &shown.app.id)?;
        let told = format!(
            "{:?} {:?}",
            with_secret.app,
            text(with_secret.client_secret)
        );
        all.insert(format!("app {}", shown.app.id), told);
    }
    for key in vault.keys(&me)? {
        all.insert(format!("key {}", key.id), format!("{key:?}"));
    }
    let mut cursor = None;
    loop {
        let page = vault.list(&me, &Filter::default(), 200, cursor.as_deref())?;
        for token in page.tokens {
            let (record, cold) = vault.reveal(&me, token.id)?;
            let (value, refresh) = (text(record.value), text(cold.refresh_token));
            let told = format!("{token:?} {value:?} {refresh:?} {:?}", cold.history);
            all.insert(format!("token {}", token.id), told);
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    for id in vault.interrupted(&me)? {
        all.insert(format!("refresh {id}"), String::new());
    }
    let mail = AppId::parse("mail")?;
    for owner in (0..4).map(owner) {
        if let Some(link) = vault.newest_link(&me, &mail, &owner)? {
            all.insert(format!("link {owner:?}"), format!("{:?}", link.id));
        }
    }
    Ok(all)
}

impl Image {
    /// How the real way ends, compared with what it handed out of the undamaged file.
    pub(super) fn judge_for_real(&self, bytes: &[u8], how: Unlocking) -> End {
        end_of(&self.handed, || handed(bytes, &self.unlocker(), how))
    }

    /// Both ways where it is this case's turn. They must agree: a check that the harness makes and
    /// the vault does not is a wrong that the harness alone would not see.
    pub(super) fn judge_both(&self, bytes: &[u8], case: u64) -> End {
        let end = self.judge(bytes, ALL_CHECKS);
        if !case.is_multiple_of(EVERY) {
            return end;
        }
        match (end, self.judge_for_real(bytes, Unlocking::Whole)) {
            (End::Whole, End::Whole) => End::Whole,
            (End::Refused(error), End::Refused(_)) => End::Refused(error),
            // The same in both: the harness tells, by records.
            (End::Wrong(what), End::Wrong(_)) => End::Wrong(what),
            (harness, vault) => End::Wrong(format!("{harness:?}, and the vault: {vault:?}")),
        }
    }
}

/// Goal: a vault that forgets its ledger is seen on the real way, and ours does not. Method: remove
/// each token's record in turn, unlock with and without adding up; change nothing and do both.
#[test]
fn f1_the_harness_sees_an_unlock_that_forgets_the_ledger() {
    let image = Image::new();
    let nothing = |_: &crate::store::Write| {};
    let bytes = changed_behind(&image, &nothing);
    for how in [Unlocking::Whole, Unlocking::WithoutLedger] {
        assert_eq!(image.judge_for_real(&bytes, how), End::Whole);
    }
    let tokens = image.rows.iter().filter(|row| row.0 == "tokens").step_by(8);
    for (_, key, _) in tokens {
        let bytes = changed_behind(&image, &|write| {
            write.remove_record(Records::Tokens, key).unwrap();
        });
        let forgetful = image.judge_for_real(&bytes, Unlocking::WithoutLedger);
        assert!(matches!(forgetful, End::Wrong(_)), "{forgetful:?}");
        let end = image.judge_for_real(&bytes, Unlocking::Whole);
        assert!(matches!(end, End::Refused(Error::Damaged(_))), "{end:?}");
    }
}
