//! The client and the worker against a server.
//!
//! The server is one that speaks the gRPC API of Temporal: Everlog, or Temporal's own development server as
//! the judge. Its address, or several with commas between them, is in `EVERLOG_TEST_ADDRESS`. Without one these
//! tests are reported as ignored; with `--ignored` and no address they fail.

#[path = "server/activities.rs"]
mod activities;
#[path = "server/clients.rs"]
mod clients;
#[path = "server/harness.rs"]
mod harness;
#[path = "server/killed.rs"]
mod killed;
#[path = "server/runs.rs"]
mod runs;
#[path = "server/trouble.rs"]
mod trouble;
