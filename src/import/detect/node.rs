//! Node: scripts and workspaces of `package.json`.

use std::path::{Path, PathBuf};

use super::package_json::PackageJson;
use super::{
    Detection, ImportedCommand, ImportedProbe, ImportedService, NEED_NOT_LISTEN, ProbeTest,
    ProjectFiles, declared_port, expand_member, found_service, prefer,
};
use crate::import::yaml::YamlDocument;
use crate::presets::{detect_bind_hints, detect_preset};

/// Packages of programs that serve requests.
const SERVERS: [&str; 12] = [
    "@hapi/hapi", "@nestjs/core", "@trpc/server", "apollo-server", "express", "fastify", "hono",
    "koa", "polka", "react-scripts", "restify", "socket.io",
];

const PORT: u16 = 3000;

/// The lock file of each package manager.
const LOCK_FILES: [(&str, &str); 6] = [
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("bun.lockb", "bun"),
    ("bun.lock", "bun"),
    ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"),
];

/// Adds the service of a package, and the packages of its workspaces. `is_beside`: another program in
/// this directory serves what the package builds.
pub(super) fn detect(dir: &Path, files: &ProjectFiles<'_>, is_beside: bool, found: &mut Detection) {
    let path = dir.join("package.json");
    let Some(text) = files.text(&path) else { return };
    let package = match PackageJson::parse(&text) {
        Ok(package) => package,
        Err(error) => {
            let text = format!("not read: line {} is invalid", error.line());
            return found.note(path.display().to_string(), text);
        }
    };
    let members = members(dir, &package, files);
    let service = start(dir, &package, files, is_beside);
    if members.is_empty() {
        found.services.extend(service);
    } else {
        // It starts the packages, which are services of their own.
        found.members.extend(members);
        found.fallback = service;
    }
}

/// Returns the service that the package's script starts.
fn start(
    dir: &Path,
    package: &PackageJson,
    files: &ProjectFiles<'_>,
    is_beside: bool,
) -> Option<ImportedService> {
    let (script, text) = package.start_script()?;
    let mut service = found_service(dir, "web", "package.json");
    service.comments = vec![format!("{}: script `{script}`.", dir.join("package.json").display())];
    if let Some(name) = package.short_name() {
        service.name = name.to_owned();
    }
    if is_beside {
        service.name = "assets".to_owned();
    }
    let mut owned = shell_words::split(text).unwrap_or_default();
    let declared = declared_port::take_option(&mut owned);
    let words: Vec<&str> = owned.iter().map(String::as_str).collect();
    let is_plain = !package.has_hooks(script);
    let www = files.has(dir.join("bin/www"));
    match words.as_slice() {
        // What the presets run, with the port.
        ["vite"] | ["vite", "dev"] if is_plain => service.preset = Some("vite".to_owned()),
        ["next", "dev"] if is_plain => service.preset = Some("next".to_owned()),
        ["node", "./bin/www" | "bin/www"] if is_plain && www && package.needs("express") => {
            service.preset = Some("express".to_owned());
        }
        ["node", "."] if is_plain => service.preset = Some("node".to_owned()),
        _ => run_script(&mut service, script, text, package, manager(dir, package, files)),
    }
    match declared {
        Some(port) => prefer(&mut service, port, "package.json"),
        None => {
            let found = declared_port::in_tool_config(dir, &owned, files);
            found.into_iter().for_each(|(port, file)| prefer(&mut service, port, &file));
        }
    }
    let knows_port = service.preset.as_deref().is_some_and(|preset| preset != "node");
    if !knows_port && service.port.is_none() && !serves(dir, &words, package, files) {
        service.port = Some(PORT);
        service.comments.push(NEED_NOT_LISTEN.to_owned());
        service.ready = Some(ImportedProbe::of(ProbeTest::Started));
    }
    if service.preset.is_none() && service.port.is_none() {
        service.port = Some(PORT);
    }
    Some(service)
}

/// Makes the package manager run a script, with the options by which its server takes the port.
fn run_script(
    service: &mut ImportedService,
    script: &str,
    text: &str,
    package: &PackageJson,
    manager: &str,
) {
    let mut words = shell_words::split(&text.replace([';', '\n'], " ; ")).unwrap_or_default();
    let preset = detect_preset(&words);
    if preset.is_some_and(|preset| preset.name == "node") && !package.has_hooks(script) {
        let is_simple =
            !words.iter().any(|word| word.contains(['&', '|', ';', '$', '=', '>', '*']));
        if is_simple {
            declared_port::replace_option(&mut words, "${PORT}");
            service.preset = Some("node".to_owned());
            service.command = Some(ImportedCommand::Words(words));
            return;
        }
    }
    let options = options_of(&words);
    // Only npm needs `--` to pass options on.
    let gap = if manager == "npm" && !options.is_empty() { " --" } else { "" };
    let command = format!("{manager} run {script}{gap}{options}");
    service.command = Some(ImportedCommand::Shell(command));
    if !options.is_empty() {
        service.preset = preset.map(|preset| preset.name.to_owned());
        service.port = preset.is_none().then_some(PORT);
    }
}

/// Returns the options by which the last command takes its port and host, such as ` --port $PORT`.
fn options_of(words: &[String]) -> String {
    let last = words.rsplit(|word| matches!(word.as_str(), "&&" | "||" | ";" | "|" | "&")).next();
    let serving = last.filter(|words| !builds(words));
    let Some(hints) = serving.and_then(detect_bind_hints) else { return String::new() };
    let mut options: Vec<&str> = Vec::new();
    for hint in [Some(hints.port.as_str()), hints.host.as_deref()].into_iter().flatten() {
        let Some(option) = hint.strip_prefix("pass ").filter(|option| option.starts_with('-'))
        else {
            continue;
        };
        if !options.contains(&option) {
            options.push(option);
        }
    }
    options.iter().map(|option| format!(" {option}")).collect()
}

/// Whether the tool of a server is told to build, as in `vite build --watch`.
fn builds(words: &[String]) -> bool {
    words.iter().any(|word| word == "build")
}

/// Whether a program listens: by its packages, its server, or the call in its file.
fn serves(dir: &Path, words: &[&str], package: &PackageJson, files: &ProjectFiles<'_>) -> bool {
    let owned: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let is_script =
        |word: &&&str| [".js", ".mjs", ".cjs", ".ts"].iter().any(|end| word.ends_with(end));
    let file = words.iter().rev().find(is_script).copied().or(package.main());
    let listens = || {
        let text = file.and_then(|file| files.text(dir.join(file)));
        text.is_some_and(|text| text.contains(".listen(") || text.contains("serve("))
    };
    let is_node = detect_preset(&owned).is_some_and(|preset| preset.name == "node");
    if builds(&owned) {
        return false;
    }
    SERVERS.iter().any(|server| package.needs(server))
        || (!is_node
            && detect_bind_hints(&owned).is_some_and(|hints| hints.port.starts_with("pass ")))
        || listens()
}

/// Returns the package manager: by the lock file here or at the root, or as the package names it.
fn manager<'p>(dir: &Path, package: &'p PackageJson, files: &ProjectFiles<'_>) -> &'p str {
    let locked = |dir: &Path| LOCK_FILES.iter().find(|(file, _)| files.has(dir.join(file)));
    let locked = locked(dir).or_else(|| locked(Path::new(""))).map(|(_, manager)| *manager);
    let named =
        package.package_manager().filter(|name| LOCK_FILES.iter().any(|(_, it)| it == name));
    locked.or(named).unwrap_or("npm")
}

/// Returns the directories of a package's workspaces.
fn members(dir: &Path, package: &PackageJson, files: &ProjectFiles<'_>) -> Vec<PathBuf> {
    let pnpm = files.text(dir.join("pnpm-workspace.yaml"));
    let pnpm = pnpm.and_then(|text| YamlDocument::parse(&text, "pnpm-workspace.yaml").ok());
    let pnpm = pnpm.as_ref().and_then(|pnpm| pnpm.root.get("packages"));
    let pnpm = pnpm.into_iter().flat_map(|list| list.items()).filter_map(|item| item.scalar());
    let patterns: Vec<&str> = package.workspaces().into_iter().chain(pnpm).collect();
    let expand = |pattern: &&str| expand_member(dir, pattern, files);
    let left_out: Vec<PathBuf> =
        patterns.iter().filter_map(|it| it.strip_prefix('!')).flat_map(|it| expand(&it)).collect();
    let named = patterns.iter().filter(|it| !it.starts_with('!')).flat_map(expand);
    let mut members: Vec<PathBuf> = named.filter(|dir| !left_out.contains(dir)).collect();
    members.dedup();
    members
}
