use std::io::Write;

use crate::cli::ClientOptions;
use crate::cli::render::{CommandError, ps_table};
use crate::control::ClientError;
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};

/// `devstack ps`: lists the services of the stack; with `json`, prints the snapshot as received.
pub async fn ps(options: &ClientOptions, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let client = options.client()?;
    if options.json {
        out.write_all(&client.stack_json().await?)?;
    } else {
        let snapshot = client.stack_with_usage().await?;
        out.write_all(ps_table(&snapshot, now()?, options.color).as_bytes())?;
    }
    out.flush()?;
    Ok(ExitCode::OK)
}

pub(crate) fn now() -> Result<jiff::Timestamp, ClientError> {
    jiff::Timestamp::try_from(std::time::SystemTime::now()).map_err(|error| {
        ClientError::Refused(Message::new(
            MessageClass::Internal,
            format!("cannot read the clock: {error}"),
        ))
    })
}
