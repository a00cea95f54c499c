//! The listener's certificate and key, from files. A key that anybody may read is refused.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use narrows_gateway::ServerTls;

use crate::failure::Failure;

/// Where they are.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Reads both.
pub(super) fn load(files: &Files) -> Result<ServerTls, Failure> {
    let (chain, key) = read(files)?;
    ServerTls::new(&chain, &key).map_err(|error| unusable(files, &error))
}

/// Reads both again; on failure the ones in use stay.
pub(super) fn reload(tls: &ServerTls, files: &Files) -> Result<(), Failure> {
    let (chain, key) = read(files)?;
    tls.replace(&chain, &key).map_err(|error| unusable(files, &error))
}

fn read(files: &Files) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let shown = files.key.display();
    let metadata = std::fs::metadata(&files.key)
        .map_err(|error| Failure::new(format!("cannot read `{shown}`: {error}")))?;
    // A group may be meant to read it, as with keys that a certificate manager writes.
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(Failure::new(format!(
            "the private key `{shown}` can be read by anybody on this machine"
        ))
        .hint(format!("`chmod 640 {shown}`, and replace the key if somebody may have read it")));
    }
    Ok((read_file(&files.certificate)?, read_file(&files.key)?))
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
}

fn unusable(files: &Files, error: &narrows_gateway::TlsError) -> Failure {
    Failure::from_error(error)
        .during(&format!("`{}` with `{}`", files.certificate.display(), files.key.display()))
        .hint("both are PEM: the certificate followed by its issuers, and its private key")
}
