//! D5 and D7: two processes on one vault, and files that are not what they should be.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::house::{Disk, House, elsewhere, set_mode, skip, told};

/// The exit code of whoever comes second.
const IN_USE: i32 = 11;

/// What a directory holds: by path, what it is, whose, who may what, how long, and the bytes.
fn shown(directory: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let about = path.symlink_metadata().unwrap();
        let mut line = format!("{:o} {} {}", about.mode(), about.uid(), about.len());
        if about.is_dir() {
            all.extend(shown(&path));
        } else if about.is_file() {
            line += &format!(" {:?}", std::fs::read(&path).unwrap());
        } else if about.is_symlink() {
            line += &format!(" {:?}", std::fs::read_link(&path).unwrap());
        }
        all.insert(path.display().to_string(), line);
    }
    all
}

/// Refused in so many words, with a hint.
fn is_refused(output: &Output, exit: i32, words: &str) {
    let said = told(output);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert!(
        said.contains(words) && said.contains("\nhint: "),
        "{words:?}: {said}"
    );
}

/// Goal: one process has a vault at a time, by whatever way the second comes, and the first does
/// not notice. Method: the same directory, a path through a link, a hard link to the file, a bind
/// mount; a command for stopped vaults; then the first is asked and ended, and the next starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d5_a_second_process_is_refused_by_whatever_way_it_comes() {
    let house = House::plain();
    let server = house.serve(None, &[]);
    let words = "in use by another process";
    is_refused(&house.refused(&house.data()), IN_USE, words);
    let slots = house.run(&["passphrase", "slots"]);
    is_refused(&slots, IN_USE, words);

    symlink(house.home.path(), house.home.path().join("by-link")).unwrap();
    let by_link = house.home.path().join("by-link/data");
    is_refused(&house.refused(&by_link), IN_USE, words);

    let other = house.home.path().join("other");
    std::fs::create_dir_all(other.join("audit")).unwrap();
    set_mode(&other, 0o700);
    set_mode(&other.join("audit"), 0o700);
    std::fs::hard_link(house.data().join("vault.redb"), other.join("vault.redb")).unwrap();
    is_refused(&house.refused(&other), IN_USE, words);

    let bound = house.home.path().join("bound");
    match Disk::bind(&house.data(), &bound) {
        Some(_mounted) => is_refused(&house.refused(&bound), IN_USE, words),
        None => elsewhere("files::d5_a_second_process_is_refused_by_whatever_way_it_comes"),
    }

    let maps = json!({ "id": "maps", "kind": "api_key", "name": "Maps" });
    let (status, said) = server.api.post("/v1/apps", maps).await;
    assert_eq!(status, 201, "{said}");
    assert_eq!(server.terminate(), Some(0));
    let next = house.serve(None, &[]);
    let (status, said) = next.api.get("/v1/apps/maps").await;
    assert_eq!((status, &said["id"]), (200, &json!("maps")));
    assert_eq!(next.terminate(), Some(0));
}

/// One way in which a vault's files are wrong: how it is made of a sound one, the exit code, and
/// the words of the refusal.
type Wrong = (&'static str, fn(&Path), i32, &'static str);

/// Puts the file aside; its path, free for something else, comes back.
fn put_aside(data: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (file, aside) = (data.join("vault.redb"), data.join("aside"));
    std::fs::rename(&file, &aside).unwrap();
    (file, aside)
}

fn pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

fn give_away(path: &Path) {
    std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
}

const WRONG: &[Wrong] = &[
    (
        "a link to the file",
        |data| {
            let (file, aside) = put_aside(data);
            symlink(aside, file).unwrap();
        },
        2,
        "cannot open",
    ),
    (
        "a pipe",
        |data| pipe(&put_aside(data).0),
        2,
        "not a regular file",
    ),
    (
        "a directory",
        |data| {
            std::fs::create_dir(put_aside(data).0).unwrap();
        },
        2,
        "cannot open",
    ),
    (
        "a socket",
        |data| drop(UnixListener::bind(put_aside(data).0).unwrap()),
        2,
        "cannot open",
    ),
    ("nothing", |data| drop(put_aside(data)), 5, "no such vault"),
    (
        "an empty file",
        |data| {
            let (file, _) = put_aside(data);
            std::fs::write(&file, b"").unwrap();
            set_mode(&file, 0o600);
        },
        12,
        "is empty",
    ),
    (
        "a file that is none of ours",
        |data| {
            let (file, _) = put_aside(data);
            std::fs::write(&file, [b'x'; 100_000]).unwrap();
            set_mode(&file, 0o600);
        },
        1,
        "",
    ),
    (
        "a file that all may read",
        |data| set_mode(&data.join("vault.redb"), 0o644),
        2,
        "chmod go=",
    ),
    (
        "a file that a group may read",
        |data| {
            set_mode(&data.join("vault.redb"), 0o640);
        },
        2,
        "chmod go=",
    ),
    (
        "a file that others may write",
        |data| {
            set_mode(&data.join("vault.redb"), 0o602);
        },
        2,
        "chmod go=",
    ),
    (
        "a directory that all may enter",
        |data| set_mode(data, 0o755),
        2,
        "chmod go=",
    ),
    (
        "a directory that a group may enter",
        |data| set_mode(data, 0o710),
        2,
        "chmod go=",
    ),
    (
        "a trail that all may enter",
        |data| set_mode(&data.join("audit"), 0o755),
        2,
        "chmod go=",
    ),
    (
        "a trail elsewhere",
        |data| {
            std::fs::rename(data.join("audit"), data.join("away")).unwrap();
            symlink(data.join("away"), data.join("audit")).unwrap();
        },
        2,
        "symbolic link",
    ),
    (
        "a trail that is a file",
        |data| {
            std::fs::rename(data.join("audit"), data.join("away")).unwrap();
            std::fs::write(data.join("audit"), b"").unwrap();
        },
        2,
        "not a directory",
    ),
];

/// Wrong owners, which root alone can make.
const FOREIGN: &[Wrong] = &[
    (
        "a foreign file",
        |data| give_away(&data.join("vault.redb")),
        2,
        "belongs to another user",
    ),
    (
        "a foreign directory",
        give_away,
        2,
        "belongs to another user",
    ),
    (
        "a foreign trail",
        |data| give_away(&data.join("audit")),
        2,
        "belongs to another user",
    ),
];

/// Goal: what is not a file of ours alone is refused with a reason, and nothing is changed.
/// Method: a sound vault, copied and spoilt in each way of a table; unspoilt, the copy starts.
#[test]
fn d7_files_that_are_not_ours_alone_are_refused_and_left_as_they_are() {
    let house = House::plain();
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip("the foreign owners of D7", "they need root");
    }
    let foreign = FOREIGN.iter().filter(|_| is_root);
    for (number, (name, spoil, exit, words)) in WRONG.iter().chain(foreign).enumerate() {
        let data = house.home.path().join(format!("copy-{number}"));
        copy(&house.data(), &data);
        spoil(&data);
        println!("D7: {name}");
        let (mode, before) = (data.metadata().unwrap().mode(), shown(&data));
        is_refused(&house.refused(&data), *exit, words);
        assert!(shown(&data) == before, "{name}: something was changed");
        assert_eq!(data.metadata().unwrap().mode(), mode, "{name}");
    }
    let data = house.home.path().join("link");
    symlink(house.data(), &data).unwrap();
    is_refused(&house.refused(&data), 2, "symbolic link");
}

/// Goal: a pipe in the trail's place is neither waited for nor taken away. Method: one that looks
/// like the newest segment, of which the start learns once the vault is unlocked.
#[test]
fn d7_a_pipe_among_the_segments_is_refused_and_left_there() {
    let house = House::plain();
    let trail = house.data().join("audit");
    pipe(&trail.join("0000000002.seg"));
    let before = shown(&trail);
    is_refused(&house.refused(&house.data()), 1, "not a regular file");
    assert!(shown(&trail) == before);
}

/// Goal: the comparison sees a change. Method: one byte, one mode, one file more.
#[test]
fn d7_a_change_would_be_seen() {
    let house = House::plain();
    let before = shown(&house.data());
    assert!(shown(&house.data()) == before);
    let file = house.data().join("vault.redb");
    set_mode(&file, 0o640);
    assert!(shown(&house.data()) != before);
    set_mode(&file, 0o600);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[77_777] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(shown(&house.data()) != before);
    assert!(shown(&house.data()).len() == before.len());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    set_mode(to, 0o700);
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            // Modes go with it.
            false => _ = std::fs::copy(&path, to.join(name)).unwrap(),
        }
    }
}
