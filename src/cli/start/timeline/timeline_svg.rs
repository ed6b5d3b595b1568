use std::fmt::Write;

use super::timeline::{Timeline, TimelineRow, TimelineStage};
use super::timeline_text::{heading, row_text};

const ROW: i64 = 24;
const NAMES: i64 = 180;
const BARS: i64 = 640;
const TEXTS: i64 = 380;
const TOP: i64 = 40;

/// Draws a timeline as an SVG file: bars for waiting, starting and probing; names on the critical
/// path are bold. It has no script and loads nothing.
pub(super) fn timeline_svg(stack: &str, timeline: &Timeline) -> String {
    let rows = i64::try_from(timeline.rows.len()).unwrap_or(0);
    let (width, height) = (NAMES + BARS + TEXTS, TOP + rows * ROW + 2 * ROW);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
"##
    );
    text(&mut svg, 12, 24, "", &format!("{stack}: {}", heading(timeline)));
    for (number, row) in (0..).zip(&timeline.rows) {
        draw_row(&mut svg, TOP + number * ROW, row, timeline.total);
    }
    let y = TOP + rows * ROW + ROW;
    let legend = [
        (TimelineStage::Waiting, "waiting"),
        (TimelineStage::Starting, "starting"),
        (TimelineStage::Probing, "until ready"),
    ];
    for (number, (stage, name)) in (0..).zip(legend) {
        let x = NAMES + number * 120;
        rect(&mut svg, x, y - 11, 14, stage);
        text(&mut svg, x + 20, y, "", name);
    }
    text(&mut svg, NAMES + 360, y, r#" font-weight="bold""#, "on the critical path");
    svg + "</svg>\n"
}

fn draw_row(svg: &mut String, y: i64, row: &TimelineRow, total: i64) {
    let weight = if row.is_critical { r#" font-weight="bold""# } else { "" };
    let base = y + 16;
    text(svg, 12, base, weight, row.service.as_str());
    let x = |at: i64| NAMES + at * BARS / total.max(1);
    for (stage, from, to) in &row.stages {
        rect(svg, x(*from), y + 5, x(*to) - x(*from), *stage);
    }
    text(svg, NAMES + BARS + 12, base, "", &row_text(row));
}

fn rect(svg: &mut String, x: i64, y: i64, width: i64, stage: TimelineStage) {
    let color = match stage {
        TimelineStage::Waiting => "#d8dee6",
        TimelineStage::Starting => "#f0b429",
        TimelineStage::Probing => "#3b82c4",
    };
    // What lasted a moment can still be seen.
    let width = width.max(1);
    let _ = writeln!(svg, r#"<rect x="{x}" y="{y}" width="{width}" height="14" fill="{color}"/>"#);
}

fn text(svg: &mut String, x: i64, y: i64, attributes: &str, content: &str) {
    let content = escape(content);
    let _ = writeln!(svg, r##"<text x="{x}" y="{y}" fill="#1f2933"{attributes}>{content}</text>"##);
}

/// Escapes text for XML; what XML does not allow is left out.
fn escape(text: &str) -> String {
    let allowed = text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'));
    allowed.fold(String::new(), |mut out, c| {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::start::timeline::timeline::tests::shop;

    #[test]
    fn the_picture_of_a_start() {
        insta::with_settings!({ omit_expression => true }, {
            let name = "<script>&\u{1b}[31m";
            insta::assert_snapshot!(timeline_svg(name, &Timeline::of(&shop(), 9000)));
        });
    }
}
