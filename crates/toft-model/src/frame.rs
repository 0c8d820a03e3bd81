//! Layout of log frames and of the ring that holds them.
