/// Only inotify is slow to close.
pub(crate) struct BackgroundClose;

impl BackgroundClose {
    pub(crate) fn of_inotify<T>(open: impl FnOnce() -> T) -> (T, Option<BackgroundClose>) {
        (open(), None)
    }
}
