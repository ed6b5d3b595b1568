use std::collections::BTreeMap;
use std::path::Path;

use super::{labels, object};
use crate::export::yaml::{Yaml, YamlTable};
use crate::export::{ExportNotes, shell};
use crate::model::{
    MissingVariable, Name, PortableEnvFile, PortableService, PortableStack, PortableText,
    PortableVariable, TextPiece, UniqueNames,
};

/// The environment of a container: what is known in a ConfigMap, what is open from Secrets.
pub(super) struct ServiceEnvironment<'a> {
    stack: &'a PortableStack,
    service: &'a PortableService,
    secrets: &'a SecretNames<'a>,
    /// The Secret of each open variable, by its name.
    open: BTreeMap<&'a str, OpenVariable>,
}

/// The Secrets of the stack, each with a name of its own.
pub(super) struct SecretNames<'a> {
    files: BTreeMap<&'a Path, Name>,
    /// That of the variables which no file sets.
    environment: Name,
}

impl<'a> SecretNames<'a> {
    pub fn new(stack: &'a PortableStack) -> SecretNames<'a> {
        let mut names = UniqueNames::default();
        let mut take = |what: &str| {
            let other = Name::new("secret").expect("a name");
            names.take(&format!("{}-{what}", stack.name), &other)
        };
        let environment = take("environment");
        let mut files = BTreeMap::new();
        for file in stack.services.values().flat_map(|service| &service.env_files) {
            let path = file.path.as_path();
            files.entry(path).or_insert_with(|| take(&shown(stack, path)));
        }
        SecretNames { files, environment }
    }

    /// Returns the Secret of an env file.
    fn of(&self, file: &Path) -> &Name {
        // Only files that a service has can set a variable.
        self.files.get(file).unwrap_or(&self.environment)
    }
}

/// Returns the path of a file as commands name it.
fn shown(stack: &PortableStack, file: &Path) -> String {
    file.strip_prefix(&stack.dir).unwrap_or(file).to_string_lossy().into_owned()
}

struct OpenVariable {
    secret: String,
    optional: bool,
}

impl<'a> ServiceEnvironment<'a> {
    pub fn new(
        stack: &'a PortableStack,
        service: &'a PortableService,
        secrets: &'a SecretNames<'a>,
        notes: &mut ExportNotes,
    ) -> ServiceEnvironment<'a> {
        let mut environment = ServiceEnvironment { stack, service, secrets, open: BTreeMap::new() };
        for file in &service.env_files {
            let secret = secrets.of(&file.path);
            let file = shell::quoted(&shown(stack, &file.path)).into_owned();
            notes.step(
                service,
                format!("kubectl create secret generic {secret} --from-env-file={file}"),
            );
        }
        let command = service.command.texts().iter();
        let texts: Vec<&PortableText> = service.env.values().chain(command).collect();
        for open in texts.iter().flat_map(|text| text.variables()) {
            if let (None, MissingVariable::Default(_)) = (&open.file, &open.missing) {
                notes.lose(format!("${{{}}}: its default is used", open.name), service);
                continue;
            }
            let secret = match &open.file {
                Some(file) => secrets.of(file),
                None => {
                    let secret = &secrets.environment;
                    notes.step(service, format!("put {} into the secret {secret}", open.name));
                    secret
                }
            };
            let optional = matches!(open.missing, MissingVariable::Default(_));
            let secret = secret.to_string();
            environment.open.insert(&open.name, OpenVariable { secret, optional });
        }
        environment
    }

    fn config_map_name(&self) -> String {
        format!("{}-env", self.service.host_name)
    }

    /// Returns the variables with known values, if there are any.
    pub fn config_map(&self) -> Option<Yaml> {
        let data: YamlTable = self.known().collect();
        self.known().next()?;
        let labels = labels(self.stack, self.service);
        Some(object("v1", "ConfigMap", &self.config_map_name(), labels).with("data", data).into())
    }

    fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        let env = self.service.env.iter();
        env.filter_map(|(name, text)| Some((name.as_str(), text.as_literal()?)))
    }

    /// Returns whole sources of variables, later ones over earlier ones.
    pub fn sources(&self) -> Vec<Yaml> {
        let secret = |file: &PortableEnvFile| {
            let secret = YamlTable::default().with("name", self.secrets.of(&file.path).as_str());
            let secret = secret.with_some("optional", file.optional.then_some(true));
            YamlTable::default().with("secretRef", secret).into()
        };
        let mut sources: Vec<Yaml> = self.service.env_files.iter().map(secret).collect();
        if self.known().next().is_some() {
            let map = YamlTable::default().with("name", self.config_map_name());
            sources.push(YamlTable::default().with("configMapRef", map).into());
        }
        sources
    }

    /// Returns single variables: first those that others refer to.
    pub fn variables(&self) -> Vec<Yaml> {
        let entry = |name: &str| YamlTable::default().with("name", name);
        let open = self.open.iter().map(|(name, open)| {
            let key = YamlTable::default()
                .with("name", open.secret.as_str())
                .with("key", *name)
                .with_some("optional", open.optional.then_some(true));
            let source = YamlTable::default().with("secretKeyRef", key);
            entry(name).with("valueFrom", source).into()
        });
        let made = self.service.env.iter().filter(|(_, text)| text.as_literal().is_none());
        let mut made: Vec<_> = made.filter(|(name, text)| !is_reference_to(text, name)).collect();
        // What extends a variable changes what it means to those that follow.
        made.sort_by_key(|(name, text)| text.variables().any(|open| open.name == **name));
        let made =
            made.into_iter().map(|(name, text)| entry(name).with("value", expanded(text)).into());
        open.chain(made).collect()
    }
}

/// Whether a variable only passes on the one of the same name.
fn is_reference_to(text: &PortableText, name: &str) -> bool {
    let [TextPiece::Variable(open)] = text.pieces.as_slice() else { return false };
    open.name == name && !is_default(open)
}

fn is_default(open: &PortableVariable) -> bool {
    open.file.is_none() && matches!(open.missing, MissingVariable::Default(_))
}

/// Writes a text in which Kubernetes expands the open variables.
pub(super) fn expanded(text: &PortableText) -> String {
    text.render(escape, |open| match &open.missing {
        MissingVariable::Default(text) if open.file.is_none() => expanded(text),
        MissingVariable::Fail | MissingVariable::Default(_) | MissingVariable::Message(_) => {
            format!("$({})", open.name)
        }
    })
}

/// Writes text that Kubernetes must leave as it is where it expands variables: it reads `$$` as `$`.
pub(super) fn escape(text: &str) -> String {
    text.replace('$', "$$")
}
