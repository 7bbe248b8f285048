//! What can be wrong with a database, told apart by what is to be done about it.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use redb::DatabaseError;
use thiserror::Error;

/// Why a database cannot be used.
#[derive(Debug, Error)]
pub(in crate::store) enum Trouble {
    /// It is damaged, or it is none of ours.
    #[error("{0}")]
    Damaged(String),
    /// Another process has it open.
    #[error("another process has it open")]
    Locked,
    /// The system refuses it.
    #[error("{0}")]
    System(io::Error),
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::Locked,
            DatabaseError::Storage(storage) => damaged(storage),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Tells a damaged file from a system that refuses.
pub(super) fn damaged(error: impl Into<redb::Error>) -> Trouble {
    match error.into() {
        // A file that is too short, or that does not begin as a database does.
        redb::Error::Io(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            Trouble::Damaged(error.to_string())
        }
        redb::Error::Io(error) => Trouble::System(error),
        redb::Error::DatabaseAlreadyOpen => Trouble::Locked,
        other => Trouble::Damaged(other.to_string()),
    }
}

/// redb checks its own assumptions with assertions. A file that breaks one is damaged; we live on.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Trouble::Damaged(said.unwrap_or("redb broke off").to_owned()))
    })
}
