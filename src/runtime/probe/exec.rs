use std::collections::VecDeque;
use std::io;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::attempt::Attempt;
use super::program::locate;
use crate::model::{Command, Launch};
use crate::runtime::process::shown;

/// How long the command of one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// How long output is waited for that a command left in the pipe; its children may hold the pipe open.
const OUTPUT_WAIT: Duration = Duration::from_millis(20);

/// Bytes of the end of a command's output that are kept for the reason.
const OUTPUT_MAX: usize = 2 << 10;

/// Runs the command; code 0 holds.
///
/// This is no run: it has no phase, no log and no restarts, lives for seconds, and nobody asks for it by name.
/// It has a process group of its own, which is killed in any end of the attempt: its own, the time limit, or
/// that nobody wants to know any more. Like the service's processes it carries the service's environment.
pub(super) async fn attempt(command: &Command, launch: &Launch) -> Attempt {
    attempt_within(ATTEMPT_MAX, command, launch).await
}

async fn attempt_within(limit: Duration, command: &Command, launch: &Launch) -> Attempt {
    let (group, exit, output) = match start(command, launch) {
        Ok(started) => started,
        Err(error) => {
            let text = format!("`{}` could not be started: {error}", shown(command));
            return Attempt::of_error(error, text);
        }
    };
    let mut tail = VecDeque::new();
    let ended = timeout(limit, collect(output, exit, &mut tail)).await;
    drop(group);
    let what = match ended {
        Ok(Some(status)) if status.success() => {
            return Attempt::Held(format!("`{}` ended with code 0", shown(command)));
        }
        Ok(Some(status)) => format!("ended with {}", exit_of(status)),
        Ok(None) => "could not be waited for".into(),
        Err(_) => format!("did not end within {limit:?}"),
    };
    let said = String::from_utf8_lossy(tail.make_contiguous()).trim().to_owned();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    Attempt::Failed(format!("`{}` {what}{said}", shown(command)))
}

/// Reads until the command has ended, and then what it left.
async fn collect(
    mut output: pipe::Receiver,
    exit: oneshot::Receiver<ExitStatus>,
    tail: &mut VecDeque<u8>,
) -> Option<ExitStatus> {
    let read = async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut chunk).await {
            tail.extend(&chunk[..count]);
            tail.drain(..tail.len().saturating_sub(OUTPUT_MAX));
        }
    };
    tokio::pin!(read);
    tokio::pin!(exit);
    let status = tokio::select! {
        biased;
        status = &mut exit => {
            // Nothing more than what is there already.
            let _ = timeout(OUTPUT_WAIT, read).await;
            status
        }
        () = &mut read => exit.await,
    };
    status.ok()
}

type Started = (Kill, oneshot::Receiver<ExitStatus>, pipe::Receiver);

fn start(command: &Command, launch: &Launch) -> io::Result<Started> {
    use std::os::unix::process::CommandExt;
    let (read, write) = io::pipe()?;
    // Absolute: a bare name beside a PATH of its own makes the standard library fork instead of spawn.
    let (program, args): (_, &[String]) = match command {
        Command::Shell(text) => ("/bin/sh".into(), &["-c".to_owned(), text.clone()]),
        Command::Exec(words) => match words.split_first() {
            Some((program, args)) => (locate(program, launch), args),
            None => return Err(io::ErrorKind::InvalidInput.into()),
        },
    };
    let child = std::process::Command::new(program)
        .args(args)
        .current_dir(&launch.dir)
        .envs(&launch.env)
        .stdin(Stdio::null())
        .stdout(write.try_clone()?)
        .stderr(write)
        .process_group(0)
        .spawn()?;
    let group = Arc::new(Group::new(&child)?);
    let kill = Kill(group.clone());
    let output = pipe::Receiver::from_owned_fd(read.into())?;
    let (tell, exit) = oneshot::channel();
    // Waiting blocks, and must go on when the attempt is given up, so that no zombie is left.
    thread::Builder::new().name("exec probe".into()).spawn(move || group.reap(child, tell))?;
    Ok((kill, exit, output))
}

/// A process group that is killed when this is dropped.
struct Kill(Arc<Group>);

impl Drop for Kill {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A process group whose leader is our child.
struct Group {
    /// `None` once the leader is reaped: from then on the number may be somebody else's.
    leader: Mutex<Option<Pid>>,
}

impl Group {
    fn new(child: &Child) -> io::Result<Group> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Group { leader: Mutex::new(Some(pid)) })
    }

    fn kill(&self) {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leader) = *leader {
            // Nobody left to kill is what was wanted.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Waits for the leader, kills what it left in the group, and only then gives its number free.
    fn reap(&self, mut child: Child, tell: oneshot::Sender<ExitStatus>) {
        let leader = *self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leader) = leader {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(leader), options) {}
        }
        self.kill();
        let mut leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait();
        *leader = None;
        drop(leader);
        if let Ok(status) = status {
            // Nobody waits for it when the attempt was given up.
            let _ = tell.send(status);
        }
    }
}

fn exit_of(status: ExitStatus) -> crate::model::Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => crate::model::Exit::Code(code),
        (None, signal) => crate::model::Exit::Signal(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn launch(dir: &Path) -> Launch {
        Launch {
            command: Command::Shell("true".into()),
            dir: dir.to_owned(),
            env: BTreeMap::from([("WORD".into(), "from the service".into())]),
            host: "127.0.0.1".into(),
        }
    }

    async fn run(text: &str) -> Attempt {
        let dir = tempfile::tempdir().unwrap();
        attempt(&Command::Shell(text.into()), &launch(dir.path())).await
    }

    fn why(attempt: Attempt) -> String {
        match attempt {
            Attempt::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn code_0_holds_and_the_rest_says_why_with_output() {
        assert!(matches!(run("exit 0").await, Attempt::Held(_)));
        let text = why(run("echo $WORD; echo and more >&2; exit 3").await);
        assert!(text.ends_with("ended with exit 3: from the service\nand more"), "{text}");
        assert!(why(run("kill -9 $$").await).contains("SIGKILL"));
        let dir = tempfile::tempdir().unwrap();
        let missing = Command::Exec(vec!["no-such-program-anywhere".into()]);
        let text = why(attempt(&missing, &launch(dir.path())).await);
        assert!(text.contains("could not be started"), "{text}");
        assert!(matches!(
            attempt(&Command::Exec(vec![]), &launch(dir.path())).await,
            Attempt::Failed(_)
        ));
    }

    #[tokio::test]
    async fn a_program_is_found_as_the_service_would_find_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("probe-me");
        std::fs::write(&file, "#!/bin/sh\ntest \"$1\" = 'a b'\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut launch = launch(dir.path());
        for (program, path) in [("./probe-me", None), ("probe-me", Some(dir.path()))] {
            if let Some(path) = path {
                launch.env.insert("PATH".into(), format!("{}:/usr/bin:/bin", path.display()));
            }
            let command = Command::Exec(vec![program.into(), "a b".into()]);
            let attempt = attempt(&command, &launch).await;
            assert!(matches!(attempt, Attempt::Held(_)), "{attempt:?}");
        }
    }

    #[tokio::test]
    async fn only_the_end_of_much_output_is_kept() {
        let text =
            why(run("head -c 300000 /dev/zero | tr '\\0' x; echo; echo the end; exit 1").await);
        assert!(text.ends_with("the end"), "{}", text.len());
        assert!(text.len() < OUTPUT_MAX + 200, "{}", text.len());
    }

    /// A pipe with a name that a command can hold open; reading it ends when the last holder is gone.
    fn held_pipe(dir: &Path) -> (pipe::Receiver, String) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = dir.join("held");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let read = pipe::OpenOptions::new().open_receiver(&path).unwrap();
        (read, format!("exec 3>{}; echo begun >&3", path.display()))
    }

    async fn begun(read: &mut pipe::Receiver) {
        let mut text = [0; 6];
        loop {
            // Until somebody writes, there is nobody at the other end.
            read.readable().await.unwrap();
            match read.try_read(&mut text) {
                Ok(6) => return,
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[tokio::test]
    async fn the_whole_group_is_gone_after_the_limit_the_end_and_a_cancel() {
        let dir = tempfile::tempdir().unwrap();
        let launch = launch(dir.path());
        let (mut read, hold) = held_pipe(dir.path());
        let mut rest = Vec::new();

        let slow = Command::Shell(format!("{hold}; sleep 1000 & sleep 1000"));
        let limit = Duration::from_millis(300);
        let text = why(attempt_within(limit, &slow, &launch).await);
        assert!(text.contains("did not end within 300ms"), "{text}");
        begun(&mut read).await;
        read.read_to_end(&mut rest).await.unwrap();

        let leaves = Command::Shell(format!("{hold}; sleep 1000 & exit 0"));
        assert!(matches!(attempt(&leaves, &launch).await, Attempt::Held(_)));
        begun(&mut read).await;
        read.read_to_end(&mut rest).await.unwrap();

        let task = tokio::spawn(async move { attempt(&slow, &launch).await });
        begun(&mut read).await;
        task.abort();
        read.read_to_end(&mut rest).await.unwrap();
    }
}
