//! The few things that a durable log asks of a file system, so that its failures can be played in tests.
//!
//! In:  paths, bytes to append.
//! Out: what the file system says.
//! Law: what was appended is durable after `sync`, a new or renamed name after `sync_dir`, and nothing before; every caller
//!      is written for a file system that keeps no more than that. A file that is appended to often has room: zeros behind
//!      its content, so that a sync needs to write the content alone, and not that the file became longer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A file that only grows.
pub trait Appender: Send {
    /// Appends all of `bytes`; after an error an unknown part of them may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once all that was appended is durable; after an error nothing may be assumed of it.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file system.
pub trait Files: Send + Sync {
    /// Makes a folder and those above it, unless they are there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// The bytes of a file; none if there is no such file.
    fn size(&self, path: &Path) -> io::Result<Option<u64>>;
    /// Reads from `offset` until `into` is full or the file ends; how many bytes that were.
    fn read_at(&self, path: &Path, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Opens a file for appending; makes it if it isn't there.
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Appender>>;
    /// The same for a file with room, whose content ends at byte `end`: what follows there are zeros, or is nothing.
    fn open_roomy(&self, path: &Path, end: u64) -> io::Result<Box<dyn Appender>>;
    /// Returns once what was written to a file is durable.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Cuts a file to `size` bytes, durably.
    fn truncate(&self, path: &Path, size: u64) -> io::Result<()>;
    /// Gives a file another name in its folder, in place of what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns once the names in a folder are durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Appender for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A file with room; it stands where its content ends.
struct Roomy {
    file: File,
    /// Where its content ends.
    end: u64,
    /// Where its room ends.
    size: u64,
}

/// Room is made as large as the content, within these bounds: a larger one holds up whoever waits for the sync that writes it,
/// a smaller one is used up often.
const ROOM: (u64, u64) = (16 * 1024, 256 * 1024);

impl Appender for Roomy {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        if self.end > self.size {
            let room = self.end.clamp(ROOM.0, ROOM.1);
            self.file.write_all(&vec![0; room as usize])?;
            self.file.seek(SeekFrom::Start(self.end))?;
            self.size = self.end + room;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Files for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = std::fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        match std::fs::metadata(path) {
            Ok(about) => Ok(Some(about.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_at(&self, path: &Path, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut filled = 0;
        while filled < into.len() {
            match file.read(&mut into[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Appender>> {
        Ok(Box::new(OpenOptions::new().create(true).append(true).open(path)?))
    }

    fn open_roomy(&self, path: &Path, end: u64) -> io::Result<Box<dyn Appender>> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(end))?;
        Ok(Box::new(Roomy { file, end, size }))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data()
    }

    fn truncate(&self, path: &Path, size: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(size)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}
