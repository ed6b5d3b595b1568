//! Each broken example and its diagnostic.

use super::*;

#[test]
fn broken_examples_are_explained() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/broken");
    let mut names: Vec<String> = fs::read_dir(&dir)
        .expect("the directory of broken examples")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "only {} examples", names.len());
    for name in names {
        let sources = ConfigSources {
            files: vec![name.clone().into()],
            cwd: dir.clone(),
            ..ConfigSources::default()
        };
        let error = load(&sources).expect_err("every example here has a mistake");
        assert!(error.list().iter().all(|d| d.location().is_some()), "{name} without a place");
        let helps = |d: &crate::config::Diagnostic| {
            let Message { text, help, .. } = d.message();
            !help.is_empty() || text.contains("must be") || text.starts_with("expected ")
        };
        assert!(error.list().iter().all(helps), "{name} without help");
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.trim_end_matches(".toml"), error.to_string());
        });
    }
}
