//! Any bytes as what a program answers: nothing panics, every cut gives the same, and what is
//! passed on means the same. `cargo +nightly fuzz run answers`.
#![no_main]

#[path = "../../crates/toft-router/tests/it/core/drive.rs"]
#[expect(dead_code, reason = "the other target uses the rest")]
mod drive;

use libfuzzer_sys::fuzz_target;

const ASKED: [&str; 4] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
];

fuzz_target!(|input: &[u8]| {
    let Some((seed, stream)) = input.split_first() else {
        return;
    };
    drive::check_answers(ASKED[usize::from(*seed) % 4], stream, u64::from(*seed));
});
