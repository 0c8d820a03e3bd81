//! Bytes: what a C library would bring, and what the compiler expects to be there.

use core::ptr::{read_volatile, write_volatile};

/// Bytes before the NUL.
pub(crate) unsafe fn length(text: *const u8) -> usize {
    // SAFETY: the caller's string ends in NUL.
    unsafe { strlen(text) }
}

/// Whether one of `length` bytes is `byte`.
pub(crate) unsafe fn contains(text: *const u8, length: usize, byte: u8) -> bool {
    // SAFETY: the caller's bytes.
    (0..length).any(|at| unsafe { *text.add(at) } == byte)
}

/// Whether a string begins with these bytes.
pub(crate) unsafe fn starts(text: *const u8, prefix: &[u8]) -> bool {
    // SAFETY: the comparison stops at the string's NUL, which no prefix has.
    prefix.iter().enumerate().all(|(at, byte)| unsafe { *text.add(at) } == *byte)
}

/// Copies bytes that do not overlap.
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the caller's memory.
    unsafe { memcpy(to, from, count) };
}

// The loops are volatile so that the compiler does not turn them into calls of themselves.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: the caller's memory.
        unsafe { write_volatile(to.add(at), read_volatile(from.add(at))) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut count = 0;
    // SAFETY: the caller's string ends in NUL.
    while unsafe { read_volatile(text.add(count)) } != 0 {
        count += 1;
    }
    count
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: the caller's memory.
        unsafe { write_volatile(to.add(at), byte as u8) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: the caller's memory.
        let (x, y) = unsafe { (read_volatile(a.add(at)), read_volatile(b.add(at))) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// Named by the compiled core library; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
