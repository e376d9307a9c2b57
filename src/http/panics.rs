//! A handler that panics: one answer lost, no secret printed, the server alive.
//!
//! It promises: what a handler panicked with is neither printed nor logged, only where it did.
//! It never: touches the report of a panic outside a handler; that one goes where it always went.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

thread_local! {
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

/// Marks a thread as being inside a handler until dropped, unwinding included.
struct Inside {
    before: bool,
}

impl Inside {
    fn enter() -> Self {
        Self {
            before: IN_HANDLER.replace(true),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        IN_HANDLER.set(self.before);
    }
}

/// Puts a filter before the process's panic hook; once, however often it is called.
///
/// A panic's message is text made of whatever the handler held at the time, a secret included.
pub fn hide_payloads() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IN_HANDLER.get() {
                return usual(info);
            }
            if let Some(place) = info.location() {
                tracing::error!(
                    file = place.file(),
                    line = place.line(),
                    "a handler panicked"
                );
            }
        }));
    });
}

/// The handler panicked; what with is dropped unread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Panicked;

/// Runs a handler and survives it.
///
/// # Errors
/// [`Panicked`] where it panicked. The handler is dropped then and never polled again.
pub async fn survive<F: Future>(handler: F) -> Result<F::Output, Panicked> {
    let mut handler = pin!(handler);
    poll_fn(|context| {
        let _inside = Inside::enter();
        // Unwind safe: after a panic the handler is only dropped, and its shared state is behind
        // locks that poison themselves.
        match panic::catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_payload) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_value_and_leaves_no_mark_on_the_thread() {
        hide_payloads();
        let end: Result<(), Panicked> = survive(async { panic!("a secret") }).await;
        assert_eq!(end, Err(Panicked));
        assert!(!IN_HANDLER.get());
        assert_eq!(survive(async { 7 }).await, Ok(7));
    }
}
