//! Two worktrees of one repository: names, cookies and a front port that goes from one to the other.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::names::{Names, WEB};
use crate::support::{
    RunningProgram, TestProject, eventually, free_port, require, require_program, service,
};

/// The primary service and four others.
pub const SERVICES: [&str; 5] = ["web", "api", "admin", "docs", "mail"];

fn five_services(front: u16) -> String {
    let service = |name: &str| {
        let primary = if name == "web" { "primary = true" } else { "" };
        format!(
            "[services.{name}]\ncommand = ['{{misbehave}}', 'listen', '--http', '--cookie']\n\
             port = 'auto'\nready = {{ http = '/' }}\n{primary}\n"
        )
    };
    let services: String = SERVICES.map(service).concat();
    format!("[stack.proxy]\nfront = {front}\n{services}")
}

/// Makes `linked` a worktree of the repository of `main`.
fn link(main: &TestProject, linked: &TestProject) {
    let state = main.path(".git/worktrees/linked");
    main.write(state.join("commondir"), "../..\n");
    linked.write(".git", &format!("gitdir: {}\n", state.display()));
}

/// Two running worktrees of one repository, the main one first.
pub struct TwoWorktrees {
    pub names: Names,
    pub front: u16,
    pub projects: [TestProject; 2],
    pub ups: [RunningProgram; 2],
}

impl TwoWorktrees {
    /// The ends of their names.
    pub const DOMAINS: [&str; 2] = ["shop.localhost", "app.shop.localhost"];

    pub fn start() -> TwoWorktrees {
        let names = Names { home: TestProject::new(), port: free_port() };
        let front = free_port();
        let projects = [(); 2].map(|()| names.project("shop", &five_services(front)));
        let [main, linked] = &projects;
        link(main, linked);
        let ups = [names.up(main), names.up(linked)];
        TwoWorktrees { names, front, projects, ups }
    }
}

/// A browser as far as cookies and redirects are concerned.
struct Browser {
    project: TestProject,
}

impl Browser {
    #[track_caller]
    fn get(&self, url: &str) -> Value {
        let jar = self.project.path("jar").display().to_string();
        let options = ["-sSL", "--noproxy", "*", "-b", &jar, "-c", &jar, url];
        self.project.program("curl").args(options).run().expect_code(0).json()
    }
}

/// A provider that sends the browser back after a sign-in to where the request says, with a code.
pub struct SignIn {
    listener: TcpListener,
    closed: AtomicBool,
}

impl SignIn {
    pub fn new() -> SignIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        SignIn { listener, closed: AtomicBool::new(false) }
    }

    /// Answers until it is closed. A browser may open connections that it does not use.
    fn serve(&self) {
        std::thread::scope(|scope| {
            for connection in self.listener.incoming() {
                if self.closed.load(Ordering::Relaxed) {
                    break;
                }
                scope.spawn(|| SignIn::answer(connection.expect("a connection")));
            }
        });
    }

    /// Answers while `work` goes on, even if that panics.
    pub fn serve_during(&self, work: impl FnOnce()) {
        struct Closing<'s>(&'s SignIn);
        impl Drop for Closing<'_> {
            fn drop(&mut self) {
                self.0.closed.store(true, Ordering::Relaxed);
                let _ = TcpStream::connect(self.0.listener.local_addr().expect("it listens"));
            }
        }
        std::thread::scope(|scope| {
            scope.spawn(|| self.serve());
            let _closing = Closing(self);
            work();
        });
    }

    fn answer(mut connection: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
        let first = lines.next()?;
        lines.find(String::is_empty)?;
        let (_, back) = first.split(' ').nth(1)?.split_once("redirect_uri=")?;
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {back}?code=4711\r\n");
        write!(connection, "{head}Content-Length: 0\r\nConnection: close\r\n\r\n").ok()
    }

    pub fn url(&self, front: u16) -> String {
        let at = self.listener.local_addr().expect("it listens");
        format!("http://{at}/authorize?redirect_uri=http://localhost:{front}/callback")
    }
}

#[test]
fn a_sign_in_comes_back_to_the_worktree_that_has_the_front_port() {
    if require_program("curl").is_none() {
        return;
    }
    let TwoWorktrees { names, front, projects, ups } = TwoWorktrees::start();
    let [main, linked] = &projects;
    let domains = TwoWorktrees::DOMAINS;
    let browser = Browser { project: TestProject::new() };
    let pid = |project: &TestProject, name: &str| {
        let ps = names.devstack(project, &["ps", "--json"]).run().json();
        service(&ps, name)["pid"].clone()
    };

    // The second time, each service gets its own cookie and none of the nine others.
    for name in domains {
        names.wait_for(name, 200);
    }
    for again in [false, true] {
        for (domain, project) in domains.iter().zip(&projects) {
            for name in SERVICES {
                let pid = pid(project, name);
                let seen = browser.get(&format!("http://{name}.{domain}:{}/", names.port));
                let cookie = if again { format!("session={pid}") } else { String::new() };
                assert_eq!(
                    (&seen["pid"], &seen["cookie"]),
                    (&pid, &cookie.into()),
                    "{name}.{domain}"
                );
            }
        }
    }

    let provider = SignIn::new();
    provider.serve_during(|| {
        let sign_in = |project: &TestProject| {
            let page = browser.get(&provider.url(front));
            assert_eq!(page["path"], "/callback?code=4711");
            assert_eq!(page["pid"], pid(project, "web"));
        };
        eventually("the front port", || TcpStream::connect(("127.0.0.1", front)).ok().map(drop));
        sign_in(main);
        for project in [linked, main, linked] {
            names.devstack(project, &["front"]).run().expect_code(0);
            sign_in(project);
        }
    });
    for up in ups {
        up.end();
    }
    names.finish(projects);
    browser.project.finish();
}

#[test]
fn an_edit_takes_a_new_ca_into_addresses_and_restarts_only_who_gets_them() {
    let names = Names { home: TestProject::new(), port: free_port() };
    let others = "[services.mail]\ncommand = ['{misbehave}', 'run']\nenv = { URL = '${web.origin}' }\n\
                  [services.db]\ncommand = ['{misbehave}', 'run']\n";
    let shop = names.project("shop", &format!("{WEB}{others}"));
    let up = names.up(&shop);
    let state = |name: &str| {
        let ps = names.devstack(&shop, &["ps", "--json"]).run().json();
        (service(&ps, name)["pid"].clone(), service(&ps, name)["origin"].clone())
    };
    let pids = ["web", "mail", "db"].map(|name| state(name).0);
    let plain = format!("http://web.shop.localhost:{}", names.port);
    let secure = plain.replace("http://", "https://");
    assert_eq!(state("web").1, plain.as_str());

    // Without a CA the edit is said to have no effect.
    let edit = |proxy: &str| {
        shop.configure(&format!("[stack]\nname = 'shop'\n{proxy}{WEB}{others}"));
    };
    edit("[stack.proxy]\nhttps = true\n");
    up.wait_for("names use http: `https` needs a local CA");
    assert_eq!(state("web").1, plain.as_str());
    assert_eq!(state("mail").0, pids[1]);

    let none = shop.outside("no-programs");
    names.devstack(&shop, &["trust", "--yes"]).env("PATH", none).run();
    edit("[stack.proxy]\nhttps = true\nwait = '59s'\n");
    eventually("the new address", || (state("web").1 == secure.as_str()).then_some(()));
    eventually("the restart", || (state("mail").0 != pids[1]).then_some(()));
    assert_eq!([state("web").0, state("db").0], [pids[0].clone(), pids[2].clone()]);
    up.end();
    names.finish([shop]);
}

/// What the front door answers to what is no message, over its control socket: nothing to others.
fn answer_to(project: &TestProject, socket: &Path, user: Option<&str>) -> String {
    let become_user = user.map(|id| ["setpriv", "--clear-groups", "--reuid", id, "--regid", id]);
    let socket = socket.to_str().expect("UTF-8");
    let curl = ["curl", "-s", "--http0.9", "--unix-socket", socket, "http://x/"];
    let words: Vec<&str> = become_user.into_iter().flatten().chain(curl).collect();
    project.program(words[0]).args(&words[1..]).run().stdout
}

#[test]
fn other_users_learn_of_a_failed_service_but_not_what_it_printed() {
    if !require("root, to be another user", rustix::process::geteuid().is_root())
        || ["setpriv", "curl"].into_iter().any(|program| require_program(program).is_none())
    {
        return;
    }
    let names = Names { home: TestProject::new(), port: free_port() };
    let failing =
        "command = \"echo sesame-4711; exit 3\"\nrestart = \"no\"\nproxy = true\nport = \"auto\"\n";
    let shop = names.project("shop", &format!("{WEB}[services.api]\n{failing}"));
    let up = names.devstack(&shop, &["up"]).start();
    names.wait_for("web.shop.localhost", 200);
    names.wait_for("api.shop.localhost", 503);
    let get = |user: Option<&str>, address: &str, name: &str| {
        let become_user =
            user.map(|id| ["setpriv", "--clear-groups", "--reuid", id, "--regid", id]);
        let host = format!("Host: {name}.localhost:{}", names.port);
        let url = format!("http://{address}:{}/", names.port);
        let curl = ["curl", "-s", "--noproxy", "*", "-H", &host, &url];
        let words: Vec<&str> = become_user.into_iter().flatten().chain(curl).collect();
        shop.program(words[0]).args(&words[1..]).run().expect_code(0).stdout
    };
    for address in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let own = get(None, address, "api.shop");
        assert!(own.contains("error: api failed: exited with code 3\nsesame-4711\n"), "{own}");
        let others = get(Some("4321"), address, "api.shop");
        assert!(others.contains("error: api failed: "), "{address}: {others}");
        assert!(!others.contains("sesame"), "{address}: {others}");
        // Nor which names there are.
        assert!(get(None, address, "x").contains("web.shop.localhost"));
        let others = get(Some("4321"), address, "x");
        assert!(others.contains("error: ") && !others.contains("shop"), "{address}: {others}");
    }
    up.end();
    names.finish([shop]);
}

#[test]
fn more_ports_than_the_front_door_can_have_are_refused_and_the_others_survive_its_end() {
    let (names, shop) = Names::new();
    let up = names.up(&shop);
    names.wait_for("web.shop.localhost", 200);
    let mut fronts = Vec::new();
    let refused = loop {
        let port = free_port();
        let args = ["front", "--port", &port.to_string()];
        let ended = names.devstack(&shop, &args).run();
        if ended.code() != 0 {
            break ended.stderr;
        }
        fronts.push(port);
        assert!(fronts.len() < 64, "{fronts:?}");
    };
    assert!(refused.contains("of at most 64 sockets"), "{refused}");
    let first = names.door();
    crate::support::kill_processes(&[first]);
    names.wait_for("web.shop.localhost", 200);
    for port in fronts {
        eventually("the front port", || {
            let host = format!("localhost:{port}");
            let reply = crate::support::http_get_named(port, &host, "/").ok()?;
            (reply.status == 200).then_some(())
        });
    }
    assert_ne!(names.door(), first);
    up.end();
    names.finish([shop]);
}

#[test]
fn the_control_socket_hears_its_own_user_only() {
    if !require("root, to be another user", rustix::process::geteuid().is_root())
        || ["setpriv", "curl"].into_iter().any(|program| require_program(program).is_none())
    {
        return;
    }
    let (names, shop) = Names::new();
    let up = names.up(&shop);
    names.wait_for("web.shop.localhost", 200);
    let runtime = names.home.outside("run/devstack");
    let files = std::fs::read_dir(&runtime).expect("it is there").flatten();
    let mut files = files.map(|file| file.path());
    let is_door = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("proxy") && name.ends_with(".sock")
    };
    let socket = files.find(is_door).expect("a socket");
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&runtime), mode(&socket)), (0o700, 0o600));
    let heard = "\"what\":\"refused\"";
    assert!(answer_to(&shop, &socket, None).contains(heard));
    assert_eq!(answer_to(&shop, &socket, Some("4321")), "");
    // Nor if all of its directories are open to others.
    let above = runtime.ancestors().take_while(|dir| *dir != Path::new("/tmp"));
    let opened: Vec<(&Path, u32)> =
        above.chain([socket.as_path()]).map(|path| (path, mode(path))).collect();
    let set = |path: &Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("it is ours");
    };
    opened.iter().for_each(|(path, _)| set(path, 0o777));
    assert_eq!(answer_to(&shop, &socket, Some("4321")), "");
    opened.iter().for_each(|(path, mode)| set(path, *mode));
    assert!(answer_to(&shop, &socket, None).contains(heard));
    up.end();
    names.finish([shop]);
}
