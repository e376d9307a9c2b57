//! Holding refreshes back: the vault is about to close.
//!
//! It promises: while somebody holds them no further refresh is sent; one that is sent is answered.
//! It never: keeps back an exchange or a revocation.

use super::Provider;
use super::classify::{Failure, FailureKind};
use super::seats::Seat;

/// Until it goes no further refresh is sent: see [`Provider::hold_refreshes`].
pub struct Hold(Provider);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.holds.send_modify(|holds| *holds -= 1);
    }
}

impl Provider {
    /// Has no further refresh sent: one that is sent is answered, and one that waits for its seat
    /// ends unsent, with nothing spent. Exchanges and revocations go on.
    pub fn hold_refreshes(&self) -> Hold {
        self.0.holds.send_modify(|holds| *holds += 1);
        Hold(self.clone())
    }

    pub(super) async fn seat_for_refresh(&self, host: &str) -> Result<Seat, Failure> {
        let mut holds = self.0.holds.subscribe();
        tokio::select! {
            biased;
            // The sender is here, so it cannot be gone.
            _ = holds.wait_for(|holds| *holds > 0) => Err(Failure::ours(
                FailureKind::NotSent,
                "ending",
                "the vault is about to close, so the provider was not asked",
            )),
            seat = self.0.seats.take(host) => seat,
        }
    }
}
