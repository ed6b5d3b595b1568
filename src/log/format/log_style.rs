use crate::log::service_palette::ServicePalette;

pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const DIM: &str = "\x1b[2m";

/// As wide as a formatted time.
pub(super) const NO_TIME: &str = "         ";

/// As wide as what separates name and line.
pub(super) const MARKER_WIDTH: usize = 3;

/// How printed lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStyle {
    /// Whether names and status lines are colored, and services may color their lines. Nothing else
    /// of what controls a terminal passes.
    pub color: bool,
    /// Whether each line starts with the name of its service.
    pub prefix: bool,
    /// Whether each line starts with `HH:MM:SS` in local time.
    pub timestamps: bool,
    /// Whether lines of services pass as they are, for programs.
    pub exact: bool,
    /// Whether GitHub Actions reads the output: no line may have one of its workflow commands.
    pub github: bool,
    /// Whether each line is a JSON object; the other settings then have no effect.
    pub json: bool,
}

impl LogStyle {
    /// Returns the usual style, with or without colors.
    pub fn new(color: bool) -> LogStyle {
        LogStyle {
            color,
            prefix: true,
            timestamps: false,
            exact: false,
            github: false,
            json: false,
        }
    }

    /// Returns how many columns the start of a line takes, unless the name is longer than others.
    pub(crate) fn indent(self, table: &ServicePalette) -> usize {
        let time = if self.timestamps { NO_TIME.len() } else { 0 };
        let name = if self.prefix { table.width() + MARKER_WIDTH } else { 0 };
        time + name
    }
}
