/// Where something was written: a file by its number in the report, and bytes of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// The number of the file in [`super::report::Report`].
    pub file: u32,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Place {
    /// A place in `file`. Files are at most 1 MiB, so that every offset fits.
    pub fn new(file: u32, range: std::ops::Range<usize>) -> Place {
        Place { file, start: range.start as u32, end: range.end as u32 }
    }
}
