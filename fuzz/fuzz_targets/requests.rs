//! Any bytes as the stream of one client: nothing panics, every cut gives the same, and what is
//! passed on means the same. `cargo +nightly fuzz run requests`.
#![no_main]

#[path = "../../crates/toft-router/tests/it/core/drive.rs"]
#[expect(dead_code, reason = "the other target uses the rest")]
mod drive;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((seed, stream)) = input.split_first() else {
        return;
    };
    drive::check_requests(stream, u64::from(*seed));
});
