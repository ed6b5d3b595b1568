//! Shows the greeting of the API as a page.

fn main() -> std::io::Result<()> {
    web::serve(|| match web::get("API") {
        Ok(greeting) => format!("<h1>{greeting}</h1>\n"),
        Err(error) => format!("<p>The API is away: {error}</p>\n"),
    })
}
