use std::collections::BTreeMap;

use serde_json::Value;

use super::{OutputPosition, RunningProgram, TestProject};

/// A running stack whose files are edited.
pub struct EditedStack {
    pub project: TestProject,
    pub up: RunningProgram,
}

impl EditedStack {
    /// Runs `devstack up` with this file and waits until the stack is up.
    #[track_caller]
    pub fn start(project: TestProject, text: &str) -> EditedStack {
        EditedStack::start_with(project, text, &["up"])
    }

    /// The same with these arguments.
    #[track_caller]
    pub fn start_with(project: TestProject, text: &str, args: &[&str]) -> EditedStack {
        project.configure(text);
        let up = project.devstack(args).start();
        up.wait_for("is up");
        EditedStack { project, up }
    }

    /// Saves `devstack.toml`; waits for the plan and returns it, one line per service.
    #[track_caller]
    pub fn apply(&self, text: &str) -> Vec<String> {
        self.save("devstack.toml", text)
    }

    /// Saves any file; waits for the plan and returns it.
    #[track_caller]
    pub fn save(&self, file: &str, text: &str) -> Vec<String> {
        let here = self.up.here();
        self.project.write(file, text);
        self.plan_since(here)
    }

    /// Saves a file that changes nothing; waits for these messages.
    #[track_caller]
    pub fn apply_without_effect(&self, file: &str, text: &str, said: &[&str]) {
        let here = self.up.here();
        self.project.write(file, text);
        said.iter().for_each(|said| drop(self.up.wait_since(here, said)));
    }

    /// Returns the plan of the first apply after `here`, once it took effect.
    #[track_caller]
    pub fn plan_since(&self, here: OutputPosition) -> Vec<String> {
        self.up.wait_since(here, "applied the new configuration");
        let ready = |service: &Value| {
            matches!(service["phase"].as_str(), Some("ready" | "done" | "idle" | "asleep"))
        };
        self.project
            .wait_ps(|ps| ps["services"].as_array().is_some_and(|all| all.iter().all(ready)));
        let lines = self.up.lines_since(here);
        let plan = lines.iter().skip_while(|line| !line.contains("applied the new configuration"));
        let block = |line: &&String| line.starts_with(' ') && !line.contains(['*', '|']);
        plan.skip(1).take_while(block).map(|line| tidy(line)).collect()
    }

    /// Returns the pid of each service.
    #[track_caller]
    pub fn pids(&self) -> BTreeMap<String, u64> {
        let ps = self.project.ps();
        let services = ps["services"].as_array().expect("a list").iter();
        let pid = |service: &Value| {
            Some((service["name"].as_str()?.to_owned(), service["pid"].as_u64()?))
        };
        services.filter_map(pid).collect()
    }

    /// Returns the output of `devstack plan --json`.
    #[track_caller]
    pub fn plan(&self) -> Value {
        self.project.devstack(["plan", "--json"]).run().expect_code(0).json()
    }

    /// Stops the stack; nothing may be left.
    #[track_caller]
    pub fn end(self) {
        self.up.interrupt();
        assert_eq!(self.up.wait_code(), 130, "{:?}", self.up.lines());
        self.project.finish();
    }
}

/// A service that does nothing, with these keys.
pub fn idler(name: &str, keys: &str) -> String {
    format!("[services.{name}]\ncommand = [\"{{misbehave}}\", \"run\"]\n{keys}\n")
}

/// Removes the padding of columns from a line.
fn tidy(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
