//! Copies of a store: record by record from a view of one that is in use, and byte by byte from a
//! file that is not.
//!
//! It promises: D4 a copy holds exactly what one view saw, sealed bytes as they are; it is made
//! exclusively, readable by its owner alone, and on the disk with its name before a copy returns;
//! a copy that failed is taken away.
//! It never: holds up the writer or another reader. A view keeps the pages it saw from being used
//! again, so that the source grows while a copy is made and writes go on.

use std::path::Path;

use redb::ReadableTableMetadata;

use super::medium::{Medium, sync_parent_of, take_away};
use super::name::Name;
use super::view::storage;
use super::{Definition, HEADER, Index, Read, Records, Scan, Store, View, file};
use crate::error::{Error, Result};
use crate::limits;

/// Told how much is done of how much; an error ends what it watches.
pub type Progress<'p> = dyn FnMut(u64, u64) -> Result<()> + 'p;

impl Read {
    /// How many entries all tables hold together.
    ///
    /// # Errors
    /// [`Error::Storage`] where the disk fails.
    pub fn entries(&self) -> Result<u64> {
        let mut entries = 0;
        for table in tables() {
            if let Some(table) = self.table(table)? {
                entries += table.len().map_err(storage)?;
            }
        }
        Ok(entries)
    }

    /// Copies everything this view sees into a new file, which is closed then. How many entries
    /// there are comes back.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the file exists; [`Error::Storage`] where the disk refuses; what
    /// `progress` answers.
    pub fn copy_to(
        &self,
        medium: &dyn Medium,
        path: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<u64> {
        let file = medium.store_file(path, true)?;
        let copied = Store::on(file, Name::of(medium, path), medium.cache_bytes())
            .and_then(|target| {
                let entries = self.fill(&target, progress)?;
                target.close()?;
                Ok(entries)
            })
            .and_then(|entries| {
                let synced = medium.open(path, false).and_then(|file| file.sync());
                synced.map_err(|error| {
                    Error::Storage(format!("cannot sync {}: {error}", path.display()))
                })?;
                sync_parent_of(medium, path)?;
                Ok(entries)
            });
        copied.inspect_err(|_| take_away(medium, path))
    }

    fn fill(&self, target: &Store, progress: &mut Progress<'_>) -> Result<u64> {
        let total = self.entries()?;
        let mut done = 0;
        let write = target.write()?;
        write.create_tables()?;
        write.commit()?;
        for table in tables() {
            let mut after: Option<Vec<u8>> = None;
            loop {
                progress(done, total)?;
                let write = target.write()?;
                let (mut some, mut bytes) = (0, 0);
                let mut last = None;
                self.visit(table, b"", after.as_deref(), &mut |key, value| {
                    write.insert(table, key, value)?;
                    some += 1;
                    bytes += key.len() + value.len();
                    last = Some(key.to_vec());
                    let full = some == limits::COPY_CHUNK_RECORDS_MAX
                        || bytes >= limits::COPY_CHUNK_BYTES_MAX;
                    Ok(if full { Scan::Stop } else { Scan::Go })
                })?;
                write.commit()?;
                done += some as u64;
                match last {
                    Some(_) => after = last,
                    None => break,
                }
            }
        }
        progress(done, total)?;
        Ok(done)
    }
}

/// Every table, the header's first.
pub(super) fn tables() -> impl Iterator<Item = Definition> {
    let records = Records::COUNTED.into_iter().chain([Records::Meta]);
    std::iter::once(HEADER)
        .chain(records.map(Records::definition))
        .chain(Index::ALL.into_iter().map(Index::definition))
}

/// Copies a file that no process of ours has open for writing, byte by byte, into a new one.
///
/// # Errors
/// [`Error::NotFound`] where there is none; [`Error::Settings`] where it is no file of ours;
/// [`Error::InUse`]; [`Error::Conflict`] where the new one exists; [`Error::Storage`]; what
/// `progress` answers.
pub fn copy_file(
    medium: &dyn Medium,
    from: &Path,
    to: &Path,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let source = medium.open_to_read(from)?;
    let trouble =
        |error: std::io::Error| Error::Storage(format!("cannot copy {}: {error}", from.display()));
    let total = source.length().map_err(trouble)?;
    let target = medium.create(to);
    let target = target.map_err(|error| file::not_created(to, &error))?;
    let mut copy = || {
        let mut buffer = vec![0; limits::COPY_BUFFER_BYTES];
        let mut done = 0;
        while done < total {
            progress(done, total)?;
            let left = usize::try_from(total - done).unwrap_or(usize::MAX);
            let part = &mut buffer[..left.min(limits::COPY_BUFFER_BYTES)];
            source.read_exact_at(part, done).map_err(trouble)?;
            target.append(part).map_err(trouble)?;
            done += part.len() as u64;
        }
        progress(done, total)?;
        target.sync().map_err(trouble)?;
        sync_parent_of(medium, to)
    };
    copy().inspect_err(|_| take_away(medium, to))
}

/// Whether a file is there, is one, and no process of ours has it open for writing.
///
/// # Errors
/// As [`copy_file`].
pub fn is_free(medium: &dyn Medium, path: &Path) -> Result<()> {
    medium.open_to_read(path).map(|_| ())
}

/// Gives a finished file its name, which nothing may have: never puts it in another's place.
///
/// # Errors
/// [`Error::Conflict`] where the name is taken; [`Error::Storage`].
pub fn publish(medium: &dyn Medium, from: &Path, to: &Path) -> Result<()> {
    let renamed = medium.rename_to_free(from, to);
    renamed.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::Conflict(format!("{} exists already", to.display()))
        }
        _ => Error::Storage(format!("cannot name {}: {error}", to.display())),
    })?;
    sync_parent_of(medium, to).inspect_err(|_| take_away(medium, to))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::seal::Sealed;
    use crate::store::FileSystem;
    use crate::store::faulty::Faulty;

    const HEADER_BYTES: &[u8] = b"a header";

    /// A record of `length` bytes that has the shape of one.
    pub(in crate::store) fn record(version: u64, length: u32) -> Sealed {
        let mut bytes = vec![1, 0, 0, 0, 0];
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.push(1);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.resize(bytes.len() + length as usize, 7);
        Sealed::parse(&bytes).unwrap()
    }

    /// A store with `records` records, some of them long, and as many index entries.
    fn filled(records: u64) -> Store {
        let store = Store::in_memory(HEADER_BYTES).unwrap();
        let write = store.write().unwrap();
        for number in 0..records {
            let key = number.to_be_bytes();
            let length = if number % 50 == 0 { 100_000 } else { 40 };
            let sealed = record(number, length);
            write.put_record(Records::Tokens, &key, &sealed).unwrap();
            write.put_entry(Index::Owners, &key, b"").unwrap();
        }
        write
            .put_record(Records::Meta, b"ledger", &record(1, 9))
            .unwrap();
        write.commit().unwrap();
        store
    }

    pub(in crate::store) fn all(view: &Read) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        for table in tables() {
            let mut keep = |key: &[u8], value: &[u8]| {
                found.push((key.to_vec(), value.to_vec()));
                Ok(Scan::Go)
            };
            view.visit(table, b"", None, &mut keep).unwrap();
        }
        found
    }

    /// Goal: D4 a copy is what the view saw, whatever was written since. Method: more records than
    /// one transaction takes, in number and in bytes; change the source while it is copied.
    #[test]
    fn d4_a_copy_is_what_its_view_saw() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("copy");
        let store = filled(3_000);
        let view = store.read().unwrap();
        let seen = all(&view);
        let mut last = (0, 0);
        let copied = view.copy_to(&FileSystem, &path, &mut |done, total| {
            let write = store.write()?;
            write.remove_record(Records::Tokens, &done.to_be_bytes())?;
            write.commit()?;
            assert!(done >= last.0 && done <= total);
            last = (done, total);
            Ok(())
        });
        assert_eq!(copied, Ok(seen.len() as u64));
        assert_eq!(last, (seen.len() as u64, seen.len() as u64));
        for open in [Store::open_aside, Store::open] {
            let copy = open(&FileSystem, &path).unwrap();
            assert!(all(&copy.read().unwrap()) == seen);
            assert_eq!(copy.header().unwrap(), HEADER_BYTES);
        }
        let again = view.copy_to(&FileSystem, &path, &mut |_, _| Ok(()));
        assert!(
            matches!(again, Err(Error::Conflict(_))),
            "it was overwritten"
        );
        assert!(
            Store::open(&FileSystem, &path).is_ok(),
            "the failed one took the other away"
        );
    }

    /// Goal: D4 a copy that is given up leaves no file. Method: an end at each of its steps.
    #[test]
    fn d4_a_copy_that_is_given_up_is_taken_away() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("copy");
        let store = filled(2_500);
        let view = store.read().unwrap();
        let mut steps = 0;
        loop {
            let mut left = steps;
            let copied = view.copy_to(&FileSystem, &path, &mut |_, _| {
                left -= 1;
                if left < 0 { Err(Error::Locked) } else { Ok(()) }
            });
            if copied.is_ok() {
                break;
            }
            assert_eq!(copied, Err(Error::Locked));
            assert!(!path.exists());
            steps += 1;
        }
        assert!(steps > 5 && path.exists());
    }

    /// Goal: D4 a disk that is full or breaks makes no copy that counts. Method: let each change of
    /// the target's disk in turn be the last that succeeds.
    #[test]
    fn d4_a_copy_to_a_disk_that_fails_is_no_copy() {
        let store = filled(60);
        let view = store.read().unwrap();
        let mut failed = 0;
        for changes in 0.. {
            let disk = Faulty::default();
            let target = Store::on_backend(&disk, Some(b"")).unwrap();
            disk.fail_after(changes);
            let copied = view
                .fill(&target, &mut |_, _| Ok(()))
                .and_then(|_| target.close());
            if disk.mend() == 0 {
                assert_eq!(copied, Ok(()));
                break;
            }
            assert!(copied.is_err(), "after {changes} changes");
            failed += 1;
        }
        assert!(failed > 10, "{failed}");
    }

    /// Goal: a name that is taken stays whose it is. Method: publish over a file.
    #[test]
    fn d4_a_name_is_given_only_where_it_is_free() {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        std::fs::write(&from, "new").unwrap();
        std::fs::write(&to, "old").unwrap();
        assert!(matches!(
            publish(&FileSystem, &from, &to),
            Err(Error::Conflict(_))
        ));
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
        std::fs::remove_file(&to).unwrap();
        publish(&FileSystem, &from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        assert!(!from.exists());
    }
}
