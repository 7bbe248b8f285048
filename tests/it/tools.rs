//! The tools, as the processes that a person runs.

mod doctor;
mod manual;
mod recordings;
mod tail;

use std::{fs, path::PathBuf};

/// A folder of one test alone, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickcast-tools-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    /// The path of a file in it.
    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// The same, with this in it.
    fn with(&self, name: &str, text: &str) -> String {
        let path = self.file(name);
        fs::write(&path, text).expect("the temporary folder is writable");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _already_gone = fs::remove_dir_all(&self.0);
    }
}
