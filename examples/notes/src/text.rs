/// `text` as the inside of a JSON string.
pub fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped += "\\\"",
            '\\' => escaped += "\\\\",
            '\n' => escaped += "\\n",
            '\r' => escaped += "\\r",
            '\t' => escaped += "\\t",
            control if control < ' ' => escaped += &format!("\\u{:04x}", u32::from(control)),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `text` as content or attribute of an HTML page.
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}

/// The value of field `name` in what a browser sends for a form (`a=1&b=two+words%21`).
pub fn decode_form_field(form: &str, name: &str) -> Option<String> {
    let value =
        form.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?.1;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_text_stays_one_string() {
        assert_eq!(escape_json("a \"b\" \\ \n\t\u{1} é"), "a \\\"b\\\" \\\\ \\n\\t\\u0001 é");
    }

    #[test]
    fn html_text_stays_text() {
        assert_eq!(escape_html("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }

    #[test]
    fn form_fields_are_decoded() {
        assert_eq!(
            decode_form_field("x=1&text=two+words%21+%C3%A9", "text").as_deref(),
            Some("two words! é")
        );
        assert_eq!(decode_form_field("x=1", "text"), None);
        assert_eq!(decode_form_field("text=%", "text"), None);
        assert_eq!(decode_form_field("text=%zz", "text"), None);
        assert_eq!(decode_form_field("text=%ff", "text"), None);
    }
}
