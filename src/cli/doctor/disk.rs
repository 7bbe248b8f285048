//! Where history and recordings go: whether it can be written, and how much fits.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use super::finding::{Check, Finding};
use crate::{cli::terminal::bytes, config::Config};

const SECTION: &str = "Disk";

/// The folder of the history, and that of recordings.
pub(super) fn findings(config: &Config, recordings: &Path) -> Vec<Finding> {
    vec![history(config), recording(recordings)]
}

fn history(config: &Config) -> Finding {
    let check = Check::new(SECTION, "history");
    if config.store.path.is_empty() {
        return check.ok("kept in memory (store.path is empty): it begins anew with each start");
    }
    let path = Path::new(&config.store.path);
    let folder = folder_of(path);
    let has = fs::metadata(path).map_or(0, |file| file.len());
    if let Err(error) = writable(folder, Some(path)) {
        let way_out = format!("mkdir -p {0} && chown USER {0}, or another `store.path`", folder.display());
        return check.fail(format!("{}: {error}", path.display()), "the server does not start", &way_out);
    }
    // The file doubles as it grows (config/default.toml).
    let wanted = config.store.bytes_max.saturating_mul(2).saturating_sub(has);
    let Some(free) = free_bytes(folder) else { return check.ok(format!("{} can be written", path.display())) };
    let found =
        format!("{}: {} now, {} free, up to {} more wanted", path.display(), bytes(has), bytes(free), bytes(wanted));
    if free < wanted {
        let why = "on a full disk history ends, and the server says so and goes on";
        return check.warn(found, why, "a smaller store.bytes_max, or a larger disk");
    }
    check.ok(found)
}

fn recording(folder: &Path) -> Finding {
    let check = Check::new(SECTION, "recordings");
    let name = folder.display();
    if let Err(error) = writable(folder, None) {
        let way_out = "another folder: tickcast record FOLDER/FILE, tickcast doctor --recordings FOLDER";
        return check.warn(format!("{name}: {error}"), "`tickcast record` cannot write there", way_out);
    }
    match free_bytes(folder) {
        Some(free) if free < RECORDING_LEAST => check.warn(
            format!("{name}: {} free", bytes(free)),
            "a busy venue takes some GiB a day; a recording ends when the disk is full",
            "room, or another folder",
        ),
        Some(free) => check.ok(format!("{name}: {} free", bytes(free))),
        None => check.ok(format!("{name} can be written")),
    }
}

/// A day of a busy venue, packed.
const RECORDING_LEAST: u64 = 4 << 30;

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether `file` in `folder` could be written, or any file. Nothing is left behind.
fn writable(folder: &Path, file: Option<&Path>) -> io::Result<()> {
    if let Some(file) = file.filter(|file| file.exists()) {
        return OpenOptions::new().read(true).write(true).open(file).map(drop);
    }
    let probe = folder.join(format!(".tickcast-doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Status, *};

    #[test]
    fn what_cannot_be_written_or_does_not_fit_is_told() {
        let mut config = Config::embedded();
        assert_eq!(history(&config).status, Status::Ok);
        config.store.path = "/nowhere/at/all/history.redb".to_owned();
        let finding = history(&config);
        assert_eq!(finding.status, Status::Fail);
        assert!(finding.way_out.contains("mkdir -p /nowhere/at/all"), "{finding:?}");
        let here = std::env::temp_dir().join("tickcast-doctor-history.redb");
        config.store.path = here.display().to_string();
        config.store.bytes_max = 1 << 20;
        assert_eq!(history(&config).status, Status::Ok, "{:?}", history(&config));
        config.store.bytes_max = u64::MAX / 4;
        assert_eq!(history(&config).status, Status::Warn);
        assert!(!here.exists(), "nothing is left behind");
        assert_eq!(recording(Path::new("/nowhere/at/all")).status, Status::Warn);
    }
}
