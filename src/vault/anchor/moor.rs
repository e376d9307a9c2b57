//! Whether the vault's file and its anchor fit, and what becomes of them where they do not.
//!
//! It promises: each misfit has words of its own, with both commits in them where there are two.
//! It never: lets a misfit in without putting it on record.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::file::{self, Found};
use super::{Anchor, AnchorId, Mark};
use crate::error::{Error, Result};
use crate::seal::Keyring;
use crate::secret::random;
use crate::vault::Vault;
use crate::vault::access::Permit;
use crate::vault::ledger::Ledger;

/// What unlocking found about the anchor, let in.
pub(in crate::vault) struct Moored {
    pub(in crate::vault) anchor: Option<Arc<Anchor>>,
    /// Which anchor the ledger is to name from now on.
    wanted: Option<AnchorId>,
    /// What the operator's word let in.
    accepted: Option<String>,
    is_new: bool,
}

impl Vault {
    /// Compares the file with its anchor, and says whether the vault may be unlocked.
    ///
    /// # Errors
    /// [`Error::RolledBack`] where they do not fit and the operator has not accepted that;
    /// [`Error::Settings`] where the anchor must not be used.
    pub(in crate::vault) fn moor(
        &self,
        keys: &Keyring,
        ledger: &Ledger,
        digest: [u8; 32],
    ) -> Result<Moored> {
        let may_accept = self.0.accept_rollback.load(Ordering::Acquire);
        let accept = |why: Option<String>| match why {
            Some(why) if !may_accept => Err(Error::RolledBack(why)),
            why => Ok(why),
        };
        let Some(path) = &self.0.settings.anchor else {
            let why = ledger.anchor.map(|_| NONE_GIVEN.to_owned());
            return Ok(Moored {
                anchor: None,
                wanted: None,
                accepted: accept(why)?,
                is_new: false,
            });
        };
        self.check_place(path)?;
        let mut mark = Mark {
            anchor: random(),
            epoch: ledger.epoch,
            at: self.clock().now(),
            ledger: digest,
        };
        let found = file::look(path, keys)?;
        let known = match &found {
            Found::Mark(_, _, known) => Some(known),
            Found::Nothing | Found::Blank(_) | Found::Damaged(_) => None,
        };
        let why = match (&found, known) {
            (_, Some(known)) => misfit(ledger.anchor, known, &mark),
            (Found::Damaged(_), _) => Some(DAMAGED.to_owned()),
            (Found::Blank(_), _) => ledger.anchor.map(|_| DAMAGED.to_owned()),
            (Found::Nothing | Found::Mark(..), _) => ledger.anchor.map(|_| GONE.to_owned()),
        };
        let accepted = accept(why)?;
        let is_new = known.is_none();
        let (file, number) = match found {
            Found::Nothing => (file::create(path)?, 0),
            Found::Blank(file) | Found::Damaged(file) => (file, 0),
            Found::Mark(file, number, known) => {
                if accepted.is_none() {
                    mark.anchor = known.anchor;
                }
                (file, number)
            }
        };
        Ok(Moored {
            anchor: Some(Arc::new(Anchor::new(file, number, mark, keys))),
            wanted: Some(mark.anchor),
            accepted,
            is_new,
        })
    }

    /// An anchor that goes wherever the vault goes would say nothing.
    fn check_place(&self, path: &Path) -> Result<()> {
        let Some(directory) = self.directory() else {
            return Ok(());
        };
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        let place = std::fs::canonicalize(parent).map_err(|error| file::unusable(path, error))?;
        let home = std::fs::canonicalize(directory).map_err(|error| file::unusable(path, error))?;
        if place.starts_with(&home) {
            return Err(Error::Settings(
                "the anchor lies in the data directory and would be put back together with it; \
                 keep it elsewhere, best on another disk"
                    .into(),
            ));
        }
        let disk = |path: &Path| std::fs::metadata(path).map(|about| about.dev()).ok();
        if disk(&place) == disk(&home) {
            tracing::warn!(
                "the anchor lies on the vault's own disk: who puts back the whole disk puts back \
                 both"
            );
        }
        Ok(())
    }

    /// Puts on record what was accepted, writes the anchor's first mark, and has the ledger name
    /// it.
    pub(in crate::vault) fn settle_anchor(&self, permit: &Permit, moored: Moored) -> Result<()> {
        if let Some(why) = &moored.accepted {
            permit.record(&format!("accepted on the operator's word: {why}"), None)?;
            tracing::warn!("accepted on the operator's word: {why}");
            self.0.accept_rollback.store(false, Ordering::Release);
        }
        let view = self.store().read()?;
        let (ledger, digest) = Ledger::read_with_digest(permit.keys(), &view)?;
        drop(view);
        if let (Some(anchor), Some(path)) = (&moored.anchor, &self.0.settings.anchor) {
            if moored.is_new {
                permit.record("a new anchor is begun", None)?;
            }
            let mark = Mark {
                anchor: moored.wanted.unwrap_or_default(),
                epoch: ledger.epoch,
                at: self.clock().now(),
                ledger: digest,
            };
            let begun = anchor.begin(permit.keys(), mark);
            begun.map_err(|error| file::unusable(path, error))?;
            anchor.start()?;
        }
        if ledger.anchor != moored.wanted {
            let wanted = moored.wanted;
            let write = permit.write(None, move |tx| {
                tx.set_anchor(wanted);
                Ok(())
            })?;
            write.wait()?;
        }
        Ok(())
    }
}

const NONE_GIVEN: &str = "this vault has an anchor, and none was given: without it nobody can tell \
                          whether the file is the newest one";
const GONE: &str = "this vault has an anchor, and there is no file where it should be";
const DAMAGED: &str = "the anchor of this vault is damaged: its file cannot be read or does not \
                       authenticate";

/// Why a file at `now` does not fit the anchor's last mark; `None` where it does.
fn misfit(anchored: Option<AnchorId>, known: &Mark, now: &Mark) -> Option<String> {
    let ends = format!("the vault's file ends with commit {}", now.epoch);
    let saw = format!("its anchor saw commit {} on {}", known.epoch, known.at);
    if now.epoch < known.epoch {
        return Some(format!(
            "this is an older copy of the vault: {ends}, and {saw}"
        ));
    }
    if now.epoch == known.epoch {
        return (now.ledger != known.ledger).then(|| {
            format!(
                "this is another branch of the vault, as two copies that both went on leave it: \
                 {ends}, and {saw}, which was another one"
            )
        });
    }
    (anchored != Some(known.anchor)).then(|| {
        format!("this vault was run with another anchor, or with none, since: {ends}, and {saw}")
    })
}
