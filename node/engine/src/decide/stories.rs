//! The rules of the wire as stories: what happened, and the history that must come of it.

use expect_test::expect;

use crate::testing::{check, check_with};

mod children;
mod closed;
mod core;
mod nexus;
mod pauses;
mod resets;
mod sticky;
mod versions;
