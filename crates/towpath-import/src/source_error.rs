//! What a source says when it refuses: the code of S3, or how the connection failed.
//!
//! `object_store` keeps the answer of a service in the text of its error alone, beside addresses, request ids and
//! signatures that nobody shall read in a list of failures. Taken out of it are the code (`<Code>`), which must be one
//! word, and the status.

use std::error::Error as _;

use object_store::client::{HttpError, HttpErrorKind};

use crate::failure::{FailureKind, Fault, Unverified};

/// Longest code that is passed on.
const LONGEST_CODE: usize = 64;

/// The address at which machines of AWS find their credentials; asked when there are no others.
const CREDENTIAL_SERVICE: &str = "169.254.169.254";

/// What to do about keys that are refused.
const KEYS: &str =
    "check the access key in import.endpoint of the settings, or the AWS credentials of the server's environment";

/// What to do about a bucket of another region.
const REGION: &str =
    "the bucket is in another region; name its own (--region, S3BucketRegion, or region in import.endpoint)";

/// Says what `error` was and what to do next, without the texts of the source.
pub(crate) fn fault(error: &object_store::Error) -> Fault {
    use object_store::Error;
    if let Error::Generic { source, .. } = error
        && let Some(unverified) = source.downcast_ref::<Unverified>()
    {
        return Fault::new(FailureKind::Unverified, unverified.to_string());
    }
    let text = error.to_string();
    if let Some(code) = code(&text) {
        return of_code(code);
    }
    match error {
        Error::NotFound { .. } => Fault::new(FailureKind::NotFound, "there is no such file"),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Fault::new(FailureKind::AccessDenied, "the source refuses access")
        }
        Error::InvalidPath { .. } => {
            Fault::new(FailureKind::InvalidFormat, "a name in the folder cannot be used as a path")
        }
        _ if text.contains(CREDENTIAL_SERVICE) => {
            let message = "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the server, or \
                           name an import.endpoint in its settings";
            Fault::new(FailureKind::AccessDenied, message)
        }
        _ if text.contains("redirect without LOCATION") => Fault::new(FailureKind::SourceUnavailable, REGION),
        _ => Fault::new(FailureKind::SourceUnavailable, unanswered(error, &text)),
    }
}

/// The code of S3 in the text of an error.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let word = !code.is_empty() && code.len() <= LONGEST_CODE && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    word.then_some(code)
}

fn of_code(code: &str) -> Fault {
    let (kind, message) = match code {
        "NoSuchBucket" => (FailureKind::NotFound, "there is no such bucket".to_owned()),
        "NoSuchKey" => (FailureKind::NotFound, "there is no such file".to_owned()),
        "InvalidObjectState" => (FailureKind::Archived, "the file is archived; restore it first".to_owned()),
        "AccessDenied" | "AllAccessDisabled" => (
            FailureKind::AccessDenied,
            format!("the source refuses access ({code}); its keys need s3:ListBucket and s3:GetObject"),
        ),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" | "TokenRefreshRequired" => {
            (FailureKind::AccessDenied, format!("the source does not take the access key ({code}); {KEYS}"))
        }
        "RequestTimeTooSkewed" => {
            (FailureKind::AccessDenied, format!("the source finds this server's clock wrong ({code}); set the clock"))
        }
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
            (FailureKind::SourceUnavailable, format!("{REGION} ({code})"))
        }
        "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" | "OperationAborted" => {
            (FailureKind::SourceUnavailable, format!("the source could not answer ({code}); retry the import later"))
        }
        _ => (FailureKind::SourceUnavailable, format!("the source refused the request ({code})")),
    };
    Fault::new(kind, message)
}

/// Why there is no answer that says what was wrong.
fn unanswered(error: &object_store::Error, text: &str) -> String {
    if let Some(status) = status(text) {
        return format!("the source answered with status {status}");
    }
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(http) = found.downcast_ref::<HttpError>() {
            return match http.kind() {
                HttpErrorKind::Connect => {
                    "the source cannot be reached; check its address in import.endpoint of the settings, and the network"
                }
                HttpErrorKind::Timeout => "the source does not answer; retry the import later",
                _ => "the connection to the source was lost; retry the import",
            }
            .to_owned();
        }
        cause = found.source();
    }
    "the source failed".to_owned()
}

/// The HTTP status in the text of an error.
fn status(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3).filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An error as the client of S3 makes it of an answer.
    fn answered(status: &str, body: &str) -> object_store::Error {
        let text = format!(
            "Error performing list request: Error performing GET https://s3.example.org/b?list-type=2 in 3ms - Server \
             returned non-2xx status code: {status}: {body}"
        );
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    fn coded(code: &str) -> Fault {
        let body =
            format!("<Error><Code>{code}</Code><Message>m</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>");
        fault(&answered("400 Bad Request", &body))
    }

    #[test]
    fn what_s3_refused_is_told_by_its_code_with_the_next_step() {
        for (code, kind, told) in [
            ("NoSuchBucket", FailureKind::NotFound, "there is no such bucket"),
            ("NoSuchKey", FailureKind::NotFound, "no such file"),
            ("AccessDenied", FailureKind::AccessDenied, "need s3:ListBucket"),
            ("InvalidAccessKeyId", FailureKind::AccessDenied, "check the access key"),
            ("SignatureDoesNotMatch", FailureKind::AccessDenied, "check the access key"),
            ("ExpiredToken", FailureKind::AccessDenied, "(ExpiredToken)"),
            ("AuthorizationHeaderMalformed", FailureKind::SourceUnavailable, "another region"),
            ("InvalidObjectState", FailureKind::Archived, "restore it"),
            ("SlowDown", FailureKind::SourceUnavailable, "retry the import later"),
            ("QuotaOfTheMoon", FailureKind::SourceUnavailable, "(QuotaOfTheMoon)"),
        ] {
            let fault = coded(code);
            assert_eq!(fault.kind, kind, "{code}");
            assert!(fault.message.contains(told), "{code}: {}", fault.message);
        }
    }

    #[test]
    fn where_there_is_no_code_the_status_or_the_kind_of_failure_is_told() {
        assert_eq!(fault(&answered("502 Bad Gateway", "<html>")).message, "the source answered with status 502");
        let redirect =
            "Error performing GET https://s3.example.org/b in 3ms - Received redirect without LOCATION, this normally";
        let redirect = object_store::Error::Generic { store: "S3", source: redirect.into() };
        assert!(fault(&redirect).message.contains("another region"));
        let alone = "Error performing PUT http://169.254.169.254/latest/api/token in 9s, after 4 retries";
        let alone = object_store::Error::Generic { store: "S3", source: alone.into() };
        assert_eq!(fault(&alone).kind, FailureKind::AccessDenied);
        assert!(fault(&alone).message.contains("AWS_ACCESS_KEY_ID"));
        let closed = HttpError::new(HttpErrorKind::Connect, std::io::Error::other("refused by 10.0.0.1"));
        let closed = fault(&object_store::Error::Generic { store: "S3", source: Box::new(closed) });
        assert!(closed.message.starts_with("the source cannot be reached"), "{}", closed.message);
        assert!(!closed.message.contains("10.0.0.1"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn nothing_but_one_word_of_an_answer_is_passed_on(secret in "[ -~]{0,80}") {
            for body in [
                format!("<Error><Code>{secret}!</Code></Error>"),
                format!("<Error><Message>{secret}!</Message></Error>"),
                format!("<Code>{secret}!"),
            ] {
                let message = fault(&answered("400 Bad Request", &body)).message;
                prop_assert_eq!(message, "the source answered with status 400", "{}", body);
            }
        }
    }
}
