//! `include`: services of other files.

use super::*;

/// A shop that includes two files beside it.
fn shop(main: &str, billing: &str, search: &str) -> Project {
    Project::new("")
        .file("shop/devstack.toml", main)
        .file("billing/devstack.toml", billing)
        .file("search/devstack.toml", search)
        .with(|sources| sources.cwd.push("shop"))
}

const BILLING: &str = r#"
[stack]
env = { LEVEL = "billing" }
[services.bank]
command = "bank ${db.url}"
depends_on = ["db"]
env = { SEEN = "${LEVEL} ${FROM:-none} ${stack.dir}" }
[services.db]
command = "db"
port = 4000
"#;

const SEARCH: &str = r#"
[services.api]
command = "search $DEVSTACK_DB_URL"
depends_on = ["db"]
port = 6000
[services.db]
preset = "redis"
port = 6100
[services.extra]
command = "extra"
"#;

fn services(stack: &Stack) -> Vec<&str> {
    stack.services.keys().map(Name::as_str).collect()
}

fn command(stack: &Stack, service: &str) -> String {
    match &stack.services[&name(service)].launch.command {
        CommandLine::Shell(text) => text.clone(),
        CommandLine::Exec(words) => panic!("{words:?}"),
    }
}

#[test]
fn each_file_keeps_its_directory_environment_and_references() {
    let main = r#"
        include = ["../billing", { path = "../search/devstack.toml", as = "search", only = ["api"] }]
        [stack]
        name = "shop"
        env = { LEVEL = "shop" }
        [services.web]
        command = "web ${db.port} ${search-api.port} ${search-db.port}"
        depends_on = ["bank", "search-api"]
        env = { SEEN = "${LEVEL}" }
    "#;
    let project = shop(main, BILLING, SEARCH).file("billing/.env", "FROM=billing\n");
    let config = project.draft();
    let stack = config.resolve(&BTreeMap::new());
    assert_eq!(services(&stack), ["bank", "db", "search-api", "search-db", "web"]);
    assert_eq!((stack.name.as_str(), &stack.dir), ("shop", &project.path("shop")));
    assert_eq!(stack.primary, Some(name("db")), "none of the main file has a port");

    let launch = |service: &str| &stack.services[&name(service)].launch;
    let billing = fs::canonicalize(project.path("billing")).unwrap();
    assert_eq!(launch("bank").dir, billing);
    assert_eq!(launch("bank").env["SEEN"], format!("billing billing {}", billing.display()));
    assert_eq!(&launch("web").env["SEEN"], "shop");
    assert_eq!(command(&stack, "bank"), "bank http://127.0.0.1:4000");
    assert_eq!(command(&stack, "web"), "web 4000 6000 6100");
    assert_eq!(&launch("search-api").env["DEVSTACK_DB_URL"], "redis://127.0.0.1:6100");
    assert_eq!(&launch("web").env["DEVSTACK_SEARCH_API_PORT"], "6000");
    assert!(!launch("web").env.contains("FROM"));
    let depends = |service: &str| stack.services[&name(service)].depends_on.clone();
    assert!(depends("search-api").contains_key(&name("search-db")));
    // All data of one stack is in one place.
    let data = project.path("shop").join(".devstack/data/search-db");
    assert_eq!(launch("search-db").env["DEVSTACK_DATA"], data.display().to_string());
    for file in ["billing/devstack.toml", "search/devstack.local.toml", "search/.env"] {
        let (dir, file) = file.split_once('/').unwrap();
        let path = project.path("shop").join("..").join(dir).join(file);
        let canonical = fs::canonicalize(project.path(dir)).unwrap().join(file);
        let files = config.files();
        assert!(files.contains(&path) || files.contains(&canonical), "{file} in {files:?}");
    }
}

#[test]
fn local_changes_beside_an_included_file_apply_to_it() {
    let main = "include = ['../billing']\n";
    let local = "[services.bank]\ncommand = 'mine'\n";
    let project = shop(main, BILLING, SEARCH).file("billing/devstack.local.toml", local);
    assert_eq!(command(&project.stack(), "bank"), "mine");
    // They can also include.
    let local = "include = ['../search']\n";
    let project = shop("[services.web]\ncommand = 'w'", BILLING, SEARCH)
        .file("shop/devstack.local.toml", local);
    assert_eq!(services(&project.stack()), ["api", "db", "extra", "web"]);
}

#[test]
fn a_file_that_is_reached_twice_is_loaded_once() {
    let main = r#"
        include = ["../billing", { path = "../link/devstack.toml", as = "again" }, "../search"]
        [services.web]
        command = "web ${again-bank.host} ${again-db.port} ${db.port}"
    "#;
    let search = "include = ['../billing']\n[services.api]\ncommand = 'a ${db.port}'\n";
    let project = shop(main, BILLING, search);
    let [target, link] = ["billing", "link"].map(|name| project.path(name));
    std::os::unix::fs::symlink(target, link).unwrap();
    let stack = project.stack();
    assert_eq!(services(&stack), ["api", "bank", "db", "web"]);
    assert_eq!(command(&stack, "api"), "a 4000");
}

#[test]
fn variables_of_ports_have_the_names_that_the_file_uses() {
    let main =
        "include = [{ path = '../search', as = 's' }]\n[services.db]\ncommand = 'x'\nport = 4000\n";
    let search = "[services.api]\ncommand = 'a $DEVSTACK_DB_PORT'\ndepends_on = ['db']\n[services.db]\ncommand = 'd'\nport = 6000\n";
    let project = shop(main, "", search).file("search/.env", "DB_PORT=6001\nS_DB_PORT=1\n");
    let config = project.draft();
    assert_eq!(said(&config, "s-db").0, preferred(6001));
    assert_eq!(said(&config, "db").0, preferred(4000));
    assert_eq!(config.notes(), []);
    let config = project.env("S_DB_PORT", "6002").env("DB_PORT", "4001").draft();
    assert_eq!(said(&config, "s-db").0, pinned(6002));
    assert_eq!(said(&config, "db").0, pinned(4001));
}

#[test]
fn completion_knows_included_services() {
    use crate::config::load::config_names;
    let main = "include = [{ path = '../search', as = 's' }, '../billing']\n";
    let names = |project: &Project| {
        config_names(&project.sources).services.into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&shop(main, BILLING, SEARCH)), "bank db s-api s-db s-extra");
    // While one file cannot be read, those of the others are known.
    let broken = shop("include = ['../none']\n[services.web]\ncommand = 'w'\n", "", "");
    assert_eq!(names(&broken), "web");
}

#[test]
fn prefixes_add_up() {
    let main = "include = [{ path = '../search', as = 's' }]\n";
    let search = "include = [{ path = '../billing', as = 'b' }]\n[services.api]\ncommand = 'a ${b-db.port}'\nreplicas = 2\nport = 6000\n";
    let stack = shop(main, BILLING, search).stack();
    assert_eq!(services(&stack), ["s-api-1", "s-api-2", "s-b-bank", "s-b-db"]);
    assert_eq!(command(&stack, "s-api-1"), "a 4000");
    assert_eq!(command(&stack, "s-b-bank"), "bank http://127.0.0.1:4000");
}

#[test]
fn replicas_of_an_included_file_are_known_by_number_and_group() {
    let main = "include = [{ path = '../search', as = 's' }]\n[services.web]\ncommand = 'w ${s-api.port} ${s-api-2.port} ${s-api-3.port}'\ndepends_on = ['s-api-2']\n";
    let search = "[services.api]\ncommand = 'a'\nreplicas = 2\nport = 6000\n";
    assert_eq!(
        shop(main, "", search).mistakes(),
        ["devstack.toml:3:44: unknown service `s-api-3`"]
    );
    let stack = shop(&main.replace("${s-api-3.port}", ""), "", search).stack();
    assert_eq!(command(&stack, "web"), "w 6000 6001 ");
    let web = &stack.services[&name("web")];
    assert_eq!(web.depends_on.keys().map(Name::as_str).collect::<Vec<_>>(), ["s-api-2"]);
}

#[test]
fn two_services_of_one_name_need_a_prefix() {
    let main = "include = ['../billing', '../search']\n";
    let project = shop(main, BILLING, SEARCH);
    let error = load(&project.sources).expect_err("both have `db`");
    let [conflict] = error.list() else { panic!("{error}") };
    assert!(conflict.message().text.starts_with("service `db` is defined in "), "{error}");
    assert!(error.to_string().contains("billing/devstack.toml"), "{error}");
    assert!(error.to_string().contains("search/devstack.toml"), "{error}");
    assert!(conflict.message().help.contains("as = "), "{error}");
    let (file, line, _) = conflict.location().unwrap();
    assert!(file.ends_with("search/devstack.toml"), "{file}");
    assert_eq!(line, 6);
}

#[test]
fn a_service_that_is_left_out_is_in_no_conflict() {
    let main = "include = ['../billing', { path = '../search', only = ['extra'] }]\n";
    let stack = shop(main, BILLING, SEARCH).stack();
    assert_eq!(services(&stack), ["bank", "db", "extra"]);
    // What it needs is not left out.
    let main = main.replace("extra", "api");
    let error = load(&shop(&main, BILLING, SEARCH).sources).expect_err("both have `db`");
    assert!(error.list()[0].message().text.starts_with("service `db` is defined in "), "{error}");
}

#[test]
fn the_help_of_a_conflict_with_prefixes_asks_for_others() {
    let main = "include = [{ path = '../billing', as = 'x' }, { path = '../search', as = 'x' }]\n";
    let error = load(&shop(main, BILLING, SEARCH).sources).expect_err("both have `x-db`");
    let help = &error.list()[0].message().help;
    assert_eq!(help, "choose other prefixes, with `as` where these files are included");
}

#[test]
fn files_that_include_each_other_are_named() {
    let main = "include = ['../billing']\n[services.web]\ncommand = 'w'\n";
    let project = shop(main, "include = ['../search']\n", "include = ['../shop', '.']\n");
    let [mistake] = project.mistakes().try_into().unwrap();
    let (place, text) = mistake.split_once(": ").unwrap();
    assert!(place.ends_with("search/devstack.toml:1:12"), "{mistake}");
    let names: Vec<&str> =
        text.strip_prefix("files include each other: ").unwrap().split(" → ").collect();
    assert_eq!(names.len(), 4, "{mistake}");
    assert_eq!((names[0], names[3]), ("devstack.toml", "devstack.toml"), "{mistake}");
    assert!(names[2].ends_with("search/devstack.toml"), "{mistake}");
}

#[test]
fn mistakes_are_shown_in_the_file_that_has_them() {
    let search = "[services.api]\ncommand = 'a ${bank.port}'\nprot = 1\n";
    let main = "include = ['../billing', '../search']\n";
    let project = shop(main, BILLING, search);
    let mistakes = project.mistakes();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    // A file cannot refer to what it does not include.
    assert_eq!(mistakes[0], "../search/devstack.toml:2:14: unknown service `bank`");
    assert_eq!(mistakes[1], "../search/devstack.toml:3:1: unknown key `prot` in a service");
}

#[test]
fn what_is_wrong_with_an_include_is_said_at_its_place() {
    for (include, mistake) in [
        ("'../none'", "devstack.toml:1:12: cannot read included file "),
        ("3", "devstack.toml:1:12: expected a path or { path, as, only } for `include`"),
        ("{ as = 'x' }", "devstack.toml:1:12: missing `path` in `include` entry"),
        ("{ path = '../billing', az = 'x' }", "devstack.toml:1:35: unknown key `az`"),
        ("{ path = '../billing', as = 'X Y' }", "devstack.toml:1:40: invalid name `X Y`"),
        ("{ path = '../billing', only = ['bnk'] }", "devstack.toml:1:43: unknown service `bnk`"),
        ("''", "devstack.toml:1:12: empty path in `include`"),
    ] {
        let main = format!("include = [{include}]\n[services.web]\ncommand = 'w'\n");
        let mistakes = shop(&main, BILLING, "").mistakes();
        assert!(mistakes.iter().any(|text| text.starts_with(mistake)), "{include}: {mistakes:?}");
    }
    let mistakes = shop("include = 'x'\n[services.web]\ncommand = 'w'\n", "", "").mistakes();
    let expected =
        "devstack.toml:1:11: expected an array of paths or tables for `include`, found a string";
    assert_eq!(mistakes, [expected]);
}

#[test]
fn depth_number_and_size_are_bounded() {
    let mut deep = Project::new("include = ['0']\n");
    for level in 0..12 {
        let text = format!("include = ['../{}']\n[services.s{level}]\ncommand = 'x'\n", level + 1);
        deep = deep.file(&format!("{level}/devstack.toml"), text);
    }
    let [mistake] = deep.mistakes().try_into().unwrap();
    assert!(mistake.contains("files are included more than 8 levels deep"), "{mistake}");

    let names: Vec<String> = (0..70).map(|number| format!("'{number}'")).collect();
    let mut wide = Project::new(&format!("include = [{}]\n", names.join(", ")));
    for number in 0..70 {
        let text = format!("[services.s{number}]\ncommand = 'x'\n");
        wide = wide.file(&format!("{number}/devstack.toml"), text);
    }
    let [mistake] = wide.mistakes().try_into().unwrap();
    assert!(mistake.contains("more than 64 files are included"), "{mistake}");

    let mut large = Project::new("include = ['0', '1', '2', '3', '4', '5', '6', '7', '8']\n");
    let text = format!("#{}\n", "x".repeat(1_000_000));
    for number in 0..9 {
        large = large.file(&format!("{number}/devstack.toml"), &text);
    }
    let [mistake] = large.mistakes().try_into().unwrap();
    assert!(mistake.ends_with("the included files are too large together"), "{mistake}");
}

#[test]
fn without_any_service_there_is_no_stack() {
    let mistakes = shop("include = []\n", "", "").mistakes();
    assert_eq!(mistakes, ["devstack.toml:1:1: no services defined"]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_included_file_of_another_user_is_refused() {
    use std::os::unix::fs::{MetadataExt, chown};
    let project = shop("include = ['../billing']\n", BILLING, "");
    let path = project.path("billing/devstack.toml");
    let me = fs::metadata(&path).unwrap().uid();
    // Only root can give files away.
    if chown(&path, Some(me + 4242), None).is_err() {
        return;
    }
    let project = project.with(|sources| sources.user = Some(me));
    let [mistake] = project.mistakes().try_into().unwrap();
    assert!(mistake.starts_with("devstack.toml:1:12: cannot read included file "), "{mistake}");
    assert!(mistake.contains(&format!("it is owned by user {}", me + 4242)), "{mistake}");
}

#[test]
fn files_that_do_not_know_each_other_may_want_the_same_port() {
    let main = "include = [{ path = '../billing', as = 'one' }, { path = '../search', as = 'two' }]\n\
                [services.web]\ncommand = 'web'\nport = 4000\n";
    let api = "[services.api]\ncommand = 'api'\nport = 4000\n";
    let stack = shop(main, api, api).stack();
    let ports = ["web", "one-api", "two-api"].map(|it| stack.services[&name(it)].ports[0].number);
    assert_eq!(ports, [4000, 4001, 4002]);
    let strict = api.replace("port = 4000", "port = { prefer = 4000, on_conflict = 'fail' }");
    let mistakes = shop(main, &strict, "[services.x]\ncommand = 'x'\n").mistakes();
    assert!(mistakes[0].ends_with("both use port 4000"), "{mistakes:?}");
}

#[test]
fn a_directory_with_only_a_procfile_can_be_included() {
    let stack = Project::new("")
        .file("shop/devstack.toml", "include = ['../legacy']\n[services.db]\ncommand = 'db'\n")
        .file("legacy/Procfile", "web: include this\nMy_Job: job\n")
        .with(|sources| sources.cwd.push("shop"))
        .stack();
    assert_eq!(services(&stack), ["db", "my-job", "web"]);
}

#[test]
fn the_primary_service_is_one_that_is_taken() {
    let search = "[services.front]\ncommand = 'x'\nport = 1234\nprimary = true\n\
                  [services.api]\ncommand = 'x'\nport = 6000\n";
    let main = "include = [{ path = '../search', only = ['api'] }]\n";
    let stack = shop(main, BILLING, search).stack();
    assert_eq!(stack.primary, Some(name("api")));
}
