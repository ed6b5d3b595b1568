use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::net::RecvFlags;
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

/// Appends to `inbox` what has arrived. False when the other end is closed.
pub(crate) fn receive(socket: &AsyncFd<Arc<UnixStream>>, inbox: &mut Vec<u8>) -> bool {
    loop {
        let mut bytes = [0; 4096];
        let read = |socket: &Arc<UnixStream>| {
            Ok(rustix::net::recv(socket, &mut bytes[..], RecvFlags::DONTWAIT)?.1)
        };
        match socket.try_io(Interest::READABLE, read) {
            Ok(0) => return false,
            Ok(count) => inbox.extend(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}
