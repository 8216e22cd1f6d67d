//! Ports that nobody uses.

use std::net::TcpListener;

use anyhow::Result;

/// Asks the system for free ports, all at once so that they differ. Somebody else could take one before the
/// server does; then the server says so and the test fails with its message.
pub(super) fn free(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
