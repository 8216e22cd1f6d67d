//! Stories of activities, told over turns.
