use std::path::Path;

use crate::config::check::{ConfigChecker, normalize};
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::template::Template;
use crate::model::{ImageBuild, ImageSource};

impl ConfigChecker<'_, '_> {
    /// Checks `image` and `build`, one of which is there; `dir` is the directory of the service.
    pub(super) fn image_source(
        &mut self,
        table: &RawTable<'_>,
        dir: &Path,
    ) -> Option<ImageSource<Template>> {
        if let (Some(image), Some(build)) = (table.get("image"), table.get("build")) {
            let fault = DiagnosticBuilder::at(build.key, "both `image` and `build` are set");
            let fault = fault.secondary(image.key, "also set here");
            self.error(fault.help("keep `build` to build the image, or `image` to pull it"));
            return None;
        }
        if table.contains_key("image") {
            return self.get(table, "image", Self::full_text).map(ImageSource::Image);
        }
        let build = self.get(table, "build", |check, key, node| check.build(key, node, dir))?;
        Some(ImageSource::Build(build))
    }

    fn build(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
        dir: &Path,
    ) -> Option<ImageBuild<Template>> {
        let build = |context| ImageBuild { context, file: None, target: None, args: [].into() };
        let table = match &node.value {
            RawValue::Text(_) => return self.path_below(key, node, dir).map(build),
            RawValue::Table(table) => table,
            _ => return self.type_error(key, "a path or a table", node),
        };
        self.check_keys(table, misplaced::BUILD, "`build`");
        let context = match table.get("context") {
            Some(entry) => self.path_below("context", &entry.node, dir)?,
            None => dir.to_owned(),
        };
        let file =
            self.get(table, "file", |check, key, node| check.path_below(key, node, &context));
        Some(ImageBuild {
            file,
            target: self.get(table, "target", Self::full_text),
            args: self.get(table, "args", Self::variables).unwrap_or_default(),
            ..build(context)
        })
    }

    /// Checks a path; relative ones start at `dir`.
    fn path_below(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
        dir: &Path,
    ) -> Option<std::path::PathBuf> {
        let text = self.static_text(key, node)?;
        if text.is_empty() {
            let help = "use `.` for the directory of the service";
            return self.reject(node.at, format!("`{key}` is empty"), help);
        }
        if text.contains("://") || text.starts_with("git@") {
            let help = "use a directory of this machine, or `image`";
            return self.reject(node.at, format!("`{key}` is not a directory"), help);
        }
        Some(normalize(&dir.join(text)))
    }
}
