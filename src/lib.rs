//! probe
pub mod clock;
pub mod error;
pub mod http;
pub mod limits;
pub mod model;
pub mod secret;
