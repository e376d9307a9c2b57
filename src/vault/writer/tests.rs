//! Commits on a disk that fails (V2, V3, D1): whole or not at all, and nobody told wrong.

use std::sync::mpsc::channel;

mod put_back;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::seal::{KdfParams, RecoveryCode, Unlocker};
use crate::store::faulty::{self, Faulty};
use crate::store::{Index, View};
use crate::vault::audit::{AuditMode, Head};

/// A writer on a disk that fails on demand.
struct Bench {
    disk: Faulty,
    keys: Arc<Keyring>,
    store: Arc<Store>,
    writer: Writer,
}

impl Bench {
    fn new() -> Self {
        let code = Unlocker::RecoveryCode(RecoveryCode::generate());
        let now = Timestamp::default();
        let (keys, header) = Keyring::create(&[(&code, "")], KdfParams::FLOOR, now).unwrap();
        let disk = Faulty::default();
        let store = Store::on_backend(&disk, Some(&header.to_bytes())).unwrap();
        let ledger = Ledger::default();
        let write = store.write().unwrap();
        write
            .put_record(Records::Meta, ledger::KEY, &ledger.seal(&keys).unwrap())
            .unwrap();
        write.commit().unwrap();
        Self::start(disk, Arc::new(keys), store)
    }

    fn start(disk: Faulty, keys: Arc<Keyring>, store: Store) -> Self {
        let store = Arc::new(store);
        let (audit, _) =
            Audit::open(Arc::clone(&keys), None, AuditMode::Grouped, Head::default()).unwrap();
        let shared = Arc::clone(&store);
        let clock = crate::clock::Clock::test(crate::clock::Timestamp::default());
        let writer = Writer::start(
            shared,
            Arc::clone(&keys),
            Arc::new(audit),
            None,
            clock,
            Box::new(|_, _| Ok(())),
        )
        .unwrap();
        Self {
            disk,
            keys,
            store,
            writer,
        }
    }

    /// The process is killed and the power cut: what was synced is there.
    fn restart(self) -> Self {
        self.writer.stop();
        let _ = self.store.close();
        self.disk.mend();
        self.disk.cut_power();
        let store = Store::on_backend(&self.disk, None).unwrap();
        Self::start(self.disk.clone(), Arc::clone(&self.keys), store)
    }

    fn submit(&self, key: u8, value: &'static str) -> Receipt<u64> {
        let operation = move |tx: &mut Tx<'_>| {
            tx.put_entry(Index::Ids, &[key; 16], value.as_bytes());
            tx.put(Records::Apps, &[key; 16], &[value.as_bytes()])
        };
        self.writer.submit(operation).unwrap()
    }

    fn put(&self, key: u8, value: &'static str) -> Result<u64> {
        self.submit(key, value).wait()
    }

    /// What stands at `key`; record and index entry must agree.
    fn get(&self, key: u8) -> Option<String> {
        let view = self.store.read().unwrap();
        let sealed = view.record(Records::Apps, &[key; 16]).unwrap();
        let plain = sealed.map(|sealed| {
            let opened = self.keys.open("apps", &[key; 16], &sealed, 0).unwrap();
            String::from_utf8(opened.to_vec()).unwrap()
        });
        let entry = view.entry(Index::Ids, &[key; 16]).unwrap();
        assert_eq!(entry, plain.as_ref().map(|text| text.as_bytes().to_vec()));
        plain
    }

    fn adds_up(&self) {
        let view = self.store.read().unwrap();
        let ledger = Ledger::read(&self.keys, &view).unwrap();
        ledger.verify(&self.keys, &view).unwrap();
    }
}

/// Goal: a commit that fails anywhere is whole or not at all, says that it is not known, and the
/// next one heals the store. Method: let the first, second, ... change of a commit fail, until one
/// succeeds.
#[test]
fn v3_a_commit_that_fails_anywhere_is_unknown_and_whole_or_nothing() {
    let (mut changes, mut failed) = (0, 0);
    loop {
        let bench = Bench::new();
        bench.put(1, "old").unwrap();
        bench.disk.fail_after(changes);
        let outcome = bench.put(1, "new");
        let failures = bench.disk.mend();
        bench.put(2, "after").unwrap();
        bench.adds_up();
        let found = bench.get(1).unwrap();
        match outcome {
            Ok(_) => assert_eq!(found, "new"),
            Err(Error::OutcomeUnknown(_)) => assert!(["old", "new"].contains(&found.as_str())),
            // It never came to the commit.
            Err(Error::Storage(_)) => assert_eq!(found, "old"),
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(bench.get(2).as_deref(), Some("after"));
        failed += u32::from(failures > 0);
        if failures == 0 {
            break;
        }
        changes += 1;
    }
    assert!(failed > 3, "only {failed} places to fail at");
}

/// Goal: what was acknowledged survives a power cut at any moment. Method: as above, and the power
/// goes with the failed commit.
#[test]
fn d1_what_was_acknowledged_survives_a_power_cut_in_any_later_commit() {
    for changes in 0.. {
        let bench = Bench::new();
        let version = bench.put(1, "old").unwrap();
        bench.put(3, "kept").unwrap();
        bench.disk.fail_after(changes);
        let outcome = bench.put(1, "new");
        let bench = bench.restart();
        bench.adds_up();
        assert_eq!(bench.get(3).as_deref(), Some("kept"));
        let found = bench.get(1).unwrap();
        if outcome.is_ok() {
            assert_eq!(found, "new");
            break;
        }
        assert!(
            ["old", "new"].contains(&found.as_str()),
            "{changes}: {found}"
        );
        assert!(bench.put(1, "later").unwrap() > version);
        bench.adds_up();
    }
}

const LARGE_BYTES: usize = 50 * 1024;
/// Longest wait for a disk that is well.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Stores so many large records.
fn put_large(bench: &Bench, count: u8) {
    let put = |key| {
        let operation =
            move |tx: &mut Tx<'_>| tx.put(Records::Tokens, &[key; 16], &[&[7; LARGE_BYTES]]);
        bench.writer.submit(operation).unwrap()
    };
    let puts: Vec<_> = (0..count).map(put).collect();
    for put in puts {
        put.wait().unwrap();
    }
}

fn read_large(bench: &Bench, count: u8) {
    let view = bench.store.read().unwrap();
    for key in 0..count {
        let sealed = view.record(Records::Tokens, &[key; 16]).unwrap().unwrap();
        let opened = bench.keys.open("tokens", &[key; 16], &sealed, 0).unwrap();
        assert_eq!(opened.len(), LARGE_BYTES);
    }
}

/// Goal: reads go on behind a failed commit, also those that the cache does not answer. Method:
/// store more than the cache holds, let one commit fail, read everything; no write comes in
/// between.
#[test]
fn v3_reads_go_on_behind_a_failed_commit() {
    let bench = Bench::new();
    let count = u8::try_from(faulty::CACHE_BYTES / LARGE_BYTES + 20).unwrap();
    put_large(&bench, count);
    bench.put(1, "old").unwrap();
    bench.disk.fail_once_after(2);
    let outcome = bench.put(1, "new");
    assert!(
        matches!(outcome, Err(Error::OutcomeUnknown(_))),
        "{outcome:?}"
    );
    read_large(&bench, count);
    let found = bench.get(1).unwrap();
    assert!(["old", "new"].contains(&found.as_str()), "{found}");
}

/// Stores as soon as the writer tries again.
fn put_once_well(bench: &Bench, key: u8, value: &'static str) {
    let clock = Clock::system();
    let begun = clock.now();
    while let Err(error) = bench.put(key, value) {
        assert!(matches!(error, Error::Storage(_)), "{error:?}");
        assert!(clock.now().since(begun) < PATIENCE, "it never heals");
        std::thread::yield_now();
    }
}

/// Goal: while every write fails what is stored is read, also what the cache does not answer, no
/// write is told "done", and a disk that is well again is written without anybody's doing. Method:
/// store more than the cache holds, let every change fail, read everything, write a few times; then
/// mend and wait until a write succeeds.
#[test]
fn v3_reads_go_on_while_every_write_fails() {
    let bench = Bench::new();
    let count = u8::try_from(faulty::CACHE_BYTES / LARGE_BYTES + 20).unwrap();
    put_large(&bench, count);
    bench.put(1, "old").unwrap();
    bench.disk.fail_after(0);
    for _ in 0..3 {
        assert!(bench.put(1, "new").is_err());
        read_large(&bench, count);
        assert_eq!(bench.get(1).as_deref(), Some("old"));
    }
    assert!(bench.store.is_for_reading_alone());
    assert!(bench.disk.mend() > 0);
    put_once_well(&bench, 2, "after");
    assert_eq!(bench.get(1).as_deref(), Some("old"));
    read_large(&bench, count);
    let bench = bench.restart();
    bench.adds_up();
    assert_eq!(bench.get(2).as_deref(), Some("after"));
}

/// Goal: a store that was opened for reading alone is written once the disk is well, by a writer
/// that was started on it. Method: power goes, the disk refuses, then it does not.
#[test]
fn v3_a_writer_that_starts_on_a_refusing_disk_writes_when_it_is_well() {
    let bench = Bench::new();
    bench.put(1, "old").unwrap();
    let Bench {
        disk,
        keys,
        store,
        writer,
    } = bench;
    writer.stop();
    drop((writer, store));
    disk.fail_after(0);
    let store = Store::on_backend(&disk, None).unwrap();
    let bench = Bench::start(disk, keys, store);
    assert_eq!(bench.get(1).as_deref(), Some("old"));
    assert!(matches!(bench.put(1, "new"), Err(Error::Storage(_))));
    bench.disk.mend();
    put_once_well(&bench, 1, "newer");
    assert_eq!(bench.get(1).as_deref(), Some("newer"));
    bench.adds_up();
}

/// Holds the writer until told, so that what is queued meanwhile becomes one group.
fn hold(bench: &Bench) -> impl FnOnce() {
    let (release, held) = channel::<()>();
    let (entered, inside) = channel::<()>();
    let held = Mutex::new(held);
    let operation = move |_: &mut Tx<'_>| {
        let _ = entered.send(());
        let _ = held.lock().unwrap().recv();
        Ok(())
    };
    let receipt = bench.writer.submit(operation).unwrap();
    inside.recv().unwrap();
    move || {
        drop(release);
        receipt.wait().unwrap();
    }
}

/// Goal: everybody in a group whose commit fails hears so, but for those who failed by themselves.
/// Method: queue five behind a held writer, fail the disk, let go.
#[test]
fn v3_everybody_in_a_failed_group_hears_so() {
    let bench = Bench::new();
    // So that what the group reads is in the cache: it is the commit that is to fail.
    bench.put(8, "before").unwrap();
    let release = hold(&bench);
    let puts: Vec<_> = (1..5).map(|key| bench.submit(key, "new")).collect();
    let refused = bench
        .writer
        .submit(|_| Err::<(), _>(Error::Conflict("mine".into())))
        .unwrap();
    bench.disk.fail_after(0);
    release();
    for put in puts {
        let outcome = put.wait();
        let told = matches!(outcome, Err(Error::OutcomeUnknown(_) | Error::Storage(_)));
        assert!(told, "{outcome:?}");
    }
    assert_eq!(refused.wait(), Err(Error::Conflict("mine".into())));
    bench.disk.mend();
    bench.put(9, "after").unwrap();
    bench.adds_up();
}

/// Goal: an operation that fails leaves nothing behind and takes nobody with it. Method: one that
/// stages a change and then fails, between two that succeed, in one group; each sees what came
/// before.
#[test]
fn v2_an_operation_that_fails_leaves_nothing_and_the_rest_is_stored() {
    let bench = Bench::new();
    let epoch = bench.writer.epoch();
    let release = hold(&bench);
    let first = bench.submit(1, "one");
    let failing = bench.writer.submit(|tx| {
        tx.put(Records::Apps, &[2; 16], &[b"two"])?;
        tx.remove(Records::Apps, &[1; 16]);
        Err::<(), _>(Error::NotFound("app"))
    });
    let seen = bench.writer.submit(|tx| tx.count(Records::Apps, b"", 100));
    let last = bench.submit(3, "three");
    release();
    assert!(first.wait().unwrap() < last.wait().unwrap());
    assert_eq!(failing.unwrap().wait(), Err(Error::NotFound("app")));
    assert_eq!(seen.unwrap().wait(), Ok(1));
    let found = [1, 2, 3].map(|key| bench.get(key));
    assert_eq!(found, [Some("one".into()), None, Some("three".into())]);
    assert_eq!(bench.writer.epoch(), epoch + 1, "one commit");
    bench.adds_up();
}

/// Goal: the queue has an end, and who comes then is told so. Method: hold the writer, fill the
/// queue.
#[test]
fn v3_a_full_queue_refuses_and_what_is_in_it_is_stored() {
    let bench = Bench::new();
    let release = hold(&bench);
    let mut queued = Vec::new();
    let refused = loop {
        match bench
            .writer
            .submit(|tx| tx.put(Records::Apps, &[1; 16], &[b"x"]))
        {
            Ok(receipt) => queued.push(receipt),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Busy(_)));
    assert_eq!(queued.len(), limits::WRITE_QUEUE_MAX);
    release();
    let last = queued.pop().unwrap();
    assert!(last.wait().is_ok());
    bench.writer.stop();
    assert!(bench.writer.submit(|_| Ok(())).is_err());
    bench.adds_up();
}

/// Goal: stopping stores what is queued. Method: queue behind a held writer, stop, look.
#[test]
fn v3_stopping_stores_what_is_queued() {
    let bench = Bench::new();
    let release = hold(&bench);
    let receipts: Vec<_> = (1..=50).map(|key| bench.submit(key, "queued")).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| bench.writer.stop());
        release();
    });
    for (key, receipt) in (1..).zip(receipts) {
        receipt.wait().unwrap();
        assert_eq!(bench.get(key).as_deref(), Some("queued"));
    }
    bench.adds_up();
}

/// Goal: an operation that panics fails alone. Method: one that stages a change and panics, between
/// two that succeed, in one group; then another write.
#[test]
fn v2_an_operation_that_panics_fails_alone_and_the_writer_goes_on() {
    let bench = Bench::new();
    let release = hold(&bench);
    let first = bench.submit(1, "one");
    let panicking = bench.writer.submit(|tx| -> Result<()> {
        tx.put(Records::Apps, &[2; 16], &[b"two"])?;
        panic!("on purpose")
    });
    let last = bench.submit(3, "three");
    release();
    first.wait().unwrap();
    last.wait().unwrap();
    let outcome = panicking.unwrap().wait();
    assert!(matches!(outcome, Err(Error::Storage(_))), "{outcome:?}");
    bench.put(4, "four").unwrap();
    let found = [1, 2, 3, 4].map(|key| bench.get(key).is_some());
    assert_eq!(found, [true, false, true, true]);
    bench.adds_up();
}

/// Goal: a panic in the store itself ends the process. Method: this test again, in a process and a
/// directory of its own, with a job that panics where nothing catches it.
#[test]
fn v3_a_panic_in_the_store_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    const MARK: &str = "the-store-panics-here";
    if std::path::Path::new(MARK).exists() {
        let bench = Bench::new();
        let job: Job = Box::new(|_| panic!("on purpose"));
        bench.writer.queue.send(Message::Job(job)).unwrap();
        let thread = bench.writer.thread.lock().unwrap().take().unwrap();
        let _ = thread.join();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(MARK), b"").unwrap();
    let name = "vault::writer::tests::v3_a_panic_in_the_store_ends_the_process";
    let inside = std::process::Command::new("/proc/self/exe")
        .args(["--exact", name])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(inside.status.signal(), Some(6), "{inside:?}");
}
