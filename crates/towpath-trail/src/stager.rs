//! Threads that write staged files: compress, hash, append, sync.
//!
//! A file belongs to one thread for its life, so that its blocks arrive in order. A failure stays with the file and is
//! told when the file ends.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};

use sha2::{Digest, Sha256};

use crate::gzip::{Deflater, Member};

// Blocks that wait for a thread: enough to keep it busy, little enough to bound memory.
const QUEUE: usize = 4;

/// One block of a file.
pub(crate) struct Block {
    /// The file's name below the folder of staged files.
    pub(crate) file: String,
    pub(crate) text: Vec<u8>,
    /// The file begins with this block.
    pub(crate) first: bool,
    /// The file ends with this block; the answer comes.
    pub(crate) last: Option<Sender<Written>>,
}

/// A file that ended.
pub(crate) struct Written {
    pub(crate) file: String,
    /// SHA-256 of the text in hexadecimal, once the file is on disk; or the first failure.
    pub(crate) hash: io::Result<String>,
}

/// The threads. They end when this is dropped.
pub(crate) struct Stagers {
    queues: Vec<SyncSender<Block>>,
}

impl Stagers {
    pub(crate) fn start(folder: &Path, threads: usize, level: u32) -> io::Result<Self> {
        let mut queues = Vec::with_capacity(threads);
        for number in 0..threads {
            let (sender, receiver) = sync_channel(QUEUE);
            let worker = Worker { folder: folder.to_owned(), deflater: Deflater::new(level), files: HashMap::new() };
            let thread = std::thread::Builder::new().name(format!("towpath-trail-{number}"));
            thread.spawn(move || worker.run(&receiver))?;
            queues.push(sender);
        }
        Ok(Self { queues })
    }

    pub(crate) fn threads(&self) -> usize {
        self.queues.len()
    }

    /// Hands a block to a thread; waits while its queue is full.
    pub(crate) fn write(&self, thread: usize, block: Block) -> io::Result<()> {
        let sent = self.queues[thread % self.queues.len()].send(block);
        sent.map_err(|_| io::Error::other("a staging thread ended"))
    }
}

struct Worker {
    folder: PathBuf,
    deflater: Deflater,
    files: HashMap<String, Open>,
}

#[derive(Default)]
struct Open {
    member: Member,
    hash: Sha256,
    failed: Option<io::Error>,
}

impl Worker {
    fn run(mut self, blocks: &Receiver<Block>) {
        while let Ok(block) = blocks.recv() {
            let mut open = match self.files.remove(&block.file) {
                Some(open) if !block.first => open,
                _ => Open::default(),
            };
            if open.failed.is_none() {
                open.failed = self.append(&mut open, &block).err();
            }
            match block.last {
                None => drop(self.files.insert(block.file, open)),
                Some(answer) => {
                    let hash = match open.failed {
                        None => Ok(hex::encode(open.hash.finalize())),
                        Some(error) => Err(error),
                    };
                    // Nobody waits any more when the window was given up.
                    let _ = answer.send(Written { file: block.file, hash });
                }
            }
        }
    }

    fn append(&mut self, open: &mut Open, block: &Block) -> io::Result<()> {
        open.hash.update(&block.text);
        let path = self.folder.join(&block.file);
        let mut file = if block.first {
            let mut file = File::create(path)?;
            file.write_all(self.deflater.begin())?;
            file
        } else {
            OpenOptions::new().append(true).open(path)?
        };
        file.write_all(self.deflater.block(&mut open.member, &block.text)?)?;
        if block.last.is_some() {
            file.write_all(self.deflater.end(&open.member))?;
            file.sync_all()?;
        }
        Ok(())
    }
}

/// Writes a small file whole and makes it durable under its name.
pub(crate) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!("{name}.new"));
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, folder.join(name))?;
    sync_folder(folder)
}

/// Makes names in the folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
