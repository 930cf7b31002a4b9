//! TLS on the port: certificate and key out of PEM files, read at start and anew on SIGHUP.
//!
//! A pair that cannot be used is refused at start with the name of its setting; on SIGHUP it is told in the log, and the
//! pair that was there goes on being served. TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::http::TlsFacts;
use crate::config;

/// Why connections cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("setting {setting} names {}, which cannot be read", path.display())]
    Read {
        /// `tls.certificate` or `tls.key`.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// A file holds nothing of what it should.
    #[error("setting {setting} names {}, which holds no {wanted} in PEM form", path.display())]
    Content {
        /// `tls.certificate` or `tls.key`.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// Certificate and key cannot be used together.
    #[error("settings tls.certificate and tls.key cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// Encrypts connections with the certificate of the settings.
#[derive(Clone)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: Arc<ArcSwap<ServerConfig>>,
}

impl Tls {
    /// Reads the files of the settings; `None` if there are none, and connections are not encrypted.
    pub fn load(settings: &config::Tls) -> Result<Option<Self>, TlsError> {
        let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else { return Ok(None) };
        let config = read(certificate, key)?;
        let config = Arc::new(ArcSwap::from_pointee(config));
        Ok(Some(Self { certificate: certificate.clone(), key: key.clone(), config }))
    }

    /// Reads the files anew. Connections that are made from now on get the new certificate; after an error they get the
    /// old one.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(Arc::new(read(&self.certificate, &self.key)?));
        Ok(())
    }

    /// Makes a connection an encrypted one.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }
}

/// What a record says about an encrypted connection.
pub fn facts<S>(stream: &TlsStream<S>) -> TlsFacts {
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => Some("TLSv1.2"),
        Some(ProtocolVersion::TLSv1_3) => Some("TLSv1.3"),
        _ => None,
    };
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    TlsFacts { version, cipher_suite: suite.map(suite_name) }
}

/// The name of a cipher suite as records print it: of TLS 1.3 as registered, of TLS 1.2 as OpenSSL calls it.
fn suite_name(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let plain = name.strip_prefix("TLS_").unwrap_or(name).replace("_WITH_", "_").replace("AES_", "AES");
    plain.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305").replace('_', "-")
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain_bytes = bytes_of("tls.certificate", certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain_bytes).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(TlsError::Content {
            setting: "tls.certificate",
            path: certificate.to_owned(),
            wanted: "certificate",
        });
    }
    let key_bytes = bytes_of("tls.key", key)?;
    let private = PrivateKeyDer::from_pem_slice(&key_bytes);
    let private =
        private.map_err(|_| TlsError::Content { setting: "tls.key", path: key.to_owned(), wanted: "private key" })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn bytes_of(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::Read { setting, path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_suites_are_called_what_records_call_them() {
        assert_eq!(suite_name("TLS13_AES_128_GCM_SHA256"), "TLS_AES_128_GCM_SHA256");
        assert_eq!(suite_name("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), "ECDHE-RSA-AES128-GCM-SHA256");
        assert_eq!(suite_name("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"), "ECDHE-ECDSA-CHACHA20-POLY1305");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_name_of_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let pair = |name: &str| {
            let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(path(&format!("{name}.pem")), signed.cert.pem()).unwrap();
            std::fs::write(path(&format!("{name}.key")), signed.signing_key.serialize_pem()).unwrap();
        };
        pair("one");
        pair("two");
        std::fs::write(path("text"), "hello").unwrap();
        let load = |certificate: &str, key: &str| {
            let settings = config::Tls { certificate: Some(path(certificate)), key: Some(path(key)) };
            Tls::load(&settings).map(|tls| tls.is_some())
        };
        assert!(load("one.pem", "one.key").unwrap());
        assert!(Tls::load(&config::Tls::default()).unwrap().is_none());
        for (certificate, key, problem) in [
            ("absent", "one.key", "setting tls.certificate names FOLDER/absent, which cannot be read"),
            ("one.pem", "absent", "setting tls.key names FOLDER/absent, which cannot be read"),
            ("text", "one.key", "setting tls.certificate names FOLDER/text, which holds no certificate in PEM form"),
            ("one.pem", "text", "setting tls.key names FOLDER/text, which holds no private key in PEM form"),
            ("one.pem", "two.key", "settings tls.certificate and tls.key cannot be used together"),
        ] {
            let told = load(certificate, key).unwrap_err().to_string();
            assert_eq!(told.replace(&folder.path().display().to_string(), "FOLDER"), problem);
        }
    }

    #[test]
    fn a_pair_that_cannot_be_used_leaves_the_old_one_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, signed.cert.pem()).unwrap();
        std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
        let settings = config::Tls { certificate: Some(certificate.clone()), key: Some(key) };
        let tls = Tls::load(&settings).unwrap().unwrap();
        let before = tls.config.load_full();

        std::fs::write(&certificate, "broken").unwrap();
        assert!(tls.reload().is_err());
        assert!(Arc::ptr_eq(&before, &tls.config.load_full()));
        std::fs::write(&certificate, signed.cert.pem()).unwrap();
        tls.reload().unwrap();
        assert!(!Arc::ptr_eq(&before, &tls.config.load_full()));
    }
}
