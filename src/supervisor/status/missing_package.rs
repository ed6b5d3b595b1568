//! Programs that exit because a package is not installed: another run would, too.

use crate::model::{Message, MessageClass, Service};
use crate::text::quote;

/// Python modules that come in a package of the same name.
const INSTALLABLE: [&str; 19] = [
    "aiohttp", "alembic", "celery", "daphne", "debugpy", "django", "fastapi", "flask", "gunicorn",
    "httpx", "hypercorn", "jupyterlab", "mkdocs", "pydantic", "sanic", "sqlalchemy", "streamlit",
    "uvicorn", "waitress",
];

/// How Node begins the line about a module or package that it does not find.
const NODE_ERRORS: [&str; 2] =
    ["Error: Cannot find module '", "Error [ERR_MODULE_NOT_FOUND]: Cannot find package '"];

/// Returns what is missing, if the last lines of a run say so. In a container nothing that is installed
/// here would help.
pub(crate) fn missing_package(service: &Service, lines: &[String]) -> Option<Message> {
    if service.launch.container.is_some() {
        return None;
    }
    let last = lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty())?;
    let (text, way) = run_module(last)
        .or_else(|| python_import(last, lines))
        .or_else(|| node_module(service, last, lines))?;
    let help = format!("{way}, then run `devstack restart {}`", service.name);
    Some(Message::new(MessageClass::Spawn, text).help(help))
}

/// What `python -m NAME` reports.
fn run_module(last: &str) -> Option<(String, String)> {
    let (python, module) = last.split_once(": No module named ")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let program = python.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_path = python.starts_with('/') || !python.contains(char::is_whitespace);
    if !(program.ends_with("python") && is_path) {
        return None;
    }
    let package = module.split('.').next().unwrap_or(module);
    if package.is_empty() || !module.chars().all(plain) {
        return None;
    }
    Some(match INSTALLABLE.contains(&package) {
        true => (
            format!("Python module `{module}` is not installed for {python}"),
            format!("run `{} -m pip install {package}`", shell_words::quote(python)),
        ),
        false => (
            format!("{python} finds no module `{module}`"),
            "check its name and `dir`, or install it".to_owned(),
        ),
    })
}

/// An import of a known package that fails. Others may be anything, such as a misspelled name.
fn python_import(last: &str, lines: &[String]) -> Option<(String, String)> {
    // `manage.py` of Django hides the error behind one of its own.
    let is_last = |line: &&String| line.trim() == last || last.contains("Couldn't import Django");
    let error = lines.iter().rev().filter(is_last);
    let module = error
        .filter_map(|line| line.trim().strip_prefix("ModuleNotFoundError: No module named '"))
        .find_map(|rest| rest.strip_suffix('\''))?;
    let package = module.split('.').next().filter(|package| INSTALLABLE.contains(package))?;
    Some((
        format!("Python module `{module}` is not installed"),
        format!("run `pip install {package}` in the Python environment of this service"),
    ))
}

/// A package that Node does not find. A missing file has a path instead.
fn node_module(service: &Service, last: &str, lines: &[String]) -> Option<(String, String)> {
    last.strip_prefix("Node.js v")?;
    let after_error = |line: &String| {
        NODE_ERRORS
            .iter()
            .find_map(|error| line.trim().strip_prefix(error))
            .and_then(|rest| rest.split('\'').next())
            .map(str::to_owned)
    };
    let module = lines.iter().rev().find_map(after_error)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "@/-_.".contains(c);
    if module.starts_with(['.', '/']) || !module.chars().all(plain) {
        return None;
    }
    let parts = if module.starts_with('@') { 2 } else { 1 };
    let package = module.split('/').take(parts).collect::<Vec<_>>().join("/");
    let dir = quote(&service.launch.dir.to_string_lossy());
    Some((
        format!("Node package `{package}` is not installed"),
        format!(
            "run `npm install` in {dir}, or `npm install {package}` if package.json does not list it"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContainerConfig;

    /// The text and help about `api` in /shop, after it printed this.
    fn about(output: &str) -> Option<(String, String)> {
        let mut service = Service::sample("api");
        service.launch.dir = "/shop".into();
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        missing_package(&service, &lines).map(|message| (message.text, message.help))
    }

    fn said(output: &str) -> String {
        let (text, help) = about(output).expect("something is missing");
        format!("{text}\n  {help}")
    }

    #[test]
    fn a_module_that_python_does_not_run_is_named_with_how_to_install_it() {
        insta::assert_snapshot!(said("starting\n/shop/.venv/bin/python: No module named debugpy\n\n"), @"
        Python module `debugpy` is not installed for /shop/.venv/bin/python
          run `/shop/.venv/bin/python -m pip install debugpy`, then run `devstack restart api`
        ");
        insta::assert_snapshot!(said("python: No module named shop.web"), @"
        python finds no module `shop.web`
          check its name and `dir`, or install it, then run `devstack restart api`
        ");
        assert!(about("/usr/bin/python3: No module named uvicorn.main").is_some());
        for line in ["python: No module named ", "rm -rf x; python: No module named flask"] {
            assert_eq!(about(line), None);
        }
        assert_eq!(about("python-like: No module named flask"), None);
    }

    #[test]
    fn what_an_image_lacks_is_not_installed_here() {
        let lines = ["python: No module named debugpy".to_owned()];
        let mut service = Service::sample("api");
        assert!(missing_package(&service, &lines).is_some());
        service.launch.container = Some(ContainerConfig::sample("python:3"));
        assert_eq!(missing_package(&service, &lines), None);
    }

    #[test]
    fn an_import_of_a_known_package_is_told_how_to_install_it() {
        insta::assert_snapshot!(said("  import flask\nModuleNotFoundError: No module named 'flask.app'\n"), @"
        Python module `flask.app` is not installed
          run `pip install flask` in the Python environment of this service, then run `devstack restart api`
        ");
        let django = "ModuleNotFoundError: No module named 'django'\n\nTraceback …\nImportError: \
            Couldn't import Django. Are you sure it's installed?\n";
        insta::assert_snapshot!(said(django), @"
        Python module `django` is not installed
          run `pip install django` in the Python environment of this service, then run `devstack restart api`
        ");
        // It may be a misspelled name, or one that the program can do without.
        assert_eq!(about("ModuleNotFoundError: No module named 'shop'"), None);
        assert_eq!(about("ModuleNotFoundError: No module named 'flask'\nno database"), None);
    }

    #[test]
    fn a_package_that_node_does_not_find_is_named() {
        let cannot = |error: &str| {
            format!("  throw err;\n{error}\nRequire stack:\n- /shop/a.js\n\nNode.js v22.1.0\n")
        };
        insta::assert_snapshot!(said(&cannot("Error: Cannot find module 'express'")), @"
        Node package `express` is not installed
          run `npm install` in `/shop`, or `npm install express` if package.json does not list it, then run `devstack restart api`
        ");
        insta::assert_snapshot!(said(&cannot("Error [ERR_MODULE_NOT_FOUND]: Cannot find package '@acme/ui' imported from /shop/a.js")), @"
        Node package `@acme/ui` is not installed
          run `npm install` in `/shop`, or `npm install @acme/ui` if package.json does not list it, then run `devstack restart api`
        ");
        for module in ["./routes", "/shop/bin/www", "a b"] {
            assert_eq!(about(&cannot(&format!("Error: Cannot find module '{module}'"))), None);
        }
        assert_eq!(about("Error: Cannot find module 'express'\ncontinuing without it"), None);
    }
}
