use std::ffi::OsString;

use crate::process::DeferredCommand;

/// Placeholder for the URL in `BROWSER`.
const URL: &str = "%s";

/// A command that opens a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrowserCommand(Vec<String>);

impl BrowserCommand {
    /// Returns the browser of this machine; `None` if there is none, or no display.
    pub fn here() -> Option<BrowserCommand> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_there = |program: &str| {
            let dir = std::env::current_dir().unwrap_or_default();
            let path = std::env::var_os("PATH");
            crate::process::locate_program(program.as_ref(), &dir, path.as_ref()).is_ok()
        };
        BrowserCommand::choose(variable, is_there)
    }

    /// Prepares the browser of this machine; must be called before there are threads and before the
    /// guard is forked.
    pub fn prepare() -> Option<DeferredCommand> {
        let browser = BrowserCommand::here()?;
        DeferredCommand::new(|url| browser.clone().command(&url)).ok()
    }

    fn choose(
        variable: impl Fn(&str) -> Option<String>,
        is_there: impl Fn(&str) -> bool,
    ) -> Option<BrowserCommand> {
        let wanted = variable("BROWSER").unwrap_or_default();
        // As in xdg-open: a colon-separated list; the first one that is installed wins.
        let wanted = wanted.split(':').filter_map(|command| shell_words::split(command).ok());
        let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| variable(name).is_some());
        let usual: &[&str] = match (cfg!(target_os = "macos"), screen) {
            (true, _) => &["open"],
            (false, true) => &["xdg-open", "wslview"],
            // Under WSL, Windows shows the page.
            (false, false) if variable("WSL_DISTRO_NAME").is_some() => &["wslview"],
            (false, false) => &[],
        };
        let usual = usual.iter().map(|program| vec![(*program).to_owned()]);
        let mut all = wanted.chain(usual);
        all.find(|words| words.first().is_some_and(|program| is_there(program))).map(BrowserCommand)
    }

    pub fn command(self, url: &OsString) -> Vec<OsString> {
        let url_text = url.to_string_lossy();
        let takes = self.0.iter().any(|word| word.contains(URL));
        let words = self.0.into_iter().map(|word| OsString::from(word.replace(URL, &url_text)));
        words.chain((!takes).then(|| url.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], there: &[&str]) -> Option<String> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        let browser = BrowserCommand::choose(variable, |program| there.contains(&program))?;
        let words = browser.command(&"http://u".into());
        let words: Vec<String> =
            words.into_iter().map(|word| word.into_string().unwrap()).collect();
        Some(words.join(" "))
    }

    #[test]
    fn the_first_that_is_there_is_taken() {
        let own = ("BROWSER", "gone:fire 'a b':other");
        assert_eq!(chosen(&[own], &["other", "fire"]).as_deref(), Some("fire a b http://u"));
        let with = ("BROWSER", "fire --url=%s -x");
        assert_eq!(chosen(&[with], &["fire"]).as_deref(), Some("fire --url=http://u -x"));
        assert_eq!(chosen(&[("BROWSER", "'")], &["fire"]), None);
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn without_a_screen_nothing_is_shown() {
        let there = ["xdg-open", "wslview"];
        assert_eq!(chosen(&[], &there), None);
        for screen in ["DISPLAY", "WAYLAND_DISPLAY"] {
            assert_eq!(chosen(&[(screen, "x")], &there).as_deref(), Some("xdg-open http://u"));
        }
        assert_eq!(
            chosen(&[("WSL_DISTRO_NAME", "x")], &there).as_deref(),
            Some("wslview http://u")
        );
    }
}
