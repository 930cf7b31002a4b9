//! Functions of bytes, encodings, digests and URLs.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Digest;

use crate::functions::scalar::Param::{Binary, Text};
use crate::functions::scalar::{Body, Out, Overload, Row, overload};

/// What `url_encode` leaves alone, besides letters and digits.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

macro_rules! digest {
    ($type:ty) => {
        vec![overload(&[Binary], Body::Binary(|r| Ok(Some(<$type>::digest(r.binary(0)).to_vec()))))]
    };
}

macro_rules! keyed {
    ($type:ty) => {
        vec![overload(
            &[Binary, Binary],
            Body::Binary(|r| {
                let mut mac = Hmac::<$type>::new_from_slice(r.binary(1)).map_err(|e| e.to_string())?;
                mac.update(r.binary(0));
                Ok(Some(mac.finalize().into_bytes().to_vec()))
            }),
        )]
    };
}

macro_rules! url {
    ($f:expr) => {
        vec![overload(&[Text], Body::Text(|r| Ok($f(&Url::parse(r.text(0))?).map(Cow::from))))]
    };
}

/// Lists the functions of this file.
pub(crate) fn functions() -> Vec<(&'static str, Vec<Overload>)> {
    vec![
        ("to_utf8", vec![overload(&[Text], Body::Binary(|r| Ok(Some(r.text(0).as_bytes().to_vec()))))]),
        ("from_utf8", vec![overload(&[Binary], Body::Text(|r| Ok(Some(String::from_utf8_lossy(r.binary(0))))))]),
        ("to_base64", vec![overload(&[Binary], Body::Text(|r| Ok(Some(STANDARD.encode(r.binary(0)).into()))))]),
        (
            "from_base64",
            vec![overload(
                &[Text],
                Body::Binary(|r| STANDARD.decode(r.text(0)).map(Some).map_err(|_| "the text is not base64".into())),
            )],
        ),
        ("to_base64url", vec![overload(&[Binary], Body::Text(|r| Ok(Some(URL_SAFE.encode(r.binary(0)).into()))))]),
        (
            "from_base64url",
            vec![overload(
                &[Text],
                Body::Binary(|r| URL_SAFE.decode(r.text(0)).map(Some).map_err(|_| "the text is not base64url".into())),
            )],
        ),
        ("to_hex", vec![overload(&[Binary], Body::Text(|r| Ok(Some(hex::encode_upper(r.binary(0)).into()))))]),
        (
            "from_hex",
            vec![overload(
                &[Text],
                Body::Binary(|r| hex::decode(r.text(0)).map(Some).map_err(|_| "the text is not hexadecimal".into())),
            )],
        ),
        ("md5", digest!(md5::Md5)),
        ("sha1", digest!(sha1::Sha1)),
        ("sha256", digest!(sha2::Sha256)),
        ("sha512", digest!(sha2::Sha512)),
        ("hmac_md5", keyed!(md5::Md5)),
        ("hmac_sha1", keyed!(sha1::Sha1)),
        ("hmac_sha256", keyed!(sha2::Sha256)),
        ("hmac_sha512", keyed!(sha2::Sha512)),
        (
            "xxhash64",
            vec![overload(
                &[Binary],
                Body::Binary(|r| Ok(Some(xxhash_rust::xxh64::xxh64(r.binary(0), 0).to_be_bytes().to_vec()))),
            )],
        ),
        ("crc32", vec![overload(&[Binary], Body::Int(|r| Ok(Some(i64::from(crc32(r.binary(0)))))))]),
        (
            "url_encode",
            vec![overload(
                &[Text],
                Body::Text(|r| {
                    Ok(Some(utf8_percent_encode(r.text(0), ENCODED).to_string().replace("%20", "+").into()))
                }),
            )],
        ),
        (
            "url_decode",
            vec![overload(
                &[Text],
                Body::Text(|r| {
                    let spaced = r.text(0).replace('+', " ");
                    percent_decode_str(&spaced)
                        .decode_utf8()
                        .map(|t| Some(Cow::Owned(t.into_owned())))
                        .map_err(|_| "the text is not UTF-8".into())
                }),
            )],
        ),
        ("url_extract_protocol", url!(|u: &Url| Some(u.protocol.clone()))),
        ("url_extract_host", url!(|u: &Url| Some(u.host.clone()))),
        ("url_extract_path", url!(|u: &Url| Some(u.path.clone()))),
        ("url_extract_query", url!(|u: &Url| Some(u.query.clone().unwrap_or_default()))),
        ("url_extract_fragment", url!(|u: &Url| Some(u.fragment.clone().unwrap_or_default()))),
        ("url_extract_port", vec![overload(&[Text], Body::Int(|r| Ok(Url::parse(r.text(0))?.port)))]),
        ("url_extract_parameter", vec![overload(&[Text, Text], Body::Text(parameter))]),
    ]
}

/// The checksum of ISO 3309, as in gzip and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// A URL, cut into its parts.
struct Url {
    protocol: String,
    host: String,
    port: Option<i64>,
    path: String,
    query: Option<String>,
    fragment: Option<String>,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(r, f)| (r, Some(f.to_owned())));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q.to_owned())));
        let (protocol, rest) = rest.split_once("://").unwrap_or(("", rest));
        let (authority, path) = match rest.find('/') {
            _ if protocol.is_empty() => ("", rest),
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if text.contains(char::is_whitespace) {
            return Err(format!("cannot parse the URL '{text}'"));
        }
        let address = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
                (host, port.parse().ok())
            }
            _ => (address, None),
        };
        Ok(Self { protocol: protocol.into(), host: host.into(), port, path: path.into(), query, fragment })
    }
}

fn parameter<'a>(r: &Row<'a>) -> Out<Cow<'a, str>> {
    let url = Url::parse(r.text(0))?;
    for pair in url.query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == r.text(1) {
            let spaced = value.replace('+', " ");
            return Ok(Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into()));
        }
    }
    Ok(None)
}
