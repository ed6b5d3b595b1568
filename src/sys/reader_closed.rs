use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use tokio::io::Interest;

use super::async_fd;

/// Resolves when a pipe or socket has no reader left, even while nothing is written to it. Never
/// resolves for other files. Must be called within a tokio runtime.
pub async fn reader_closed(output: OwnedFd) {
    let kind = rustix::fs::fstat(&output).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        Ok(FileType::Fifo | FileType::Socket) => {}
        Ok(_) | Err(_) => return std::future::pending().await,
    }
    let Ok(output) = async_fd::register(output, INTEREST) else {
        return std::future::pending().await;
    };
    loop {
        let Ok(mut ready) = output.ready(INTEREST).await else { return };
        let state = ready.ready();
        if state.is_write_closed() || state.is_error() {
            return;
        }
        ready.clear_ready();
    }
}

/// Errors are always reported, and writability is of no interest.
#[cfg(target_os = "linux")]
const INTEREST: Interest = Interest::ERROR;
/// A closed reader is reported as the end of writing.
#[cfg(not(target_os = "linux"))]
const INTEREST: Interest = Interest::WRITABLE;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn resolves_only_when_the_reader_is_gone() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut gone = Box::pin(reader_closed(writer.try_clone().unwrap().into()));
        writer.write_all(b"line\n").unwrap();
        tokio::select! {
            biased;
            () = &mut gone => panic!("the pipe still has a reader"),
            () = tokio::task::yield_now() => {}
        }
        drop(reader);
        gone.await;
        // A reader that closed before the call.
        reader_closed(writer.into()).await;
    }

    #[tokio::test]
    async fn a_file_has_no_reader_that_could_go() {
        let file = tempfile::tempfile().unwrap();
        tokio::select! {
            biased;
            () = reader_closed(file.into()) => panic!("a file has no reader"),
            () = tokio::task::yield_now() => {}
        }
    }
}
