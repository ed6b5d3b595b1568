//! Go, Cargo, and Spring Boot with Maven or Gradle.

use std::path::Path;

use toml::{Table, Value};

use super::{
    Detection, ImportedCommand, ImportedProbe, NEED_NOT_LISTEN, ProbeTest, ProjectFiles,
    declared_port, expand_member, found_service, has_word, prefer,
};

/// Crates of programs that serve requests.
const RUST_SERVERS: [&str; 13] = [
    "actix-web", "axum", "dropshot", "gotham", "hyper", "leptos_axum", "ntex", "poem", "rocket",
    "salvo", "tide", "tonic", "warp",
];

/// What the source of a server without such a crate has: it listens itself, or reads its port.
const SERVER_MARKS: [&str; 2] = ["TcpListener", "\"PORT\""];

pub(super) fn detect_go(dir: &Path, files: &ProjectFiles<'_>, found: &mut Detection) {
    if !files.has(dir.join("go.mod")) {
        return;
    }
    let is_program = |dir: &Path| {
        let text = files.text(dir.join("main.go"));
        text.is_some_and(|text| has_word(&text, "package main"))
    };
    let commands = files.directories(dir.join("cmd"));
    let programs = [dir.to_owned()].into_iter().chain(commands).filter(|dir| is_program(dir));
    for program in programs {
        let mut service = found_service(&program, "web", "main.go");
        service.preset = Some("go".to_owned());
        found.services.push(service);
    }
}

pub(super) fn detect_cargo(dir: &Path, files: &ProjectFiles<'_>, found: &mut Detection) {
    let Some(text) = files.text(dir.join("Cargo.toml")) else { return };
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(_) => {
            return found
                .note(dir.join("Cargo.toml").display().to_string(), "not read: invalid TOML");
        }
    };
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
    for member in members.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        let members = expand_member(dir, member, files);
        found.members.extend(members);
    }
    if !manifest.contains_key("package") {
        return;
    }
    let binaries = binaries(dir, &manifest, files);
    let needs = manifest.get("dependencies").and_then(Value::as_table);
    let serves = needs.is_some_and(|needs| RUST_SERVERS.iter().any(|it| needs.contains_key(*it)));
    for binary in &binaries {
        let mut service = found_service(dir, "", "Cargo.toml");
        service.preset = Some("cargo".to_owned());
        if binaries.len() > 1 {
            service.name.clone_from(binary);
            let words = ["cargo", "run", "--bin", binary];
            service.command = Some(ImportedCommand::Words(words.map(str::to_owned).to_vec()));
        } else if dir.as_os_str().is_empty() {
            service.name.clone_from(binary);
        }
        if !serves && !listens(dir, binary, &manifest, files) {
            service.comments.push(NEED_NOT_LISTEN.to_owned());
            service.ready = Some(ImportedProbe::of(ProbeTest::Started));
        }
        found.services.push(service);
    }
}

/// Whether the source of a program shows that it listens.
fn listens(dir: &Path, binary: &str, manifest: &Table, files: &ProjectFiles<'_>) -> bool {
    let bins = manifest.get("bin").and_then(Value::as_array).into_iter().flatten();
    let listed = bins
        .filter(|bin| bin.get("name").and_then(Value::as_str) == Some(binary))
        .filter_map(|bin| bin.get("path").and_then(Value::as_str).map(str::to_owned));
    let usual = [format!("src/bin/{binary}.rs"), format!("src/bin/{binary}/main.rs")];
    let main = "src/main.rs".to_owned();
    let source = listed.chain(usual).chain([main]).find_map(|path| files.text(dir.join(path)));
    source.is_some_and(|source| SERVER_MARKS.iter().any(|mark| source.contains(mark)))
}

/// Returns the programs of a package: the default one, or else all.
fn binaries(dir: &Path, manifest: &Table, files: &ProjectFiles<'_>) -> Vec<String> {
    let package = &manifest["package"];
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(default) = text(package, "default-run") {
        return vec![default];
    }
    let listed = manifest.get("bin").and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<String> = listed.filter_map(|bin| text(bin, "name")).collect();
    let is_main_listed = manifest.get("bin").and_then(Value::as_array).is_some_and(|bins| {
        bins.iter().any(|bin| text(bin, "path").is_some_and(|path| path == "src/main.rs"))
    });
    if !is_main_listed && files.has(dir.join("src/main.rs")) {
        names.extend(text(package, "name"));
    }
    names.dedup();
    names
}

pub(super) fn detect_jvm(dir: &Path, files: &ProjectFiles<'_>, found: &mut Detection) {
    let builds = [
        ("pom.xml", "spring-boot-maven-plugin"),
        ("build.gradle", "org.springframework.boot"),
        ("build.gradle.kts", "org.springframework.boot"),
    ];
    let spring = builds.iter().find(|(file, plugin)| {
        files.text(dir.join(file)).is_some_and(|text| text.contains(plugin))
    });
    if let Some((file, _)) = spring {
        let mut service = found_service(dir, "web", file);
        service.preset = Some("spring-boot".to_owned());
        let settings = ["application.properties", "application.yml", "application.yaml"];
        let declared = settings.iter().find_map(|name| {
            let file = format!("src/main/resources/{name}");
            let text = files.text(dir.join(&file))?;
            let port = match name.ends_with(".properties") {
                true => declared_port::in_properties(&text),
                false => declared_port::in_spring_yaml(&text),
            };
            Some((port?, file))
        });
        declared.into_iter().for_each(|(port, file)| prefer(&mut service, port, &file));
        found.services.push(service);
    }
}
