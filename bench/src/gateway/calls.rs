//! Calls of a kilobyte: ECS's RegisterTaskDefinition, a management event, as an SDK sends it. Their bytes are made before
//! they are sent.

/// A call.
pub fn call() -> Vec<u8> {
    let body = definition("{", "}");
    let own = "content-type: application/x-amz-json-1.1\r\n\
               x-amz-target: AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition\r\n";
    let length = body.len();
    format!("POST / HTTP/1.1\r\n{}{own}content-length: {length}\r\n\r\n{body}", signed("ecs")).into_bytes()
}

/// The answer to it.
pub fn answer() -> Vec<u8> {
    let body = definition(
        "{\"taskDefinition\":{\"taskDefinitionArn\":\"arn:aws:ecs:us-east-1:111122223333:task-definition/web:1\",",
        ",\"revision\":1,\"status\":\"ACTIVE\"}}",
    );
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {length}\r\n\r\n");
    (head + &body).into_bytes()
}

/// The head of an upload of `length` bytes.
pub fn upload(length: u64) -> Vec<u8> {
    format!("PUT /bucket/key HTTP/1.1\r\n{}content-length: {length}\r\n\r\n", signed("s3")).into_bytes()
}

/// A download of `length` bytes, of which the upstream sends at most so many a second.
pub fn download(length: u64, pace: Option<f64>) -> Vec<u8> {
    let pace = pace.map(|pace| format!("&{pace}")).unwrap_or_default();
    format!("GET /bucket/key?{length}{pace} HTTP/1.1\r\n{}\r\n", signed("s3")).into_bytes()
}

/// What every SDK sends. Nobody here looks at the signature.
fn signed(service: &str) -> String {
    format!(
        "host: {service}.us-east-1.amazonaws.com\r\n\
         user-agent: Boto3/1.43.1 md/Botocore#1.43.1 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11\r\n\
         x-amz-date: 20261121T060000Z\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/{service}/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={}\r\n\
         amz-sdk-invocation-id: 0b8ab0a4-6d3c-4f5e-9a55-2a1f6f6f6f6f\r\n\
         amz-sdk-request: attempt=1\r\n",
        "0".repeat(64)
    )
}

/// A kilobyte with a task definition in it.
fn definition(before: &str, after: &str) -> String {
    let image =
        "\"name\":\"web\",\"image\":\"registry.example.org/web:7\",\"cpu\":256,\"memory\":512,\"essential\":true";
    let mut text = format!("{before}\"family\":\"web\",\"containerDefinitions\":[{{{image},\"environment\":[");
    let mut number = 0;
    while text.len() + after.len() < 960 {
        let comma = if number > 0 { "," } else { "" };
        text.push_str(&format!("{comma}{{\"name\":\"SETTING_{number}\",\"value\":\"value {number}\"}}"));
        number += 1;
    }
    text + "]}]" + after
}

#[cfg(test)]
mod tests {
    #[test]
    fn calls_and_answers_carry_a_kilobyte_of_json() {
        for message in [super::call(), super::answer()] {
            let text = String::from_utf8(message).unwrap();
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            assert!((950..1100).contains(&body.len()), "{} bytes", body.len());
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
    }
}
