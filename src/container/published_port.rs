use super::reply::ContainerSummary;

/// The label of what Compose has made, which it keeps for its next start.
const COMPOSE: &str = "com.docker.compose.project";

/// A container that a program of the user started and that publishes a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignContainer {
    /// Its whole ID.
    pub id: String,
    pub name: String,
    pub inside: u16,
    /// Whether it stays when it ends.
    pub stays: bool,
}

/// Returns the container that publishes a port outside. One that was created before this second, or by
/// Compose, stays when it ends.
pub fn publisher_of(
    running: &[ContainerSummary],
    port: u16,
    since: i64,
) -> Option<ForeignContainer> {
    running.iter().find_map(|one| {
        let (_, inside) = one.published.iter().find(|(outside, _)| *outside == port)?;
        let stays = one.created < since || one.labels.contains_key(COMPOSE);
        let (id, name) = (one.id.clone(), one.name.clone());
        Some(ForeignContainer { id, name, inside: *inside, stays })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_was_there_before_or_is_of_compose_stays() {
        let one = |id: &str, created, published: &[(u16, u16)], label: &str| ContainerSummary {
            id: id.to_owned(),
            name: format!("{id}-name"),
            created,
            labels: BTreeMap::from([(label.to_owned(), "x".to_owned())]),
            published: published.to_vec(),
        };
        let all = [
            one("old", 99, &[(8080, 80)], "a"),
            one("other", 120, &[(1, 2), (9000, 8080)], "a"),
            one("composed", 120, &[(7000, 81)], COMPOSE),
        ];
        let found = |port| {
            let found = publisher_of(&all, port, 100)?;
            Some((found.name, found.inside, found.stays))
        };
        assert_eq!(found(8080), Some(("old-name".to_owned(), 80, true)));
        assert_eq!(found(9000), Some(("other-name".to_owned(), 8080, false)));
        assert_eq!(found(7000), Some(("composed-name".to_owned(), 81, true)));
        assert_eq!(found(80), None);
    }
}
