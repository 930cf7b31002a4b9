//! A bare relay: reads bytes from one end and writes them to the other, and does nothing else.
//!
//! It shows what a machine can do at best that has sender, relay and receiver to itself: whatever passes bytes on copies
//! them in and out again, on processors that the two ends keep busy.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use super::wire::PIECE;

/// Relays to `upstream` for ever, both directions of each connection on a thread of its own; returns the address.
pub fn start(upstream: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            // How a connection ended shows in the bodies.
            let _ = relay(near, upstream);
        }
    })?;
    Ok(address)
}

fn relay(near: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let far = TcpStream::connect(upstream)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (from_far, to_near) = (far.try_clone()?, near.try_clone()?);
    spawn(move || pass(near, far))?;
    spawn(move || pass(from_far, to_near))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("relay".to_owned()).spawn(work).map(drop)
}

/// Passes bytes until one end has no more or is gone.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = vec![0; PIECE];
    while let Ok(got @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..got]).is_err() {
            break;
        }
    }
    // The other direction may be over already.
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_goes_out_in_both_directions() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(start(listener.local_addr().unwrap()).unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        near.write_all(b"there").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        far.read_to_string(&mut text).unwrap();
        far.write_all(b" and back").unwrap();
        drop(far);
        near.read_to_string(&mut text).unwrap();
        assert_eq!(text, "there and back");
    }
}
