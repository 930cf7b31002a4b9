//! What a host name says of a call: AWS's own names, and names made after their pattern.

use http::request::Parts;
use towpath_model::Region;

/// Suffixes of AWS's endpoints and of what stands in for them on a developer's machine, longest first where one ends in
/// another.
const SUFFIXES: [&str; 6] =
    [".amazonaws.com.cn", ".amazonaws.com", ".api.aws", ".localhost.localstack.cloud", ".localhost", ".c2s.ic.gov"];

/// Services that sign with another name than the one in their host.
const SIGNING_NAMES: [(&str, &str); 12] = [
    ("email", "ses"),
    ("catalog.marketplace", "aws-marketplace"),
    ("metering.marketplace", "aws-marketplace"),
    ("entitlement.marketplace", "aws-marketplace"),
    ("s3-control", "s3"),
    ("s3-accelerate", "s3"),
    ("s3-website", "s3"),
    ("streams.dynamodb", "dynamodb"),
    ("runtime.sagemaker", "sagemaker"),
    ("api.ecr", "ecr"),
    ("elasticfilesystem", "elasticfilesystem"),
    ("git-codecommit", "codecommit"),
];

/// The host that a client asked for, as it wrote it: of an absolute URI or HTTP/2's authority, else the header.
pub fn asked(head: &Parts) -> Option<&str> {
    let authority = head.uri.authority().map(|authority| authority.as_str());
    authority.or_else(|| head.headers.get(http::header::HOST).and_then(|value| value.to_str().ok()))
}

/// A host in lower case, without port and without the dot at its end.
pub fn plain(host: &str) -> String {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// True if `host`, in plain form, is `pattern` or, for `*.name`, ends in `.name`.
pub fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

/// The service and region that a host in plain form is of, if it is one of AWS's or made like one.
pub fn service(host: &str) -> Option<(String, Option<Region>)> {
    let labels = SUFFIXES.iter().find_map(|suffix| host.strip_suffix(suffix))?;
    let labels: Vec<&str> = labels.split('.').filter(|label| *label != "dualstack").collect();
    // Buckets of S3, in front of the service, may have any labels; so S3 is looked for from the end.
    if let Some(at) = labels.iter().rposition(|label| is_s3(label)) {
        let region = labels.get(at + 1).copied().or_else(|| labels[at].strip_prefix("s3-"));
        return Some(("s3".to_owned(), region.and_then(region_of)));
    }
    let region = labels.iter().rposition(|label| region_of(label).is_some());
    let name = match region {
        // `abc123.execute-api.us-east-1`, `123.dkr.ecr.us-east-1`: the label before the region is the service.
        Some(at) if at > 0 => &labels[..at],
        Some(_) => return None,
        None => &labels[..],
    };
    let joined = name.join(".");
    let plain = joined.strip_suffix("-fips").unwrap_or(&joined);
    let signing = SIGNING_NAMES.iter().find(|(host, _)| *host == plain).map(|(_, signing)| *signing);
    let last = name.last()?.trim_end_matches("-fips");
    let service = signing.unwrap_or(last).to_owned();
    Some((service, region.and_then(|at| region_of(labels[at]))))
}

fn is_s3(label: &str) -> bool {
    let rest = label.strip_prefix("s3").map(|rest| rest.trim_start_matches("-fips"));
    match rest {
        Some("" | "-control" | "-accelerate" | "-website" | "-accesspoint" | "-outposts") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(|region| region_of(region).is_some()),
        None => false,
    }
}

/// `us-east-1`, `ap-southeast-2`, `us-gov-west-1`: letters, then a direction, then a digit.
fn region_of(label: &str) -> Option<Region> {
    let mut parts = label.rsplit('-');
    let digit = parts.next()?;
    let rest = parts.count();
    let shaped = (2..=3).contains(&rest)
        && (1..=2).contains(&digit.len())
        && digit.bytes().all(|byte| byte.is_ascii_digit())
        && label.split('-').next().is_some_and(|area| area.len() == 2 && area.bytes().all(|b| b.is_ascii_lowercase()));
    if shaped { label.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_aws_tell_service_and_region() {
        for (host, service_name, region) in [
            ("dynamodb.us-east-1.amazonaws.com", "dynamodb", Some("us-east-1")),
            ("sts.amazonaws.com", "sts", None),
            ("iam.amazonaws.com", "iam", None),
            ("s3.amazonaws.com", "s3", None),
            ("my.bucket.s3.eu-west-1.amazonaws.com", "s3", Some("eu-west-1")),
            ("my.bucket.s3-us-west-2.amazonaws.com", "s3", Some("us-west-2")),
            ("bucket.s3.dualstack.us-gov-west-1.amazonaws.com", "s3", Some("us-gov-west-1")),
            ("123456789012.s3-control.us-east-1.amazonaws.com", "s3", Some("us-east-1")),
            ("bucket.s3.localhost", "s3", None),
            ("abc123.execute-api.us-east-1.amazonaws.com", "execute-api", Some("us-east-1")),
            ("email.eu-central-1.amazonaws.com", "ses", Some("eu-central-1")),
            ("catalog.marketplace.us-east-1.amazonaws.com", "aws-marketplace", Some("us-east-1")),
            ("kms-fips.us-east-2.amazonaws.com", "kms", Some("us-east-2")),
            ("ec2.cn-north-1.amazonaws.com.cn", "ec2", Some("cn-north-1")),
            ("partnercentral-account.us-east-1.api.aws", "partnercentral-account", Some("us-east-1")),
        ] {
            let found = service(host).unwrap_or_else(|| panic!("{host}"));
            assert_eq!(found.0, service_name, "{host}");
            assert_eq!(found.1.map(|region| region.to_string()).as_deref(), region, "{host}");
        }
        for host in ["example.org", "127.0.0.1", "localhost", "", "amazonaws.com", ".amazonaws.com.evil.org"] {
            assert_eq!(service(host), None, "{host}");
        }
    }

    #[test]
    fn a_host_is_compared_without_port_case_and_last_dot() {
        assert_eq!(plain("Example.ORG.:8080"), "example.org");
        assert_eq!(plain("[::1]:80"), "::1");
        assert!(matches("*.s3.example.org", "a.b.s3.example.org"));
        assert!(!matches("*.s3.example.org", "s3.example.org"));
        assert!(!matches("*.example.org", "evilexample.org"));
        assert!(matches("example.org", "example.org"));
    }

    proptest::proptest! {
        #[test]
        fn no_host_breaks_the_reading(host in "[ -~]{0,80}") {
            let plain = plain(&host);
            let _ = service(&plain);
            let _ = service(&format!("{plain}.amazonaws.com"));
        }
    }
}
