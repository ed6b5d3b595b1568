//! Python: Django, FastAPI, Flask, other ASGI and WSGI apps.

use std::path::Path;

use crate::config::VENV_PATH;
use crate::model::Condition;

use super::{
    Detection, ImportedCommand, ImportedService, ProjectFiles, declared_port, found_service,
    has_word, prefer,
};

/// Files that an app is usually in, the ones that frameworks find on their own first.
const ENTRY_POINTS: [&str; 12] = [
    "main.py",
    "app.py",
    "api.py",
    "wsgi.py",
    "asgi.py",
    "server.py",
    "application.py",
    "app/main.py",
    "app/__init__.py",
    "src/main.py",
    "src/app.py",
    "backend/main.py",
];

/// How an app is created, and the variable it is usually in.
const FRAMEWORKS: [(&str, PythonFramework); 3] = [
    ("FastAPI(", PythonFramework::FastApi),
    ("Flask(", PythonFramework::Flask),
    ("Starlette(", PythonFramework::Asgi),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PythonFramework {
    FastApi,
    Flask,
    /// Any other app that uvicorn runs.
    Asgi,
}

pub(super) fn detect(dir: &Path, files: &ProjectFiles<'_>, found: &mut Detection) {
    if files.has(dir.join("manage.py")) {
        return found.services.extend(django(dir));
    }
    found.services.extend(ENTRY_POINTS.iter().find_map(|file| entry_point(dir, file, files)));
}

/// Returns the server, after the task that creates its tables.
fn django(dir: &Path) -> [ImportedService; 2] {
    let mut server = found_service(dir, "web", "manage.py");
    server.preset = Some("django".to_owned());
    let mut migrate = found_service(dir, "web", "manage.py");
    migrate.comments = vec!["Applies migrations before the server starts.".to_owned()];
    migrate.name = match dir.as_os_str().is_empty() {
        true => "migrate".to_owned(),
        false => format!("{}-migrate", server.name),
    };
    migrate.is_task = true;
    let words = ["python3", "manage.py", "migrate", "--no-input"].map(str::to_owned);
    migrate.command = Some(ImportedCommand::Words(words.to_vec()));
    migrate.env.push(("PATH".to_owned(), VENV_PATH.to_owned()));
    server.depends_on.push((migrate.name.clone(), Condition::Completed));
    [migrate, server]
}

/// Returns the service of this file, if it creates an app.
fn entry_point(dir: &Path, file: &str, files: &ProjectFiles<'_>) -> Option<ImportedService> {
    let text = files.text(dir.join(file))?;
    let (variable, framework) = FRAMEWORKS.iter().find_map(|(call, framework)| {
        let line =
            text.lines().find(|line| line.contains(call) && !line.trim_start().starts_with('#'))?;
        Some((assigned(line), *framework))
    })?;
    let module = file.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
    let mut service = found_service(dir, "web", file);
    let app = format!("{module}:{}", variable.unwrap_or("app"));
    let needs = requirements(dir, files);
    let mut declared = declared_port::in_python(&text).map(|port| (port, file));
    match framework {
        PythonFramework::Flask => {
            // The second one is the default of the first.
            declared = [".env", ".flaskenv"]
                .into_iter()
                .find_map(|file| {
                    let text = files.text(dir.join(file))?;
                    Some((declared_port::in_env_file(&text, "FLASK_RUN_PORT")?, file))
                })
                .or(declared);
            service.preset = Some("flask".to_owned());
            if !matches!(file, "app.py" | "wsgi.py") {
                // A factory has no variable; Flask finds it in the module.
                let app = if variable.is_some() { app } else { module };
                service.env.push(("FLASK_APP".to_owned(), app));
            }
        }
        // Its command line finds the app, but is a package of its own.
        PythonFramework::FastApi
            if matches!(file, "main.py" | "app.py" | "api.py" | "app/main.py")
                && (needs.contains("fastapi[") || has_word(&needs, "fastapi-cli")) =>
        {
            service.preset = Some("fastapi".to_owned());
        }
        PythonFramework::FastApi | PythonFramework::Asgi if variable.is_some() => {
            service.preset = Some("uvicorn".to_owned());
            service.env.push(("UVICORN_APP".to_owned(), app));
        }
        PythonFramework::FastApi | PythonFramework::Asgi => {
            let factory =
                text.lines().find_map(|line| line.strip_prefix("def ")?.split('(').next());
            service.preset = Some("uvicorn".to_owned());
            let app = format!("{module}:{}", factory.unwrap_or("create_app"));
            let words = ["uvicorn", "--factory", &app, "--port", "${PORT}", "--host", "${HOST}"];
            service.command = Some(ImportedCommand::Words(words.map(str::to_owned).to_vec()));
        }
    }
    declared.into_iter().for_each(|(port, file)| prefer(&mut service, port, file));
    Some(service)
}

/// Returns the variable at the top of the module that a line sets: `app = …`, `app: FastAPI = …`.
fn assigned(line: &str) -> Option<&str> {
    let (target, _) = line.split_once('=')?;
    let name = target.split(':').next()?.trim_end();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// Returns what the project needs, in lower case.
fn requirements(dir: &Path, files: &ProjectFiles<'_>) -> String {
    let names = ["requirements.txt", "pyproject.toml", "Pipfile", "setup.cfg", "setup.py"];
    // A package of a monorepo may share those of the root.
    let read = |name: &&str| files.text(dir.join(name)).or_else(|| files.text(name));
    names.iter().filter_map(read).collect::<Vec<_>>().join("\n").to_lowercase()
}
