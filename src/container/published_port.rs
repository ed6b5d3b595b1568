use super::reply::ContainerSummary;

/// A container that a program of the user started and that publishes a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignContainer {
    /// Its whole ID.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Returns the container that publishes a port outside, if it was created since this second: by
/// then, nothing else can have had the port.
pub fn publisher_of(
    running: &[ContainerSummary],
    port: u16,
    since: i64,
) -> Option<ForeignContainer> {
    let publishes = |one: &&ContainerSummary| one.published.contains(&port) && one.created >= since;
    let found = running.iter().find(publishes)?;
    Some(ForeignContainer { id: found.id.clone(), name: found.name.clone() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_container_is_ours_if_it_came_after_the_start() {
        let one = |id: &str, created, published: &[u16]| ContainerSummary {
            id: id.to_owned(),
            name: format!("{id}-name"),
            created,
            labels: BTreeMap::new(),
            published: published.to_vec(),
        };
        let all =
            [one("old", 99, &[8080]), one("other", 120, &[9000]), one("new", 100, &[1, 8080])];
        let found = publisher_of(&all, 8080, 100).map(|found| found.name);
        assert_eq!(found.as_deref(), Some("new-name"));
        assert_eq!(publisher_of(&all[..2], 8080, 100), None);
    }
}
