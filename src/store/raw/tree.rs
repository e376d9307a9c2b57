//! What the last two commits refer to: their trees, walked by page numbers.
//!
//! ```text
//! file   := magic:9 flags:u8 0:2 page size:u32 region head pages:u32 region data pages:u32 ..
//! slot   := at 64 and 192: version:u8 has root:u8 .. at 8: root:u64
//! number := order:5 0:19 region:20 index:20, from the highest bit: a page of 4096 << order bytes
//! branch := 2:u8 0:u8 n:u16 0:4 checksum:16*(n+1) number:u64*(n+1) (key end:u32)*n key*n
//! table  := 3:u8 pairs:u64 has root:u8 root:u64 .., under its name in the tree of a slot's root
//! ```
//!
//! It promises: a table is `whole` only where every page of it is what a page of it must be and it
//! holds as many pairs as its definition says; a walk visits a page once, and the tables that are
//! walked are ours, each once: a hostile file costs no more than it is long.
//! It never: takes a tree for the newest. Flags and numbers of commits are bytes like others.

use std::collections::HashSet;

use super::super::{HEADER_NAME, Index, Records};
use super::{PAGE, Pair, Place, Raw};
use crate::limits;

const BRANCH: u8 = 2;
const SLOTS: [u64; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
const NORMAL_TABLE: u8 = 3;
/// Levels of a tree: at least two children each, so 4 GiB of leaves have 20.
const DEPTH_MAX: u32 = 24;

/// What one commit refers to.
pub struct Tree {
    /// The tables whose definitions could be read.
    pub tables: Vec<Table>,
}

/// A table of a commit.
pub struct Table {
    /// Its name.
    pub name: Vec<u8>,
    /// How many pairs its definition says that it has.
    pub stated: u64,
    /// Everything of it could be walked, and that is as much as is stated.
    pub whole: bool,
    /// Its keys, and where their values lie.
    pub pairs: Vec<(Vec<u8>, Place)>,
}

impl Tree {
    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| table.name == name.as_bytes())
    }
}

impl Raw {
    /// The trees of the last two commits, as far as they can be walked; which is the newer is not
    /// told.
    pub fn trees(&self) -> Vec<Tree> {
        let head = self.window(0, PAGE);
        SLOTS
            .iter()
            .filter_map(|at| {
                let at = usize::try_from(*at).expect("it is small");
                let slot = head.get(at..at + SLOT_BYTES)?;
                self.tree(&head, long(slot, 8)?)
            })
            .collect()
    }

    fn tree(&self, head: &[u8], root: u64) -> Option<Tree> {
        let names = self.walk(head, root);
        let mut tables: Vec<Table> = Vec::new();
        for pair in &names.pairs {
            let is_known = tables.iter().any(|table| table.name == pair.key);
            if is_ours(&pair.key) && !is_known {
                tables.extend(self.table(head, pair));
            }
        }
        Some(Tree { tables }).filter(|tree| !tree.tables.is_empty())
    }

    fn table(&self, head: &[u8], pair: &Pair) -> Option<Table> {
        let (kind, rest) = pair.value.split_first()?;
        if *kind != NORMAL_TABLE {
            return None;
        }
        let stated = long(rest, 0)?;
        let walked = match rest.get(8)? {
            0 => Walk::default(),
            _ => self.walk(head, long(rest, 9)?),
        };
        Some(Table {
            name: pair.key.clone(),
            stated,
            whole: !walked.faulty && walked.pairs.len() as u64 == stated,
            pairs: walked
                .pairs
                .into_iter()
                .map(|pair| (pair.key, pair.place))
                .collect(),
        })
    }

    fn walk(&self, head: &[u8], root: u64) -> Walk {
        let mut walk = Walk::default();
        self.descend(head, root, DEPTH_MAX, &mut walk);
        walk
    }

    fn descend(&self, head: &[u8], number: u64, depth: u32, walk: &mut Walk) {
        let page = Geometry::of(head).place(number).filter(|_| depth > 0);
        let Some(at) = page.filter(|at| *at < self.length && walk.seen.insert(*at)) else {
            walk.faulty = true;
            return;
        };
        let page = self.window(at, PAGE << order(number));
        if page.first() != Some(&BRANCH) {
            walk.take(self.leaf(at));
            return;
        }
        let Some(branch) = Branch::read(&page) else {
            walk.faulty = true;
            return;
        };
        for (n, child) in branch.children.iter().enumerate() {
            let before = walk.pairs.len();
            self.descend(head, *child, depth - 1, walk);
            // A pointer that was changed may lead to a page that is sound and another's.
            let within = walk.pairs[before..].iter().all(|pair| {
                let low = n.checked_sub(1).map(|n| &branch.keys[n]);
                let high = branch.keys.get(n);
                low.is_none_or(|low| pair.key > *low) && high.is_none_or(|high| pair.key <= *high)
            });
            walk.faulty |= !within || walk.pairs.len() == before;
        }
    }
}

/// True for the name of a table of this store.
fn is_ours(name: &[u8]) -> bool {
    let records = Records::ALL.map(Records::name);
    let indexes = Index::ALL.map(Index::name);
    let mut names = records.into_iter().chain(indexes).chain([HEADER_NAME]);
    names.any(|known| known.as_bytes() == name)
}

#[derive(Default)]
struct Walk {
    pairs: Vec<Pair>,
    faulty: bool,
    /// The pages visited, by where they lie.
    seen: HashSet<u64>,
}

impl Walk {
    fn take(&mut self, leaf: super::Leaf) {
        self.faulty |= !leaf.whole;
        self.pairs.extend(leaf.pairs.into_iter().map(|pair| Pair {
            // Kept for table definitions alone, which are short: a walk holds keys, not values.
            value: match pair.value.len() {
                0..=limits::SALVAGE_DEFINITION_BYTES_MAX => pair.value,
                _ => Vec::new(),
            },
            ..pair
        }));
    }
}

struct Branch {
    children: Vec<u64>,
    keys: Vec<Vec<u8>>,
}

impl Branch {
    fn read(page: &[u8]) -> Option<Self> {
        let keys = usize::from(u16::from_le_bytes(page.get(2..4)?.try_into().ok()?));
        let numbers = 8 + 16 * (keys + 1);
        let ends = numbers + 8 * (keys + 1);
        let children = (0..=keys).map(|n| long(page, numbers + 8 * n));
        let mut start = ends + 4 * keys;
        let mut found = Vec::new();
        for n in 0..keys {
            let at = ends + 4 * n;
            let end = u32::from_le_bytes(page.get(at..at + 4)?.try_into().ok()?) as usize;
            found.push(page.get(start..end)?.to_vec());
            start = end;
        }
        Some(Self {
            children: children.collect::<Option<_>>()?,
            keys: found,
        })
    }
}

/// Where pages lie.
struct Geometry {
    region_head_pages: u64,
    region_data_pages: u64,
}

impl Geometry {
    fn of(head: &[u8]) -> Self {
        let short = |at: usize| {
            let bytes = head
                .get(at..at + 4)
                .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        Self {
            region_head_pages: u64::from(short(16)),
            region_data_pages: u64::from(short(20)),
        }
    }

    fn place(&self, number: u64) -> Option<u64> {
        let order = order(number);
        if PAGE << order > limits::SALVAGE_LEAF_BYTES_MAX {
            return None;
        }
        let index = number & (0xf_ffff >> order);
        let region = (number >> 20) & 0xf_ffff;
        let pages = 1
            + region * (self.region_head_pages + self.region_data_pages)
            + self.region_head_pages
            + (index << order);
        pages.checked_mul(PAGE as u64)
    }
}

fn order(number: u64) -> u32 {
    u32::try_from(number >> 59).expect("5 bits")
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
