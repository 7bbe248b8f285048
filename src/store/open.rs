//! Opening: a damaged or foreign file is set aside and a new one begun; what a person has to fix is an error.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::disk::{Contents, Disk, Trouble};
use crate::{clock, metrics};

/// Why the history cannot be opened, for a person.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the file open.
    #[error(
        "store.path = \"{path}\": another process has this file open. Give each process a file of its own, or none: \
         store.path = \"\" keeps history in memory"
    )]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error(
        "store.path = \"{path}\": {source}. Name a file that can be written, or none: store.path = \"\" keeps history in memory"
    )]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Files set aside that are kept, the newest ones.
const ASIDE_MAX: usize = 3;

/// Opens what is at `path` (`None`: in memory) for instruments of these `names`.
pub(super) fn open(path: Option<&Path>, names: &[String]) -> Result<(Disk, Contents), StoreError> {
    let shown = || path.map(Path::to_owned).unwrap_or_default();
    let error = |trouble| match trouble {
        Trouble::Locked => StoreError::Locked { path: shown() },
        Trouble::System(source) => StoreError::Unusable { path: shown(), source },
        Trouble::Damaged(why) => StoreError::Unusable { path: shown(), source: io::Error::other(why) },
    };
    let why = match (Disk::open(path, names), path) {
        (Ok(opened), _) => return Ok(opened),
        (Err(Trouble::Damaged(why)), Some(_)) => why,
        (Err(trouble), _) => return Err(error(trouble)),
    };
    if let Some(path) = path {
        let aside = set_aside(path).map_err(|source| StoreError::Unusable { path: path.to_owned(), source })?;
        metrics::Store::set_aside();
        tracing::error!(
            path = %path.display(), aside = %aside.display(), why,
            "the kept history is damaged or not ours: it is set aside, and a new one begins"
        );
    }
    Disk::open(path, names).map_err(error)
}

/// Renames a file to `<path>.corrupt-<seconds>` and deletes all but the newest of those.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let prefix = with_suffix(path, ".corrupt-");
    let seconds = clock::now().millis() / 1000;
    let mut aside = with_suffix(&prefix, &seconds.to_string());
    let mut again = 1;
    while aside.exists() {
        aside = with_suffix(&prefix, &format!("{seconds}-{again}"));
        again += 1;
    }
    fs::rename(path, &aside)?;
    forget_old(&prefix);
    Ok(aside)
}

/// Deletes all but the newest files that begin with `prefix`. One that cannot be deleted is only in the way.
fn forget_old(prefix: &Path) {
    let (Some(folder), Some(name)) = (prefix.parent(), prefix.file_name()) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let begins = |path: &PathBuf| {
        path.file_name().is_some_and(|file| file.as_encoded_bytes().starts_with(name.as_encoded_bytes()))
    };
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(begins).collect();
    files.sort();
    for file in files.iter().rev().skip(ASIDE_MAX) {
        if let Err(error) = fs::remove_file(file) {
            tracing::warn!(file = %file.display(), %error, "an old damaged history cannot be deleted");
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut whole = OsString::from(path);
    whole.push(suffix);
    whole.into()
}
