//! Giving back the head of a file: what a filesystem can do, and doing it (`fallocate(2)`).
//!
//! A hole is punched first and collapsed afterwards, so that a run killed in between can see how
//! far it came: data that begins behind the hole is still to be moved to the front.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use crate::plan::cutting::Cuts;

/// What the filesystem of an open file or directory can do. A type that is not known here is taken
/// to be able to do nothing.
#[must_use]
pub fn cuts(fd: impl AsFd) -> Cuts {
    imp::cuts(fd)
}

/// Where the data of a file begins; `None` where there is none.
///
/// # Errors
/// Those of `lseek(2)`, `SEEK_DATA`.
pub fn first_data(file: &File) -> io::Result<Option<u64>> {
    imp::data_from(file, 0)
}

/// Whether there is data, and no hole, at an offset.
///
/// # Errors
/// Those of `lseek(2)`, `SEEK_DATA`.
pub fn is_data(file: &File, offset: u64) -> io::Result<bool> {
    Ok(imp::data_from(file, offset)? == Some(offset))
}

/// Gives back the first bytes of a file, which keeps its size.
///
/// # Errors
/// Those of `fallocate(2)`.
pub fn punch(file: &File, bytes: u64) -> io::Result<()> {
    imp::punch(file, bytes)
}

/// Takes the first bytes of a file away: what stands behind them moves to the front. The number is
/// a multiple of the block size, and less than the size of the file.
///
/// # Errors
/// Those of `fallocate(2)`.
pub fn collapse(file: &File, bytes: u64) -> io::Result<()> {
    imp::collapse(file, bytes)
}

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod imp {
    use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
    use rustix::io::Errno;

    use super::{AsFd, Cuts, File, io};

    /// `statfs(2)`, `linux/magic.h`: ext4, XFS and f2fs collapse and punch.
    const COLLAPSE: [u64; 3] = [0xEF53, 0x5846_5342, 0xF2F5_2010];
    /// tmpfs, btrfs, bcachefs, GFS2, OCFS2, and overlayfs, which passes the call on.
    const PUNCH: [u64; 6] = [
        0x0102_1994,
        0x9123_683E,
        0xCA45_1A4E,
        0x0116_1970,
        0x7461_636F,
        0x794C_7630,
    ];

    #[allow(
        clippy::cast_sign_loss,
        clippy::cast_lossless,
        clippy::unnecessary_cast,
        trivial_numeric_casts,
        reason = "the fields of struct statfs differ in width between platforms"
    )]
    pub fn cuts(fd: impl AsFd) -> Cuts {
        let Ok(stat) = rustix::fs::fstatfs(fd) else {
            return Cuts::default();
        };
        let kind = stat.f_type as u64 & 0xFFFF_FFFF;
        let collapse = COLLAPSE.contains(&kind);
        Cuts {
            block: stat.f_bsize as u64,
            collapse,
            punch: collapse || PUNCH.contains(&kind),
        }
    }

    pub fn data_from(file: &File, offset: u64) -> io::Result<Option<u64>> {
        match seek(file, SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn punch(file: &File, bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(file, flags, 0, bytes)?)
    }

    pub fn collapse(file: &File, bytes: u64) -> io::Result<()> {
        Ok(fallocate(file, FallocateFlags::COLLAPSE_RANGE, 0, bytes)?)
    }
}

#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
mod imp {
    use super::{AsFd, Cuts, File, io};

    pub fn cuts(_fd: impl AsFd) -> Cuts {
        Cuts::default()
    }

    pub fn data_from(file: &File, offset: u64) -> io::Result<Option<u64>> {
        Ok((file.metadata()?.len() > offset).then_some(offset))
    }

    pub fn punch(_file: &File, _bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn collapse(_file: &File, _bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux", not(sysopt_portable)))]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;

    #[test]
    fn a_head_is_punched_and_collapsed() -> io::Result<()> {
        let file = tempfile::tempfile()?;
        let can = cuts(&file);
        if !can.punch {
            return Ok(());
        }
        let block = usize::try_from(can.block).unwrap();
        file.write_all_at(&vec![b'a'; 2 * block], 0)?;
        file.write_all_at(b"rest", 2 * can.block)?;
        assert_eq!(first_data(&file)?, Some(0));
        let blocks = file.metadata()?.blocks();
        punch(&file, 2 * can.block)?;
        assert_eq!(first_data(&file)?, Some(2 * can.block));
        assert!(is_data(&file, 2 * can.block)? && !is_data(&file, 0)?);
        let now = file.metadata()?;
        assert_eq!(now.len(), 2 * can.block + 4);
        assert!(now.blocks() < blocks);
        if can.collapse {
            collapse(&file, 2 * can.block)?;
            assert_eq!(file.metadata()?.len(), 4);
            assert_eq!(first_data(&file)?, Some(0));
            assert!(collapse(&file, can.block).is_err(), "beyond the end");
        }
        Ok(())
    }
}
