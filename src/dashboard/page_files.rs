//! The files of the page, in the program.

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, type and content of each.
const FILES: [(&str, &str, &str); 17] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/style.css", CSS, include_str!("page/style.css")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/app.js", JS, include_str!("page/app.js")),
    ("/api.js", JS, include_str!("page/api.js")),
    ("/actions.js", JS, include_str!("page/actions.js")),
    ("/address.js", JS, include_str!("page/address.js")),
    ("/ansi.js", JS, include_str!("page/ansi.js")),
    ("/dom.js", JS, include_str!("page/dom.js")),
    ("/env.js", JS, include_str!("page/env.js")),
    ("/graph.js", JS, include_str!("page/graph.js")),
    ("/logs.js", JS, include_str!("page/logs.js")),
    ("/ports.js", JS, include_str!("page/ports.js")),
    ("/requests.js", JS, include_str!("page/requests.js")),
    ("/services.js", JS, include_str!("page/services.js")),
    ("/state.js", JS, include_str!("page/state.js")),
    ("/timeline.js", JS, include_str!("page/timeline.js")),
];

/// Returns type and content of the file at a path.
pub(super) fn find(path: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|(name, ..)| *name == path).map(|(_, kind, text)| (*kind, *text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup_or_code() {
        for (path, _, text) in FILES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "document.cookie",
                "srcdoc",
                "DOMParser",
            ] {
                assert!(!text.contains(word), "{path} has {word}");
            }
        }
    }

    #[test]
    fn nothing_is_asked_of_other_servers() {
        for (path, _, text) in FILES {
            let foreign = ["http://www.w3.org/2000/svg"]
                .iter()
                .fold(text.to_owned(), |text, known| text.replace(known, ""));
            for word in ["http://", "https://", "src=\"//", "@import", "url("] {
                assert!(!foreign.contains(word), "{path} has {word}");
            }
        }
    }

    #[test]
    fn the_page_has_no_inline_code_or_style() {
        let (_, html) = find("/").unwrap();
        for word in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!html.contains(word), "{word}");
        }
        assert_eq!(
            html.matches("<script").count(),
            html.matches("<script type=\"module\" src=\"/").count()
        );
    }

    #[test]
    fn every_module_is_served() {
        for (path, kind, text) in FILES {
            let imports =
                text.lines().filter(|_| kind == JS).filter_map(|line| line.split_once(" from \"."));
            for (_, rest) in imports {
                let name = rest.split('"').next().unwrap();
                assert!(find(name).is_some(), "{path} imports {name}");
            }
        }
    }
}
