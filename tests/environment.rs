//! What decides a port, and what the programs of a stack see in their environment.

use std::collections::BTreeMap;

use crate::support::{TestCommand, TestProject, free_port, free_ports};

/// What a service that ran `misbehave print-env` was given.
fn given(project: &TestProject, launch: TestCommand, name: &str) -> BTreeMap<String, String> {
    let file = project.path(format!("{name}.env.out"));
    let _ = std::fs::remove_file(&file);
    launch.args(["--", "true"]).run().expect_code(0);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A task that writes down its environment: it has run when `up` is over.
fn witness(name: &str, more: &str) -> String {
    format!(
        "[services.{name}]\nkind = 'task'\ncommand = '{{misbehave}} print-env > {name}.env.out'\n{more}\n"
    )
}

/// A service with a port that writes down its environment before it is ready.
fn server(name: &str, more: &str) -> String {
    format!(
        "[services.{name}]\ncommand = '{{misbehave}} print-env > {name}.env.out; exec {{misbehave}} run'\nready = {{ log = 'ready' }}\n{more}\n"
    )
}

/// Runs until everything is ready.
fn run(project: &TestProject) -> TestCommand {
    project.devstack(["run", "--no-strict-ports"])
}

fn up(project: &TestProject) -> TestCommand {
    project.devstack(["up"])
}

#[test]
fn the_strongest_source_decides_the_port() {
    let project = TestProject::new();
    let first = free_ports(7);
    let [line, named, plain, from_env, from_file, dotenv, own] =
        std::array::from_fn(|at| (first + at as u16).to_string());
    let config = |more: &str| {
        let text = server("api", &format!("port = {from_file}\n{more}"));
        project.configure(&text);
    };
    let port = |launch: TestCommand| given(&project, launch, "api")["PORT"].clone();

    config("");
    assert_eq!(port(run(&project)), from_file);
    // What files say is a wish, and the stronger the nearer.
    config(&format!("env = {{ PORT = '{own}' }}"));
    assert_eq!(port(run(&project)), own);
    config("");
    project.write(".env", &format!("PORT={dotenv}\n"));
    assert_eq!(port(run(&project)), dotenv);
    project.write(".env", &format!("PORT={dotenv}\nAPI_PORT={from_env}\n"));
    assert_eq!(port(run(&project)), from_env);
    // What the caller sets takes precedence.
    assert_eq!(port(run(&project).env("PORT", &plain)), plain);
    let both = || run(&project).env("PORT", &plain).env("API_PORT", &named);
    assert_eq!(port(both()), named);
    assert_eq!(port(both().args(["--port", &format!("api={line}")])), line);
    // Links of containers are no ports.
    assert_eq!(port(run(&project).env("API_PORT", "tcp://10.0.0.1:80")), from_env);
    project.finish();
}

#[test]
fn a_pinned_port_that_is_taken_fails_and_a_wish_moves() {
    let project = TestProject::new();
    let first = free_ports(3);
    let stranger = crate::support::occupy(first);
    project.configure(&server("api", &format!("port = {first}")));
    let env = given(&project, run(&project), "api");
    assert_eq!(env["PORT"], (first + 1).to_string());
    for launch in [
        up(&project).args(["--port", &format!("api={first}")]),
        up(&project).env("API_PORT", first.to_string()),
        up(&project).env("PORT", first.to_string()),
    ] {
        let ended = launch.run().expect_code(1);
        let pid = std::process::id();
        assert!(ended.stderr.contains(&format!("port {first} is in use by")), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("pid {pid}")), "{}", ended.stderr);
        assert!(ended.stderr.contains("help: "), "{}", ended.stderr);
    }
    drop(stranger);
    project.finish();
}

#[test]
fn the_name_of_the_variable_can_be_chosen_and_only_the_primary_listens_to_port() {
    let project = TestProject::new();
    let first = free_ports(4);
    let [api, web, one, other] = std::array::from_fn(|at| (first + at as u16).to_string());
    let text = server("api", &format!("port = {api}"))
        + &server(
            "web",
            &format!("port = {{ prefer = {web}, env = 'SITE' }}\ndepends_on = ['api']"),
        );
    project.configure(&text);
    let launch = run(&project).env("PORT", &one).env("SITE", &other).env("WEB_PORT", "1");
    let env = given(&project, launch, "web");
    assert_eq!((&env["PORT"], &env["DEVSTACK_API_PORT"]), (&other, &one));
    assert_eq!(env["DEVSTACK_API_URL"], format!("http://127.0.0.1:{one}"));
    project.finish();
}

#[test]
fn references_are_filled_in_in_commands_and_environment() {
    let project = TestProject::new();
    let port = free_port();
    let metrics = free_port();
    let dir = project.dir().display().to_string();
    project.configure(&format!(
            "[stack]\nname = 'shop'\nenv = {{ STACK = '${{stack.name}} in ${{stack.dir}}' }}\n\
             [services.db]\ncommand = ['{{misbehave}}', 'listen']\nports = {{ main = {port}, metrics = {metrics} }}\nhost = '127.0.0.1'\n\
             [services.array]\nkind = 'task'\ncommand = ['sh', '-c', 'echo \"$1\" > array.out', '-', '${{db.url}} ${{db.host}} ${{db.port}} ${{db.port.metrics}} ${{FROM}} ${{NONE:-default}} $${{FROM}}']\nenv = {{ FROM = 'env' }}\ndepends_on = ['db']\n\
             [services.text]\nkind = 'task'\ncommand = 'echo \"${{db.port}} ${{FROM:-x}} $FROM $DEVSTACK_DB_URL\" > text.out'\nenv = {{ FROM = 'the shell' }}\ndepends_on = ['array']\n\
             {}",
            witness("env", "depends_on = ['text', 'db']\nenv = { URL = '${db.url}/shop?a=b', TWICE = '${URL}!', PRICE = '5$$' }")
        ));
    let run = run(&project);
    let env = given(&project, run, "env");
    assert_eq!(
        project.read("array.out"),
        format!("http://127.0.0.1:{port} 127.0.0.1 {port} {metrics} env default ${{FROM}}\n")
    );
    // The shell has the last word about variables; it knows no direct dependency here.
    assert_eq!(project.read("text.out"), format!("{port} the shell the shell \n"));
    assert_eq!(env["URL"], format!("http://127.0.0.1:{port}/shop?a=b"));
    assert_eq!(env["TWICE"], format!("http://127.0.0.1:{port}/shop?a=b!"));
    assert_eq!(env["PRICE"], "5$");
    assert_eq!(env["STACK"], format!("shop in {dir}"));
    assert_eq!(env["DEVSTACK_DB_PORT"], port.to_string());
    assert_eq!(
        (&*env["DEVSTACK_STACK"], &*env["DEVSTACK_SERVICE"], &*env["DEVSTACK_MODE"]),
        ("shop", "env", "run")
    );
    project.finish();
}

#[test]
fn the_layers_of_the_environment_lie_over_each_other() {
    let project = TestProject::new();
    project.write(".env", "A=env\nB=env\nC=env\nD=env\nE=env\nF=env # a comment\nexport G='single $A'\nH=\"line\\nfeed\"\nI=a=b=c\n");
    project.write(".env.local", "B=local\nC=local\nD=local\nE=local\n");
    project.write("api.env", "D=file\nE=file\n");
    let text = "[stack]\nenv = { C = 'stack', D = 'stack', E = 'stack' }\n".to_owned()
        + &server(
            "api",
            "env_file = ['api.env', { path = 'missing.env', optional = true }]\nenv = { E = 'own' }",
        );
    project.configure(&text);
    let launch = run(&project).env("A", "outer").env("Z", "outer").env("E", "outer");
    let env = given(&project, launch, "api");
    let values: Vec<&str> =
        ["A", "B", "C", "D", "E", "Z"].iter().map(|name| &*env[*name]).collect();
    assert_eq!(values, ["env", "local", "stack", "file", "own", "outer"]);
    assert_eq!((&*env["F"], &*env["G"], &*env["I"]), ("env", "single $A", "a=b=c"));
    assert_eq!(env["H"], "line\\nfeed", "misbehave escapes the line end");
    assert!(!env.contains_key("PORT"), "it has no port");
    project.finish();
}

#[test]
fn files_lie_over_each_other() {
    let project =
        TestProject::with_config(&witness("api", "env = { A = 'base', B = 'base', C = 'base' }"));
    project.write("devstack.local.toml", "[services.api]\nenv = { B = 'local', C = 'local' }\n");
    let env = given(&project, run(&project), "api");
    assert_eq!((&*env["A"], &*env["B"], &*env["C"]), ("base", "local", "local"));

    project.write("ci.toml", "[services.api]\nenv = { C = 'ci' }\n[services.extra]\nkind = 'task'\ncommand = 'touch extra'\n");
    let launch = project.devstack(["-f", "devstack.toml", "-f", "ci.toml", "run"]);
    let env = given(&project, launch, "api");
    assert_eq!((&*env["A"], &*env["C"]), ("base", "ci"));
    assert!(project.path("extra").exists());
    // Options may stand after the command, too.
    let env =
        given(&project, project.devstack(["run", "-f", "ci.toml", "-f", "devstack.toml"]), "api");
    assert_eq!((&*env["A"], &*env["C"]), ("base", "base"));
    project.finish();
}

#[test]
fn a_mistake_in_a_file_laid_over_is_shown_in_that_file() {
    let project = TestProject::with_config(&witness("api", ""));
    project.write("devstack.local.toml", "[services.api]\n\ncolour = 'red'\n");
    let ended = project.devstack(["check"]).run().expect_code(2);
    assert!(ended.stderr.contains("devstack.local.toml:3:1"), "{}", ended.stderr);
    assert!(ended.stderr.contains("did you mean `color`?"), "{}", ended.stderr);
    project.finish();
}

#[test]
fn the_file_is_found_from_a_subdirectory_and_paths_are_relative_to_it() {
    let project = TestProject::with_config(&witness("api", ""));
    project.write("sub/deep/x", "");
    project.write(".env", "FROM=above\n");
    let env = given(&project, run(&project).dir("sub/deep"), "api");
    assert_eq!(env["FROM"], "above");
    assert_eq!(env["PWD"], project.dir().display().to_string());
    assert!(project.path(".devstack").is_dir() && !project.path("sub/deep/.devstack").exists());

    // `run` starts its command in the caller's directory.
    let ended = project.devstack(["run", "--", "pwd"]).dir("sub/deep").run().expect_code(0);
    assert_eq!(ended.stdout.trim(), project.path("sub/deep").display().to_string());

    // A nearer file wins.
    project.write("sub/devstack.toml", &witness("near", ""));
    project.devstack(["up"]).dir("sub/deep").run().expect_code(0);
    assert!(project.path("sub/near.env.out").exists());
    project.finish();
}

#[test]
fn the_host_reaches_services_and_urls() {
    let project = TestProject::new();
    let port = free_port();
    let text = server("api", &format!("port = {port}"))
        + &witness("web", "depends_on = ['api']\nenv = { URL = '${api.url}' }");
    project.configure(&text);
    let env = given(&project, run(&project).args(["--host", "127.0.0.2"]), "web");
    assert_eq!((&*env["HOST"], &*env["DEVSTACK_API_HOST"]), ("127.0.0.2", "127.0.0.2"));
    assert_eq!(env["URL"], format!("http://127.0.0.2:{port}"));
    project.finish();
}

#[test]
fn named_ports_and_replicas_have_deciders_of_their_own() {
    let project = TestProject::new();
    let first = free_ports(8);
    let number = |at: u16| (first + at).to_string();
    let ports = format!(
        "ports = {{ http = {}, metrics = {{ prefer = {}, env = 'METRICS' }}, debug = 'auto' }}",
        number(0),
        number(1)
    );
    let twins = server("twin", &format!("port = {}\nreplicas = 2", number(4)))
        .replace("twin.env.out", "$DEVSTACK_SERVICE.env.out");
    project.configure(&(server("api", &ports) + &twins));
    let env = given(&project, run(&project).env("METRICS", number(2)), "api");
    assert_eq!((&env["PORT"], &env["PORT_HTTP"]), (&number(0), &number(0)));
    assert_eq!(env["PORT_METRICS"], number(2));
    assert!(env["PORT_DEBUG"].parse::<u16>().is_ok_and(|port| port > 0), "{env:?}");
    let line = format!("--port=api.metrics={}", number(3));
    let env = given(&project, run(&project).env("METRICS", number(2)).args([&line]), "api");
    assert_eq!((&env["PORT"], &env["PORT_METRICS"]), (&number(0), &number(3)));
    // One for all of them is about the first; one for one of them is about that.
    let both = [("TWIN_PORT", number(5)), ("TWIN_2_PORT", number(7))];
    for (set, ports) in [(0, [4, 5]), (1, [5, 6]), (2, [5, 7])] {
        for (at, replica) in ["1", "2"].into_iter().enumerate() {
            let launch =
                both[..set].iter().fold(run(&project), |run, (name, value)| run.env(name, value));
            let env = given(&project, launch, &format!("twin-{replica}"));
            assert_eq!(env["PORT"], number(ports[at]), "{set} of them set");
            assert_eq!(env["DEVSTACK_REPLICA"], replica);
        }
    }
    project.finish();
}

#[test]
fn secrets_of_env_files_are_in_no_message() {
    let project = TestProject::new();
    project.write(".env", "PASSWORD=canary-1234\nnot a line canary-5678\n");
    project.configure(&witness("api", ""));
    for args in [&["check"][..], &["up"], &["check", "--json"]] {
        let ended = project.devstack(args).run().expect_code(2);
        assert!(!format!("{ended:?}").contains("canary"), "{ended:?}");
    }
    project.finish();
}
