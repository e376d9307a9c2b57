//! What a power cut may leave: the disk's log, walked through, and images of any moment in it.
//!
//! It promises: every image is one that POSIX allows: what was synced is there; of what was not,
//! any part, in any order, torn anywhere, for each file and each name by itself.
//! It never: copies a file that an image leaves as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use super::{Op, directory_of};

/// Size of the pieces in which disks write, in bytes.
const SECTOR_BYTES: usize = 512;

/// Names and files, as a disk holds them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tree {
    pub(crate) names: BTreeMap<String, u64>,
    pub(crate) files: BTreeMap<u64, Arc<Vec<u8>>>,
    pub(crate) directories: BTreeSet<String>,
}

impl Tree {
    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { file, offset, data } => self.write(*file, *offset, data),
            Op::SetLen { file, len } => {
                let len = usize::try_from(*len).expect("a small disk");
                self.bytes(*file).resize(len, 0);
            }
            Op::Link { name, file } => {
                self.names.insert(name.clone(), *file);
                self.files.entry(*file).or_default();
            }
            Op::Unlink(name) => {
                self.names.remove(name);
            }
            Op::Rename { from, to, file } => {
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
                self.files.entry(*file).or_default();
            }
            Op::MakeDirectory(name) => {
                self.directories.insert(name.clone());
            }
            Op::RemoveDirectory(name) => {
                self.directories.remove(name);
            }
            Op::Sync(_) | Op::SyncFailed(_) | Op::SyncDirectory(_) | Op::DropCache(_) => {}
        }
    }

    fn write(&mut self, file: u64, offset: u64, data: &[u8]) {
        let start = usize::try_from(offset).expect("a small disk");
        let bytes = self.bytes(file);
        if bytes.len() < start + data.len() {
            bytes.resize(start + data.len(), 0);
        }
        bytes[start..start + data.len()].copy_from_slice(data);
    }

    fn bytes(&mut self, file: u64) -> &mut Vec<u8> {
        Arc::make_mut(self.files.entry(file).or_default())
    }

    fn len(&self, file: u64) -> usize {
        self.files.get(&file).map_or(0, |bytes| bytes.len())
    }

    /// Whether there is a directory of this name; the top has none.
    pub(super) fn is_directory(&self, name: &str) -> bool {
        name.is_empty() || self.directories.contains(name)
    }

    /// Whether a name is taken.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name) || self.is_directory(name)
    }

    /// Refuses a name that is taken, or has no directory to be in.
    pub(super) fn is_free(&self, name: &str) -> io::Result<()> {
        if self.has(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        match self.is_directory(directory_of(name)) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The names in a directory.
    pub(super) fn inside(&self, directory: &str) -> impl Iterator<Item = &String> {
        let names = self.names.keys().chain(&self.directories);
        names.filter(move |name| directory_of(name) == directory)
    }

    /// Loses what lies in directories that are not there, and bytes that have no name; a name
    /// whose file was never written to has an empty one.
    fn settle(&mut self) {
        let all = self.directories.clone();
        let is_there = |name: &str| {
            let mut above = directory_of(name);
            while !above.is_empty() && all.contains(above) {
                above = directory_of(above);
            }
            above.is_empty()
        };
        self.directories.retain(|name| is_there(name));
        self.names.retain(|name, _| is_there(name));
        for file in self.names.values() {
            self.files.entry(*file).or_default();
        }
        let names = &self.names;
        self.files
            .retain(|file, _| names.values().any(|named| named == file));
    }
}

impl Tree {
    /// A number that tells this tree from others: equal trees have equal ones.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.directories.hash(&mut hasher);
        for (name, file) in &self.names {
            name.hash(&mut hasher);
            self.files.get(file).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Where chance comes from: a number below `bound`.
pub(crate) trait Chance {
    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize;
}

/// A walk through the log.
#[derive(Clone)]
pub(crate) struct Replay {
    durable: Tree,
    /// What waits for a sync, in order.
    waiting: Vec<usize>,
    log: Arc<[Op]>,
    at: usize,
}

impl Replay {
    pub(super) fn new(base: Tree, log: Arc<[Op]>) -> Self {
        Self {
            durable: base,
            waiting: Vec::new(),
            log,
            at: 0,
        }
    }

    /// Operations before this moment.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The operation that comes next.
    pub(crate) fn next(&self) -> Option<&Op> {
        self.log.get(self.at)
    }

    /// Goes one operation on; false at the end.
    pub(crate) fn advance(&mut self) -> bool {
        let log = Arc::clone(&self.log);
        let Some(op) = log.get(self.at) else {
            return false;
        };
        match op {
            Op::Sync(synced) => self.settle(true, |op| file_of(op) == Some(*synced)),
            Op::SyncFailed(lost) => self.settle(false, |op| file_of(op) == Some(*lost)),
            Op::SyncDirectory(synced) => self.settle(true, |op| {
                name_of(op).is_some_and(|name| directory_of(name) == synced)
            }),
            // Whoever drops the cache has synced before: what still waits is lost with it.
            Op::DropCache(_) => {}
            Op::Write { .. }
            | Op::SetLen { .. }
            | Op::Link { .. }
            | Op::Unlink(_)
            | Op::Rename { .. }
            | Op::MakeDirectory(_)
            | Op::RemoveDirectory(_) => self.waiting.push(self.at),
        }
        self.at += 1;
        true
    }

    /// What waits and is meant becomes durable, or is lost.
    fn settle(&mut self, kept: bool, is_meant: impl Fn(&Op) -> bool) {
        let log = Arc::clone(&self.log);
        let waiting = std::mem::take(&mut self.waiting);
        for index in waiting {
            if !is_meant(&log[index]) {
                self.waiting.push(index);
            } else if kept {
                self.durable.apply(&log[index]);
            }
        }
    }

    /// What is durable at the end of the log.
    pub(super) fn durable(mut self) -> Tree {
        while self.advance() {}
        self.durable.settle();
        self.durable
    }

    /// One of the things that a power cut at this moment may leave.
    pub(crate) fn image(&self, chance: &mut impl Chance) -> Tree {
        let mut image = self.durable.clone();
        let mut files: Vec<u64> = self.waiting().filter_map(file_of).collect();
        files.sort_unstable();
        files.dedup();
        for file in files {
            self.leave(file, &mut image, chance);
        }
        // Names: none, all, or any.
        let how = chance.below(3);
        for op in self.waiting().filter(|op| name_of(op).is_some()) {
            if how == 1 || (how == 2 && chance.below(2) == 0) {
                image.apply(op);
            }
        }
        image.settle();
        image
    }

    fn waiting(&self) -> impl Iterator<Item = &Op> {
        self.waiting.iter().map(|index| &self.log[*index])
    }

    /// Leaves a part of what waits for one file's sync.
    fn leave(&self, file: u64, image: &mut Tree, chance: &mut impl Chance) {
        let mut ops: Vec<&Op> = self
            .waiting()
            .filter(|op| file_of(op) == Some(file))
            .collect();
        let durable_len = image.len(file);
        let mut full = image.clone();
        match chance.below(7) {
            // Nothing.
            0 => return,
            // Everything.
            1 => ops.iter().for_each(|op| image.apply(op)),
            // All up to one moment.
            2 => {
                let kept = chance.below(ops.len() + 1);
                ops[..kept].iter().for_each(|op| image.apply(op));
            }
            // Any of it, in order.
            3 => ops
                .iter()
                .filter(|_| chance.below(2) == 0)
                .for_each(|op| image.apply(op)),
            // Any of it, in any order.
            4 => {
                for place in (1..ops.len()).rev() {
                    ops.swap(place, chance.below(place + 1));
                }
                let kept = chance.below(ops.len() + 1);
                ops[..kept].iter().for_each(|op| image.apply(op));
            }
            // Any sector of it.
            5 => {
                for op in &ops {
                    tear_at_sectors(op, image, chance);
                }
            }
            // All up to one moment, and the next one up to one byte.
            _ => {
                let torn = chance.below(ops.len());
                ops[..torn].iter().for_each(|op| image.apply(op));
                tear_at_byte(ops[torn], image, chance);
            }
        }
        // The length is kept or lost apart from the bytes.
        match chance.below(4) {
            0 => image.bytes(file).truncate(durable_len),
            1 => {
                ops.iter().for_each(|op| full.apply(op));
                let len = full.len(file).max(image.len(file));
                image.bytes(file).resize(len, 0);
            }
            _ => {}
        }
    }
}

fn tear_at_sectors(op: &Op, image: &mut Tree, chance: &mut impl Chance) {
    let Op::Write { file, offset, data } = op else {
        if chance.below(2) == 0 {
            image.apply(op);
        }
        return;
    };
    let mut start = 0;
    while start < data.len() {
        let place = *offset as usize + start;
        let end = data.len().min(start + SECTOR_BYTES - place % SECTOR_BYTES);
        if chance.below(2) == 0 {
            image.write(*file, place as u64, &data[start..end]);
        }
        start = end;
    }
}

fn tear_at_byte(op: &Op, image: &mut Tree, chance: &mut impl Chance) {
    let Op::Write { file, offset, data } = op else {
        return;
    };
    let cut = chance.below(data.len() + 1);
    if chance.below(2) == 0 {
        image.write(*file, *offset, &data[..cut]);
    } else {
        image.write(*file, *offset + cut as u64, &data[cut..]);
    }
}

/// The file whose sync an operation waits for.
fn file_of(op: &Op) -> Option<u64> {
    match op {
        Op::Write { file, .. } | Op::SetLen { file, .. } => Some(*file),
        _ => None,
    }
}

/// The name whose directory's sync an operation waits for.
fn name_of(op: &Op) -> Option<&str> {
    match op {
        Op::Link { name, .. }
        | Op::Unlink(name)
        | Op::Rename { to: name, .. }
        | Op::MakeDirectory(name)
        | Op::RemoveDirectory(name) => Some(name),
        _ => None,
    }
}
