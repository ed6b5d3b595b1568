use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::{ChoiceInput, PortChoice, PortChoices, PortConflict, PortSource, choose};
use crate::model::{
    AssignedPort, ConflictPolicy, MAIN_PORT, Name, PortKey, PortRequest, WantedPort,
};
use crate::ports::well_known::blocked_by_browsers;
use crate::ports::{AllowedPorts, BindScope, LeaseOwner, PortObstacle};

/// A fake machine.
#[derive(Debug, Default)]
struct World {
    in_use: BTreeSet<u16>,
    leased: BTreeSet<u16>,
    /// Leased by another user, as far as that can be seen.
    announced: BTreeSet<u16>,
    unprivileged_from: u16,
    suggestions: Vec<u16>,
    last: BTreeMap<(PortKey, Option<u16>), u16>,
    broken: bool,
    claimed: Vec<u16>,
}

impl PortSource for World {
    fn claim(&mut self, port: u16, _scope: BindScope) -> Result<(), PortObstacle> {
        if self.broken {
            return Err(PortObstacle::Failed("too many open files".to_owned()));
        }
        if self.leased.contains(&port) || self.announced.contains(&port) {
            return Err(PortObstacle::Leased(LeaseOwner::default()));
        }
        if port < self.unprivileged_from {
            return Err(PortObstacle::Denied);
        }
        if self.in_use.contains(&port) {
            return Err(PortObstacle::InUse);
        }
        self.claimed.push(port);
        Ok(())
    }

    fn suggest(&mut self) -> Option<u16> {
        self.suggestions.pop()
    }

    fn disregard_other_users(&mut self) -> bool {
        !std::mem::take(&mut self.announced).is_empty()
    }

    fn last(&self, key: &PortKey, wanted: Option<u16>) -> Option<u16> {
        self.last.get(&(key.clone(), wanted)).copied()
    }
}

fn world(in_use: &[u16]) -> World {
    World { in_use: in_use.iter().copied().collect(), unprivileged_from: 1024, ..World::default() }
}

fn wish(service: &str, wanted: WantedPort) -> PortRequest {
    PortRequest {
        key: of(service),
        wanted,
        host: "127.0.0.1".to_owned(),
        requested_by: "devstack.toml".to_owned(),
    }
}

fn prefer_or(service: &str, number: u16, policy: ConflictPolicy) -> PortRequest {
    wish(service, WantedPort::preferred(NonZeroU16::new(number), policy))
}

fn prefer(service: &str, number: u16) -> PortRequest {
    prefer_or(service, number, ConflictPolicy::Next)
}

fn pin(service: &str, number: u16) -> PortRequest {
    wish(service, WantedPort::pinned(NonZeroU16::new(number)))
}

fn any(service: &str) -> PortRequest {
    wish(service, WantedPort::Any)
}

fn of(service: &str) -> PortKey {
    PortKey::new(&Name::new(service).unwrap(), MAIN_PORT)
}

/// A stack with a previous choice.
#[derive(Default)]
struct Earlier {
    mine: BTreeMap<PortKey, u16>,
    before: BTreeMap<PortKey, AssignedPort>,
}

impl Earlier {
    fn running(mut self, service: &str, number: u16, wanted: Option<u16>) -> Earlier {
        let port =
            AssignedPort { name: "main".to_owned(), number, wanted, pinned: false, moved: None };
        self.mine.insert(of(service), number);
        self.before.insert(of(service), port);
        self
    }

    fn ask<'a>(
        &self,
        port_requests: &'a [PortRequest],
        world: &mut World,
    ) -> Result<BTreeMap<PortKey, PortChoice>, Vec<PortConflict<'a>>> {
        let limits = AllowedPorts::new(32_768, 60_999);
        let Earlier { mine, before } = self;
        let idle = BTreeSet::new();
        let question = ChoiceInput {
            requests: port_requests,
            in_use: mine,
            not_starting: &idle,
            previous: before,
            limits: &limits,
            seed: 7,
        };
        all(choose(&question, world))
    }
}

/// Returns the choices if there is no conflict.
fn all(chosen: PortChoices<'_>) -> Result<BTreeMap<PortKey, PortChoice>, Vec<PortConflict<'_>>> {
    if chosen.conflicts.is_empty() { Ok(chosen.choices) } else { Err(chosen.conflicts) }
}

fn numbers(requests: &[PortRequest], world: &mut World) -> Vec<u16> {
    let choices = Earlier::default().ask(requests, world).unwrap();
    requests.iter().map(|request| choices[&request.key].number()).collect()
}

#[test]
fn a_free_number_is_given_as_wished() {
    let requests = [pin("a", 5000), prefer("b", 80), prefer("c", 6000), prefer("d", 40_000)];
    let mut root = World::default();
    assert_eq!(numbers(&requests, &mut root), [5000, 80, 6000, 40_000]);
}

#[test]
fn next_goes_up_over_what_others_have_or_wish_for() {
    let requests = [prefer("a", 5000), prefer("b", 5002), any("c")];
    let mut world = world(&[5000, 5001]);
    world.leased.insert(5003);
    let given = numbers(&requests, &mut world);
    assert_eq!(given[..2], [5004, 5002]);
}

#[test]
fn next_skips_what_browsers_refuse_and_the_ephemeral_range() {
    assert_eq!(numbers(&[prefer("a", 5999)], &mut world(&[5999])), [6001]);
    assert_eq!(numbers(&[prefer("a", 6664)], &mut world(&[6664])), [6670]);
    let up = numbers(&[prefer("a", 32_767)], &mut world(&[32_767]))[0];
    assert!((20_000..32_767).contains(&up), "no neighbour is left above, so any: {up}");
    assert_eq!(numbers(&[prefer("a", 60_999)], &mut world(&[60_999])), [61_000]);
    let wrapped = numbers(&[prefer("a", 65_535)], &mut world(&[65_535]))[0];
    assert!((20_000..=32_767).contains(&wrapped));
}

#[test]
fn a_privileged_number_becomes_its_usual_counterpart() {
    let requests = [prefer("a", 80), prefer("b", 443), prefer("c", 81)];
    let choices = Earlier::default().ask(&requests, &mut world(&[])).unwrap();
    let given: Vec<_> = requests.iter().map(|request| choices[&request.key].number()).collect();
    assert_eq!(given, [8080, 8443, 8081]);
    assert_eq!(choices[&of("a")], PortChoice::Moved(8080, PortObstacle::Denied));
    assert_eq!(numbers(&[prefer("a", 80)], &mut world(&[8080, 8081])), [8082]);
    let auto = prefer_or("a", 80, ConflictPolicy::Auto);
    assert_eq!(numbers(&[auto], &mut world(&[])), [8080]);
}

#[test]
fn a_privileged_number_in_use_moves_to_its_counterpart_too() {
    let mut root = World { unprivileged_from: 0, ..world(&[80]) };
    assert_eq!(numbers(&[prefer("a", 80)], &mut root), [8080]);
}

#[test]
fn last_times_number_comes_before_the_policy_but_after_the_wish() {
    let mut world = world(&[5000]);
    world.last.insert((of("a"), Some(5000)), 5007);
    world.last.insert((of("b"), None), 23_456);
    assert_eq!(numbers(&[prefer("a", 5000), any("b")], &mut world), [5007, 23_456]);
    world.in_use.clear();
    assert_eq!(numbers(&[prefer("a", 5000)], &mut world), [5000]);
}

#[test]
fn last_times_number_must_still_be_allowed() {
    for forbidden in [80, 6000, 40_000, 5001, 5002] {
        let mut world = world(&[5000, 5001]);
        world.last.insert((of("a"), Some(5000)), forbidden);
        let given = numbers(&[prefer("a", 5000), prefer("b", 5002)], &mut world);
        assert_eq!(given, [5003, 5002]);
    }
}

#[test]
fn any_has_its_own_slot_by_directory_and_name() {
    let first = numbers(&[any("a"), any("b")], &mut world(&[]));
    assert_eq!(first, numbers(&[any("a"), any("b")], &mut world(&[])));
    assert_ne!(first[0], first[1]);
    let limits = AllowedPorts::new(32_768, 60_999);
    let port_requests = [any("a")];
    let (mine, before) = Default::default();
    let elsewhere = ChoiceInput {
        requests: &port_requests,
        in_use: &mine,
        not_starting: &BTreeSet::new(),
        previous: &before,
        limits: &limits,
        seed: 8,
    };
    let other = all(choose(&elsewhere, &mut world(&[]))).unwrap();
    assert_ne!(other[&of("a")].number(), first[0]);
}

#[test]
fn a_taken_slot_leads_to_suggestions_and_then_to_a_scan() {
    let state = numbers(&[any("a")], &mut world(&[]))[0];
    let mut suggesting = world(&[state]);
    suggesting.suggestions = vec![22_222, state, 80, 40_000];
    assert_eq!(numbers(&[any("a")], &mut suggesting), [22_222]);
    let scanned = numbers(&[any("a")], &mut world(&[state]))[0];
    assert_ne!(scanned, state);
    let but_one: Vec<u16> = (20_000..=32_767).filter(|port| *port != 30_303).collect();
    assert_eq!(numbers(&[any("a")], &mut world(&but_one)), [30_303]);
}

#[test]
fn conflicts_are_all_told_and_each_has_another_way_out() {
    let strict = prefer_or("b", 5001, ConflictPolicy::Fail);
    let requests = [pin("a", 5000), strict, prefer("c", 5000), pin("d", 80)];
    let conflicts = Earlier::default().ask(&requests, &mut world(&[5000, 5001])).unwrap_err();
    let reported: Vec<_> = conflicts
        .iter()
        .map(|found| {
            (found.request.key.service.as_str(), found.obstacle.clone(), found.alternative)
        })
        .collect();
    assert_eq!(
        reported,
        [
            ("a", PortObstacle::InUse, Some(5002)),
            ("d", PortObstacle::Denied, Some(8080)),
            ("b", PortObstacle::InUse, Some(5003)),
        ]
    );
}

#[test]
fn two_wishes_for_one_number_give_it_to_the_stronger_and_then_to_the_first() {
    let requests = [prefer("a", 5000), pin("b", 5000), prefer("c", 6100), prefer("d", 6100)];
    let choices = Earlier::default().ask(&requests, &mut world(&[])).unwrap();
    assert_eq!(choices[&of("b")].number(), 5000);
    let same_stack = PortObstacle::SameStack(Name::new("b").unwrap());
    assert_eq!(choices[&of("a")], PortChoice::Moved(5001, same_stack));
    assert_eq!((choices[&of("c")].number(), choices[&of("d")].number()), (6100, 6101));
    let requests = [pin("a", 5000), pin("b", 5000)];
    let conflicts = Earlier::default().ask(&requests, &mut world(&[])).unwrap_err();
    assert_eq!(conflicts[0].obstacle, PortObstacle::SameStack(Name::new("a").unwrap()));
}

#[test]
fn nothing_left_and_nothing_to_find_out_are_told() {
    let everything: Vec<u16> = (1..=u16::MAX).collect();
    let requests = [any("a"), prefer("b", 5000)];
    let conflicts = Earlier::default().ask(&requests, &mut world(&everything)).unwrap_err();
    assert!(conflicts.iter().all(|found| found.obstacle == PortObstacle::NoneLeft));
    assert_eq!(conflicts.len(), 2);

    let mut broken = World { broken: true, ..World::default() };
    let conflicts = Earlier::default().ask(&requests, &mut broken).unwrap_err();
    assert!(conflicts.iter().all(|found| matches!(found.obstacle, PortObstacle::Failed(_))));
}

#[test]
fn a_running_service_keeps_what_it_has_where_the_wish_is_the_same() {
    let earlier = Earlier::default()
        .running("a", 5001, Some(5000))
        .running("b", 23_000, None)
        .running("c", 3000, Some(3000));
    let requests = [prefer("a", 5000), any("b"), prefer("c", 3000)];
    // Its own listeners are in use; 5000 is free again.
    let mut world = world(&[5001, 23_000, 3000]);
    let choices = earlier.ask(&requests, &mut world).unwrap();
    assert!(choices.values().all(|choice| matches!(choice, PortChoice::Unchanged(_))));
    let given: Vec<_> = requests.iter().map(|request| choices[&request.key].number()).collect();
    assert_eq!(given, [5001, 23_000, 3000]);
    assert_eq!(world.claimed, Vec::<u16>::new(), "nothing was even looked at");
}

#[test]
fn a_running_service_moves_when_its_wish_changed_or_somebody_pins_its_number() {
    let earlier = Earlier::default().running("a", 5001, Some(5000)).running("b", 23_000, None);
    let in_use = [5001, 23_000];
    let changed = [prefer("a", 6100), any("b")];
    let choices = earlier.ask(&changed, &mut world(&in_use)).unwrap();
    assert_eq!(choices[&of("a")], PortChoice::Requested(6100));
    assert_eq!(choices[&of("b")], PortChoice::Unchanged(23_000));

    let pinned = [prefer("a", 5000), any("b"), pin("c", 23_000)];
    let choices = earlier.ask(&pinned, &mut world(&in_use)).unwrap();
    assert_eq!(choices[&of("c")].number(), 23_000);
    assert_ne!(choices[&of("b")].number(), 23_000);

    let preferred = [prefer("a", 5000), any("b"), prefer("c", 23_000)];
    let choices = earlier.ask(&preferred, &mut world(&in_use)).unwrap();
    assert_eq!((choices[&of("b")].number(), choices[&of("c")].number()), (23_000, 23_001));
    let same_stack = PortObstacle::SameStack(Name::new("b").unwrap());
    assert_eq!(choices[&of("c")], PortChoice::Moved(23_001, same_stack));
}

#[test]
fn what_a_running_service_leaves_is_not_handed_out_unasked() {
    let earlier = Earlier::default().running("a", 5001, Some(5000));
    // It has not bound its port yet, so a probe would report it as free.
    let mut world = world(&[]);
    world.last.insert((of("b"), None), 5001);
    let requests = [prefer("a", 6100), any("b")];
    let choices = earlier.ask(&requests, &mut world).unwrap();
    assert_ne!(choices[&of("b")].number(), 5001);
}

#[test]
fn two_running_services_can_swap() {
    let earlier = Earlier::default().running("a", 5000, Some(5000)).running("b", 5001, Some(5001));
    let swapped = [prefer("a", 5001), prefer("b", 5000)];
    let choices = earlier.ask(&swapped, &mut world(&[5000, 5001])).unwrap();
    assert_eq!((choices[&of("a")].number(), choices[&of("b")].number()), (5001, 5000));
}

#[test]
fn a_move_is_no_longer_kept_when_the_policy_becomes_fail() {
    let earlier = Earlier::default().running("a", 5001, Some(5000));
    let strict = [prefer_or("a", 5000, ConflictPolicy::Fail)];
    let conflicts = earlier.ask(&strict, &mut world(&[5000, 5001])).unwrap_err();
    assert_eq!(conflicts[0].obstacle, PortObstacle::InUse);
    assert_eq!(earlier.ask(&strict, &mut world(&[5001])).unwrap()[&of("a")].number(), 5000);
}

/// A port from a few crowded ranges, so that random stacks really collide, or any port.
fn spot(drawn: u32) -> u16 {
    let [low, high, choice, _] = drawn.to_le_bytes();
    let offset = u16::from(low % 24);
    match choice % 8 {
        0 => 1 + offset,
        1 => 70 + offset,
        2 => 4990 + offset,
        3 => 5990 + offset,
        4 => 20_000 + offset,
        5 => 32_755 + offset,
        6 => 65_535 - offset,
        _ => u16::from_le_bytes([low, high]).max(1),
    }
}

fn crowded() -> impl Strategy<Value = u16> {
    proptest::num::u32::ANY.prop_map(spot)
}

fn any_wish() -> impl Strategy<Value = (WantedPort, bool)> {
    (proptest::num::u32::ANY, 0_u32..60 * 60 * 2).prop_map(|(number, drawn)| {
        let policy = match drawn / 60 % 60 {
            0 => ConflictPolicy::Fail,
            1..30 => ConflictPolicy::Next,
            _ => ConflictPolicy::Auto,
        };
        let number = NonZeroU16::new(spot(number));
        let wanted = match drawn % 60 {
            0 => WantedPort::pinned(number),
            1..35 => WantedPort::preferred(number, policy),
            _ => WantedPort::Any,
        };
        (wanted, drawn / 3_600 == 0)
    })
}

/// Counts the allocations that `never_forbidden_never_one_twice` has seen.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_hundred_thousand_random_allocations_are_all_fit() {
    never_forbidden_never_one_twice();
    let seen = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(seen >= 100_000, "only {seen} allocations were looked at");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 7_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No forbidden port, none twice, and every assigned port is claimed or held by this stack.
    fn never_forbidden_never_one_twice(
        drawn in proptest::collection::vec(any_wish(), 0..60),
        in_use in proptest::collection::btree_set(crowded(), 0..60),
        leased in proptest::collection::btree_set(crowded(), 0..20),
        suggestions in proptest::collection::vec(crowded(), 0..20),
        last in proptest::collection::vec(crowded(), 60),
        unprivileged_from in prop_oneof![Just(0_u16), Just(80), Just(1024)],
        ephemeral in prop_oneof![Just((32_768, 60_999)), Just((49_152, 65_535)), Just((15_000, 65_535))],
    ) {
        let mut world = World { in_use, leased, suggestions, unprivileged_from, ..World::default() };
        let mut wishes = Vec::new();
        let mut mine = BTreeMap::new();
        let mut idle = BTreeSet::new();
        for (at, (wanted, running)) in drawn.into_iter().enumerate() {
            let wish = wish(&format!("s{at}"), wanted);
            world.last.insert((wish.key.clone(), wanted.number()), last[at]);
            if running && !mine.values().any(|held| *held == last[at]) {
                mine.insert(wish.key.clone(), last[at]);
                world.in_use.insert(last[at]);
            } else if last[at] % 5 == 0 {
                idle.insert(wish.key.service.clone());
            }
            wishes.push(wish);
        }
        let limits = AllowedPorts::new(ephemeral.0, ephemeral.1);
        let before = BTreeMap::new();
        let question = ChoiceInput {
            requests: &wishes, in_use: &mine, not_starting: &idle, previous: &before, limits: &limits, seed: 3,
        };
        let PortChoices { choices, conflicts } = choose(&question, &mut world);
        let names = |number| wishes.iter().any(|wish| wish.wanted.number() == Some(number));
        let is_claimed = |choice: &&PortChoice| !matches!(choice, PortChoice::Unclaimed(_));
        for conflict in &conflicts {
            let PortConflict { request, obstacle, alternative } = conflict;
            prop_assert!(matches!(
                request.wanted,
                WantedPort::Pinned(_) | WantedPort::Preferred(_, ConflictPolicy::Fail)
            ));
            let other = alternative.unwrap();
            prop_assert!(limits.is_allowed(other) && !names(other));
            prop_assert!(!is_claimed(&&choices[&request.key]));
            if let PortObstacle::SameStack(sibling) = obstacle {
                prop_assert!(!idle.contains(sibling) || idle.contains(&request.key.service));
            }
        }
        prop_assert_eq!(choices.len(), wishes.len());
        let claimed = || choices.values().filter(is_claimed);
        let distinct: BTreeSet<u16> = claimed().map(PortChoice::number).collect();
        prop_assert_eq!(distinct.len(), claimed().count(), "one number twice");
        prop_assert_eq!(claimed().count() + conflicts.len(), choices.len());
        ALLOCATIONS.fetch_add(claimed().count(), Ordering::Relaxed);
        for wish in &wishes {
            let choice = &choices[&wish.key];
            let (number, wanted) = (choice.number(), wish.wanted.number());
            let held = mine.values().any(|held| *held == number);
            match choice {
                PortChoice::Unclaimed(_) => {
                    prop_assert!(wanted == Some(number));
                    continue;
                }
                PortChoice::Unchanged(_) => prop_assert_eq!(mine.get(&wish.key), Some(&number)),
                PortChoice::Requested(_) => prop_assert!(wanted.is_none_or(|one| one == number)),
                PortChoice::Moved(..) => prop_assert!(wanted.is_some_and(|one| one != number)),
            }
            prop_assert!(held || world.claimed.contains(&number));
            prop_assert!(held || (!world.in_use.contains(&number) && !world.leased.contains(&number)));
            if wanted == Some(number) || matches!(choice, PortChoice::Unchanged(_)) {
                continue;
            }
            prop_assert!(!matches!(
                wish.wanted,
                WantedPort::Pinned(_) | WantedPort::Preferred(_, ConflictPolicy::Fail)
            ));
            prop_assert!(number >= 1024 && !blocked_by_browsers(number));
            prop_assert!(!(ephemeral.0..=ephemeral.1).contains(&number));
            prop_assert!(!names(number), "stolen");
        }
    }
}

#[test]
fn a_user_who_takes_every_name_keeps_nobody_from_a_port() {
    let mut world = world(&[5000]);
    world.announced = (1024..=u16::MAX).collect();
    let requests = [any("a"), prefer("b", 5000), any("c")];
    let given: BTreeSet<u16> = numbers(&requests, &mut world).into_iter().collect();
    assert_eq!(given.len(), 3);
    // Where others are free, those are kept away from.
    world.announced = (1024..=u16::MAX).filter(|port| *port != 20_000).collect();
    assert_eq!(numbers(&[any("a")], &mut world), [20_000]);
}
