//! Uploads from the form of a web page to S3 (`PostObject`): a multipart body whose fields say what headers and query
//! string say elsewhere - the key, who signed, what is wished - and then the file.
//!
//! The fields stand before the file, because S3 passes over what comes after it. So the first kilobytes of a body tell all
//! of them, however large the file is.

use http::{Method, header};

use crate::multipart::Parts;
use crate::{Field, Request, Value};

/// The name under which such a call is recorded.
pub(crate) const POST_OBJECT: &str = "PostObject";

/// The most fields that are read: S3 takes 100 user fields and some of its own.
const MAX_FIELDS: usize = 256;
/// The longest value that is kept, in bytes. Policies may have 20 KB, a third more in base64.
const MAX_VALUE: usize = 32 << 10;
/// Fields that are no secrets: they are recorded, or mean the same in every upload.
const PUBLIC: [&str; 9] = [
    "key",
    "bucket",
    "acl",
    "content-type",
    "success_action_status",
    "success_action_redirect",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
];
/// What a key has in place of the name of the uploaded file.
const FILE_NAME: &str = "${filename}";

/// The fields of an upload from a form.
#[derive(Clone, PartialEq, Eq)]
pub struct ObjectForm {
    /// Names in small letters, as S3 compares them, in the order they were sent.
    fields: Vec<(String, String)>,
    file_name: Option<String>,
}

impl std::fmt::Debug for ObjectForm {
    /// Names alone: policy and signature open a bucket.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.fields.iter().map(|(name, _)| name)).finish()
    }
}

impl ObjectForm {
    /// The form that a request is, if it is one that S3 would take: a multipart form, posted, with a file or at least a key.
    /// Never fails, whatever the bytes; a body that is cut off tells the fields before the cut.
    pub fn of(request: &Request) -> Option<Self> {
        Self::of_opening(&request.head, &request.body.kept)
    }

    /// The form that a request with this head is, if the first bytes of its body show that.
    pub fn of_opening(head: &http::request::Parts, opening: &[u8]) -> Option<Self> {
        if head.method != Method::POST {
            return None;
        }
        let kind = head.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let form = Self::of_parts(Parts::of(kind, opening)?);
        (form.field("key").is_some() || form.file_name.is_some()).then_some(form)
    }

    fn of_parts(parts: Parts<'_>) -> Self {
        let mut form = Self { fields: Vec::new(), file_name: None };
        for part in parts {
            let name = part.name.to_ascii_lowercase();
            if name == "file" {
                form.file_name = Some(part.file_name.unwrap_or_default());
                break;
            }
            if !part.whole || form.fields.len() >= MAX_FIELDS {
                break;
            }
            if let Some(text) = std::str::from_utf8(part.content).ok().filter(|text| text.len() <= MAX_VALUE) {
                form.fields.push((name, text.to_owned()));
            }
        }
        form
    }

    /// The bucket that a form with this head is posted to, by its host or its path: the one that its record names.
    /// `bucket_domain` is the name under which S3 has buckets as hosts, where that is not one of AWS's.
    pub fn bucket(head: &http::request::Parts, bucket_domain: Option<&str>) -> Option<String> {
        crate::decode::bucket(head, bucket_domain)
    }

    /// All fields with their values, names in small letters, in the order they were sent.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a field; `name` in small letters.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The fields that stand for headers of a PutObject. Others, such as the policy, have names that mean something else in
    /// a query string.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields().filter(|(name, _)| *name == "acl" || name.starts_with("x-amz-"))
    }

    /// True if all fields were read: behind the file there are none.
    pub fn is_whole(&self) -> bool {
        self.file_name.is_some() && self.fields.len() < MAX_FIELDS
    }

    /// The values of fields that stand nowhere in a record: the policy, the signature, whatever else.
    pub(crate) fn unrecorded(&self) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().filter(|(name, _)| !PUBLIC.contains(&name.as_str()));
        fields.map(|(_, value)| value.as_str())
    }

    /// The key of the object, with the name of the file where the form says so.
    pub fn key(&self) -> Option<String> {
        let key = self.field("key")?;
        Some(match &self.file_name {
            // Browsers may send whole paths; S3 takes what is after the last separator.
            Some(name) => key.replace(FILE_NAME, name.rsplit(['/', '\\']).next().unwrap_or_default()),
            None => key.to_owned(),
        })
    }

    /// Bucket and key as a call of the model has them.
    pub(crate) fn asked(&self, bucket: Option<&str>) -> Value {
        let field = |name: &str, text: String| Field { name: name.into(), value: Value::Text(text), sensitive: false };
        let bucket = bucket.map(|bucket| field("Bucket", bucket.to_owned()));
        Value::Structure(bucket.into_iter().chain(self.key().map(|key| field("Key", key))).collect())
    }

    /// The credential of a signature of version 4: access key, day, region, service.
    pub fn credential(&self) -> Option<&str> {
        self.field("x-amz-credential")
    }

    /// The service that the form is signed for. Version 2 of signatures names none, but only S3 has forms with it.
    pub(crate) fn signed_for(&self) -> Option<&str> {
        match self.credential() {
            Some(credential) => credential.rsplit('/').nth(1),
            None => self.field("awsaccesskeyid").and(self.field("policy")).map(|_| "s3"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Body;

    fn request(kind: &str, body: &[u8]) -> Request {
        let head = http::Request::post("/photos").header("content-type", kind).body(()).unwrap().into_parts().0;
        Request { head, body: Body::of(body.to_vec()) }
    }

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut body = String::new();
        for (disposition, value) in parts {
            body += &format!("--b-1\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n");
        }
        (body + "--b-1--\r\n").into_bytes()
    }

    const KIND: &str = "multipart/form-data; boundary=b-1";

    #[test]
    fn the_fields_before_the_file_are_read_and_the_key_has_the_files_name() {
        let body = form(&[
            ("name=\"Key\"", "in/${filename}"),
            ("name=\"x-amz-credential\"", "AKIA1/20261121/us-east-1/s3/aws4_request"),
            ("name=\"file\"; filename=\"C:\\pictures\\a \\\"b\\\".png\"", "--b-2\r\n\r\nbytes"),
            ("name=\"acl\"", "after the file nothing counts"),
        ]);
        let read = ObjectForm::of(&request(KIND, &body)).unwrap();
        assert_eq!(read.key().unwrap(), "in/a \"b\".png");
        assert_eq!(read.signed_for(), Some("s3"));
        assert_eq!(read.field("acl"), None);
        assert!(!format!("{read:?}").contains("AKIA1"));
        let older = form(&[("name=\"key\"", "k"), ("name=\"AWSAccessKeyId\"", "AKIA1"), ("name=\"policy\"", "x")]);
        assert_eq!(ObjectForm::of(&request(KIND, &older)).unwrap().signed_for(), Some("s3"));
        // What is cut off behind the fields does not matter.
        let cut = body.windows(5).position(|part| part == b"bytes").unwrap();
        assert_eq!(ObjectForm::of(&request(KIND, &body[..cut])), Some(read));
    }

    #[test]
    fn what_is_no_upload_is_not_taken_for_one() {
        let body = form(&[("name=\"note\"", "x")]);
        assert_eq!(ObjectForm::of(&request(KIND, &body)), None);
        let body = form(&[("name=\"key\"", "x")]);
        assert!(ObjectForm::of(&request(KIND, &body)).is_some());
        assert!(ObjectForm::of(&request("multipart/form-data; boundary=\"b-1\"", &body)).is_some());
        for kind in
            ["multipart/form-data", "multipart/mixed; boundary=b-1", "text/plain", "multipart/form-data; boundary="]
        {
            assert_eq!(ObjectForm::of(&request(kind, &body)), None, "{kind}");
        }
        let mut put = request(KIND, &body);
        put.head.method = Method::PUT;
        assert_eq!(ObjectForm::of(&put), None);
    }

    proptest! {
        #[test]
        fn no_body_breaks_the_reading(
            parts in prop::collection::vec("(--b-1|\r\n|\r\n\r\n|Content-Disposition: form-data|; name=\"|key|file|\"|;|=|\\\\|x)", 0..40),
            kind in "(multipart/form-data; boundary=b-1|[ -~]{0,30})",
        ) {
            if let Some(read) = ObjectForm::of(&request(&kind, parts.concat().as_bytes())) {
                let _ = (read.key(), read.signed_for());
            }
        }
    }
}
