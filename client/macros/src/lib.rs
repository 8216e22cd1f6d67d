//! everlog-client-macros
