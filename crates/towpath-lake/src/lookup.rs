//! What LookupEvents finds an event by that the record does not say outright: the user's name and the resources.
//!
//! Amazon's own derivation is not published. The user name follows the identity's type. Resources are those that the
//! record lists, by ARN and by the short name if the request used it, and after them those that parameters name: members
//! known to do so ([`fields`]), and ARNs of known types ([`arns`]).

mod arns;
mod fields;

use self::fields::Field;
use crate::tape::{Kind, Value};

/// One resource that an event touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// A name, id or ARN as it stands in the record.
    pub name: String,
    /// `AWS::Service::Type`, where known.
    pub kind: Option<String>,
}

/// What was derived from one record. Reused from record to record.
#[derive(Debug, Default)]
pub(crate) struct Found {
    username: Option<String>,
    resources: Vec<Resource>,
}

/// Most resources kept per event; a record that names more is found by the first ones.
const MAX_RESOURCES: usize = 256;

/// How deep parameters are searched for the members above (`instancesSet.items[].instanceId` is three deep).
const DEPTH: usize = 4;

impl Found {
    /// The user's name, if the record tells one.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The resources, in the order found.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Forgets the last record.
    pub fn clear(&mut self) {
        self.username = None;
        self.resources.clear();
    }

    /// Derives both from `record`.
    pub fn derive(&mut self, record: Value<'_>) {
        self.clear();
        self.username = record.member("userIdentity").and_then(username);
        let parameters = [record.member("requestParameters"), record.member("responseElements")];
        if let Some(resources) = record.member("resources") {
            for resource in resources.items() {
                self.listed(resource, parameters[0]);
            }
        }
        let source = text(record, "eventSource").unwrap_or_default();
        let service = source.split_once('.').map_or(source.as_str(), |(service, _)| service);
        let event = text(record, "eventName").unwrap_or_default();
        let naming = Naming { fields: fields::of_service(service), event: &event };
        for parameters in parameters.into_iter().flatten() {
            self.named(&naming, parameters, DEPTH);
        }
    }

    /// Adds an item of the record's `resources`.
    fn listed(&mut self, resource: Value<'_>, request: Option<Value<'_>>) {
        let Some(arn) = text(resource, "ARN").filter(|arn| !arn.is_empty()) else { return };
        // Some services leave the type out; most ARNs tell it.
        let kind = text(resource, "type").or_else(|| arns::kind_of_arn(&arn).map(str::to_owned));
        let short = arn.rsplit(['/', ':']).next().unwrap_or_default().to_owned();
        self.add(arn, kind.as_deref());
        let mut scratch = String::new();
        let used = request.is_some_and(|request| {
            request.members().any(|(_, value)| value.text(&mut scratch).is_some_and(|text| text == short))
        });
        if used {
            self.add(short, kind.as_deref());
        }
    }

    /// Adds what the members of `parameters` name, down to `depth` levels.
    fn named(&mut self, naming: &Naming<'_>, parameters: Value<'_>, depth: usize) {
        if depth == 0 {
            return;
        }
        for (member, value) in parameters.members() {
            match value.kind() {
                Kind::Text => self.text_named(naming, member.source(), value),
                Kind::Object => self.named(naming, value, depth - 1),
                Kind::Array => value.items().for_each(|item| match item.kind() {
                    Kind::Text => self.text_named(naming, member.source(), item),
                    _ => self.named(naming, item, depth - 1),
                }),
                _ => {}
            }
        }
    }

    /// Adds a text if its member is one that names resources.
    fn text_named(&mut self, naming: &Naming<'_>, member: &str, value: Value<'_>) {
        let known = fields::kind(naming.fields, member, naming.event);
        if known.is_none() && !arns::holds_arns(member) {
            return;
        }
        let mut scratch = String::new();
        let Some(name) = value.text(&mut scratch).filter(|name| !name.is_empty()) else { return };
        if let Some(kind) = known.or_else(|| arns::kind_of_arn(name)) {
            let name = name.to_owned();
            self.add(name, Some(kind));
        }
    }

    fn add(&mut self, name: String, kind: Option<&str>) {
        let resource = Resource { name, kind: kind.map(str::to_owned) };
        if self.resources.len() < MAX_RESOURCES && !self.resources.contains(&resource) {
            self.resources.push(resource);
        }
    }
}

/// What names a resource in the parameters of one event.
struct Naming<'a> {
    fields: &'static [Field],
    event: &'a str,
}

fn username(identity: Value<'_>) -> Option<String> {
    let kind = text(identity, "type").unwrap_or_default();
    let named = || text(identity, "userName").filter(|name| !name.is_empty());
    match kind.as_str() {
        "Root" => Some("root".to_owned()),
        "AssumedRole" => {
            let session = text(identity, "principalId").and_then(|id| Some(id.split_once(':')?.1.to_owned()));
            session.or_else(|| Some(text(identity, "arn")?.rsplit('/').next()?.to_owned())).or_else(named)
        }
        _ => named().or_else(|| text(identity, "invokedBy")),
    }
}

fn text(object: Value<'_>, member: &str) -> Option<String> {
    object.member(member)?.text(&mut String::new()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Tape;

    fn derive(record: &str) -> Found {
        let mut tape = Tape::default();
        let mut found = Found::default();
        found.derive(tape.read(record).unwrap());
        found
    }

    fn name_of(identity: &str) -> Option<String> {
        derive(&format!(r#"{{"userIdentity":{identity}}}"#)).username
    }

    #[test]
    fn the_user_name_follows_the_type_of_identity() {
        assert_eq!(name_of(r#"{"type":"IAMUser","userName":"alice"}"#).as_deref(), Some("alice"));
        assert_eq!(name_of(r#"{"type":"Root","principalId":"1"}"#).as_deref(), Some("root"));
        assert_eq!(name_of(r#"{"type":"AssumedRole","principalId":"AROA1:session"}"#).as_deref(), Some("session"));
        assert_eq!(name_of(r#"{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/r/s"}"#).as_deref(), Some("s"));
        assert_eq!(
            name_of(r#"{"type":"AWSService","invokedBy":"x.amazonaws.com"}"#).as_deref(),
            Some("x.amazonaws.com")
        );
        assert_eq!(name_of(r#"{"type":"AWSAccount","accountId":"1"}"#), None);
        assert_eq!(name_of("null"), None);
    }

    #[test]
    fn resources_come_from_the_list_and_from_parameters() {
        let found = derive(
            r#"{"eventSource":"s3.amazonaws.com","eventName":"GetBucketAcl","requestParameters":{"bucketName":"b","x":{"y":[{"bucketName":"c"}]}},
               "resources":[{"ARN":"arn:aws:s3:::b","type":"AWS::S3::Bucket"},{"type":"no arn"},7]}"#,
        );
        let names: Vec<_> = found.resources().iter().map(|r| (r.name.as_str(), r.kind.as_deref())).collect();
        let bucket = Some("AWS::S3::Bucket");
        assert_eq!(names, [("arn:aws:s3:::b", bucket), ("b", bucket), ("c", bucket)]);
    }

    #[test]
    fn a_trail_is_found_by_the_name_in_the_request() {
        let found = derive(
            r#"{"eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","requestParameters":{"name":"main"}}"#,
        );
        assert_eq!(found.resources()[0].name, "main");
    }

    fn named(record: &str) -> Vec<(String, Option<String>)> {
        derive(record).resources.into_iter().map(|found| (found.name, found.kind)).collect()
    }

    fn resource(name: &str, kind: &str) -> (String, Option<String>) {
        (name.to_owned(), Some(kind.to_owned()))
    }

    #[test]
    fn a_type_that_is_left_out_follows_from_the_arn_and_listed_resources_come_first() {
        let found = named(
            r#"{"eventSource":"ssm.amazonaws.com","eventName":"GetParameters","requestParameters":{"names":["/a","/b"]},
               "resources":[{"accountId":"1","ARN":"arn:aws:ssm:us-east-1:1:parameter/a"},{"ARN":"arn:aws:x:r:1:y"}]}"#,
        );
        let parameter = "AWS::SSM::Parameter";
        let listed = [resource("arn:aws:ssm:us-east-1:1:parameter/a", parameter), ("arn:aws:x:r:1:y".to_owned(), None)];
        assert_eq!(found[..2], listed);
        assert_eq!(found[2..], [resource("/a", parameter), resource("/b", parameter)]);
    }

    #[test]
    fn arns_in_parameters_are_found_whatever_the_service_and_encryption_contexts_are_none() {
        let found = named(
            r#"{"eventSource":"new-service.amazonaws.com","eventName":"Do","requestParameters":
               {"roleArn":"arn:aws:iam::1:role/R","items":[{"targetArns":["arn:aws:sns:r:1:t","text"]}],
                "encryptionContext":{"aws:s3:arn":"arn:aws:s3:::b/k"},"description":"arn:aws:s3:::b"}}"#,
        );
        assert_eq!(
            found,
            [resource("arn:aws:iam::1:role/R", "AWS::IAM::Role"), resource("arn:aws:sns:r:1:t", "AWS::SNS::Topic")]
        );
    }
}
