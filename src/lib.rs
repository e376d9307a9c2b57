//! probe
pub mod cli;
pub mod clock;
pub mod connect;
pub mod error;
pub mod http;
pub mod limits;
pub mod model;
pub mod provider;
pub mod refresh;
pub mod sandbox;
pub mod seal;
pub mod secret;
pub mod store;
pub mod vault;
