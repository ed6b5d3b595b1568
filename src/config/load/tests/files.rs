//! Which files are read, and which override which.

use super::*;

#[test]
fn later_layers_of_the_environment_win() {
    let project = Project::new(
        r#"
        [stack]
        env = { C = "stack", D = "stack", N = 1, T = true }
        [services.api]
        command = "serve"
        env_file = ["a.env", { path = "absent.env", optional = true }]
        env = { E = "service", PATH = "bin:$PATH", ALL = "$A $B $C $D $E ${X} $$ $5" }
        "#,
    )
    .file(".env", "A=file\nB=file\nC=file\nD=file\nE=file\nX='$A'\n")
    .file(".env.local", "B=local\n")
    .file("a.env", "D=a\nE=a\n")
    .env("A", "outer")
    .env("PATH", "/bin");
    let env = project.stack().services[&name("api")].launch.env.clone();
    assert_eq!(&env["ALL"], "file local stack a service $A $ $5");
    assert_eq!(&env["PATH"], "bin:/bin");
    assert_eq!((&env["N"], &env["T"]), ("1", "true"));
    let files = project.draft().files().clone();
    for file in
        ["devstack.toml", "devstack.local.toml", ".env", ".env.local", "a.env", "absent.env"]
    {
        assert!(files.contains(&project.path(file)), "{file}");
    }
}

#[test]
fn line_ends_of_windows_reach_no_program() {
    let text = r#"[stack]
name = "shop"
[services.api]
dir = "/"
command = """
one \
  more
two\r
"""
env = { A = """
a
b""", B = '''c
d''' }
[services.list]
dir = "/"
command = ["sh", "-c", '''
three
four''']
"#;
    let launch = |text: &str| {
        let project = Project::new(text).file(".env", "C='e\r\nf'\r\nD=\"g\r\nh\"\r\n");
        let services = project.stack().services;
        ["api", "list"].map(|service| services[&name(service)].launch.clone())
    };
    let expected = launch(text);
    assert_eq!(launch(&text.replace('\n', "\r\n")), expected);
    let letters = ["A", "B", "C", "D"].map(|name| &expected[0].env[name]);
    assert_eq!(letters, ["a\nb", "c\nd", "e\nf", "g\nh"]);
    assert_eq!(expected[0].command, CommandLine::Shell("one more\ntwo\r\n".to_owned()));
}

#[test]
fn errors_after_line_ends_of_windows_are_found() {
    let text = "\u{feff}[services.api]\r\ncommand = [\"sh\", \"\"\"\r\nä ${nope.url}\r\n\"\"\"]\r\nprot = 1\r\n";
    let project = Project::new(text).file(".env", "A=1\r\nnonsense\r\n");
    assert_eq!(
        project.mistakes(),
        [
            ".env:2:1: line without `=`",
            "devstack.toml:3:3: unknown service `nope`",
            "devstack.toml:5:1: unknown key `prot` in a service",
        ]
    );
    let shown = load(&project.sources).unwrap_err().render(false);
    assert!(!shown.contains('␍'), "{shown}");
}

#[test]
fn references_in_env_files_see_the_environment() {
    let project = Project::new("[services.api]\ncommand = 'a'\n")
        .file(".env", "# a\nDB=${DB_HOST}:${DB_PORT:-5432}\nURL=pg://${DB}/${NAME}\n")
        .env("DB_HOST", "db");
    let env = project.stack().services[&name("api")].launch.env.clone();
    assert_eq!((&env["DB"], &env["URL"]), ("db:5432", "pg://db:5432/"));
    let config = project.draft();
    let [note] = config.notes() else { panic!("{:?}", config.notes()) };
    assert_eq!(note.text, ".env:3: `NAME` is not set and expands to nothing in `URL`");
}

#[test]
fn one_persons_file_lies_over_the_shared_one() {
    let project = Project::new(TWO).file(
        "devstack.local.toml",
        "[services.api]\nport = 5050\nenv = { A = '1' }\n[services.mine]\ncommand = 'm'",
    );
    let stack = project.stack();
    assert_eq!(stack.services[&name("api")].ports[0].number, 5050);
    assert_eq!(stack.primary, Some(name("api")), "the order of the first file counts");
    assert_eq!(stack.services.len(), 3);
    let project = project.file("devstack.local.toml", "[services.api]\nport = 3000");
    assert_eq!(project.mistakes(), ["devstack.local.toml:2:8: web and api both use port 3000"]);
    let project = project.file("devstack.local.toml", "[services.api]\nprot = 1");
    assert_eq!(project.mistakes(), ["devstack.local.toml:2:1: unknown key `prot` in a service"]);
}

#[test]
fn files_are_found_from_below_and_by_name() {
    let mut project =
        Project::new(TWO).file("a/b/x", "").file("other.toml", "[services.api]\nport = 1234");
    project.sources.cwd = project.path("a/b");
    assert_eq!(project.stack().dir, project.dir.path());
    project.sources.files = vec!["../../devstack.toml".into(), "../../other.toml".into()];
    let stack = project.stack();
    assert_eq!(stack.dir, fs::canonicalize(project.dir.path()).expect("a directory"));
    assert_eq!(stack.services[&name("api")].ports[0].number, 1234);
    project.sources.files = vec!["no.toml".into(), "..".into()];
    let expected = ["cannot read `no.toml`: no such file", "cannot read `..`: it is a directory"];
    assert_eq!(project.mistakes(), expected);
    let error = load(&project.sources).expect_err("it has mistakes");
    assert!(error.files().contains(&project.path("a/b/no.toml")), "a watcher can wait for it");
}

#[test]
fn no_file_at_all_is_explained() {
    let dir = tempfile::tempdir().expect("a directory");
    let sources = ConfigSources { cwd: dir.path().to_owned(), ..ConfigSources::default() };
    let error = load(&sources).expect_err("there is no file");
    let text =
        format!("no devstack.toml found in {} or any parent directory", dir.path().display());
    assert_eq!(error.summary().text, text);
    assert!(error.files().contains(&dir.path().join("devstack.toml")));
}

#[test]
fn files_that_are_no_text_are_refused() {
    let is = |project: Project, text: &str| assert_eq!(project.mistakes(), [text]);
    let binary = Project::new("").file("devstack.toml", b"a = 1\n\xff");
    is(binary, "cannot read `devstack.toml`: line 2 is not UTF-8");
    let large = Project::new(&"#".repeat(1024 * 1024 + 1));
    is(large, "cannot read `devstack.toml`: it is larger than 1 MiB");
    let device = Project::new(TWO).file("x.toml", "[stack]\nenv_file = '/dev/zero'");
    let device = device.with(|s| s.files = vec!["devstack.toml".into(), "x.toml".into()]);
    is(device, "x.toml:2:12: cannot read env file `/dev/zero`: it is not a regular file");
    let mark = Project::new(&format!("\u{feff}{TWO}")).file(".env", "\u{feff}A=1");
    assert_eq!(&mark.stack().services[&name("api")].launch.env["A"], "1");
    let windows = Project::new(&TWO.replace('\n', "\r\n"));
    assert_eq!(windows.stack().services.len(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let project = Project::new("[services.a]\ncommand = 'a'\nenv_file = 'pipe'");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        project.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    let expected = ["devstack.toml:3:12: cannot read env file `pipe`: it is not a regular file"];
    assert_eq!(project.mistakes(), expected);
}

#[test]
fn passwords_are_never_shown() {
    let project = Project::new(TWO).file(".env", "A=1\ncanary-secret\nB='canary-secret\n");
    let error = load(&project.sources).expect_err("it has mistakes");
    assert_eq!(error.list().len(), 2);
    assert!(!error.render(true).contains("canary"), "{error}");
    assert!(!format!("{:?}", error.summary()).contains("canary"));
}

#[test]
fn a_mistake_without_a_place_has_no_frame() {
    let dir = tempfile::tempdir().expect("a directory");
    let sources = ConfigSources { cwd: dir.path().to_owned(), ..ConfigSources::default() };
    let text = load(&sources).expect_err("there is no file").to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("error: no devstack.toml found in "), "{text}");
    assert!(lines[1].starts_with("  help: create one, "), "{text}");
    assert_eq!(lines[2], "        [services.web]");
}

#[cfg(target_os = "linux")]
#[test]
fn env_files_of_others_and_files_without_end_are_refused() {
    use std::os::unix::fs::{MetadataExt, symlink};

    // Its owner is neither root nor us: only root can give files away.
    let me = fs::metadata("/proc/self").expect("we live").uid();
    let text = "[services.a]\ncommand = 'a'\nenv_file = 'x.env'";
    let large = Project::new(text);
    let file = fs::File::create(large.path("x.env")).expect("a file");
    file.set_len(1 << 30).expect("it needs no room");
    let is = |project: &Project, why: &str| {
        let expected = format!("devstack.toml:3:12: cannot read env file `x.env`: {why}");
        assert_eq!(project.mistakes(), [expected]);
    };
    is(&large, "it is larger than 1 MiB");
    let device = Project::new(text);
    symlink("/dev/zero", device.path("x.env")).expect("a link");
    is(&device, "it is not a regular file");
    let own = Project::new(text).file("x.env", "A=1").with(|s| s.user = Some(me));
    assert_eq!(&own.stack().services[&name("a")].launch.env["A"], "1");
}

/// Gives files away, which only root may; `None` where the tests run as another user.
#[cfg(target_os = "linux")]
fn give_away(project: &Project, names: &[&str]) -> Option<u32> {
    use std::os::unix::fs::{MetadataExt, lchown};

    /// Neither root nor the user of the tests.
    const OTHER: u32 = 4321;
    (fs::metadata("/proc/self").expect("the process exists").uid() == 0).then_some(())?;
    for name in names {
        lchown(project.path(name), Some(OTHER), Some(OTHER)).expect("root may");
    }
    Some(OTHER)
}

#[cfg(target_os = "linux")]
#[test]
fn env_and_local_files_of_others_are_refused_unless_the_configuration_is_theirs_too() {
    let text = "[services.a]\ncommand = 'a'\nenv_file = 'x.env'";
    let project = Project::new(text).file("x.env", "A=1").with(|s| s.user = Some(0));
    let Some(owner) = give_away(&project, &["x.env"]) else { return };
    let why = format!("it is owned by user {owner}, not by you or the owner of the configuration");
    let env = format!("devstack.toml:3:12: cannot read env file `x.env`: {why}");
    assert_eq!(project.mistakes(), [env]);
    let project = project.file("devstack.local.toml", "[stack]\nenv = { B = '1' }");
    give_away(&project, &["devstack.local.toml"]);
    assert_eq!(project.mistakes()[0], format!("cannot read `devstack.local.toml`: {why}"));
    give_away(&project, &["devstack.toml"]);
    let note = format!("`devstack.toml` belongs to user {owner}, not to you");
    assert_eq!(project.draft().notes().iter().map(|note| &note.text).collect::<Vec<_>>(), [&note]);
    let env = &project.stack().services[&name("a")].launch.env;
    assert_eq!((&env["A"], &env["B"]), ("1", "1"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_link_of_another_user_is_refused_like_a_file() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let project = Project::new(TWO).file("mine.toml", TWO).with(|s| s.user = Some(0));
    fs::remove_file(project.path("devstack.toml")).expect("it is there");
    symlink("mine.toml", project.path("devstack.toml")).expect("a link");
    let Some(owner) = give_away(&project, &["devstack.toml"]) else { return };
    fs::set_permissions(project.dir.path(), fs::Permissions::from_mode(0o1777)).expect("ours");
    let why = format!("it is owned by user {owner}, and others can write its directory");
    assert_eq!(project.mistakes(), [format!("cannot read `devstack.toml`: {why}")]);
    let named = project.with(|s| s.files = vec!["devstack.toml".into()]);
    assert_eq!(named.stack().services.len(), 2, "named on purpose");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_above_of_another_user_is_refused_and_the_search_has_limits() {
    use std::os::unix::fs::PermissionsExt;

    let mut project = Project::new(TWO).file("a/b/x", "").with(|s| s.user = Some(0));
    project.sources.cwd = project.path("a/b");
    let Some(owner) = give_away(&project, &["devstack.toml"]) else { return };
    let file = project.path("devstack.toml").display().to_string();
    let refused = format!("cannot read `{file}`: it is owned by user {owner}, not by you");
    assert_eq!(project.mistakes(), [refused]);
    give_away(&project, &["", "a", "a/b"]);
    assert_eq!(project.stack().services.len(), 2, "they could change what is here, too");

    let root = project.dir.path().to_owned();
    let ends = |why: &str| {
        let (cwd, last) = (root.join("a/b"), root.join("a"));
        format!(
            "no devstack.toml found in {} or up to {}; the search ends there: {why}",
            cwd.display(),
            last.display()
        )
    };
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).expect("root may");
    assert_eq!(project.mistakes(), [ends("other users can write the directory above it")]);
    let help = load(&project.sources).expect_err("not found").list()[0].message().help.clone();
    assert!(help.starts_with(&format!("to use `{file}`, read it and give it with -f; or ")));
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("root may");
    let home = fs::canonicalize(project.path("a")).expect("it exists").display().to_string();
    assert_eq!(project.env("HOME", &home).mistakes(), [ends("it is the home directory")]);
}

#[test]
fn no_excerpt_of_a_file_that_a_link_leads_to_elsewhere() {
    let outside = Project::new("secret = canary");
    let project = Project::new("");
    fs::remove_file(project.path("devstack.toml")).expect("it is there");
    std::os::unix::fs::symlink(outside.path("devstack.toml"), project.path("devstack.toml"))
        .expect("a link");
    let shown = load(&project.sources).expect_err("not a configuration").render(false);
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("devstack.toml:1:"), "{shown}");
}
