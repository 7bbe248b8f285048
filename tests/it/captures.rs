//! The folder of recorded exchange data that some tests read; it is no part of the repository.

use std::{env, path::PathBuf};

/// The folder that `TICKCAST_CAPTURES` names; `None`, said in one line, if it is not set.
pub fn folder(test: &str) -> Option<PathBuf> {
    let folder = env::var_os("TICKCAST_CAPTURES").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("{test}: TICKCAST_CAPTURES is not set, nothing is tested");
    }
    folder
}
