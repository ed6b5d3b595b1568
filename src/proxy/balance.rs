use crate::model::LoadBalancing;

/// Chooses one of several replicas: `in_flight` has the number of requests that each is answering.
/// `turn` grows with every request; `sticky` is the one that the client had before.
pub(super) fn choose(
    balance: LoadBalancing,
    in_flight: &[usize],
    turn: usize,
    sticky: Option<usize>,
) -> usize {
    let count = in_flight.len().max(1);
    let least = || {
        let by_turn = (0..in_flight.len()).map(|at| (at + turn) % count);
        by_turn.min_by_key(|at| in_flight[*at]).unwrap_or(0)
    };
    match balance {
        LoadBalancing::RoundRobin => turn % count,
        LoadBalancing::Least => least(),
        LoadBalancing::Sticky => sticky.unwrap_or_else(least),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other() {
        let chosen = |turn| choose(LoadBalancing::RoundRobin, &[9, 0, 0], turn, None);
        assert_eq!([0, 1, 2, 3, 4].map(chosen), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn the_one_with_the_fewest_requests_and_equal_ones_in_turn() {
        assert_eq!(choose(LoadBalancing::Least, &[2, 1, 3], 0, None), 1);
        let chosen = |turn| choose(LoadBalancing::Least, &[0, 1, 0], turn, None);
        assert_eq!([0, 1, 2, 3].map(chosen), [0, 2, 2, 0]);
    }

    #[test]
    fn the_same_one_as_long_as_it_is_ready() {
        assert_eq!(choose(LoadBalancing::Sticky, &[5, 0], 0, Some(0)), 0);
        assert_eq!(choose(LoadBalancing::Sticky, &[5, 0], 0, None), 1);
    }
}
