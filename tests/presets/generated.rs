//! Projects as their generators make them: `init --try` alone makes a stack of them that gets ready.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::life::with_toolchains;
use super::{python, repository};
use crate::support::{TestProject, lock_usual_ports, require, require_program};

/// Makes a stack of the project; `expected` are beginnings of lines that say what became of its services.
#[track_caller]
fn gets_ready(project: TestProject, expected: &[&str]) {
    let _alone = lock_usual_ports();
    let tried = with_toolchains(project.devstack(["init", "--try"])).run().expect_code(0);
    for line in expected {
        let found = tried.stdout.lines().any(|said| said.trim_start().starts_with(line));
        assert!(found, "no {line:?} in {}", tried.stdout);
    }
    assert!(tried.stdout.ends_with("everything works; start it with `devstack up`\n"));
    assert_eq!(tried.stderr, "");
    project.finish();
}

/// A project with these packages of Node; `None`: they are not installed.
fn node(modules: &str) -> Option<TestProject> {
    let modules = repository().join(modules);
    let is_there = modules.join(".installed").exists();
    require(&modules.display().to_string(), is_there).then_some(())?;
    let project = TestProject::new();
    symlink(modules, project.path("node_modules")).expect("it is new");
    Some(project)
}

#[test]
fn a_new_django_project() {
    let Some(project) = python() else { return };
    let admin = project.path(".venv/bin/django-admin");
    project.program(admin).args(["startproject", "shop", "."]).run().expect_code(0);
    gets_ready(project, &["migrate: done: exit 0", "web: ready in "]);
}

#[test]
fn an_app_with_a_procfile() {
    let Some(project) = python() else { return };
    project.write(
        "Procfile",
        "release: flask --version\nweb: gunicorn app:app --log-file -\nclock: python clock.py\n",
    );
    project.write("app.py", "from flask import Flask\n\napp = Flask(__name__)\n");
    project.write("clock.py", "import threading\n\nthreading.Event().wait()\n");
    gets_ready(project, &["release: done: exit 0", "web: ready in ", "clock: ready in "]);
}

#[test]
fn a_new_express_app() {
    let Some(project) = node("target/presets/node_modules") else { return };
    project.write(
        "package.json",
        r#"{ "name": "shop", "private": true, "scripts": { "start": "node ./bin/www" },
            "dependencies": { "express": "^5.1.0" } }"#,
    );
    project.write(
        "app.js",
        "const app = require('express')();\napp.get('/', (request, response) => response.send('shop'));\nmodule.exports = app;\n",
    );
    let program = "#!/usr/bin/env node\nconst server = require('http').createServer(require('../app'));\nserver.listen(process.env.PORT || '3000');\n";
    let program = project.write("bin/www", program);
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    gets_ready(project, &["shop: ready in "]);
}

#[test]
fn a_new_vite_app() {
    let Some(project) = node("examples/flask-shop/web/node_modules") else { return };
    project.write(
        "package.json",
        r#"{ "name": "pages", "private": true, "type": "module",
            "scripts": { "dev": "vite", "build": "vite build", "preview": "vite preview" },
            "devDependencies": { "vite": "^7.0.0" } }"#,
    );
    project.write("index.html", "<script type=\"module\" src=\"/src/main.js\"></script>\n");
    project.write("src/main.js", "document.body.textContent = 'pages';\n");
    gets_ready(project, &["pages: ready in "]);
}

#[test]
fn a_new_cargo_package() {
    let Some(cargo) = require_program("cargo") else { return };
    let project = TestProject::new();
    project.program(cargo).with_cargo().args(["init", "--name", "hello"]).run().expect_code(0);
    // It prints a line and ends: nothing that could get ready.
    let _alone = lock_usual_ports();
    let tried = with_toolchains(project.devstack(["init", "--try"])).run().expect_code(1);
    assert!(tried.stdout.contains("  hello: done: exit 0\n"), "{}", tried.stdout);
    assert!(tried.stderr.starts_with("error: not everything got ready\n"), "{}", tried.stderr);
    project.finish();
}
