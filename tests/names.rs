//! Names: one address per service that never moves, served by a process that all stacks share.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{
    HttpReply, RunningProgram, TestCommand, TestProject, eventually, free_port, http_get_named,
    https_get_named, kill_processes, lock_usual_ports, occupy, service, wait_limit,
};

/// Projects of one user, with one front door on this port.
pub struct Names {
    pub home: TestProject,
    pub port: u16,
}

/// A service that answers once it is ready, and whose port is whatever is free.
pub const WEB: &str = r#"
[services.web]
command = ["{misbehave}", "listen", "--http"]
port = "auto"
ready = { http = "/" }
"#;

impl Names {
    /// The first project has the runtime directory of all.
    pub fn new() -> (Names, TestProject) {
        let names = Names { home: TestProject::new(), port: free_port() };
        let project = names.project("shop", WEB);
        (names, project)
    }

    pub fn project(&self, stack: &str, config: &str) -> TestProject {
        TestProject::with_config(&format!("[stack]\nname = \"{stack}\"\n{config}"))
    }

    pub fn devstack(&self, project: &TestProject, args: &[&str]) -> TestCommand {
        let command = project.devstack(args).env("XDG_RUNTIME_DIR", self.home.outside("run"));
        command.env("DEVSTACK_PROXY", self.port.to_string())
    }

    #[track_caller]
    pub fn up(&self, project: &TestProject) -> RunningProgram {
        let up = self.devstack(project, &["up"]).start();
        up.wait_for("is up");
        up
    }

    pub fn ask(&self, name: &str) -> io::Result<HttpReply> {
        http_get_named(self.port, &format!("{name}:{}", self.port), "/")
    }

    /// Waits until a name is served, or is not any more.
    #[track_caller]
    pub fn wait_for(&self, name: &str, status: u16) -> HttpReply {
        eventually(name, || self.ask(name).ok().filter(|reply| reply.status == status))
    }

    /// The pid of the front door.
    #[track_caller]
    pub fn door(&self) -> u32 {
        let asked = || {
            let list = self.devstack(&self.home, &["proxy", "--json"]).run();
            list.json()["proxy"]["pid"].as_u64()
        };
        eventually("a front door", asked).try_into().expect("a pid")
    }

    fn files(&self) -> PathBuf {
        self.home.outside("run").join("devstack")
    }

    /// Ends the test: the front door ends with the last stack. One that lost the race of two stacks
    /// for a new front door may be slow to start, and waits for a stack first.
    #[track_caller]
    pub fn finish(self, projects: impl IntoIterator<Item = TestProject>) {
        let files = self.files();
        eventually("the end of the front door", || {
            let running = std::process::Command::new("ps").args(["-wwAo", "args"]).output().ok()?;
            let running = String::from_utf8_lossy(&running.stdout).into_owned();
            let served = format!("proxy serve {}", files.display());
            (!running.lines().any(|args| args.ends_with(&served))).then_some(())
        });
        projects.into_iter().for_each(TestProject::finish);
        self.home.finish();
    }
}

#[test]
fn stacks_share_a_port_and_the_end_of_one_refuses_nobody_else() {
    let (names, shop) = Names::new();
    let blog = names.project("blog", WEB);
    let first = names.up(&shop);
    let second = names.up(&blog);
    let pid = |name: &str| names.wait_for(name, 200).json()["pid"].clone();
    assert_ne!(pid("web.shop.localhost"), pid("web.blog.localhost"));
    assert_eq!(pid("shop.localhost"), pid("web.shop.localhost"), "the primary service");
    let listed = names.devstack(&shop, &["proxy"]).run().expect_code(0).stdout;
    assert!(listed.contains(&format!("http://web.blog.localhost:{}", names.port)), "{listed}");

    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut count = 0;
            while !ended.load(Ordering::Relaxed) {
                assert_eq!(names.ask("web.blog.localhost").expect("an answer").status, 200);
                count += 1;
            }
            count
        });
        // The one that started the front door.
        first.kill9();
        names.wait_for("web.shop.localhost", 421);
        ended.store(true, Ordering::Relaxed);
        assert!(client.join().expect("no request failed") > 0);
    });
    let first = names.up(&shop);
    names.wait_for("web.shop.localhost", 200);
    for up in [second, first] {
        up.end();
    }
    names.finish([shop, blog]);
}

#[test]
fn a_killed_front_door_is_replaced_and_nobody_is_refused() {
    let (names, shop) = Names::new();
    let blog = names.project("blog", WEB);
    let ups = [names.up(&shop), names.up(&blog)];
    names.wait_for("web.shop.localhost", 200);
    names.wait_for("web.blog.localhost", 200);
    for _ in 0..3 {
        let door = names.door();
        kill_processes(&[door]);
        // The kernel accepts these connections until there is another front door, which knows both.
        for name in ["web.blog.localhost", "web.shop.localhost"] {
            match names.ask(name) {
                Ok(reply) => assert_eq!(reply.status, 200),
                // The one that the old front door had just accepted.
                Err(error) => assert_ne!(error.kind(), io::ErrorKind::ConnectionRefused),
            }
        }
        assert_ne!(names.door(), door);
    }
    for up in ups {
        up.end();
    }
    names.finish([shop, blog]);
}

#[test]
fn a_stream_of_one_stack_survives_the_end_of_another() {
    let (names, shop) = Names::new();
    let endless = WEB.replace("\"--http\"", "\"--http\", \"--endless\"");
    let blog = names.project("blog", &endless.replace("ready = { http = \"/\" }", "proxy = true"));
    let first = names.up(&shop);
    let second = names.up(&blog);
    names.wait_for("web.shop.localhost", 200);
    let open = || -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", names.port))?;
        stream.set_read_timeout(Some(wait_limit()))?;
        let host = format!("web.blog.localhost:{}", names.port);
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        (status == *b"HTTP/1.1 200").then_some(stream).ok_or(io::ErrorKind::NotFound.into())
    };
    let mut stream = eventually("the stream", || open().ok());
    first.end();
    names.wait_for("web.shop.localhost", 421);
    let mut rest = vec![0; 64 * 1024];
    stream.set_nonblocking(true).expect("a socket");
    let ended = std::iter::repeat_with(|| stream.read(&mut rest))
        .take(64)
        .any(|read| !matches!(&read, Ok(1..)) && read.is_ok_and(|count| count == 0));
    assert!(!ended, "the stream of the other stack has ended");
    second.end();
    names.finish([shop, blog]);
}

#[test]
fn two_stacks_of_one_name_are_told_apart() {
    let (names, shop) = Names::new();
    let other = names.project("shop", WEB);
    let ups = [names.up(&shop), names.up(&other)];
    ups[1].wait_for("the names of this stack end in shop-2.localhost");
    names.wait_for("web.shop.localhost", 200);
    names.wait_for("web.shop-2.localhost", 200);
    for up in ups {
        up.end();
    }
    names.finish([shop, other]);
}

#[test]
fn the_name_is_shown_and_passed_on() {
    let (names, _) = Names::new();
    let api = "[services.api]\ncommand = [\"{misbehave}\", \"run\"]\ndepends_on = [\"web\"]\nenv = { ALLOWED = \"${web.origin}\" }\n";
    let project = names.project("store", &format!("{WEB}{api}"));
    let up = names.up(&project);
    let origin = format!("http://web.store.localhost:{}", names.port);
    let ps = names.devstack(&project, &["ps", "--json"]).run().json();
    let web = service(&ps, "web");
    assert_eq!(
        (&web["origin"], service(&ps, "api").get("origin")),
        (&origin.as_str().into(), None)
    );
    let direct = web["url"].as_str().expect("it is ready");
    up.wait_for(&format!("{origin}  ({direct})"));
    let table = names.devstack(&project, &["ps"]).run().stdout;
    assert!(table.contains(&origin), "{table}");
    let open = names.devstack(&project, &["open", "web", "--json"]).env("BROWSER", "true").run();
    assert_eq!(open.json()["url"], origin.as_str());
    let env = names.devstack(&project, &["env", "api"]).run().stdout;
    for line in [format!("DEVSTACK_WEB_ORIGIN={origin}"), format!("ALLOWED={origin}")] {
        assert!(env.contains(&line), "{env}");
    }
    assert!(env.contains(&format!("DEVSTACK_WEB_URL={direct}")), "{env}");
    up.end();
    names.finish([project]);
}

#[test]
fn requests_wait_while_a_service_restarts() {
    let (names, shop) = Names::new();
    let up = names.up(&shop);
    let before = names.wait_for("web.shop.localhost", 200).json()["pid"].clone();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut last = None;
            while !ended.load(Ordering::Relaxed) {
                let reply = names.ask("web.shop.localhost").expect("an answer");
                assert_eq!(reply.status, 200, "{reply:?}");
                last = Some(reply.json()["pid"].clone());
            }
            last
        });
        for _ in 0..3 {
            names.devstack(&shop, &["restart", "web"]).run().expect_code(0);
        }
        let now = names.ask("web.shop.localhost").expect("an answer").json()["pid"].clone();
        assert_ne!(now, before);
        ended.store(true, Ordering::Relaxed);
        client.join().expect("no request failed");
    });
    up.end();
    names.finish([shop]);
}

#[test]
fn what_went_through_is_shown_and_sent_again() {
    let (names, shop) = Names::new();
    let up = names.up(&shop);
    names.wait_for("web.shop.localhost", 200);
    let requests = |args: &[&str]| {
        let args: Vec<&str> = ["requests"].iter().chain(args).copied().collect();
        names.devstack(&shop, &args).run().expect_code(0).stdout
    };
    let shown = requests(&["--json", "web"]);
    let records: Vec<Value> =
        shown.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let last = records.last().expect("one request at least");
    assert_eq!((&last["method"], &last["target"]), (&json!("GET"), &json!("/")), "{last}");
    assert_eq!((&last["status"], &last["run"]), (&json!(200), &json!(1)), "{last}");
    let id = last["id"].to_string();
    assert!(requests(&[&id]).contains("GET http://web.shop.localhost"), "{}", requests(&[&id]));
    assert!(requests(&["replay", &id]).starts_with("GET /: 200"));
    let har = shop.path("requests.har");
    requests(&["--har", har.to_str().expect("UTF-8")]);
    let har: Value = serde_json::from_slice(&std::fs::read(har).expect("written")).expect("JSON");
    let archived = har["log"]["entries"].as_array().expect("entries").len();
    assert_eq!(archived, records.len() + 1, "the one that was sent again, too");
    up.end();
    names.finish([shop]);
}

#[test]
fn off_means_off_and_run_has_none_unless_asked() {
    let (names, shop) = Names::new();
    let off = names.devstack(&shop, &["up"]).env("DEVSTACK_PROXY", "off").start();
    off.wait_for("is up");
    let ps = names.devstack(&shop, &["ps", "--json"]).run().json();
    assert_eq!(service(&ps, "web").get("origin"), None);
    off.end();
    let door = |args: &[&str]| {
        let mut command = vec!["run"];
        command.extend(args);
        let asks = [env!("CARGO_BIN_EXE_devstack"), "proxy", "--json"];
        let run = names.devstack(&shop, &[command.as_slice(), &["--"], &asks].concat());
        let ran = run.run().expect_code(0);
        let json = ran.stdout.lines().find(|line| line.starts_with('{')).expect("JSON").to_owned();
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON")["proxy"].clone()
    };
    assert!(door(&[]).is_null());
    // It may come a moment after the command has begun.
    eventually("a front door", || (!door(&["--proxy"]).is_null()).then_some(()));
    let bad = names.devstack(&shop, &["up"]).env("DEVSTACK_PROXY", "7780x").run();
    assert!(bad.stderr.contains("invalid value `7780x` in DEVSTACK_PROXY"), "{}", bad.stderr);
    names.finish([shop]);
}

#[test]
fn a_taken_port_is_said() {
    let _usual = lock_usual_ports();
    let (names, shop) = Names::new();
    let usual = std::net::TcpListener::bind(("127.0.0.1", 7780));
    let up = names.devstack(&shop, &["up"]).unset("DEVSTACK_PROXY").start();
    up.wait_for("; names use 77");
    up.wait_for("is up");
    drop(usual);
    up.end();
    // The port that the user wants cannot be had at all.
    let held = occupy(names.port);
    let up = names.up(&shop);
    up.wait_for("services have no names for now: cannot listen on port");
    let ps = names.devstack(&shop, &["ps", "--json"]).run().json();
    assert_eq!(service(&ps, "web").get("origin"), None);
    drop(held);
    up.end();
    names.finish([shop]);
}

#[test]
fn a_front_port_leads_to_one_stack_after_the_other() {
    let names = Names { home: TestProject::new(), port: free_port() };
    let front = free_port();
    let settings = format!("[stack.proxy]\nfront = {front}\n{WEB}");
    let (shop, blog) = (names.project("shop", &settings), names.project("blog", &settings));
    let first = names.up(&shop);
    let pid = |name: &str| names.wait_for(name, 200).json()["pid"].clone();
    let of_front = || {
        let asked = || http_get_named(front, &format!("localhost:{front}"), "/").ok();
        eventually("the front port", || asked().filter(|reply| reply.status == 200)).json()["pid"]
            .clone()
    };
    assert_eq!(of_front(), pid("web.shop.localhost"));
    let second = names.up(&blog);
    let blog_pid = pid("web.blog.localhost");
    assert_eq!(of_front(), pid("web.shop.localhost"), "the first one keeps it");
    let given = names.devstack(&blog, &["front"]).run().expect_code(0);
    assert_eq!(given.stdout, format!("http://localhost:{front} leads to web of blog now\n"));
    assert_eq!(of_front(), blog_pid);
    let stranger = http_get_named(front, &format!("example.com:{front}"), "/").expect("an answer");
    assert_eq!(stranger.status, 421);
    // The next front door knows it too.
    let door = names.door();
    kill_processes(&[door]);
    names.wait_for("web.blog.localhost", 200);
    assert_eq!(of_front(), blog_pid);
    second.end();
    names.wait_for("web.blog.localhost", 421);
    assert_eq!(of_front(), pid("web.shop.localhost"));
    let listed = names.devstack(&shop, &["proxy"]).run().expect_code(0).stdout;
    assert!(listed.contains(&format!("http://localhost:{front}")), "{listed}");
    let number = free_port();
    let (_held, taken) = (occupy(number), number.to_string());
    let refused = names.devstack(&shop, &["front", "--port", &taken]).run().expect_code(1);
    assert!(refused.stderr.contains(&format!("port {taken} is in use by ")), "{refused:?}");
    assert!(refused.stderr.contains("help: free the port, or choose another one"), "{refused:?}");
    first.end();
    names.devstack(&shop, &["front"]).run().expect_code(3);
    names.finish([shop, blog]);
}

/// A service that sleeps and needs another one that sleeps.
const LAZY: &str = r#"
[services.db]
command = ["{misbehave}", "listen"]
port = "auto"
start = "lazy"
[services.web]
command = ["{misbehave}", "listen", "--http"]
port = "auto"
ready = { http = "/" }
depends_on = ["db"]
start = "lazy"
"#;

/// What is listed as served; asking for that wakes no service.
fn is_served(names: &Names, project: &TestProject, url: &str) {
    eventually("a name", || {
        let list = names.devstack(project, &["proxy"]).run().stdout;
        list.contains(url).then_some(())
    });
}

pub fn phase(names: &Names, project: &TestProject, name: &str) -> String {
    let ps = names.devstack(project, &["ps", "--json"]).run().json();
    service(&ps, name)["phase"].as_str().expect("a phase").to_owned()
}

#[track_caller]
fn wait_phase(names: &Names, project: &TestProject, name: &str, wanted: &str) {
    eventually(wanted, || (phase(names, project, name) == wanted).then_some(()));
}

#[test]
fn a_request_wakes_a_service_and_what_it_needs() {
    let names = Names { home: TestProject::new(), port: free_port() };
    let shop = names.project("shop", LAZY);
    let up = names.up(&shop);
    let origin = format!("http://web.shop.localhost:{}", names.port);
    up.wait_for(&format!("starts with the first connection to {origin}  (http://127.0.0.1:"));
    is_served(&names, &shop, &origin);
    for name in ["db", "web"] {
        assert_eq!(phase(&names, &shop, name), "asleep");
    }
    let why = names.devstack(&shop, &["why", "web"]).run().expect_code(0).stdout;
    assert!(why.contains(&format!("the first connection to {origin} or http://127.")), "{why}");
    let pids: Vec<_> = std::thread::scope(|scope| {
        let ask = || names.ask("web.shop.localhost").expect("an answer");
        let clients: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        let replies = clients.into_iter().map(|client| client.join().expect("it was answered"));
        replies.map(|reply| (reply.status, reply.json()["pid"].clone())).collect()
    });
    assert!(pids.iter().all(|one| one.0 == 200 && *one == pids[0]), "{pids:?}");
    for name in ["db", "web"] {
        assert_eq!(phase(&names, &shop, name), "ready");
    }
    up.end();
    names.finish([shop]);
}

#[test]
fn a_service_sleeps_and_wakes_again_and_no_request_fails() {
    let names = Names { home: TestProject::new(), port: free_port() };
    let lazy = WEB.replace("ready", "start = \"lazy\"\nidle = \"50ms\"\nready");
    let shop = names.project("shop", &lazy);
    let up = names.up(&shop);
    let first = names.wait_for("web.shop.localhost", 200).json()["pid"].clone();
    up.wait_for("asleep, starts with the first connection to http://127.0.0.1:");
    wait_phase(&names, &shop, "web", "asleep");
    let again = names.ask("web.shop.localhost").expect("an answer");
    assert_eq!(again.status, 200);
    assert_ne!(again.json()["pid"], first);
    // Whenever they come: before, during or after a stop.
    for _ in 0..30 {
        assert_eq!(names.ask("web.shop.localhost").expect("an answer").status, 200);
    }
    // Another front door learns of what sleeps.
    wait_phase(&names, &shop, "web", "asleep");
    kill_processes(&[names.door()]);
    names.wait_for("web.shop.localhost", 200);
    up.end();
    names.finish([shop]);
}

#[test]
fn an_upgraded_connection_keeps_a_service_awake() {
    let names = Names { home: TestProject::new(), port: free_port() };
    let keys = "start = \"lazy\"\nidle = \"200ms\"\nproxy = true\n";
    let command = "command = [\"{misbehave}\", \"listen\", \"--http\", \"--echo\"]";
    let shop =
        names.project("shop", &format!("[services.web]\n{command}\nport = \"auto\"\n{keys}"));
    let up = names.up(&shop);
    is_served(&names, &shop, "web.shop.localhost");
    let mut stream = TcpStream::connect(("127.0.0.1", names.port)).expect("the front door");
    stream.set_read_timeout(Some(wait_limit())).expect("a limit");
    let host = format!("web.shop.localhost:{}", names.port);
    let upgrade = "Connection: upgrade\r\nUpgrade: echo";
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n").expect("it is sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the head of the response");
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    // Silent for longer than `idle`.
    stream.set_read_timeout(Some(std::time::Duration::from_millis(600))).expect("a limit");
    assert_eq!(stream.read(&mut [0]).expect_err("silence").kind(), io::ErrorKind::WouldBlock);
    assert_eq!(phase(&names, &shop, "web"), "ready");
    stream.set_read_timeout(Some(wait_limit())).expect("a limit");
    stream.write_all(b"hello").expect("it is open");
    let mut back = [0; 5];
    stream.read_exact(&mut back).expect("an echo");
    assert_eq!(&back, b"hello");
    drop(stream);
    wait_phase(&names, &shop, "web", "asleep");
    up.end();
    names.finish([shop]);
}

#[test]
fn a_start_that_fails_is_the_answer() {
    let names = Names { home: TestProject::new(), port: free_port() };
    let other = "[services.other]\ncommand = \"exec sleep 1000\"\n";
    let fails = "command = \"echo no database; exit 3\"\nrestart = \"no\"";
    let shop = names.project(
        "shop",
        &format!("{other}{}", LAZY.replace("command = [\"{misbehave}\", \"listen\"]", fails)),
    );
    let up = names.up(&shop);
    is_served(&names, &shop, "web.shop.localhost");
    let reply = names.ask("web.shop.localhost").expect("an answer");
    assert_eq!(reply.status, 503);
    let text = reply.body;
    assert!(text.contains("web cannot start") && text.contains("db"), "{text}");
    assert_eq!(phase(&names, &shop, "db"), "failed");
    assert_eq!(names.ask("web.shop.localhost").expect("an answer").status, 503);
    up.end();
    names.finish([shop]);
}

#[test]
fn https_comes_and_goes_with_the_local_ca() {
    let names = Names { home: TestProject::new(), port: free_port() };
    let config = format!(
        "[stack.proxy]\nhttps = \"redirect\"\n{WEB}env = {{ URL = \"${{web.origin}}\" }}\n"
    );
    let shop = names.project("shop", &config);
    let ca = shop.outside("state").join("devstack/ca/ca.crt");
    let host = format!("web.shop.localhost:{}", names.port);
    let secure = || https_get_named(names.port, &ca, &host, "/");
    let (plain_url, secure_url) = (format!("http://{host}"), format!("https://{host}"));
    // No program that changes the machine is found.
    let trust = |args: &[&str]| {
        let none = shop.outside("no-programs");
        names.devstack(&shop, &["trust", "--yes"]).args(args).env("PATH", none).run()
    };
    let shown = |up: RunningProgram| {
        let ps = names.devstack(&shop, &["ps", "--json"]).run().json();
        let origin = service(&ps, "web")["origin"].as_str().expect("an origin").to_owned();
        let env = names.devstack(&shop, &["env", "web"]).run().stdout;
        assert!(env.contains(&format!("URL={origin}\n")), "{env}");
        let listed = names.devstack(&shop, &["proxy"]).run().stdout;
        assert!(listed.contains(&format!("{origin} ")), "{listed}");
        (up, origin)
    };

    let up = names.up(&shop);
    up.wait_for("names use http: `https` needs a local CA");
    let first = names.wait_for("web.shop.localhost", 200);
    assert!(!ca.exists() && secure().is_err());
    let (up, origin) = shown(up);
    assert_eq!(origin, plain_url);

    // The front door notices a new CA; addresses stay until the next start.
    trust(&[]);
    let reply = secure().expect("a certificate for the name");
    assert_eq!((reply.status, &reply.json()["pid"]), (200, &first.json()["pid"]));
    let redirected = names.ask("web.shop.localhost").expect("an answer");
    assert_eq!(
        (redirected.status, redirected.header("location")),
        (307, Some(&*format!("{secure_url}/")))
    );
    https_get_named(names.port, &ca, "evil.com", "/").expect_err("the CA may not sign that");
    let (up, origin) = shown(up);
    assert_eq!(origin, plain_url);
    up.end();

    let up = names.up(&shop);
    let served = eventually("the name", || secure().ok().filter(|reply| reply.status == 200));
    let (up, origin) = shown(up);
    assert_eq!(origin, secure_url);
    let list = names.devstack(&shop, &["requests", "--json"]).run().stdout;
    let last: serde_json::Value =
        serde_json::from_str(list.lines().last().expect("a request")).expect("JSON");
    assert_eq!((&last["scheme"], &last["status"]), (&"https".into(), &200.into()));
    let id = last["id"].to_string();
    let again = names.devstack(&shop, &["requests", "replay", &id]).run().expect_code(0).stdout;
    assert!(again.starts_with("GET /: 200"), "{served:?} {again}");

    trust(&["--undo"]);
    assert!(!ca.exists());
    names.wait_for("web.shop.localhost", 200);
    up.end();
    names.finish([shop]);
}
