//! Ruby and PHP.

use std::path::Path;

use super::{Detection, ImportedCommand, ProjectFiles, declared_port, found_service, prefer};

pub(super) fn detect_ruby(dir: &Path, files: &ProjectFiles<'_>, found: &mut Detection) {
    let Some(gems) = files.text(dir.join("Gemfile")) else { return };
    let has_gem = |name: &str| {
        gems.lines().any(|line| {
            let rest = line.trim_start().strip_prefix("gem").unwrap_or_default();
            let rest = rest.trim_start_matches(['(', ' ']);
            ['"', '\''].iter().any(|quote| {
                rest.strip_prefix(*quote).and_then(|rest| rest.split(*quote).next()) == Some(name)
            })
        })
    };
    let mut service = found_service(dir, "web", "Gemfile");
    if has_gem("rails") && files.has(dir.join("bin/rails")) {
        service.preset = Some("rails".to_owned());
    } else if files.has(dir.join("config.ru")) {
        let command = "exec bundle exec rackup -p $PORT -o $HOST";
        service.command = Some(ImportedCommand::Shell(command.to_owned()));
        service.port = Some(9292);
        service.watch = Some(vec!["**/*.rb".to_owned(), "config.ru".to_owned()]);
    } else {
        return;
    }
    let puma = "config/puma.rb";
    let port = files.text(dir.join(puma)).and_then(|text| declared_port::in_puma(&text));
    port.into_iter().for_each(|port| prefer(&mut service, port, puma));
    found.services.push(service);
}

pub(super) fn detect_php(dir: &Path, files: &ProjectFiles<'_>, found: &mut Detection) {
    let composer = files.has(dir.join("composer.json"));
    let pages = ["public/index.php", "index.php"].iter().find(|file| files.has(dir.join(file)));
    let why = match pages {
        Some(_) if composer => "composer.json",
        Some(page) => page,
        None => return,
    };
    let mut service = found_service(dir, "web", why);
    service.preset = Some("php".to_owned());
    found.services.push(service);
}
