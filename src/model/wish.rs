use super::Name;

/// A port that a service wishes for, before one was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortWish {
    /// Who wishes.
    pub service: Name,
    /// `main`, or the name it has in `ports`.
    pub port: String,
    /// The number wished for, above 0; `None`: any.
    pub number: Option<u16>,
    /// How strong the wish is.
    pub weight: Weight,
    /// Who said so, for messages: `--port`, `API_PORT`, `PORT`, `.env`, `devstack.toml`.
    pub source: String,
    /// What to do when the number is taken and the wish is not pinned.
    pub on_conflict: OnConflict,
}

/// How strong a wish for a port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Exactly this one, or the start fails.
    Pinned,
    /// This one if it is free, else by `on_conflict`.
    Preferred,
    /// Any that is free.
    Any,
}

/// What to do when a preferred port is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The next free one upward.
    Next,
    /// Any free one.
    Auto,
    /// Fail and name the holder.
    Fail,
    /// Ask at a terminal; elsewhere fail.
    Ask,
    /// The same, because the command line does not let ports move, whatever the file says.
    Strict,
}
