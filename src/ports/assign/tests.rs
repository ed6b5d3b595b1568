use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU16;
use std::path::Path;

use super::{AssignRequest, PortAllocator};
use crate::model::{
    ConflictPolicy, MAIN_PORT, MessageClass, Name, PortKey, PortRequest, WantedPort,
};
use crate::ports::{
    BindScope, ListenerOwner, PortAvailability, availability, holders_of_port, listener_owner,
    listeners,
};

fn of(service: &str) -> PortKey {
    PortKey::new(&Name::new(service).unwrap(), MAIN_PORT)
}

fn wish(service: &str, wanted: WantedPort) -> PortRequest {
    let source = if wanted.is_pinned() { "--port" } else { "devstack.toml" };
    PortRequest {
        key: of(service),
        wanted,
        host: "127.0.0.1".to_owned(),
        requested_by: source.to_owned(),
    }
}

fn prefer(service: &str, number: u16) -> PortRequest {
    wish(service, WantedPort::preferred(NonZeroU16::new(number), ConflictPolicy::Next))
}

fn pin(service: &str, number: u16) -> PortRequest {
    wish(service, WantedPort::pinned(NonZeroU16::new(number)))
}

fn any(service: &str) -> PortRequest {
    wish(service, WantedPort::Any)
}

fn open(place: &Path, stack: &str) -> PortAllocator {
    let dir = place.join(stack);
    std::fs::create_dir_all(&dir).unwrap();
    PortAllocator::open(&place.join("leases"), &dir.join("ports.json"), &dir)
}

fn numbers(ports: &mut PortAllocator, requests: &[PortRequest]) -> Vec<u16> {
    let given = ports.assign(requests, &BTreeMap::new()).unwrap();
    given.values().map(|port| port.number).collect()
}

/// Listens at `address` on a port that was free on every address.
fn listen(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

/// Every kind of address that this machine has.
fn places() -> impl Iterator<Item = &'static str> {
    let places = ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"];
    places.into_iter().filter(|place| TcpListener::bind(place).is_ok())
}

/// An address that leaves its port to no other socket.
#[cfg(target_os = "linux")]
fn everywhere() -> &'static str {
    places().last().expect("every machine has IPv4")
}

/// Whether `scene` succeeds at least once. Each attempt frees an ephemeral port and checks it;
/// another test may get that port, or spawn a child that keeps the socket open until it execs.
fn comes_true(scene: impl Fn() -> bool) -> bool {
    (0..50).any(|_| scene())
}

#[test]
fn a_listener_on_any_address_is_a_conflict_and_is_named() {
    let me = std::process::id();
    for address in places() {
        let held = listen(address);
        let port = port_of(&held);
        assert!(
            matches!(availability(port, BindScope::Everywhere), PortAvailability::InUse),
            "{address}"
        );

        let place = tempfile::tempdir().unwrap();
        let mut ports = open(place.path(), "shop");
        let given = ports.assign(&[prefer("api", port)], &BTreeMap::new());
        let api = &given.unwrap()[&of("api")];
        assert_ne!(api.number, port);
        assert_eq!(api.wanted, Some(port));
        let moved = api.moved.as_deref().unwrap();
        assert!(moved.starts_with(&format!("port {port} is in use by ")), "{moved}");
        assert!(moved.contains(&format!("(pid {me}:")), "{moved}");
    }
}

#[test]
fn a_pinned_number_that_is_held_fails_by_name_and_changes_nothing() {
    let held = listen("127.0.0.1:0");
    let port = port_of(&held);
    let place = tempfile::tempdir().unwrap();
    let mut ports = open(place.path(), "shop");
    let requests = [any("web"), pin("api", port)];
    let reported = ports.assign(&requests, &BTreeMap::new()).unwrap_err();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].class, MessageClass::Port);
    assert!(
        reported[0].text.starts_with(&format!("api: port {port} is in use by ")),
        "{}",
        reported[0].text
    );
    assert!(reported[0].text.ends_with("; requested by --port"), "{}", reported[0].text);
    assert!(reported[0].help.contains("`--port api="), "{}", reported[0].help);
    assert!(ports.taken.is_empty() && ports.given.is_empty());
    assert!(!place.path().join("shop/ports.json").exists());
}

#[test]
fn a_pinned_number_is_given_as_soon_as_it_is_free() {
    let place = tempfile::tempdir().unwrap();
    assert!(comes_true(|| {
        let held = listen("127.0.0.1:0");
        let port = port_of(&held);
        let mut ports = open(place.path(), "shop");
        let wishes = [pin("api", port)];
        ports.assign(&wishes, &BTreeMap::new()).unwrap_err();
        drop(held);
        let given = ports.assign(&wishes, &BTreeMap::new());
        given.is_ok_and(|given| given[&of("api")].number == port && given[&of("api")].pinned)
    }));
}

#[test]
fn a_connection_that_was_just_closed_is_no_conflict() {
    assert!(comes_true(|| {
        let server = listen("127.0.0.1:0");
        let port = port_of(&server);
        let client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let (accepted, _) = server.accept().unwrap();
        // The side that closes first stays in TIME_WAIT: the server.
        drop(accepted);
        std::io::Read::read(&mut &client, &mut [0]).unwrap();
        drop(client);
        drop(server);
        matches!(availability(port, BindScope::Everywhere), PortAvailability::Free)
    }));
}

#[test]
fn what_a_running_service_holds_is_its_own() {
    let place = tempfile::tempdir().unwrap();
    let mut ports = open(place.path(), "shop");
    let requests = [any("api")];
    let number = numbers(&mut ports, &requests)[0];
    let _service = listen(&format!("127.0.0.1:{number}"));
    let mine = BTreeMap::from([(of("api"), number)]);
    let again = ports.assign(&requests, &mine).unwrap();
    assert_eq!(again[&of("api")].number, number);
    let moved = ports.assign(&requests, &BTreeMap::new()).unwrap();
    assert_ne!(moved[&of("api")].number, number, "without `mine` it is anybody's");
}

#[test]
fn why_a_port_moved_stays_known_while_it_is_kept() {
    let held = listen("127.0.0.1:0");
    let place = tempfile::tempdir().unwrap();
    let mut ports = open(place.path(), "shop");
    let requests = [prefer("api", port_of(&held))];
    let first = ports.assign(&requests, &BTreeMap::new()).unwrap();
    drop(held);
    let mine = BTreeMap::from([(of("api"), first[&of("api")].number)]);
    assert_eq!(ports.assign(&requests, &mine).unwrap(), first);
}

#[test]
fn the_same_stack_gets_the_same_numbers_again() {
    let held = listen("127.0.0.1:0");
    let place = tempfile::tempdir().unwrap();
    let preferred = prefer("db", port_of(&held));
    let requests = [any("api"), preferred, any("web")];
    let first = numbers(&mut open(place.path(), "shop"), &requests);
    assert_eq!(numbers(&mut open(place.path(), "shop"), &requests), first);
    assert!(place.path().join("shop/ports.json").exists());
}

#[test]
fn another_stack_is_kept_off_and_named_until_it_ends() {
    let place = tempfile::tempdir().unwrap();
    let mut first = open(place.path(), "shop").of_stack("store");
    let number = numbers(&mut first, &[any("api")])[0];

    let mut second = open(place.path(), "copy");
    let requests = [prefer("api", number)];
    let moved = second.assign(&requests, &BTreeMap::new()).unwrap();
    assert_ne!(moved[&of("api")].number, number);
    let why = moved[&of("api")].moved.clone().unwrap();
    let named = format!("port {number} is reserved by service api of stack store in ");
    assert!(why.starts_with(&named) && why.ends_with("/shop"), "{why}");

    drop(first);
    assert_eq!(numbers(&mut open(place.path(), "third"), &requests), [number]);
}

#[test]
fn release_unused_gives_back_only_what_is_unused() {
    let place = tempfile::tempdir().unwrap();
    let mut first = open(place.path(), "shop");
    let given = first.assign(&[any("api"), any("web")], &BTreeMap::new()).unwrap();
    let (api, web) = (given[&of("api")].number, given[&of("web")].number);
    let still = given.into_iter().filter(|(key, _)| *key == of("api")).collect();
    first.release_unused(&still, &BTreeSet::new());

    let mut second = open(place.path(), "copy");
    let requests = [prefer("a", api), prefer("b", web)];
    let given = second.assign(&requests, &BTreeMap::new()).unwrap();
    assert_ne!(given[&of("a")].number, api);
    assert_eq!(given[&of("b")].number, web);
}

#[test]
fn many_stacks_at_once_get_disjoint_numbers() {
    const STACKS: usize = 16;
    const SERVICES: usize = 50;
    let place = tempfile::tempdir().unwrap();
    // Numbers that all stacks prefer, next to automatic ones.
    let preferred: Vec<u16> = {
        let mut scout = open(place.path(), "scout");
        let requests: Vec<_> = (0..10).map(|at| any(&format!("s{at}"))).collect();
        numbers(&mut scout, &requests)
    };
    let requests: Vec<PortRequest> = (0..SERVICES)
        .map(|at| match preferred.get(at) {
            Some(&number) => prefer(&format!("s{at}"), number),
            None => any(&format!("s{at}")),
        })
        .collect();
    let gate = std::sync::Barrier::new(STACKS);
    let start = |stack: usize| {
        let mut ports = open(place.path(), &format!("stack{stack}"));
        gate.wait();
        let given = numbers(&mut ports, &requests);
        (ports, given)
    };
    let stacks: Vec<(PortAllocator, Vec<u16>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..STACKS).map(|stack| scope.spawn(move || start(stack))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all: Vec<u16> = stacks.iter().flat_map(|(_, given)| given.clone()).collect();
    assert_eq!(all.len(), STACKS * SERVICES);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn what_does_not_work_is_said_and_left_out() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "no directory").unwrap();
    let mut ports = PortAllocator::open(&file, &file.join("ports.json"), place.path());
    let given = ports.assign(&[any("api")], &BTreeMap::new()).unwrap();
    assert!(given[&of("api")].number >= 1024);
    let notes = ports.notes();
    assert!(notes.iter().all(|note| note.class == MessageClass::Disk));
    assert!(
        notes.iter().any(|note| note.text.contains("cannot reserve ports against other stacks")),
        "{notes:?}"
    );
    assert!(notes.iter().any(|note| note.text.contains("cannot save ports")), "{notes:?}");
    assert!(ports.notes().is_empty());
}

#[test]
fn a_number_that_browsers_refuse_is_given_with_a_remark() {
    let place = tempfile::tempdir().unwrap();
    let mut ports = open(place.path(), "shop");
    // Whichever is free on this machine.
    let free = [6665, 6666, 6667, 6668, 6669, 6679]
        .into_iter()
        .find(|port| matches!(availability(*port, BindScope::Everywhere), PortAvailability::Free));
    let Some(number) = free else { return };
    let requests = [prefer("irc", number)];
    if numbers(&mut ports, &requests) == [number] {
        assert!(ports.notes()[0].text.contains("browsers block"));
        ports.assign(&requests, &BTreeMap::from([(of("irc"), number)])).unwrap();
        assert!(ports.notes().is_empty(), "said once");
    }
}

#[test]
fn a_privileged_number_is_used_or_explained() {
    let place = tempfile::tempdir().unwrap();
    let mut ports = open(place.path(), "shop");
    let given = ports.assign(&[prefer("web", 999)], &BTreeMap::new()).unwrap();
    match given[&of("web")].moved.as_deref() {
        None => assert_eq!(given[&of("web")].number, 999, "this user may"),
        Some(why) => {
            assert!(
                why == "port 999 requires privileges" || why.starts_with("port 999 is in use"),
                "{why}"
            );
            assert!(given[&of("web")].number >= 8999);
        }
    }
}

#[test]
fn the_tree_that_listens_is_told_from_strangers() {
    let me = std::process::id();
    for address in places() {
        let held = listen(address);
        let port = port_of(&held);
        assert!(matches!(
            listener_owner(port, BindScope::Everywhere, &[me]),
            ListenerOwner::Ours(_)
        ));
        assert!(matches!(
            listener_owner(port, BindScope::Everywhere, &[u32::MAX, me]),
            ListenerOwner::Ours(_)
        ));
        match listener_owner(port, BindScope::Everywhere, &[]) {
            ListenerOwner::Foreign(holder) => {
                assert_eq!(holder.pid, Some(me));
                assert!(holder.same_user);
                let here = std::env::current_dir().unwrap().canonicalize().unwrap();
                assert_eq!(holder.cwd.unwrap().canonicalize().unwrap(), here);
                assert!(holder.age_seconds.is_some());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(holders_of_port(port).first().and_then(|holder| holder.pid), Some(me));
        let found: Vec<SocketAddr> = listeners().into_iter().map(|found| found.address).collect();
        assert!(found.contains(&held.local_addr().unwrap()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nobody_listens_on_a_number_that_is_only_bound() {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
    let everywhere: SocketAddr = everywhere().parse().unwrap();
    let family = if everywhere.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let hold = socket(family, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&hold, true).unwrap();
    bind(&hold, &everywhere).unwrap();
    let address: SocketAddr = getsockname(&hold).unwrap().try_into().unwrap();
    assert_eq!(
        listener_owner(address.port(), BindScope::Everywhere, &[std::process::id()]),
        ListenerOwner::NotListening
    );
    assert_eq!(holders_of_port(address.port()), []);
    assert!(
        matches!(availability(address.port(), BindScope::Everywhere), PortAvailability::Free),
        "a hold is no conflict"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_got_the_listener_is_a_holder_too() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};

    let held = listen(everywhere());
    let port = port_of(&held);
    // The listener is its standard error. It prints a line when it runs, and exits with its input.
    let mut child = Command::new("sh")
        .args(["-c", "echo up; read end"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::os::fd::OwnedFd::from(held.try_clone().unwrap()))
        .spawn()
        .unwrap();
    drop(held);
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let owner = listener_owner(port, BindScope::Everywhere, &[child.id()]);
    let stranger = listener_owner(port, BindScope::Everywhere, &[std::process::id()]);
    let pid = child.id();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(matches!(owner, ListenerOwner::Ours(_)), "{owner:?}");
    match stranger {
        ListenerOwner::Foreign(holder) => {
            assert_eq!(holder.pid, Some(pid));
            assert_eq!(holder.name.as_deref(), Some("sh"));
            assert_eq!(holder.command.as_deref(), Some("sh -c echo up; read end"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_does_not_start_takes_nothing_and_refuses_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut ports = open(place.path(), "shop");
    let held = listen("127.0.0.1:0");
    let (taken, free) = (port_of(&held), numbers(&mut open(place.path(), "x"), &[any("x")])[0]);
    let port_requests = [pin("late", taken), pin("same", free), prefer("web", free)];
    let idle = ["late", "same"].map(|name| Name::new(name).unwrap());
    let mine = BTreeMap::new();
    let asked = AssignRequest {
        requests: &port_requests,
        in_use: &mine,
        not_starting: &idle.into(),
        excluded: &BTreeSet::new(),
        is_required: &|request: &PortRequest| request.key.service.as_str() == "web",
    };
    let assigned = ports.choose(&asked).unwrap();
    assert_eq!(assigned.ports[&of("web")].number, free);
    assert_eq!(
        (assigned.ports[&of("late")].number, assigned.ports[&of("late")].pinned),
        (taken, true)
    );
    assert!(ports.is_unclaimed(&of("late"), taken) && ports.is_unclaimed(&of("same"), free));
    assert!(!ports.is_unclaimed(&of("web"), free));
    assert_eq!(assigned.refused.len(), 2);
    let status = &assigned.refused[&of("same")].text;
    assert_eq!(*status, format!("port {free} is used by web in this stack; requested by --port"));
    assert!(!ports.taken.contains_key(&taken));
    // The service starts, and the foreign process is gone.
    drop(held);
    let mine = BTreeMap::from([(of("web"), free)]);
    let others = ["web", "same"].map(|name| Name::new(name).unwrap());
    let others = others.into();
    let placed = ports.reassign(&port_requests, &mine, &others, &BTreeSet::from([taken]));
    assert!(placed.refused.contains_key(&of("late")), "nobody listens, but it is shunned");
    let placed = ports.reassign(&port_requests, &mine, &others, &BTreeSet::new());
    assert_eq!(placed.ports[&of("web")].number, free);
    assert_eq!(placed.refused.keys().filter(|key| **key == of("same")).count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_cannot_bind_what_is_held_is_remembered() {
    let place = tempfile::tempdir().unwrap();
    let (api, web) = (Name::new("api").unwrap(), Name::new("web").unwrap());
    let requests = [any("api"), any("web")];
    let held = |ports: &PortAllocator, name: &str| {
        ports.taken[&ports.given[&of(name)].number].hold.is_some()
    };
    let mut ports = open(place.path(), "shop");
    numbers(&mut ports, &requests);
    assert!(held(&ports, "api") && held(&ports, "web"));
    assert!(ports.never_hold(&api), "it was that");
    assert!(!ports.never_hold(&api), "a second time it was something else");
    // Nothing is in its way when it starts, and the kernel gives such numbers to nothing else.
    ports.prepare_start(&web);
    assert!(!held(&ports, "web"));
    assert!(!ports.drop_holds(&web));
    assert!(!held(&ports, "api") && !held(&ports, "web"));
    drop(ports);
    let mut ports = open(place.path(), "shop");
    numbers(&mut ports, &requests);
    assert!(!held(&ports, "api") && held(&ports, "web"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_stranger_beside_the_tree_on_an_address_of_its_own_is_seen() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};

    for (ours, theirs) in [("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("127.0.0.1", "127.0.0.2")] {
        let Ok(mine) = TcpListener::bind((ours, 0)) else { continue };
        let port = port_of(&mine);
        // Another test may have taken the port.
        let Ok(stranger) = TcpListener::bind((theirs, port)) else { continue };
        let mut child = Command::new("sh")
            .args(["-c", "echo up; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::os::fd::OwnedFd::from(stranger))
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (me, them) = (std::process::id(), child.id());
        let seen = [vec![me], vec![them], vec![me, them]]
            .map(|tree| listener_owner(port, BindScope::Everywhere, &tree));
        drop(child.stdin.take());
        child.wait().unwrap();
        let pid = |owner: &ListenerOwner| match owner {
            ListenerOwner::Shared(_, holder) => holder.pid,
            other => panic!("{other:?}"),
        };
        assert_eq!((pid(&seen[0]), pid(&seen[1])), (Some(them), Some(me)));
        assert!(matches!(&seen[2], ListenerOwner::Ours(at) if at.len() == 2));
        drop(mine);
    }
}

/// Only Linux has more loopback addresses than one without being told so.
#[cfg(target_os = "linux")]
#[test]
fn only_listeners_at_the_address_of_a_service_and_on_the_wildcards_are_in_its_way() {
    let host = "127.0.20.4";
    let scope = BindScope::of(host);
    let request = |port| PortRequest { host: host.to_owned(), ..prefer("api", port) };
    for (other, conflicts) in [
        ("127.0.0.1:0", false),
        ("[::1]:0", false),
        ("127.0.20.4:0", true),
        ("0.0.0.0:0", true),
        ("[::]:0", true),
    ] {
        let Ok(held) = TcpListener::bind(other) else { continue };
        let port = port_of(&held);
        let place = tempfile::tempdir().unwrap();
        let mut ports = open(place.path(), "shop");
        let given = ports.assign(&[request(port)], &BTreeMap::new()).unwrap();
        let api = &given[&of("api")];
        assert_eq!(api.number != port, conflicts, "{other}: {api:?}");
        let owner = listener_owner(port, scope, &[]);
        assert_eq!(matches!(owner, ListenerOwner::Foreign(_)), conflicts, "{other}: {owner:?}");
        // The number is held where the service will bind it.
        if !conflicts {
            drop(TcpListener::bind((host, port)).unwrap());
        }
    }
}

#[test]
fn a_number_from_the_range_of_connections_is_told() {
    let place = tempfile::tempdir().unwrap();
    let mut ports = open(place.path(), "shop");
    ports.limits = super::AllowedPorts::new(1024, u16::MAX);
    let number = numbers(&mut ports, &[any("api"), prefer("web", 40_000)])[0];
    let [note] = &*ports.notes() else { panic!("one note about both") };
    let range = "outgoing connections may take any port from 1024 to 65535, which leaves no others";
    assert_eq!(note.text, format!("{range}: api uses {number}"));
    numbers(&mut ports, &[any("api")]);
    assert!(ports.notes().is_empty(), "said once");
}
