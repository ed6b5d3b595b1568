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
fn a_variable_that_cannot_be_expanded_is_tried_once() {
    let mut text = "[services.a]\ncommand = 'a'\n[services.a.env]\n".to_owned();
    for i in 100..200 {
        text.push_str(&format!("V{i} = '$V{}'\n", i + 1));
    }
    text.push_str("V200 = 'x'\n");
    let mistakes = Project::new(&text).mistakes();
    // Those before the one where the chain is cut share its error.
    let cut = |number: usize| {
        format!("devstack.toml:{}:8: variable references are nested too deeply", number - 96)
    };
    assert_eq!(mistakes, [132, 164, 196].map(cut));
}

#[test]
fn values_that_are_too_large_only_together_are_stopped() {
    let much = "x".repeat(400_000);
    let many: String = (0..20_000).map(|i| format!("V{i} = '$A'\n")).collect();
    let text = format!("[services.a]\ncommand = 'a'\n[services.a.env]\nA = '{much}'\n{many}");
    let together = "expanded values together exceed 16 MiB";
    let mistakes = Project::new(&text).mistakes();
    assert!(matches!(&mistakes[..], [one] if one.ends_with(together)), "{mistakes:?}");
    let words = "'$A', ".repeat(20_000);
    let text = format!("[services.a]\ncommand = ['a', {words}]\nenv.A = '{much}'");
    let mistakes = Project::new(&text).mistakes();
    assert!(matches!(&mistakes[..], [one] if one.ends_with(together)), "{mistakes:?}");
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

#[test]
fn copies_of_a_large_env_file_are_refused() {
    let file: String =
        (0..20_000).map(|at| format!("VARIABLE_{at}={}\n", "x".repeat(25))).collect();
    let with = |replicas| {
        let text = format!("[services.api]\ncommand = 'a'\nreplicas = {replicas}");
        Project::new(&text).file(".env", &file)
    };
    assert_eq!(with(100).mistakes(), ["environments and commands are too large together"]);
    assert_eq!(with(2).stack().services.len(), 2);
}

#[test]
fn replicas_do_not_multiply_a_large_service() {
    let words = "'${A}', ".repeat(50_000);
    let list = "'x/**', ".repeat(50_000);
    let variables: String = (0..50_000).map(|at| format!("V{at} = '$A'\n")).collect();
    for (service, more) in [
        (format!("command = ['a', {words}]"), ""),
        (format!("command = \"a {}\"", "${A}".repeat(100_000)), ""),
        (format!("command = 'a'\nwatch = [{list}]"), ""),
        ("command = 'a'\n[services.a.env]".to_owned(), variables.as_str()),
        (format!("command = 'a'\nready.exec = ['a', {words}]"), ""),
    ] {
        let text = format!("[services.a]\nreplicas = 100\n{service}\n{more}");
        let mistakes = Project::new(&text).mistakes();
        let wanted = "devstack.toml:1:11: the replicas of all services are too large together";
        assert_eq!(mistakes, [wanted], "{}", &service[..20]);
    }
    let text = format!("[services.a]\nreplicas = 100\ncommand = 'a {}'", "x".repeat(18_000));
    assert_eq!(Project::new(&text).stack().services.len(), 100);
}

#[test]
fn services_do_not_multiply_what_they_share() {
    let services = |command: &str, count: usize| -> String {
        (0..count).map(|at| format!("[services.s{at}]\ncommand = {command}\n")).collect()
    };
    let shared = "x".repeat(7_000);
    let command = format!("['a', {}]", "'$A', ".repeat(30));
    let text = format!("stack.env.A = '{shared}'\n{}", services(&command, 3_000));
    let wanted = "environments and commands are too large together";
    assert_eq!(Project::new(&text).mistakes(), [wanted]);
    // Commands of debug mode count as well.
    let debugged: String = (0..3_000)
        .map(|at| format!("[services.s{at}]\ncommand = 'a'\ndebug = {{ command = {command}, port = 'auto' }}\n"))
        .collect();
    let text = format!("stack.env.A = '{shared}'\n{debugged}");
    assert_eq!(Project::new(&text).mistakes(), [wanted]);
    let empty: String = (0..80_000).map(|at| format!("V{at}=\n")).collect();
    let project = Project::new(&services("'a'", 100)).file(".env", &empty);
    assert_eq!(project.mistakes(), [wanted]);
    // Many short variables take more than their text.
    let variables: String = (0..420).map(|at| format!("V{at} = 'v'\n")).collect();
    let many =
        |count: usize| Project::new(&format!("[stack.env]\n{variables}{}", services("'x'", count)));
    assert_eq!(many(900).mistakes(), [wanted]);
    assert_eq!(many(100).stack().services.len(), 100);
    let needs = |at: usize| -> String {
        (at.saturating_sub(145)..at).map(|other| format!("'s{other}',")).collect()
    };
    let text: String = (0..900)
        .map(|at| format!("[services.s{at}]\ncommand = 'x'\ndepends_on = [{}]\n", needs(at)))
        .collect();
    assert_eq!(Project::new(&text).mistakes(), [wanted]);
}

#[test]
fn mistakes_that_are_not_shown_are_not_compared_with_every_key() {
    use crate::suggest::COMPARISONS;
    let keys: String = (0..80_000).map(|at| format!("kk{at} = 1\n")).collect();
    for text in [keys.clone(), format!("[services.a]\n{keys}"), format!("[stack]\n{keys}")] {
        COMPARISONS.set(0);
        let error = load(&Project::new(&text).sources).expect_err("they are unknown");
        assert!(error.to_string().contains("more"), "{error}");
        assert!((1..50_000).contains(&COMPARISONS.get()), "{} comparisons", COMPARISONS.get());
    }
}
