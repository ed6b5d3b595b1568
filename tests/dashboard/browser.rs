//! The page in a browser: `tests/dashboard/page.py` operates it.

use crate::browser::{Chromium, wait_for_steps};
use crate::support::{TestProject, free_port};

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

#[test]
fn the_page_does_what_it_shows() {
    let Some(chromium) = Chromium::find() else { return };
    let project = TestProject::new();
    project.write("hostile.txt", HOSTILE);
    project.configure(SHOP);
    let up = super::without_names(project.devstack(["up"])).start();
    up.wait_for("is up");
    let words = [env!("CARGO_BIN_EXE_devstack").to_owned(), free_port().to_string()];
    let operated = chromium.start("dashboard/page.py", &words, |python| project.program(python));
    wait_for_steps(&operated);
    // The last button that it pressed.
    assert_eq!(up.wait_code(), 0);
    project.finish();
}
