//! terminate
