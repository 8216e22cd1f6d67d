//! The binary `everlog`.

use std::process::ExitCode;

/// The system's allocator took an eighth of the processor time of a busy node. How this one behaves is set in
/// `.cargo/config.toml`, and `_RJEM_MALLOC_CONF` in the environment changes it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    everlog_node::cli::main(everlog_node::everlog::Everlog::default)
}
