//! The priority of a thread.

use std::io;

/// Lets the calling thread wait for all others that want a processor.
pub(crate) fn lower() -> io::Result<()> {
    // SAFETY: it changes nothing but the class of the calling thread.
    let result =
        unsafe { libc::pthread_set_qos_class_self_np(libc::qos_class_t::QOS_CLASS_UTILITY, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}
