//! What listens inside a container, from the kernel's list of its sockets: a published port accepts
//! connections before anything does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The state of a listening socket in `/proc/PID/net/tcp`.
const LISTEN: &str = "0A";

/// Whether something listens on a port inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InsideListener {
    /// Nothing does.
    None,
    /// Only on loopback, where the published port does not lead.
    OnlyLoopback,
    /// It can be reached.
    Reachable,
}

/// Looks for a port in the contents of `/proc/PID/net/tcp` and `tcp6`.
pub fn inside_listener(tables: &[&str], port: u16) -> InsideListener {
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let listening = rows.filter_map(listening_at).filter(|(_, number)| *number == port);
    let seen = listening.map(|(address, _)| match address.to_canonical().is_loopback() {
        true => InsideListener::OnlyLoopback,
        false => InsideListener::Reachable,
    });
    seen.max().unwrap_or(InsideListener::None)
}

/// Returns where a row's socket listens; `None`: it does not.
fn listening_at(row: &str) -> Option<(IpAddr, u16)> {
    let mut fields = row.split_ascii_whitespace().skip(1);
    let (local, state) = (fields.next()?, fields.nth(1)?);
    let (address, port) = local.split_once(':').filter(|_| state == LISTEN)?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words in the order of the machine, not of the network.
    let word = |at: usize| u32::from_str_radix(address.get(8 * at..8 * at + 8)?, 16).ok();
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn a_listener_counts_if_the_published_port_leads_to_it() {
        let dns = "   0: 0B00007F:8979 00000000:0000 0A 00000000:00000000 00:00000000\n";
        let loopback = "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n";
        let any6 = "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0\n";
        let mapped = "   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 0\n";
        let own = "   1: 0200A8C0:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n";
        let connected = "   2: 0200A8C0:1F90 0100A8C0:9001 01 00000000:00000000 00:00000000\n";
        let of = |four: &[&str], six: &str| {
            let four = format!("{HEAD}{}", four.concat());
            inside_listener(&[&four, &format!("{HEAD}{six}")], 8080)
        };
        assert_eq!(of(&[dns, connected], ""), InsideListener::None);
        assert_eq!(of(&[dns, loopback], ""), InsideListener::OnlyLoopback);
        assert_eq!(of(&[], mapped), InsideListener::OnlyLoopback);
        assert_eq!(of(&[loopback, own], ""), InsideListener::Reachable);
        assert_eq!(of(&[loopback], any6), InsideListener::Reachable);
        assert_eq!(inside_listener(&["", "garbage\n0: x\n0: 0:0 0 0A"], 0), InsideListener::None);
    }
}
