//! How far something long is: a bar on a terminal, a line for each tenth elsewhere.
//!
//! It promises: it stands on standard error, beside the answer, and is gone when the answer comes.
//! It never: draws where nobody looks, or tells how far one thing is in more than ten lines.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::printable;
use super::output;

/// What is told, to whom.
pub struct Watch {
    what: &'static str,
    trouble: String,
    to: To,
}

enum To {
    Bar(ProgressBar),
    /// Tenths told so far.
    Lines(u64),
    Nobody,
}

impl Watch {
    /// Tells how `what` goes; nobody where a program reads (`quiet`).
    pub fn new(what: &'static str, quiet: bool) -> Self {
        let to = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent} % {eta}")
                .expect("the template is a good one")
                .progress_chars("=> ");
            let bar = ProgressBar::new(0).with_style(style).with_message(what);
            To::Bar(bar)
        } else if quiet {
            To::Nobody
        } else {
            To::Lines(0)
        };
        Self {
            what,
            trouble: String::new(),
            to,
        }
    }

    /// Tells of `what` from here on, from its beginning.
    pub fn turns_to(&mut self, what: &'static str) {
        if self.what == what {
            return;
        }
        self.what = what;
        match &mut self.to {
            To::Bar(bar) => {
                bar.set_message(what);
                bar.reset();
            }
            To::Lines(told) => *told = 0,
            To::Nobody => {}
        }
    }

    /// Tells what holds it up, once for each trouble; nothing does where `trouble` is empty.
    pub fn waits_for(&mut self, trouble: &str) {
        if self.trouble == trouble {
            return;
        }
        trouble.clone_into(&mut self.trouble);
        if trouble.is_empty() {
            return;
        }
        let text = format!("{} waits: {}", self.what, printable(trouble));
        match &self.to {
            To::Bar(bar) => bar.suspend(|| output::note(&text)),
            To::Lines(_) => output::note(&text),
            To::Nobody => {}
        }
    }

    /// Writes something that stays, while a bar may stand there.
    pub fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.to {
            To::Bar(bar) => bar.suspend(write),
            To::Lines(_) | To::Nobody => write(),
        }
    }

    /// Tells that `done` of `total` is done.
    pub fn set(&mut self, done: u64, total: u64) {
        match &mut self.to {
            To::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            To::Lines(told) => {
                let tenths = done.saturating_mul(10).checked_div(total).unwrap_or(0);
                if tenths > *told && tenths < 10 {
                    *told = tenths;
                    output::note(&format!("{}: {tenths}0 %", self.what));
                }
            }
            To::Nobody => {}
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let To::Bar(bar) = &self.to {
            bar.finish_and_clear();
        }
    }
}
