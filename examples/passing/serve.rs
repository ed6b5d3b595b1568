//! A server that takes its socket from its parent, with the `listenfd` crate, and ends without losing a
//! connection. Built by `cargo build --example passed`; see README.md here.

use std::io;

use listenfd::ListenFd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    // Empty when LISTEN_PID is not ours.
    let Some(passed) = ListenFd::from_env().take_tcp_listener(0)? else {
        let help = "no socket was passed: write port = { prefer = 8000, pass = true }";
        return Err(io::Error::other(help));
    };
    passed.set_nonblocking(true)?;
    let listener = TcpListener::from_std(passed)?;
    let mut term = signal(SignalKind::terminate())?;
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = term.recv() => break,
            Ok((connection, _)) = listener.accept() => {
                answering.spawn(answer(connection));
            }
        }
    }
    // What was accepted is answered; what waits is for the next process.
    drop(listener);
    while answering.join_next().await.is_some() {}
    Ok(())
}

/// One request, one answer: this process's id. Errors end the connection.
async fn answer(connection: TcpStream) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    while connection.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let body = format!("pid {}\n", std::process::id());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close";
    let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    connection.write_all(answer.as_bytes()).await?;
    connection.shutdown().await
}
