use std::io::{Write, stderr};
use std::path::PathBuf;

use super::complain::print_bytes;
use super::env_args::{Env, EnvForm};
use super::env_text::{Written, dotenv, shell, table};
use super::given::{OF_FILES, Source, environment};
use crate::model::{EnvView, VariableOrigin};

/// `devstack env SERVICE`: prints the environment of a service.
pub(super) fn env(files: Vec<PathBuf>, args: &Env) -> i32 {
    let form = if args.json { EnvForm::Json } else { args.format };
    let (mut view, source) = match environment(files, &args.service, form == EnvForm::Json) {
        Ok(found) => found,
        Err(refused) => return refused.say(),
    };
    view.variables.retain(|variable| args.all || variable.origin != VariableOrigin::Inherited);
    if let Source::Files = source {
        note(OF_FILES);
    }
    print_bytes(&text(&view, form, args.explain))
}

fn text(view: &EnvView, form: EnvForm, explain: bool) -> Vec<u8> {
    let Written { text, left_out } = match form {
        EnvForm::Json => {
            let mut text = serde_json::to_vec(view).expect("environments serialize to JSON");
            text.push(b'\n');
            return text;
        }
        _ if explain => {
            return table(view, &std::env::current_dir().unwrap_or_default()).into_bytes();
        }
        EnvForm::Dotenv => dotenv(view),
        EnvForm::Shell => shell(view),
    };
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        note(&format!(
            "note: omitted because this format cannot represent them: {names}; use --format json"
        ));
    }
    text
}

fn note(text: &str) {
    // Only informative: the result is on stdout.
    let _ = writeln!(stderr(), "{text}");
}
