//! TLS on a port: certificate and key out of PEM files, read at start and anew when told, or found by whoever knows
//! certificates.
//!
//! A pair that cannot be used is refused with the name of its setting; when files are read anew, the pair that was there
//! goes on being served. TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::{ConfigBuilder, NamedGroup, ProtocolVersion, ServerConfig, WantsVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why connections cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("setting {setting} names {}, which cannot be read", path.display())]
    Read {
        /// Such as `tls.key`.
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
        /// Such as `tls.key`.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// Certificate and key cannot be used together.
    #[error("settings {certificate} and {key} cannot be used together")]
    Pair {
        /// Such as `tls.certificate`.
        certificate: &'static str,
        /// Such as `tls.key`.
        key: &'static str,
        /// The reason.
        #[source]
        cause: rustls::Error,
    },
    /// The versions of TLS do not fit the cryptography that is built in.
    #[error("TLS cannot be set up")]
    Versions(#[source] rustls::Error),
}

/// A certificate and its key, in files that settings name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemPair {
    /// The setting and the file with the certificate, and those between it and its authority after it.
    pub certificate: (&'static str, PathBuf),
    /// The setting and the file with the private key.
    pub key: (&'static str, PathBuf),
}

/// Encrypts the connections of a port. Cloning is cheap.
#[derive(Clone)]
pub struct Tls {
    pair: Option<Arc<PemPair>>,
    config: Arc<ArcSwap<ServerConfig>>,
}

/// What is known about an encrypted connection, in the words of CloudTrail's `tlsDetails`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// Such as `TLSv1.3`.
    pub version: Option<&'static str>,
    /// Such as `TLS_AES_128_GCM_SHA256`, and of TLS 1.2 `ECDHE-RSA-AES128-GCM-SHA256`.
    pub cipher_suite: Option<String>,
    /// Such as `x25519`.
    pub key_exchange: Option<&'static str>,
}

impl Tls {
    /// Reads the files of a pair.
    pub fn load(pair: PemPair) -> Result<Self, TlsError> {
        let config = Arc::new(ArcSwap::from_pointee(read(&pair)?));
        Ok(Self { pair: Some(Arc::new(pair)), config })
    }

    /// Asks `certificates` at each connection.
    pub fn resolving(certificates: Arc<dyn ResolvesServerCert>) -> Result<Self, TlsError> {
        let config = finish(builder()?.with_no_client_auth().with_cert_resolver(certificates));
        Ok(Self { pair: None, config: Arc::new(ArcSwap::from_pointee(config)) })
    }

    /// Reads the files anew. Connections that are made from now on get the new certificate; after an error they get the
    /// old one. Without files nothing happens.
    pub fn reload(&self) -> Result<(), TlsError> {
        if let Some(pair) = &self.pair {
            self.config.store(Arc::new(read(pair)?));
        }
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

impl TlsFacts {
    /// What a record says about an encrypted connection.
    pub fn of<S>(stream: &TlsStream<S>) -> Self {
        let (_, connection) = stream.get_ref();
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Some("TLSv1.2"),
            Some(ProtocolVersion::TLSv1_3) => Some("TLSv1.3"),
            _ => None,
        };
        let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let group = connection.negotiated_key_exchange_group().and_then(|group| group_name(group.name()));
        Self { version, cipher_suite: suite.map(suite_name), key_exchange: group }
    }
}

/// The name of a cipher suite as records print it: of TLS 1.3 as registered, of TLS 1.2 as OpenSSL calls it.
fn suite_name(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let plain = name.strip_prefix("TLS_").unwrap_or(name).replace("_WITH_", "_").replace("AES_", "AES");
    plain.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305").replace('_', "-")
}

/// The name of a key exchange group as registered with IANA, which is how records print it.
fn group_name(group: NamedGroup) -> Option<&'static str> {
    Some(match group {
        NamedGroup::X25519 => "x25519",
        NamedGroup::X448 => "x448",
        NamedGroup::secp256r1 => "secp256r1",
        NamedGroup::secp384r1 => "secp384r1",
        NamedGroup::secp521r1 => "secp521r1",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768",
        _ => return None,
    })
}

fn builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(TlsError::Versions)
}

fn finish(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn read(pair: &PemPair) -> Result<ServerConfig, TlsError> {
    let (setting, path) = &pair.certificate;
    let chain_bytes = bytes_of(setting, path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain_bytes).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(TlsError::Content { setting, path: path.clone(), wanted: "certificate" });
    }
    let (setting, path) = &pair.key;
    let private = PrivateKeyDer::from_pem_slice(&bytes_of(setting, path)?);
    let private = private.map_err(|_| TlsError::Content { setting, path: path.clone(), wanted: "private key" })?;
    let unfit = |cause| TlsError::Pair { certificate: pair.certificate.0, key: pair.key.0, cause };
    let config = builder()?.with_no_client_auth().with_single_cert(chain, private).map_err(unfit)?;
    Ok(finish(config))
}

fn bytes_of(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::Read { setting, path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(folder: &Path, certificate: &str, key: &str) -> PemPair {
        PemPair { certificate: ("tls.certificate", folder.join(certificate)), key: ("tls.key", folder.join(key)) }
    }

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
        for name in ["one", "two"] {
            let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(path(&format!("{name}.pem")), signed.cert.pem()).unwrap();
            std::fs::write(path(&format!("{name}.key")), signed.signing_key.serialize_pem()).unwrap();
        }
        std::fs::write(path("text"), "hello").unwrap();
        let load = |certificate: &str, key: &str| Tls::load(pair(folder.path(), certificate, key));
        assert!(load("one.pem", "one.key").is_ok());
        for (certificate, key, problem) in [
            ("absent", "one.key", "setting tls.certificate names FOLDER/absent, which cannot be read"),
            ("one.pem", "absent", "setting tls.key names FOLDER/absent, which cannot be read"),
            ("text", "one.key", "setting tls.certificate names FOLDER/text, which holds no certificate in PEM form"),
            ("one.pem", "text", "setting tls.key names FOLDER/text, which holds no private key in PEM form"),
            ("one.pem", "two.key", "settings tls.certificate and tls.key cannot be used together"),
        ] {
            let told = load(certificate, key).err().unwrap().to_string();
            assert_eq!(told.replace(&folder.path().display().to_string(), "FOLDER"), problem);
        }
    }

    #[test]
    fn a_pair_that_cannot_be_used_leaves_the_old_one_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let pair = pair(folder.path(), "c.pem", "k.pem");
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&pair.certificate.1, signed.cert.pem()).unwrap();
        std::fs::write(&pair.key.1, signed.signing_key.serialize_pem()).unwrap();
        let certificate = pair.certificate.1.clone();
        let tls = Tls::load(pair).unwrap();
        let before = tls.config.load_full();

        std::fs::write(&certificate, "broken").unwrap();
        assert!(tls.reload().is_err());
        assert!(Arc::ptr_eq(&before, &tls.config.load_full()));
        std::fs::write(&certificate, signed.cert.pem()).unwrap();
        tls.reload().unwrap();
        assert!(!Arc::ptr_eq(&before, &tls.config.load_full()));
    }
}
