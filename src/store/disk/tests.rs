//! A layer over a file that refuses writes (D2).

use super::*;
use crate::seeded::Seeded;
use crate::store::faulty::{Faulty, Handle};
use crate::store::{Index, Store, View};

const LONGEST: usize = 5 * BLOCK_BYTES;

/// A file of so many bytes, which refuses changes from here on.
fn refusing(bytes: &[u8]) -> Handle {
    let file = Faulty::default().create("file").unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write(0, bytes).unwrap();
    file.disk().fail_after(0);
    file
}

fn opened(file: Handle) -> Disk {
    let name = Name::of(&Faulty::default(), "file".as_ref());
    Disk::new(Arc::new(file), name)
}

fn all_of(disk: &impl StorageBackend) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(disk.len().unwrap()).unwrap()];
    disk.read(0, &mut bytes).unwrap();
    bytes
}

/// Goal: through a layer one reads what was written, and the file stays as it was. Method: random
/// writes, cuts and lengthenings on a layer and on plain memory, which must agree after each.
#[test]
fn d2_a_layer_reads_as_a_file_that_took_the_writes() {
    let seeded = Seeded::new("D2 layer");
    for case in 0..seeded.runs(200) {
        let mut seeded = seeded.case(case);
        let mut model = vec![0; seeded.rng().usize(1..LONGEST)];
        seeded.rng().fill(&mut model);
        let file = refusing(&model);
        let (before, disk) = (model.clone(), opened(file.clone()));
        for step in 0..20 {
            if seeded.rng().u8(..) < 64 {
                let len = seeded.rng().usize(1..LONGEST);
                model.resize(len, 0);
                disk.set_len(len as u64).unwrap();
            } else {
                let start = seeded.rng().usize(..model.len());
                let end = seeded.rng().usize(start..=model.len());
                seeded.rng().fill(&mut model[start..end]);
                disk.write(start as u64, &model[start..end]).unwrap();
            }
            let place = seeded.at(&format!("case {case}, step {step}"));
            assert!(all_of(&disk) == model, "{place}");
            let start = seeded.rng().usize(..model.len());
            let mut part = vec![0; seeded.rng().usize(..=model.len() - start)];
            disk.read(start as u64, &mut part).unwrap();
            assert!(part == model[start..start + part.len()], "{place}");
            let beyond = disk.read(model.len() as u64, &mut [0]);
            assert!(beyond.is_err(), "{place}");
        }
        disk.sync_data().unwrap();
        assert!(all_of(&file) == before, "{}", seeded.at("the file"));
        assert!(disk.opened().is_some());
    }
}

/// Goal: once the file is open its errors are told, and nothing goes to memory in silence. Method:
/// every kind of change, on a file that fails after it was opened.
#[test]
fn d3_behind_the_opening_an_error_is_an_error() {
    let file = refusing(&[7; 100]);
    let disk = opened(file.clone());
    assert_eq!(disk.opened(), None);
    assert!(disk.write(0, &[1]).is_err());
    assert!(disk.set_len(200).is_err());
    assert!(disk.sync_data().is_err());
    assert_eq!(all_of(&disk), [7; 100]);
    file.disk().mend();
    disk.write(0, &[1]).unwrap();
    assert_eq!(all_of(&file)[0], 1);
}

/// Goal: memory is bounded. Method: writes all over a layer until one is refused.
#[test]
fn d2_a_layer_has_an_end() {
    let file = refusing(&[]);
    let disk = opened(file);
    let most = limits::STORE_LAYER_BYTES_MAX / BLOCK_BYTES;
    disk.set_len((most as u64 + 1) * BLOCK_BYTES as u64)
        .unwrap();
    let write = |block: usize| disk.write((block * BLOCK_BYTES) as u64, &[1]);
    assert_eq!(
        (0..=most).position(|block| write(block).is_err()),
        Some(most)
    );
    write(0).unwrap();
}

/// Goal: an existing vault is read on a disk that refuses every write, its file untouched, and it
/// is written again as soon as the disk is well. Method: open it wherever in the opening the disk
/// begins to refuse, after an orderly end and after a power cut.
#[test]
fn d2_a_store_is_read_where_the_disk_refuses_to_be_written() {
    let mut for_reading = 0;
    for (is_cut, changes) in [false, true]
        .into_iter()
        .flat_map(|is_cut| (0..12).map(move |changes| (is_cut, changes)))
    {
        let disk = Faulty::default();
        let store = Store::on_backend(&disk, Some(b"header")).unwrap();
        put(&store, b"there").unwrap();
        if is_cut {
            disk.cut_power();
            disk.fail_after(0);
        }
        drop(store);
        disk.fail_after(changes);
        let before = disk.image();
        let store = Store::on_backend(&disk, None).unwrap();
        assert_eq!(store.header().unwrap(), b"header");
        assert_eq!(get(&store).unwrap(), b"there");
        if store.is_for_reading_alone() {
            for_reading += 1;
            assert!(matches!(
                put(&store, b"lost"),
                Err(crate::error::Error::Storage(_))
            ));
            assert!(store.reopen().is_err());
            assert_eq!(get(&store).unwrap(), b"there");
            if changes == 0 {
                assert!(disk.image() == before, "the file was changed");
            }
        }
        disk.mend();
        store.reopen().unwrap();
        assert!(!store.is_for_reading_alone());
        put(&store, b"new").unwrap();
        store.close().unwrap();
        disk.cut_power();
        let store = Store::on_backend(&disk, None).unwrap();
        assert_eq!(get(&store).unwrap(), b"new");
    }
    assert!(for_reading > 6, "only {for_reading} places to fail at");
}

fn put(store: &Store, value: &[u8]) -> crate::error::Result<()> {
    let write = store.write()?;
    write.put_entry(Index::Ids, b"key", value)?;
    write.commit()
}

fn get(store: &Store) -> Option<Vec<u8>> {
    let view = store.read().unwrap();
    view.entry(Index::Ids, b"key").unwrap()
}
