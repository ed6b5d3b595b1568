//! The allocator of the C library.

/// Limits how many heaps the threads of this process have, and with them the memory that stays with
/// each after a busy moment: glibc makes up to eight per processor. Must be called before there are
/// threads.
pub(crate) fn limit_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const HEAPS: libc::c_int = 1;
        // SAFETY: sets a number of the allocator.
        let set = unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS) };
        debug_assert_eq!(set, 1, "the allocator takes the number");
    }
}

/// Gives unused memory back to the system. After a burst of work, live allocations are scattered,
/// and the C library keeps the free memory between them. Takes up to a few milliseconds.
pub(crate) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: has no conditions.
    unsafe {
        libc::malloc_trim(0);
    }
}
