//! everlog-raft-store
