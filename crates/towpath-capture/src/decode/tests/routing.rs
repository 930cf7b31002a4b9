//! Which operation a request is.

use super::{model, models, named, request};
use crate::{
    decode::{Call, Spoken, Unrouted, host},
    model::{Protocol, ServiceHint},
};

/// Method, URI and headers of a request, and its operation.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

fn s3(method: &str, uri: &str, headers: &[(&str, &str)]) -> String {
    let Some(models) = models() else { return String::new() };
    let model = models.service("s3").unwrap().unwrap();
    named(Call::of(&model, &request(method, uri, headers, ""), None))
}

#[test]
fn sub_resources_of_s3_tell_operations_apart() {
    if models().is_none() {
        return;
    }
    let copy = [("x-amz-copy-source", "/b/k")];
    let cases: [Case; 24] = [
        ("PUT", "/b/k", &[], "PutObject"),
        ("PUT", "/b/k?x-id=GetObject", &[], "PutObject"),
        ("PUT", "/b/k?x-id=CopyObject", &[], "PutObject"),
        ("PUT", "/b/k", &copy, "CopyObject"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", &[], "UploadPart"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", &copy, "UploadPartCopy"),
        ("PUT", "/b/k?acl", &[], "PutObjectAcl"),
        ("PUT", "/b/k?acl=&versionId=3", &[], "PutObjectAcl"),
        ("PUT", "/b?acl", &[], "PutBucketAcl"),
        ("PUT", "/b/?acl", &[], "PutBucketAcl"),
        ("PUT", "/b", &[], "CreateBucket"),
        ("POST", "/b/k?uploads", &[], "CreateMultipartUpload"),
        ("POST", "/b/k?uploadId=u", &[], "CompleteMultipartUpload"),
        ("POST", "/b?delete", &[], "DeleteObjects"),
        ("GET", "/b?uploads", &[], "ListMultipartUploads"),
        ("GET", "/b?list-type=2&prefix=x", &[], "ListObjectsV2"),
        ("GET", "/b?list-type=1", &[], "ListObjects"),
        ("GET", "/b/k?uploadId=u", &[], "ListParts"),
        ("GET", "/b/k/acl", &[], "GetObject"),
        ("GET", "/b/dir/", &[], "GetObject"),
        ("GET", "/", &[], "ListBuckets"),
        ("GET", "/?x-id=ListDirectoryBuckets", &[], "ListDirectoryBuckets"),
        ("DELETE", "/b/k?uploadId=u", &[], "AbortMultipartUpload"),
        ("HEAD", "/b/", &[], "HeadBucket"),
    ];
    for (method, uri, headers, expected) in cases {
        assert_eq!(s3(method, uri, headers), format!("s3:{expected}"), "{method} {uri}");
    }
    assert_eq!(s3("PATCH", "/b/k", &[]), "- s3 has no operation for the request");
}

#[test]
fn a_bucket_in_the_host_is_a_bucket() {
    if models().is_none() {
        return;
    }
    let at = |host: &str, method: &str, path: &str| s3(method, path, &[("host", host)]);
    assert_eq!(at("b.s3.eu-west-1.amazonaws.com", "GET", "/?list-type=2"), "s3:ListObjectsV2");
    assert_eq!(at("b.s3.amazonaws.com:443", "PUT", "/"), "s3:CreateBucket");
    assert_eq!(at("a.b.s3-us-west-2.amazonaws.com", "GET", "/dir/k"), "s3:GetObject");
    assert_eq!(at("s3.eu-west-1.amazonaws.com", "PUT", "/b"), "s3:CreateBucket");
    assert_eq!(at("localhost:4566", "PUT", "/b"), "s3:CreateBucket");
}

#[test]
fn the_bucket_of_a_host_ends_before_the_service() {
    assert_eq!(host::bucket("b.s3.amazonaws.com", None), Some("b"));
    assert_eq!(host::bucket("a.b.s3.dualstack.eu-west-1.amazonaws.com", None), Some("a.b"));
    assert_eq!(host::bucket("s3.x.s3-accelerate.amazonaws.com", None), Some("s3.x"));
    assert_eq!(
        host::bucket("b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com", None),
        Some("b--use1-az4--x-s3")
    );
    assert_eq!(host::bucket("111122223333.s3-control.us-east-1.amazonaws.com", None), None);
    assert_eq!(host::bucket("s3.amazonaws.com", None), None);
    assert_eq!(host::bucket("minio.example.com", None), None);
    assert_eq!(host::bucket("b.minio.example.com:9000", Some("minio.example.com")), Some("b"));
    assert_eq!(host::bucket("[::1]:9000", Some("s3.example.com")), None);
    assert_eq!(host::without_port("[::1]:80"), "[::1]");
    assert_eq!(host::without_port("::1"), "::1");
}

#[test]
fn the_more_specific_path_is_taken_whatever_the_order() {
    let operation = |name: &str, uri: &str| {
        format!(r#""{name}":{{"name":"{name}","http":{{"method":"GET","requestUri":"{uri}"}}}}"#)
    };
    let operations = [
        operation("Rest", "/{path+}"),
        operation("One", "/things/{id}"),
        operation("All", "/things/all"),
        operation("Parts", "/things/{id+}/parts"),
        operation("Mode", "/things/{id}?mode=import"),
        operation("Slash", "/slash/"),
    ];
    let model = model(r#""protocol":"rest-json","endpointPrefix":"x""#, &operations.join(","), "");
    let call = |uri: &str| named(Call::of(&model, &request("GET", uri, &[], ""), None));
    assert_eq!(call("/things/all"), "example:All");
    assert_eq!(call("/things/%61ll"), "example:All");
    assert_eq!(call("/things/7"), "example:One");
    assert_eq!(call("/things/7?mode=import"), "example:Mode");
    assert_eq!(call("/things/7?mode=export"), "example:One");
    assert_eq!(call("/things/7/8/parts"), "example:Parts");
    assert_eq!(call("/things/7/8"), "example:Rest");
    assert_eq!(call("/slash"), "example:Slash");
    assert_eq!(call("/"), "- example has no operation for the request");
}

#[test]
fn a_service_is_asked_in_what_the_request_speaks() {
    let model = model(
        r#""protocol":"smithy-rpc-v2-cbor","protocols":["smithy-rpc-v2-cbor","json"],"endpointPrefix":"x","targetPrefix":"X_1""#,
        r#""Do":{"name":"Do","http":{"method":"POST","requestUri":"/"}}"#,
        "",
    );
    let protocol = |request| Call::of(&model, &request, None).map(|call| call.protocol()).unwrap();
    assert_eq!(protocol(request("POST", "/service/X_1/operation/Do", &[], "")), Protocol::Cbor);
    assert_eq!(protocol(request("POST", "/", &[("x-amz-target", "com.amazonaws.X_1.Do")], "")), Protocol::Json);
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    assert_eq!(protocol(request("POST", "/", &form, "Version=1&Action=Do")), Protocol::Query);
    assert_eq!(protocol(request("GET", "/?Action=Do", &[], "")), Protocol::Query);
}

#[test]
fn an_unknown_operation_is_named_as_the_caller_named_it() {
    let model = model(r#""protocol":"json","endpointPrefix":"x","targetPrefix":"X""#, "", "");
    let name = |target: &str| match Call::of(&model, &request("POST", "/", &[("x-amz-target", target)], ""), None) {
        Err(Unrouted::Operation { named, .. }) => named,
        _ => panic!("an operation"),
    };
    assert_eq!(name("X.MadeUp"), Some("MadeUp".to_owned()));
    assert_eq!(name("X.Made\"up"), None);
    assert_eq!(name(&format!("X.{}", "a".repeat(500))), None);
    assert_eq!(name("X."), None);
}

#[test]
fn services_that_sign_alike_are_told_apart_by_what_is_asked() {
    let Some(models) = models() else { return };
    let call = |signing: &str, request: &crate::Request| {
        let hint = ServiceHint::of(&request.head).signed_for(signing);
        named(models.call(&hint, request))
    };
    let local = [("host", "localhost:5000")];
    assert_eq!(
        call("aws-marketplace", &request("POST", "/ListEntities", &local, "{}")),
        "marketplace-catalog:ListEntities"
    );
    let target = [("host", "localhost:5000"), ("x-amz-target", "AWSMPMeteringService.MeterUsage")];
    assert_eq!(call("aws-marketplace", &request("POST", "/", &target, "{}")), "meteringmarketplace:MeterUsage");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(call("rds", &request("POST", "/", &form, "Action=DescribeDBInstances")), "rds:DescribeDBInstances");
    assert_eq!(call("s3express", &request("GET", "/?x-id=ListDirectoryBuckets", &[], "")), "s3:ListDirectoryBuckets");
    assert_eq!(call("s3", &request("PUT", "/b/k", &target, "")), "s3:PutObject");
    assert_eq!(call("nobody", &request("PUT", "/b/k", &local, "")), "- no service model fits the request");
}

#[test]
fn a_host_says_the_service_where_a_signature_does_not() {
    let Some(models) = models() else { return };
    let at = |host: &str, request: &crate::Request| {
        named(models.call(&ServiceHint { host: Some(host), ..ServiceHint::default() }, request))
    };
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let assume = request("POST", "/", &form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
    assert_eq!(at("sts.eu-central-1.amazonaws.com", &assume), "sts:AssumeRoleWithWebIdentity");
    assert_eq!(at("sts.amazonaws.com:443", &assume), "sts:AssumeRoleWithWebIdentity");
    let get = request("GET", "/k", &[("host", "b.s3.eu-west-1.amazonaws.com")], "");
    assert_eq!(at("b.s3.eu-west-1.amazonaws.com", &get), "s3:GetObject");
    let control = request("GET", "/v20180820/jobs", &[("x-amz-account-id", "000000000000")], "");
    assert_eq!(at("000000000000.s3-control.us-east-1.amazonaws.com", &control), "s3control:ListJobs");
    let spaces = request("GET", "/spaces", &[], "");
    assert_eq!(at("repostspace.us-west-2.amazonaws.com", &spaces), "repostspace:ListSpaces");
}

#[test]
fn a_service_named_by_a_person_rules_out_the_others() {
    let Some(models) = models() else { return };
    let request = request("PUT", "/b/k", &[], "");
    let call = |name: &str| named(models.call(&ServiceHint::default().named(name), &request));
    assert_eq!(call("s3"), "s3:PutObject");
    assert_eq!(call("trustedadvisor"), "- trustedadvisor has no operation for the request");
    assert_eq!(call("nothing"), "- no service model fits the request");
    assert!(matches!(Spoken::of(&request.head), Spoken::Rest));
}
