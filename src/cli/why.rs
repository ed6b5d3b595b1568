use std::io::Write;

use super::ControlOptions;
use super::complain::{Trouble, end};
use super::ps::now;
use super::why_text::why_text;

/// `devstack why SERVICE`: explains a service's state; with `json`, prints the data as received.
pub async fn why(
    options: &ControlOptions,
    service: &str,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> i32 {
    end(show(options, service, out).await, options.json, err)
}

async fn show(options: &ControlOptions, service: &str, out: &mut dyn Write) -> Result<(), Trouble> {
    let client = options.client()?;
    if options.json {
        out.write_all(&client.why_json(service).await?)?;
    } else {
        let why = client.why(service).await?;
        out.write_all(why_text(&why, now()?, options.color).as_bytes())?;
    }
    Ok(out.flush()?)
}
