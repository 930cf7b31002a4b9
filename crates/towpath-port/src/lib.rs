//! What every listening port of Towpath needs, whatever is served there: a bounded number of places for connections, a
//! watch over each connection, and TLS.

mod listen;
mod tls;
mod watch;

pub use listen::{Place, Places};
pub use tls::{PemPair, Tls, TlsError, TlsFacts};
pub use watch::{Running, Watch, Watched};
