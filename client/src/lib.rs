//! everlog-client
