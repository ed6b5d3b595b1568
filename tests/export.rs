//! Stacks in the formats of other programs: each is accepted by its own program, says what it lost, and has no secret.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{CommandOutput, TestProject, require, require_program};

const FORMATS: [&str; 4] = ["compose", "kubernetes", "systemd", "procfile"];

/// What every secret of this test holds.
const CANARY: &str = "c4n4ry";

/// The variables of the services whose names are quoted in some format, with their values.
const ODD: [(&str, &str); 17] = [
    ("NORWAY", "no"),
    ("TIME", "22:30"),
    ("OCTAL", "0o7"),
    ("UNDERSCORE", "1_000"),
    ("NULL", "null"),
    ("TILDE", "~"),
    ("EMPTY", ""),
    ("SPACES", "  both  "),
    ("COLON", "a: b"),
    ("COMMENT", "a #b"),
    ("LINES", "one\ntwo $(three) %h\n"),
    ("MARKS", "\"\\${x}`date`"),
    ("UNICODE", "ünïcode \u{2028} \u{7} 𝄞"),
    ("CACHE", "cache:6379"),
    ("SELF", "http://api:8000"),
    ("DATABASE_URL", "postgresql://postgres@db:5432/shop"),
    ("SHADOWED", "of the service"),
];

/// A project with the stack that uses every key.
fn full() -> TestProject {
    let project = TestProject::with_config(include_str!("export/full.toml"));
    project
        .write("devstack.local.toml", &format!("[stack]\nenv = {{ MINE = '{CANARY}-local' }}\n"));
    project.write(".env", &format!("DB_PASSWORD={CANARY}-stack\nSHADOWED={CANARY}-shadowed\n"));
    project.write("api/api.env", &format!("TOKEN={CANARY}-service\nNEVER_NAMED={CANARY}-other\n"));
    project
}

/// `devstack export`, with secrets in its environment.
fn export(project: &TestProject, args: &[&str]) -> CommandOutput {
    project
        .devstack(["export"])
        .args(args)
        .env("OUTER", format!("{CANARY}-default"))
        .env("OUTER_TOKEN", format!("{CANARY}-outer"))
        .run()
        .expect_code(0)
}

/// A program of `tests/export/setup.sh`.
#[track_caller]
fn tool(name: &str) -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/export/.venv/bin").join(name);
    require(name, place.exists()).then_some(place)
}

/// Exports a stack in a format and has the program of the format judge it.
#[track_caller]
fn judge(project: &TestProject, format: &str, args: &[&str]) {
    let dir = project.outside("tmp").join(format).display().to_string();
    let written = match format {
        "systemd" => dir,
        format => format!("{dir}/{format}.yaml"),
    };
    let args = [&[format, "--force", "--output", &written], args].concat();
    export(project, &args);
    let ended = match format {
        "compose" => {
            let Some(schema) = tool("check-jsonschema") else { return };
            project
                .program(schema)
                .args(["--builtin-schema", "vendor.compose-spec", &written])
                .run()
        }
        "kubernetes" => {
            let Some(validate) = tool("kubernetes-validate") else { return };
            project.program(validate).args(["--strict", &written]).run()
        }
        "systemd" => {
            if cfg!(not(target_os = "linux")) {
                return;
            }
            let Some(analyze) = require_program("systemd-analyze") else { return };
            let units = fs::read_dir(&written).expect("it was written");
            let units = units.map(|unit| unit.expect("readable").path());
            let ended = project.program(analyze).args(["--user", "verify"]).args(units).run();
            // Unknown keys are only printed.
            assert_eq!(ended.stderr, "");
            ended
        }
        "procfile" => {
            let Some(honcho) = tool("honcho") else { return };
            project.program(honcho).args(["--procfile", &written, "check"]).run()
        }
        format => panic!("no program judges {format}"),
    };
    ended.expect_code(0);
}

#[test]
fn every_format_is_accepted_by_its_program() {
    let project = full();
    for format in FORMATS {
        judge(&project, format, &["--profile", "web"]);
        judge(&project, format, &[]);
    }
    project.finish();
}

#[test]
fn the_stacks_of_this_repository_can_be_exported() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = fs::read_dir(root.join("examples")).expect("it is in the repository");
    let dirs = examples.map(|entry| entry.expect("readable").path()).chain([root.to_owned()]);
    let files = dirs.map(|dir| dir.join("devstack.toml")).filter(|file| file.is_file());
    let files: Vec<PathBuf> = files.collect();
    assert!(files.len() >= 4, "{files:?}");
    let project = TestProject::new();
    for file in files {
        for format in FORMATS {
            judge(&project, format, &["-f", file.to_str().expect("a path of ours")]);
        }
    }
    project.finish();
}

#[test]
fn the_stack_of_these_tests_has_every_key() {
    let project = TestProject::new();
    let schema = project.devstack(["schema"]).run().expect_code(0).json();
    let stack: toml::Table = include_str!("export/full.toml").parse().expect("valid TOML");
    let services = stack["services"].as_table().expect("a table");
    let find = |value: &Value, pointer: &str| -> Vec<String> {
        let keys = value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in the schema"));
        keys.as_object().expect("a table").keys().cloned().collect()
    };
    let has = |key: &str| services.values().any(|service| service.get(key).is_some());
    let of_services = find(&schema, "/properties/services/additionalProperties/properties");
    let missing: Vec<_> = of_services.iter().filter(|key| !has(key)).collect();
    assert_eq!(missing, Vec::<&String>::new(), "keys of services");
    let of_stack = find(&schema, "/properties/stack/properties");
    let missing: Vec<_> = of_stack.iter().filter(|key| stack["stack"].get(key).is_none()).collect();
    assert_eq!(missing, Vec::<&String>::new(), "keys of the stack");
    project.finish();
}

#[test]
fn exports_say_what_they_are() {
    let project = full();
    let dir = project.dir().display().to_string();
    for format in FORMATS {
        let ended = export(&project, &[format, "--profile", "web"]);
        let text = ended.stdout.replace(&dir, "/shop");
        insta::with_settings!({ omit_expression => true, snapshot_path => "export", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format, text);
        });
        // What is in the comment is on stderr too.
        let notes = ended.stderr.lines().filter_map(|line| line.strip_prefix("note: "));
        let local = "devstack.local.toml is not exported";
        let notes: Vec<&str> = notes.filter(|note| *note != local).collect();
        let comments = text.lines().filter_map(|line| line.strip_prefix("# "));
        let comments: Vec<&str> = comments.take(notes.len() + 2).collect();
        assert!(notes.iter().all(|note| comments.contains(note)), "{notes:?} in {comments:?}");
        assert!(ended.stderr.contains(local), "{}", ended.stderr);
    }
    project.finish();
}

#[test]
fn no_export_has_a_secret() {
    let project = full();
    for format in FORMATS {
        let ended = export(&project, &[format, "--profile", "web"]);
        assert!(!ended.stdout.contains(CANARY), "{format}: {}", ended.stdout);
        assert!(!ended.stderr.contains(CANARY), "{format}: {}", ended.stderr);
        // They are named instead.
        assert!(ended.stdout.contains("OUTER_TOKEN"), "{format}");
        assert!(ended.stdout.contains("DB_PASSWORD"), "{format}");
        assert!(!ended.stdout.contains("MINE"), "{format}: changes of one person are not exported");
    }
    project.finish();
}

/// The documents of an export, as a parser of YAML 1.1 reads them.
fn parsed(project: &TestProject, format: &str, args: &[&str]) -> Option<Vec<Value>> {
    let file = project.path("parsed.yaml");
    let output = file.display().to_string();
    export(project, &[&[format, "--force", "--output", &output], args].concat());
    documents(project, &file)
}

/// The documents of a file.
fn documents(project: &TestProject, file: &Path) -> Option<Vec<Value>> {
    let script =
        "import json, sys, yaml\nprint(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let python = project.program(tool("python")?).args(["-c", script]).args([file]);
    Some(python.run().expect_code(0).json().as_array().expect("a list").clone())
}

/// What `part` has and `whole` has not, as paths.
fn lost(part: &Value, whole: &Value, path: &str, found: &mut Vec<String>) {
    match (part, whole) {
        (Value::Object(part), Value::Object(_)) => {
            for (key, value) in part {
                lost(value, &whole[key], &format!("{path}.{key}"), found);
            }
        }
        _ if part == whole => {}
        _ => found.push(format!("{path}: {part} became {whole}")),
    }
}

#[test]
fn nothing_is_lost_from_compose_to_compose() {
    let project = TestProject::new();
    project.write("compose.yaml", include_str!("export/round-trip.yaml"));
    project.write("api/Dockerfile", "FROM python:3.13\nCOPY . .\n");
    project.write("Dockerfile.worker", "FROM scratch AS dev\n");
    for path in ["worker/x", "conf/x"] {
        project.write(path, "");
    }
    project.write("api.env", "A=1\n");
    project.devstack(["init"]).run().expect_code(0);
    let Some(compose) = parsed(&project, "compose", &["--profile", "web"]) else { return };
    let before = documents(&project, &project.path("compose.yaml")).expect("there is Python");
    let mut found = Vec::new();
    lost(&before[0], &compose[0], "", &mut found);
    // devstack listens on loopback, and gives each replica a port.
    let port = ".services.api.ports: [\"8000:8000\"] became [\"127.0.0.1:8000-8001:8000\"]";
    assert_eq!(found, [port]);
    project.finish();
}

#[test]
fn every_value_is_read_back_as_it_was() {
    let project = full();
    let Some(compose) = parsed(&project, "compose", &["--profile", "web"]) else { return };
    let api = &compose[0]["services"]["api"];
    for (name, value) in ODD {
        // Compose reads `$$` as a dollar sign.
        assert_eq!(api["environment"][name], value.replace('$', "$$"), "{name} in Compose");
    }
    assert_eq!(api["command"][2], "exec ./server --port $$PORT");
    assert_eq!(api["environment"]["REQUIRED"], "${OUTER_TOKEN:?set it}");
    let seed = compose[0]["services"]["seed"]["command"][2].as_str().expect("a text");
    assert!(seed.contains("    echo \"$$n of $$(date +%Y): 50%\" # `seeds`\ndone\n"), "{seed}");

    let kubernetes =
        parsed(&project, "kubernetes", &["--profile", "web"]).expect("it was there before");
    let map = kubernetes
        .iter()
        .find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == "api-env");
    for (name, value) in ODD {
        assert_eq!(map.expect("it is there")["data"][name], value, "{name} in Kubernetes");
    }
    project.finish();
}

#[test]
fn honcho_starts_what_was_exported() {
    let Some(honcho) = tool("honcho") else { return };
    let project = TestProject::new();
    let print = "for name in ODD LINES SECRET MADE PORT PATH; do eval \"printf '%s=<%s>\\n' $name \\\"\\$$name\\\"\"; done; pwd";
    let stack = toml::toml! {
        [services.print]
        command = print
        dir = "a b"
        port = 5070
        [services.print.env]
        ODD = "  '\"$$(x)` %b \\n"
        LINES = "one\ntwo\\n"
        MADE = "<${SECRET}\n${OUTER:-no'ne}>"
        PATH = "bin:${PATH}"
        [services.words]
        command = ["printf", "%s|", "a  b", "${SECRET}", "'$$HOME'", "x\ny"]
    };
    project.configure(&stack.to_string());
    project.write(".env", "SECRET='s e  c'\n");
    fs::create_dir(project.path("a b")).expect("the project is ours");
    export(&project, &["procfile", "--output", "Procfile"]);
    let printed = project.program(&honcho).args(["start", "print"]).run();
    let text = printed.expect_code(0).stdout;
    for line in [
        "ODD=<  '\"$(x)` %b \\n>",
        "LINES=<one",
        "two\\n>",
        "SECRET=<s e  c>",
        "MADE=<<s e  c",
        "no'ne>>",
        "PORT=<5070>",
        "PATH=<bin:/",
        "/a b",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let words = project.program(&honcho).args(["start", "words"]).run().expect_code(0).stdout;
    for line in ["a  b|s e  c|'$HOME'|x", "y|"] {
        assert!(words.contains(line), "{line} in {words}");
    }
    project.finish();
}

#[test]
fn files_are_written_where_they_are_wanted() {
    let project = full();
    let written = export(&project, &["compose", "--output", "deploy/compose.yaml"]);
    assert_eq!(written.stdout, "deploy/compose.yaml written\n");
    let text = project.read("deploy/compose.yaml");
    assert!(text.contains("source: \"..\"") && text.contains("../api/api.env"), "{text}");

    let again = project.devstack(["export", "compose", "-o", "deploy/compose.yaml"]);
    let refused = again.env("OUTER_TOKEN", "x").run().expect_code(1);
    assert!(refused.stderr.contains("deploy/compose.yaml exists"), "{}", refused.stderr);
    assert!(refused.stderr.contains("help: use --force"), "{}", refused.stderr);
    assert_eq!(project.read("deploy/compose.yaml"), text);
    export(&project, &["compose", "--force", "-o", "deploy/compose.yaml"]);

    let units = export(&project, &["systemd", "-o", "units"]).stdout;
    assert!(units.contains("units/full.target written\nunits/full-api-1.service written\n"));
    assert!(project.path("units/full-passed.main.socket").is_file(), "{units}");
    let alone = project.devstack(["export", "compose", "--force"]).run().expect_code(2);
    assert!(alone.stderr.contains("--output"), "{}", alone.stderr);
    project.finish();
}

#[test]
fn a_dockerfile_is_built() {
    let project = TestProject::new();
    let file = "[services.api]\ncommand = 'python serve.py'\ndir = 'api'\nport = 5000\n";
    project.configure(file);
    project.write("api/serve.py", "");
    let mounted = export(&project, &["compose"]);
    assert!(mounted.stdout.contains("image: python:3.13"), "{}", mounted.stdout);
    assert!(mounted.stderr.contains("add a Dockerfile to ./api"), "{}", mounted.stderr);
    project.write("api/Dockerfile", "FROM python\n");
    let built = export(&project, &["compose"]);
    assert!(built.stdout.contains("build: \"./api\""), "{}", built.stdout);
    assert!(!built.stdout.contains("image:") && !built.stdout.contains("volumes:"));
    assert_eq!(built.stderr, "");
    project.finish();
}

#[test]
fn kubernetes_leaves_dollar_signs_as_they_are() {
    let project = TestProject::new();
    let stack = toml::toml! {
        [services.a]
        command = ["x", "p$$$$w", "$$(B)", "$$${TOKEN}"]
        ready = { exec = ["echo", "$$$$"] }
        stop = { command = ["echo", "$$$$(B)"] }
        env = { PRICE = "$$$$5", MADE = "$$$$${TOKEN}" }
    };
    project.configure(&stack.to_string());
    project.write(".env", "TOKEN=1\n");
    judge(&project, "kubernetes", &[]);
    let Some(objects) = parsed(&project, "kubernetes", &[]) else { return };
    let data = &objects[0]["data"];
    assert_eq!(data["PRICE"], "$$5", "nothing is expanded in a ConfigMap");
    let pod = &objects[1]["spec"]["template"]["spec"]["containers"][0];
    // Kubernetes reads `$$` as `$`.
    assert_eq!(pod["command"], serde_json::json!(["x", "p$$$$w", "$$(B)", "$$$(TOKEN)"]));
    let env = pod["env"].as_array().expect("a list");
    let made = env.iter().find(|entry| entry["name"] == "MADE");
    assert_eq!(made.expect("it is there")["value"], "$$$$$(TOKEN)");
    assert_eq!(pod["readinessProbe"]["exec"]["command"][1], "$$$$");
    assert_eq!(pod["lifecycle"]["preStop"]["exec"]["command"][1], "$$(B)");
    project.finish();
}

#[test]
fn names_stay_different_where_a_format_cuts_them() {
    let project = TestProject::new();
    let api = "[services.api]\ncommand = 'x'\nenv_file = ['.env.local', 'env-local']\n\
        ports = { metrics-internal-a = 5000, metrics-internal-b = 5001 }\n";
    let others = ["api-", "1a", "s-1a"].map(|name| format!("[services.{name}]\ncommand = 'x'\n"));
    project.configure(&(api.to_owned() + &others.concat()));
    project.write(".env.local", "A=1\n");
    project.write("env-local", "B=1\n");
    judge(&project, "compose", &[]);
    judge(&project, "kubernetes", &[]);
    let compose = export(&project, &["compose"]).stdout;
    for name in ["api", "api-2", "s-1a", "s-1a-2"] {
        assert_eq!(compose.matches(&format!("\n  {name}:\n")).count(), 1, "{name} in {compose}");
    }
    let kubernetes = export(&project, &["kubernetes"]).stdout;
    for name in ["metrics-interna", "metrics-inter-2", "-env-local --", "-env-local-2 --"] {
        assert!(kubernetes.contains(name), "{name} in {kubernetes}");
    }
    project.finish();
}

#[test]
fn units_have_no_lines_of_descriptions_and_paths() {
    let project = TestProject::new();
    fs::create_dir(project.path("a b")).expect("the project is ours");
    let text = "[services.a]\ncommand = 'x'\ndir = 'a b'\ndescription = 'ends in \\'\n";
    project.configure(text);
    judge(&project, "systemd", &[]);
    let units = export(&project, &["systemd"]).stdout;
    assert!(units.contains("Description=ends in \\\\\nPartOf="), "{units}");

    for name in ["a\nExecStartPre=x", "a\\", "a ", "a\u{1b}"] {
        fs::create_dir(project.path(name)).expect("the project is ours");
        let mut stack: toml::Table = text.parse().expect("valid TOML");
        stack["services"]["a"]["dir"] = name.into();
        project.configure(&stack.to_string());
        let refused = project.devstack(["export", "systemd"]).run().expect_code(1);
        assert_eq!(refused.stdout, "", "{name:?}");
        assert!(refused.stderr.contains("a systemd unit cannot name \""), "{}", refused.stderr);
        assert!(refused.stderr.contains("help: rename it"), "{}", refused.stderr);
    }
    project.finish();
}

#[test]
fn containers_have_the_directory_of_an_included_file() {
    let project = TestProject::with_config("include = ['lib']\n");
    let text = "[services.a]\ncommand = 'python ${stack.dir}/api/serve.py'\ndir = 'api'\n\
        [services.outside]\ncommand = 'python x.py'\ndir = '../other'\n";
    project.write("lib/devstack.toml", text);
    project.write("lib/devstack.local.toml", "");
    project.write("lib/api/serve.py", "");
    project.write("other/x.py", "");
    judge(&project, "compose", &[]);
    let notes = export(&project, &["compose"]).stderr;
    assert!(notes.contains("note: lib/devstack.local.toml is not exported\n"), "{notes}");
    let mount = |source: &str, target: &str| serde_json::json!({ "type": "bind", "source": source, "target": target });
    let Some(compose) = parsed(&project, "compose", &[]) else { return };
    let service = &compose[0]["services"]["a"];
    assert_eq!(service["command"][2], "python /app/api/serve.py");
    assert_eq!(service["working_dir"], "/app/api");
    assert_eq!(service["volumes"], Value::from(vec![mount("./lib", "/app")]));
    let service = &compose[0]["services"]["outside"];
    assert_eq!(service["working_dir"], "/work");
    assert_eq!(service["volumes"][1], mount("./lib/../other", "/work"));
    project.finish();
}

#[test]
fn exports_name_the_file_that_they_are_from() {
    let project = TestProject::new();
    project.write("Procfile", "web: python serve.py\n");
    for format in FORMATS {
        let text = export(&project, &[format]).stdout;
        assert!(text.contains(&format!("`devstack export {format}` from Procfile.\n")), "{text}");
    }
    project.finish();
}

#[test]
fn no_export_has_a_port_of_an_env_file_or_the_environment() {
    let project = TestProject::with_config("[services.a]\ncommand = 'x'\nport = 5000\n");
    project.write(".env", "A_PORT=7777\n");
    for format in FORMATS {
        let ended = project.devstack(["export", format]).env("PORT", "7778").run().expect_code(0);
        assert!(!ended.stdout.contains("777"), "{format}: {}", ended.stdout);
        assert!(ended.stdout.contains("5000"), "{format}: {}", ended.stdout);
    }
    project.finish();
}
