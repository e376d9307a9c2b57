//! One door for each outside thing: which files may name it.
//!
//! It promises: a row names the thing, the files that may use it, and what others use instead.
//! It never: guards what a compiler lint guards already.

use crate::paths::{Path, paths};
use crate::scan::{Source, Token};
use crate::{Violation, violation};

/// How a thing shows in code.
pub enum Sign {
    /// A path that begins with these segments: an outside crate, or a module of one.
    Root(&'static str),
    /// A path with these segments anywhere in it.
    Anywhere(&'static str),
    /// A macro, called.
    Macro(&'static str),
    /// A method, called or named.
    Method(&'static str),
}

/// An outside thing and who may use it.
pub struct Door {
    pub signs: &'static [Sign],
    /// Files below `src`; `http*` is `http.rs` and everything in `http/`.
    pub may: &'static [&'static str],
    /// Paths that further files may use, each alone.
    pub but: &'static [(&'static str, &'static str)],
    /// Whether test code under `src` is held to it as well.
    pub in_tests: bool,
    /// What everybody else uses.
    pub instead: &'static str,
}

const CLOSED: Door = Door {
    signs: &[],
    may: &[],
    but: &[],
    in_tests: false,
    instead: "",
};

/// The doors.
pub const DOORS: &[Door] = &[
    Door {
        signs: &[Sign::Root("redb")],
        may: &["store*"],
        in_tests: true,
        instead: "`store` keeps bytes by address",
        ..CLOSED
    },
    Door {
        signs: &[
            Sign::Root("chacha20"),
            Sign::Root("chacha20poly1305"),
            Sign::Root("argon2"),
            Sign::Root("hkdf"),
            Sign::Root("hmac"),
        ],
        may: &["seal/primitives.rs"],
        in_tests: true,
        instead: "`seal/primitives.rs` has one titled function for each primitive",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("ring")],
        // Signatures of others, and those that others want of us, take no key of the vault, and
        // `seal` knows nothing of them.
        may: &[
            "seal/primitives.rs",
            "bearer/signature.rs",
            "provider/assertion*",
            "provider/oddities.rs",
        ],
        // A test of `bearer` signs.
        instead: "`seal/primitives.rs` has one titled function for each primitive",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("sha2")],
        // The sandbox checks PKCE (RFC 7636 4.6) and knows nobody who could hash for it.
        // `http/look` names its style and scripts by hash in the content policy.
        may: &["seal/primitives.rs", "http/look.rs", "sandbox*"],
        in_tests: true,
        instead: "`seal/primitives.rs` has one titled function for each primitive",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("subtle"), Sign::Root("zeroize")],
        // `vault/records.rs` wipes the plain bytes of a record before they are sealed.
        may: &["secret.rs", "seal*", "vault/records.rs"],
        in_tests: true,
        instead: "`Secret` compares in constant time and wipes itself",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("getrandom")],
        may: &["secret.rs"],
        in_tests: true,
        instead: "`crate::secret::{random, chance}`",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("base64")],
        // HTTP Basic, written by one and read by the other, has not the URL-safe alphabet; nor have
        // `data:` URLs and the hashes of a content policy.
        may: &["secret.rs", "provider/*", "sandbox*", "http/look*"],
        instead: "`crate::secret::{base64url, from_base64url}`",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("memmap2")],
        may: &["seal/*"],
        in_tests: true,
        instead: "locked memory belongs to `seal`",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("zeroizing_alloc")],
        may: &["main.rs"],
        in_tests: true,
        instead: "the allocator is the program's choice, not the library's",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("oauth2")],
        may: &[
            "provider.rs",
            "provider/desk.rs",
            "provider/token.rs",
            "provider/revocation.rs",
        ],
        in_tests: true,
        instead: "`provider` speaks OAuth",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("regex")],
        may: &["model/pattern.rs"],
        in_tests: true,
        instead: "a `Pattern` matches whole values",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("reqwest")],
        may: &["provider/egress.rs", "cli/client.rs"],
        instead: "`provider/egress.rs` is the one way out",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("rustls"), Sign::Root("rustls_native_certs")],
        may: &["provider/egress.rs", "http/listen.rs", "cli/client.rs"],
        instead: "TLS is set up where a connection is made",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("tokio_rustls")],
        may: &["http/*"],
        instead: "`http/listen.rs` accepts",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("hyper"), Sign::Root("hyper_util")],
        may: &["http*", "sandbox*"],
        instead: "`http` serves; `provider/egress.rs` asks",
        ..CLOSED
    },
    Door {
        signs: &[
            Sign::Anywhere("SystemTime"),
            Sign::Anywhere("std::time::Instant"),
            Sign::Anywhere("Instant::now"),
            Sign::Anywhere("clock_gettime"),
        ],
        may: &["clock.rs"],
        // Deadlines of sockets are the runtime's timer's, which a test's paused time moves.
        but: &[
            ("http/accept.rs", "Instant::now"),
            ("http/pace.rs", "Instant::now"),
            ("http/room.rs", "Instant::now"),
            ("connect.rs", "tokio::time::Instant::now"),
            ("refresh/revoke.rs", "Instant::now"),
            ("vault/anchor.rs", "std::time::Instant"),
            ("vault/anchor.rs", "Instant::now"),
            ("vault/writer/trouble.rs", "std::time::Instant"),
            ("vault/writer/trouble.rs", "Instant::now"),
            // How long a case kept its thread busy, on a machine that has more to do.
            (
                "vault/salvage/tests/running.rs",
                "rustix::time::clock_gettime",
            ),
        ],
        in_tests: true,
        instead: "a `Clock` is passed in",
    },
    Door {
        signs: &[Sign::Root("jiff")],
        may: &["clock.rs"],
        in_tests: true,
        instead: "`Timestamp` reads and shows RFC 3339",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("httpdate")],
        may: &["provider/*"],
        instead: "dates elsewhere are RFC 3339: `Timestamp`",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Anywhere("std::env")],
        may: &["cli*"],
        in_tests: true,
        instead: "settings are arguments; `cli` reads the environment",
        ..CLOSED
    },
    Door {
        signs: &[
            Sign::Macro("println"),
            Sign::Macro("print"),
            Sign::Macro("eprintln"),
            Sign::Macro("eprint"),
        ],
        may: &["cli*", "main.rs"],
        instead: "`tracing`, or an answer",
        ..CLOSED
    },
    Door {
        signs: &[
            Sign::Root("clap"),
            Sign::Root("clap_complete"),
            Sign::Root("comfy_table"),
            Sign::Root("indicatif"),
            Sign::Root("rpassword"),
        ],
        may: &["cli*"],
        in_tests: true,
        instead: "`cli` talks to people",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Root("tokio")],
        may: &[
            "clock.rs",
            "provider*",
            "bearer*",
            "connect*",
            "refresh*",
            "remote*",
            "http*",
            "sandbox*",
            "cli*",
        ],
        // The writer's waiters may await the fsync; what they wait for is no network.
        // A walk over many records gives way now and then.
        but: &[
            ("vault/line.rs", "tokio::sync::oneshot"),
            ("vault/line.rs", "tokio::select"),
            ("vault/receipt.rs", "tokio::sync::oneshot"),
            ("vault/writer.rs", "tokio::sync::oneshot"),
            ("vault/lists.rs", "tokio::task::yield_now"),
        ],
        instead: "`model`, `seal`, `store` and `vault` never wait for a network",
        ..CLOSED
    },
    Door {
        signs: &[
            Sign::Anywhere("tokio::spawn"),
            Sign::Anywhere("task::spawn"),
            Sign::Anywhere("task::spawn_local"),
        ],
        may: &[
            "http.rs",
            "http/serve.rs",
            "bearer/shelf.rs",
            "provider/readings.rs",
            "refresh*",
            "connect*",
            "sandbox*",
            "cli/server.rs",
            "cli/dev.rs",
        ],
        instead: "whoever spawns must also end it; that is the business of few",
        ..CLOSED
    },
    Door {
        signs: &[Sign::Method("expose")],
        // The audit list: where a secret may come out of its wrapping.
        may: &[
            "secret.rs",
            "seal*",
            "vault*",
            "provider*",
            "bearer*",
            "connect*",
            "refresh*",
            // The private key of the server's own TLS certificate.
            "http/listen.rs",
            // The answer that shows a new access key once.
            "http/api/system.rs",
            "http/wire*",
            "http/descope/wire*",
            "http/pages*",
            // What is typed there, the session's cookie and the token of its forms; what is shown
            // in plain text, once it was asked for again; a link and a key just made.
            "http/console/entry.rs",
            "http/console/form.rs",
            "http/console/frame.rs",
            "http/console/views*",
            "cli*",
            "sandbox*",
        ],
        instead: "pass the `Secret` on to the line that sends it",
        ..CLOSED
    },
];

impl Sign {
    /// What to show of it.
    pub fn name(&self) -> String {
        match self {
            Self::Root(name) | Self::Anywhere(name) => (*name).to_owned(),
            Self::Macro(name) => format!("{name}!"),
            Self::Method(name) => format!(".{name}()"),
        }
    }

    fn in_path(&self, path: &Path) -> bool {
        match self {
            Self::Root(name) => path.leads_to(&name.split("::").collect::<Vec<_>>()),
            Self::Anywhere(name) => path.contains(&name.split("::").collect::<Vec<_>>()),
            Self::Method(name) => path.segments.last().is_some_and(|last| last == name),
            Self::Macro(_) => false,
        }
    }

    fn in_tokens(&self, tokens: &[Token]) -> bool {
        match self {
            Self::Macro(name) => tokens[0].is(name) && tokens[1].is("!"),
            Self::Method(name) => tokens[0].is(".") && tokens[1].is(name),
            Self::Root(_) | Self::Anywhere(_) => false,
        }
    }
}

impl Door {
    /// Whether a file below `src` may use it.
    pub fn admits(&self, file: &str) -> bool {
        self.may.iter().any(|entry| {
            entry
                .strip_suffix('*')
                .map_or(file == *entry, |prefix| file.starts_with(prefix))
        })
    }

    fn excuses(&self, file: &str, path: &Path) -> bool {
        self.but.iter().any(|(known, allowed)| {
            *known == file && path.leads_to(&allowed.split("::").collect::<Vec<_>>())
        })
    }
}

/// Finds outside things that are named in a file which is not their door.
pub fn check(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        let Some(file) = source.below_src() else {
            continue;
        };
        let paths = paths(&source.tokens);
        for door in DOORS.iter().filter(|door| !door.admits(file)) {
            for (sign, line) in uses(door, file, source, &paths) {
                let what = format!("`{}` has its door elsewhere: {}", sign.name(), door.instead);
                found.push(violation(source, line, "doors", what));
            }
        }
    }
    found
}

/// Each use of a door's things in a file, with its line.
fn uses<'d>(door: &'d Door, file: &str, source: &Source, paths: &[Path]) -> Vec<(&'d Sign, usize)> {
    let mut found = Vec::new();
    for sign in door.signs {
        for path in paths {
            let judged = door.in_tests || !path.test;
            if judged && sign.in_path(path) && !door.excuses(file, path) {
                found.push((sign, path.line));
            }
        }
        for pair in source.tokens.windows(2) {
            if (door.in_tests || !pair[0].test) && sign.in_tokens(pair) {
                found.push((sign, pair[1].line));
            }
        }
    }
    found
}
