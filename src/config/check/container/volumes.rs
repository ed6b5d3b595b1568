use std::path::Path;

use crate::config::check::{ConfigChecker, normalize};
use crate::config::diagnostics::{DiagnosticBuilder, Span, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::model::{VolumeMount, VolumeSource, is_volume_name};

const HOW: &str = "write \"NAME:/path\", \"./dir:/path\" or \"./dir:/path:ro\"";

impl ConfigChecker<'_, '_> {
    /// Checks `volumes`; relative paths start at `dir`.
    pub(super) fn volumes(&mut self, service: &RawTable<'_>, dir: &Path) -> Vec<VolumeMount> {
        let Some(node) = service.get("volumes").map(|entry| &entry.node) else { return Vec::new() };
        let RawValue::List(list) = &node.value else {
            self.type_error::<()>("volumes", "an array of strings", node);
            return Vec::new();
        };
        let mut found: Vec<(VolumeMount, Span)> = Vec::new();
        for node in list {
            let Some(mount) = self.volume(node, dir) else { continue };
            match found.iter().find(|(other, _)| other.target == mount.target) {
                Some((_, at)) => {
                    let text = format!("two volumes are mounted at {}", quote(&mount.target));
                    let fault = DiagnosticBuilder::at(node.at, text).secondary(*at, "first here");
                    self.error(fault.help("remove one of them, or change its path inside"));
                }
                None => found.push((mount, node.at)),
            }
        }
        found.into_iter().map(|(mount, _)| mount).collect()
    }

    fn volume(&mut self, node: &SpannedValue<'_>, dir: &Path) -> Option<VolumeMount> {
        let written = self.static_text("volumes[]", node)?;
        let (rest, mode) = match written.rsplit_once(':') {
            Some((rest, mode))
                if !mode.contains('/') && (rest.contains(':') || rest.starts_with('/')) =>
            {
                (rest, mode)
            }
            _ => (written.as_str(), "rw"),
        };
        if !matches!(mode, "ro" | "rw") {
            let text = format!("unknown option {} of a volume", quote(mode));
            let help = match mode {
                "" => HOW,
                _ => "use `ro`, or remove it: the container may write by default",
            };
            return self.reject(node.at, text, help);
        }
        let (source, target) = match rest.rsplit_once(':') {
            Some((source, target)) => (Some(source), target),
            None => (None, rest),
        };
        if !target.starts_with('/') || target.trim_end_matches('/').is_empty() {
            let text = format!("invalid path {} inside the container", quote(target));
            return self.reject(node.at, text, HOW);
        }
        let source = match source {
            None => VolumeSource::Anonymous,
            Some(path) if path.starts_with(['.', '/']) => {
                VolumeSource::Bind(normalize(&dir.join(path)))
            }
            Some(name) if is_volume_name(name) => VolumeSource::Named(name.to_owned()),
            Some(name) => {
                let text = format!("invalid volume {}", quote(name));
                let help = match name {
                    "" => HOW.to_owned(),
                    name if name.starts_with('~') => {
                        "write the whole path: `~` is known only to a shell".to_owned()
                    }
                    name if name.contains('/') => format!("for a directory, write \"./{name}\""),
                    _ => "use letters, digits, `_`, `.` and `-`, at least two".to_owned(),
                };
                return self.reject(node.at, text, help);
            }
        };
        let target = target.trim_end_matches('/').to_owned();
        Some(VolumeMount { source, target, read_only: mode == "ro" })
    }
}
