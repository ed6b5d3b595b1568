//! `devstack run`: what CI learns of it: result, JUnit, timeline, sections, annotations; and many at once.

use serde_json::Value;

use crate::support::{
    CommandOutput, RunningProgram, TestCommand, TestProject, free_ports, require_program,
};

/// `db` is needed by `api`, which is needed by `web`.
const CHAIN: &str = "[stack]\nname = 'shop'\n\
    [services.db]\ncommand = '''{db}'''\nready = { log = 'ready' }\n\
    [services.migrate]\nkind = 'task'\ncommand = 'echo migrating'\ndepends_on = ['db']\n\
    [services.web]\ncommand = ['{misbehave}', 'listen']\nport = 'auto'\ndepends_on = ['db', 'migrate']\n";

/// A stack whose `db` is this shell script.
fn chain(db: &str) -> TestProject {
    TestProject::with_config(&CHAIN.replace("{db}", db))
}

/// `devstack run` with both files, of this shell script.
fn run(project: &TestProject, options: &[&str], script: &str) -> TestCommand {
    let files = ["--result", "result.json", "--junit", "junit.xml"];
    let run = project.devstack(["run"]).args(files).args(options);
    run.args(["--", "sh", "-c", script])
}

fn result(project: &TestProject) -> Value {
    serde_json::from_str(&project.read("result.json")).expect("JSON")
}

/// Returns each test case as `class name status type`, read by a real XML parser.
fn cases(project: &TestProject) -> Option<Vec<String>> {
    let python = require_program("python3")?;
    let script = "import sys, xml.etree.ElementTree as tree\n\
        root = tree.parse('junit.xml').getroot()\n\
        assert root.tag == 'testsuites' and root.get('name') == 'devstack run'\n\
        for suite in root:\n\
        \x20 assert suite.tag == 'testsuite' and float(suite.get('time')) >= 0\n\
        \x20 cases = suite.findall('testcase')\n\
        \x20 assert int(suite.get('tests')) == len(cases)\n\
        \x20 failed = [case for case in cases if case.find('failure') is not None]\n\
        \x20 assert int(suite.get('failures')) == len(failed), suite.attrib\n\
        \x20 for case in cases:\n\
        \x20   float(case.get('time'))\n\
        \x20   status = list(case)\n\
        \x20   assert all(one.tag in ('failure', 'skipped') for one in status) and len(status) <= 1\n\
        \x20   word = status[0].tag if status else 'passed'\n\
        \x20   kind = status[0].get('type') if status else None\n\
        \x20   text = status[0].text if status else None\n\
        \x20   print(case.get('classname'), case.get('name'), word, kind or '-', ascii(text))\n";
    let read = project.program(python).args(["-c", script]).run().expect_code(0);
    Some(read.stdout.lines().map(str::to_owned).collect())
}

#[track_caller]
fn says(ended: &CommandOutput, text: &str) {
    assert!(ended.stderr.contains(text), "{text:?} is not in\n{}", ended.stderr);
}

#[test]
fn a_passed_run_is_written_down() {
    let project = chain("exec {misbehave} run");
    run(&project, &[], "echo testing").run().expect_code(0);
    let result = result(&project);
    assert_eq!((&result["version"], &result["outcome"]), (&Value::from(1), &"passed".into()));
    assert_eq!((&result["exit_code"], &result["cause"]), (&Value::from(0), &Value::Null));
    assert_eq!((&result["stack"], &result["command"]["exit"]["code"]), (&"shop".into(), &0.into()));
    assert_eq!(result["command"]["args"], serde_json::json!(["sh", "-c", "echo testing"]));
    assert!(result["ready_after_ms"].as_u64() <= result["duration_ms"].as_u64());
    let services = result["services"].as_array().expect("services");
    let short: Vec<_> =
        services.iter().map(|one| (&one["name"], &one["phase"], &one["ok"])).collect();
    let text = serde_json::to_string(&short).expect("JSON");
    assert_eq!(text, r#"[["db","ready",true],["migrate","done",true],["web","ready",true]]"#);
    assert!(services[2]["port"].is_u64() && services[2]["url"].is_string());
    assert_eq!(services[2]["restarts"], 0);
    if let Some(cases) = cases(&project) {
        assert_eq!(
            cases,
            [
                "shop.services db passed - None",
                "shop.services migrate passed - None",
                "shop.services web passed - None",
                "shop.command sh -c echo testing passed - None"
            ]
        );
    }
    project.finish();
}

#[test]
fn a_failed_start_names_its_first_cause_and_its_last_lines() {
    // Escape sequences, characters that XML does not have, invalid UTF-8 and the end of a CDATA.
    let project = chain(r"printf 'one\n\033[31mred\033[0m \001\376 ]]> <b>&amp;\n'; exit 3");
    run(&project, &[], "touch started").run().expect_code(120);
    assert!(!project.path("started").exists());
    let result = result(&project);
    assert_eq!((&result["outcome"], &result["exit_code"]), (&"service-failed".into(), &120.into()));
    let cause = &result["cause"];
    assert_eq!((&cause["service"], &cause["class"]), (&"db".into(), &"exit".into()));
    assert_eq!(cause["text"], "db failed before becoming ready: exited with code 3");
    assert_eq!(result["command"], Value::Null);
    let db = &result["services"][0];
    assert_eq!((&db["exit"]["code"], &db["phase"]), (&3.into(), &"failed".into()));
    assert_eq!(db["last_lines"], serde_json::json!(["one", "red \u{fffd} ]]> <b>&amp;"]));
    assert_eq!(result["services"][2]["phase"], "blocked");
    if let Some(cases) = cases(&project) {
        let db = "shop.services db failure exit 'one\\nred \\ufffd ]]> <b>&amp;'";
        assert_eq!(cases[0], db, "{cases:#?}");
        assert!(cases[1].starts_with("shop.services migrate skipped"), "{cases:#?}");
        assert!(cases[2].starts_with("shop.services web skipped"), "{cases:#?}");
        assert_eq!(cases[3], "shop.command command skipped - None");
    }
    project.finish();
}

#[test]
fn every_other_end_is_written_down_too() {
    let project = chain("exec {misbehave} run");
    for (options, script, code, outcome) in [
        (&[][..], "exit 7", 7, "command-failed"),
        (&[], "exit 120", 120, "command-failed"),
        (&[], "kill -9 $$", 137, "command-failed"),
        (&["--timeout", "3s"], "exec sleep 1000", 124, "timed-out"),
        (&[], "\"$DEVSTACK\" down; exec sleep 1000", 1, "stopped"),
    ] {
        let run = run(&project, options, script).env("DEVSTACK", env!("CARGO_BIN_EXE_devstack"));
        run.run().expect_code(code);
        let result = result(&project);
        assert_eq!((&result["outcome"], &result["exit_code"]), (&outcome.into(), &code.into()));
        assert!(result["cause"]["text"].is_string(), "{result}");
    }
    let missing =
        ["run", "--result", "result.json", "--junit", "junit.xml", "--", "no-such-command"];
    project.devstack(missing).run().expect_code(127);
    assert_eq!(result(&project)["outcome"], "not-found");

    let running = run(&project, &[], "echo begun; exec sleep 1000").start();
    running.wait_for("begun");
    run(&project, &[], "true").run().expect_code(4);
    assert_eq!(
        (&result(&project)["outcome"], &result(&project)["cause"]["class"]),
        (&"refused".into(), &"busy".into())
    );
    running.signal(crate::support::Signal::TERM);
    assert_eq!(running.wait_code(), 143);
    running.wait_closed();
    assert_eq!(result(&project)["outcome"], "interrupted");
    drop(running);

    project.configure("[services.api]\ncomand = 'true'\n");
    run(&project, &[], "true").run().expect_code(2);
    let result = result(&project);
    assert_eq!(
        (&result["outcome"], &result["cause"]["class"]),
        (&"refused".into(), &"config".into())
    );
    assert!(
        result["cause"]["text"].as_str().is_some_and(|text| text.contains("devstack.toml:2:1"))
    );
    if let Some(cases) = cases(&project) {
        assert!(cases[0].starts_with("devstack.command command failure config"), "{cases:#?}");
    }
    project.finish();
}

#[test]
fn a_file_that_cannot_be_written_is_reported_before_anything_starts() {
    let project = chain("touch ran; exec {misbehave} run");
    let ended = project.devstack(["run", "--result", "no/such.json", "--", "true"]).run();
    says(&ended.expect_code(2), "cannot write no/such.json: no such directory");
    for args in
        [&["run", "--timeline=no/x.svg", "--", "true"][..], &["up", "-d", "--timeline=no/x.svg"]]
    {
        let ended = project.devstack(args.to_vec()).run().expect_code(2);
        says(&ended, "no/x.svg: no such directory");
    }
    let ended = project.devstack(["run", "--result", "a", "--junit", "./a", "--", "true"]).run();
    says(&ended.expect_code(2), "cannot write ./a: another report goes there");
    assert!(!project.path("ran").exists());
    project.finish();
}

#[test]
fn a_report_follows_a_link_and_does_not_replace_it() {
    let project = chain("exec {misbehave} run");
    std::os::unix::fs::symlink("real.json", project.path("result.json")).expect("a link");
    run(&project, &[], "true").run().expect_code(0);
    assert!(project.path("result.json").is_symlink());
    assert!(project.read("real.json").contains("\"outcome\": \"passed\""));
    project.finish();
}

#[test]
fn a_service_that_exits_as_it_may_is_no_failure() {
    let project = TestProject::with_config(
        "[services.once]\ncommand = 'echo up; : < gate'\nready = { log = 'up' }\nrestart = 'no'\n",
    );
    let mut gate = project.gate("gate");
    let mut go = project.gate("go");
    let running = run(&project, &[], "echo begun; : < go").start();
    running.wait_for("begun");
    gate.open();
    project.wait_ps(|ps| ps["services"][0]["phase"] == "done");
    go.open();
    assert_eq!(running.wait_code(), 0);
    running.wait_closed();
    drop(running);
    let result = result(&project);
    assert_eq!(
        (&result["outcome"], &result["services"][0]["ok"]),
        (&"passed".into(), &true.into())
    );
    if let Some(cases) = cases(&project) {
        assert!(cases.iter().all(|case| case.contains(" passed ")), "{cases:#?}");
    }
    project.finish();
}

#[test]
fn the_command_is_stopped_as_soon_as_a_service_fails() {
    let project = TestProject::with_config(
        "[services.api]\ncommand = ['{misbehave}', 'run']\ndepends_on = { frail = 'started' }\n\
         [services.frail]\ncommand = ': < die; echo dying; exit 4'\n",
    );
    let mut die = project.gate("die");
    let script = "trap 'echo told; exit 0' TERM; echo begun; while :; do sleep 0.05; done";
    let running = run(&project, &["--abort-on-failure"], script).start();
    running.wait_for("begun");
    die.open();
    assert_eq!(running.wait_code(), 122);
    running.wait_closed();
    assert_eq!(running.stdout(), "begun\ntold\n");
    assert!(
        running
            .stderr()
            .contains("stopping: frail failed while the command ran: exited with code 4")
    );
    let result = result(&project);
    assert_eq!(
        (&result["outcome"], &result["cause"]["service"]),
        (&"service-died".into(), &"frail".into())
    );
    assert_eq!(result["command"]["exit"]["code"], 0);
    drop(running);
    project.finish();
}

#[test]
fn what_is_awaited_is_said_now_and_then() {
    let project = TestProject::with_config(
        "[services.api]\ncommand = ['{misbehave}', '--stay', 'say', 'one', '--after-gate', 'gate', 'two']\nready = { log = 'two' }\n\
         [services.web]\ncommand = ['{misbehave}', 'run']\ndepends_on = ['api']\n",
    );
    let mut gate = project.gate("gate");
    let running = run(&project, &[], "true").start();
    running.wait_for(
        "* still waiting for api (starting, not ready yet: no log line matches /two/ yet",
    );
    running.wait_for("; web (waiting for api (ready))");
    gate.open();
    assert_eq!(running.wait_code(), 0);
    drop(running);
    project.finish();
}

#[test]
fn the_timeline_is_in_the_log_or_a_picture() {
    let project = chain("exec {misbehave} run");
    let ended = run(&project, &["--timeline"], "true").run().expect_code(0);
    says(&ended, "* timeline: ");
    says(&ended, "; critical path: db → migrate → web\n");
    says(&ended, "* migrate");
    let ended = run(&project, &["--timeline=times.svg"], "true").run().expect_code(0);
    assert!(!ended.stderr.contains("timeline"), "{}", ended.stderr);
    let svg = project.read("times.svg");
    assert!(svg.starts_with("<svg ") && svg.contains(">migrate</text>"), "{svg}");

    let up = project.devstack(["up", "-d", "--timeline"]).run().expect_code(0);
    assert!(up.stdout.contains("critical path: db → migrate → web"), "{}", up.stdout);
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
    // A start that fails has waited for something, too.
    let project = chain("exit 3");
    let ended = run(&project, &["--timeline"], "true").run().expect_code(120);
    says(&ended, "critical path: db");
    project.finish();
}

#[test]
fn sections_and_annotations_on_github_and_nothing_is_forged() {
    let forged = "::error::forged\\n##[error]forged\\nx\\r::set-output name=a::b\\n";
    let project =
        chain(&format!("printf '{forged}'; test -e bad && exit 3; exec {{misbehave}} run"));
    let github = |options: &[&str], script| {
        let run = run(&project, options, script).env("GITHUB_ACTIONS", "true");
        run.env("GITHUB_STEP_SUMMARY", project.path("summary.md"))
    };
    let passed = github(&["--no-prefix"], "echo '::notice::of the command'").run().expect_code(0);
    assert_eq!(passed.stdout, "::notice::of the command\n");
    let sections =
        ["::group::devstack: start", "::endgroup::", "::group::devstack: stop", "::endgroup::"];
    assert_eq!(workflow_commands(&passed.stderr), sections);
    says(&passed, "db      | ::error::forged\ndb      | ## [error]forged\n");
    assert!(project.read("summary.md").starts_with("### shop: passed in "));

    project.write("bad", "");
    let failed = github(&[], "true").run().expect_code(120);
    let commands = workflow_commands(&failed.stderr);
    assert_eq!(commands[..2], sections[..2]);
    let annotation = "::error title=db::db failed before becoming ready: exited with code 3%0A";
    assert!(commands[2].starts_with(annotation), "{commands:#?}");
    assert_eq!(commands.len(), 3);
    let summary = project.read("summary.md");
    assert!(
        summary.contains("### shop: failed in ") && summary.contains("| web | blocked |  |"),
        "{summary}"
    );
    project.finish();
}

/// Returns the lines in which GitHub Actions would find a workflow command.
fn workflow_commands(text: &str) -> Vec<&str> {
    let is_command = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
    text.split(['\n', '\r']).filter(is_command).collect()
}

#[test]
fn no_text_of_devstack_itself_forges_a_command_on_github() {
    let forged = r"x\n::error::forged\n##[error]forged\n";
    let project = TestProject::new();
    let file = format!(
        "[services.db]\ncommand = \"\"\"printf '{0}'; exec {{misbehave}} run\"\"\"\n\
         ready = {{ exec = \"printf '{0}'; exit 1\", timeout = '1s' }}\n",
        forged.replace('\\', r"\\")
    );
    project.configure(&file);
    let github = |args: &[&str]| {
        let ended = project.devstack(args.to_vec()).env("GITHUB_ACTIONS", "true").run();
        let all = ended.stdout.clone() + &ended.stderr;
        let own = workflow_commands(&all).into_iter().filter(|line| line.contains("forged"));
        let own: Vec<&str> = own.filter(|line| !line.starts_with("::error title=")).collect();
        assert!(own.is_empty(), "{args:?}: {own:#?}\n{all}");
        all
    };
    assert!(github(&["run", "--", "true"]).contains("| ::error::forged\n"));
    assert!(github(&["run", "--output", "json", "--", "true"]).contains(r"##\u005berror]forged"));
    github(&["up", "-d"]);
    assert!(github(&["why", "db"]).contains("| ::error::forged\n"));
    assert!(github(&["logs", "--no-prefix"]).contains("\n| ::error::forged\n## [error]forged\n"));
    assert!(github(&["logs", "--output", "json"]).contains(r"##\u005berror]forged"));
    let plain = project.devstack(["logs", "--no-prefix"]).run().expect_code(0);
    assert!(plain.stdout.contains("\n::error::forged\n##[error]forged\n"), "{}", plain.stdout);
    project.devstack(["down"]).run().expect_code(0);

    project.configure("[services.db]\ncommand = ['{misbehave}', 'run']\n");
    github(&["run", "--", "nope\n::error::forged"]);
    github(&["run", "--ready-timeout", "1\n::error::forged", "--", "true"]);
    project.finish();
}

#[test]
fn sections_fold_on_gitlab_and_nothing_is_forged() {
    let forged = r"\033[0Ksection_end:1:devstack_start\r\033[0K\n";
    let project = chain(&format!("printf '{forged}'; exec {{misbehave}} run"));
    let ended = run(&project, &[], "true").env("GITLAB_CI", "true").run().expect_code(0);
    let begins = ended.stderr.matches("\x1b[0Ksection_start:").count();
    let ends = ended.stderr.matches("\x1b[0Ksection_end:").count();
    assert_eq!((begins, ends), (2, 2), "{:?}", ended.stderr);
    says(&ended, ":devstack_start[collapsed=true]\r\x1b[0Kdevstack: start\n");
    project.finish();
}

/// How many runs at once; `DEVSTACK_TEST_RUNS` sets another number, such as 50.
fn crowd() -> usize {
    let number = std::env::var("DEVSTACK_TEST_RUNS").ok();
    number.map_or(10, |number| number.parse().expect("DEVSTACK_TEST_RUNS is a number"))
}

#[test]
fn of_many_runs_in_one_checkout_one_runs_and_the_others_say_so() {
    let project = chain("echo run >> starts; exec {misbehave} run");
    let mut gate = project.gate("gate");
    let all: Vec<RunningProgram> = (0..crowd())
        .map(|_| project.devstack(["run", "--", "sh", "-c", ": < gate"]).start())
        .collect();
    // The others end while it runs.
    crate::support::eventually("the others to end", || {
        (all.iter().filter(|one| one.is_running()).count() == 1).then_some(())
    });
    gate.open();
    let mut codes: Vec<i32> = all.iter().map(RunningProgram::wait_code).collect();
    codes.sort_unstable();
    let expected: Vec<i32> =
        std::iter::once(0).chain(std::iter::repeat_n(4, crowd() - 1)).collect();
    assert_eq!(codes, expected);
    assert_eq!(project.read("starts"), "run\n");
    drop(all);
    project.finish();
}

#[test]
fn many_runs_in_copies_of_a_checkout_all_pass_on_ports_of_their_own() {
    let projects: Vec<TestProject> = (0..crowd()).map(|_| TestProject::new()).collect();
    let port = free_ports(1);
    let running: Vec<RunningProgram> = projects
        .iter()
        .map(|project| {
            let file =
                format!("[services.web]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\n");
            project.configure(&file);
            let run = project.devstack(["run", "--no-strict-ports", "--", "sh", "-c"]);
            // One user, whose stacks share the leases.
            let run = run.env("XDG_RUNTIME_DIR", projects[0].outside("run"));
            run.args(["echo $DEVSTACK_WEB_PORT; read -r go"]).stdin().start()
        })
        .collect();
    let mut ports: Vec<String> =
        running.iter().map(|one| one.wait_line(|line| line.parse::<u16>().is_ok())).collect();
    running.iter().for_each(|one| one.write(b"go\n"));
    assert!(running.iter().all(|one| one.wait_code() == 0));
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), crowd());
    drop(running);
    projects.into_iter().for_each(TestProject::finish);
}
