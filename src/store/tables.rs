//! The tables, by name: those of sealed records, and the indexes.
//!
//! It promises: a name is for ever: sealed records and the ledger are bound to it.
//! It never: says what a key is made of. That is the vault's.

use redb::TableDefinition;

use super::Definition;

/// Tables whose values are sealed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Records {
    /// Tokens.
    Tokens,
    /// Apps.
    Apps,
    /// Access keys.
    Keys,
    /// Connect links.
    Links,
    /// Refreshes that have begun.
    Intents,
    /// The ledger and the host.
    Meta,
}

impl Records {
    /// Every table.
    pub const ALL: [Self; 6] = [
        Self::Tokens,
        Self::Apps,
        Self::Keys,
        Self::Links,
        Self::Intents,
        Self::Meta,
    ];

    /// Every table the ledger counts.
    pub const COUNTED: [Self; 5] = [
        Self::Tokens,
        Self::Apps,
        Self::Keys,
        Self::Links,
        Self::Intents,
    ];

    /// The name, which sealed records are bound to.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Apps => "apps",
            Self::Keys => "keys",
            Self::Links => "links",
            Self::Intents => "intents",
            Self::Meta => "meta",
        }
    }

    pub(super) fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }
}

/// Tables whose values are addresses, or nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Index {
    /// Tokens by owner.
    Owners,
    /// Tokens by id.
    Ids,
    /// Tokens by the time they fall due.
    Due,
    /// The newest link of an owner and app.
    LinkOwners,
    /// Tokens of users within tenants, by user.
    Users,
    /// Tokens that wait for their owner: those whose state is not active.
    Waiting,
}

impl Index {
    /// Every index; the ledger counts them too.
    pub const ALL: [Self; 6] = [
        Self::Owners,
        Self::Ids,
        Self::Due,
        Self::LinkOwners,
        Self::Users,
        Self::Waiting,
    ];

    /// Those that a vault of an earlier version was made without. Everything in them follows from
    /// the tokens.
    pub const LATER: [Self; 2] = [Self::Users, Self::Waiting];

    /// True for one of [`Index::LATER`].
    pub fn came_later(self) -> bool {
        Self::LATER.contains(&self)
    }

    /// The name, which the ledger binds entries to.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owners => "owners",
            Self::Ids => "ids",
            Self::Due => "due",
            Self::LinkOwners => "link_owners",
            Self::Users => "users",
            Self::Waiting => "waiting",
        }
    }

    pub(super) fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }
}
