//! The crate against real peers on loopback.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod client;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod peer;
