/// A port that is wished for, cannot be had, and may be talked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The port.
    pub port: u16,
    /// What stands in the way: `api: port 5000 is held by …`.
    pub text: String,
    /// Whether it stands in the way by listening, so that its end would help.
    pub listens: bool,
    /// What the service would get instead.
    pub next: u16,
}

/// What somebody wants about a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The other port.
    Next,
    /// Something was done about it: look again.
    Again,
    /// Not to start.
    Quit,
}
