//! A process that knows the secret: in its memory, its environment, an open file, its working
//! folder, shared memory and a message queue.

use crate::raw::{self, Arg};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use toft_testkit::probe::{SECRET, Targets};

/// Lives until its input ends, then removes what would outlive it.
pub(crate) fn live(targets: &str) -> std::io::Result<()> {
    let targets: Targets = serde_json::from_str(targets)?;
    let _open = File::open(&targets.secret)?;
    let secret = SECRET.as_bytes().to_vec();
    let shared = share(&targets);
    let queue = CString::new(&targets.queue[1..])?;
    let _queue = raw::call_fd(
        libc::SYS_mq_open,
        [
            Arg::from(&queue),
            (libc::O_CREAT | libc::O_RDWR).into(),
            0o666.into(),
            0.into(),
        ],
    );
    rustix::process::umask(rustix::fs::Mode::empty());
    let mut out = std::io::stdout();
    writeln!(out, "{}", secret.as_ptr() as u64)?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    if let Some(id) = shared {
        // What is gone already is as good; the same for the queue.
        let _ = raw::call(
            libc::SYS_shmctl,
            [id.into(), libc::IPC_RMID.into(), 0.into()],
        );
    }
    let _ = raw::call(libc::SYS_mq_unlink, [Arg::from(&queue)]);
    drop(secret);
    Ok(())
}

/// Makes shared memory that anybody may read, with the secret in it.
fn share(targets: &Targets) -> Option<i64> {
    let flags = libc::IPC_CREAT | 0o666;
    let id = raw::call(
        libc::SYS_shmget,
        [targets.shm_key.into(), 4096.into(), flags.into()],
    )
    .ok()?;
    let address = raw::call(libc::SYS_shmat, [id.into(), 0.into(), 0.into()]).ok()?;
    // SAFETY: the segment was just attached there, is 4096 bytes long and nobody else's here.
    unsafe { std::ptr::copy_nonoverlapping(SECRET.as_ptr(), address as *mut u8, SECRET.len()) };
    Some(id)
}
