//! `devstack trust`: a CA of this user, in the browsers of a home directory. The programs that change the system are
//! imitated: their names lead to a script that writes down what it was asked to do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{CommandOutput, TestCommand, TestProject};

/// The databases of two browsers, below the home directory.
const DATABASES: [&str; 2] = [".pki/nssdb", ".mozilla/firefox/x.default"];

/// What changes the system. None of them may be the real one.
const IMITATED: [&str; 6] =
    ["install", "rm", "update-ca-certificates", "update-ca-trust", "security", "certutil"];

struct Scene {
    project: TestProject,
    /// The only directory on `PATH`.
    programs: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let project = TestProject::new();
        let programs = project.outside("programs");
        let log = project.outside("commands");
        for program in IMITATED {
            let script = format!("#!/bin/sh\necho \"${{0##*/}} $*\" >> '{}'\n", log.display());
            let path = project.write(programs.join(program), &script);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        Scene { project, programs }
    }

    /// With the real `certutil` and empty databases. `None` if it is not installed.
    fn with_browsers() -> Option<Scene> {
        let path = std::env::var_os("PATH")?;
        let real = std::env::split_paths(&path).map(|dir| dir.join("certutil"));
        let real = real.into_iter().find(|program| program.is_file())?;
        let scene = Scene::new();
        let place = scene.programs.join("certutil");
        fs::remove_file(&place).expect("it is ours");
        symlink(real, place).expect("it is free");
        for database in DATABASES {
            let dir = scene.project.outside("home").join(database);
            fs::create_dir_all(&dir).expect("it is new");
            scene.certutil(database, &["-N", "--empty-password"]);
        }
        Some(scene)
    }

    fn devstack(&self, args: &[&str]) -> TestCommand {
        self.project.devstack(args).env("PATH", &self.programs)
    }

    /// Whatever the exit code: the system of the machine trusts nothing that these tests make.
    fn trust(&self, args: &[&str]) -> CommandOutput {
        self.devstack(&["trust"]).args(args).run()
    }

    fn certutil(&self, database: &str, args: &[&str]) -> String {
        let dir = self.project.outside("home").join(database);
        let database = format!("sql:{}", dir.display());
        let program = self.programs.join("certutil");
        let output = Command::new(program).args(["-d", &database]).args(args).output();
        String::from_utf8_lossy(&output.expect("it is installed").stdout).into_owned()
    }

    /// The line of a database about the CA, with its trust flags.
    fn entry(&self, database: &str) -> Option<String> {
        let list = self.certutil(database, &["-L"]);
        list.lines().find(|line| line.starts_with("devstack CA")).map(ToOwned::to_owned)
    }

    fn ca(&self) -> PathBuf {
        self.project.outside("state").join("devstack/ca")
    }

    fn commands(&self) -> String {
        fs::read_to_string(self.project.outside("commands")).unwrap_or_default()
    }
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).expect("it is there")
}

#[test]
fn browsers_trust_the_ca_until_it_is_undone() {
    let Some(scene) = Scene::with_browsers() else { return };
    let database = scene.project.outside("home").join(DATABASES[0]).join("cert9.db");
    let before = read(&database);
    let shown = scene.trust(&["--dry-run"]).expect_code(0).stdout;
    assert!(shown.starts_with("create a local CA in "), "{shown}");
    assert!(shown.contains("Chromium (~/.pki/nssdb): run\n    certutil -A -d sql:"), "{shown}");
    assert!(!scene.ca().exists() && read(&database) == before && scene.commands().is_empty());

    let done = scene.trust(&["--yes"]);
    let trusted = "Chromium (~/.pki/nssdb), Firefox (~/.mozilla/firefox/x.default)";
    assert!(done.stdout.contains(&format!("trusted by: {trusted}\n")), "{done:?}");
    for database in DATABASES {
        assert!(
            scene.entry(database).is_some_and(|entry| entry.trim_end().ends_with(" C,,")),
            "{database}"
        );
    }
    let files = |name: &str| fs::metadata(scene.ca().join(name)).expect("it is there");
    assert_eq!(files("ca.json").permissions().mode() & 0o777, 0o600);
    let ca = read(scene.ca().join("ca.json"));

    let again = scene.trust(&["--yes", "web.localhost"]);
    assert!(again.stdout.contains(trusted), "{again:?}");
    assert!(read(scene.ca().join("ca.json")) == ca, "it is not made again");
    let doctor = scene.devstack(&["doctor", "--json"]).run().stdout;
    assert!(doctor.contains(&format!("; trusted by {trusted}")), "{doctor}");

    // More names need another CA: no store keeps the first.
    let more = scene.trust(&["--yes", "shop.test"]);
    assert!(more.stdout.contains("shop.test, *.shop.test, instead of the one for"), "{more:?}");
    let public = String::from_utf8(read(scene.ca().join("ca.crt"))).expect("PEM");
    for database in DATABASES {
        let entry = scene.entry(database).expect("it is there");
        let name = entry.split("  ").next().expect("a name");
        let held = scene.certutil(database, &["-L", "-n", name, "-a"]).replace('\r', "");
        assert_eq!(held.trim(), public.trim());
    }

    let undone = scene.trust(&["--undo", "--yes"]);
    let end = "\nno store trusts a CA of devstack\n\
         stacks with `https = true` that run now use http once they start again or their files change\n";
    assert!(undone.stdout.ends_with(end), "{undone:?}");
    assert!(DATABASES.iter().all(|database| scene.entry(database).is_none()));
    assert!(!scene.ca().exists());
    let shown = scene.trust(&["--undo"]).expect_code(0).stdout;
    assert_eq!(shown, "nothing to change\nno store trusts a CA of devstack\n");
    scene.project.finish();
}

#[test]
fn nothing_changes_without_a_yes() {
    let scene = Scene::new();
    let ended = scene.trust(&[]).expect_code(2);
    assert!(ended.stderr.contains("run `devstack trust` with --yes"), "{ended:?}");
    for keys in [&b"no\r"[..], b"y\r", b"\x03"] {
        let asked = scene.devstack(&["trust"]).terminal(24, 200).start();
        asked.wait_for("make these changes? [yes/N]");
        asked.write(keys);
        assert_eq!(asked.wait_code(), 1);
    }
    assert!(!scene.ca().exists() && scene.commands().is_empty());
    let asked = scene.devstack(&["trust"]).terminal(24, 200).start();
    asked.wait_for("make these changes? [yes/N]");
    asked.write(b"yes\r");
    asked.wait_exit();
    assert!(scene.ca().join("ca.json").exists());
    scene.project.finish();
}

#[test]
fn what_cannot_be_done_is_reported_and_the_rest_is_done() {
    let scene = Scene::new();
    let project = &scene.project;
    let database = project.write(project.outside("home").join(DATABASES[0]).join("cert9.db"), "");
    // Says nothing of what a database holds, and adds nothing.
    let failing = "#!/bin/sh\necho 'certutil: no luck\x1b[31m' >&2\nexit 255\n";
    project.write(scene.programs.join("certutil"), failing);
    let ended = scene.trust(&["--yes"]).expect_code(1);
    assert!(ended.stderr.contains("error: Chromium (~/.pki/nssdb): `certutil -A "), "{ended:?}");
    assert!(ended.stderr.contains("failed: certutil: no luck\\u001b[31m\n"), "{ended:?}");
    assert!(ended.stdout.contains("not trusted by: "), "{ended:?}");
    assert!(scene.ca().join("ca.json").exists());

    fs::remove_file(scene.programs.join("certutil")).expect("it is ours");
    let ended = scene.trust(&["--yes"]);
    assert!(ended.stdout.contains("unknown: Chromium (~/.pki/nssdb)\n"), "{ended:?}");
    assert!(ended.stdout.contains("help: install certutil"), "{ended:?}");
    fs::remove_file(database).expect("it is ours");

    for bad in ["com", "10.0.0.1", "a b.test"] {
        let ended = scene.trust(&["--yes", bad]).expect_code(2);
        assert!(ended.stderr.contains("cannot make certificates for"), "{ended:?}");
    }
    fs::set_permissions(scene.ca(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let ended = scene.trust(&["--yes"]).expect_code(1);
    assert!(ended.stderr.contains("has mode 0755, expected 0700"), "{ended:?}");
    fs::set_permissions(scene.ca(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    fs::write(scene.ca().join("ca.json"), "{}").expect("it is ours");
    let ended = scene.trust(&["--yes"]);
    assert!(ended.stderr.contains("run `devstack trust --undo`"), "{ended:?}");
    scene.trust(&["--undo", "--yes"]);
    assert!(!scene.ca().exists());
    scene.project.finish();
}
