//! everlog-engine
