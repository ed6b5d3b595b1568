/// Whether a reader gets status lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatusMode {
    /// Only lines of services.
    #[default]
    Without,
    /// Status lines between the lines of services.
    With,
    /// Only status lines.
    Only,
}
