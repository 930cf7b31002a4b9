//! Bodies that are signed in chunks, with the signatures of S3's documentation.

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn upload(stated: &str) -> Request<()> {
    let names = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class";
    let signature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={names},Signature={signature}"
    );
    Request::put("/examplebucket/chunkObject.txt")
        .header("host", "s3.amazonaws.com")
        .header("x-amz-date", "20130524T000000Z")
        .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .header(AUTHORIZATION, authorization)
        .header("x-amz-content-sha256", stated)
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "66560")
        .header("content-length", "66824")
        .body(())
        .unwrap()
}

fn signature(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

#[test]
fn the_chunks_of_the_documentation_are_proven_in_their_order() {
    let request = upload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let signed = SignedRequest::parse_passing(request.method(), request.uri(), request.headers()).unwrap();
    let expect = Expect { service: "s3", now: "2013-05-24T00:00:00Z".parse().unwrap(), skew: DEFAULT_SKEW };
    let keys = SigningKeys::default();
    signed.verify_head(SECRET.as_bytes(), &expect, &keys).unwrap();

    let chunks = [
        (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ];
    let proven = |order: &[usize], letter: u8| {
        let mut chain = signed.chunks(SECRET.as_bytes(), &keys).unwrap();
        order.iter().all(|at| chain.verify(&BodyHash::of(&vec![letter; chunks[*at].0]), &signature(chunks[*at].1)))
    };
    assert!(proven(&[0, 1, 2], b'a'));
    assert!(!proven(&[0, 2], b'a'), "one is left out");
    assert!(!proven(&[1], b'a'), "out of order");
    assert!(!proven(&[0], b'b'), "another content");
}

#[test]
fn only_bodies_that_are_signed_in_chunks_have_such_signatures() {
    for (stated, has_trailer) in [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Some(false)),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", Some(true)),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", None),
        ("UNSIGNED-PAYLOAD", None),
    ] {
        let request = upload(stated);
        let signed = SignedRequest::parse_passing(request.method(), request.uri(), request.headers()).unwrap();
        let chunks = signed.chunks(SECRET.as_bytes(), &SigningKeys::default());
        assert_eq!(chunks.map(|chunks| chunks.has_trailer()), has_trailer, "{stated}");
    }
}
