use ratatui::style::{Color, Modifier, Style};

use crate::log::StatusTone;
use crate::model::{LabelColor, Phase};

/// How things look: the 16 colors of the terminal, which it shows as its user likes, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub color: bool,
}

impl Theme {
    pub fn plain(self) -> Style {
        Style::new()
    }

    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The line about the selected service.
    pub fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub fn error(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What the user looks for.
    pub fn hit(self) -> Style {
        match self.color {
            true => Style::new().fg(Color::Black).bg(Color::Yellow),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    pub fn phase(self, phase: Phase) -> Style {
        match phase {
            Phase::Ready => self.colored(Color::Green),
            Phase::Failed | Phase::Unhealthy => self.colored(Color::Red),
            Phase::Backoff | Phase::Blocked | Phase::Waiting => self.colored(Color::Yellow),
            Phase::Starting | Phase::Stopping => self.colored(Color::Cyan),
            Phase::Idle | Phase::Asleep | Phase::Done => self.dim(),
        }
    }

    pub fn tone(self, tone: StatusTone) -> Style {
        match tone {
            StatusTone::Plain => self.dim(),
            StatusTone::Notice => self.title(),
            StatusTone::Good => self.colored(Color::Green),
            StatusTone::Warning => self.colored(Color::Yellow),
            StatusTone::Failure => self.colored(Color::Red),
        }
    }

    pub fn service(self, color: LabelColor) -> Style {
        self.colored(match color {
            LabelColor::Red => Color::Red,
            LabelColor::Green => Color::Green,
            LabelColor::Yellow => Color::Yellow,
            LabelColor::Blue => Color::Blue,
            LabelColor::Magenta => Color::Magenta,
            LabelColor::Cyan => Color::Cyan,
            LabelColor::BrightRed => Color::LightRed,
            LabelColor::BrightGreen => Color::LightGreen,
            LabelColor::BrightYellow => Color::LightYellow,
            LabelColor::BrightBlue => Color::LightBlue,
            LabelColor::BrightMagenta => Color::LightMagenta,
            LabelColor::BrightCyan => Color::LightCyan,
        })
    }

    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }
}
