//! Where a server or an agent keeps its certificates: `tls` in its data directory.

use crate::authority::{self, Authority, Renewal};
use crate::error::TlsError;
use crate::{Channel, Fingerprint, PendingKey, Subject};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::io;
use std::path::{Path, PathBuf};
use taskyard_api::{Certificate, Secret};
use taskyard_datadir::{DirError, make_dir, read_pem, write_pem};

/// See the module.
#[derive(Clone, Debug)]
pub struct TlsDir(PathBuf);

impl TlsDir {
    /// That of a data directory; it need not be there.
    pub fn of(data_dir: &Path) -> TlsDir {
        TlsDir(data_dir.join("tls"))
    }

    /// The authority's certificate, which is there once one has joined.
    pub fn authority_file(&self) -> PathBuf {
        self.0.join("ca.crt")
    }

    fn authority_key_file(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    fn own_file(&self) -> PathBuf {
        self.0.join("own.crt")
    }

    fn own_key_file(&self) -> PathBuf {
        self.0.join("own.key")
    }

    /// Whether the authority is known here.
    pub fn is_there(&self) -> bool {
        self.authority_file().exists()
    }

    /// Makes a new authority.
    pub fn create_authority(&self) -> Result<Fingerprint, TlsError> {
        if self.is_there() {
            return Err(TlsError::Exists(self.0.clone()));
        }
        let (certificate, key) = Authority::create()?;
        self.write(&self.authority_key_file(), key.expose())?;
        // Last: with it the directory counts as set up.
        self.write(&self.authority_file(), &certificate)?;
        self.fingerprint()
    }

    /// The authority, where its key is.
    pub fn authority(&self) -> Result<Authority, TlsError> {
        let path = self.authority_key_file();
        let key = self.secret(&path)?;
        Authority::open(&self.read(&self.authority_file())?, &key).map_err(|error| damaged(path, error))
    }

    /// The authority's key, for a server that joins.
    pub fn authority_key(&self) -> Result<Secret, TlsError> {
        self.secret(&self.authority_key_file())
    }

    /// What the authority is known by.
    pub fn fingerprint(&self) -> Result<Fingerprint, TlsError> {
        let path = self.authority_file();
        authority::fingerprint(&self.read(&path)?).map_err(|error| damaged(path, error))
    }

    /// The key that is to be signed; the same each time until it was.
    pub fn request(&self) -> Result<PendingKey, TlsError> {
        let path = self.own_key_file();
        if path.exists() {
            return PendingKey::of(&self.secret(&path)?).map_err(|error| damaged(path, error));
        }
        let request = PendingKey::new()?;
        self.write(&path, request.key()?.expose())?;
        Ok(request)
    }

    /// Whom the certificate that is kept here is for.
    pub fn subject(&self) -> Result<Option<Subject>, TlsError> {
        let path = self.own_file();
        let read = CertificateDer::from_pem_slice(self.read(&path)?.as_bytes());
        Ok(Subject::of(&read.map_err(|error| damaged(path, error))?))
    }

    /// When the certificate that is kept here is to be renewed.
    pub fn renewal(&self) -> Result<Renewal, TlsError> {
        let path = self.own_file();
        Renewal::of(&self.read(&path)?).map_err(|error| damaged(path, error))
    }

    /// Keeps what the authority gave.
    pub fn keep(&self, given: &Certificate) -> Result<(), TlsError> {
        if let Some(key) = &given.authority_key {
            self.write(&self.authority_key_file(), key.expose())?;
        }
        self.write(&self.own_file(), &given.certificate)?;
        self.write(&self.authority_file(), &given.authority)
    }

    /// TLS with the certificate that is kept here.
    pub fn channel(&self) -> Result<Channel, TlsError> {
        let (path, key) = (self.own_file(), self.secret(&self.own_key_file())?);
        Channel::new(&self.read(&path)?, &key, &self.read(&self.authority_file())?)
            .map_err(|error| damaged(path, error))
    }

    /// Takes the certificate that is kept here, in place of the one before.
    pub fn refresh(&self, channel: &Channel) -> Result<(), TlsError> {
        let (path, key) = (self.own_file(), self.secret(&self.own_key_file())?);
        channel.replace(&self.read(&path)?, &key).map_err(|error| damaged(path, error))
    }

    /// TLS with a new key that a server signs for itself, kept in memory alone.
    pub fn own_channel(&self, subject: &Subject, hosts: &[String]) -> Result<Channel, TlsError> {
        let authority = self.authority()?;
        let request = PendingKey::new()?;
        Channel::new(&authority.sign_own(&request, subject, hosts)?, &request.key()?, authority.certificate())
    }

    /// Another one of these in place of the one before.
    pub fn refresh_own(
        &self,
        channel: &Channel,
        subject: &Subject,
        hosts: &[String],
    ) -> Result<(), TlsError> {
        let request = PendingKey::new()?;
        channel.replace(&self.authority()?.sign_own(&request, subject, hosts)?, &request.key()?)
    }

    fn secret(&self, path: &Path) -> Result<Secret, TlsError> {
        let text = self.read(path)?;
        Secret::read_key(&path.display().to_string(), &text).map_err(|error| damaged(path.to_owned(), error))
    }

    fn read(&self, path: &Path) -> Result<String, TlsError> {
        let missing = || TlsError::File { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
        read_pem(path)?.ok_or_else(missing)
    }

    /// In one step, and never readable by others.
    fn write(&self, path: &Path, text: &str) -> Result<(), TlsError> {
        make_dir(&self.0).map_err(|source| TlsError::File { path: self.0.clone(), source })?;
        Ok(write_pem(path, text)?)
    }
}

impl From<DirError> for TlsError {
    fn from(error: DirError) -> TlsError {
        match error {
            DirError::Io { path, cause, .. } => TlsError::File { path, source: cause },
            DirError::Damaged { path, offset, what } => TlsError::Damaged { path, offset, why: what },
            DirError::Shared { ref path, .. } => damaged(path.clone(), &error),
        }
    }
}

fn damaged(path: PathBuf, why: impl std::fmt::Display) -> TlsError {
    TlsError::Damaged { path, offset: 0, why: why.to_string() }
}
