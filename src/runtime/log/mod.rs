//! What services print: captured, stored, shown.

/// What the services of a stack printed. Cheap to clone.
#[derive(Clone)]
pub struct Logs;
