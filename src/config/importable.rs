//! The files from which `devstack init` can write a configuration.

/// The files that list services, the first that exists is read.
pub const STACK_FILES: [(&str, StackFormat); 10] = [
    ("Procfile.dev", StackFormat::Procfile),
    ("Procfile", StackFormat::Procfile),
    ("process-compose.yaml", StackFormat::ProcessCompose),
    ("process-compose.yml", StackFormat::ProcessCompose),
    ("mprocs.yaml", StackFormat::Mprocs),
    ("mprocs.yml", StackFormat::Mprocs),
    ("compose.yaml", StackFormat::Compose),
    ("compose.yml", StackFormat::Compose),
    ("docker-compose.yaml", StackFormat::Compose),
    ("docker-compose.yml", StackFormat::Compose),
];

/// The format of a file that lists services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackFormat {
    /// Of foreman and Heroku.
    Procfile,
    ProcessCompose,
    Mprocs,
    /// Of Docker Compose.
    Compose,
}

/// The files of frameworks and package managers that tell what a directory has to start.
pub const MANIFESTS: [&str; 15] = [
    "package.json",
    "manage.py",
    "app.py",
    "wsgi.py",
    "asgi.py",
    "main.py",
    "pyproject.toml",
    "go.mod",
    "Cargo.toml",
    "Gemfile",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "composer.json",
    "index.html",
];
