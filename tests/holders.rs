//! What holds a port, and how the holder is killed: `devstack ports N --kill`, `on_conflict = "ask"`.

use serde_json::Value;

use crate::support::{
    CTRL_C, CTRL_D, RunningProgram, TestProject, free_port, free_ports, require_program, service,
};

/// A stranger that listens on this port.
#[track_caller]
fn stranger(project: &TestProject, port: u16) -> RunningProgram {
    let stranger = project.misbehave(["listen", "--port", &port.to_string()]).start();
    stranger.wait_for("ready");
    stranger
}

fn kill(port: u16) -> [String; 4] {
    ["ports".to_owned(), port.to_string(), "--kill".to_owned(), "--yes".to_owned()]
}

/// Fails unless killing the holder of `port` is denied with these texts.
#[cfg(target_os = "linux")]
#[track_caller]
fn denied(project: &TestProject, port: u16, texts: &[&str]) {
    let ended = project.devstack(kill(port)).run().expect_code(1);
    for text in texts {
        assert!(ended.stderr.contains(text), "no {text:?} in {}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
    let ended = project.devstack(kill(port)).args(["--json"]).run().expect_code(1);
    let error = ended.stderr.lines().next().expect("an error");
    let error: Value = serde_json::from_str(error).expect("JSON");
    assert_eq!(error["error"]["class"], "denied");
}

#[test]
fn only_the_holder_is_terminated() {
    let project = TestProject::new();
    let port = free_ports(2);
    let (holder, bystander) = (stranger(&project, port), stranger(&project, port + 1));
    let ended = project.devstack(kill(port)).run().expect_code(0);
    let who = format!("terminated misbehave (pid {}: misbehave listen", holder.pid());
    assert!(ended.stdout.starts_with(&who), "{}", ended.stdout);
    assert!(ended.stdout.ends_with(&format!("\nport {port} is free\n")), "{}", ended.stdout);
    assert_eq!(holder.wait_code(), 143);
    assert!(bystander.is_running());
    // What was asked is so already.
    let again = project.devstack(kill(port)).args(["--json"]).run().expect_code(0).json();
    assert_eq!(again["ports"][0]["free"], true);
    assert_eq!(again["ports"][0]["ended"], Value::Array(Vec::new()));
    bystander.kill9();
    project.finish();
}

#[test]
fn a_holder_that_ignores_term_is_killed_and_that_is_said() {
    let project = TestProject::new();
    let port = free_port();
    let number = port.to_string();
    let deaf = project.misbehave(["--ignore", "TERM", "listen", "--port", &number]).start();
    deaf.wait_for("ready");
    let ended = project.devstack(kill(port)).run().expect_code(0);
    assert!(ended.stdout.starts_with("killed misbehave"), "{}", ended.stdout);
    assert!(ended.stdout.contains("did not exit within 5s after TERM"), "{}", ended.stdout);
    assert_eq!(deaf.wait_code(), 137);
    project.finish();
}

#[test]
fn without_a_yes_nothing_is_terminated() {
    let project = TestProject::new();
    let port = free_port();
    let holder = stranger(&project, port);
    let number = port.to_string();
    let asked = project.devstack(["ports", &number, "--kill"]).run().expect_code(2);
    assert!(asked.stderr.contains(&format!("`devstack ports {port} --kill --yes`")), "{asked:?}");
    project.devstack(["ports", "--kill"]).run().expect_code(2);
    project.devstack(["ports", &number, "--yes"]).run().expect_code(2);

    for answer in [&b"n\n"[..], b"\n", b"yess\n", CTRL_C, CTRL_D] {
        let up = project.devstack(["ports", &number, "--kill"]).terminal(24, 200).start();
        up.wait_for("? [y/N]");
        up.write(answer);
        up.wait_for(&format!("aborted; port {port} is still in use by misbehave"));
        assert_eq!(up.wait_code(), 1);
    }
    assert!(holder.is_running());
    let up = project.devstack(["ports", &number, "--kill"]).terminal(24, 200).start();
    up.wait_for("? [y/N]");
    up.write(b"y\n");
    up.wait_for(&format!("port {port} is free"));
    assert_eq!((up.wait_code(), holder.wait_code()), (0, 143));
    project.finish();
}

/// Three workers with a listener each on one port, and one that they share.
const WORKERS: &str = r#"
import os, socket, sys, time
def listen(host):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind((host, int(sys.argv[1])))
    s.listen()
    return s
shared = listen("127.0.0.1")
for _ in range(2):
    if os.fork() == 0:
        break
own = listen("127.0.0.2")
print("listens", os.getpid(), flush=True)
time.sleep(1000)
"#;

#[test]
fn all_workers_of_a_port_are_listed_and_ended() {
    let Some(python) = require_program("python3") else { return };
    let project = TestProject::new();
    let port = free_port();
    let number = port.to_string();
    let main = project.program(python).args(["-c", WORKERS, &number]).start();
    main.wait_count(3, "listens ");
    let seen = project.devstack(["ports", &number, "--json"]).run().expect_code(0).json();
    let holders = seen["holders"].as_array().expect("a list");
    assert_eq!(holders.len(), 3, "{seen}");
    let both = serde_json::json!(["127.0.0.1", "127.0.0.2"]);
    assert!(holders.iter().all(|holder| holder["addresses"] == both), "{seen}");
    let text = project.devstack(["ports", &number]).run().expect_code(0).stdout;
    assert!(text.contains(" and 2 more\n  and by "), "{text}");
    assert!(text.contains("\nlistening on 127.0.0.1, 127.0.0.2\n"), "{text}");
    let ended = project.devstack(kill(port)).run().expect_code(0);
    assert_eq!(ended.stdout.matches("terminated ").count(), 3, "{}", ended.stdout);
    assert_eq!(main.wait_code(), 143);
    project.finish();
}

#[test]
fn several_ports_are_asked_about_at_once() {
    let project = TestProject::new();
    let port = free_ports(2);
    let holder = stranger(&project, port);
    let (one, two) = (port.to_string(), (port + 1).to_string());
    let text = project.devstack(["ports", &one, &two]).run().expect_code(0).stdout;
    assert!(text.contains(&format!("port {port} is in use by ")), "{text}");
    assert!(text.contains(&format!("port {two} is free\n")), "{text}");
    let seen = project.devstack(["ports", &one, &two, "--json"]).run().expect_code(0).json();
    let states = [&seen["ports"][0]["state"], &seen["ports"][1]["state"]];
    assert_eq!(states, ["in-use", "free"]);
    holder.kill9();
    project.finish();
}

#[test]
fn what_runs_this_very_command_is_spared() {
    let Some(python) = require_program("python3") else { return };
    let project = TestProject::new();
    let port = free_port();
    let script = "import socket, subprocess, sys\n\
        s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n\
        sys.exit(subprocess.run(sys.argv[2:]).returncode)";
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let ended = project
        .program(python)
        .args(["-c", script, &port.to_string(), devstack])
        .args(kill(port))
        .run()
        .expect_code(1);
    assert!(ended.stderr.contains("which is a parent of this command"), "{}", ended.stderr);
    project.finish();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::Path;

    use super::*;
    use crate::support::{
        OtherUser, eventually, kill_all_at_once, misbehave, require, user_namespaces,
    };

    /// A stack `shop` in this directory, of one service that listens on `port`.
    fn shop(project: &TestProject, dir: &str, port: u16, keys: &str) {
        project.write(
            format!("{dir}/devstack.toml"),
            &format!(
                "[stack]\nname = \"shop\"\n[services.api]\ncommand = [\"{{misbehave}}\", \"listen\"]\n\
                 port = {{ prefer = {port}, on_conflict = \"fail\" }}\n{keys}"
            ),
        );
    }

    #[test]
    fn a_service_of_another_stack_is_named_and_left_to_its_devstack() {
        let project = TestProject::new();
        let port = free_port();
        shop(&project, "one", port, "");
        let up = project.devstack(["up"]).dir("one").start();
        up.wait_for("is up");
        let dir = project.path("one").display().to_string();
        let said = format!("service api of stack shop in {dir} (pid ");
        let in_dir = format!("stop it with `devstack stop api` in {dir}");
        denied(&project, port, &[&said, "which is managed by another devstack", &in_dir]);

        let seen = project.devstack(["ports", &port.to_string(), "--json"]).run().json();
        let context = &seen["holders"][0]["context"];
        assert_eq!(context["kind"], "service");
        assert_eq!([&context["stack"], &context["service"]], ["shop", "api"]);
        assert_eq!(context["folder"], dir);
        assert_eq!(seen["leased_by"], dir);
        // In its own stack it needs no such introduction.
        let table = project.devstack(["ports"]).dir("one").run().expect_code(0).stdout;
        assert!(table.contains("misbehave (pid ") && !table.contains("of stack"), "{table}");

        shop(&project, "two", port, "");
        let other = project.devstack(["up"]).dir("two").run().expect_code(1);
        let leased = format!("port {port} is reserved by service api of stack shop in {dir}");
        assert!(other.stderr.contains(&leased), "{}", other.stderr);
        project.end(&up);
    }

    #[test]
    fn what_only_says_that_it_is_a_service_is_not_believed() {
        let project = TestProject::new();
        let port = free_port();
        let liar = project
            .misbehave(["listen", "--port", &port.to_string()])
            .env("DEVSTACK_STACK", "shop")
            .env("DEVSTACK_SERVICE", "api")
            .start();
        liar.wait_for("ready");
        let ended = project.devstack(kill(port)).run().expect_code(0);
        assert!(ended.stdout.starts_with("terminated misbehave (pid "), "{}", ended.stdout);
        assert_eq!(liar.wait_code(), 143);
        project.finish();
    }

    #[test]
    fn own_leftovers_give_the_port_back_without_a_question_and_strangers_do_not() {
        let project = TestProject::new();
        let port = free_ports(2);
        let bystander = stranger(&project, port + 1);
        shop(&project, "one", port, "");
        let up = project.devstack(["up"]).dir("one").start();
        up.wait_for("is up");
        let record = project.path("one/.devstack/runs.json");
        let record: Value = serde_json::from_str(&project.read(&record)).expect("a record");
        let token = record["token"].as_str().expect("it is there").to_owned();
        kill_all_at_once(&up);
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        eventually("the end of the service", || (!listens()).then_some(()));
        // The main process dies with the guard: stands for one that it started and that left it.
        let script = format!("setsid \"$0\" listen --port {port} > out 2>&1 & echo $!");
        let program = project.program("/bin/sh").args(["-c", &script]).args([misbehave()]);
        let pid = program.env("DEVSTACK_RUN", token).run().expect_code(0).stdout.trim().to_owned();
        eventually("the leftover to listen", || listens().then_some(()));

        // To another stack the leftover is a stranger.
        shop(&project, "two", port, "");
        let other = project.devstack(["up"]).dir("two").run().expect_code(1);
        let held = format!("port {port} is in use by misbehave (pid {pid}: ");
        assert!(other.stderr.contains(&held), "{}", other.stderr);
        assert!(other.stderr.contains("orphaned"), "{}", other.stderr);

        let again = project.devstack(["up"]).dir("one").start();
        let note = again.wait_for("terminated leftover processes of an earlier devstack: ");
        assert!(note.contains(&format!("(pid {pid})")), "{note}");
        again.wait_for("is up");
        let ps = project.devstack(["ps", "--json"]).dir("one").run().expect_code(0).json();
        assert_eq!(service(&ps, "api")["port"], port);
        assert!(bystander.is_running());
        again.end();
        bystander.kill9();
        project.sockets_must_go();
        project.finish();
    }

    #[test]
    fn a_containers_forwarder_needs_the_whole_word() {
        let project = TestProject::new();
        let port = free_port();
        let number = port.to_string();
        let forwarder = project.path("rootlessport");
        std::fs::copy(misbehave(), &forwarder).expect("it can be copied");
        let holder = project.program(&forwarder).args(["listen", "--port", &number]).start();
        holder.wait_for("ready");
        let up = project.devstack(["ports", &number, "--kill"]).terminal(24, 300).start();
        let question = up.wait_for("anyway? [yes/N]");
        let better = "consider: stop the container (list containers with `podman ps`). Kill a container (pid ";
        assert!(question.contains(better), "{question}");
        up.write(b"y\n");
        up.wait_for("aborted; port ");
        assert_eq!(up.wait_code(), 1);
        assert!(holder.is_running());
        let ended = project.devstack(kill(port)).run().expect_code(0);
        assert!(ended.stdout.starts_with("terminated a container (pid "), "{}", ended.stdout);
        assert_eq!(holder.wait_code(), 143);
        project.finish();
    }

    #[test]
    fn another_users_listener_is_named_and_spared() {
        let Some(other) = OtherUser::new() else { return };
        let project = TestProject::new();
        let port = free_port();
        let theirs = other.program(&project, misbehave());
        let theirs = theirs.args(["listen", "--port", &port.to_string()]).start();
        theirs.wait_for("ready");
        denied(&project, port, &["of user nobody: ", "which belongs to another user"]);
        assert!(theirs.is_running());

        // The other way round the process cannot even be looked at.
        let mine = stranger(&project, port + 1);
        let devstack = Path::new(env!("CARGO_BIN_EXE_devstack"));
        let blind = other.program(&project, devstack).args(kill(port + 1)).run().expect_code(1);
        let said = format!("port {} is in use by an unknown process of user root", port + 1);
        assert!(blind.stderr.contains(&said), "{}", blind.stderr);
        assert!(mine.is_running());
        theirs.kill9();
        mine.kill9();
        project.finish();
    }

    /// Takes the name by which a devstack announces a port, as any process can.
    const TAKES_A_NAME: &str = r#"
import socket, sys, time
taken = socket.socket(socket.AF_UNIX)
taken.bind("\0devstack-port-" + sys.argv[1])
if sys.argv[2] == "listens":
    taken.listen()
print("taken", flush=True)
time.sleep(1000)
"#;

    #[test]
    fn a_name_without_a_devstack_behind_it_is_noted_and_keeps_no_service_from_its_port() {
        let Some(python) = require_program("python3") else { return };
        let project = TestProject::new();
        let port = free_ports(2);
        let number = port.to_string();
        let text = format!(
            "[services.api]\ncommand = [\"{{misbehave}}\", \"listen\"]\n\
             port = {{ prefer = {port}, on_conflict = \"fail\" }}\n"
        );
        project.configure(&text);
        for (how, who) in [("listens", "python3 (pid "), ("only", "an unknown process has ")] {
            let args = ["-c", TAKES_A_NAME, &number, how];
            let taker = project.program(&python).args(args).start();
            taker.wait_for("taken");
            let asked = project.devstack(["ports", &number]).run().expect_code(0).stdout;
            assert_eq!(asked, format!("port {port} is free\n"));
            project.devstack(["plan"]).run().expect_code(0);
            let up = project.devstack(["up"]).start();
            up.wait_for(&format!("port {port} is free, although {who}"));
            up.wait_for(&format!(" at http://127.0.0.1:{port}"));
            up.end();
            taker.kill9();
        }
        project.finish();
    }

    #[test]
    fn stacks_of_two_users_share_no_port() {
        let Some(other) = OtherUser::new() else { return };
        let project = TestProject::new();
        let port = free_ports(2);
        let text = |conflict: &str| {
            format!(
                "[services.api]\ncommand = [\"{}\", \"listen\", \"--after-gate\", \"gate\"]\n\
                 port = {{ prefer = {port}, on_conflict = \"{conflict}\" }}\n",
                misbehave().display()
            )
        };
        let theirs = other.dir().join("devstack.toml");
        std::fs::write(&theirs, text("fail")).expect("we are root");
        let devstack = Path::new(env!("CARGO_BIN_EXE_devstack"));
        let up = other.program(&project, devstack).args(["up"]).start();
        // It never listens: only the lease shows that the port is taken.
        up.wait_for("api * starting");
        project.configure(&text("fail"));
        let refused = project.devstack(["up"]).run().expect_code(1);
        let leased = format!(
            "port {port} is reserved by service api of stack {} of user nobody in {}",
            other.dir().file_name().expect("a name").to_string_lossy().to_lowercase(),
            other.dir().display()
        );
        assert!(refused.stderr.contains(&leased), "{}", refused.stderr);
        project.configure(&text("next"));
        let mine = project.devstack(["up"]).start();
        let start = mine.wait_for("api * starting");
        assert!(
            start.contains(&format!("on port {}: port {port} is reserved by", port + 1)),
            "{start}"
        );
        let text = project.devstack(["ports", &port.to_string()]).run().expect_code(0).stdout;
        assert!(text.contains("reserved by service api of stack "), "{text}");
        // And the other way round, where neither user may inspect the other's processes.
        let number = (port + 1).to_string();
        let seen = other.program(&project, devstack).args(["ports", &number]).run();
        let said = format!("reserved by a stack of user root (pid {})", mine.pid());
        assert!(seen.stdout.contains(&said), "{seen:?}");
        mine.end();
        // However it ends, its lease ends with it.
        up.kill9();
        let text = project.devstack(["ports", &port.to_string()]).run().expect_code(0).stdout;
        assert_eq!(text, format!("port {port} is free\n"));
        project.finish();
    }

    /// As another user where `/proc` hides what is not his: a listener of root.
    const HIDDEN: &str = r#"
        mount -o remount,hidepid=2 /proc
        "$2" listen --port "$3" &
        until "$1" ports "$3" | grep -q "in use"; do sleep 0.02; done
        exec setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$4/home" XDG_RUNTIME_DIR="$4/run" XDG_STATE_HOME="$4/state" "$1" ports "$3" --kill --yes
        "#;

    #[test]
    fn where_processes_are_hidden_nothing_is_guessed() {
        let Some(other) = OtherUser::new() else { return };
        let project = TestProject::new();
        let (port, devstack) = (free_port(), env!("CARGO_BIN_EXE_devstack"));
        let ended = project
            .program("unshare")
            .args(["-pfm", "--mount-proc", "--kill-child", "sh", "-ec", HIDDEN, "sh", devstack])
            .args([misbehave()])
            .args([&port.to_string(), &other.dir().display().to_string()])
            .run();
        let hidden = !ended.stderr.contains("mount:") && !ended.stderr.contains("unshare:");
        if !require("a /proc that can be mounted with hidepid", hidden) {
            return;
        }
        let said =
            format!("port {port} is in use by an unknown process of user root, which this user");
        assert!(ended.code() == 1 && ended.stderr.contains(&said), "{ended:?}");
        project.finish();
    }

    /// Between the question and the answer the holder dies, and a stranger gets its number.
    const RECYCLED: &str = r#"
        "$2" listen --port "$3" > holder.log &
        holder=$!
        until grep -q ready holder.log; do sleep 0.02; done
        (
            until test -e recycle; do sleep 0.02; done
            kill -KILL $holder
            while test -e /proc/$holder; do sleep 0.02; done
            echo $((holder - 1)) > /proc/sys/kernel/ns_last_pid
            sleep 1000 &
            echo "number $holder stranger $!" > numbers
            touch recycled
            wait
        ) &
        "$1" ports "$3" --kill
        echo "code $?"
        kill -0 $(cut -d' ' -f4 numbers) && echo "stranger lives"
        "#;

    #[test]
    fn a_number_that_came_again_between_question_and_answer_is_spared() {
        if !require("user namespaces", user_namespaces()) {
            return;
        }
        let project = TestProject::new();
        let (port, devstack) = (free_port(), env!("CARGO_BIN_EXE_devstack"));
        let up = project
            .program("/usr/bin/unshare")
            .args(["-Urpfmn", "--mount-proc", "--kill-child", "sh", "-c"])
            .args([
                "ip link set lo up 2>/dev/null; exec sh -c \"$0\" sh \"$@\"",
                RECYCLED,
                devstack,
            ])
            .args([misbehave()])
            .args([port.to_string()])
            .terminal(24, 200)
            .start();
        up.wait_for("? [y/N]");
        project.write("recycle", "");
        eventually("the number to come again", || project.path("recycled").exists().then_some(()));
        up.write(b"y\n");
        up.wait_for("code ");
        let numbers = project.read("numbers");
        let numbers = numbers.trim().strip_prefix("number ").expect("it said so");
        let (holder, new) = numbers.split_once(" stranger ").expect("both");
        if require("control over process numbers", holder == new) {
            up.wait_for("had already exited");
            up.wait_for(&format!("port {port} is free"));
            up.wait_for("code 0");
            up.wait_for("stranger lives");
        }
        up.wait_exit();
        project.finish();
    }

    #[test]
    fn the_first_process_is_spared() {
        if !require("user namespaces", user_namespaces()) {
            return;
        }
        let Some(python) = require_program("python3") else { return };
        let project = TestProject::new();
        let port = free_port();
        // Not below it: its parent is this test.
        let script = "import os, socket, subprocess, sys\n\
            s = socket.create_server(('0.0.0.0', int(sys.argv[1])))\n\
            sys.exit(subprocess.run(sys.argv[2:]).returncode)";
        let ended = project
            .program("/usr/bin/unshare")
            .args(["-Urpfmn", "--mount-proc", "--kill-child"])
            .args([python])
            .args(["-c", script, &port.to_string(), env!("CARGO_BIN_EXE_devstack")])
            .args(kill(port))
            .run()
            .expect_code(1);
        assert!(ended.stderr.contains("(pid 1: "), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("which is the init process of this system"),
            "{}",
            ended.stderr
        );
        project.finish();
    }
}

/// A stack that asks about its port.
fn asking(project: &TestProject, port: u16) {
    project.configure(&format!(
        "[services.api]\ncommand = [\"{{misbehave}}\", \"listen\"]\n\
             port = {{ prefer = {port}, on_conflict = \"ask\" }}\n"
    ));
}

/// `up` at a terminal, up to the question.
#[track_caller]
fn asked(project: &TestProject, port: u16) -> RunningProgram {
    let up = project.devstack(["up"]).terminal(24, 300).start();
    up.wait_for(&format!("api: port {port} is in use by misbehave (pid "));
    up.wait_for(&format!("  [n]ext ({}), [k]ill it, [q]uit?", port + 1));
    up
}

#[track_caller]
fn runs_on(project: &TestProject, up: &RunningProgram, port: u16) {
    up.wait_for("is up");
    assert_eq!(service(&project.ps(), "api")["port"], port);
    up.write(CTRL_C);
    assert_eq!(up.wait_code(), 130);
}

#[test]
fn a_person_is_asked_and_may_take_the_next_port() {
    for answer in [&b"n\n"[..], b"\n", b"NEXT\n"] {
        let project = TestProject::new();
        let port = free_ports(2);
        asking(&project, port);
        let holder = stranger(&project, port);
        let up = asked(&project, port);
        up.write(answer);
        runs_on(&project, &up, port + 1);
        assert!(holder.is_running());
        holder.kill9();
        project.finish();
    }
}

#[test]
fn a_person_is_asked_and_may_end_the_holder() {
    let project = TestProject::new();
    let port = free_ports(2);
    asking(&project, port);
    let holder = stranger(&project, port);
    let up = asked(&project, port);
    up.write(b"k\n");
    up.wait_for("terminated misbehave (pid ");
    runs_on(&project, &up, port);
    assert_eq!(holder.wait_code(), 143);
    project.finish();
}

#[test]
fn a_person_is_asked_and_may_leave_it() {
    for answer in [&b"q\n"[..], b"what?\nquit\n", CTRL_D] {
        let project = TestProject::new();
        let port = free_ports(2);
        asking(&project, port);
        let holder = stranger(&project, port);
        let up = asked(&project, port);
        if answer.starts_with(b"what") {
            up.write(b"what?\n");
            up.wait_for("invalid choice `what?`");
            up.wait_count(2, "[q]uit?");
            up.write(b"quit\n");
        } else {
            up.write(answer);
        }
        up.wait_for(&format!("error: api: port {port} is in use by "));
        assert_eq!(up.wait_code(), 1);
        assert!(holder.is_running());
        holder.kill9();
        project.finish();
    }
}

#[test]
fn ctrl_c_at_the_question_ends_as_ctrl_c_does() {
    for args in [&["up"][..], &["up", "-d"]] {
        let project = TestProject::new();
        let port = free_ports(2);
        asking(&project, port);
        let holder = stranger(&project, port);
        let up = project.devstack(args).terminal(24, 300).start();
        up.wait_for("[q]uit?");
        up.write(CTRL_C);
        assert_eq!(up.wait_code(), 130, "{args:?}");
        assert!(!up.lines().iter().any(|line| line.contains("error:")), "{:?}", up.lines());
        assert!(holder.is_running());
        holder.kill9();
        project.assert_nothing_alive();
        project.finish();
    }
}

#[test]
fn it_fails_without_a_terminal_to_ask() {
    let project = TestProject::new();
    let port = free_ports(2);
    asking(&project, port);
    let holder = stranger(&project, port);
    let refused = project.devstack(["up"]).run().expect_code(1);
    assert!(
        refused.stderr.contains(&format!("error: api: port {port} is in use by ")),
        "{refused:?}"
    );
    let strict = project.devstack(["up", "--strict-ports"]).terminal(24, 200).start();
    assert_eq!(strict.wait_code(), 1);
    let run = project.devstack(["run", "--no-strict-ports", "--", "true"]).terminal(24, 200);
    assert_eq!(run.start().wait_code(), 120);
    assert!(holder.is_running());
    holder.kill9();
    project.finish();
}

#[test]
fn what_was_agreed_holds_while_the_stack_runs() {
    let project = TestProject::new();
    let port = free_ports(3);
    asking(&project, port);
    let holder = stranger(&project, port);
    let up = asked(&project, port);
    up.write(b"n\n");
    up.wait_for("is up");
    let pid = service(&project.ps(), "api")["pid"].clone();
    let config = project.read("devstack.toml");
    project
        .configure(&format!("{config}[services.more]\ncommand = [\"{{misbehave}}\", \"run\"]\n"));
    up.wait_for("applied the new configuration");
    let ps = project.wait_ps(|ps| ps["services"].as_array().is_some_and(|all| all.len() == 2));
    assert_eq!(
        [&service(&ps, "api")["port"], &service(&ps, "api")["pid"]],
        [&(port + 1).into(), &pid]
    );
    up.write(CTRL_C);
    assert_eq!(up.wait_code(), 130);
    holder.kill9();
    project.finish();
}
