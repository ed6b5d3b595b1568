use super::reply::ContainerSummary;

/// A container that a program of the user started and that publishes a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignContainer {
    /// Its whole ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The port inside.
    pub inside: u16,
}

/// Returns the container that publishes a port outside, if it was created since this second: by
/// then, nothing else can have had the port.
pub fn publisher_of(
    running: &[ContainerSummary],
    port: u16,
    since: i64,
) -> Option<ForeignContainer> {
    let mut recent = running.iter().filter(|one| one.created >= since);
    recent.find_map(|one| {
        let (_, inside) = one.published.iter().find(|(outside, _)| *outside == port)?;
        Some(ForeignContainer { id: one.id.clone(), name: one.name.clone(), inside: *inside })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_container_is_ours_if_it_came_after_the_start() {
        let one = |id: &str, created, published: &[(u16, u16)]| ContainerSummary {
            id: id.to_owned(),
            name: format!("{id}-name"),
            created,
            labels: BTreeMap::new(),
            published: published.to_vec(),
        };
        let all = [
            one("old", 99, &[(8080, 80)]),
            one("other", 120, &[(9000, 8080)]),
            one("new", 100, &[(1, 2), (8080, 81)]),
        ];
        let found = publisher_of(&all, 8080, 100).map(|found| (found.name, found.inside));
        assert_eq!(found, Some(("new-name".to_owned(), 81)));
        assert_eq!(publisher_of(&all[..2], 8080, 100), None);
    }
}
