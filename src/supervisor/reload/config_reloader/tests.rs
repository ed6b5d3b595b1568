use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::config::ConfigSources;
use crate::supervisor::reload::LoadConstraints;

/// Whether the next load panics.
static PANICS: AtomicBool = AtomicBool::new(false);

/// Panics once, if asked to.
fn panic_once(_: &mut Stack) {
    assert!(!PANICS.swap(false, Ordering::Relaxed), "injected");
}

struct ReloadFixture {
    reloader: ConfigReloader,
    stack: Arc<Stack>,
    tell: mpsc::UnboundedSender<ReloadOutcome>,
    reported: mpsc::UnboundedReceiver<ReloadOutcome>,
}

impl ReloadFixture {
    fn new(dir: &Path) -> ReloadFixture {
        fs::write(
            dir.join("devstack.toml"),
            "[services.api]\ncommand = \"api\"\nport = \"auto\"\n",
        )
        .unwrap();
        let sources = ConfigSources { cwd: dir.to_owned(), ..ConfigSources::default() };
        let draft = Arc::new(config::load(&sources).unwrap());
        let ports = PortAllocator::open(&dir.join("leases"), &dir.join("ports.json"), dir);
        let ports = Arc::new(Mutex::new(ports));
        let (place, has_ca) = (None, || Ok(false));
        let loader = StackLoader { sources, ports, color: false, place, has_ca, adapt: panic_once };
        let made = loader.load(&draft, &LoadConstraints::default());
        let stack = made.unwrap_or_else(|conflicts| panic!("{conflicts:?}")).stack;
        let (tell, reported) = mpsc::unbounded_channel();
        ReloadFixture { reloader: ConfigReloader::new(loader, draft, true), stack, tell, reported }
    }

    /// Starts the task that is due and returns what comes of it.
    async fn next(&mut self) -> ReloadOutcome {
        let task = self.reloader.due().expect("a task is due");
        let present = ReloadBaseline::of(&self.stack, LoadConstraints::default());
        self.reloader.start(task, &self.stack, present, &self.tell);
        assert!(self.reloader.due().is_none(), "one task at a time");
        let outcome = self.reported.recv().await.expect("every task has an outcome");
        self.reloader.finished(None);
        outcome
    }
}

#[tokio::test]
async fn after_a_panic_the_next_request_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut reload = ReloadFixture::new(dir.path());

    PANICS.store(true, Ordering::Relaxed);
    reload.reloader.files_changed();
    let ReloadOutcome::Panicked(bug) = reload.next().await else { panic!("no panic was told") };
    assert_eq!(bug.class, MessageClass::Internal);
    assert!(bug.text.contains("injected"), "{bug}");
    reload.reloader.files_changed();
    assert!(matches!(reload.next().await, ReloadOutcome::Stack(_)));

    PANICS.store(true, Ordering::Relaxed);
    reload.reloader.modes_changed();
    let ReloadOutcome::NotSwitched(bugs) = reload.next().await else { panic!("it was switched") };
    assert_eq!(bugs.iter().map(|bug| bug.class).collect::<Vec<_>>(), [MessageClass::Internal]);
    reload.reloader.modes_changed();
    assert!(matches!(reload.next().await, ReloadOutcome::Switched(_)));

    PANICS.store(true, Ordering::Relaxed);
    let api = Name::new("api").unwrap();
    reload.reloader.reassign(api.clone());
    let ReloadOutcome::PortsReassigned { outcome, .. } = reload.next().await else {
        panic!("another outcome")
    };
    assert_eq!(outcome[&api].as_ref().map_err(|bug| bug.class), Err(MessageClass::Internal));
    reload.reloader.reassign(api.clone());
    let ReloadOutcome::PortsReassigned { outcome, .. } = reload.next().await else {
        panic!("another outcome")
    };
    assert_eq!(outcome[&api], Ok(()));

    PANICS.store(true, Ordering::Relaxed);
    let present = ReloadBaseline::of(&reload.stack, LoadConstraints::default());
    let (tell, reported) = tokio::sync::oneshot::channel();
    reload.reloader.preview(present, move |found| drop(tell.send(found.map(drop))));
    let bug = reported.await.expect("a preview has a result").unwrap_err();
    assert_eq!(bug.class, MessageClass::Internal);
}
