//! Answers in the form that S3 gives them: ids in their headers, errors with resource and ids.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// An error, as the S3 library would write it.
pub(super) fn answer(status: StatusCode, code: &str, message: &str) -> Response<s3s::Body> {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let mut response = Response::new(s3s::Body::from(body));
    *response.status_mut() = status;
    response
}

/// Gives an answer its id, and an error the form that S3 has for it; returns the code and message of an error.
pub(super) fn complete(response: &mut Response<s3s::Body>, resource: &str, id: &str) -> Option<(String, String)> {
    let status = response.status();
    let mut error = None;
    if status.is_client_error() || status.is_server_error() {
        let body = response.body().bytes().unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        let code = element(&text, "Code").unwrap_or("InternalError").to_owned();
        let message = element(&text, "Message").map(str::to_owned).unwrap_or_else(|| usual_message(&code).to_owned());
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <Resource>{}</Resource><RequestId>{id}</RequestId><HostId>{id}</HostId></Error>",
            escape(resource)
        );
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        headers.remove(header::CONTENT_LENGTH);
        *response.body_mut() = s3s::Body::from(xml);
        error = Some((code, unescape(&message)));
    } else if status == StatusCode::NOT_MODIFIED {
        *response.body_mut() = s3s::Body::empty();
        remove_content_headers(response.headers_mut());
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert("x-amz-request-id", value.clone());
        headers.insert("x-amz-id-2", value);
    }
    headers.insert(header::SERVER, HeaderValue::from_static("Towpath"));
    error
}

fn remove_content_headers(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_TYPE);
}

/// The text of an element of an error, as the S3 library wrote it.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

/// What S3 says where the library says nothing.
fn usual_message(code: &str) -> &'static str {
    match code {
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        }
        "InvalidBucketName" => "The specified bucket is not valid.",
        "KeyTooLongError" => "Your key is too long",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our published schema",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "IncompleteBody" => "You did not provide the number of bytes specified by the Content-Length HTTP header.",
        "AccessDenied" => "Access Denied",
        _ => "The request cannot be carried out.",
    }
}
