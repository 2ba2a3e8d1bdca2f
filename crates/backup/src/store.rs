//! A store: writes, reads, lists and removes objects of one location. Everything large moves in parts between the
//! store and a file.

use crate::error::BackupError;
use crate::location::Location;
use crate::progress::{BackupPhase, Watch};
use crate::settings::S3Settings;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use ring::digest::{Context, SHA256};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use taskyard_model::limits::{BACKUP_OBJECTS_MAX, BACKUP_PART_BYTES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A store of backups; clones are the same.
#[derive(Clone, Debug)]
pub struct Store {
    location: Location,
    inner: Arc<dyn ObjectStore>,
}

impl Store {
    /// Opens the store at a location. Nothing is sent yet.
    pub fn open(location: &Location, s3: &S3Settings) -> Result<Store, BackupError> {
        let inner: Arc<dyn ObjectStore> = match location {
            Location::Dir(path) if !path.is_dir() => {
                return Err(BackupError::NoDirectory { path: path.clone() });
            }
            Location::Dir(path) => {
                let wrong = |cause: object_store::Error| BackupError::Store {
                    what: "open the directory",
                    object: path.display().to_string(),
                    cause: full(&cause),
                    hint: "",
                };
                Arc::new(LocalFileSystem::new_with_prefix(path).map_err(wrong)?.with_fsync(true))
            }
            Location::Bucket { bucket, prefix } => {
                // Without a provider of cryptography the client could make no connection; another one that is there
                // already serves as well.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let wrong = |cause: object_store::Error| BackupError::Store {
                    what: "use",
                    object: location.to_string(),
                    cause: full(&cause),
                    hint: HINT,
                };
                let store = s3.builder(bucket).build().map_err(wrong)?;
                if prefix.is_empty() {
                    Arc::new(store)
                } else {
                    Arc::new(PrefixStore::new(store, prefix.as_str()))
                }
            }
        };
        Ok(Store { location: location.clone(), inner })
    }

    /// Opens a store to write to: a directory is made if it is not there. What users sent with their jobs is private.
    pub fn open_to_write(location: &Location, s3: &S3Settings) -> Result<Store, BackupError> {
        if let Location::Dir(path) = location {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(BackupError::file("make the directory", path))?;
        }
        Store::open(location, s3)
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// An object, for people.
    pub(crate) fn describe(&self, name: &str) -> String {
        format!("{}/{name}", self.location)
    }

    fn wrong(&self, what: &'static str, name: &str) -> impl FnOnce(object_store::Error) -> BackupError {
        let object = self.describe(name);
        let hint = if matches!(self.location, Location::Dir(_)) { "" } else { HINT };
        let store = self.location.to_string();
        let name = name.to_owned();
        move |error| match error {
            object_store::Error::NotFound { .. } if what == "read" => {
                BackupError::NotFound { what: name, store }
            }
            error => BackupError::Store { what, object, cause: full(&error), hint },
        }
    }

    /// Names and lengths of all objects.
    pub(crate) async fn names(&self) -> Result<BTreeMap<String, u64>, BackupError> {
        let mut names = BTreeMap::new();
        let mut objects = self.inner.list(None);
        while let Some(object) = objects.next().await {
            let object = object.map_err(self.wrong("list", ""))?;
            names.insert(object.location.to_string(), object.size);
            if names.len() > BACKUP_OBJECTS_MAX {
                let cause = format!("it holds more than {BACKUP_OBJECTS_MAX} objects");
                return Err(BackupError::Store {
                    what: "list",
                    object: self.location.to_string(),
                    cause,
                    hint: ", and give backups a directory or prefix of their own",
                });
            }
        }
        Ok(names)
    }

    /// A small object, whole.
    pub(crate) async fn read_small(&self, name: &str, most: u64) -> Result<Bytes, BackupError> {
        let object = self.inner.get(&Key::from(name)).await.map_err(self.wrong("read", name))?;
        if object.meta.size > most {
            let what = format!("it has {} bytes, and at most {most} are expected", object.meta.size);
            return Err(BackupError::damaged(self.describe(name), what));
        }
        object.bytes().await.map_err(self.wrong("read", name))
    }

    /// Writes a small object whole.
    pub(crate) async fn write_small(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        let put = self.inner.put(&Key::from(name), PutPayload::from(bytes)).await;
        put.map_err(self.wrong("write", name))?;
        self.keep_private(name)
    }

    /// Length of an object; `None` if it is not there.
    pub(crate) async fn len(&self, name: &str) -> Result<Option<u64>, BackupError> {
        match self.inner.head(&Key::from(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.wrong("look at", name)(error)),
        }
    }

    /// Sends a file. The object is there whole or not at all.
    pub(crate) async fn upload(
        &self,
        name: &str,
        file: &Path,
        bytes: u64,
        watch: &Watch,
    ) -> Result<(), BackupError> {
        let mut input = tokio::fs::File::open(file).await.map_err(BackupError::file("read", file))?;
        watch.tell(BackupPhase::Uploading, 0, bytes);
        if bytes <= BACKUP_PART_BYTES {
            let part = read_part(&mut input, file).await?;
            self.write_small(name, part).await?;
        } else {
            self.upload_parts(name, (&mut input, file), bytes, watch).await?;
            self.keep_private(name)?;
        }
        watch.tell(BackupPhase::Uploading, bytes, bytes);
        match self.len(name).await? {
            Some(len) if len == bytes => Ok(()),
            len => {
                let what = format!("{bytes} bytes were sent, {} are there", len.unwrap_or(0));
                Err(BackupError::damaged(self.describe(name), what))
            }
        }
    }

    async fn upload_parts(
        &self,
        name: &str,
        (input, file): (&mut tokio::fs::File, &Path),
        bytes: u64,
        watch: &Watch,
    ) -> Result<(), BackupError> {
        let mut upload =
            self.inner.put_multipart(&Key::from(name)).await.map_err(self.wrong("write", name))?;
        let mut sent = 0;
        let result = loop {
            let part = match read_part(input, file).await {
                Ok(part) if part.is_empty() => break Ok(()),
                Ok(part) => part,
                Err(error) => break Err(error),
            };
            sent += part.len() as u64;
            if let Err(error) = upload.put_part(PutPayload::from(part)).await {
                break Err(self.wrong("write", name)(error));
            }
            watch.tell(BackupPhase::Uploading, sent, bytes);
        };
        match result {
            Ok(()) => upload.complete().await.map(drop).map_err(self.wrong("write", name)),
            Err(error) => {
                // The parts are paid for until somebody takes them back.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    /// Fetches an object into a file; its SHA-256.
    pub(crate) async fn download(
        &self,
        name: &str,
        file: &Path,
        bytes: u64,
        watch: &Watch,
    ) -> Result<String, BackupError> {
        let key = Key::from(name);
        let mut sum = Context::new(&SHA256);
        let wrong = || BackupError::file("write", file);
        let out = taskyard_datadir::create(file).map_err(wrong())?;
        let mut out = tokio::fs::File::from_std(out);
        let mut at = 0;
        while at < bytes {
            watch.tell(BackupPhase::Downloading, at, bytes);
            // In parts, so that one that breaks off is tried again alone.
            let end = bytes.min(at + BACKUP_PART_BYTES);
            let part = self.inner.get_range(&key, at..end).await.map_err(self.wrong("read", name))?;
            if part.len() as u64 != end - at {
                let what = format!("{} bytes came where {} were requested", part.len(), end - at);
                return Err(BackupError::damaged(self.describe(name), what));
            }
            sum.update(&part);
            out.write_all(&part).await.map_err(wrong())?;
            at = end;
        }
        out.flush().await.map_err(wrong())?;
        watch.tell(BackupPhase::Downloading, bytes, bytes);
        Ok(hex(sum.finish().as_ref()))
    }

    /// Removes an object; one that is not there is fine.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), BackupError> {
        match self.inner.delete(&Key::from(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.wrong("remove", name)(error)),
        }
    }

    fn keep_private(&self, name: &str) -> Result<(), BackupError> {
        let Location::Dir(dir) = &self.location else { return Ok(()) };
        let path = dir.join(name);
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(BackupError::file("set the permissions of", &path))
    }
}

const HINT: &str = ": the endpoint (AWS_ENDPOINT_URL), the bucket, and the keys (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or [backup.s3] in the configuration file)";

/// The next part of a file; empty at its end.
async fn read_part(input: &mut tokio::fs::File, file: &Path) -> Result<Vec<u8>, BackupError> {
    let mut part = Vec::new();
    input.take(BACKUP_PART_BYTES).read_to_end(&mut part).await.map_err(BackupError::file("read", file))?;
    Ok(part)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An error with its causes, each once: those of the library often repeat the next one.
pub(crate) fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}
