//! The log from other terminals and after the end: files that are full, searches, forms, readers that go, crashes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::content::{Flavour, line};
use crate::support::{
    CTRL_C, RunningProgram, Source, TestProject, eventually, require, service, user_namespaces,
};

/// How many lines each service of the large tests prints in a run; CI asks for more.
fn lines() -> u64 {
    let asked = std::env::var("DEVSTACK_FLOOD_LINES").ok();
    asked.map_or(4000, |text| text.parse().expect("DEVSTACK_FLOOD_LINES is a number"))
}

const LEN: usize = 90;

/// What the objects of a log say of each service: how many lines there are and their bytes, and the same of what is lost.
#[derive(Default, Debug)]
struct Account {
    kept: BTreeMap<String, [u64; 2]>,
    missed: BTreeMap<String, [u64; 2]>,
    /// The numbers of the lines by service, run and stream.
    numbers: BTreeMap<(String, u64, String), Vec<u64>>,
}

impl Account {
    #[track_caller]
    fn of(text: &str) -> Account {
        let mut account = Account::default();
        for object in text.lines() {
            let object: Value = serde_json::from_str(object).expect("JSON");
            let word = |key: &str| object[key].as_str().expect(key).to_owned();
            if let Some(missed) = object["missed"].as_u64() {
                let lost = account.missed.entry(word("service")).or_default();
                lost[0] += missed;
                lost[1] += object["bytes"].as_u64().expect("bytes");
                continue;
            }
            let text = object["line"].as_str().expect("a line of text");
            let number: u64 = text[..8].parse().expect("its number");
            assert_eq!(text.as_bytes(), line(number, LEN, Flavour::Text), "torn");
            let kept = account.kept.entry(word("service")).or_default();
            kept[0] += 1;
            kept[1] += text.len() as u64 + 1;
            let key = (word("service"), object["run"].as_u64().expect("run"), word("stream"));
            account.numbers.entry(key).or_default().push(number);
        }
        for (whose, numbers) in &account.numbers {
            // Even lines go to one stream, odd ones to the other.
            let whole = numbers.windows(2).all(|pair| pair[1] == pair[0] + 2);
            let told = account.missed.contains_key(&whose.0);
            assert!(whole || told, "lost and not told: {whose:?}");
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "mixed: {whose:?}");
        }
        account
    }

    fn sum(&self, service: &str) -> [u64; 2] {
        let [kept, missed] = [&self.kept, &self.missed].map(|all| all.get(service));
        let [kept, missed] = [kept, missed].map(|one| one.copied().unwrap_or_default());
        [kept[0] + missed[0], kept[1] + missed[1]]
    }
}

#[test]
fn every_byte_of_ten_floods_is_stored_or_accounted_for() {
    const SERVICES: usize = 10;
    let lines = lines();
    let project = TestProject::new();
    let mut text = "[stack.logs]\nmax_size = \"256KB\"\nkeep = 2\n".to_owned();
    for i in 0..SERVICES {
        // Silent after its flood, until it is killed or terminated.
        text += &format!(
            "[services.s{i}]\ncommand = \"{{misbehave}} flood --lines {lines} --len {LEN} --both --sum s{i}.sum; \
             exec tail -f /dev/null\"\nrestart = \"always\"\n"
        );
    }
    project.configure(&text);
    let wait_floods = || {
        for i in 0..SERVICES {
            let sum = project.path(format!("s{i}.sum"));
            eventually("a flood to end", || sum.exists().then_some(()));
            std::fs::remove_file(sum).expect("it is there");
        }
    };
    let up = project.up();
    let follower = project.devstack(["logs", "-f", "--json", "-n", "all"]).start();
    wait_floods();
    let ps = project.ps();
    for i in 0..SERVICES {
        let pid = service(&ps, &format!("s{i}"))["pid"].as_i64().expect("a pid");
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid"));
        let killed =
            rustix::process::kill_process(pid.expect("a pid"), crate::support::Signal::KILL);
        killed.expect("it runs");
    }
    wait_floods();
    let names: Vec<String> = (0..SERVICES).map(|i| format!("s{i}")).collect();
    project.devstack(["restart"]).args(&names).run().expect_code(0);
    wait_floods();
    // Three runs: one that was killed, one that was restarted, one that is still there.
    let total = [3 * lines, 3 * lines * (LEN as u64 + 1)];
    let check = |live: bool| {
        for name in &names {
            let logs = project.devstack(["logs", "--json", "-n", "all", name]);
            let account = Account::of(&logs.run().expect_code(0).stdout);
            assert!(account.kept.len() == 1 && account.missed.len() == 1, "{name}: {account:?}");
            assert_eq!(account.sum(name), total, "{name} (live: {live})");
        }
    };
    // What was printed last may still be in a pipe.
    eventually("the last lines to be stored", || {
        let logs = project.devstack([
            "logs",
            "--json",
            "-n",
            "1",
            "--grep",
            &format!("^{:08}", lines - 1),
        ]);
        (logs.run().expect_code(0).stdout.lines().count() == SERVICES).then_some(())
    });
    check(true);
    up.end();
    check(false);
    assert_eq!(follower.wait_code(), 0);
    follower.wait_closed();
    let account = Account::of(&follower.stdout());
    for name in &names {
        assert_eq!(account.sum(name), total, "{name} as followed");
    }
    // No more files than were asked for, and none larger.
    for name in &names {
        let logs = std::fs::read_dir(project.path(".devstack/logs")).expect("the directory");
        let ours = logs.filter_map(|entry| {
            let entry = entry.expect("an entry");
            let file = entry.file_name().into_string().expect("a name");
            let ours = file.ends_with(".log") && file.starts_with(&format!("{name}."));
            ours.then(|| entry.metadata().expect("a file").len())
        });
        let sizes: Vec<u64> = ours.collect();
        // One that is too many may just be about to be removed when the stack ends.
        assert!(
            (2..=4).contains(&sizes.len()) && sizes.iter().all(|size| *size <= 256_000),
            "{sizes:?}"
        );
    }
    project.finish();
}

#[test]
fn the_log_of_one_that_was_killed_is_whole_up_to_its_end() {
    let project = TestProject::with_config(&format!(
        "[stack.logs]\nmax_size = \"256KB\"\nkeep = 1000\n[services.flood]\n\
             command = [\"{{misbehave}}\", \"flood\", \"--lines\", \"100000000\", \"--len\", \"{LEN}\"]\n"
    ));
    for round in 1..=5u64 {
        let up = project.devstack(["up"]).start();
        // Somewhere in the midst of it, each time somewhere else.
        up.wait_for(&format!("flood | {:08}", round * 1777));
        up.kill9();
        project.assert_nothing_alive();
        let logs = project.devstack(["logs", "-n", "all"]).run().expect_code(0);
        let shown: Vec<&str> =
            logs.stdout.lines().filter_map(|line| line.strip_prefix("flood | ")).collect();
        assert!(shown.len() as u64 > round * 1777);
        let (last, whole) = shown.split_last().expect("some lines");
        for (number, text) in whole.iter().enumerate() {
            let expected = line(number as u64, LEN, Flavour::Text);
            if text.as_bytes() != expected {
                let all: Vec<&str> = logs.stdout.lines().collect();
                let at = all.iter().position(|one| one.contains(text)).unwrap_or(0);
                let here = &all[at.saturating_sub(3)..all.len().min(at + 3)];
                panic!("round {round}, line {number}: {here:#?}");
            }
        }
        let expected = line(whole.len() as u64, LEN, Flavour::Text);
        assert!(expected.starts_with(last.as_bytes()), "{last}");
    }
    project.finish();
}

/// Two services that say some lines and go on.
const TALK: &str = r#"
    [services.api]
    command = ["{misbehave}", "--stay", "say", "GET /a", "GET /b 500", "POST /c 500"]
    [services.worker]
    command = ["{misbehave}", "--stay", "say", "job 500 failed", "--stderr"]
    "#;

fn talk() -> (TestProject, RunningProgram) {
    let project = TestProject::with_config(TALK);
    let up = project.devstack(["up"]).start();
    up.wait_for("api    | ready");
    up.wait_for("worker | ready");
    up.wait_for("worker | job");
    (project, up)
}

#[test]
fn lines_are_searched_while_it_runs_and_after() {
    let (project, up) = talk();
    let check = || {
        let logs = |args: &[&str]| {
            let ended = project.devstack(["logs"]).args(args).run().expect_code(0);
            ended.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(logs(&["--grep", "500$", "api"]), ["api | GET /b 500", "api | POST /c 500"]);
        assert_eq!(logs(&["--grep", "500$", "-n", "1", "api"]), ["api | POST /c 500"]);
        assert_eq!(logs(&["--grep", "(?i)get .b", "--no-prefix"]), ["GET /b 500"]);
        let errors = logs(&["--stream", "stderr"]);
        assert_eq!(errors, ["worker | job 500 failed"]);
        assert_eq!(logs(&["--since", "1h", "--grep", "GET", "api"]).len(), 2);
        assert!(logs(&["--since", "2100-01-01"]).is_empty());
        assert_eq!(logs(&["--since", "2000-01-01T00:00:00Z", "--grep", "POST"]).len(), 1);
        let json = logs(&["--output", "json", "--grep", "POST /c & nothing|c 5"]);
        let object: Value = serde_json::from_str(&json[0]).expect("JSON");
        assert_eq!((json.len(), object["line"].as_str()), (1, Some("POST /c 500")));
        let stamped = logs(&["--timestamps", "--grep", "POST"]);
        assert_eq!(&stamped[0][8..], " api    | POST /c 500");
    };
    check();
    up.end();
    check();
    for (args, said) in [
        (["--grep", "("], "invalid regular expression"),
        (["--since", "soon"], "expected a duration ago"),
        (["--stream", "both"], "invalid value 'both'"),
    ] {
        let refused = project.devstack(["logs"]).args(args).run().expect_code(2);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    project.finish();
}

#[test]
fn up_and_run_print_json_or_no_names() {
    let project = TestProject::with_config(
        "[services.api]\nkind = \"task\"\ncommand = [\"{misbehave}\", \"say\", \"one\", \"two\"]\n",
    );
    let ended = project.devstack(["up", "--output", "json"]).run().expect_code(0);
    let objects: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is an object"))
        .collect();
    let said: Vec<&str> = objects.iter().filter_map(|object| object["line"].as_str()).collect();
    assert_eq!(said, ["one", "two"]);
    let own = |object: &&Value| object["text"] == "completed" && object["tone"] == "good";
    assert_eq!(objects.iter().find(own).expect("its end")["service"], "api");
    let ended = project.devstack(["up", "--no-prefix"]).run().expect_code(0);
    assert!(ended.stdout.lines().any(|line| line == "one"), "{}", ended.stdout);
    let run =
        project.devstack(["run", "--output", "json", "--", "echo", "done"]).run().expect_code(0);
    assert_eq!(run.stdout, "done\n");
    assert!(
        run.stderr.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{}",
        run.stderr
    );
    project.finish();
}

#[test]
fn a_follower_ends_at_once_when_its_reader_goes() {
    let (project, up) = talk();
    let follow = project.devstack(["logs", "-f", "api"]).start();
    follow.wait_for("api | ready");
    // No service prints anything any more.
    follow.close_output(Source::Stdout);
    assert_eq!(follow.wait_code(), 0);
    follow.wait_closed();
    assert_eq!(follow.stderr(), "");
    // The same of `up` itself.
    up.close_output(Source::Stdout);
    assert_eq!(up.wait_code(), 141);
    project.finish();
}

#[test]
fn a_follower_in_a_terminal_leaves_it_and_the_stack_as_they_were() {
    let (project, up) = talk();
    let ps = project.wait_ps(|ps| service(ps, "api")["pid"].is_u64());
    let pid = service(&ps, "api")["pid"].clone();
    let follow = project.devstack(["logs", "-f"]).terminal(30, 100).start();
    let settings = follow.settings();
    follow.wait_for("worker | job 500 failed");
    follow.wait_for("api    | ready");
    follow.write(CTRL_C);
    assert_eq!(follow.wait_code(), 130);
    assert_eq!(follow.settings(), settings);
    let shown = follow.bytes(Source::Stdout);
    assert!(memchr::memmem::find(&shown, b"\x1b[").is_some(), "names have colours");
    assert_eq!(service(&project.ps(), "api")["pid"], pid);
    project.end(&up);
}

#[test]
fn a_follower_sees_every_line_across_restarts_and_files() {
    let project = TestProject::with_config(&format!(
        "[stack.logs]\nmax_size = \"256KB\"\nkeep = 1000\n[services.api]\n\
             command = \"{{misbehave}} flood --lines 2000 --len {LEN} --both; exec {{misbehave}} run\"\n"
    ));
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready");
    // Only the words of the service: it is ready after its flood, and devstack calls it so when it starts.
    let args = ["logs", "-f", "--no-prefix", "--said=no", "-n", "all"];
    let follow = project.devstack(args).start();
    for run in 1..=3 {
        follow.wait_count(run, "ready");
        project.devstack(["restart", "api"]).run().expect_code(0);
    }
    follow.wait_count(4, "ready");
    up.end();
    assert_eq!(follow.wait_code(), 0);
    follow.wait_closed();
    let lines = follow.lines();
    let mut count = [0; 2000];
    for text in lines.iter().filter(|text| text.len() == LEN) {
        count[text[..8].parse::<usize>().expect("a number")] += 1;
    }
    assert!(count.iter().all(|count| *count == 4), "{count:?}");
    project.finish();
}

#[test]
fn the_failure_of_a_service_comes_with_its_last_lines() {
    let project = TestProject::with_config(
        "[services.api]\ncommand = \"echo first; echo the reason >&2; exit 3\"\nrestart = \"no\"\n",
    );
    let ended = project.devstack(["up"]).run().expect_code(1);
    let at = ended.stdout.find("failed:").expect("it failed");
    let rest = &ended.stdout[at..];
    assert!(rest.contains("| first") && rest.contains("| the reason"), "{}", ended.stdout);
    project.finish();
}

/// Runs a stack whose directory is on a small disk; `options` are those of the disk. The disk gets room when
/// the gate opens.
fn on_a_small_disk(options: &str) {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project = TestProject::with_config(&format!(
        r#"
        [services.flood]
        command = "{{misbehave}} flood --lines 3000 --len {LEN} && echo x > flood.done && exec {{misbehave}} run"
        [services.other]
        command = "{{misbehave}} gate room && mount -o remount,size=16m,nr_inodes=1000 .devstack && echo more && exec {{misbehave}} run"
        [services.ticker]
        command = "while sleep 0.2; do echo tick; done"
        "#
    ));
    let mut gate = project.gate("room");
    std::fs::create_dir(project.path(".devstack")).expect("the project is ours");
    let script = "mount -t tmpfs -o mode=0700,$1 disk .devstack && exec \"$0\" up";
    let up = project
        .program("/usr/bin/unshare")
        .args(["-Urm", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_devstack"), options])
        .start();
    // All of it is shown, though the disk does not take it.
    up.wait_for(&format!("flood  | {:08}", 2999));
    eventually("the service to go on", || project.path("flood.done").exists().then_some(()));
    let warned = up.wait_for("keeping recent lines in memory");
    assert!(warned.contains("cannot write "), "{warned}");
    gate.open();
    up.wait_for("other  | more");
    let logs = |args: &[&str]| project.devstack(["logs"]).args(args).run().expect_code(0).stdout;
    // Only what is on the disk is still there after the end.
    let place = up.here();
    up.wait_since(place, "ticker | tick");
    assert!(logs(&["flood", "-n", "all"]).contains(&format!("{:08}", 2999)));
    let ns =
        format!("/proc/{}/root{}", up.pid(), project.path(".devstack/logs/ticker.log").display());
    eventually("the log to be written again", || {
        std::fs::read_to_string(&ns).ok().filter(|text| text.contains("tick"))
    });
    let warnings =
        up.lines().iter().filter(|line| line.contains("keeping recent lines in memory")).count();
    assert_eq!(warnings, 1, "{:#?}", up.lines());
    project.end(&up);
}

#[test]
fn a_full_disk_stops_no_service_and_is_reported_once() {
    on_a_small_disk("size=64k");
}

#[test]
fn a_disk_without_room_for_files_stops_no_service_and_is_reported_once() {
    on_a_small_disk("size=16m,nr_inodes=8");
}

#[test]
fn a_disk_that_is_full_while_files_are_put_away_loses_nothing_uncounted() {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let lines = lines().max(12_000);
    let project = TestProject::new();
    // Room for two of the four files that there would be.
    project.configure(&format!(
            "[stack.logs]\nmax_size = \"256KB\"\nkeep = 3\n[services.flood]\n\
             command = \"{{misbehave}} flood --lines {lines} --len {LEN} --both --sum flood.sum; exec tail -f /dev/null\"\n"
        ));
    std::fs::create_dir(project.path(".devstack")).expect("the project is ours");
    let script = "mount -t tmpfs -o mode=0700,size=600k disk .devstack && exec \"$0\" up";
    let up = project
        .program("/usr/bin/unshare")
        .args(["-Urm", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_devstack")])
        .start();
    eventually("the flood to end", || project.path("flood.sum").exists().then_some(()));
    let total = [lines, lines * (LEN as u64 + 1)];
    // What was printed last may still be in a pipe.
    eventually("every line to be kept or counted", || {
        let logs = project.devstack(["logs", "--json", "-n", "all", "flood"]).run().expect_code(0);
        (Account::of(&logs.stdout).sum("flood") == total).then_some(())
    });
    up.wait_for("keeping recent lines in memory");
    let warned = |line: &&String| line.contains("keeping recent lines in memory");
    assert_eq!(up.lines().iter().filter(warned).count(), 1);
    assert!(up.is_running());
    project.end(&up);
}

#[test]
fn what_devstack_says_is_read_from_other_terminals_and_after_a_crash() {
    let (project, up) = talk();
    // The last line of the summary.
    up.wait_for("worker  ready");
    let logs = |args: &[&str]| project.devstack(["logs"]).args(args).run().expect_code(0).stdout;
    let own = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains(" | ")).map(str::to_owned).collect()
    };
    // As `up` shows it, word for word and in the same order.
    let shown = own(&up.stdout());
    assert!(shown.iter().any(|line| line == "api    * starting"), "{shown:#?}");
    let all = logs(&[]);
    assert_eq!(own(&all), shown);
    assert_eq!(logs(&["--said=only", "-n", "all"]), shown.join("\n") + "\n");
    // Status lines of the whole stack concern each service, and no others do.
    let about = own(&logs(&["api"]));
    assert_eq!(about[0], "api * starting");
    assert!(about[1].starts_with("    * ") && about[1].ends_with(" is up"), "{about:#?}");
    assert!(!about.iter().any(|line| line.contains("worker * ")), "{about:#?}");
    for args in [&["--said=no"][..], &["--stream", "stdout"], &["--grep", "."]] {
        assert_eq!(own(&logs(args)), [""; 0], "{args:?}");
    }
    // Programs get what they always got, unless they ask for more.
    let objects = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let plain = objects(&logs(&["--json"]));
    assert!(plain.iter().all(|object| object["tone"].is_null()));
    let full = objects(&logs(&["--json", "--said"]));
    let said: Vec<&Value> = full.iter().filter(|object| object["tone"].is_string()).collect();
    assert_eq!(said.len() + plain.len(), full.len());
    assert_eq!(
        (&said[0]["service"], &said[0]["text"], &said[0]["tone"]),
        (&Value::from("api"), &Value::from("starting"), &Value::from("plain"))
    );
    let numbers: Vec<u64> =
        full.iter().map(|object| object["seq"].as_u64().expect("a number")).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");

    up.kill9();
    project.assert_nothing_alive();
    assert_eq!(logs(&[]), all);
    project.finish();
}

#[test]
fn a_stack_whose_services_printed_nothing_still_left_what_was_said_of_it() {
    let project =
        TestProject::with_config("[services.mute]\nkind = \"task\"\ncommand = \"false\"\n");
    assert_eq!(project.devstack(["up"]).start().wait_code(), 1);
    let logs = project.devstack(["logs"]).run().expect_code(0).stdout;
    assert!(logs.contains("* failed: exited with code 1"), "{logs}");
    project.devstack(["logs", "mute"]).run().expect_code(3);
    project.finish();
}

#[test]
fn a_json_reader_gets_the_start_of_a_line_only_if_it_asks_and_marked() {
    let project = TestProject::with_config(
        r#"
        [services.init]
        command = "printf 'begin\nContinue? [y/N] '; : < gate; echo yes; exec sleep 1000"
        "#,
    );
    let mut gate = project.gate("gate");
    let up = project.devstack(["up"]).start();
    // Shown there, so it was quiet.
    up.wait_for("Continue?");
    let follow = |more: &[&str]| project.devstack(["logs", "-f", "--json"]).args(more).start();
    let (asks, plain) = (follow(&["--unfinished"]), follow(&[]));
    let start = asks.wait_for("Continue?");
    plain.wait_for("begin");
    gate.open();
    let whole = [asks.wait_for("[y/N] yes"), plain.wait_for("[y/N] yes")];
    up.end();
    asks.wait_exit();
    plain.wait_exit();

    let object = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let start = object(&start);
    assert_eq!(start["line"], "Continue? [y/N] ");
    assert_eq!((&start["unfinished"], &start["open"]), (&true.into(), &true.into()));
    let line = object(&whole[0]);
    let keys: Vec<&String> = line.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["at", "line", "run", "seq", "service", "stream"], "{line}");
    assert_eq!(line["line"], "Continue? [y/N] yes");
    assert_eq!((&line["seq"], &line["run"]), (&start["seq"], &start["run"]));
    assert_eq!(whole[0], whole[1]);
    let count = |of: &RunningProgram| of.stdout().lines().count();
    assert_eq!((count(&asks), count(&plain)), (3, 2));
    project.finish();
}
