//! Every bound of the data plane in one place: sizes, counts and spans of time.

use std::time::Duration;

/// The largest head of a request or a response, in bytes, with its empty line.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most header fields in one head.
pub const FIELDS_MAX: usize = 100;
/// The most bytes of chunk extensions in one body; they are dropped, and nobody needs them.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// The largest trailer section, in bytes.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// The most interim (1xx) responses before the final one.
pub const INTERIM_MAX: u8 = 16;

/// What one read asks for; each thread has one buffer of this size.
pub const READ_BYTES: usize = 128 * 1024;
/// How many reads one connection gets before the others have their turn.
pub const READS_PER_TURN: usize = 4;
/// How many connections one turn accepts.
pub const ACCEPTS_PER_TURN: usize = 64;
/// The most client connections of one thread.
pub const CLIENTS_PER_THREAD_MAX: usize = 6_000;
/// The most sockets towards instances, over all threads.
pub const UPSTREAM_SOCKETS_MAX: usize = 4_096;

/// Sockets towards a backend that are kept even when nobody uses them, on each thread.
pub const SOCKETS_WARM: usize = 2;
/// How many sockets one message asks for at most; the keeper makes 1 to 64.
pub const SOCKETS_BATCH_MAX: usize = 64;

/// From the first byte of a head (or the accepted connection) to its end.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long nothing may move while a body is on its way or an answer is awaited.
pub const IDLE_TIME: Duration = Duration::from_secs(300);
/// How long a client may keep a connection without a request.
pub const KEEP_ALIVE_TIME: Duration = Duration::from_secs(300);
/// How long nothing may move in a tunnel.
pub const TUNNEL_IDLE_TIME: Duration = Duration::from_secs(3600);
/// How long a request waits for a free socket or an unfinished connect.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);
/// First pause before a connection that was not taken is tried anew; each next one is twice as long. A program whose
/// queue is full drops it, and the kernel would try again only after 1, 3 and 7 s.
pub const CONNECT_PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
pub const CONNECT_PAUSE_MAX: Duration = Duration::from_millis(250);
/// How long a connection is read and thrown away after an early answer, so that the answer arrives.
pub const LINGER_TIME: Duration = Duration::from_secs(2);
/// How long an upstream connection may rest before it is closed.
pub const UPSTREAM_IDLE_TIME: Duration = Duration::from_secs(30);
/// How long a half-closed upstream connection may take to end before its socket is reset.
pub const UPSTREAM_CLOSE_TIME: Duration = Duration::from_secs(1);
/// A request that cannot be sent twice goes over a rested connection only when that rested less
/// than this: a program may close one at any moment, and its keep-alive limit is seldom shorter. A
/// program that is seen to close sooner gets half of that.
pub const UNREPEATABLE_REST_MAX: Duration = Duration::from_millis(250);
/// How long a backend that refused is passed over while another one is there.
pub const REFUSED_TIME: Duration = Duration::from_secs(1);
/// How often resting sockets are looked over.
pub const SWEEP_TIME: Duration = Duration::from_secs(1);
/// How many backends one request is tried on.
pub const TRIES_MAX: u8 = 3;

/// First pause between two readiness tries.
pub const PROBE_PAUSE_MIN: Duration = Duration::from_millis(5);
/// Longest pause between two readiness tries.
pub const PROBE_PAUSE_MAX: Duration = Duration::from_millis(250);
/// How long one readiness try may take.
pub const PROBE_TRY_TIME: Duration = Duration::from_secs(5);
/// How much of a command's or a status text is shown in words.
pub const WORDS_MAX: usize = 200;
