use std::io;
use std::num::NonZeroU16;

use super::*;
use crate::cli::doctor::facts::{MovedPort, OrphanedStack};
use crate::cli::doctor::finding::FindingLevel;
use crate::model::{ConflictPolicy, MessageClass, Name, PortRequest, WantedPort};

/// Returns facts without any problem.
fn well() -> DoctorFacts {
    let usage = |used, most| Some(LimitUsage { used, most: Some(most) });
    DoctorFacts {
        machine: MachineFacts {
            watches: usage(1_000, 524_288),
            watchers: usage(10, 1_024),
            files: (1_024, 524_288),
            processes: usage(300, 30_000),
            outgoing: (32_768, 60_999),
            has_pidfd: true,
            sight: ProcessVisibility::All,
            localhost: LocalhostNames::Loopback,
            resolver: NameResolver::NameServices,
            https: LocalCaFacts::Absent,
            proxy: ProxyFacts::NotRunning,
        },
        project: ProjectFacts {
            dir: "/srv/shop".into(),
            writable: true,
            network_file_system: None,
        },
        configuration: ConfigStatus::Good(StackFacts {
            name: "shop".to_owned(),
            services: 4,
            watches: true,
            runs: false,
            unstartable: Vec::new(),
            port_requests: vec![wish(5_000)],
            privileged: Vec::new(),
            ports: Ok(Vec::new()),
        }),
        left: OrphanFacts { stacks: Vec::new(), sockets: Vec::new(), leases: Vec::new() },
    }
}

fn wish(number: u16) -> PortRequest {
    PortRequest {
        key: PortKey::new(&Name::new("api").expect("valid name"), MAIN_PORT),
        wanted: WantedPort::preferred(NonZeroU16::new(number), ConflictPolicy::Next),
        host: "127.0.0.1".to_owned(),
        requested_by: "devstack.toml".to_owned(),
    }
}

/// Applies a change to good facts; returns the only finding that is not ok.
#[track_caller]
fn after(change: impl FnOnce(&mut DoctorFacts)) -> DoctorFinding {
    let mut facts = well();
    change(&mut facts);
    let mut findings = judge(&facts);
    findings.retain(|finding| finding.state != FindingLevel::Ok);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let finding = findings.remove(0);
    assert!(!finding.help.is_empty(), "{finding:?}");
    finding
}

fn stack(facts: &mut DoctorFacts) -> &mut StackFacts {
    match &mut facts.configuration {
        ConfigStatus::Good(stack) => stack,
        ConfigStatus::Absent | ConfigStatus::Wrong(_) => panic!("expected a valid configuration"),
    }
}

#[test]
fn where_all_is_well_every_check_says_so() {
    let findings = judge(&well());
    assert!(findings.iter().all(|finding| finding.state == FindingLevel::Ok), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.help.is_empty()), "{findings:?}");
    let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
    let expected = "inotify-watches inotify-instances open-files processes pidfd proc \
         localhost-names https proxy project configuration programs ports leftovers stale-leases";
    assert_eq!(checks.join(" "), expected);
}

/// A change and its expected finding: level, check, part of the text, part of the help.
type Case = (fn(&mut DoctorFacts), FindingLevel, &'static str, &'static str, &'static str);

#[test]
fn every_trouble_is_told_with_its_remedy() {
    const CASES: [Case; 24] = [
        (
            |facts| facts.machine.watches = Some(LimitUsage { used: 480_000, most: Some(524_288) }),
            FindingLevel::Wrong,
            "inotify-watches",
            "480000 of 524288",
            "max_user_watches",
        ),
        (
            |facts| facts.machine.watches = Some(LimitUsage { used: 10, most: Some(8_192) }),
            FindingLevel::Note,
            "inotify-watches",
            "which is low",
            "max_user_watches",
        ),
        (
            |facts| facts.machine.watchers = Some(LimitUsage { used: 128, most: Some(128) }),
            FindingLevel::Wrong,
            "inotify-instances",
            "128 of 128",
            "max_user_instances",
        ),
        (
            |facts| facts.machine.files = (64, 4_096),
            FindingLevel::Wrong,
            "open-files",
            "open file limit is 64",
            "ulimit -n 4096",
        ),
        (
            |facts| facts.machine.files = (64, 64),
            FindingLevel::Wrong,
            "open-files",
            "about 96",
            "limits.conf",
        ),
        (
            |facts| facts.machine.processes = Some(LimitUsage { used: 100, most: Some(120) }),
            FindingLevel::Wrong,
            "processes",
            "100 of 120",
            "ulimit -u",
        ),
        (
            |facts| facts.machine.has_pidfd = false,
            FindingLevel::Wrong,
            "pidfd",
            "pidfd is not available",
            "Linux 5.3",
        ),
        (
            |facts| facts.machine.sight = ProcessVisibility::Own("hidepid=2".to_owned()),
            FindingLevel::Note,
            "proc",
            "hidepid=2",
            "sudo devstack ports",
        ),
        (
            |facts| facts.machine.sight = ProcessVisibility::Nothing,
            FindingLevel::Wrong,
            "proc",
            "/proc",
            "mount",
        ),
        (
            |facts| facts.machine.localhost = LocalhostNames::Elsewhere([10, 0, 0, 1].into()),
            FindingLevel::Wrong,
            "localhost-names",
            "10.0.0.1",
            "/etc/hosts",
        ),
        (
            |facts| facts.machine.localhost = LocalhostNames::Unknown("no such name".to_owned()),
            FindingLevel::Note,
            "localhost-names",
            "no such name",
            "browsers",
        ),
        (
            |facts| facts.machine.localhost = LocalhostNames::Silent,
            FindingLevel::Note,
            "localhost-names",
            "no name server",
            "nsswitch.conf",
        ),
        (
            |facts| {
                facts.machine.localhost = LocalhostNames::Silent;
                facts.machine.resolver = NameResolver::HostsFile;
            },
            FindingLevel::Note,
            "localhost-names",
            "no name server",
            "for other programs, add names to /etc/hosts",
        ),
        (
            |facts| {
                facts.machine.localhost = LocalhostNames::Silent;
                facts.machine.resolver = NameResolver::MacOs;
            },
            FindingLevel::Note,
            "localhost-names",
            "no name server",
            "for Safari and other programs",
        ),
        (
            |facts| {
                let other = Message::new(MessageClass::Busy, "cannot ask the proxy: no")
                    .help("stop the stacks");
                facts.machine.proxy = ProxyFacts::Unreachable(other);
            },
            FindingLevel::Wrong,
            "proxy",
            "cannot ask the proxy",
            "stop the stacks",
        ),
        (
            |facts| facts.project.writable = false,
            FindingLevel::Note,
            "project",
            "/srv/shop is not writable",
            "writable",
        ),
        (
            |facts| facts.project.network_file_system = Some("nfs4".to_owned()),
            FindingLevel::Note,
            "file-system",
            "nfs4",
            "poll",
        ),
        (
            |facts| facts.configuration = ConfigStatus::Absent,
            FindingLevel::Note,
            "configuration",
            "no devstack.toml",
            "-f",
        ),
        (
            |facts| {
                facts.configuration =
                    ConfigStatus::Wrong(Message::new(MessageClass::Config, "x:1:1: no"))
            },
            FindingLevel::Wrong,
            "configuration",
            "x:1:1: no",
            "devstack check",
        ),
        (
            |facts| {
                let message =
                    Message::new(MessageClass::Spawn, "program `flask` not found on PATH")
                        .help("install it");
                stack(facts).unstartable = vec![UnstartableService {
                    service: "api".to_owned(),
                    starts: true,
                    why: message,
                }];
            },
            FindingLevel::Wrong,
            "programs",
            "api: program `flask` not found",
            "install it",
        ),
        (
            |facts| {
                let message =
                    Message::new(MessageClass::Port, "port 5000 is in use by x").help("stop it");
                stack(facts).ports = Err(vec![message]);
            },
            FindingLevel::Wrong,
            "ports",
            "port 5000 is in use by x",
            "stop it",
        ),
        (
            |facts| {
                let why = "port 5000 is in use by x".to_owned();
                stack(facts).ports =
                    Ok(vec![MovedPort { whose: "api".to_owned(), number: 5_001, why }]);
            },
            FindingLevel::Note,
            "ports",
            "`up` would use 5001",
            "--kill",
        ),
        (
            |facts| {
                stack(facts).privileged =
                    vec![(80, PortAvailability::Denied), (81, PortAvailability::Free)]
            },
            FindingLevel::Note,
            "privileged-ports",
            "port 80",
            "1024",
        ),
        (
            |facts| stack(facts).port_requests.push(wish(40_000)),
            FindingLevel::Note,
            "outgoing-range",
            "40000 is in the range",
            "below 32768",
        ),
    ];
    for (change, state, check, text, help) in CASES {
        let finding = after(change);
        assert_eq!((finding.state, finding.check), (state, check), "{finding:?}");
        assert!(finding.text.contains(text), "{finding:?}");
        assert!(finding.help.contains(help), "{finding:?}");
    }
}

#[test]
fn a_service_that_does_not_start_by_itself_fails_nothing() {
    let finding = after(|facts| {
        let why =
            Message::new(MessageClass::Spawn, "program `x` not found on PATH").help("install it");
        stack(facts).unstartable =
            vec![UnstartableService { service: "mail".to_owned(), starts: false, why }];
    });
    assert_eq!((finding.state, finding.check), (FindingLevel::Note, "programs"));
    assert_eq!(
        finding.text,
        "mail: program `x` not found on PATH (needed only when it is started)"
    );
}

#[test]
fn names_that_are_served_are_counted() {
    let mut facts = well();
    facts.machine.proxy = ProxyFacts::Serving { ports: vec![3000, 7780], stacks: 2 };
    let findings = judge(&facts);
    let finding = findings.iter().find(|finding| finding.check == "proxy").expect("it is told");
    assert_eq!(finding.state, FindingLevel::Ok);
    let text = "names are served on ports 3000, 7780; running stacks with names: 2";
    assert_eq!(finding.text, text);
}

#[test]
fn what_does_not_concern_a_stack_is_not_told() {
    let mut facts = well();
    facts.project.network_file_system = Some("nfs4".to_owned());
    stack(&mut facts).watches = false;
    stack(&mut facts).privileged = vec![(80, PortAvailability::Failed(io::Error::other("x")))];
    assert!(judge(&facts).iter().all(|finding| finding.state == FindingLevel::Ok));
    facts.machine.watches = Some(LimitUsage { used: 1_000_000, most: None });
    facts.machine.processes = Some(LimitUsage { used: 1_000_000, most: None });
    assert!(judge(&facts).iter().all(|finding| finding.state == FindingLevel::Ok));
    // Unknown limits are not a problem.
    let machine = &mut facts.machine;
    (machine.watches, machine.watchers, machine.processes) = (None, None, None);
    assert_eq!(judge(&facts).len(), 12);
}

#[test]
fn leftovers_are_named() {
    let all: Vec<(u32, String)> = (1..=7).map(|pid| (pid, "node".to_owned())).collect();
    let finding = after(|facts| {
        let left = |dir: &str, processes| OrphanedStack {
            dir: Some(dir.into()),
            processes,
            containers: Vec::new(),
        };
        facts.left.stacks = vec![left("/srv/shop", Ok(all)), left("/srv/other", Ok(Vec::new()))];
    });
    assert_eq!((finding.state, finding.check), (FindingLevel::Wrong, "leftovers"));
    assert!(finding.text.ends_with("node (pid 4), node (pid 5), …"), "{finding:?}");
    assert_eq!(finding.help, "run `cd /srv/shop && devstack down`");
    let finding = after(|facts| {
        let processes = Ok(vec![(7, "node".to_owned()), (8, "sh".to_owned())]);
        facts.left.stacks = vec![OrphanedStack { dir: None, processes, containers: Vec::new() }];
    });
    assert_eq!(finding.help, "run `kill 7 8`");
    let finding = after(|facts| {
        let processes = Err("it is corrupt".to_owned());
        let dir = Some("/srv/shop".into());
        facts.left.stacks = vec![OrphanedStack { dir, processes, containers: Vec::new() }];
    });
    assert!(finding.text.ends_with("it is corrupt"), "{finding:?}");
    let finding = after(|facts| facts.left.sockets = vec!["/run/x.sock".into()]);
    assert_eq!((finding.state, finding.check), (FindingLevel::Note, "stale-sockets"));
    assert!(finding.text.contains("/run/x.sock"), "{finding:?}");
    assert!(!finding.help.contains("down"), "it would stop other stacks: {finding:?}");
}

#[test]
fn browsers_are_thought_of() {
    let finding = after(|facts| stack(facts).port_requests.push(wish(6_000)));
    assert_eq!((finding.state, finding.check), (FindingLevel::Note, "browsers"));
}

#[test]
fn a_port_that_is_kept_for_a_dead_devstack_is_wrong() {
    let lease = |port: u16| (port, format!("/run/user/1/devstack/ports/{port}.lock").into());
    let finding = after(|facts| facts.left.leases = vec![lease(5000), lease(5001)]);
    assert_eq!((finding.check, finding.state), ("stale-leases", FindingLevel::Wrong));
    assert!(finding.text.ends_with("port 5000, 5001"), "{}", finding.text);
    assert!(
        finding.help.contains("`fuser -v /run/user/1/devstack/ports/5000.lock`"),
        "{}",
        finding.help
    );
}

#[test]
fn a_local_ca_should_be_trusted_and_stay_so() {
    let ca = |expires_soon, system| LocalCaFacts::Present {
        expires: "2036-11-29".to_owned(),
        expires_soon,
        stores: vec![
            ("system".to_owned(), system),
            ("Chromium (~/.pki/nssdb)".to_owned(), StoreContent::ThisCa),
        ],
    };
    let mut facts = well();
    facts.machine.https = ca(false, StoreContent::ThisCa);
    let findings = judge(&facts);
    let https = findings.iter().find(|finding| finding.check == "https").expect("it is checked");
    let trusted = "the local CA expires 2036-11-29; trusted by system, Chromium (~/.pki/nssdb)";
    assert_eq!((https.state, &*https.text), (FindingLevel::Ok, trusted));

    let finding = after(|facts| facts.machine.https = ca(true, StoreContent::ThisCa));
    assert_eq!((finding.state, &*finding.text), (FindingLevel::Note, trusted));
    for missing in [StoreContent::Nothing, StoreContent::Stale, StoreContent::Unreadable] {
        let finding = after(|facts| facts.machine.https = ca(false, missing));
        let text = "the local CA expires 2036-11-29; trusted by Chromium (~/.pki/nssdb); \
             not trusted by system, or certutil is not installed";
        assert_eq!((finding.state, &*finding.text), (FindingLevel::Note, text));
    }
    let unusable = Message::new(MessageClass::Denied, "cannot use the local CA").help("undo");
    let finding = after(|facts| facts.machine.https = LocalCaFacts::Unusable(unusable));
    assert_eq!((finding.state, &*finding.help), (FindingLevel::Wrong, "undo"));
}
