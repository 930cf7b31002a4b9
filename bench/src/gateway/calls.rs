//! Calls of a kilobyte: ECS's RegisterTaskDefinition, a management event, as an SDK sends it.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::upstream::long;
use crate::put::load::{Connection, Target};

/// Makes calls to an address, the upstream's or the gateway's.
pub struct Calls(pub SocketAddr);

/// A connection.
pub struct ToAddress {
    sender: SendRequest<Full<Bytes>>,
    headers: HeaderMap,
    body: Bytes,
}

impl Target for Calls {
    type Connection = ToAddress;

    async fn connect(&self) -> anyhow::Result<ToAddress> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The task ends with the connection; how it ended shows in the calls.
        tokio::spawn(connection);
        Ok(ToAddress { sender, headers: headers(), body: body().into() })
    }
}

impl ToAddress {
    async fn call(&mut self) -> anyhow::Result<Result<u64, String>> {
        self.sender.ready().await?;
        let mut request = Request::post("/").body(Full::new(self.body.clone()))?;
        *request.headers_mut() = self.headers.clone();
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        Ok(if status.is_success() { Ok(1) } else { Err(status.to_string()) })
    }
}

impl Connection for ToAddress {
    async fn send(&mut self, _: u64) -> Result<u64, String> {
        self.call().await.unwrap_or_else(|error| Err(format!("{error:#}")))
    }
}

/// Seconds that an upload of `length` bytes takes.
pub async fn upload(address: SocketAddr, length: u64) -> anyhow::Result<f64> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::put("/bucket/key").body(long(length))?;
    *request.headers_mut() = storage_headers();
    request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let began = Instant::now();
    let answer = sender.send_request(request).await?;
    ensure!(answer.status().is_success(), "the upload was answered with {}", answer.status());
    answer.into_body().collect().await?;
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds that a download of `length` bytes takes.
pub async fn download(address: SocketAddr, length: u64) -> anyhow::Result<f64> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::get(format!("/bucket/key?{length}")).body(Full::<Bytes>::default())?;
    *request.headers_mut() = storage_headers();
    let began = Instant::now();
    let mut body = sender.send_request(request).await?.into_body();
    let mut got = 0;
    while let Some(frame) = body.frame().await {
        got += frame.context("the download broke off")?.data_ref().map_or(0, |data| data.len() as u64);
    }
    ensure!(got == length, "{got} of {length} bytes came");
    Ok(began.elapsed().as_secs_f64())
}

fn headers() -> HeaderMap {
    let mut headers = signed("ecs");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers
        .insert("x-amz-target", HeaderValue::from_static("AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition"));
    headers
}

fn storage_headers() -> HeaderMap {
    signed("s3")
}

/// What every SDK sends. Nobody here looks at the signature.
fn signed(service: &str) -> HeaderMap {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/{service}/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={}",
        "0".repeat(64)
    );
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", format!("{service}.us-east-1.amazonaws.com")),
        (
            "user-agent",
            "Boto3/1.43.1 md/Botocore#1.43.1 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11".to_owned(),
        ),
        ("x-amz-date", "20261121T060000Z".to_owned()),
        ("authorization", authorization),
        ("amz-sdk-invocation-id", "0b8ab0a4-6d3c-4f5e-9a55-2a1f6f6f6f6f".to_owned()),
        ("amz-sdk-request", "attempt=1".to_owned()),
    ] {
        headers.insert(name, HeaderValue::try_from(value).expect("these values are well formed"));
    }
    headers
}

fn body() -> String {
    definition("{", "}")
}

/// The answer to a call.
pub fn answer() -> String {
    definition(
        "{\"taskDefinition\":{\"taskDefinitionArn\":\"arn:aws:ecs:us-east-1:111122223333:task-definition/web:1\",",
        ",\"revision\":1,\"status\":\"ACTIVE\"}}",
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
    fn calls_and_answers_are_a_kilobyte_of_json() {
        for text in [super::body(), super::answer()] {
            assert!((950..1100).contains(&text.len()), "{} bytes", text.len());
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
}
