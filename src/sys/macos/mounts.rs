use std::collections::BTreeMap;
use std::ffi::{CStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::sys::mount_entry::MountEntry;

pub(crate) fn mounts() -> BTreeMap<PathBuf, MountEntry> {
    // SAFETY: with a null buffer the call only counts.
    let count = unsafe { libc::getfsstat(std::ptr::null_mut(), 0, libc::MNT_NOWAIT) };
    let Ok(count) = usize::try_from(count) else { return BTreeMap::new() };
    let mut list: Vec<libc::statfs> = Vec::with_capacity(count);
    let Ok(size) = i32::try_from(count * size_of::<libc::statfs>()) else {
        return BTreeMap::new();
    };
    // SAFETY: the list has room for `size` bytes, the most that the call writes.
    let count = unsafe { libc::getfsstat(list.as_mut_ptr(), size, libc::MNT_NOWAIT) };
    let Ok(count) = usize::try_from(count) else { return BTreeMap::new() };
    // SAFETY: the call has initialized that many entries, never more than fit.
    unsafe { list.set_len(count.min(list.capacity())) };
    list.iter().filter_map(read).collect()
}

fn read(entry: &libc::statfs) -> Option<(PathBuf, MountEntry)> {
    let place = text(&entry.f_mntonname)?;
    let kind = text(&entry.f_fstypename)?.to_string_lossy().into_owned();
    // SAFETY: `fsid_t` is two integers, without padding or invalid values.
    let id: [i32; 2] = unsafe { std::mem::transmute(entry.f_fsid) };
    let id = u64::from(id[0].cast_unsigned()) << 32 | u64::from(id[1].cast_unsigned());
    Some((PathBuf::from(place), MountEntry { id, kind }))
}

fn text(chars: &[libc::c_char]) -> Option<OsString> {
    let bytes: Vec<u8> = chars.iter().map(|char| char.cast_unsigned()).collect();
    let text = CStr::from_bytes_until_nul(&bytes).ok()?;
    Some(OsString::from_vec(text.to_bytes().to_vec()))
}

/// Does nothing: FSEvents reports when a watched root changes.
pub(crate) fn watch_mounts(_changed: impl Fn() + Send + 'static) -> Option<OwnedFd> {
    None
}
