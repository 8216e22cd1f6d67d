//! The binary `everlog`.

use std::process::ExitCode;

fn main() -> ExitCode {
    everlog_node::cli::main(everlog_node::everlog::Everlog::default)
}
