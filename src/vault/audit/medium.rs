//! Where segments lie: a directory, and what is done to the files in it.
//!
//! It promises: whatever the trail does to a disk it does here, in a few operations, on the file
//! system or on what the harnesses put in its place (`store::Medium`).
//! It never: follows a symbolic link, or knows what a segment holds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::limits;
use crate::store::{Body, Medium, file_system};

/// The trail's directory.
#[derive(Clone)]
pub(in crate::vault) struct Directory {
    medium: Arc<dyn Medium>,
    path: PathBuf,
}

/// An open segment.
pub(super) struct Handle(Arc<dyn Body>);

impl From<&Path> for Directory {
    fn from(path: &Path) -> Self {
        Self::on(&file_system(), path)
    }
}

#[cfg(test)]
impl From<std::fs::File> for Handle {
    fn from(file: std::fs::File) -> Self {
        Self(Arc::new(file))
    }
}

impl Directory {
    /// A directory of a medium.
    pub(in crate::vault) fn on(medium: &Arc<dyn Medium>, path: &Path) -> Self {
        Self {
            medium: Arc::clone(medium),
            path: path.to_owned(),
        }
    }

    /// Its path.
    pub(in crate::vault) fn path(&self) -> &Path {
        &self.path
    }

    /// What it lies on.
    pub(in crate::vault) fn medium(&self) -> &Arc<dyn Medium> {
        &self.medium
    }

    /// A segment is closed and the next begun at this length, in bytes.
    pub(super) fn segment_bytes_max(&self) -> u64 {
        self.medium.part_bytes_max()
    }

    /// The numbers of the segments, in order.
    pub(super) fn numbers(&self) -> io::Result<Vec<u64>> {
        let names = self.medium.names(&self.path)?;
        let numbers = names.iter().filter_map(|name| number(name.to_str()?));
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes segment `number`, which must not be there.
    pub(super) fn create(&self, number: u64) -> io::Result<Handle> {
        self.medium.create(&self.segment(number)).map(Handle)
    }

    /// Opens segment `number`.
    pub(super) fn open(&self, number: u64, to_append: bool) -> io::Result<Handle> {
        let segment = self.segment(number);
        self.medium.open(&segment, to_append).map(Handle)
    }

    /// How long segment `number` is, where there is one and it is a file.
    pub(super) fn length(&self, number: u64) -> Option<u64> {
        self.medium.length(&self.segment(number))
    }

    /// Takes segment `number` away.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        self.medium.remove(&self.segment(number))
    }

    /// Keeps a copy of segment `number` under another name, for whoever looks into what happened.
    pub(super) fn set_aside(&self, number: u64) -> io::Result<()> {
        let from = self.open(number, false)?;
        let Some(to) = self.free_place_aside(number)? else {
            tracing::warn!(
                number,
                "a damaged audit segment is not kept aside once more"
            );
            return Ok(());
        };
        let (mut at, end) = (0, from.len()?);
        let mut buffer = vec![0; limits::COPY_BUFFER_BYTES];
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let some = left.min(buffer.len());
            from.read_exact_at(&mut buffer[..some], at)?;
            to.append(&buffer[..some])?;
            at += some as u64;
        }
        to.sync()?;
        self.sync()
    }

    /// A new file for what is kept aside: what an earlier unlock kept there is never written over.
    fn free_place_aside(&self, number: u64) -> io::Result<Option<Arc<dyn Body>>> {
        for copy in 1..=limits::AUDIT_ASIDE_MAX {
            let extension = match copy {
                1 => "damaged".to_owned(),
                _ => format!("damaged-{copy}"),
            };
            let place = self.segment(number).with_extension(extension);
            match self.medium.create(&place) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(Some),
            }
        }
        Ok(None)
    }

    /// Makes new names durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.medium.sync_directory(&self.path)
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:010}.seg"))
    }
}

impl Handle {
    /// The length, in bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        self.0.length()
    }

    /// Fills `out` from `offset` on.
    pub(super) fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    /// Writes behind the last byte.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    /// Cuts what is behind `len`.
    pub(super) fn cut(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    /// Makes everything written durable, and has the next read tell what the disk holds: of a file
    /// whose sync failed earlier, perhaps in another process, the kernel remembers what never
    /// reached the disk, and says that all is well.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.sync()?;
        self.0.drop_cache()
    }

    /// Makes everything written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}
