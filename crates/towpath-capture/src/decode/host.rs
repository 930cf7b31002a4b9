//! Hosts of S3: buckets that are addressed as a part of the host's name.

/// Hosts of S3 that are no buckets' though they look like S3's own.
const OTHERS: [&str; 5] = ["s3-control", "s3-object-lambda", "s3-outposts", "s3express-control", "s3tables"];

/// A host without its port; brackets of an IPv6 address stay.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// The bucket that a host names (`bucket.s3.eu-west-1.amazonaws.com`), or `None` if the path names it.
///
/// `domain` is a name under which every name is a bucket (`s3.example.com`); without it, the rightmost label that is one
/// of S3's (`s3`, `s3-accelerate`, `s3-eu-west-1`) ends the bucket's name.
pub(super) fn bucket<'h>(host: &'h str, domain: Option<&str>) -> Option<&'h str> {
    let host = without_port(host);
    let bucket = domain.and_then(|domain| before_domain(host, domain)).or_else(|| before_label(host))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (!bucket.is_empty() && bucket.bytes().all(plain)).then_some(bucket)
}

fn before_domain<'h>(host: &'h str, domain: &str) -> Option<&'h str> {
    let domain = without_port(domain);
    let at = host.len().checked_sub(domain.len())?;
    (host.is_char_boundary(at) && host[at..].eq_ignore_ascii_case(domain)).then(|| host[..at].strip_suffix('.'))?
}

fn before_label(host: &str) -> Option<&str> {
    let mut end = host.len();
    loop {
        let start = host[..end].rfind('.').map_or(0, |dot| dot + 1);
        if is_label(&host[start..end]) {
            return host[..start].strip_suffix('.');
        }
        end = start.checked_sub(1)?;
    }
}

fn is_label(label: &str) -> bool {
    let label = label.to_ascii_lowercase();
    let of_s3 = label == "s3" || label.starts_with("s3-") || label.starts_with("s3express-");
    of_s3 && !OTHERS.iter().any(|other| label.starts_with(other))
}
