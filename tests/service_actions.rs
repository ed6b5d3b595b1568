//! Actions of services, and reading on from a cursor.

use serde_json::Value;

use crate::support::{
    CommandOutput, EditedStack, OrphanProcess, RunningProgram, Signal, TestProject, eventually,
    service,
};

const STACK: &str = r#"
    [services.api]
    command = ["{misbehave}", "run"]
    dir = "sub"
    env = { DATABASE = "shop.db" }
    [services.api.actions]
    where = { command = "pwd; echo $DATABASE $DEVSTACK_SERVICE" }
    fails = "echo out; echo oh no >&2; exit 7"
    dies = "kill -KILL $$"
    seed = { command = "printf '<%s>\\n'", help = "fills it", args = ["count", "from-date"] }
    named = { command = 'echo "$DEVSTACK_ARG_COUNT and $1"', args = ["count"] }
    many = "seq 1 10000"
    stays = ["{misbehave}", "run"]
    beside = { command = ["{misbehave}", "run"], parallel = true }
    hides = "{misbehave} tree plain setsid double --clear-env"
    leaves = "setsid {misbehave} run > /dev/null 2>&1 & echo gone"
    deaf = ["{misbehave}", "ignore", "TERM", "HUP", "INT"]
    [services.off]
    command = ["{misbehave}", "run"]
    autostart = false
    actions.hello = "echo hello"
    "#;

fn stack() -> EditedStack {
    let project = TestProject::new();
    project.write("sub/.keep", "");
    EditedStack::start(project, STACK)
}

fn run(project: &TestProject, words: &[&str]) -> CommandOutput {
    project.devstack(["do"].iter().chain(words)).run()
}

/// Starts an action whose program says `ready`, as they do that run on.
fn start(project: &TestProject, words: &[&str]) -> RunningProgram {
    let action = project.devstack(["do"].iter().chain(words)).start();
    action.wait_for("ready");
    action
}

fn running(project: &TestProject) -> usize {
    let ps = project.ps();
    let actions = service(&ps, "api")["actions"].as_array().expect("actions").clone();
    actions.iter().filter_map(|action| action["running"].as_array()).map(Vec::len).sum()
}

fn wait_idle(project: &TestProject) {
    eventually("all actions to end", || (running(project) == 0).then_some(()));
}

fn end(stack: EditedStack) {
    stack.up.end();
    assert_eq!(stack.project.alive(), []);
    stack.project.finish();
}

#[test]
fn an_action_runs_in_the_place_of_its_service() {
    let stack = stack();
    let project = &stack.project;
    let place = run(project, &["api", "where"]).expect_code(0).stdout;
    assert_eq!(place, format!("{}\nshop.db api\n", project.path("sub").display()));
    let failed = run(project, &["api", "fails"]).expect_code(7);
    assert_eq!((&*failed.stdout, &*failed.stderr), ("out\n", "oh no\n"));
    run(project, &["api", "dies"]).expect_code(137);
    // One whose service does not run has a place as well.
    assert_eq!(run(project, &["off", "hello"]).expect_code(0).stdout, "hello\n");
    let log = project.devstack(["logs", "--said=no"]).run().expect_code(0).stdout;
    for line in ["api | [fails] out", "api | [fails] oh no", "off | [hello] hello"] {
        assert!(log.lines().any(|one| one == line), "{line} in {log}");
    }
    stack.up.wait_for("action fails failed (exit 7)");
    end(stack);
}

#[test]
fn values_are_words_whatever_is_in_them() {
    let stack = stack();
    let hostile = "$(touch pwned); `touch pwned` 'x' \"y\" && touch pwned #";
    let words = run(&stack.project, &["api", "seed", hostile, "--all"]).expect_code(0).stdout;
    assert_eq!(words, format!("<{hostile}>\n<--all>\n"));
    let named = run(&stack.project, &["api", "named", hostile]).expect_code(0).stdout;
    assert_eq!(named, format!("{hostile} and {hostile}\n"));
    assert!(!stack.project.path("sub/pwned").exists());
    end(stack);
}

#[test]
fn mistakes_say_what_to_type() {
    let stack = stack();
    let project = &stack.project;
    for (words, code, help) in [
        (&["api", "seed", "5"][..], 2, "use `devstack do api seed COUNT FROM_DATE`"),
        (&["api", "where", "5"], 2, "use `devstack do api where`"),
        (&["api", "sede", "5"], 2, "did you mean `seed`?"),
        (&["apj", "seed"], 3, "did you mean `api`?"),
        (&["--stop", "api", "seed"], 2, "seed of api is not running"),
        (&["--detach", "api"], 2, "use `devstack do SERVICE ACTION`"),
    ] {
        let wrong = run(project, words).expect_code(code);
        assert!(wrong.stdout.is_empty() && wrong.stderr.contains(help), "{}", wrong.stderr);
    }
    let all = run(project, &[]).expect_code(0).stdout;
    assert!(all.contains("api seed COUNT FROM_DATE  fills it\n"), "{all}");
    assert_eq!(run(project, &["off"]).expect_code(0).stdout, "off hello\n");
    stack.up.end();
    // The file says the same.
    assert_eq!(run(project, &[]).expect_code(0).stdout, all);
    let none = run(project, &["api", "where"]).expect_code(3);
    assert!(none.stderr.contains("no stack is running"), "{}", none.stderr);
    stack.project.finish();
}

#[test]
fn all_that_an_action_prints_reaches_its_client_and_the_log() {
    let stack = stack();
    let expected: String = (1..=10_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(run(&stack.project, &["api", "many"]).expect_code(0).stdout, expected);
    let log = stack.project.devstack(["logs", "api", "-n", "all", "--no-prefix", "--said=no"]);
    let log = log.run().expect_code(0).stdout;
    let ours: String = log
        .lines()
        .filter_map(|line| line.strip_prefix("[many] "))
        .map(|line| line.to_owned() + "\n")
        .collect();
    assert_eq!(ours, expected);
    end(stack);
}

#[test]
fn one_runs_at_a_time_unless_it_may_run_beside_others() {
    let stack = stack();
    let project = &stack.project;
    let first = start(project, &["api", "stays"]);
    let refused = run(project, &["api", "where"]).expect_code(1);
    assert!(refused.stderr.contains("api is running stays (pid "), "{}", refused.stderr);
    assert_eq!(run(project, &["off", "hello"]).expect_code(0).stdout, "hello\n");
    let beside = [start(project, &["api", "beside"]), start(project, &["api", "beside"])];
    assert_eq!(running(project), 3);
    let list = run(project, &[]).expect_code(0).stdout;
    let is_running = |line: &&str| line.ends_with(" running");
    assert_eq!(list.lines().filter(is_running).count(), 2, "{list}");
    run(project, &["--stop", "api", "stays"]).expect_code(0);
    assert_eq!(first.wait_code(), 143);
    first.wait_for("stays of api was ended: requested");
    run(project, &["api", "where"]).expect_code(0);
    run(project, &["--stop", "api", "beside"]).expect_code(0);
    beside.iter().for_each(|one| assert_eq!(one.wait_code(), 143));
    end(stack);
}

#[test]
fn an_action_ends_with_its_client_unless_it_is_detached() {
    let stack = stack();
    let project = &stack.project;
    let interrupted = start(project, &["api", "hides"]);
    interrupted.interrupt();
    assert_eq!(interrupted.wait_code(), 130);
    // Its client waits for that.
    assert_eq!(running(project), 0);
    let killed = start(project, &["api", "hides"]);
    killed.signal(Signal::KILL);
    wait_idle(project);
    let detached = run(project, &["--detach", "api", "stays"]).expect_code(0);
    assert!(detached.stdout.contains("devstack logs -f api"), "{}", detached.stdout);
    assert_eq!(running(project), 1);
    end(stack);
}

#[test]
fn what_an_action_leaves_behind_is_killed() {
    let stack = stack();
    let place = stack.up.here();
    assert_eq!(run(&stack.project, &["api", "leaves"]).expect_code(0).stdout, "gone\n");
    stack.up.wait_since(place, "running, which was killed");
    // Only the service is left.
    let ours = |one: &OrphanProcess| one.command.contains("misbehave run");
    let left: Vec<_> = stack.project.alive().into_iter().filter(ours).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    end(stack);
}

#[test]
fn nothing_of_an_action_outlives_its_stack() {
    let stack = stack();
    let action = start(&stack.project, &["api", "hides"]);
    stack.project.devstack(["down"]).run().expect_code(0);
    assert_eq!(stack.project.alive().iter().filter(|one| one.pid != action.pid()).count(), 0);
    action.wait_for("the stack is shutting down");
    action.wait_exit();
    stack.project.finish();

    let stack = self::stack();
    let action = start(&stack.project, &["api", "hides"]);
    stack.up.kill9();
    // The connection was cut.
    assert_eq!(action.wait_code(), 3);
    stack.project.assert_nothing_alive();
    stack.project.finish();
}

#[test]
fn a_second_signal_kills_an_action_that_ignores_the_first() {
    let stack = stack();
    let action = start(&stack.project, &["api", "deaf"]);
    let place = stack.up.here();
    stack.up.interrupt();
    stack.up.wait_since(place, "stopping");
    stack.up.interrupt();
    assert_eq!(stack.up.wait_code(), 130);
    assert_eq!(action.wait_code(), 137);
    stack.project.finish();
}

#[test]
fn edits_of_actions_restart_nothing_and_removed_services_take_theirs_along() {
    let stack = stack();
    let before = service(&stack.project.ps(), "api")["pid"].clone();
    let plan = stack.apply(&STACK.replace("echo out;", "echo other;"));
    assert!(plan.iter().any(|line| line.contains("actions changed, no restart")), "{plan:?}");
    assert_eq!(service(&stack.project.ps(), "api")["pid"], before);
    assert_eq!(run(&stack.project, &["api", "fails"]).expect_code(7).stdout, "other\n");
    let action = start(&stack.project, &["api", "stays"]);
    let off = &STACK[STACK.find("[services.off]").expect("it is there")..];
    stack.apply(off);
    assert_eq!(action.wait_code(), 143);
    action.wait_for("its service was removed from the configuration");
    end(stack);
}

#[test]
fn programs_get_an_object_for_each_thing_that_happens() {
    let stack = stack();
    let text = run(&stack.project, &["--json", "api", "fails"]).expect_code(7).stdout;
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects[0]["what"], "started");
    assert_eq!((&objects[0]["service"], &objects[0]["action"]), (&"api".into(), &"fails".into()));
    assert!(objects.iter().any(|one| one["stream"] == "stderr" && one["text"] == "oh no\n"));
    let last = objects.last().expect("an end");
    assert_eq!((&last["what"], &last["exit"]["code"]), (&"ended".into(), &7.into()));
    let list = run(&stack.project, &["--json", "off"]).expect_code(0).json();
    assert_eq!(list["services"][0]["actions"][0]["name"], "hello");
    end(stack);
}

fn objects(project: &TestProject, words: &[&str]) -> Vec<Value> {
    let ended = project.devstack(words).run().expect_code(0);
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The texts of the lines, the cursor at the end, and the gap at the start.
fn logs_after(project: &TestProject, cursor: &str) -> (Vec<String>, String, Option<String>) {
    let mut all = objects(project, &["logs", "--json", "off", "--after", cursor]);
    let next = all.pop().expect("a cursor")["cursor"].as_str().expect("a cursor").to_owned();
    let gap = all.first().and_then(|first| first["gap"].as_str()).map(str::to_owned);
    let lines = all.iter().filter_map(|one| one["line"].as_str().map(str::to_owned));
    (lines.filter(|line| line.starts_with('[')).collect(), next, gap)
}

#[test]
fn a_log_goes_on_after_a_cursor() {
    let stack = stack();
    let project = &stack.project;
    let hello = || run(project, &["off", "hello"]).expect_code(0);
    hello();
    let first = objects(project, &["logs", "--json", "-n", "0", "--cursor"]);
    let first = first[0]["cursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(logs_after(project, &first), (vec![], first.clone(), None));
    hello();
    project.devstack(["restart", "api"]).run().expect_code(0);
    hello();
    let (lines, next, gap) = logs_after(project, &first);
    assert_eq!((lines, gap), (vec!["[hello] hello".to_owned(); 2], None));
    let (lines, _, gap) = logs_after(project, &next);
    assert_eq!((lines, gap), (vec![], None));
    let text = project.devstack(["logs", "off", "--after", &next]).run().expect_code(0);
    assert!(text.stderr.starts_with("cursor: log-"), "{}", text.stderr);
    hello();
    stack.up.end();
    // So does that of a stack that has stopped.
    let (lines, last, gap) = logs_after(project, &next);
    assert_eq!((lines, gap), (vec!["[hello] hello".to_owned()], None));
    assert_eq!(logs_after(project, &last), (vec![], last.clone(), None));
    let again = project.devstack(["up"]).start();
    again.wait_for("is up");
    hello();
    let (lines, _, gap) = logs_after(project, &last);
    assert_eq!(lines, ["[hello] hello"]);
    assert!(gap.expect("a gap").contains("started again"));
    let wrong = project.devstack(["logs", "--after", "changes-1-1"]).run().expect_code(2);
    assert!(wrong.stderr.contains("expected a cursor"), "{}", wrong.stderr);
    again.end();
    stack.project.finish();
}

#[test]
fn a_cursor_before_all_that_is_kept_says_so() {
    let project = TestProject::new();
    let text = "[stack.logs]\nmax_size = \"256KB\"\nkeep = 1\n".to_owned()
        + STACK
        + "actions.flood = \"seq 1 150000\"\n";
    project.write("sub/.keep", "");
    let stack = EditedStack::start(project, &text);
    run(&stack.project, &["off", "hello"]).expect_code(0);
    let first = objects(&stack.project, &["logs", "--json", "-n", "0", "--cursor"]);
    let first = first[0]["cursor"].as_str().expect("a cursor").to_owned();
    run(&stack.project, &["off", "flood"]).expect_code(0);
    let (lines, _, gap) = logs_after(&stack.project, &first);
    assert_eq!(lines.last().map(String::as_str), Some("[flood] 150000"));
    assert_eq!(gap.as_deref(), Some("lines after this cursor are no longer kept"));
    stack.up.end();
    let (_, _, gap) = logs_after(&stack.project, &first);
    assert_eq!(gap.as_deref(), Some("lines after this cursor are no longer kept"));
    stack.project.finish();
}

#[test]
fn changes_go_on_after_a_cursor() {
    let stack = stack();
    let project = &stack.project;
    let changes = |since: Option<&str>| {
        let since = since.map(|since| ["--since", since]);
        let words = ["changes", "--json"].into_iter().chain(since.into_iter().flatten());
        project.devstack(words).run().expect_code(0).json()
    };
    let all = changes(None);
    assert!(all["gap"].is_null() && all["changes"][0]["number"] == 1, "{all}");
    let cursor = all["cursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(changes(Some(&cursor))["changes"], serde_json::json!([]));
    project.devstack(["restart", "api"]).run().expect_code(0);
    run(project, &["api", "fails"]).expect_code(7);
    stack.up.wait_for("action fails failed");
    let text = project.devstack(["changes", "--since", &cursor]).run().expect_code(0);
    for change in ["api  exited: SIGTERM", "api  starting: ", "api  action fails ended: exit 7"] {
        assert!(text.stdout.contains(change), "{change} in {}", text.stdout);
    }
    assert!(text.stderr.starts_with("cursor: changes-"), "{}", text.stderr);
    stack.up.end();
    let none = project.devstack(["changes", "--since", &cursor]).run().expect_code(3);
    for said in
        ["changes are kept only while one runs", "devstack up", "omit --since", "logs --said"]
    {
        assert!(none.stderr.contains(said), "{said} in {}", none.stderr);
    }
    let again = project.devstack(["up"]).start();
    again.wait_for("is up");
    let later = changes(Some(&cursor));
    assert!(later["gap"].as_str().expect("a gap").contains("started again"), "{later}");
    assert_eq!(later["changes"][0]["number"], 1);
    again.end();
    stack.project.finish();
}
