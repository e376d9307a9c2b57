//! File descriptors: what the system gives, and who gets how many.
//!
//! It promises: what the store, the trail and refreshing need is not taken by those who connect,
//! however many they are; a limit of the system that lowers what was set is said in the log.
//! It never: starts a server that could not answer anybody.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, Result};
use crate::limits;

/// Who gets how many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shares {
    /// Connections of clients at one time.
    pub connections: usize,
    /// Calls to providers at one time.
    pub calls: usize,
}

impl Shares {
    /// Raises the process's limit as far as the system lets it, and divides that: `listeners` are
    /// taken off, and there are at most `connections_max` connections.
    ///
    /// # Errors
    /// [`Error::Settings`] where there are too few.
    pub fn of_the_system(connections_max: usize, listeners: usize) -> Result<Self> {
        let count = raised();
        let shares = divide(count, connections_max, listeners)?;
        if shares.connections < connections_max {
            tracing::warn!(
                "the system allows {count} open files, so at most {} connections at one time, not \
                 {connections_max}, and {} calls to providers; raise its limit (`ulimit -n`, \
                 systemd: LimitNOFILE=)",
                shares.connections,
                shares.calls
            );
        }
        Ok(shares)
    }
}

/// The soft limit, raised to the hard one. Where it cannot be raised it stays as it is.
fn raised() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let count = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            limit.current
        }
    };
    // No number stands for no limit.
    count.map_or(usize::MAX, |count| {
        usize::try_from(count).unwrap_or(usize::MAX)
    })
}

fn divide(count: usize, connections_max: usize, listeners: usize) -> Result<Shares> {
    let least = limits::DESCRIPTORS_MIN.saturating_add(listeners);
    if count < least {
        return Err(Error::Settings(format!(
            "the system allows {count} open files, and a server needs {least}; raise its limit \
             (`ulimit -n`, systemd: LimitNOFILE=)"
        )));
    }
    let free = count - limits::DESCRIPTORS_OURS - listeners;
    let calls = (free / 2 / limits::DESCRIPTORS_PER_CALL).min(limits::PROVIDER_CALLS_MAX);
    let rest = free - calls * limits::DESCRIPTORS_PER_CALL;
    Ok(Shares {
        connections: connections_max.min(rest),
        calls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(count: usize, connections_max: usize) -> Option<(usize, usize)> {
        let shares = divide(count, connections_max, 1).ok()?;
        Some((shares.connections, shares.calls))
    }

    #[test]
    fn who_connects_gets_no_more_than_what_is_left() {
        assert_eq!(shares(usize::MAX, 1024), Some((1024, 256)));
        assert_eq!(shares(20_000, 1024), Some((1024, 256)));
        assert_eq!(shares(1024, 1024), Some((501, 166)));
        assert_eq!(shares(1024, 100), Some((100, 166)));
        assert_eq!(shares(64, 1024), Some((21, 6)));
        assert_eq!(shares(limits::DESCRIPTORS_MIN, 1024), None);
    }

    #[test]
    fn the_shares_fit_and_nobody_is_left_with_none() {
        for listeners in [1, 3, 1000] {
            for count in 0..3000 {
                let Ok(shares) = divide(count, 1024, listeners) else {
                    assert!(count < limits::DESCRIPTORS_MIN + listeners);
                    continue;
                };
                let calls = shares.calls * limits::DESCRIPTORS_PER_CALL;
                let taken = shares.connections + calls + limits::DESCRIPTORS_OURS + listeners;
                assert!(taken <= count, "{count}: {shares:?}");
                assert!(
                    shares.calls > 1 && shares.connections > 4,
                    "{count}: {shares:?}"
                );
            }
        }
    }
}
