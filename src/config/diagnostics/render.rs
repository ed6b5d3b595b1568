//! Renders diagnostics with excerpts.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::diagnostic::{Diagnostic, LabeledSpan};
use super::list::DiagnosticList;
use super::source_file::SourceFile;

/// Columns of an excerpt. Longer lines are cut around the span.
const WIDTH: usize = 120;

/// In bytes: layout takes time for each character of a line, and a line may have 1 MiB.
const EXCERPT: usize = 16 * 1024;

pub(super) fn render(diagnostics: &DiagnosticList, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH).decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in &diagnostics.list {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&renderer.render(&[group(diagnostic)]));
        out.push('\n');
        if diagnostic.marks.is_empty() {
            push_help(&mut out, &diagnostic.message.help);
        }
    }
    if diagnostics.dropped > 0 {
        out.push_str(&format!("\n… and {} more\n", diagnostics.dropped));
    }
    out
}

/// Appends the help of a diagnostic without a span: there is no excerpt to attach it to.
fn push_help(out: &mut String, help: &str) {
    for (index, line) in help.lines().enumerate() {
        out.push_str(if index == 0 { "  help: " } else { "        " });
        out.push_str(line);
        out.push('\n');
    }
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let message = &diagnostic.message;
    let mut group = Group::with_title(Level::ERROR.primary_title(message.text.as_str()));
    let mut rest = diagnostic.marks.as_slice();
    let mut primary = true;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|mark| Arc::ptr_eq(&mark.source, &first.source)).count();
        let (marks, others) = rest.split_at(same);
        group = if first.source.is_secret() {
            group.element(origin(first))
        } else {
            group.element(snippet(&first.source, marks, primary))
        };
        primary = false;
        rest = others;
    }
    if !message.help.is_empty() && !diagnostic.marks.is_empty() {
        group = group.element(Level::HELP.message(message.help.as_str()));
    }
    group
}

/// File, line and column without an excerpt.
fn origin(mark: &LabeledSpan) -> Origin<'_> {
    let (line, column) = mark.source.line_column(mark.range.start);
    Origin::path(mark.source.display_name()).line(line).char_column(column)
}

fn snippet<'a>(
    source: &'a SourceFile,
    marks: &'a [LabeledSpan],
    primary: bool,
) -> Snippet<'a, Annotation<'a>> {
    let cut = excerpt(source.text(), marks);
    let (first_line, _) = source.line_column(cut.start);
    let annotations = marks.iter().enumerate().map(|(index, mark)| {
        let kind =
            if primary && index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let start = mark.range.start.clamp(cut.start, cut.end) - cut.start;
        let end = mark.range.end.clamp(cut.start, cut.end) - cut.start;
        let label = (!mark.label.is_empty()).then_some(mark.label.as_str());
        kind.span(start..end.max(start)).label(label)
    });
    Snippet::source(&source.text()[cut.clone()])
        .path(source.display_name())
        .line_start(first_line)
        .annotations(annotations)
}

/// Returns the lines that the spans touch, at most [`EXCERPT`] bytes. Long lines are cut at the
/// end, never at the start, so that columns stay correct.
fn excerpt(text: &str, marks: &[LabeledSpan]) -> Range<usize> {
    let start = marks.iter().map(|mark| mark.range.start).min().unwrap_or(0).min(text.len());
    let end = marks.iter().map(|mark| mark.range.end).max().unwrap_or(0).min(text.len());
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[end..].find('\n').map_or(text.len(), |newline| end + newline);
    let mut limit = line_end.min(end.max(line_start).saturating_add(EXCERPT));
    while !text.is_char_boundary(limit) {
        limit -= 1;
    }
    line_start..limit
}
