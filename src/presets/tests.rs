use std::collections::BTreeSet;

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn every_file_of_the_folder_is_a_preset() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/presets");
    let files = std::fs::read_dir(folder).expect("it is in the repository");
    let files = files.map(|entry| entry.expect("readable").path());
    let files: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
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
        assert!(!facts.takes_port.is_empty() && !facts.needs.is_empty(), "{name}");
        assert!(!facts.install.is_empty(), "{name}");
        let outline = preset.outline();
        assert!(outline.port().is_some() && !outline.description.is_empty(), "{name}");
        if let Some(url) = &facts.url {
            assert!(url.contains("://") && url.contains("${HOST}:${PORT}"), "{name}: {url}");
        }
        assert!(preset.text.starts_with("# "), "{name} begins with what it is");
        let long = preset.text.lines().filter(|line| !line.contains('=') && !line.contains('$'));
        assert!(long.clone().all(|line| line.len() <= 130), "{name} is good to read");
    }
}

/// The shape that a `debug` entry has: what is started, the debugger's usual port, whether it waits for one.
#[test]
fn debug_entries_have_a_command_a_port_and_whether_they_wait() {
    let mut with_debug = Vec::new();
    for preset in all() {
        let file: toml::Table = preset.text.parse().expect("it is TOML");
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
    let expected = "cargo django express fastapi flask go next node rails spring-boot uvicorn vite";
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
        ("cd api && poetry run fastapi dev", Some("fastapi")),
        ("python manage.py migrate && python manage.py runserver", Some("django")),
        ("npx vite --port $PORT", Some("vite")),
        ("node_modules/.bin/next dev", Some("next")),
        ("node server.js", Some("node")),
        ("bundle exec rails s", Some("rails")),
        ("./gradlew bootRun", Some("spring-boot")),
        ("go run ./cmd/api", Some("go")),
        ("cargo run --bin api", Some("cargo")),
        ("php -S localhost:8000", Some("php")),
        ("python3 -m http.server 8000", Some("static")),
        ("redis-server", Some("redis")),
        ("flask db upgrade", None),
        ("python manage.py migrate", None),
        ("php artisan serve", None),
        ("npm run dev", None),
        ("echo flask run", None),
        ("cargo build", None),
        ("", None),
        ("&&", None),
    ] {
        assert_eq!(recognise(&words(command)).map(|preset| preset.name), name, "{command}");
    }
}

#[test]
fn reloaders_are_on_as_their_frameworks_define_it() {
    let on = |name: &str, command: &str, variable: Option<&str>| {
        let reloader = find(name).and_then(|preset| preset.facts().reloader.as_ref());
        let reloader = reloader.expect("it has one");
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
