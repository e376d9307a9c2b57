//! A vault that cannot be made (D2).

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

use super::*;
use crate::clock::Timestamp;

fn make(directory: &Path) -> Result<NewVault> {
    Vault::create(
        directory,
        Secret::new("violet harbour mumbles often".to_owned()),
        KdfParams::FLOOR,
        Settings::default(),
        Clock::test(Timestamp::from_unix_ms(1_800_000_000_000)),
    )
}

fn mark(directory: &Path) -> Mark {
    Mark::set(&file_system(), directory, Maker::Init).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A directory in `home` whose path has so many bytes.
fn deep(home: &Path, bytes: usize) -> PathBuf {
    let mut path = home.to_owned();
    loop {
        let left = bytes - path.as_os_str().len() - 1;
        // No part has more than 255 bytes, and none is left over with nothing.
        let part = match left {
            0..=255 => left,
            256..=400 => 100,
            _ => 200,
        };
        std::fs::create_dir_all(&path).unwrap();
        path.push("d".repeat(part));
        if part == left {
            return path;
        }
    }
}

/// Goal: a try that fails leaves nothing behind, and the next one succeeds. Method: make a vault so
/// deep that its store still has a name and its first audit segment has none (4096 bytes at most);
/// in a directory that is to be made, and in one that is there; then bring it up and try again.
#[test]
fn d2_a_vault_that_could_not_be_made_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let top = home.path().join("top");
    let directory = deep(&top, 4095 - "/vault.redb".len());
    let refused = make(&directory).err();
    assert!(
        matches!(refused, Some(Error::AuditUnavailable(_))),
        "{refused:?}"
    );
    assert!(!directory.exists());
    DirBuilder::new().mode(0o700).create(&directory).unwrap();
    assert!(make(&directory).is_err());
    assert_eq!(names(&directory), [""; 0]);
    let up = home.path().join("up");
    std::fs::rename(&directory, &up).unwrap();
    let made = make(&up).unwrap();
    made.vault.close().unwrap();
}

/// Goal: only what was made is taken away. Method: let somebody else's file stand where the store's
/// is to be.
#[test]
fn d2_what_somebody_else_made_stays() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(FILE);
    std::fs::write(&file, b"not ours").unwrap();
    let mut made = Made::on(&file_system());
    let refused = make_files(home.path(), b"header", &mut made).err();
    assert!(matches!(refused, Some(Error::Conflict(_))), "{refused:?}");
    drop(made);
    assert_eq!(names(home.path()), [FILE]);
    assert_eq!(std::fs::read(&file).unwrap(), b"not ours");
}

/// Goal: what a try that was cut short left behind is opened by nobody, and taken away by the next
/// try; what somebody else put beside it is not, and a try that is still at work is left alone.
/// Method: put the mark back beside a vault.
#[test]
fn d2_a_vault_that_was_never_finished_is_begun_anew() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let first = make(&directory).unwrap();
    first.vault.close().unwrap();
    let refused = make(&directory).err();
    assert!(matches!(refused, Some(Error::Conflict(_))), "{refused:?}");
    drop(first);
    let mark = directory.join(MARK);
    std::fs::write(&mark, b"").unwrap();
    let open = || Vault::open(&directory, Settings::default(), Clock::system()).err();
    assert!(matches!(open(), Some(Error::Settings(_))), "{:?}", open());

    let note = directory.join("note");
    std::fs::write(&note, b"mine").unwrap();
    let refused = make(&directory).err();
    assert!(matches!(refused, Some(Error::Conflict(_))), "{refused:?}");
    std::fs::remove_file(&note).unwrap();

    let at_work = std::fs::File::open(&mark).unwrap();
    at_work.lock().unwrap();
    let refused = make(&directory).err();
    assert!(matches!(refused, Some(Error::Conflict(_))), "{refused:?}");
    assert!(directory.join(FILE).exists());
    drop(at_work);

    let second = make(&directory).unwrap();
    second.vault.close().unwrap();
    drop(second);
    assert_eq!(open(), None);
    assert!(!mark.exists());
}

/// Goal: nobody takes a vault away that was finished while they looked. Method: hold the mark open
/// as somebody does who has found it, while its owner finishes.
#[test]
fn d2_a_mark_that_is_gone_is_nobodys() {
    let home = tempfile::tempdir().unwrap();
    let mark = mark(home.path());
    let path = mark.path().to_owned();
    let found = file_system().open(&path, true).unwrap();
    mark.clear().unwrap();
    let refused = Mark::lock(&file_system(), home.path(), path, found).err();
    assert!(matches!(refused, Some(Error::Conflict(_))), "{refused:?}");
    assert_eq!(names(home.path()), [""; 0]);
}

/// Goal: a directory whose making was cut short is refused by every way in, with the command that
/// is to be run again, and taken over by the next maker. Method: a vault with each command's mark
/// beside it, and with one whose text was lost; open, check, salvage; then make one there.
#[test]
fn d2_what_is_unfinished_is_refused_by_all_with_the_command_that_made_it() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    make(&directory).unwrap().vault.close().unwrap();
    for (text, told) in [
        ("init", "its init was cut short; run `strongroom init`"),
        (
            "restore",
            "its restore was cut short; run `strongroom restore`",
        ),
        (
            "salvage",
            "its salvage was cut short; run `strongroom salvage`",
        ),
        ("resto", "run that again"),
        ("restored", "run that again"),
    ] {
        std::fs::write(directory.join(MARK), text).unwrap();
        let look = || Vault::check_at(&directory, None, &mut |_, _| Ok(()));
        let refusals = [
            Vault::open(&directory, Settings::default(), Clock::system()).err(),
            Vault::can_be_checked(&directory).err(),
            look().err(),
            crate::vault::Wreck::open(&directory).err(),
        ];
        for refused in refusals {
            let why = refused.map(|error| error.to_string()).unwrap_or_default();
            assert!(
                why.contains("never finished") && why.contains(told),
                "{why}"
            );
        }
        assert_eq!(Vault::can_be_made_in(&directory), Ok(()));
    }
    make(&directory).unwrap().vault.close().unwrap();
    assert!(Vault::open(&directory, Settings::default(), Clock::system()).is_ok());
    let taken = Vault::can_be_made_in(&directory);
    assert!(matches!(taken, Err(Error::Conflict(_))), "{taken:?}");
}

/// Goal: the mark tells who is at work from the moment that anything stands beside it. Method: read
/// it as each maker sets it, and as one takes over from another.
#[test]
fn d2_a_mark_tells_who_set_it_and_who_took_over() {
    let home = tempfile::tempdir().unwrap();
    let text = || std::fs::read_to_string(home.path().join(MARK)).unwrap();
    let files = file_system();
    drop(Mark::set(&files, home.path(), Maker::Salvage).unwrap());
    assert_eq!(text(), "salvage");
    drop(Mark::take_over(&files, home.path(), Maker::Init).unwrap());
    assert_eq!(text(), "init");
}
