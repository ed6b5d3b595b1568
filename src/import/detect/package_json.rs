use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What is read of a `package.json`. Keys of another type than expected count as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PackageJson {
    name: Value,
    scripts: BTreeMap<String, Value>,
    dependencies: BTreeMap<String, Value>,
    dev_dependencies: BTreeMap<String, Value>,
    workspaces: Value,
    package_manager: Value,
    main: Value,
}

impl PackageJson {
    pub fn parse(text: &str) -> Result<PackageJson, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Returns its name without the scope.
    pub fn short_name(&self) -> Option<&str> {
        self.name.as_str()?.rsplit('/').next()
    }

    /// Returns the script that starts it for development, and its command.
    pub fn start_script(&self) -> Option<(&str, &str)> {
        let names = ["dev", "start:dev", "develop", "serve", "start"];
        let script = |name: &&'static str| Some((*name, self.scripts.get(*name)?.as_str()?));
        names.iter().filter_map(script).find(|(_, command)| !command.trim().is_empty())
    }

    /// Whether it needs a package to run or to be developed.
    pub fn needs(&self, package: &str) -> bool {
        self.dependencies.contains_key(package) || self.dev_dependencies.contains_key(package)
    }

    /// Whether npm runs other scripts around this one.
    pub fn has_hooks(&self, script: &str) -> bool {
        ["pre", "post"].iter().any(|when| self.scripts.contains_key(&format!("{when}{script}")))
    }

    /// Returns the patterns of its workspaces, if it has some.
    pub fn workspaces(&self) -> Vec<&str> {
        let list = self.workspaces.get("packages").unwrap_or(&self.workspaces);
        list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Returns the package manager that it names.
    pub fn package_manager(&self) -> Option<&str> {
        self.package_manager.as_str()?.split('@').next()
    }

    pub fn main(&self) -> Option<&str> {
        self.main.as_str()
    }
}
