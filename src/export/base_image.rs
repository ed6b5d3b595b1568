use crate::model::{PortableCommand, PortableService};

/// Images with what programs need to run, by the programs and presets that they are for.
const BASE_IMAGES: [(&str, &[&str]); 9] = [
    (
        "python:3.13",
        &[
            "python", "python3", "pip", "uv", "poetry", "flask", "django", "fastapi", "uvicorn",
            "gunicorn", "celery", "static",
        ],
    ),
    ("node:22", &["node", "npm", "npx", "pnpm", "yarn", "vite", "next", "express"]),
    ("golang:1.25", &["go"]),
    ("rust:1", &["cargo"]),
    ("php:8-cli", &["php"]),
    ("ruby:3.4", &["ruby", "bundle", "rails", "rake"]),
    ("maven:3-eclipse-temurin-21", &["java", "mvn", "spring-boot"]),
    ("gradle:jdk21", &["gradle"]),
    ("nginx:1", &["nginx"]),
];

/// For a program that none of them is for: a shell and the usual commands.
const PLAIN: &str = "debian:stable";

/// Returns an image in which the command of a service can run, once its packages are installed.
pub(super) fn base_image(service: &PortableService) -> &'static str {
    let text = match &service.command {
        PortableCommand::Shell(text) => text.render(str::to_owned, |_| String::new()),
        PortableCommand::Exec(words) => {
            words.first().and_then(|word| word.as_literal()).unwrap_or_default().to_owned()
        }
    };
    let words = text.split_whitespace().filter(|word| *word != "exec" && !word.contains('='));
    let program = words.map(|word| word.rsplit('/').next().unwrap_or(word)).next();
    let names = program.into_iter().chain(service.preset);
    let images = names.filter_map(|name| {
        BASE_IMAGES.iter().find(|(_, programs)| programs.contains(&name)).map(|(image, _)| *image)
    });
    images.into_iter().next().unwrap_or(PLAIN)
}
