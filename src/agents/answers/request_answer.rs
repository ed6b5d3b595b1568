use serde_json::{Value, json};

use super::{ToolAnswer, USUAL_BYTES, compact, cut};
use crate::agents::untrusted::{clean_line, clean_text, fence};

/// The answer of `requests`, from the objects that `devstack requests --json` prints.
pub fn request_list_answer(records: &[Value]) -> ToolAnswer {
    let rows: Vec<Value> = records.iter().map(row).collect();
    let mut text = String::new();
    for row in &rows {
        let cell = |key: &str| match &row[key] {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        text += &format!(
            "#{} {} {} {} {} {}ms",
            cell("id"),
            cell("service"),
            cell("method"),
            cell("path"),
            cell("status"),
            cell("took_ms")
        );
        if row["error"].is_string() {
            text += &format!(" ({})", cell("error"));
        }
        text.push('\n');
    }
    let text = match text.as_str() {
        "" => "no requests\n".to_owned(),
        _ => fence(&cut(text, USUAL_BYTES)) + "`id` shows one of them with headers and bodies\n",
    };
    ToolAnswer { text, data: json!({ "requests": rows }) }
}

/// The answer of `run_action`, which ended with this code. Of a long output, the end is passed on.
pub fn action_answer(code: Option<i32>, output: &str) -> ToolAnswer {
    let output = clean_text(output);
    let lines: Vec<&str> = output.lines().collect();
    let mut size = 0;
    let fits = |line: &&&str| {
        size += line.len() + 1;
        size <= USUAL_BYTES - 400
    };
    let kept = lines.iter().rev().take_while(fits).count();
    let mut end = lines[lines.len() - kept..].join("\n");
    if kept < lines.len() {
        end = format!("… ({} earlier lines)\n{end}", lines.len() - kept);
    }
    let head = match code {
        Some(0) => "succeeded".to_owned(),
        Some(code) => format!("failed: exit code {code}"),
        None => "failed".to_owned(),
    };
    let text = format!("the action {head}\n{}", fence(&end));
    let mut data = json!({ "succeeded": code == Some(0), "output": end });
    if let Some(code) = code {
        data["exit_code"] = code.into();
    }
    ToolAnswer { text, data }
}

/// The answer of `requests` about one request, from its text.
pub fn request_answer(text: &str, most: usize) -> ToolAnswer {
    let text = cut(clean_text(text) + "\n", most);
    ToolAnswer { data: json!({ "requests": [], "detail": text }), text: fence(&text) }
}

fn row(record: &Value) -> Value {
    let text = |key: &str| record[key].as_str().map(|text| clean_line(text.as_bytes()));
    let took = record["total_ms"].as_f64().map(|took| (took * 10.0).round() / 10.0);
    let end = record["end"].as_str().filter(|end| *end != "done");
    compact(json!({
        "id": record["id"],
        "at": record["at"],
        "service": record["replica"].as_str().or(record["service"].as_str()),
        "method": text("method"),
        "path": text("target"),
        "status": record["status"],
        "took_ms": took,
        "end": end,
        "error": text("error"),
    }))
}
