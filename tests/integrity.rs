//! The log to the byte: what happens to it when services or devstack are killed, when a line never ends, and when
//! a terminal or a reader stops.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use rustix::process::{Pid, kill_process, test_kill_process};
use serde_json::Value;

use crate::support::content::{CHUNK, Flavour, Sum, line};
use crate::support::{
    CTRL_Q, CTRL_S, RunningProgram, Signal, TestProject, eventually, service, starting,
};

const LEN: usize = 90;
/// What a pipe of a service holds at most, and what was just taken from it: all that a kill of devstack may cost,
/// of each of its two streams.
const UNREAD: u64 = 2 * ((1 << 20) + (256 << 10));

/// A number from the environment, for tests that CI makes larger.
fn size(name: &str, usual: u64) -> u64 {
    let asked = std::env::var(name).ok();
    asked.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How many bytes the floods of a service wrote, from `--count`; not all of its last write may be in it.
fn written(project: &TestProject, file: &str) -> u64 {
    let bytes = std::fs::read(project.path(file)).expect("it counts");
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// A stack whose output is discarded: endless floods would fill the memory of the tests.
fn quiet_up(project: &TestProject) -> RunningProgram {
    let up = project.program("/bin/sh");
    up.args(["-c", "exec \"$0\" up >/dev/null", env!("CARGO_BIN_EXE_devstack")]).start()
}

/// Waits until a service that counts has written so much.
#[track_caller]
fn wait_written(project: &TestProject, file: &str, bytes: u64) {
    eventually("a flood", || {
        let counts = std::fs::metadata(project.path(file)).is_ok_and(|data| data.len() == 8);
        (counts && written(project, file) > bytes).then_some(())
    });
}

/// Kills a devstack: alone, or with its guard and keepers, so that nothing is left to end the services.
fn kill(up: &RunningProgram, round: u64) {
    match round % 2 {
        #[cfg(target_os = "linux")]
        0 => crate::support::kill_all_at_once(up),
        _ => up.kill9(),
    }
}

/// What `logs --json -n all` prints of one service: the bytes that are kept, whatever is missing, and the numbers
/// of the lines, even ones and odd ones, which went to two streams.
#[derive(Default, Debug)]
struct Account {
    bytes: u64,
    missed: u64,
    numbers: [Vec<u64>; 2],
}

impl Account {
    /// Fails if a line is torn, unless it is the last of its stream.
    #[track_caller]
    fn of(project: &TestProject, service: &str) -> Account {
        let logs = project.devstack(["logs", "--json", "-n", "all", service]).run().expect_code(0);
        let mut account = Account::default();
        let mut open = [false; 2];
        for object in logs.stdout.lines() {
            let object: Value = serde_json::from_str(object).expect("JSON");
            assert_eq!(object["service"], service);
            if object["missed"].is_u64() {
                account.missed += object["bytes"].as_u64().expect("bytes");
                continue;
            }
            let text = object["line"].as_str().expect("a line of text");
            account.bytes += text.len() as u64;
            if object["open"] == true {
                // Which one it is of is not known if its number is torn, too.
                let number: Option<u64> = text.get(..8).and_then(|number| number.parse().ok());
                if let Some(number) = number {
                    assert!(
                        line(number, LEN, Flavour::Text).starts_with(text.as_bytes()),
                        "{text}"
                    );
                    open[(number % 2) as usize] = true;
                }
                continue;
            }
            account.bytes += 1;
            let number: u64 = text[..8].parse().expect("its number");
            let lane = (number % 2) as usize;
            assert!(!open[lane], "torn before {text}");
            assert_eq!(text.as_bytes(), line(number, LEN, Flavour::Text), "torn");
            account.numbers[lane].push(number);
        }
        for numbers in &account.numbers {
            let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 2);
            assert_eq!(gap, None, "mixed, or lost in the midst of {service}");
        }
        account
    }
}

#[test]
fn what_a_service_wrote_before_it_was_killed_is_kept_or_counted() {
    const SERVICES: [&str; 3] = ["one", "two", "three"];
    let project = TestProject::new();
    let mut text = "[stack.logs]\nmax_size = \"1MB\"\nkeep = 2\n".to_owned();
    for name in SERVICES {
        text += &format!(
            "[services.{name}]\nrestart = \"no\"\ncommand = [\"{{misbehave}}\", \"flood\", \"--lines\", \
             \"100000000\", \"--len\", \"{LEN}\", \"--both\", \"--count\", \"{name}.count\"]\n"
        );
    }
    project.configure(&text);
    let up = quiet_up(&project);
    project.wait_ps(|ps| ps["state"] == "up");
    for (name, megabytes) in SERVICES.into_iter().zip([4, 6, 8]) {
        // Far into its flood, when its files were put away and removed.
        wait_written(&project, &format!("{name}.count"), megabytes << 20);
        let pid = service(&project.ps(), name)["pid"].as_u64().expect("a pid");
        let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
        kill_process(pid, Signal::KILL).expect("it runs");
    }
    assert_eq!(up.wait_code(), 1);
    for name in SERVICES {
        let written = written(&project, &format!("{name}.count"));
        let account = Account::of(&project, name);
        let told = account.bytes + account.missed;
        // Its last write may not have been counted yet, and counts as far as it came.
        let last = (CHUNK + LEN + 1) as u64;
        assert!(
            (written..=written + last).contains(&told),
            "{name}: {written} written, {told} told"
        );
        assert!(account.missed > 0);
    }
    project.finish();
}

#[test]
fn what_is_in_the_pipe_when_a_service_is_dead_is_read() {
    // Less than a pipe holds.
    const LINES: u64 = 600;
    let project = TestProject::with_config(&format!(
        "[services.one]\nrestart = \"no\"\ncommand = \"{{misbehave}} gate gate; {{misbehave}} flood --lines {LINES} \
             --len {LEN}; printf torn; kill -9 $$\"\n"
    ));
    let mut gate = project.gate("gate");
    let up = project.devstack(["up"]).start();
    up.wait_for("waiting gate");
    let pid = service(&project.ps(), "one")["pid"].as_u64().expect("a pid");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    // Everything happens while it is stopped, so it learns of the end before it reads.
    up.signal(Signal::STOP);
    gate.open();
    eventually("the end of the service", || test_kill_process(pid).is_err().then_some(()));
    up.signal(Signal::CONT);
    assert_eq!(up.wait_code(), 1);
    up.wait_closed();
    let lines: Vec<String> = up
        .lines()
        .iter()
        .filter_map(|text| text.strip_prefix("one | "))
        .map(str::to_owned)
        .collect();
    let flood: Vec<&String> = lines.iter().filter(|text| text.len() == LEN).collect();
    let expected = (0..LINES).map(|number| line(number, LEN, Flavour::Text));
    assert!(flood.iter().map(|text| text.as_bytes().to_vec()).eq(expected), "{}", flood.len());
    assert_eq!(lines.last().map(String::as_str), Some("torn"));
    project.finish();
}

#[test]
fn a_kill_of_devstack_costs_at_most_what_was_not_read_yet() {
    let project = TestProject::new();
    let flood = |name: &str| {
        format!(
            "[services.{name}]\ncommand = [\"{{misbehave}}\", \"flood\", \"--lines\", \"100000000\", \
             \"--len\", \"{LEN}\", \"--both\", \"--count\", \"{name}.count\"]\n"
        )
    };
    // Files that are full all the time: the kill comes while they are put away, too.
    let logs = "[stack.logs]\nmax_size = \"256KB\"\nkeep = 1000\n";
    project.configure(&format!("{logs}{}{}", flood("one"), flood("two")));
    for round in 1..=size("DEVSTACK_CRASH_ROUNDS", 4) {
        let up = quiet_up(&project);
        for name in ["one", "two"] {
            wait_written(&project, &format!("{name}.count"), round % 20 * 77_777);
        }
        kill(&up, round);
        project.assert_nothing_alive();
        for name in ["one", "two"] {
            // A kill right after the start may come before there is a log.
            let log = project.path(format!(".devstack/logs/{name}.log"));
            let account = match log.exists() {
                true => Account::of(&project, name),
                false => Account::default(),
            };
            let written = written(&project, &format!("{name}.count"));
            assert_eq!(account.missed, 0, "round {round}");
            for (first, numbers) in [0, 1].into_iter().zip(&account.numbers) {
                // Of one stream everything may still have been in its pipe.
                let begins = numbers.first().is_none_or(|number| *number == first);
                assert!(begins, "round {round}: {:?}", numbers.first());
            }
            let lost = written.saturating_sub(account.bytes);
            assert!(lost <= UNREAD, "round {round}: {lost} bytes of {name} are lost");
            std::fs::remove_file(project.path(format!("{name}.count"))).expect("it is there");
        }
    }
    project.finish();
}

/// The most memory that a process ever had, in bytes.
#[cfg(target_os = "linux")]
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(not(target_os = "linux"))]
fn peak(_: u32) -> Option<u64> {
    None
}

#[track_caller]
fn assert_small(child: &Child) {
    if let Some(peak) = peak(child.id()) {
        // A line of 16 MiB is held, joined and encoded as a whole.
        assert!(peak < 256 << 20, "{peak} bytes of memory");
    }
}

/// Reads pieces of one line until `bytes` bytes of the line are there; gives its sum.
#[track_caller]
fn endless(shown: &mut impl BufRead, bytes: u64) -> Sum {
    let mut sum = Sum::EMPTY;
    let mut piece = Vec::new();
    while sum.bytes < bytes {
        piece.clear();
        assert_ne!(shown.read_until(b'\n', &mut piece).expect("a pipe"), 0, "{}", sum.bytes);
        let mark: &[u8] = if sum.bytes == 0 { b"endless | " } else { b"endless > " };
        // Status lines come before the first and after the last.
        let Some(rest) = piece.strip_prefix(mark) else {
            assert!(piece.windows(3).any(|three| three == b" * ") || sum.bytes == 0);
            continue;
        };
        let rest = rest.strip_suffix(b"\n").expect("its end");
        assert!(rest.len() <= 16 << 20, "{} bytes in one piece", rest.len());
        sum.add(rest);
    }
    sum
}

#[test]
fn a_line_without_end_needs_little_memory_and_is_whole() {
    let bytes = size("DEVSTACK_ENDLESS_BYTES", 40_000_000);
    let lines = bytes / 1000;
    let project = TestProject::with_config(&format!(
        "[stack.logs]\nmax_size = \"8GB\"\n[services.endless]\ncommand = \"{{misbehave}} flood --lines {lines} \
             --len 1000 --no-newline --sum endless.sum; exec {{misbehave}} gate gate >/dev/null 2>&1\"\n"
    ));
    let mut gate = project.gate("gate");
    let start = |args: &[&str]| {
        let mut command = project.devstack(args).command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = starting::spawn(&mut command).expect("devstack starts");
        let shown = BufReader::new(child.stdout.take().expect("a pipe"));
        (child, shown)
    };
    let (mut up, mut shown) = start(&["up"]);
    // Its last part waits for more.
    let sum = endless(&mut shown, lines * 1000 - (16 << 20));
    assert!(sum.bytes <= lines * 1000);
    eventually("the flood to end", || project.path("endless.sum").exists().then_some(()));
    let (mut logs, mut followed) = start(&["logs", "-f", "-n", "all", "endless"]);
    assert_eq!(endless(&mut followed, sum.bytes), sum);
    assert_small(&up);
    assert_small(&logs);
    gate.open();
    // Both at once: a client that does not read is cut off when the stack ends.
    std::thread::scope(|scope| {
        scope.spawn(|| followed.read_to_end(&mut Vec::new()).expect("a pipe"));
        shown.read_to_end(&mut Vec::new()).expect("a pipe");
    });
    assert_eq!(up.wait().expect("our child").code(), Some(0));
    assert_eq!(logs.wait().expect("our child").code(), Some(0));
    let mut stored = Sum::EMPTY;
    let mut file = File::open(project.path(".devstack/logs/endless.log")).expect("a log");
    let mut buffer = vec![0; 1 << 20];
    while stored.bytes < lines * 1000 {
        let want = buffer.len().min(usize::try_from(lines * 1000 - stored.bytes).expect("small"));
        let count = file.read(&mut buffer[..want]).expect("a file");
        assert_ne!(count, 0, "{} bytes are stored", stored.bytes);
        stored.add(&buffer[..count]);
    }
    let written = project.read("endless.sum");
    assert!(written.starts_with(&format!("stdout {stored}\n")), "{written}");
    project.finish();
}

#[test]
fn a_stopped_terminal_delays_nothing_and_learns_what_it_missed() {
    const LINES: u64 = 200_000;
    let project = TestProject::with_config(&format!(
        r#"
        [stack.logs]
        max_size = "256KB"
        keep = 1
        [services.flood]
        command = "{{misbehave}} gate gate && {{misbehave}} flood --lines {LINES} --len {LEN} && echo x > done && exec {{misbehave}} run"
        [services.other]
        command = ["{{misbehave}}", "run"]
        "#
    ));
    let mut gate = project.gate("gate");
    let up = project.devstack(["up"]).terminal(30, 120).start();
    up.wait_for("waiting gate");
    up.wait_for("other | ready");
    up.write(CTRL_S);
    gate.open();
    eventually("the flood to end", || project.path("done").exists().then_some(()));
    // All other ways in are open.
    project.devstack(["restart", "other"]).run().expect_code(0);
    let shown = |text: &str| text.starts_with("flood | 0");
    assert!(!up.lines().iter().any(|text| shown(text)), "it was stopped");
    up.write(CTRL_Q);
    let told = up.wait_for("are missing (already discarded)");
    up.wait_count(2, "other | ready");
    let lines: Vec<String> = up.lines().into_iter().filter(|text| shown(text)).collect();
    let mut numbers = lines.iter().map(|text| text[8..16].parse::<u64>().expect("a number"));
    assert!(numbers.clone().is_sorted_by(|one, next| one < next));
    assert_eq!(numbers.next_back(), Some(LINES - 1));
    let missing = LINES - lines.len() as u64;
    let bytes = missing * (LEN as u64 + 1);
    assert_eq!(
        told,
        format!("flood * {missing} lines ({bytes} bytes) are missing (already discarded)")
    );
    project.end(&up);
}

#[test]
fn a_stopped_follower_learns_what_it_missed_of_each_service() {
    const FLOOD: u64 = 60_000;
    // What is missed is the oldest, which may be these.
    let gate_lines = ["waiting gate", "passed gate"];
    let lines = FLOOD + gate_lines.len() as u64;
    let bytes =
        FLOOD * (LEN as u64 + 1) + gate_lines.map(|text| text.len() as u64 + 1).iter().sum::<u64>();
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let mut text = "[stack.logs]\nmax_size = \"256KB\"\nkeep = 1\n".to_owned();
    for name in ["one", "two"] {
        text += &format!(
            "[services.{name}]\ncommand = \"{{misbehave}} gate gate && {{misbehave}} flood --lines {FLOOD} \
             --len {LEN} && echo x > {name}.done && exec tail -f /dev/null\"\n"
        );
    }
    project.configure(&text);
    let up = quiet_up(&project);
    project.wait_ps(|ps| ps["state"] == "up");
    let mut command = project.devstack(["logs", "-f", "--json", "-n", "all"]).command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut follow = starting::spawn(&mut command).expect("devstack starts");
    let mut shown = BufReader::new(follow.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        serde_json::from_str(&shown.next().expect("a line").expect("a pipe")).expect("JSON")
    };
    // It follows; then it reads nothing any more.
    let mut object = next();
    gate.open();
    for name in ["one", "two"] {
        eventually("a flood to end", || {
            project.path(format!("{name}.done")).exists().then_some(())
        });
    }
    let mut sums: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    let mut missed: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let name = object["service"].as_str().expect("whose").to_owned();
        let sum = sums.entry(name.clone()).or_default();
        if let Some(lines) = object["missed"].as_u64() {
            *missed.entry(name).or_default() += lines;
            *sum = [sum[0] + lines, sum[1] + object["bytes"].as_u64().expect("bytes")];
        } else {
            let text = object["line"].as_str().expect("a line of text");
            *sum = [sum[0] + 1, sum[1] + text.len() as u64 + 1];
        }
        if sums.len() == 2 && sums.values().all(|sum| sum[0] >= lines) {
            break;
        }
        object = next();
    }
    for name in ["one", "two"] {
        assert_eq!(sums[name], [lines, bytes], "{name}");
        assert!(missed[name] > 0, "{name}");
    }
    up.end();
    assert_eq!(follow.wait().expect("our child").code(), Some(0));
    project.finish();
}
