//! continue_as_new
