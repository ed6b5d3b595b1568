use std::error::Error;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;
use std::{env, io, thread};

use crate::request::Refusal;
use crate::{Request, Response};

/// How many requests are answered at once. More wait in the listener's queue.
const THREADS: usize = 8;
/// A client that sends or takes nothing for this long is dropped, so that it cannot keep a thread.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listens on `HOST` and `PORT` and answers every request with what `answer` makes of it. Returns only on an error:
/// when `PORT` is missing or no port, or cannot be bound.
pub fn serve(answer: impl Fn(&Request) -> Response + Send + Sync) -> Result<(), Box<dyn Error>> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").map_err(|_| "PORT is not set: start this with `devstack up`")?;
    let port: u16 = port.parse().map_err(|_| format!("PORT is not a port: {port:?}"))?;
    let listener = TcpListener::bind((host.as_str(), port))
        .map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);

    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    match listener.accept() {
                        Ok((stream, _)) => converse(stream, &answer),
                        // Out of descriptors, for example: others may end soon, and a busy loop would not help them.
                        Err(_) => thread::sleep(Duration::from_millis(50)),
                    }
                }
            });
        }
    });
    Ok(())
}

/// One request, one response. An error here means that the client went away, which is its right.
fn converse(stream: TcpStream, answer: &impl Fn(&Request) -> Response) {
    let _ = try_converse(stream, answer);
}

fn try_converse(mut stream: TcpStream, answer: &impl Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let response = match Request::read(&mut stream) {
        Ok(request) => answer(&request),
        Err(Refusal::BadRequest) => Response::text(400, "not understood\n"),
        Err(Refusal::TooLarge) => Response::text(413, "too large\n"),
        Err(Refusal::Gone) => return Ok(()),
    };
    response.write(&mut stream)?;
    stream.shutdown(Shutdown::Write)
}
