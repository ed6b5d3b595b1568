//! `devstack trust`: HTTPS for the names of services.

use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use jiff::Timestamp;

use crate::cli::render::{CommandError, message_text, print, warn};
use crate::cli::start::{PromptReply, TtyPrompt};
use crate::control::CaDir;
use crate::exit_code::ExitCode;
use crate::https::stores::{
    StoreAction, StoreContent, StorePlan, TrustCommand, TrustFacts, TrustGoal, TrustStore,
    is_installed, plan,
};
use crate::https::{LocalCa, PermittedNames};
use crate::model::{Message, MessageClass};
use crate::ports::display_home_relative;
use crate::text::join;

/// How `certutil` is installed, by the program that installs packages.
const CERTUTIL_PACKAGES: [(&str, &str); 5] = [
    ("apt-get", "sudo apt-get install libnss3-tools"),
    ("dnf", "sudo dnf install nss-tools"),
    ("pacman", "sudo pacman -S nss"),
    ("zypper", "sudo zypper install mozilla-nss-tools"),
    ("apk", "sudo apk add nss-tools"),
];

/// What to do once programs trust the CA.
const USE_IT: &str =
    "set `https = true` in [stack.proxy] to let devstack show https addresses and pass them on\n";

/// Addresses follow the CA when the files of a stack are read.
const AFTER_UNDO: &str = "stacks with `https = true` that run now use http once they start again or their files change\n";

/// `devstack trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Also make certificates for these names and all below them, such as shop.test; localhost is always one of them
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Remove the CA from all stores, and delete it
    #[arg(long, conflicts_with = "names")]
    pub undo: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before changing anything
    #[arg(long)]
    pub yes: bool,
}

/// `devstack trust`: shows what changes, asks, does it, and reports which stores trust the CA.
pub(crate) fn trust(args: &TrustArgs) -> Result<ExitCode, CommandError> {
    let dir = CaDir::locate()?;
    if args.undo { undo(&dir, args) } else { create_and_trust(&dir, args) }
}

fn create_and_trust(dir: &CaDir, args: &TrustArgs) -> Result<ExitCode, CommandError> {
    let existing = LocalCa::load(dir.path())?;
    let new = new_ca(existing.as_ref(), &args.names, SystemTime::now())?;
    let shown = display_home_relative(dir.path());
    let headline = new
        .as_ref()
        .map(|new| format!("create a local CA in {shown} for {}{}\n", new.names, new.instead_of));
    // Stores that hold one that is replaced hold an old one.
    let ca = existing.filter(|_| new.is_none());
    let certificate = LocalCa::certificate_file(dir.path());
    let goal = TrustGoal::Trusted(&certificate);
    let plans = plan(&TrustFacts::of_this_machine(ca.as_ref()), goal);
    if let Some(code) = stop_before(headline, &plans, args)? {
        return Ok(code);
    }
    let ca = match new {
        Some(NewCa { names, .. }) => {
            dir.create()?;
            Some(LocalCa::create(dir.path(), names, SystemTime::now())?)
        }
        None => ca,
    };
    carry_out(&plans);
    let facts = TrustFacts::of_this_machine(ca.as_ref());
    let result = TrustResult::new(&facts, StoreContent::ThisCa);
    let mut text = listed("trusted by", &result.done) + &listed("not trusted by", &result.open);
    if facts.stores.is_empty() {
        text += &format!("found no store to add it to: add {} yourself\n", certificate.display());
    }
    text += &result.left_to_do(&plans);
    text += &hints(&certificate, facts.bundle(), is_installed);
    text += USE_IT;
    print(&text)?;
    Ok(result.exit_code())
}

fn undo(dir: &CaDir, args: &TrustArgs) -> Result<ExitCode, CommandError> {
    let shown = display_home_relative(dir.path());
    let headline = dir.path().exists().then(|| format!("delete the local CA in {shown}\n"));
    let plans = plan(&TrustFacts::of_this_machine(None), TrustGoal::Removed);
    if let Some(code) = stop_before(headline.clone(), &plans, args)? {
        return Ok(code);
    }
    carry_out(&plans);
    LocalCa::remove(dir.path()).map_err(|error| {
        Message::new(MessageClass::Disk, format!("cannot delete the local CA in {shown}: {error}"))
    })?;
    let result = TrustResult::new(&TrustFacts::of_this_machine(None), StoreContent::Nothing);
    let mut text = match result.open.is_empty() {
        true => "no store trusts a CA of devstack\n".to_owned(),
        false => listed("still in", &result.open),
    };
    if headline.is_some() {
        text += AFTER_UNDO;
    }
    print(&(text + &result.left_to_do(&plans)))?;
    Ok(result.exit_code())
}

/// A CA to create.
struct NewCa {
    names: PermittedNames,
    /// Which one it replaces, and why; empty if there is none.
    instead_of: String,
}

/// Decides whether a CA must be created. An existing one keeps its names, and gets more.
fn new_ca(
    existing: Option<&LocalCa>,
    given: &[String],
    now: SystemTime,
) -> Result<Option<NewCa>, Message> {
    let mut names =
        existing.map_or_else(PermittedNames::localhost, |existing| existing.names().clone());
    given.iter().try_for_each(|name| names.add(name))?;
    let instead_of = match existing {
        None => String::new(),
        Some(existing) if existing.expires_soon(now) => {
            format!(", instead of the one that expires {}", date(existing.expires()))
        }
        Some(existing) if *existing.names() != names => {
            format!(", instead of the one for {}", existing.names())
        }
        Some(_) => return Ok(None),
    };
    Ok(Some(NewCa { names, instead_of }))
}

/// Shows what will change and asks. Returns the exit code if nothing should be changed.
fn stop_before(
    headline: Option<String>,
    plans: &[StorePlan],
    args: &TrustArgs,
) -> Result<Option<ExitCode>, CommandError> {
    let runs = |plan: &StorePlan| matches!(plan.action, StoreAction::Run(_));
    let changes = headline.is_some() || plans.iter().any(runs);
    let text = headline.unwrap_or_default() + &plans_text(plans);
    print(if text.is_empty() { "nothing to change\n" } else { &text })?;
    if args.dry_run {
        return Ok(Some(ExitCode::OK));
    }
    if !changes || args.yes {
        return Ok(None);
    }
    let mut person = TtyPrompt::here().ok_or_else(|| {
        Message::new(MessageClass::Usage, "cannot prompt: stdin is not a terminal")
            .help("run `devstack trust` with --yes to make these changes, or with --dry-run")
    })?;
    if person.ask("make these changes? [yes/N]") == PromptReply::Line("yes".to_owned()) {
        return Ok(None);
    }
    warn("nothing changed\n");
    Ok(Some(ExitCode::FAILED))
}

/// Formats what is done to stores, with all commands.
fn plans_text(plans: &[StorePlan]) -> String {
    let mut text = String::new();
    for StorePlan { store, action } in plans {
        let label = store_label(store);
        text += &match action {
            StoreAction::Keep => continue,
            StoreAction::NeedsCertutil => format!("{label}: skipped, certutil is not installed\n"),
            StoreAction::Run(commands) => format!("{label}: run\n{}", indented("", commands)),
            StoreAction::AskRoot(commands) => {
                format!("{label}: only root can do this\n{}", indented("sudo ", commands))
            }
        };
    }
    text
}

fn indented(before: &str, commands: &[TrustCommand]) -> String {
    commands.iter().map(|command| format!("    {before}{command}\n")).collect()
}

/// Runs the commands of all stores. One that fails stops those of its store only.
fn carry_out(plans: &[StorePlan]) {
    for StorePlan { store, action } in plans {
        let StoreAction::Run(commands) = action else { continue };
        if let Err(why) = commands.iter().try_for_each(|command| command.run().map(drop)) {
            let text = format!("{}: {why}", store_label(store));
            warn(&message_text(&Message::new(MessageClass::Denied, text), false));
        }
    }
}

/// Which stores are as they should be, after the commands.
struct TrustResult {
    done: Vec<String>,
    open: Vec<String>,
    unknown: Vec<String>,
}

impl TrustResult {
    fn new(facts: &TrustFacts, wanted: StoreContent) -> TrustResult {
        let mut result = TrustResult { done: Vec::new(), open: Vec::new(), unknown: Vec::new() };
        for (store, content) in &facts.stores {
            let list = match content {
                StoreContent::Unreadable => &mut result.unknown,
                content if *content == wanted => &mut result.done,
                StoreContent::Nothing | StoreContent::ThisCa | StoreContent::Stale => {
                    &mut result.open
                }
            };
            list.push(store_label(store));
        }
        result
    }

    /// Formats what the user must do for the rest.
    fn left_to_do(&self, plans: &[StorePlan]) -> String {
        let mut text = String::new();
        if !self.unknown.is_empty() {
            let package = CERTUTIL_PACKAGES.iter().find(|(program, _)| is_installed(program));
            let how = package.map_or(String::new(), |(_, command)| format!(" with `{command}`"));
            text += &listed("unknown", &self.unknown);
            text += &format!("  help: install certutil{how}, then run this again\n");
        }
        for StorePlan { store, action } in plans {
            if let StoreAction::AskRoot(commands) = action
                && self.open.contains(&store_label(store))
            {
                text += &format!("  help: run this as root:\n{}", indented("sudo ", commands));
            }
        }
        text
    }

    /// Fails as long as a store is not as it should be.
    fn exit_code(&self) -> ExitCode {
        if self.open.is_empty() { ExitCode::OK } else { ExitCode::FAILED }
    }
}

/// Formats stores after a word: `trusted by: system, Firefox (…)`. Empty if there is none.
fn listed(what: &str, stores: &[String]) -> String {
    if stores.is_empty() { String::new() } else { format!("{what}: {}\n", join(stores, ", ")) }
}

/// What programs need that use no store of the system.
fn hints(certificate: &Path, bundle: Option<&str>, is_there: impl Fn(&str) -> bool) -> String {
    let certificate = certificate.to_string_lossy();
    let certificate = shell_words::quote(&certificate);
    let mut text = String::new();
    if is_there("node") {
        text += &format!("Node.js: export NODE_EXTRA_CA_CERTS={certificate}\n");
    }
    if let Some(bundle) = bundle.filter(|_| is_there("python3")) {
        text += &format!("Python (requests): export REQUESTS_CA_BUNDLE={bundle}\n");
    }
    if is_there("keytool") {
        text += &format!(
            "Java: sudo keytool -importcert -cacerts -storepass changeit -noprompt -alias devstack -file {certificate}\n"
        );
    }
    text
}

/// Returns the name of a store and where it is: `Firefox (~/.mozilla/firefox/x.default)`.
pub(crate) fn store_label(store: &TrustStore) -> String {
    match store {
        TrustStore::System { .. } | TrustStore::Keychain(_) => store.name().to_owned(),
        TrustStore::Nss { browser, dir } => {
            format!("{browser} ({})", display_home_relative(dir))
        }
    }
}

/// Returns the day of a time, in UTC.
pub(crate) fn date(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ca_is_made_once_and_again_for_more_names_or_before_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let given =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let new = new_ca(None, &given(&["shop.test"]), now).unwrap().unwrap();
        assert_eq!(new.instead_of, "");
        let ca = LocalCa::create(dir.path(), new.names, now).unwrap();
        for known in [&[][..], &["shop.test"], &["a.shop.test", "x.localhost"]] {
            assert!(new_ca(Some(&ca), &given(known), now).unwrap().is_none(), "{known:?}");
        }
        let more = new_ca(Some(&ca), &given(&["b.test"]), now).unwrap().unwrap();
        let text = more.names.to_string();
        assert_eq!(text, "b.test, *.b.test, localhost, *.localhost, shop.test, *.shop.test");
        let late = ca.expires() - Duration::from_secs(24 * 60 * 60);
        let again = new_ca(Some(&ca), &[], late).unwrap().unwrap();
        assert_eq!(
            again.instead_of,
            format!(", instead of the one that expires {}", date(ca.expires()))
        );
        assert!(new_ca(Some(&ca), &given(&["com"]), now).is_err());
    }

    #[test]
    fn hints_are_for_programs_that_are_there() {
        let certificate = Path::new("/home/u/a b/ca.crt");
        let all = hints(certificate, Some("/etc/ssl/certs/ca-certificates.crt"), |_| true);
        insta::assert_snapshot!(all);
        assert_eq!(hints(certificate, Some("/etc/bundle"), |_| false), "");
    }
}
