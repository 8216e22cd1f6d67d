//! What the shard and the queues have to say, until their shells have taken it.

use std::collections::VecDeque;

/// Room for so many outputs is kept. A burst needs far more, once.
const ROOM_KEPT: usize = 32;

/// The oldest output. Who has taken the last one leaves no more room behind than a usual turn fills.
pub(crate) fn take_next<T>(outputs: &mut VecDeque<T>) -> Option<T> {
    if outputs.is_empty() && outputs.capacity() > ROOM_KEPT {
        outputs.shrink_to(ROOM_KEPT);
    }
    outputs.pop_front()
}
