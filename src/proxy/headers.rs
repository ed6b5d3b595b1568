use std::net::{IpAddr, SocketAddr};

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap,
    HeaderName, HeaderValue, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::uri::Authority;

use crate::model::HostHeader;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Headers about one connection, not about the message (RFC 9110, section 7.6.1). `Trailer` is not
/// one of them.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Headers that services trust to come from a proxy.
const FROM_PROXIES: [HeaderName; 7] = [
    FORWARDED,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    FORWARDED_PORT,
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
];

/// The cookie that names the replica of a client.
const REPLICA_COOKIE: &str = "devstack-replica";

/// What a service learns about how a request reached the proxy.
pub(super) struct ForwardedBy<'a> {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The address of the client.
    pub client: IpAddr,
    pub port: u16,
    /// The host that the client asked for.
    pub host: &'a Authority,
    /// What says that the route was taken.
    pub mark: &'a HeaderValue,
}

/// Returns the protocol that a request wants to change to. HTTP/2 without TLS is ignored, as RFC 9110
/// allows: requests in it would pass unchecked.
pub(super) fn wanted_upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let upgrade = headers.get(UPGRADE)?;
    let wanted = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let http2 = tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("h2c"));
    (wanted && !http2).then_some(upgrade)
}

/// Whether the body has another coding than `chunked`.
pub(super) fn has_transfer_coding(headers: &HeaderMap) -> bool {
    tokens(headers, &TRANSFER_ENCODING).filter(|coding| !coding.is_empty()).count() > 1
        || tokens(headers, &TRANSFER_ENCODING).any(|coding| !coding.eq_ignore_ascii_case("chunked"))
}

/// Whether the proxy has already passed on this request for the route with this mark.
pub(super) fn has_passed(headers: &HeaderMap, mark: &HeaderValue) -> bool {
    tokens(headers, &VIA).any(|hop| hop.as_bytes() == mark.as_bytes())
}

/// Returns the mark of a route, which a request gets that takes it.
pub(super) fn route_mark(name: &str) -> HeaderValue {
    let mark = HeaderValue::try_from(format!("1.1 {name} (devstack)"));
    mark.unwrap_or_else(|_| HeaderValue::from_static("1.1 devstack"))
}

/// Changes the headers of a request for the service. `upgrade` is what [`wanted_upgrade`] returned.
pub(super) fn prepare_request(
    headers: &mut HeaderMap,
    upgrade: Option<HeaderValue>,
    by: &ForwardedBy<'_>,
) {
    let trailers = tokens(headers, &TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    remove_hop_by_hop(headers);
    for name in &FROM_PROXIES {
        headers.remove(name);
    }
    join_cookies(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    keep_upgrade(headers, upgrade);
    let mut set = |name, text: &str| {
        // All are checked already, so that none is left out.
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.append(name, value);
        }
    };
    set(FORWARDED_FOR, &by.client.to_string());
    set(FORWARDED_HOST, by.host.as_str());
    set(FORWARDED_PROTO, by.scheme);
    set(FORWARDED_PORT, &by.port.to_string());
    headers.append(VIA, by.mark.clone());
}

/// Makes one line of the cookies, which HTTP/2 may split (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Returns the host that a service is asked for which listens at these addresses.
pub(super) fn upstream_host(
    host: HostHeader,
    client: &Authority,
    addresses: &[SocketAddr],
) -> String {
    let upstream = addresses.first().filter(|_| host == HostHeader::Upstream);
    upstream.map_or_else(|| client.to_string(), SocketAddr::to_string)
}

/// Sets the `Host` of a request in HTTP/1.1.
pub(super) fn set_host(headers: &mut HeaderMap, host: String) {
    if let Ok(host) = HeaderValue::try_from(host) {
        headers.insert(HOST, host);
    }
}

/// Removes what HTTP/2 says in other ways.
pub(super) fn remove_http1(headers: &mut HeaderMap) {
    for name in [HOST, CONNECTION, EXPECT] {
        headers.remove(name);
    }
}

/// Changes the headers of a response for the client. `upgrade`: whether the protocol changes; `client`:
/// the scheme and host that it asked for.
pub(super) fn prepare_response(
    headers: &mut HeaderMap,
    upgrade: bool,
    client: (&str, &Authority),
    addresses: &[SocketAddr],
) {
    let upgrade = headers.get(UPGRADE).filter(|_| upgrade).cloned();
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
    keep_upgrade(headers, upgrade);
    if let Some(location) = headers.get(LOCATION).and_then(|at| moved(at, client, addresses)) {
        headers.insert(LOCATION, location);
    }
}

fn keep_upgrade(headers: &mut HeaderMap, upgrade: Option<HeaderValue>) {
    if let Some(upgrade) = upgrade {
        headers.insert(UPGRADE, upgrade);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Removes what is about this connection only, including everything that `Connection` names.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> =
        tokens(headers, &CONNECTION).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Returns a redirect to the service's own address as one to the host that the client asked for.
fn moved(
    location: &HeaderValue,
    (scheme, host): (&str, &Authority),
    addresses: &[SocketAddr],
) -> Option<HeaderValue> {
    let (start, rest) = location.to_str().ok()?.split_at_checked("http://".len())?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let own = |address: &SocketAddr| {
        let host_port = authority.rsplit_once(':');
        let names = |(host, port): (&str, &str)| {
            host.eq_ignore_ascii_case("localhost") && port.parse() == Ok(address.port())
        };
        authority.parse() == Ok(*address)
            || address.ip().is_loopback() && host_port.is_some_and(names)
    };
    let is_own = start.eq_ignore_ascii_case("http://") && addresses.iter().any(own);
    HeaderValue::try_from(format!("{scheme}://{host}{path}")).ok().filter(|_| is_own)
}

/// Whether the body of a response is server-sent events.
pub(super) fn are_events(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// Returns the replica that the client had before.
pub(super) fn replica_cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == REPLICA_COOKIE).then_some(value)
    })
}

/// Lets the client come back to this replica.
pub(super) fn set_replica_cookie(headers: &mut HeaderMap, replica: &str) {
    let cookie = format!("{REPLICA_COOKIE}={replica}; Path=/; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        headers.append(SET_COOKIE, cookie);
    }
}

/// Returns the elements of a header that is a list.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Headers of a client, as lines: what a service gets of them is about the message alone.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let address = SocketAddr::from(([127, 0, 0, 1], 5000));
    let host = Authority::from_static("api.shop.localhost:7780");
    let mark = route_mark("api.shop.localhost");
    let by =
        ForwardedBy { scheme: "http", client: address.ip(), port: 7780, host: &host, mark: &mark };
    let passed = has_passed(&headers, &mark);
    let (upgrade, trailers) = (wanted_upgrade(&headers).cloned(), headers.contains_key(TE));
    let mut sent = headers.clone();
    prepare_request(&mut sent, upgrade.clone(), &by);
    for name in [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, FORWARDED_PORT] {
        assert_eq!(sent.get_all(name).iter().count(), 1);
    }
    assert!(!sent.contains_key(FORWARDED) && !sent.contains_key(TRANSFER_ENCODING));
    assert!(!sent.contains_key(TE) || trailers);
    assert_eq!(sent.get(UPGRADE), upgrade.as_ref());
    assert!(sent.get_all(COOKIE).iter().count() < 2 && (!passed || has_passed(&sent, &mark)));
    let _ = (has_transfer_coding(&headers), replica_cookie(&headers));
    prepare_response(&mut headers, false, ("http", &host), &[address]);
    for name in &HOP_BY_HOP {
        assert!(!headers.contains_key(name), "{name}");
    }
}
