//! Memory that nobody needs any more goes back to the system.
//!
//! The allocator gives pages back a second after they were freed, but only when some thread frees a page after
//! that. A node that has become idle would keep what its last checkpoint freed; so a page is freed now and then.

use std::{hint::black_box, time::Duration};

const EVERY: Duration = Duration::from_secs(2);
/// So large that it gets a page of its own, which is never touched.
const PAGE_BYTES: usize = 8 << 20;

/// Runs for as long as the node does, and never ends by itself.
pub async fn give_back() {
    loop {
        tokio::time::sleep(EVERY).await;
        drop(black_box(Vec::<u8>::with_capacity(PAGE_BYTES)));
    }
}
