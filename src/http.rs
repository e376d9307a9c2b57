//! The endpoint: words in, words out.
//!
//! It promises: a connection, head, body, handshake, answer and wait each have a limit; a request
//! reaches a handler only under a host name that is ours; a handler that panics costs one answer.
//! It never: sends a CORS header but where `cors` says, names the software, or reads a body longer
//! than asked.

mod accept;
pub mod answer;
mod api;
pub mod app;
pub mod body;
mod console;
pub mod cookie;
mod cors;
pub mod descope;
pub mod guard;
pub mod listen;
pub mod look;
pub mod pace;
mod pages;
pub mod panics;
mod room;
pub mod routes;
pub mod serve;
mod stray;
mod tongue;
mod who;
pub mod wire;
