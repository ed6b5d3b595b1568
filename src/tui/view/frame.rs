use ratatui::layout::Rect;

use super::services;
use crate::tui::state::TuiState;

/// Where everything is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub services: Rect,
    pub title: Rect,
    pub log: Rect,
    pub detail: Rect,
    pub status: Rect,
    /// Where texts and the palette are: over services and log.
    pub overlay: Rect,
}

/// From this width on, services are beside the log.
const WIDE: u16 = 110;
/// The least that makes sense.
const LEAST: (u16, u16) = (20, 6);

impl Frame {
    /// Divides the screen; `None`: it is too small.
    pub fn of(state: &TuiState) -> Option<Frame> {
        let (width, height) = state.size;
        if width < LEAST.0 || height < LEAST.1 {
            return None;
        }
        let body = height - 2;
        let (services, title, log) = if width >= WIDE {
            let side = services::width(state, width / 2);
            let x = side + 1;
            (
                Rect::new(0, 0, side, body),
                Rect::new(x, 0, width - x, 1),
                Rect::new(x, 1, width - x, body - 1),
            )
        } else {
            let wanted = u16::try_from(state.services().len() + 1).unwrap_or(u16::MAX);
            let top = wanted.min((body / 3).max(2));
            (
                Rect::new(0, 0, width, top),
                Rect::new(0, top, width, 1),
                Rect::new(0, top + 1, width, body - top - 1),
            )
        };
        Some(Frame {
            services,
            title,
            log,
            detail: Rect::new(0, height - 2, width, 1),
            status: Rect::new(0, height - 1, width, 1),
            overlay: Rect::new(0, 0, width, body),
        })
    }
}
