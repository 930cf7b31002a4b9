//! A certificate authority for development: made once, kept in a folder, and trusted by nobody but those who are told to.
//!
//! Certificates of servers are made when a client asks for a name, and kept in memory. Tools trust the authority when
//! `AWS_CA_BUNDLE` (or `SSL_CERT_FILE`, `NODE_EXTRA_CA_CERTS`) names its `ca.pem`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::warn;

/// The file of the authority's certificate.
pub const CERTIFICATE_FILE: &str = "ca.pem";

/// The file of its key, readable by its owner alone.
pub const KEY_FILE: &str = "ca.key";

/// Certificates that are kept in memory; further names get one that is made again each time.
const MOST_NAMES: usize = 4096;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file.
    #[error("cannot {step} {}", path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// One of the two files is missing or is not what it should be.
    #[error("{} and {} are not an authority's certificate and key; remove both and new ones are made", certificate.display(), key.display())]
    Content {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A certificate cannot be used.
    #[error("cannot use a certificate that was made")]
    Use(#[from] rustls::Error),
}

/// Makes certificates of servers, signed by a development authority.
#[derive(Debug)]
pub struct DevelopmentCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: PathBuf,
    /// For clients that name nobody.
    unnamed: Arc<CertifiedKey>,
    named: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl DevelopmentCa {
    /// Opens the authority in `folder`, or makes it. Clients that name nobody while connecting get a certificate for
    /// `names`, beside those of this machine.
    pub fn open(folder: &Path, names: &[String]) -> Result<Self, CaError> {
        let (certificate, key) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
        if !certificate.exists() && !key.exists() {
            make(folder, &certificate, &key)?;
        }
        let broken = || CaError::Content { certificate: certificate.clone(), key: key.clone() };
        let read = |path: &Path| match std::fs::read_to_string(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(broken()),
            other => other.map_err(|cause| CaError::File { step: "read", path: path.to_owned(), cause }),
        };
        let signing = KeyPair::from_pem(&read(&key)?).map_err(|_| broken())?;
        let der = CertificateDer::from_pem_slice(read(&certificate)?.as_bytes()).map_err(|_| broken())?;
        let public = signing.public_key_raw();
        if !der.windows(public.len()).any(|part| part == public) {
            return Err(broken());
        }
        let issuer = Issuer::new(authority(), signing);
        let mut unnamed = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        unnamed.extend_from_slice(names);
        let unnamed = Arc::new(certify(&issuer, unnamed)?);
        Ok(Self { issuer, certificate, unnamed, named: Mutex::default() })
    }

    /// The file that clients must be told to trust.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    fn of(&self, name: &str) -> Result<Arc<CertifiedKey>, CaError> {
        if let Some(known) = self.named.lock().get(name) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(certify(&self.issuer, vec![name.to_owned()])?);
        let mut named = self.named.lock();
        if named.len() < MOST_NAMES {
            named.insert(name.to_owned(), Arc::clone(&made));
        }
        Ok(made)
    }
}

impl ResolvesServerCert for DevelopmentCa {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Some(name) = hello.server_name() else { return Some(Arc::clone(&self.unnamed)) };
        match self.of(name) {
            Ok(certified) => Some(certified),
            Err(cause) => {
                warn!(name, %cause, "no certificate for a client");
                None
            }
        }
    }
}

/// Makes an authority and writes it, the key first: a certificate without its key is of no use to anybody.
fn make(folder: &Path, certificate: &Path, key: &Path) -> Result<(), CaError> {
    let failed = |step, path: &Path| {
        let path = path.to_owned();
        move |cause| CaError::File { step, path, cause }
    };
    std::fs::create_dir_all(folder).map_err(failed("make folder", folder))?;
    let signing = KeyPair::generate()?;
    let signed = authority().self_signed(&signing)?;
    for (path, mode, text) in [(key, 0o600, signing.serialize_pem()), (certificate, 0o644, signed.pem())] {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .map_err(failed("write", path))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed("write", path))?;
    }
    Ok(())
}

/// What the authority's certificate says. The same for all of them, so that it need not be read back.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = name("Towpath development authority");
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2025, 1, 1), rcgen::date_time_ymd(2045, 1, 1));
    params
}

fn certify(issuer: &Issuer<'_, KeyPair>, names: Vec<String>) -> Result<CertifiedKey, CaError> {
    let key = KeyPair::generate()?;
    // A common name has at most 64 characters; who checks names looks at the alternative ones.
    let common = names.first().filter(|name| name.len() <= 64).map_or("towpath gateway", String::as_str).to_owned();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = name(&common);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (year, month) = this_month();
    // Some clients refuse certificates that are valid for longer than 398 days.
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(year, month, 1), rcgen::date_time_ymd(year + 1, month, 1));
    let signed = params.signed_by(&key, issuer)?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(CertifiedKey::new(vec![signed.der().clone()], any_supported_type(&private)?))
}

/// Year and month of now, in UTC. Only certificates ask the operating system for the time here: a clock that tests move
/// has no say in what clients believe.
fn this_month() -> (i32, u8) {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    (i32::from(now.year()), u8::try_from(now.month()).unwrap_or(1))
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_authority_is_made_once_and_its_key_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("ca");
        let first = DevelopmentCa::open(&folder, &[]).unwrap();
        let text = std::fs::read(first.certificate()).unwrap();
        let mode = std::fs::metadata(folder.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = DevelopmentCa::open(&folder, &["10.1.2.3".to_owned()]).unwrap();
        assert_eq!(std::fs::read(second.certificate()).unwrap(), text);
    }

    #[test]
    fn half_an_authority_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        DevelopmentCa::open(folder.path(), &[]).unwrap();
        std::fs::remove_file(folder.path().join(KEY_FILE)).unwrap();
        assert!(matches!(DevelopmentCa::open(folder.path(), &[]), Err(CaError::Content { .. })));
    }

    #[test]
    fn one_name_has_one_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let ca = DevelopmentCa::open(folder.path(), &[]).unwrap();
        let first = ca.of("s3.amazonaws.com").unwrap();
        assert!(Arc::ptr_eq(&first, &ca.of("s3.amazonaws.com").unwrap()));
        assert!(!Arc::ptr_eq(&first, &ca.of("sts.amazonaws.com").unwrap()));
    }
}
