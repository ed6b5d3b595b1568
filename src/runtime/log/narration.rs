/// Whether a reader gets what devstack itself says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Narration {
    /// No, only lines of services.
    #[default]
    Without,
    /// Yes, between the lines of services.
    With,
    /// Yes, and nothing else.
    Only,
}
