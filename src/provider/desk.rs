//! A desk in the place of an HTTP client: the `oauth2` crate lays its request down here, and we
//! send it ourselves, by the one way out.
//!
//! It promises: a request that was built lies here once, whole.
//! It never: sends it.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Mutex, PoisonError};

use oauth2::{AsyncHttpClient, HttpResponse};

use super::classify::Failure;
use super::egress::Request;
use super::wrong_settings;

/// Stands in for an HTTP client: the request is laid down here, and we send it ourselves.
#[derive(Default)]
pub(super) struct Desk(Mutex<Option<Request>>);

/// What the crate is told in place of an answer.
#[derive(Debug)]
pub(super) struct LaidDown;

impl fmt::Display for LaidDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is sent elsewhere")
    }
}

impl std::error::Error for LaidDown {}

impl<'c> AsyncHttpClient<'c> for Desk {
    type Error = LaidDown;
    type Future = Ready<std::result::Result<HttpResponse, LaidDown>>;

    fn call(&'c self, request: Request) -> Self::Future {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        ready(Err(LaidDown))
    }
}

impl Desk {
    /// Lets the crate build a request; it is done when the request lies here.
    pub(super) async fn collect<T>(
        &self,
        building: impl Future<Output = T>,
    ) -> std::result::Result<Request, Failure> {
        building.await;
        let request = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        request.ok_or_else(|| wrong_settings("the request could not be built"))
    }
}
