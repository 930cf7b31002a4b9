//! Why a request is not accepted as its caller's.

use crate::error::ApiError;

/// Why a request is not accepted as its caller's. None of the texts holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no signature at all.
    #[error("Request is missing Authentication Token")]
    Missing,
    /// There is something like a signature, and it is not complete or not well formed.
    #[error("{0}")]
    Incomplete(String),
    /// A parameter of the query string is not percent-encoded properly.
    #[error("the query string has a % without two hexadecimal digits")]
    MalformedQuery,
    /// Headers that must be signed are not.
    #[error("There were headers present in the request which were not signed: {0}")]
    Unsigned(String),
    /// Signed for another service.
    #[error("Credential should be scoped to correct service: '{wanted}'. ")]
    WrongService {
        /// The service this request belongs to.
        wanted: String,
    },
    /// The time of the request is too far from now.
    #[error("{0}")]
    Skewed(String),
    /// A presigned request is past its end.
    #[error("Request has expired: it was good until {0}")]
    Expired(String),
    /// The body is not the one that was signed, or was left out of the signature.
    #[error("{0}")]
    Body(&'static str),
    /// The signature is not the one the secret makes.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.{0}"
    )]
    Mismatch(String),
    /// Nobody has this access key, or the session token is not one of ours.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The session is over.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
}

impl AuthError {
    /// The code in the spelling of AWS JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) | Self::MalformedQuery => "IncompleteSignatureException",
            Self::Unsigned(_) | Self::WrongService { .. } | Self::Skewed(_) | Self::Body(_) | Self::Mismatch(_) => {
                "InvalidSignatureException"
            }
            Self::Expired(_) => "RequestExpired",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        ApiError::new(error.code(), error.to_string())
    }
}
