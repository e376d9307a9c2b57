//! Adding up a whole file, which the ledger is compared with: by several threads, a part at a time,
//! since every unlock waits for it.
//!
//! It promises: every record and every index entry is counted once, by whichever thread comes to
//! its part; where one fails all end.
//! It never: opens a record. Its version, which is counted, is for opening it to prove.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::{Counted, Ledger};
use crate::error::Result;
use crate::limits;
use crate::seal::{Hasher, Keyring, Purpose, Sealed};
use crate::store::{Index, Read, Records, Scan, View};

/// A table, or the part of it whose keys begin with this byte.
#[derive(Clone, Copy)]
enum Part {
    Records(Records, Option<u8>),
    Entries(Index, Option<u8>),
    /// What the cut-up tables hold under a key of no bytes, which begins with none. We write none
    /// such; who adds one is to be found out.
    Nameless,
}

/// The parts of a file. The tables that grow with the tokens, and whose keys are as good as random,
/// are cut up; of a due entry's key the first bytes are alike, so that one goes first.
fn parts() -> Vec<Part> {
    let whole = [
        Part::Nameless,
        Part::Entries(Index::Due, None),
        Part::Entries(Index::LinkOwners, None),
        // Few wait, in a usual vault.
        Part::Entries(Index::Waiting, None),
    ];
    let records = Records::COUNTED.into_iter();
    let others = records.filter(|table| *table != Records::Tokens);
    let cut = (0..=u8::MAX).flat_map(|first| {
        [
            Part::Records(Records::Tokens, Some(first)),
            Part::Entries(Index::Owners, Some(first)),
            Part::Entries(Index::Ids, Some(first)),
            Part::Entries(Index::Users, Some(first)),
        ]
    });
    let others = others.map(|table| Part::Records(table, None));
    whole.into_iter().chain(cut).chain(others).collect()
}

/// What the threads share.
struct Work<'a> {
    keys: &'a Keyring,
    view: &'a Read,
    parts: Vec<Part>,
    next: AtomicUsize,
    counted: AtomicU64,
    is_over: AtomicBool,
}

/// Counts everything there is; `tick` is told now and then how much that is so far.
///
/// # Errors
/// [`crate::error::Error::Damaged`] where a record has not the shape of one; what `tick` answers.
pub(super) fn add_up(
    keys: &Keyring,
    view: &Read,
    tick: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Ledger> {
    let work = Work {
        keys,
        view,
        parts: parts(),
        next: AtomicUsize::new(0),
        counted: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let helpers = cores.min(limits::LEDGER_THREADS_MAX) - 1;
    thread::scope(|scope| {
        let help = || work.take_part(&mut |_| Ok(()));
        let helpers: Vec<_> = (0..helpers)
            .map(|_| {
                thread::Builder::new()
                    .name("ledger".into())
                    .spawn_scoped(scope, help)
            })
            // Where there is no thread to be had, the others do its part.
            .filter_map(std::io::Result::ok)
            .collect();
        let mut found = work.take_part(tick);
        for helper in helpers {
            let theirs = helper.join().unwrap_or_else(|panic| resume_unwind(panic));
            found = found.and_then(|mut found| {
                found.add_all(&theirs?);
                Ok(found)
            });
        }
        found
    })
}

impl Work<'_> {
    /// Takes one part after another, until there is none left.
    fn take_part(&self, tick: &mut dyn FnMut(u64) -> Result<()>) -> Result<Ledger> {
        let mut found = Ledger::default();
        let hasher = self.keys.hasher(Purpose::Ledger);
        while let Some(part) = self.parts.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            self.count(*part, &hasher, &mut found, tick)
                .inspect_err(|_| {
                    self.is_over.store(true, Ordering::Relaxed);
                })?;
        }
        Ok(found)
    }

    fn count(
        &self,
        part: Part,
        hasher: &Hasher,
        found: &mut Ledger,
        tick: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let mut add = |one: Counted<'_>| {
            found.add_by(hasher, one);
            if found.count().is_multiple_of(limits::LEDGER_TELL_EVERY) {
                let more = limits::LEDGER_TELL_EVERY;
                tick(self.counted.fetch_add(more, Ordering::Relaxed) + more)?;
                if self.is_over.load(Ordering::Relaxed) {
                    return Ok(Scan::Stop);
                }
            }
            Ok(Scan::Go)
        };
        match part {
            Part::Nameless => {
                let view = self.view;
                if let Some(sealed) = view.bytes_at(Records::Tokens, b"")? {
                    add(Counted::Record(
                        Records::Tokens,
                        b"",
                        Sealed::version_of(&sealed)?,
                    ))?;
                }
                for index in [Index::Owners, Index::Ids, Index::Users] {
                    if let Some(value) = view.entry(index, b"")? {
                        add(Counted::Entry(index, b"", &value))?;
                    }
                }
                Ok(())
            }
            Part::Records(table, first) => {
                self.view
                    .scan_bytes(table, first.as_slice(), None, &mut |key, sealed| {
                        add(Counted::Record(table, key, Sealed::version_of(sealed)?))
                    })
            }
            Part::Entries(index, first) => {
                self.view
                    .scan_index(index, first.as_slice(), None, &mut |key, value| {
                        add(Counted::Entry(index, key, value))
                    })
            }
        }
    }
}
