//! Tests of one serving thread with its clock in hand.
