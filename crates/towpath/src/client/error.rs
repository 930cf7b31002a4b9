//! What can go wrong between here and the server, and what to do then.

use http::StatusCode;
use towpath_wire::sigv4::SignError;

use super::connection::ConnectionError;

/// Why a call did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It is not clear whom to call, or as whom.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// No answer came.
    #[error("cannot reach {endpoint}")]
    Unreachable {
        /// The address.
        endpoint: String,
        /// The reason.
        #[source]
        cause: reqwest::Error,
    },
    /// The connection broke after the request was sent.
    #[error("{operation} got no answer from {endpoint}")]
    NoAnswer {
        /// The operation.
        operation: String,
        /// The address.
        endpoint: String,
        /// The reason.
        #[source]
        cause: reqwest::Error,
    },
    /// The server said no.
    #[error("{operation} was refused: {code}{}", separated(message))]
    Refused {
        /// The operation.
        operation: String,
        /// The HTTP status.
        status: StatusCode,
        /// The error's code.
        code: String,
        /// What the server says about it.
        message: String,
    },
    /// The answer makes no sense.
    #[error("{operation} was answered with something that is not an answer of towpath: {problem}")]
    Unreadable {
        /// The operation.
        operation: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The request cannot be built.
    #[error("cannot build the request of {operation}")]
    Build {
        /// The operation.
        operation: String,
        /// The reason.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The message behind a colon. The refusal of a signature goes on, after an empty line, with all that should have been signed,
/// which is nothing for a line of a log.
fn separated(message: &str) -> String {
    let message = message.split("\n\n").next().unwrap_or_default();
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl ClientError {
    /// The code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// True if the server asks for patience.
    pub fn is_throttling(&self) -> bool {
        match self {
            Self::Refused { code, status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS
                    || matches!(
                        code.as_str(),
                        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "SlowDown"
                    )
            }
            _ => false,
        }
    }

    /// True if the call may or may not have been carried out.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        let code = match self {
            Self::Unreachable { endpoint, cause } => {
                let why = crate::cli::innermost(cause).to_string();
                if why.contains("InvalidContentType") {
                    return Some(format!("does {endpoint} speak TLS? without it the address begins with http://"));
                }
                if why.contains("UnknownIssuer") {
                    return Some("name the certificate of the server's authority in AWS_CA_BUNDLE".to_owned());
                }
                return Some(format!(
                    "is the server running? start it with \"towpath serve\", or name another one than {endpoint} with \
                     --endpoint or AWS_ENDPOINT_URL"
                ));
            }
            Self::Unreadable { .. } => return Some("is --endpoint the address of a towpath server?".to_owned()),
            Self::Refused { code, .. } => code.as_str(),
            _ => return None,
        };
        let hint = match code {
            "UnrecognizedClientException" | "InvalidClientTokenId" => {
                "the server does not know this access key; the root key is in <data-dir>/credentials of the server, \
                 other keys are made with \"towpath iam key create\""
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                "the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY or the profile"
            }
            "RequestExpired" | "RequestTimeTooSkewed" => "the clocks of this machine and the server differ; set them",
            "ExpiredTokenException" | "ExpiredToken" => "the session has ended; assume the role again",
            "AccessDeniedException" | "AccessDenied" => "an administrator can allow it with \"towpath iam policy put\"",
            "EventDataStoreNotFoundException" => "\"towpath stores list\" shows the stores of this region",
            "ChannelNotFoundException" | "ChannelNotFound" => {
                "\"towpath channels list\" shows the channels of this region"
            }
            "ChannelInsufficientPermission" => {
                "the channel's resource policy must allow this account, and --external-id must be the one it asks for"
            }
            "EventDataStoreTerminationProtectedException" => {
                "switch the protection off first: towpath stores update NAME --no-termination-protection"
            }
            "AccountHasOngoingImportException" => "\"towpath import --list\" shows the import that is running",
            "MaxConcurrentQueriesException" => "wait for a running query, or cancel one",
            "ServiceUnavailable" => "the server is starting or stopping; try again in a moment",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
