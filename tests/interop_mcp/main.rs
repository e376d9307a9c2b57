//! MCP servers that others wrote: a live one with OAuth of the MCP TypeScript SDK, and those of the
//! conformance suite of the specification's own makers, with an agent that has its tokens from a
//! vault as the client under test.
//!
//! Needs Node and the packages of `tests/interop_mcp/package.json`, in its `node_modules` or where
//! `STRONGROOM_INTEROP_MCP_NODE_MODULES` says. Where they are missing, each test says so aloud and
//! passes; where `STRONGROOM_INTEROP=require` is set, it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod conformance;
#[path = "../harness/foreign.rs"]
mod foreign;
mod live;
mod node;

use foreign::{browser, support};
