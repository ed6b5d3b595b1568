//! Shows the notes as a page and takes new ones. Everything it knows it asks the API for.

use std::error::Error;
use std::io;

use notes::client::{Answer, Api};
use notes::{Request, Response, decode_form_field, escape_html, serve};

/// Change this while the stack runs, save, and reload the page.
const TITLE: &str = "Notes";

fn main() -> Result<(), Box<dyn Error>> {
    let api = Api::from_env()?;
    println!("showing the notes of {api}");
    serve(move |request| answer(request, &api))
}

fn answer(request: &Request, api: &Api) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => show(api.ask("GET", "/notes", "")),
        ("GET", "/health") => Response::text(200, "ok\n"),
        ("POST", "/") => match decode_form_field(&request.body, "text") {
            Some(text) => added(api.ask("POST", "/notes", &text)),
            None => page(400, "<p>The form has no text.</p>"),
        },
        ("GET", _) => page(404, "<p>Not here.</p>"),
        _ => page(405, "<p>Not that way.</p>"),
    }
}

fn show(answer: io::Result<Answer>) -> Response {
    match answer {
        Ok(answer) => page(answer.status, &format!("<pre>{}</pre>", escape_html(&answer.body))),
        Err(error) => {
            page(502, &format!("<p>The API is away: {}</p>", escape_html(&error.to_string())))
        }
    }
}

fn added(answer: io::Result<Answer>) -> Response {
    match answer {
        Ok(answer) if answer.status == 201 => Response::see_other("/"),
        other => show(other),
    }
}

fn page(status: u16, content: &str) -> Response {
    Response::html(
        status,
        format!(
            r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{TITLE}</title>
<style>body {{ font: 1.1em/1.5 system-ui; max-width: 40em; margin: 2em auto; padding: 0 1em }}</style>
<h1>{TITLE}</h1>
<form method="post" action="/"><input name="text" autofocus required size="40"> <button>Add</button></form>
{content}
</html>
"#
        ),
    )
}
