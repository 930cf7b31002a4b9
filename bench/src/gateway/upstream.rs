//! An upstream that answers at once: small calls with a kilobyte, uploads with nothing, downloads with as much as is asked.

use std::net::{SocketAddr, TcpListener, TcpStream};

use super::calls;
use super::wire::Wire;

/// Serves for ever, each connection on a thread of its own; returns the address.
pub fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("upstream".to_owned()).spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // How a connection ended shows in the calls.
            let serving = std::thread::Builder::new().name("upstream".to_owned());
            let _ = serving.spawn(move || drop(serve(stream)));
        }
    })?;
    Ok(address)
}

fn serve(stream: TcpStream) -> anyhow::Result<()> {
    let mut wire = Wire::over(stream)?;
    let small = calls::answer();
    while let Some(head) = wire.head()? {
        wire.skip(head.length)?;
        if head.line.starts_with("PUT") {
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        } else if let Some((length, pace)) = asked(&head.line) {
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes())?;
            wire.write_body(length, pace)?;
        } else {
            wire.write(&small)?;
        }
    }
    Ok(())
}

/// The length that a download asks for, and its pace: `GET /bucket/key?1024&1e9 HTTP/1.1`.
fn asked(line: &str) -> Option<(u64, Option<f64>)> {
    let (_, query) = line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?.split_once('?')?;
    let (length, pace) = query.split_once('&').unwrap_or((query, ""));
    Some((length.parse().ok()?, pace.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_says_how_much_and_how_fast() {
        assert_eq!(asked("GET /bucket/key?1024 HTTP/1.1"), Some((1024, None)));
        assert_eq!(asked("GET /bucket/key?1024&2.5e9 HTTP/1.1"), Some((1024, Some(2.5e9))));
        assert_eq!(asked("POST / HTTP/1.1"), None);
    }
}
