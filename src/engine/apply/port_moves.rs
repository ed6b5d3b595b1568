use std::collections::{BTreeMap, BTreeSet};

use crate::model::{MAIN_PORT, Name, PortKey, Service, Stack};

/// The ports that have another number in a new stack. An edit of a port changes variables and
/// commands of many services; their restarts are explained by the edit.
#[derive(Debug, Default)]
pub(super) struct PortMoves(BTreeMap<u16, PortMove>);

#[derive(Debug)]
struct PortMove {
    key: PortKey,
    to: u16,
}

impl PortMoves {
    pub fn between(old: &Stack, new: &Stack) -> PortMoves {
        let mut moves = BTreeMap::new();
        for (name, service) in &new.services {
            let Some(before) = old.services.get(name) else { continue };
            for port in &service.ports {
                let before = before.ports.iter().find(|before| before.name == port.name);
                if let Some(before) = before.filter(|before| before.number != port.number) {
                    let key = PortKey::new(name, &port.name);
                    moves.insert(before.number, PortMove { key, to: port.number });
                }
            }
        }
        PortMoves(moves)
    }

    /// Returns the moves that make `new` of `old`, by former number; `None` if they do not.
    pub fn explain(&self, old: &str, new: &str) -> Option<BTreeSet<u16>> {
        if self.0.is_empty() {
            return None;
        }
        let (mut moved, mut found) = (String::new(), BTreeSet::new());
        for part in old.split_inclusive(|c: char| !c.is_ascii_digit()) {
            let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
            match digits.parse().ok().and_then(|from: u16| Some((from, self.0.get(&from)?))) {
                Some((from, PortMove { to, .. })) => {
                    moved.push_str(&to.to_string());
                    found.insert(from);
                }
                None => moved.push_str(digits),
            }
            moved.push_str(&part[digits.len()..]);
        }
        (moved == new).then_some(found)
    }

    /// Returns the moves of the service's own ports.
    pub fn of(&self, service: &Service) -> BTreeSet<u16> {
        let own = self.0.iter().filter(|(_, port)| port.key.service == service.name);
        own.map(|(from, _)| *from).collect()
    }

    /// Describes these moves for a service, its own first.
    pub fn describe(&self, moves: &BTreeSet<u16>, service: &Name) -> Vec<String> {
        let found = moves.iter().filter_map(|from| Some((from, self.0.get(from)?)));
        let (own, others): (Vec<_>, Vec<_>) =
            found.partition(|(_, port)| port.key.service == *service);
        let own = own.into_iter().map(|(from, PortMove { key, to })| match key.port.as_str() {
            MAIN_PORT => format!("port {from} → {to}"),
            name => format!("port {name} {from} → {to}"),
        });
        let others = others.into_iter();
        own.chain(others.map(|(_, port)| format!("{} moved to {}", port.key, port.to))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_explained_by_moves_of_whole_numbers() {
        let name = |name: &str| Name::new(name).unwrap();
        let moved = |service: &str, port: &str, to| PortMove {
            key: PortKey::new(&name(service), port),
            to,
        };
        let moves = PortMoves(BTreeMap::from([
            (4000, moved("api", "main", 4100)),
            (4100, moved("web", "main", 4000)),
            (9100, moved("api", "metrics", 9101)),
        ]));
        let explained = |old: &str, new: &str| moves.explain(old, new);
        assert_eq!(explained("4000", "4100"), Some([4000].into()));
        assert_eq!(explained("a:4000/é 4100,", "a:4100/é 4000,"), Some([4000, 4100].into()));
        assert_eq!(explained("40001 x", "41001 x"), None);
        assert_eq!(explained("4000", "4200"), None);
        assert_eq!(explained("4000 4000", "4100 4000"), None);
        assert_eq!(explained("99999999 9100", "99999999 9101"), Some([9100].into()));
        assert_eq!(PortMoves::default().explain("", ""), None);
        let all = [4000, 4100, 9100].into();
        assert_eq!(
            moves.describe(&all, &name("api")),
            ["port 4000 → 4100", "port metrics 9100 → 9101", "web moved to 4000"]
        );
        assert_eq!(
            moves.describe(&all, &name("x")),
            ["api moved to 4100", "web moved to 4000", "api (metrics) moved to 9101"]
        );
    }
}
