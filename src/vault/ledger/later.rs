//! What the ledger says of the indexes that came later than the vault's format: their own sum, and
//! how far they are filled.
//!
//! It promises: a ledger that an earlier version wrote says that they are not kept.
//! It never: counts what is written while they are not.

use serde::{Deserialize, Serialize};

use super::sum::Sum;
use crate::secret::{base64url, from_base64url};
use crate::vault::index::TokenKey;

/// How far the indexes that came later are filled.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::vault) enum Filled {
    /// They are not kept: an earlier version wrote last. What lies there means nothing.
    Not,
    /// What is written is entered; of what was there before, the tokens up to this key are.
    UpTo(Option<TokenKey>),
    /// Every token is entered.
    #[default]
    Whole,
}

impl Filled {
    /// True where the token that lies here is entered, whenever it was written.
    pub(in crate::vault) fn reaches(&self, place: &TokenKey) -> bool {
        match self {
            Self::Not => false,
            Self::UpTo(last) => last.is_some_and(|last| *place <= last),
            Self::Whole => true,
        }
    }
}

/// Their part of the ledger.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Later {
    pub(super) sum: Sum,
    pub(super) filled: Filled,
}

/// [`Later`] as it stands in the ledger.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredLater {
    count: u64,
    sum: [u64; 4],
    is_whole: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up_to: Option<String>,
}

impl Later {
    /// What is stored of it, where it is kept.
    pub(super) fn stored(&self) -> Option<StoredLater> {
        let up_to = match &self.filled {
            Filled::Not => return None,
            Filled::UpTo(last) => last.as_ref().map(|last| base64url(last)),
            Filled::Whole => None,
        };
        Some(StoredLater {
            count: self.sum.count,
            sum: self.sum.limbs,
            is_whole: self.filled == Filled::Whole,
            up_to,
        })
    }

    /// What was stored; `None` where it cannot be read.
    pub(super) fn of(stored: Option<StoredLater>) -> Option<Self> {
        let Some(stored) = stored else {
            return Some(Self {
                sum: Sum::default(),
                filled: Filled::Not,
            });
        };
        let last = stored.up_to.map(|text| {
            let bytes = from_base64url(&text)?;
            TokenKey::try_from(bytes.as_slice()).ok()
        });
        let filled = match (stored.is_whole, last) {
            (true, None) => Filled::Whole,
            (false, None) => Filled::UpTo(None),
            (false, Some(Some(last))) => Filled::UpTo(Some(last)),
            (true, Some(_)) | (false, Some(None)) => return None,
        };
        Some(Self {
            sum: Sum {
                count: stored.count,
                limbs: stored.sum,
            },
            filled,
        })
    }
}
