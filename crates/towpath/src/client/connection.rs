//! Which server, as whom, for which region: flags first, then the AWS environment, then what `towpath serve` leaves in
//! the working folder.

use std::path::{Path, PathBuf};

use http::Uri;
use towpath_wire::sigv4::{Credentials, Secret};

use crate::profile::Profiles;

/// Where `towpath serve` listens when nobody says otherwise.
pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:4747";

/// The region when nobody says otherwise.
pub const DEFAULT_REGION: &str = "us-east-1";

/// Where `towpath serve` keeps its data, and with it the root key, when nobody says otherwise.
const DEFAULT_DATA_DIR: &str = "./towpath-data";

/// Flags of every command that talks to a server.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ConnectionArgs {
    /// Address of the server [env: AWS_ENDPOINT_URL_CLOUDTRAIL, AWS_ENDPOINT_URL; default: http://127.0.0.1:4747]
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Region to work in [env: AWS_REGION, AWS_DEFAULT_REGION; default: us-east-1]
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Profile of the credentials file to sign with [env: AWS_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
}

/// A server, an identity and a region.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Address for every operation but PutAuditEvents, without a trailing slash.
    pub endpoint: String,
    /// Address for PutAuditEvents.
    pub data_endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// The key that signs.
    pub credentials: Credentials,
    /// Certificates, as PEM text, of authorities to trust beside those everyone trusts.
    pub authorities: Option<String>,
    /// What was assumed because nothing was said, for the user to read.
    pub assumed: Vec<String>,
}

/// Why there is no connection to speak of.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// No access key anywhere.
    #[error(
        "no access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run this in the folder \
         where \"towpath serve\" runs (its root key is in towpath-data/credentials)"
    )]
    NoCredentials,
    /// Half an access key.
    #[error("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not, or the other way round; set both")]
    HalfCredentials,
    /// The profile is not in the file, or has no key.
    #[error("profile {profile} has no access key in {file}{}", listed(known))]
    Profile {
        /// The profile.
        profile: String,
        /// The file that was read.
        file: String,
        /// The profiles it has.
        known: Vec<String>,
    },
    /// The address cannot be used.
    #[error("\"{0}\" is not an address of a server; write one such as http://127.0.0.1:4747")]
    Endpoint(String),
    /// The file of certificates cannot be used.
    #[error("AWS_CA_BUNDLE names {0}, which cannot be read or holds no certificates in PEM form")]
    Authorities(String),
    /// The region cannot be used.
    #[error("\"{0}\" is not a region; write one such as us-east-1")]
    Region(String),
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(" (it has: {})", known.join(", ")) }
}

/// Looks the connection up. `variable` reads a variable of the process, `read` a file.
pub fn resolve(
    args: &ConnectionArgs,
    variable: impl Fn(&str) -> Option<String>,
    read: impl Fn(&Path) -> Option<String>,
) -> Result<Connection, ConnectionError> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let lookup = Lookup { args, variable: &variable, read: &read };
    let mut assumed = Vec::new();
    let credentials = lookup.credentials(&mut assumed)?;
    let region = lookup.region().unwrap_or_else(|| DEFAULT_REGION.to_owned());
    if !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') || region.len() > 64 {
        return Err(ConnectionError::Region(region));
    }
    let shared = lookup.endpoint("AWS_ENDPOINT_URL_CLOUDTRAIL");
    let data = lookup.endpoint("AWS_ENDPOINT_URL_CLOUDTRAIL_DATA");
    if shared.is_none() {
        assumed.insert(0, DEFAULT_ENDPOINT.to_owned());
    }
    let endpoint = checked(shared.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()))?;
    let data_endpoint = data.map(checked).transpose()?.unwrap_or_else(|| endpoint.clone());
    let authorities = lookup.authorities()?;
    Ok(Connection { endpoint, data_endpoint, region, credentials, authorities, assumed })
}

struct Lookup<'a> {
    args: &'a ConnectionArgs,
    variable: &'a dyn Fn(&str) -> Option<String>,
    read: &'a dyn Fn(&Path) -> Option<String>,
}

impl Lookup<'_> {
    fn credentials(&self, assumed: &mut Vec<String>) -> Result<Credentials, ConnectionError> {
        if let Some(profile) = &self.args.profile {
            return self.of_profile(profile);
        }
        match ((self.variable)("AWS_ACCESS_KEY_ID"), (self.variable)("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => return Ok(credentials(id, secret, (self.variable)("AWS_SESSION_TOKEN"))),
            (None, None) => {}
            _ => return Err(ConnectionError::HalfCredentials),
        }
        if let Some(profile) = (self.variable)("AWS_PROFILE") {
            return self.of_profile(&profile);
        }
        let own = self.own_file();
        let profiles = (self.read)(&own).map(|text| Profiles::parse(&text));
        if let Some(credentials) = profiles.and_then(|own| pick(&own, crate::serve::credentials::PROFILE)) {
            assumed.push(own.display().to_string());
            return Ok(credentials);
        }
        // As AWS's own tools: the profile "default" of the shared file.
        let (_, profiles) = self.shared_file();
        pick(&profiles, "default").ok_or(ConnectionError::NoCredentials)
    }

    fn of_profile(&self, profile: &str) -> Result<Credentials, ConnectionError> {
        let (file, profiles) = self.shared_file();
        if let Some(credentials) = pick(&profiles, profile) {
            return Ok(credentials);
        }
        // `--profile towpath` means the key of the server next door where the shared file knows no such profile.
        let own = (self.read)(&self.own_file()).map(|text| Profiles::parse(&text)).unwrap_or_default();
        pick(&own, profile).ok_or_else(|| ConnectionError::Profile {
            profile: profile.to_owned(),
            file: file.display().to_string(),
            known: profiles.names().into_iter().map(str::to_owned).collect(),
        })
    }

    fn own_file(&self) -> PathBuf {
        let folder = (self.variable)("TOWPATH_DATA_DIR").unwrap_or_else(|| DEFAULT_DATA_DIR.to_owned());
        Path::new(&folder).join(crate::serve::credentials::FILE)
    }

    fn shared_file(&self) -> (PathBuf, Profiles) {
        let path = self.aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let profiles = (self.read)(&path).map(|text| Profiles::parse(&text)).unwrap_or_default();
        (path, profiles)
    }

    fn aws_file(&self, variable: &str, name: &str) -> PathBuf {
        match (self.variable)(variable) {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from((self.variable)("HOME").unwrap_or_default()).join(".aws").join(name),
        }
    }

    fn region(&self) -> Option<String> {
        let variable = self.variable;
        self.args
            .region
            .clone()
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| self.configured("region"))
    }

    fn endpoint(&self, own: &str) -> Option<String> {
        let variable = self.variable;
        self.args
            .endpoint
            .clone()
            .or_else(|| variable(own))
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| self.configured("endpoint_url"))
    }

    /// The file that AWS's own tools read certificates of authorities from.
    fn authorities(&self) -> Result<Option<String>, ConnectionError> {
        let Some(path) = (self.variable)("AWS_CA_BUNDLE").or_else(|| self.configured("ca_bundle")) else {
            return Ok(None);
        };
        let text = (self.read)(Path::new(&path)).filter(|text| text.contains("-----BEGIN CERTIFICATE-----"));
        text.map(Some).ok_or(ConnectionError::Authorities(path))
    }

    /// A value of the profile in AWS's configuration file; only of a profile that was named, because the default one
    /// speaks of AWS itself.
    fn configured(&self, key: &str) -> Option<String> {
        let profile = self.args.profile.clone().or_else(|| (self.variable)("AWS_PROFILE"))?;
        let text = (self.read)(&self.aws_file("AWS_CONFIG_FILE", "config"))?;
        Profiles::parse(&text).get(&profile, key).map(str::to_owned)
    }
}

fn pick(profiles: &Profiles, profile: &str) -> Option<Credentials> {
    let value = |key| profiles.get(profile, key).map(str::to_owned);
    Some(credentials(value("aws_access_key_id")?, value("aws_secret_access_key")?, value("aws_session_token")))
}

fn credentials(access_key_id: String, secret: String, token: Option<String>) -> Credentials {
    Credentials { access_key_id, secret_access_key: Secret::new(secret), session_token: token.map(Secret::new) }
}

fn checked(endpoint: String) -> Result<String, ConnectionError> {
    let refused = || ConnectionError::Endpoint(endpoint.clone());
    let uri: Uri = endpoint.parse().map_err(|_| refused())?;
    let scheme = uri.scheme_str().ok_or_else(refused)?;
    if !matches!(scheme, "http" | "https") || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        return Err(refused());
    }
    Ok(endpoint.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Machine {
        args: ConnectionArgs,
        variables: BTreeMap<&'static str, &'static str>,
        files: BTreeMap<&'static str, &'static str>,
    }

    impl Machine {
        fn variable(mut self, name: &'static str, value: &'static str) -> Self {
            self.variables.insert(name, value);
            self
        }

        fn file(mut self, path: &'static str, text: &'static str) -> Self {
            self.files.insert(path, text);
            self
        }

        fn resolve(&self) -> Result<Connection, ConnectionError> {
            let variable = |name: &str| self.variables.get(name).map(|value| (*value).to_owned());
            let read = |path: &Path| self.files.get(path.to_str().unwrap()).map(|text| (*text).to_owned());
            resolve(&self.args, variable, read)
        }
    }

    const OWN: &str = "[towpath]\naws_access_key_id = AKIAOWN\naws_secret_access_key = s1\n";
    const SHARED: &str = "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s2\n\
                          [ops]\naws_access_key_id = AKIAOPS\naws_secret_access_key = s3\naws_session_token = t\n";

    #[test]
    fn with_nothing_set_the_server_next_door_is_assumed_and_it_is_said() {
        let connection = Machine::default().file("./towpath-data/credentials", OWN).resolve().unwrap();
        assert_eq!(connection.endpoint, "http://127.0.0.1:4747");
        assert_eq!(connection.credentials.access_key_id, "AKIAOWN");
        assert_eq!(connection.region, "us-east-1");
        assert_eq!(connection.assumed, ["http://127.0.0.1:4747", "./towpath-data/credentials"]);
    }

    #[test]
    fn variables_win_over_files_and_flags_over_variables() {
        let mut machine = Machine::default()
            .file("./towpath-data/credentials", OWN)
            .file("/home/u/.aws/credentials", SHARED)
            .variable("HOME", "/home/u")
            .variable("AWS_ACCESS_KEY_ID", "AKIAENV")
            .variable("AWS_SECRET_ACCESS_KEY", "s")
            .variable("AWS_SESSION_TOKEN", "token")
            .variable("AWS_ENDPOINT_URL", "http://all:1/")
            .variable("AWS_DEFAULT_REGION", "eu-west-1");
        let connection = machine.resolve().unwrap();
        assert_eq!(connection.credentials.access_key_id, "AKIAENV");
        assert_eq!(connection.credentials.session_token.as_ref().unwrap().expose(), "token");
        assert_eq!((connection.endpoint.as_str(), connection.region.as_str()), ("http://all:1", "eu-west-1"));
        assert!(connection.assumed.is_empty());

        machine = machine
            .variable("AWS_ENDPOINT_URL_CLOUDTRAIL", "http://trail:2")
            .variable("AWS_ENDPOINT_URL_CLOUDTRAIL_DATA", "http://data:3")
            .variable("AWS_REGION", "eu-north-1");
        let connection = machine.resolve().unwrap();
        assert_eq!(connection.endpoint, "http://trail:2");
        assert_eq!(connection.data_endpoint, "http://data:3");
        assert_eq!(connection.region, "eu-north-1");

        machine.args = ConnectionArgs {
            endpoint: Some("https://flag".to_owned()),
            region: Some("ap-south-1".to_owned()),
            profile: Some("ops".to_owned()),
        };
        let connection = machine.resolve().unwrap();
        assert_eq!(connection.endpoint, "https://flag");
        assert_eq!(connection.data_endpoint, "https://flag");
        assert_eq!(connection.region, "ap-south-1");
        assert_eq!(connection.credentials.access_key_id, "AKIAOPS");
        assert_eq!(connection.credentials.session_token.unwrap().expose(), "t");
    }

    #[test]
    fn a_profile_brings_its_region_and_endpoint() {
        let connection = Machine::default()
            .variable("AWS_PROFILE", "ops")
            .variable("AWS_SHARED_CREDENTIALS_FILE", "/etc/keys")
            .variable("AWS_CONFIG_FILE", "/etc/aws")
            .file("/etc/keys", SHARED)
            .file("/etc/aws", "[profile ops]\nregion = eu-west-3\nendpoint_url = http://towpath:4747\n")
            .resolve()
            .unwrap();
        assert_eq!(connection.credentials.access_key_id, "AKIAOPS");
        assert_eq!((connection.endpoint.as_str(), connection.region.as_str()), ("http://towpath:4747", "eu-west-3"));
    }

    #[test]
    fn authorities_come_from_the_file_that_aws_tools_read() {
        const PEM: &str = "-----BEGIN CERTIFICATE-----\n";
        let machine = || Machine::default().file("./towpath-data/credentials", OWN);
        assert_eq!(machine().resolve().unwrap().authorities, None);
        let named = machine().variable("AWS_CA_BUNDLE", "/etc/ca.pem");
        let missing = named.resolve().unwrap_err();
        assert_eq!(missing, ConnectionError::Authorities("/etc/ca.pem".to_owned()));
        let there = machine().variable("AWS_CA_BUNDLE", "/etc/ca.pem").file("/etc/ca.pem", PEM);
        assert_eq!(there.resolve().unwrap().authorities.as_deref(), Some(PEM));
    }

    #[test]
    fn the_default_profile_of_aws_comes_last() {
        let machine = Machine::default().variable("HOME", "/h").file("/h/.aws/credentials", SHARED);
        assert_eq!(machine.resolve().unwrap().credentials.access_key_id, "AKIADEFAULT");
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        assert_eq!(Machine::default().resolve().unwrap_err(), ConnectionError::NoCredentials);
        let half = Machine::default().variable("AWS_ACCESS_KEY_ID", "AKIA").resolve().unwrap_err();
        assert_eq!(half, ConnectionError::HalfCredentials);
        let profile = Machine::default()
            .variable("AWS_PROFILE", "absent")
            .variable("HOME", "/h")
            .file("/h/.aws/credentials", SHARED)
            .resolve()
            .unwrap_err();
        assert_eq!(
            profile.to_string(),
            "profile absent has no access key in /h/.aws/credentials (it has: default, ops)"
        );
        for endpoint in ["127.0.0.1:4747", "ftp://x", "http://", "not an address"] {
            let mut machine = Machine::default().file("./towpath-data/credentials", OWN);
            machine.args.endpoint = Some(endpoint.to_owned());
            assert_eq!(machine.resolve().unwrap_err(), ConnectionError::Endpoint(endpoint.to_owned()));
        }
    }
}
