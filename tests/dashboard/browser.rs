//! The page in a browser: `tests/dashboard/page.py` operates it.

use std::path::Path;

use crate::support::{TestProject, free_port, require, require_program};

const SHOP: &str = r#"
[stack]
name = "shop"
env = { API_KEY = "topsecret", SHOWN = "<b>plain</b>" }
[services.api]
command = ["{misbehave}", "listen", "--http"]
port = "auto"
primary = true
[services.api.actions]
seed = { command = "printf '\\033[31mseeded %s\\033[0m\\n' $COUNT", help = "Fill the database", args = ["count"] }
stays = "echo running; exec sleep 1000"
[services.migrate]
kind = "task"
command = "echo migrated"
depends_on = ["api"]
[services.hostile]
command = "cat hostile.txt; exec sleep 1000"
[services.ticker]
command = "n=0; while sleep 0.2; do n=$((n+1)); echo tick $n; done"
depends_on = { migrate = "completed" }
debug = { command = "exec sleep 1000" }
[services.broken]
command = "exit 3"
restart = "no"
autostart = false
"#;

/// What must stay text, and what must not reach anything else.
const HOSTILE: &str = concat!(
    "<img src=x onerror=\"window.harmed=1\"><script>window.harmed=1</script>\n",
    "\x1b]0;title\x07\x1b]52;c;aGFybQ==\x07\x1b]8;;javascript:window.harmed=1\x07link\x1b]8;;\x07\x1b[6n\x1bP+q\x1b\\plain end\n",
    "\x1b[31mred\x1b[0m \x1b[1;38;5;42mgreen\x1b[0m \u{202e}bidi\u{2066}\n",
    "progress 10%\rprogress 100%\n",
);

fn browser() -> Option<std::path::PathBuf> {
    let chrome = Path::new("/usr/bin/google-chrome");
    if chrome.exists() { Some(chrome.to_owned()) } else { require_program("chromium") }
}

#[test]
fn the_page_does_what_it_shows() {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/dashboard/.venv");
    let Some(browser) = browser() else { return };
    if !require("what tests/dashboard/setup.sh installs", venv.join("installed").exists()) {
        return;
    }
    let project = TestProject::new();
    project.write("hostile.txt", HOSTILE);
    project.configure(SHOP);
    let up = super::without_names(project.devstack(["up"])).start();
    up.wait_for("is up");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard/page.py");
    let port = free_port().to_string();
    let words = [
        script.as_os_str(),
        env!("CARGO_BIN_EXE_devstack").as_ref(),
        port.as_ref(),
        browser.as_os_str(),
    ];
    let operated = project.program(venv.join("bin/python")).args(words).start();
    // It takes longer than a test waits for one thing.
    for step in 1.. {
        let begun = format!("step {step}: ");
        if operated.wait_line(|line| line.starts_with(&begun) || line == "the end") == "the end" {
            break;
        }
    }
    assert_eq!(operated.wait_code(), 0, "{}\n{}", operated.stdout(), operated.stderr());
    // The last button that it pressed.
    assert_eq!(up.wait_code(), 0);
    project.finish();
}
