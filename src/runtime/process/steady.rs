use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::source::Source;

/// Types that own one descriptor and keep it, the same, for as long as they live.
pub(super) trait Steady: AsRawFd {}

impl Steady for Source {}
impl Steady for Arc<UnixStream> {}
impl Steady for std::os::fd::OwnedFd {}

/// Makes a descriptor something to wait for. To be called inside a runtime.
pub(super) fn wait_for<T: Steady>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: a `Steady` type owns its descriptor and never replaces it, and nothing takes it out of the
    // `AsyncFd`, which gives shared access only.
    unsafe { AsyncFd::register_with_interest(owner, interest) }.map_err(io::Error::from)
}
