//! Backups of a server's state: where they are kept, what they consist of, how they are made, checked and restored.
//!
//! A backup is one object, the compressed state, and a small manifest that is written after it: what has no manifest
//! was not finished and is never taken for a backup. Nothing read from a store is believed before it is verified.
//! This crate knows stores and files; when a backup is due, and who makes it, is the server's business.

mod create;
mod error;
mod fetch;
mod list;
mod location;
mod manifest;
mod progress;
mod retention;
mod secret;
mod settings;
mod shown;
mod store;
#[cfg(test)]
mod tests;

pub use create::{BackupOrigin, create};
pub use error::BackupError;
pub use fetch::{Checked, Rebuilt, restore, verify};
pub use list::{ListedBackup, latest, list, named};
pub use location::Location;
pub use manifest::Manifest;
pub use progress::{BackupPhase, Progress, Watch};
pub use retention::{expired, remove};
pub use secret::StoreSecret;
pub use settings::S3Settings;
pub use store::Store;
