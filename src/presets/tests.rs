use std::collections::BTreeSet;

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn every_file_of_the_directory_is_a_preset() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/presets");
    let files = std::fs::read_dir(dir).expect("the directory exists");
    let files = files.map(|entry| entry.expect("readable").path());
    let files: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != "servers")
        .collect();
    let names: Vec<&str> = all().iter().map(|preset| preset.name).collect();
    assert_eq!(names, files.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(names.is_sorted());
}

#[test]
fn every_preset_says_all_that_is_asked_of_it() {
    for preset in all() {
        let name = preset.name;
        let facts = preset.facts();
        assert!(!facts.bind_hints.port.is_empty(), "{name}");
        assert!(!facts.needs.is_empty(), "{name}");
        assert!(!facts.install.is_empty(), "{name}");
        let outline = preset.outline();
        assert!(!outline.description.is_empty(), "{name}");
        // What does not listen needs no host.
        let host = facts.bind_hints.host.as_ref().is_some_and(|host| !host.is_empty());
        assert_eq!((outline.port().is_some(), host), (name != "celery", name != "celery"));
        if let Some(url) = &facts.url {
            assert!(url.contains("://") && url.contains("${HOST}:${PORT}"), "{name}: {url}");
        }
        assert!(preset.text.starts_with("# "), "{name}: must start with a description");
        let long = preset.text.lines().filter(|line| !line.contains('=') && !line.contains('$'));
        assert!(long.clone().all(|line| line.len() <= 130), "{name}: line too long");
    }
}

/// A `debug` entry has a command, the debugger's usual port, and whether the program waits for one.
#[test]
fn debug_entries_have_a_command_a_port_and_whether_they_wait() {
    let mut with_debug = Vec::new();
    for preset in all() {
        let file: toml::Table = preset.text.parse().expect("valid TOML");
        let Some(debug) = file["service"].get("debug") else { continue };
        let debug = debug.as_table().expect("a table");
        assert_eq!(
            debug.keys().collect::<Vec<_>>(),
            ["command", "port", "wait"],
            "{}",
            preset.name
        );
        assert!(debug["command"].as_str().is_some_and(|text| text.contains("$DEBUG_PORT")));
        assert!(debug["port"].is_integer() && debug["wait"].is_bool(), "{}", preset.name);
        with_debug.push(preset.name);
    }
    let expected = "cargo celery django express fastapi flask go gunicorn next node rails spring-boot uvicorn vite";
    assert_eq!(with_debug.join(" "), expected);
}

#[test]
fn frameworks_are_recognised_by_the_words_of_a_command_and_never_guessed() {
    for (command, name) in [
        ("flask run", Some("flask")),
        ("../.venv/bin/flask --app app run --port $PORT", Some("flask")),
        ("python3.12 -m flask run", Some("flask")),
        ("FLASK_DEBUG=1 exec flask run", Some("flask")),
        ("uv run uvicorn main:app", Some("uvicorn")),
        ("gunicorn -w 4 shop.wsgi", Some("gunicorn")),
        ("celery -A shop worker -l info", Some("celery")),
        ("cd api && poetry run fastapi dev", Some("fastapi")),
        ("python manage.py migrate && python manage.py runserver", Some("django")),
        ("npx vite --port $PORT", Some("vite")),
        ("node_modules/.bin/next dev", Some("next")),
        ("node server.js", Some("node")),
        ("node --inspect node_modules/.bin/vite", Some("vite")),
        ("bundle exec rails s", Some("rails")),
        ("./gradlew bootRun", Some("spring-boot")),
        ("go run ./cmd/api", Some("go")),
        ("cargo run --bin api", Some("cargo")),
        ("php -S localhost:8000", Some("php")),
        ("python3 -m http.server 8000", Some("static")),
        ("redis-server", Some("redis")),
        ("valkey-server --port 7000", Some("valkey")),
        ("/usr/sbin/apache2 -D FOREGROUND", Some("apache")),
        ("flask db upgrade", None),
        ("celery -A shop beat", None),
        ("python manage.py migrate", None),
        ("php artisan serve", None),
        ("npm run dev", None),
        ("echo flask run", None),
        ("cargo build", None),
        ("", None),
        ("&&", None),
    ] {
        assert_eq!(detect_preset(&words(command)).map(|preset| preset.name), name, "{command}");
    }
}

#[test]
fn reloaders_are_on_as_their_frameworks_define_it() {
    let on = |name: &str, command: &str, variable: Option<&str>| {
        let reloader = find(name).and_then(|preset| preset.facts().reloader.as_ref());
        let reloader = reloader.expect("the preset has a reloader");
        reloader.is_on(&words(command), |_| variable.map(str::to_owned))
    };
    assert!(!on("flask", "flask run", None));
    assert!(on("flask", "flask --debug run", None));
    assert!(on("flask", "flask run", Some("1")));
    assert!(!on("flask", "flask run", Some("False")));
    assert!(!on("flask", "flask run --debug --no-reload", Some("1")));
    assert!(on("django", "python manage.py runserver", None));
    assert!(!on("django", "python manage.py runserver --noreload", None));
    assert!(on("vite", "vite", None));
    assert!(!on("uvicorn", "uvicorn main:app", None));
}

#[test]
fn servers_are_told_apart_by_their_commands() {
    let port = |command: &str| detect_bind_hints(&words(command)).map(|takes| takes.port);
    for (command, expected) in [
        ("flask run", "pass --port $PORT"),
        ("flask --app shop run --debug", "pass --port $PORT"),
        ("python -m flask run", "pass --port $PORT"),
        ("python3.12 -u -m uvicorn app:app", "pass --port $PORT"),
        ("uv run uvicorn app:app --reload", "pass --port $PORT"),
        ("cd api && FLASK_APP=x exec flask run", "pass --port $PORT"),
        ("watchmedo auto-restart -- flask run", "pass --port $PORT"),
        ("/srv/venv/bin/hypercorn app", "pass --bind $HOST:$PORT"),
        ("gunicorn app:app -w 4", "pass --bind $HOST:$PORT"),
        ("python manage.py runserver", "pass $HOST:$PORT to runserver"),
        ("./manage.py runserver", "pass $HOST:$PORT to runserver"),
        ("python3 -m http.server", "pass $PORT after http.server"),
        ("npx vite", "pass --port $PORT --strictPort"),
        ("node node_modules/.bin/vite", "pass --port $PORT --strictPort"),
        ("node server.js", "listen on process.env.PORT"),
        ("pnpm exec next dev", "pass --port $PORT"),
        ("pnpm dlx serve", "pass -l tcp://$HOST:$PORT"),
        ("webpack serve", "pass --port $PORT"),
        ("bundle exec rails server", "pass -p $PORT"),
        ("bin/rails s", "pass -p $PORT"),
        ("php -S localhost:8000", "pass -S $HOST:$PORT"),
        ("php artisan serve", "pass --port=$PORT"),
        ("./gradlew bootRun", "set env = { SERVER_PORT = \"${PORT}\" }"),
    ] {
        assert_eq!(port(command).as_deref(), Some(expected), "{command}");
    }
    for command in [
        "",
        "python app.py",
        "./server --port 1",
        "flask db upgrade",
        "npm install",
        "npm run dev",
        "npm run vite",
        "echo flask run",
        "echo npm run dev",
        "rails console",
        "env A=1",
    ] {
        assert_eq!(port(command), None, "{command}");
    }
    let flask = detect_bind_hints(&words("flask run")).expect("flask is known");
    assert_eq!(flask.host.as_deref(), Some("pass --host $HOST"));
    assert_eq!(flask.port_variable.as_deref(), Some("FLASK_RUN_PORT"));
}

#[test]
fn every_server_can_be_recognised_and_is_listed_once() {
    let presets = all().iter().flat_map(|preset| &preset.facts().programs);
    let servers = super::servers::servers();
    assert!(servers.len() > 20);
    let mut seen: BTreeSet<&str> = presets.map(String::as_str).collect();
    for server in servers {
        assert!(!server.programs.is_empty() && !server.bind_hints.port.is_empty());
        for program in &server.programs {
            assert!(seen.insert(program), "{program} is listed twice");
            assert_eq!(
                detect_bind_hints(&words(program)),
                Some(server.bind_hints.clone()),
                "{program}"
            );
        }
    }
}

#[test]
fn unknown_keys_of_a_preset_are_refused() {
    let preset = "takes_port = 'a'\ntakes_host = 'b'\nneeds = []\ninstall = ''\n[service]\n";
    assert!(toml::from_str::<PresetFacts>(preset).is_ok());
    let misspelled = format!("take_port = 'c'\n{preset}");
    assert!(toml::from_str::<PresetFacts>(&misspelled).is_err());
}
