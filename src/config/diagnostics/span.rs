/// A location in a configuration: file number and byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    /// The number of the file in `LoadReport`.
    pub file: u32,
    pub start: u32,
    /// Exclusive.
    pub end: u32,
}

impl Span {
    /// Creates a span. Files have at most 1 MiB, so every offset fits.
    pub fn new(file: u32, range: std::ops::Range<usize>) -> Span {
        Span { file, start: range.start as u32, end: range.end as u32 }
    }
}
