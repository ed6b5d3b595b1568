//! What people get wrong: each mistake is named with its place and the remedy, before anything is started
//! where it can be known before, and with everything else kept running where it cannot.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{CommandOutput, TestProject, eventually, require_program, service};

/// A service that leaves a file when it runs.
const INNOCENT: &str = "[services.innocent]\ncommand = 'touch started; exec {misbehave} run'\n";

/// An error: what is written below the valid service, and what must be reported.
struct Mistake {
    text: &'static str,
    /// `LINE:COLUMN` within `text`, and the message.
    says: &'static [(&'static str, &'static str)],
    help: &'static str,
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        text: "[services.api]\ncommand = 'true'\ndepnds_on = ['innocent']",
        says: &[("3:1", "unknown key `depnds_on` in a service")],
        help: "did you mean `depends_on`?",
    },
    Mistake {
        text: "[services.api]\ncommand = 7",
        says: &[(
            "2:11",
            "expected a string or an array of strings for `command`, found an integer",
        )],
        help: "add quotes",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nenv = 5",
        says: &[("3:7", "expected a table for `env`, found an integer")],
        help: "write a table as { key = value }",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nautostart = 'no'",
        says: &[("3:13", "expected a boolean for `autostart`, found a string")],
        help: "use true or false, without quotes",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nrestart = true",
        says: &[("3:11", "expected a string for `restart`, found a boolean")],
        help: "use \"on-failure\" or \"always\"",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\non_exit = false",
        says: &[("3:11", "expected a string for `on_exit`, found a boolean")],
        help: "use one of \"none\", \"shutdown\"",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nready = { timeout = '30' }",
        says: &[("3:21", "invalid value `30` for `timeout`")],
        help: "use a number with a unit: \"250ms\", \"5s\", \"2m\"",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nstop = { grace = 5 }",
        says: &[("3:18", "`grace` has no unit")],
        help: "use \"5s\" or \"5ms\"",
    },
    Mistake {
        text: "[services.'My API']\ncommand = 'true'",
        says: &[("1:11", "invalid service name `My API`")],
        help: "use `my-api`: a-z, 0-9 and `-`, at most 63 characters",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nwatch = ['src/[a-']",
        says: &[("3:10", "invalid glob `src/[a-`: ")],
        help: "use `*` for names, `**` for directories",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nready = { log = 'a(b' }",
        says: &[("3:17", "invalid regular expression: unclosed group")],
        help: "to match literal text, use '…' and escape each of",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\ndepends_on = ['inocent']",
        says: &[("3:15", "unknown service `inocent`")],
        help: "did you mean `innocent`?",
    },
    Mistake {
        text: "[services.api]\ncommand = 'echo ${dbb.url}'",
        says: &[("2:", "`dbb`")],
        help: "available services: api",
    },
    Mistake {
        text: "[services.api]\ncommand = ['echo', '${NO_SUCH_VARIABLE}']",
        says: &[("2:", "NO_SUCH_VARIABLE")],
        help: ":-",
    },
    Mistake {
        text: "[services.a]\ncommand = 'true'\ndepends_on = ['b']\n[services.b]\ncommand = 'true'\ndepends_on = ['a']",
        says: &[("3:15", "dependency cycle: a → b → a")],
        help: "break the cycle by removing one of these dependencies",
    },
    Mistake {
        text: "[services.a]\ncommand = 'true'\nport = { prefer = 26001, on_conflict = 'fail' }\n[services.b]\ncommand = 'true'\nport = { prefer = 26001, on_conflict = 'fail' }",
        says: &[("6:19", "a and b both use port 26001")],
        help: "change one of them, or use \"auto\"",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nport = 70000",
        says: &[("3:8", "invalid port 70000")],
        help: "use 1 to 65535",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\ndir = 'backend'",
        says: &[("3:7", "no such directory: `backend`")],
        help: "create it, or fix `dir`",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\ndir = 'devstack.toml'",
        says: &[("3:7", "`devstack.toml` is not a directory")],
        help: "fix `dir`",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nenv_file = ['secrets.env']",
        says: &[("3:13", "cannot read env file `secrets.env`: no such file")],
        help: "optional = true",
    },
    Mistake { text: "[services.api]\nport = 5000", says: &[("1:", "command")], help: "command = " },
    Mistake { text: "[services.api", says: &[("1:", "unclosed table")], help: "invalid TOML" },
    Mistake {
        text: "[services.innocent]\ncommand = 'true'",
        says: &[("1:11", "duplicate key `innocent`")],
        help: "remove one of them",
    },
    Mistake {
        text: "[services.api]\ncommand = 'true'\nproxy = true",
        says: &[("3:", "no port to forward to")],
        help: "set `port",
    },
    Mistake {
        text: "[services.api]\nprot = 1\ncommand = []\nport = 0\nready = { timeout = 'soon' }\n[services.b]\ncommand = 'true'\ndepends_on = ['apo']",
        says: &[
            ("2:1", "unknown key `prot` in a service"),
            ("3:", "command"),
            ("4:8", "invalid port 0"),
            ("5:21", "invalid value `soon` for `timeout`"),
            ("8:15", "unknown service `apo`"),
        ],
        help: "did you mean `port`?",
    },
];

#[track_caller]
fn says(ended: &CommandOutput, text: &str) {
    assert!(ended.stderr.contains(text), "{text:?} is not in\n{}", ended.stderr);
}

/// What `check`, `up` and `run` say of this project: the same, with code 2, and nothing is started.
#[track_caller]
fn refused(project: &TestProject, options: &[&str]) -> CommandOutput {
    let check = project.devstack(options).args(["check"]).run().expect_code(2);
    assert_eq!(check.stdout, "");
    let up = project.devstack(options).args(["up"]).run().expect_code(2);
    let run =
        project.devstack(options).args(["run", "--", "touch", "started"]).run().expect_code(2);
    assert_eq!((&up.stderr, &run.stderr), (&check.stderr, &check.stderr));
    assert!(!project.path("started").exists(), "something was started");
    assert!(check.stderr.contains("help: "), "no remedy in\n{}", check.stderr);
    assert!(!check.stderr.contains('\x1b'), "colours in a pipe: {:?}", check.stderr);
    check
}

#[test]
fn every_mistake_is_named_with_place_and_remedy_and_nothing_is_started() {
    for Mistake { text, says: expected, help } in MISTAKES {
        let project = TestProject::with_config(&format!("{INNOCENT}{text}\n"));
        let before = INNOCENT.lines().count();
        let ended = refused(&project, &[]);
        for (place, message) in *expected {
            let (line, column) = place.split_once(':').expect("a place");
            let line = line.parse::<usize>().expect("a line") + before;
            says(&ended, message);
            says(&ended, &format!("devstack.toml:{line}:{column}"));
        }
        says(&ended, help);
        assert_eq!(ended.stderr.matches("error: ").count(), expected.len(), "{}", ended.stderr);
        project.finish();
    }
}

#[test]
fn as_json_the_first_mistake_and_how_many_more() {
    let project = TestProject::with_config("[services.a]\ncommand = 7\nport = 0\n");
    let ended = project.devstack(["check", "--json"]).run().expect_code(2);
    let error = ended.error();
    assert_eq!(error["class"], "config");
    let text = error["text"].as_str().expect("a text");
    assert!(
        text.starts_with(
            "devstack.toml:2:11: expected a string or an array of strings for `command`"
        ),
        "{text}"
    );
    assert!(text.ends_with("(and 1 more)"), "{text}");
    assert_eq!(error["help"], "add quotes");
    project.finish();
}

#[test]
fn a_file_that_is_not_there() {
    let project = TestProject::new();
    let ended = refused(&project, &[]);
    says(
        &ended,
        &format!("no devstack.toml found in {} or any parent directory", project.dir().display()),
    );
    says(&ended, "create one, or give another file with -f");
    let ended = refused(&project, &["-f", "other.toml"]);
    says(&ended, "cannot read `other.toml`: no such file");
    says(&ended, "give an existing file, or omit -f");
    let ended = refused(&project, &["-f", "."]);
    says(&ended, "cannot read `.`: ");
    project.finish();
}

#[test]
fn a_file_with_nothing_in_it() {
    for text in ["", "\n\n", "# nothing yet\n", "[stack]\nname = 'x'\n", "[services]\n"] {
        let project = TestProject::with_config(text);
        says(&refused(&project, &[]), "add a service: [services.web], followed by command = \"…\"");
        project.finish();
    }
}

#[test]
fn files_that_are_no_text() {
    let project = TestProject::new();
    fs::write(project.path("devstack.toml"), b"[services.a]\ncommand = '\xff'\n").unwrap();
    says(&refused(&project, &[]), "save it as UTF-8");
    fs::write(project.path("devstack.toml"), vec![b'#'; 2 << 20]).unwrap();
    says(&refused(&project, &[]), "larger than 1 MiB");
    project.finish();
}

#[test]
fn files_that_may_not_be_read() {
    // Root may read everything, unless it gives that up.
    let root = rustix::process::geteuid().is_root();
    let setpriv = if root { require_program("setpriv") } else { None };
    if root && setpriv.is_none() {
        return;
    }
    let project = TestProject::new();
    let check = || match &setpriv {
        None => project.devstack(["check"]),
        Some(setpriv) => {
            let devstack = env!("CARGO_BIN_EXE_devstack");
            let caps = "--bounding-set=-dac_override,-dac_read_search";
            project.program(setpriv).args([caps, devstack, "check"])
        }
    };
    let text = format!("{INNOCENT}[services.a]\ncommand = 'true'\nenv_file = ['secret.env']\n");
    let file = project.configure(&text);
    let secret = project.write("secret.env", "A=1\n");
    check().run().expect_code(0);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let ended = check().run().expect_code(2);
    says(&ended, "cannot read env file `secret.env`: permission denied");
    says(&ended, "devstack.toml:5:13");
    says(&ended, "help: ");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let ended = check().run().expect_code(2);
    says(&ended, "cannot read `devstack.toml`: permission denied");
    says(&ended, "help: ");
    project.finish();
}

#[test]
fn env_files_that_are_none() {
    let project = TestProject::with_config(INNOCENT);
    // By name a default one, which need not be there; but if it is, it must be readable.
    fs::create_dir(project.path(".env")).unwrap();
    let ended = refused(&project, &[]);
    says(&ended, "`.env`: it is a directory");
    fs::remove_dir(project.path(".env")).unwrap();
    project.write(".env", "GOOD=1\nnot a line\n");
    says(&refused(&project, &[]), ".env:2:");
    project.finish();
}

#[test]
fn mistakes_on_the_command_line_are_about_the_command_line() {
    let project = TestProject::with_config(&format!(
        "{INNOCENT}[services.api]\ncommand = 'true'\nport = 26002\n"
    ));
    for (args, code, text, help) in [
        (
            &["up", "--port", "apy=5000"][..],
            2,
            "--port apy=5000: unknown service `apy`",
            "did you mean `api`?",
        ),
        (
            &["up", "--port", "zzz=5000"],
            2,
            "unknown service `zzz`",
            "available services: api, innocent",
        ),
        (&["up", "--port", "innocent=5000"], 2, "--port innocent=5000: ", "help: "),
        (&["up", "--port", "api"], 2, "expected SERVICE=N", "--help"),
        (&["up", "--port", "api=0"], 2, "invalid port `0`: expected 1 to 65535", "--help"),
        (
            &["up", "--timeout", "5"],
            2,
            "expected a duration with a unit, such as 250ms, 90s or 1h30m",
            "--help",
        ),
        (&["up", "inocent"], 3, "unknown service `inocent`", "did you mean `innocent`?"),
    ] {
        let ended = project.devstack(args).run().expect_code(code);
        says(&ended, text);
        says(&ended, help);
        assert!(!project.path("started").exists(), "{args:?} started something");
    }
    let ended = project.devstack(["up"]).env("API_PORT", "http").run().expect_code(2);
    says(&ended, "API_PORT=http is not a valid port");
    project.finish();
}

/// Programs that turn out not to be any, one service each.
const HOPELESS: &[(&str, &str, &str, &str)] = &[
    (
        "missing",
        "['no-such-program', '--port']",
        "program `no-such-program` not found on PATH",
        "install it",
    ),
    (
        "in-a-shell",
        "'no-such-program --port'",
        "program `no-such-program` not found on PATH",
        "install it",
    ),
    ("by-path", "['bin/none']", "bin/none", "is relative to the service's directory"),
    ("plain", "['./plain']", "plain is not executable", "chmod +x "),
    ("directory", "['./bin']", "bin is a directory", "name a program inside it"),
    (
        "interpreter",
        "['./odd']",
        "needs /no/such/interpreter, which does not exist",
        "first line of the script",
    ),
    ("windows", "['./crlf']", "ends with a carriage return", "sed -i"),
    ("format", "['./text']", "neither a program for this machine nor a script", "#!/bin/sh"),
];

fn hopeless(project: &TestProject) -> String {
    fs::create_dir(project.path("bin")).unwrap();
    for (name, text, mode) in [
        ("plain", "#!/bin/sh\n", 0o644),
        ("odd", "#!/no/such/interpreter\n", 0o755),
        ("crlf", "#!/bin/sh\r\ntrue\r\n", 0o755),
        ("text", "just text\n", 0o755),
    ] {
        let path = project.write(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    HOPELESS
        .iter()
        .map(|(name, command, ..)| {
            format!("[services.{name}]\ncommand = {command}\nrestart = 'always'\n")
        })
        .collect()
}

#[test]
fn programs_that_cannot_be_started_fail_at_once_and_the_others_run_on() {
    let project = TestProject::new();
    let hopeless = hopeless(&project);
    let behind = "[services.behind]\ncommand = ['{misbehave}', 'run']\ndepends_on = ['plain']\n";
    project.configure(&format!("{INNOCENT}{hopeless}{behind}"));
    let up = project.devstack(["up"]).start();
    let ps = project.wait_ps(|ps| {
        ps["state"] == "degraded"
            && service(ps, "innocent")["phase"] == "ready"
            && HOPELESS.iter().all(|(name, ..)| service(ps, name)["phase"] == "failed")
    });
    for (name, _, text, help) in HOPELESS {
        let view = service(&ps, name);
        assert_eq!(view["message"]["class"], "spawn", "{view}");
        assert!(view["message"]["text"].as_str().unwrap().contains(text), "{view}");
        assert!(view["message"]["help"].as_str().unwrap().contains(help), "{view}");
        assert!(!view["message"]["text"].as_str().unwrap().contains("/./"), "{view}");
        assert_eq!(
            (&view["restarts"], &view["pid"]),
            (&0.into(), &serde_json::Value::Null),
            "{view}"
        );
        up.wait_line(|line| {
            line.starts_with(name) && line.contains("failed: ") && line.contains(text)
        });
    }
    assert_eq!(service(&ps, "behind")["message"]["class"], "dep-failed");
    assert!(
        service(&ps, "behind")["message"]["text"]
            .as_str()
            .unwrap()
            .contains("plain is not executable")
    );
    eventually("the innocent service", || project.path("started").exists().then_some(()));
    assert!(up.is_running());

    // Mended: one restart, and what waited for it starts, too.
    fs::write(project.path("plain"), "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(project.path("plain"), fs::Permissions::from_mode(0o755)).unwrap();
    project.devstack(["restart", "plain"]).run().expect_code(0);
    project.wait_ps(|ps| service(ps, "behind")["phase"] == "ready");
    up.end();
    drop(up);
    project.finish();
}

#[test]
fn up_of_nothing_but_a_missing_program_ends_with_1() {
    let project = TestProject::with_config("[services.api]\ncommand = ['no-such-program']\n");
    project.devstack(["check"]).run().expect_code(0);
    let ended = project.devstack(["up"]).run().expect_code(1);
    assert_eq!(ended.stdout.matches("api * starting").count(), 1, "{}", ended.stdout);
    assert!(
        ended.stdout.contains("api * failed: program `no-such-program` not found on PATH"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("\n      help: install it"), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\x1b'), "{:?}", ended.stdout);
    project.finish();
}
