//! Room on the disk: a reserve that ordinary work leaves alone, and a ballast that is given up when even the reserve is gone.
//!
//! In:    the data folder, how much must stay free.
//! Out:   [`Space::is_low`], looked up twice a second.
//! Law:   below the reserve only what takes rights away, retention and recovery write. Free space that can't be asked for counts
//!        as none.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often free space is looked up.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Bytes of the ballast, unless the reserve is small.
const BALLAST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is known of the disk.
#[derive(Debug)]
pub struct Space {
    folder: PathBuf,
    reserve: u64,
    free: AtomicU64,
    low: AtomicBool,
}

impl Space {
    /// Looks once, and from then on beside everything else.
    pub fn watch(folder: &Path, reserve: u64) -> Arc<Space> {
        let space = Space {
            folder: folder.to_owned(),
            reserve,
            free: AtomicU64::new(u64::MAX),
            low: AtomicBool::new(false),
        };
        space.look();
        let space = Arc::new(space);
        let watched = Arc::downgrade(&space);
        let watch = move || {
            while let Some(space) = watched.upgrade() {
                space.look();
                drop(space);
                std::thread::sleep(LOOK_EVERY);
            }
        };
        let started = std::thread::Builder::new().name("policyd-space".to_owned()).spawn(watch);
        started.expect("space: a thread can be started");
        space
    }

    /// Whether less than the reserve is free.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Acquire)
    }

    /// Bytes that were free a moment ago, and the reserve.
    pub fn free_and_reserve(&self) -> (u64, u64) {
        (self.free.load(Ordering::Acquire), self.reserve)
    }

    fn ballast(&self) -> (PathBuf, u64) {
        (self.folder.join("ballast"), (self.reserve / 4).min(BALLAST_BYTES_MAX))
    }

    fn look(&self) {
        let free =
            rustix::fs::statvfs(&self.folder).map(|about| about.f_bavail.saturating_mul(about.f_frsize));
        let free = free.unwrap_or_else(|error| {
            tracing::error!(%error, "free space can't be looked up: it counts as none");
            0
        });
        let low = free < self.reserve;
        let was = self.low.swap(low, Ordering::AcqRel);
        self.free.store(free, Ordering::Release);
        if low != was {
            let reserve = self.reserve;
            match low {
                true => {
                    tracing::error!(free, reserve, "the disk is nearly full: only revocations are written")
                }
                false => tracing::info!(free, reserve, "there is room on the disk again"),
            }
        }
        let (ballast, bytes) = self.ballast();
        let there = ballast.exists();
        if there && free < bytes {
            match std::fs::remove_file(&ballast) {
                Ok(()) => tracing::error!(
                    free,
                    bytes,
                    "the ballast was given up, so that revocations can be written"
                ),
                Err(error) => tracing::error!(%error, "the ballast can't be given up"),
            }
        } else if !there && bytes > 0 && free >= self.reserve.saturating_add(bytes) {
            let made = fill(&ballast, bytes);
            made.unwrap_or_else(|error| tracing::error!(%error, "the ballast can't be made"));
        }
    }
}

/// Makes a file whose bytes are taken from the disk, not only promised.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
    let taken = taken.map_err(io::Error::from).or_else(|_| noise(&file, bytes));
    taken.inspect_err(|_| drop(std::fs::remove_file(path)))
}

/// Where a file system can't take bytes without writing them: bytes that it can't make smaller.
fn noise(mut file: &File, bytes: u64) -> io::Result<()> {
    let mut block = vec![0; 1 << 20];
    getrandom::fill(&mut block).map_err(io::Error::other)?;
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len() as u64);
        io::Write::write_all(&mut file, &block[..usize::try_from(now).unwrap_or(0)])?;
        left -= now;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("policyd-space-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn a_reserve_larger_than_the_disk_is_low_and_takes_no_ballast() {
        let folder = folder("low");
        let space = Space::watch(&folder, u64::MAX);
        assert!(space.is_low() && !folder.join("ballast").exists());
        // The watch may just be looking, and make its ballast again.
        drop(space);
        std::fs::remove_dir_all(folder).ok();
    }

    #[test]
    fn with_room_the_ballast_takes_its_bytes_from_the_disk() {
        let folder = folder("room");
        let space = Space::watch(&folder, 4 << 20);
        assert!(!space.is_low());
        let about = std::fs::metadata(folder.join("ballast")).expect("a ballast");
        assert_eq!(about.len(), 1 << 20);
        assert!(std::os::unix::fs::MetadataExt::blocks(&about) * 512 >= 1 << 20, "not only promised");
        // The watch may just be looking, and make its ballast again.
        drop(space);
        std::fs::remove_dir_all(folder).ok();
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_room() {
        assert!(Space::watch(Path::new("/there is no such folder"), 1).is_low());
    }
}
