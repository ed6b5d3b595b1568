use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, SimplexStream, WriteHalf};
use tokio::net::unix::OwnedReadHalf;

/// Bytes read at once.
const READ: usize = 4096;

/// Passes on what a client sends, and returns once it has hung up. hyper does not notice that itself
/// while it responds to one request and has read part of the next one.
///
/// The reader of `to` has `patience` for what is left, so that a short request is answered although
/// its client sends nothing more; a client that sends more than `to` holds has it, too.
pub(super) async fn read_ahead(
    mut client: OwnedReadHalf,
    mut to: WriteHalf<SimplexStream>,
    patience: Duration,
) {
    let mut read = BytesMut::with_capacity(READ);
    while client.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
        let passed = tokio::time::timeout(patience, to.write_all_buf(&mut read)).await;
        if !matches!(passed, Ok(Ok(()))) {
            return;
        }
        read.reserve(READ);
    }
    // Fails only without a reader.
    let _ = to.shutdown().await;
    tokio::time::sleep(patience).await;
}
