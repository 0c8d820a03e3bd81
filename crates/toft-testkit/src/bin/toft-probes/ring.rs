//! The least of an io_uring: one request at a time, by the kernel's own page layout (io_uring.h).

use crate::raw::{self, Arg, Errno};
use crate::runner::Miss;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const OP_CONNECT: u8 = 16;
const OP_OPENAT: u8 = 18;
const OP_SOCKET: u8 = 45;
const ENTER_GETEVENTS: i32 = 1;
const OFFSET_SQ: i64 = 0;
const OFFSET_CQ: i64 = 0x0800_0000;
const OFFSET_SQES: i64 = 0x1000_0000;
const PAGE: usize = 4096;

/// Offsets within `struct io_uring_params` (120 bytes): `sq_off` at 40, `cq_off` at 80.
const SQ_TAIL: usize = 44;
const SQ_MASK: usize = 48;
const SQ_ARRAY: usize = 64;
const CQ_HEAD: usize = 80;
const CQ_MASK: usize = 88;
const CQ_CQES: usize = 100;

/// A ring of two entries.
pub(crate) struct Ring {
    fd: OwnedFd,
    params: [u8; 120],
    sq: *mut u8,
    cq: *mut u8,
    sqes: *mut u8,
}

impl Ring {
    /// Asks for one.
    pub(crate) fn new() -> Result<Self, Miss> {
        let mut params = [0; 120];
        let fd = raw::call_fd(libc::SYS_io_uring_setup, [2.into(), Arg::Out(&mut params)])?;
        let sq = map(&fd, OFFSET_SQ)?;
        let cq = map(&fd, OFFSET_CQ)?;
        let sqes = map(&fd, OFFSET_SQES)?;
        Ok(Self {
            fd,
            params,
            sq,
            cq,
            sqes,
        })
    }

    /// connect(2).
    pub(crate) fn connect(&mut self, socket: &OwnedFd, name: &[u8]) -> Result<(), Miss> {
        let address = name.as_ptr() as u64;
        self.submit(
            OP_CONNECT,
            socket.as_raw_fd(),
            address,
            0,
            name.len() as u64,
        )
        .map(drop)
    }

    /// socket(2).
    pub(crate) fn socket(&mut self, family: i32, kind: i32) -> Result<OwnedFd, Miss> {
        let fd = self.submit(OP_SOCKET, family, 0, 0, kind as u64)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// open(2), for reading.
    pub(crate) fn open(&mut self, path: &CStr) -> Result<OwnedFd, Miss> {
        let fd = self.submit(OP_OPENAT, libc::AT_FDCWD, path.as_ptr() as u64, 0, 0)?;
        // SAFETY: as above.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Where in a mapped ring the field lies whose offset stands in the parameters at `at`.
    fn offset(&self, at: usize) -> usize {
        let bytes = [
            self.params[at],
            self.params[at + 1],
            self.params[at + 2],
            self.params[at + 3],
        ];
        u32::from_ne_bytes(bytes) as usize
    }

    /// Submits one entry, waits for its completion and returns its result.
    fn submit(
        &mut self,
        op: u8,
        fd: i32,
        address: u64,
        length: u32,
        offset: u64,
    ) -> Result<i32, Miss> {
        let mut entry = [0u8; 64];
        entry[0] = op;
        entry[4..8].copy_from_slice(&fd.to_ne_bytes());
        entry[8..16].copy_from_slice(&offset.to_ne_bytes());
        entry[16..24].copy_from_slice(&address.to_ne_bytes());
        entry[24..28].copy_from_slice(&length.to_ne_bytes());
        // SAFETY: the three areas are mapped for as long as `self` lives, the offsets are the
        // kernel's own and lie within them, and the kernel looks at the ring in `enter` only.
        unsafe {
            let tail = self.sq.add(self.offset(SQ_TAIL)).cast::<u32>();
            let index = tail.read() & self.sq.add(self.offset(SQ_MASK)).cast::<u32>().read();
            self.sqes
                .add(index as usize * 64)
                .cast::<[u8; 64]>()
                .write(entry);
            self.sq
                .add(self.offset(SQ_ARRAY))
                .cast::<u32>()
                .add(index as usize)
                .write(index);
            tail.write_volatile(tail.read().wrapping_add(1));
        }
        raw::call(
            libc::SYS_io_uring_enter,
            [
                self.fd.as_raw_fd().into(),
                1.into(),
                1.into(),
                ENTER_GETEVENTS.into(),
                0.into(),
                0.into(),
            ],
        )?;
        // SAFETY: as above; the kernel has written the completion before `enter` returned.
        let result = unsafe {
            let head = self.cq.add(self.offset(CQ_HEAD)).cast::<u32>();
            let index = head.read() & self.cq.add(self.offset(CQ_MASK)).cast::<u32>().read();
            let result = self
                .cq
                .add(self.offset(CQ_CQES) + index as usize * 16 + 8)
                .cast::<i32>()
                .read_volatile();
            head.write_volatile(head.read().wrapping_add(1));
            result
        };
        if result < 0 {
            Err(Miss::Errno(-result))
        } else {
            Ok(result)
        }
    }
}

/// One page of the ring; the child's end unmaps it.
fn map(fd: &OwnedFd, offset: i64) -> Result<*mut u8, Errno> {
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_POPULATE,
            fd.as_raw_fd(),
            offset,
        )
    };
    if at == libc::MAP_FAILED {
        Err(raw::last_errno())
    } else {
        Ok(at.cast())
    }
}
