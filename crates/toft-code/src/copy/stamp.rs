//! What the kernel says of a file without its being read.

use rustix::fs::Stat;

/// Timestamps as coarse as this cannot tell two changes apart: the longest tick of the kernels in
/// use (`CONFIG_HZ=100`), doubled. Kernels from 6.13 on are exact where it matters.
const TICK_NS: i64 = 20_000_000;

/// Identity and age of a file. Whoever changes a file changes its stamp, except within one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) ctime: i64,
    pub(super) mode: u32,
}

impl Stamp {
    /// A stamp that no file has: what was seen under it has to be looked at again.
    pub(super) const DOUBT: Self = Self {
        dev: 0,
        ino: 0,
        size: 0,
        mtime: 0,
        ctime: 0,
        mode: 0,
    };

    pub(super) fn is_executable(&self) -> bool {
        self.mode & 0o100 != 0
    }

    /// This stamp if it is safe to rely on it later, given the file system's clock of now.
    pub(super) fn settled(self, now: i64) -> Self {
        if self.ctime >= now - TICK_NS || self.mtime >= now - TICK_NS {
            Self::DOUBT
        } else {
            self
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        use std::fmt::Write;
        let Self {
            dev,
            ino,
            size,
            mtime,
            ctime,
            mode,
        } = self;
        // Writing into a String cannot fail.
        let _ = write!(out, "{dev} {ino} {size} {mtime} {ctime} {mode} ");
    }

    pub(super) fn read<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self {
            dev: fields.next()?.parse().ok()?,
            ino: fields.next()?.parse().ok()?,
            size: fields.next()?.parse().ok()?,
            mtime: fields.next()?.parse().ok()?,
            ctime: fields.next()?.parse().ok()?,
            mode: fields.next()?.parse().ok()?,
        })
    }
}

/// Nanoseconds since 1970, which fit until 2262.
fn nanoseconds(seconds: i64, rest: u64) -> i64 {
    let rest = i64::try_from(rest).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

impl From<&Stat> for Stamp {
    // The fields of `stat` are of different types on different machines.
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "types differ by machine"
    )]
    fn from(stat: &Stat) -> Self {
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            ctime: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
            mode: stat.st_mode,
        }
    }
}
