//! Real editors and tools, with default settings: one save is one restart, and so is one checkout.

use std::fs;
use std::io::Write;

use crate::change::{end, save, starts, watching};
use crate::support::{RunningProgram, Signal, TestProject, require_program};

/// Starts the stack and saves this often, each time when the run of the save before is there. Each save is one
/// restart, no less and no more. Many in step with the restarts would be a restart loop, so every fourth restart is by
/// hand, which begins a new row.
#[track_caller]
fn saves(project: TestProject, count: usize, by: impl FnMut(&TestProject, usize)) {
    let up = up(&project, count, by);
    last(project, &up, begun(count + 1));
}

/// Starts the stack and saves, as [`saves`].
#[track_caller]
fn up(
    project: &TestProject,
    count: usize,
    mut by: impl FnMut(&TestProject, usize),
) -> RunningProgram {
    let up = project.up();
    for number in 1..=count {
        by(project, number);
        starts(project, begun(number));
        if number % ROW == 0 {
            project.devstack(["restart", "api"]).run().expect_code(0);
            starts(project, begun(number) + 1);
        }
    }
    up
}

/// How many saves in a row are no restart loop, however regular they are.
const ROW: usize = 3;

/// How often the service has started for this many saves, unless the last is followed by a restart by hand.
fn begun(saves: usize) -> usize {
    1 + saves + (saves - 1) / ROW
}

/// One more save, which must be one more restart: so was everything before it, then.
#[track_caller]
fn last(project: TestProject, up: &RunningProgram, count: usize) {
    save(&project, "src/app.py", "the last");
    starts(&project, count);
    end(project, up, count);
}

fn project(keys: &str) -> TestProject {
    let project = TestProject::new();
    watching(&project, keys);
    project
}

/// One vim that continues to edit, as in daily use.
fn by_vim(count: usize, settings: &str, keys: &str) {
    if require_program("vim").is_none() {
        return;
    }
    let project = project(keys);
    // Vim makes no backup below /tmp by default.
    let settings = format!("set nocompatible backupskip= {settings}");
    let args = ["-N", "-u", "NONE", "-i", "NONE", "-e", "-s", "-c", &settings, "src/app.py"];
    let vim = project.program("vim").args(args).env("TERM", "dumb").stdin().start();
    let up = up(&project, count, |_, number| {
        vim.write(format!("1s/.*/number = {number}/\nw\n").as_bytes());
    });
    vim.write(b"q!\n");
    vim.wait_exit();
    last(project, &up, begun(count + 1));
}

#[test]
fn a_hundred_saves_by_vim() {
    by_vim(100, "writebackup", "watch = true");
}

#[test]
fn saves_by_vim_into_the_same_file() {
    by_vim(30, "writebackup backupcopy=yes", "watch = [\"**/*.py\"]");
}

#[test]
fn saves_by_vim_with_backups_that_count_as_files() {
    by_vim(10, "backup backupcopy=no backupext=.bak", "watch = true");
}

#[test]
fn a_hundred_saves_by_sed() {
    let project = project("watch = true");
    saves(project, 100, |project, number| {
        let script = format!("s/.*/number = {number}/");
        project.program("sed").args(["-i", &script, "src/app.py"]).run().expect_code(0);
    });
}

#[test]
fn a_hundred_saves_by_an_atomic_writer() {
    saves(project("watch = true"), 100, |project, number| {
        let (draft, path) = (project.path("src/app.py.tmp"), project.path("src/app.py"));
        let mut file = fs::File::create(&draft).expect("it is ours");
        for line in 0..20 {
            writeln!(file, "line {line} of {number}").expect("it is ours");
        }
        file.sync_all().expect("it is ours");
        drop(file);
        fs::rename(draft, path).expect("both are there");
    });
}

/// As Visual Studio Code, nano and most others do: emptied, written and closed in one go.
#[test]
fn a_hundred_saves_in_place() {
    saves(project("watch = true"), 100, |project, number| {
        let path = project.path("src/app.py");
        fs::write(path, format!("number = {number}\n")).expect("it is ours");
    });
}

/// As JetBrains does: a new file beside it, the old one moved away, the new one moved in, the old one removed.
#[test]
fn saves_by_two_renames() {
    saves(project("watch = true"), 30, |project, number| {
        let at = |end: &str| project.path(format!("src/app.py{end}"));
        fs::write(at("___jb_tmp___"), format!("number = {number}\n")).expect("it is ours");
        fs::rename(at(""), at("___jb_old___")).expect("it is there");
        fs::rename(at("___jb_tmp___"), at("")).expect("it is there");
        fs::remove_file(at("___jb_old___")).expect("it is there");
    });
}

/// A service that takes long to stop: each save comes long after the one before it was acted on, when quiet has
/// returned, and is acted on at once.
#[test]
fn saves_after_quiet() {
    let project = TestProject::new();
    project.write("src/app.py", "0");
    project.configure(
        r#"
        [services.api]
        dir = "src"
        command = ["{misbehave}", "marker", "../markers", "--stop-ms", "120"]
        watch = true
        "#,
    );
    saves(project, 20, |project, number| {
        fs::write(project.path("src/app.py"), number.to_string()).expect("it is ours");
    });
}

/// As a formatter does that is started once for all files.
#[test]
fn a_formatter_over_300_files_is_one_restart() {
    let project = project("watch = true");
    for number in 0..300 {
        project.write(format!("src/m{}/f{number}.py", number % 9), "x = 1\n");
    }
    let up = project.up();
    for (round, end) in [(1, "x =  2\n"), (2, "x = 3\n")] {
        for number in 0..300 {
            project.write(format!("src/m{}/f{number}.py", number % 9), end);
        }
        starts(&project, 1 + round);
    }
    last(project, &up, 4);
}

fn git(project: &TestProject, args: &[&str]) {
    let user = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
    project.program("git").args(user).args(args).run().expect_code(0);
}

/// A repository with two branches that differ in all of so many files.
fn repository(files: usize) -> Option<TestProject> {
    require_program("git")?;
    let project = project("watch = true");
    git(&project, &["init", "-q"]);
    for branch in ["main", "other"] {
        for number in 0..files {
            project.write(format!("src/m{}/f{number}.py", number % 50), branch);
        }
        git(&project, &["add", "src"]);
        git(&project, &["commit", "-qm", branch]);
        if branch == "main" {
            git(&project, &["checkout", "-qb", "other"]);
        }
    }
    Some(project)
}

#[test]
fn a_checkout_of_2000_files_is_one_restart() {
    let Some(project) = repository(2_000) else { return };
    let up = project.up();
    for (at, branch) in ["main", "other", "main"].iter().enumerate() {
        git(&project, &["checkout", "-q", branch]);
        starts(&project, at + 2);
    }
    last(project, &up, 5);
}

#[test]
fn a_rebase_of_many_steps_is_one_restart() {
    let Some(project) = repository(100) else { return };
    for number in 0..8 {
        project.write("src/app.py", &format!("step {number}"));
        git(&project, &["commit", "-qam", "step"]);
    }
    git(&project, &["checkout", "-q", "main"]);
    project.write("src/other.py", "else");
    git(&project, &["add", "src/other.py"]);
    git(&project, &["commit", "-qm", "else"]);
    git(&project, &["checkout", "-q", "other"]);
    let up = project.up();
    git(&project, &["rebase", "-q", "main"]);
    starts(&project, 2);
    last(project, &up, 3);
}

#[test]
fn a_burst_of_ten_thousand_changes_is_a_few_restarts() {
    let project = TestProject::new();
    project.write("src/app.py", "the first");
    // It prints what it was started with.
    project.configure(
        "[services.api]\ndir = \"src\"\nwatch = true\n\
         command = \"sed -n p app.py; exec {misbehave} marker ../markers\"\n",
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("api | the first");
    up.wait_for("is up");
    for number in 0..10_000 {
        let path = project.path(format!("src/f{}.py", number % 500));
        fs::write(path, number.to_string()).expect("it is ours");
    }
    save(&project, "src/app.py", "the last");
    // Whatever it was, the last state runs.
    up.wait_for("api | the last");
    up.end();
    let markers = crate::support::MarkerLog::read(&project.path("markers"));
    let count = markers.count("start", "api");
    // A machine that stalls in the middle of it makes several bursts of one; usually there are two to four.
    assert!(count <= 100, "{count} starts: {:?}", up.lines());
    markers.assert_no_overlap();
    project.finish();
}

/// The kernel drops events that are not read: it keeps 16,384, and each of these files is three.
#[test]
fn what_happened_while_devstack_stood_still_is_one_restart() {
    let project = project("watch = true");
    let up = project.up();
    up.stop();
    for number in 0..7_000 {
        fs::write(project.path(format!("src/f{number}.py")), "x").expect("it is ours");
    }
    up.signal(Signal::CONT);
    starts(&project, 2);
    last(project, &up, 3);
}
