//! What both programs share: just enough HTTP for an example, on the standard library.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Answers every request with what `page` returns, on the address that devstack chose.
pub fn serve(page: impl Fn() -> String) -> io::Result<()> {
    let listener = TcpListener::bind(address("HOST", "PORT")?)?;
    println!("listening on {}", listener.local_addr()?);
    for client in listener.incoming() {
        // A client that leaves early is no reason to stop.
        if let Err(error) = client.and_then(|client| answer(client, &page())) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

fn answer(mut client: TcpStream, body: &str) -> io::Result<()> {
    // The request ends with an empty line.
    for line in BufReader::new(&client).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Returns the page of a service that this one depends on.
pub fn get(service: &str) -> io::Result<String> {
    let host = format!("DEVSTACK_{service}_HOST");
    let port = format!("DEVSTACK_{service}_PORT");
    let mut server = TcpStream::connect(address(&host, &port)?)?;
    write!(server, "GET / HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    server.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(body.to_owned())
}

/// Reads an address from two variables, which devstack sets.
fn address(host: &str, port: &str) -> io::Result<(String, u16)> {
    let read = |name| env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")));
    let port = read(port)?.parse().map_err(io::Error::other)?;
    Ok((read(host)?, port))
}
