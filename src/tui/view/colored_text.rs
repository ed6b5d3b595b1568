use ratatui::style::{Color, Modifier, Style};

/// Cuts a text with color sequences into pieces of one look. Without `color`, only bold and the like
/// stay.
pub fn pieces(text: &str, base: Style, color: bool) -> Vec<(&str, Style)> {
    let mut pieces = Vec::new();
    let (mut style, mut rest) = (base, text);
    while let Some(at) = rest.find("\x1b[") {
        if at > 0 {
            pieces.push((&rest[..at], style));
        }
        let sequence = &rest[at + 2..];
        let end = sequence.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'));
        let end = end.unwrap_or(sequence.len());
        style = apply(&sequence[..end], style, base, color);
        // Without its `m`, it was cut with the line.
        rest = sequence[end..].strip_prefix('m').unwrap_or_default();
    }
    if !rest.is_empty() {
        pieces.push((rest, style));
    }
    pieces
}

fn apply(parameters: &str, before: Style, base: Style, color: bool) -> Style {
    let mut style = before;
    let mut codes = parameters.split([';', ':']).map(|code| code.parse::<u8>().unwrap_or(0));
    while let Some(code) = codes.next() {
        style = match code {
            0 => base,
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            9 => style.add_modifier(Modifier::CROSSED_OUT),
            22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            23 => style.remove_modifier(Modifier::ITALIC),
            24 => style.remove_modifier(Modifier::UNDERLINED),
            27 => style.remove_modifier(Modifier::REVERSED),
            29 => style.remove_modifier(Modifier::CROSSED_OUT),
            30..=37 => with(style, named(code - 30), true, color),
            90..=97 => with(style, named(code - 90 + 8), true, color),
            40..=47 => with(style, named(code - 40), false, color),
            100..=107 => with(style, named(code - 100 + 8), false, color),
            39 => Style { fg: base.fg, ..style },
            49 => Style { bg: base.bg, ..style },
            38 | 48 => match (codes.next(), codes.next()) {
                (Some(5), Some(number)) => with(style, named(number), code == 38, color),
                (Some(2), Some(red)) => {
                    let (green, blue) = (codes.next().unwrap_or(0), codes.next().unwrap_or(0));
                    with(style, Color::Rgb(red, green, blue), code == 38, color)
                }
                _ => style,
            },
            _ => style,
        };
    }
    style
}

fn with(style: Style, chosen: Color, is_text: bool, color: bool) -> Style {
    match (color, is_text) {
        (false, _) => style,
        (true, true) => style.fg(chosen),
        (true, false) => style.bg(chosen),
    }
}

fn named(number: u8) -> Color {
    match number {
        0 => Color::Black,
        1 => Color::Red,
        2 => Color::Green,
        3 => Color::Yellow,
        4 => Color::Blue,
        5 => Color::Magenta,
        6 => Color::Cyan,
        7 => Color::Gray,
        8 => Color::DarkGray,
        9 => Color::LightRed,
        10 => Color::LightGreen,
        11 => Color::LightYellow,
        12 => Color::LightBlue,
        13 => Color::LightMagenta,
        14 => Color::LightCyan,
        15 => Color::White,
        number => Color::Indexed(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_as_the_program_meant_them() {
        let base = Style::new();
        let text = "a\x1b[1;31mb\x1b[22;39mc\x1b[38;5;12md\x1b[48;2;1;2;3me\x1b[mf\x1b[3";
        let found = pieces(text, base, true);
        let words: Vec<&str> = found.iter().map(|(text, _)| *text).collect();
        assert_eq!(words, ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(found[1].1, base.fg(Color::Red).add_modifier(Modifier::BOLD));
        assert_eq!(found[3].1.fg, Some(Color::LightBlue));
        assert_eq!(found[4].1.bg, Some(Color::Rgb(1, 2, 3)));
        assert_eq!(found[5].1, base);
        assert!(
            pieces(text, base, false)
                .iter()
                .all(|(_, style)| style.fg.is_none() && style.bg.is_none())
        );
    }
}
