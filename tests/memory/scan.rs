//! A process's memory, read as the kernel shows it.
//!
//! It promises: every place that the process may write is looked at.
//! It never: stops the process it reads.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;

const CHUNK: usize = 1 << 20;
/// Patterns are found by their first bytes, then compared.
const SHORTEST: usize = 8;

/// A mapping of a process.
pub struct Region {
    pub range: Range<u64>,
    pub name: String,
    /// The flags of the kernel: `lo` is locked, `dd` is left out of core dumps.
    pub flags: Vec<String>,
}

/// What is looked for.
#[derive(Default)]
pub struct Wanted {
    patterns: Vec<(&'static str, Vec<u8>)>,
}

impl Wanted {
    pub fn add(&mut self, what: &'static str, bytes: Vec<u8>) {
        assert!(
            bytes.len() >= SHORTEST,
            "{what} is too short to be told apart"
        );
        self.patterns.push((what, bytes));
    }

    pub fn len(&self) -> usize {
        self.patterns.len()
    }
}

/// A process's memory.
pub struct Memory {
    pid: String,
    memory: File,
}

impl Memory {
    /// Opens it: another's takes the right to trace it.
    pub fn of(pid: impl ToString) -> std::io::Result<Self> {
        let pid = pid.to_string();
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        Ok(Self { pid, memory })
    }

    /// Its mappings that it may write: nothing that was ever secret lies in others.
    pub fn regions(&self) -> Vec<Region> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps", self.pid)).unwrap();
        let mut regions: Vec<Region> = Vec::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if let Some((from, to)) = first.split_once('-')
                && let (Ok(from), Ok(to)) =
                    (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16))
            {
                let rights = words.next().unwrap_or_default();
                regions.push(Region {
                    range: if rights.starts_with("rw") {
                        from..to
                    } else {
                        from..from
                    },
                    name: words.nth(3).unwrap_or("anonymous").to_owned(),
                    flags: Vec::new(),
                });
            } else if first == "VmFlags:" {
                let last = regions.last_mut().unwrap();
                last.flags = words.map(str::to_owned).collect();
            }
        }
        regions.retain(|region| !region.range.is_empty() && region.name != "[vvar]");
        regions
    }

    /// The locked pages that core dumps leave out: where the keys lie.
    pub fn key_pages(&self) -> Vec<Region> {
        let mut regions = self.regions();
        let has = |region: &Region, flag: &str| region.flags.iter().any(|known| known == flag);
        regions.retain(|region| has(region, "lo") && has(region, "dd"));
        regions
    }

    /// Adds every key that lies in the key pages. How many there are comes back.
    pub fn take_keys(&self, wanted: &mut Wanted) -> usize {
        let before = wanted.len();
        for page in self.key_pages() {
            for at in page.range.step_by(32) {
                let mut key = vec![0; 32];
                self.memory.read_exact_at(&mut key, at).unwrap();
                if key.iter().any(|byte| *byte != 0) {
                    wanted.add("a key of the key page", key);
                }
            }
        }
        wanted.len() - before
    }

    /// Every place where something wanted lies, but for the ranges to skip.
    pub fn find(&self, wanted: &Wanted, skipped: &[Range<u64>]) -> Vec<String> {
        // By the first two bytes: most places are passed over by one look.
        let mut starts: Vec<Vec<usize>> = vec![Vec::new(); 1 << 16];
        for (number, (_, pattern)) in wanted.patterns.iter().enumerate() {
            let start = u16::from_le_bytes([pattern[0], pattern[1]]);
            starts[usize::from(start)].push(number);
        }
        let longest = wanted
            .patterns
            .iter()
            .map(|(_, p)| p.len())
            .max()
            .unwrap_or(0);
        let mut buffer = vec![0_u8; CHUNK + longest];
        let mut hits = Vec::new();
        for region in self.regions() {
            let mut at = region.range.start;
            while at < region.range.end {
                let want = buffer.len().min((region.range.end - at) as usize);
                let read = self.memory.read_at(&mut buffer[..want], at).unwrap_or(0);
                for place in 0..read.saturating_sub(SHORTEST) {
                    let start = u16::from_le_bytes([buffer[place], buffer[place + 1]]);
                    for number in &starts[usize::from(start)] {
                        let (what, pattern) = &wanted.patterns[*number];
                        let here = at + place as u64;
                        let is_here = place < CHUNK
                            && place + pattern.len() <= read
                            && !skipped.iter().any(|skipped| skipped.contains(&here))
                            && buffer[place..].starts_with(pattern);
                        if is_here {
                            hits.push(format!("{what} at {here:#x} in {}", region.name));
                        }
                    }
                }
                at += CHUNK as u64;
            }
        }
        hits
    }

    /// A line of its status, such as `VmLck`.
    pub fn status(&self, name: &str) -> String {
        let mut text = String::new();
        let mut file = File::open(format!("/proc/{}/status", self.pid)).unwrap();
        file.read_to_string(&mut text).unwrap();
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}:")));
        found.unwrap_or_default().trim().to_owned()
    }
}
