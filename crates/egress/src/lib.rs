//! The one way out of the process: names are resolved here, every address is checked against one policy, and the
//! connection goes to the address that was checked, never to a name resolved a second time.
//!
//! Nothing else in the system may open a connection. There are no redirects, no proxies from the environment, no
//! request sent twice if the first may have arrived, and no task that outlives the [`Client`] it belongs to.

mod address;
mod body;
mod cidr;
mod client;
mod connect;
mod error;
mod fetch;
mod link;
mod listen;
mod pool;
mod stream;
mod target;
mod tls;
mod unbuffered;

pub use address::{AddressKind, AddressPolicy, AddressRefusal, CheckedAddress, Transport};
pub use body::Body;
pub use cidr::{Cidr, InvalidCidr};
pub use client::{Client, ClientLimits};
pub use error::EgressError;
pub use fetch::{FetchError, FetchLimits, fetch};
pub use target::{Target, TargetError, parse_url};
pub use tls::{TlsError, tls_config};
