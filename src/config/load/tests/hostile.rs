//! Malicious files.

use super::*;

#[test]
fn variables_that_explode_are_stopped() {
    let mut text = "[services.a]\ncommand = 'a'\n[services.a.env]\nV0 = 'xxxxxxxxxx'\n".to_owned();
    for i in 1..30 {
        text.push_str(&format!("V{i} = '$V{0}$V{0}$V{0}$V{0}'\n", i - 1));
    }
    assert!(Project::new(&text).mistakes()[0].ends_with("expanded value exceeds 1 MiB"));
    let mut text = "[services.a]\ncommand = 'a'\n[services.a.env]\nV0 = 'x'\n".to_owned();
    for i in 1..5000 {
        text.push_str(&format!("V{i} = '$V{}'\n", i - 1));
    }
    // From the innermost, each reference is one step; from the outermost, the chain is cut.
    let result = load(&Project::new(&text).sources);
    assert!(result.is_ok() || result.is_err_and(|e| e.to_string().contains("too deep")));
}

#[test]
fn bombs_do_no_harm() {
    let n = 300_000;
    let deep = "[".repeat(n);
    // Just below the limit for a separate stack.
    let few: String = (0..26).map(|i| format!("{{{}a=", format!("a{i}.").repeat(70))).collect();
    let nested: String = (0..79).map(|i| format!("{{{}a=", format!("a{i}.").repeat(70))).collect();
    for text in [
        "a.".repeat(n) + "a = 1",
        format!("[{}a]", "a.".repeat(n)),
        format!("x = {deep}"),
        deep,
        format!("x = {}", "{a=".repeat(n)),
        format!("x = {nested}1{}", "}".repeat(79)),
        format!("x = {few}1{}", "}".repeat(26)),
        (0..90_000).map(|i| format!("k{i} = 1\n")).collect(),
        (0..5000).map(|i| format!("[services.s{i}]\ncommand='x'\n")).collect(),
        format!("[services.a]\ncommand = '{}'\nport = 'x'", "x".repeat(900_000)),
        format!("services.a.command = 'x'\nservices.a.env.A = '{}'", "${A:-".repeat(100_000)),
        format!("services.a.command = 'x'\nservices.a.ready.log = '{}'", "(".repeat(500_000)),
        format!("services.a.command = 'x'\nservices.a.watch = '{}'", "{".repeat(500_000)),
        format!("services.a.command = 'x'\nservices.a.depends_on = [{}]", "'b',".repeat(100_000)),
    ] {
        let project = Project::new(&text);
        let error = load(&project.sources).expect_err("no bomb is a configuration");
        assert!(error.to_string().len() < 200_000, "{}", error.to_string().len());
    }
}

#[test]
fn a_chain_of_all_services_is_no_cycle() {
    let mut text = "[services.s0]\ncommand = 'x'\n".to_owned();
    for i in 1..4096 {
        text.push_str(&format!("[services.s{i}]\ncommand='x'\ndepends_on=['s{}']\n", i - 1));
    }
    assert_eq!(Project::new(&text).stack().services.len(), 4096);
    let text = text.replacen('\n', "\ndepends_on = ['s4095']\n", 1);
    let mistakes = Project::new(&text).mistakes();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].contains("s0 → s4095 → s4094"), "{mistakes:?}");
}
