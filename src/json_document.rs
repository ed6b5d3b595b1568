//! JSON files of other programs, edited in place: all bytes but those of an edit stay.

use std::fmt;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstNode, CstRootNode};

/// Breaking the lines of a list takes time that grows with the square of its length.
const MAX_BROKEN: usize = 500;

/// The parser breaks the lines of an object that gets a property, which takes the same time. A file
/// with a wider object is left alone.
const MAX_PROPERTIES: usize = 1000;

/// Gives each element of an array a line, unless there are too many.
pub(crate) fn break_array(array: &CstArray) {
    if array.elements().len() <= MAX_BROKEN {
        array.ensure_multiline();
    }
}

/// A JSON text whose comments and layout are kept.
pub(crate) struct JsonDocument {
    /// A byte order mark, which the parser takes as part of the text.
    mark: &'static str,
    /// Its values, to look at and to change.
    pub root: CstRootNode,
}

impl JsonDocument {
    /// Reads a text, or an initial one where there is none yet. Comments and trailing commas are
    /// tolerated, as by most programs that read such files.
    ///
    /// # Errors
    /// It is not JSON: why.
    pub fn parse(existing: Option<&str>, initial: &str) -> Result<JsonDocument, String> {
        let text = existing.filter(|text| !text.trim().is_empty()).unwrap_or(initial);
        let (mark, text) = match text.strip_prefix('\u{feff}') {
            Some(rest) => ("\u{feff}", rest),
            None => ("", text),
        };
        let options = ParseOptions {
            allow_comments: true,
            allow_trailing_commas: true,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let root = CstRootNode::parse(text, &options).map_err(|error| error.to_string())?;
        if root.value().is_some_and(|value| has_wide_object(&value)) {
            return Err(format!("an object in it has more than {MAX_PROPERTIES} properties"));
        }
        Ok(JsonDocument { mark, root })
    }
}

fn has_wide_object(node: &CstNode) -> bool {
    let object = node.as_object();
    object.is_some_and(|object| object.properties().len() > MAX_PROPERTIES)
        || node.children().iter().any(has_wide_object)
}

impl fmt::Display for JsonDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.mark, self.root)
    }
}
