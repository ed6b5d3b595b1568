//! What shells complete, asked of the shells.

use std::path::{Path, PathBuf};

use crate::support::{TestCommand, TestProject, require_program};

const FILE: &str = "[services.api]\ncommand = 'x'\nprofiles = ['full']\n[services.api-docs]\ncommand = 'x'\n[services.web]\ncommand = 'x'\nactions.flush = 'x'\nactions.seed = { command = 'x', args = ['count'] }\n";

/// A project whose shells find devstack by its name.
fn project() -> TestProject {
    TestProject::with_config(FILE)
}

/// The shell, with devstack first in its PATH.
fn shell(project: &TestProject, shell: &Path, args: &[&str]) -> TestCommand {
    let dir = PathBuf::from(env!("CARGO_BIN_EXE_devstack"));
    let dir = dir.parent().expect("it is in a directory").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    project.program(shell).args(args).env("PATH", format!("{dir}:{path}"))
}

/// What devstack itself offers for the last of these words, as fish reads it: without a shell.
fn offered(project: &TestProject, words: &[&str]) -> Vec<String> {
    let ended = project
        .devstack(["--", "devstack"])
        .args(words)
        .env("DEVSTACK_COMPLETE", "fish")
        .run()
        .expect_code(0);
    assert_eq!(ended.stderr, "", "{words:?}");
    let word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    ended.stdout.lines().map(word).collect()
}

#[test]
fn names_of_the_stack_are_offered() {
    let project = project();
    project.write("other/some.toml", "[services.mail]\ncommand = 'x'\n");
    project.write("devstack.local.toml", "[services.mine]\ncommand = 'x'\n");
    for (words, wanted) in [
        (&["restart", "a"][..], &["api", "api-docs"][..]),
        (&["restart", "api", "w"], &["web"]),
        (&["logs", "m"], &["mine"]),
        (&["up", "--port", "w"], &["web="]),
        (&["up", "--profile", ""], &["full"]),
        (&["run", "--service", "w"], &["web"]),
        (&["-f", "other/some.toml", "restart", ""], &["mail"]),
        (&["restart", "-f", "other/some.toml", ""], &["mail"]),
        (&["logs", "-f", "w"], &["web"]),
        (&["do", "a"], &["api", "api-docs"]),
        (&["do", "web", ""], &["flush", "seed"]),
        (&["do", "--detach", "web", "s"], &["seed"]),
        (&["do", "api", ""], &[]),
        (&["presets", "po"], &["postgres"]),
        (&["man", "sch"], &["schema"]),
        (&["completions", ""], &["bash", "fish", "zsh"]),
        (&["res"], &["restart"]),
    ] {
        let mut offered = offered(&project, words);
        offered.retain(|word| !word.starts_with('-'));
        offered.sort();
        assert_eq!(offered, wanted, "{words:?}");
    }
    let options = offered(&project, &["up", "--str"]);
    assert_eq!(options, ["--strict-ports"]);
    project.finish();
}

#[test]
fn whatever_is_wrong_nothing_is_said() {
    let project = project();
    let deep = "a.".repeat(10_000);
    for text in ["[services.api]\ncommand = ", "\0", "services = 1", "", &deep] {
        project.configure(text);
        let named = offered(&project, &["restart", ""]);
        assert_eq!(named.contains(&"api".to_owned()), text.contains("api"), "{text}");
    }
    std::fs::remove_file(project.path("devstack.toml")).expect("it is there");
    offered(&project, &["restart", ""]);
    offered(&project, &["nonsense", "--what", ""]);
    offered(&project, &["-f"]);
    // An unknown shell, and no words at all.
    for (shell, words) in [("tcsh", &["--", "devstack", ""][..]), ("bash", &["--"])] {
        let launch = project.devstack(words).env("DEVSTACK_COMPLETE", shell);
        assert_eq!(launch.run().expect_code(0).stderr, "");
    }
    // Empty is as good as not set.
    let launch = project.devstack(["--version"]).env("DEVSTACK_COMPLETE", "");
    assert!(launch.run().expect_code(0).stdout.starts_with("devstack "));
    project.finish();
}

#[test]
fn bash_completes() {
    let Some(bash) = require_program("bash") else { return };
    let project = project();
    let complete = |words: &str, index: usize| {
        let script = format!(
            "source <(devstack completions bash)
             COMP_WORDS=({words}) COMP_CWORD={index} COMP_TYPE=9
             _clap_complete_devstack devstack \"${{COMP_WORDS[{index}]}}\"
             echo \"${{COMPREPLY[@]}}\""
        );
        let ended = shell(&project, &bash, &["--norc", "-c", &script]).run().expect_code(0);
        assert_eq!(ended.stderr, "");
        ended.stdout
    };
    assert_eq!(complete("devstack restart a", 2), "api api-docs\n");
    assert_eq!(complete("devstack do web f", 3), "flush\n");
    assert_eq!(complete("devstack resta", 1), "restart\n");
    project.finish();
}

#[test]
fn bash_quotes_the_names_of_files() {
    let Some(bash) = require_program("bash") else { return };
    let project = project();
    for name in
        ["a;touch PWNED;#.toml", "b$(touch PWNED).toml", "*.toml", "e\u{b}`touch PWNED`.toml"]
    {
        project.write(name, FILE);
    }
    // None is offered: bash would insert it as it is.
    for begin in ["a", "b", "*", "e", ""] {
        let asked = project.devstack(["--", "devstack", "-f", begin]);
        let asked = asked.env("DEVSTACK_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2");
        assert_eq!(asked.run().expect_code(0).stdout, "", "{begin}");
    }
    let bash = shell(&project, &bash, &["--norc", "--noprofile", "-i"]).terminal(24, 200).start();
    bash.write(b"source <(devstack completions bash); PS1='> '; echo rea''dy\r");
    bash.wait_for("ready");
    for (begin, quoted) in
        [("-f a", r"-f a\;touch\ PWNED\;"), ("-f b", r"-f b\$\(touch\ PWNED\).toml")]
    {
        let here = bash.here();
        bash.write(format!("devstack {begin}\t").as_bytes());
        bash.wait_since(here, quoted);
        bash.write(b"check; echo $? do''ne\r");
        bash.wait_since(here, "0 done");
    }
    assert!(!project.path("PWNED").exists());
    bash.write(b"exit\r");
    bash.wait_exit();
    project.finish();
}

#[test]
fn fish_completes() {
    let Some(fish) = require_program("fish") else { return };
    let project = project();
    let script = "devstack completions fish | source; complete --do-complete 'devstack restart a'; complete --do-complete 'devstack resta'";
    let ended = shell(&project, &fish, &["--no-config", "-c", script]).run().expect_code(0);
    assert_eq!(ended.stderr, "");
    let words: Vec<&str> =
        ended.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(words, ["api", "api-docs", "restart"]);
    project.finish();
}

#[test]
fn zsh_completes() {
    let Some(zsh) = require_program("zsh") else { return };
    let project = project();
    let zsh = shell(&project, &zsh, &["-f", "-i"]).terminal(24, 80).start();
    zsh.write(b"autoload -Uz compinit && compinit -D && source <(devstack completions zsh); echo rea''dy\r");
    zsh.wait_for("ready");
    zsh.write(b"devstack restart w\t");
    // What the key completed is shown before the line is entered.
    zsh.wait_for("restart web");
    zsh.write(b"\x15exit\r");
    zsh.wait_exit();
    project.finish();
}
