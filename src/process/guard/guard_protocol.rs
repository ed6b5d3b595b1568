//! What the supervisor sends to the guard, beside descriptors.

/// Descriptors sent with a request for a keeper: its connection, stdout and stderr. More are
/// sockets for the service.
pub(crate) const KEEPER_FDS: usize = 3;

/// In bytes.
pub(super) const REQUEST_LEN: usize = 9;

/// Requests a keeper for this run, whose service is passed that many sockets.
pub(super) fn encode_request(run: u64, handed: u8) -> [u8; REQUEST_LEN] {
    let [a, b, c, d, e, f, g, h] = run.to_le_bytes();
    [a, b, c, d, e, f, g, h, handed]
}

/// Returns the run and the number of sockets of a request.
pub(super) fn decode_request(request: [u8; REQUEST_LEN]) -> (u64, usize) {
    let [a, b, c, d, e, f, g, h, handed] = request;
    (u64::from_le_bytes([a, b, c, d, e, f, g, h]), handed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive() {
        for (run, handed) in [(0, 0), (7, 64), (u64::MAX, u8::MAX)] {
            assert_eq!(decode_request(encode_request(run, handed)), (run, handed.into()));
        }
    }
}
