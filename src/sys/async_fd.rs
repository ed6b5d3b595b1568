use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Types that own one descriptor and keep the same one for life.
pub(crate) trait StableFd: AsRawFd {}

impl StableFd for Arc<UnixStream> {}
impl StableFd for std::os::fd::OwnedFd {}

/// Registers a descriptor with the runtime. Must be called inside one.
pub(crate) fn register<T: StableFd>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: a `StableFd` type owns its descriptor and never replaces it, and the `AsyncFd` only
    // gives shared access to it.
    unsafe { AsyncFd::register_with_interest(owner, interest) }.map_err(io::Error::from)
}
