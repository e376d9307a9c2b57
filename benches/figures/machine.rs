//! The machine: what it is, who runs on which core, what a process took of it.
//!
//! Measures: processor time of all threads of a process (the scheduler's own count, in
//! nanoseconds), its resident memory, disk space in blocks. Does not measure: threads that have
//! ended, the kernel's work for a process outside of it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Outcome;

/// Processor, cores, memory and kernel in a line.
pub fn describe() -> Outcome<String> {
    let about = fs::read_to_string("/proc/cpuinfo")?;
    let model = about
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unnamed processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism()?;
    let memory_kib = field("/proc/meminfo", "MemTotal:")?;
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let memory_gib = memory_kib / (1024 * 1024);
    Ok(format!(
        "machine: {model}, {cores} cores, {memory_gib} GiB, Linux {release}"
    ))
}

/// A core for the server and one for the client.
#[derive(Clone, Copy)]
pub struct Cores {
    /// The server's.
    pub server: usize,
    /// The client's.
    pub client: usize,
}

/// Two cores that we may run on, where there are as many.
pub fn two_cores() -> Outcome<Option<Cores>> {
    let ours = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core));
    let pair = cores.next().zip(cores.next());
    Ok(pair.map(|(server, client)| Cores { server, client }))
}

/// Does `work` with this thread, and whatever it starts, on one core alone.
pub fn on_core<T>(core: Option<usize>, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let Some(core) = core else {
        return work();
    };
    let before = sched_getaffinity(None)?;
    let mut alone = CpuSet::new();
    alone.set(core);
    sched_setaffinity(None, &alone)?;
    let done = work();
    sched_setaffinity(None, &before)?;
    done
}

/// Processor time of a process so far, over its threads.
pub fn cpu_of(pid: u32) -> Outcome<Duration> {
    let mut total_ns = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the look.
        if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
            let own: u64 = text.split(' ').next().unwrap_or_default().parse()?;
            total_ns += own;
        }
    }
    Ok(Duration::from_nanos(total_ns))
}

/// Resident memory of a process, in MiB.
pub fn resident_mib(pid: u32) -> Outcome<f64> {
    Ok(field(&format!("/proc/{pid}/status"), "VmRSS:")? as f64 / 1024.0)
}

/// The number behind a name in one of the system's tables.
fn field(path: &str, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    Ok(number.ok_or(format!("{path} has no `{name}`"))?.parse()?)
}

/// Every file in a directory and below.
pub fn files_in(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files_in(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

/// What a file takes of the disk, in bytes: its blocks, not its length.
pub fn disk_bytes(path: &Path) -> Outcome<u64> {
    Ok(fs::metadata(path)?.blocks() * 512)
}

/// Refuses to begin what the disk has no room for.
pub fn check_room(directory: &Path, bytes: u64) -> Outcome<()> {
    let about = rustix::fs::statvfs(directory)?;
    let free = about.f_bavail * about.f_frsize;
    match free >= bytes {
        true => Ok(()),
        false => Err(format!(
            "{} has {} MiB free, and {} are needed; give fewer `--records`",
            directory.display(),
            free >> 20,
            bytes >> 20
        )
        .into()),
    }
}

/// Has the next reader of a directory's files read the disk.
pub fn forget_pages(directory: &Path) -> Outcome<()> {
    for path in files_in(directory)? {
        let file = File::open(&path)?;
        // What is not on the disk yet cannot be forgotten.
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// Has the next reader of a directory's files find them in memory.
pub fn read_pages(directory: &Path) -> Outcome<()> {
    for path in files_in(directory)? {
        std::io::copy(&mut File::open(path)?, &mut std::io::sink())?;
    }
    Ok(())
}
