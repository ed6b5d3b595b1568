//! What the three programs of the example share: just enough HTTP/1.1 on the standard library, and the notes.
//!
//! * `api` keeps the notes and answers JSON.
//! * `worker` asks the API for notes that are not counted yet and counts their words.
//! * `page` shows the notes as HTML and takes new ones; it calls the API from the server side.
//!
//! Each reads where to listen from `HOST` and `PORT`, and where the API is from `DEVSTACK_API_URL`: the variables
//! that devstack sets for every service.

pub mod client;
mod notes;
mod request;
mod response;
mod server;
mod text;

pub use notes::{Note, Notes};
pub use request::Request;
pub use response::Response;
pub use server::serve;
pub use text::{decode_form_field, escape_html, escape_json};
