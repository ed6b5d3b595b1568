use std::time::Duration;

use crate::config::check::ConfigChecker;
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{HttpTarget, ProbeSpec, ProxySpec};
use crate::model::{HostHeader, HttpsUse, LoadBalancing, Name, ServiceProxy};
use crate::presets::Preset;

pub(in crate::config) const HOST_HEADERS: [(&str, HostHeader); 2] =
    [("keep", HostHeader::Keep), ("upstream", HostHeader::Upstream)];

pub(in crate::config) const BALANCING: [(&str, LoadBalancing); 3] = [
    ("least", LoadBalancing::Least),
    ("round-robin", LoadBalancing::RoundRobin),
    ("sticky", LoadBalancing::Sticky),
];

/// What `https` can be besides a boolean.
pub(in crate::config) const HTTPS: [(&str, HttpsUse); 1] = [("redirect", HttpsUse::Required)];

/// Each waiting request holds a connection: more than a machine has descriptors for.
pub(in crate::config) const MAX_PARKED: i64 = 65_536;

/// Of one kept body, in bytes: what is kept of all requests must stay small.
const MAX_BODY: u64 = 64 * 1024 * 1024;

const DEFAULT_WAIT: Duration = Duration::from_secs(60);
const DEFAULT_PARKED: usize = 256;
const DEFAULT_BODIES: u64 = 64 * 1024;

impl ConfigChecker<'_, '_> {
    /// Returns how the proxy serves the stack. `None`: not at all.
    pub(super) fn stack_proxy(&mut self, stack: &RawTable<'_>) -> Option<ProxySpec> {
        let empty = RawTable::new();
        let table = self.get(stack, "proxy", Self::table).unwrap_or(&empty);
        self.check_keys(table, misplaced::PROXY, "[stack.proxy]");
        let proxy = ProxySpec {
            https: self.get(table, "https", Self::https_use).unwrap_or_default(),
            wait: self.get(table, "wait", Self::duration).unwrap_or(DEFAULT_WAIT),
            parked: self
                .get(table, "parked", |check, key, node| check.number(key, node, 0..=MAX_PARKED))
                .unwrap_or(DEFAULT_PARKED),
            requests: self.get(table, "requests", Self::boolean).unwrap_or(true),
            bodies: self.get(table, "bodies", Self::body_size).unwrap_or(DEFAULT_BODIES),
            front: self.get(table, "front", |check, key, node| check.number(key, node, 1..=65_535)),
        };
        let enabled = self.get(table, "enabled", Self::boolean).unwrap_or(true);
        enabled.then_some(proxy)
    }

    fn https_use(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<HttpsUse> {
        match &node.value {
            RawValue::Boolean(true) => Some(HttpsUse::Preferred),
            RawValue::Boolean(false) => Some(HttpsUse::Offered),
            RawValue::Text(_) => self.keyword(key, node, &HTTPS),
            _ => self.type_error(key, "a boolean or \"redirect\"", node),
        }
    }

    fn body_size(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<u64> {
        let help = "use a number with a unit: \"0KB\", \"64KiB\", \"1MB\"";
        let size = self.size(key, node, help)?;
        if size > MAX_BODY {
            return self.reject(node.at, format!("`{key}` must not exceed 64MiB"), "");
        }
        Some(size)
    }

    /// Returns how the proxy serves a service. `speaks_http`: whether it does so without `proxy`.
    pub(in crate::config::check) fn service_proxy(
        &mut self,
        service: &RawTable<'_>,
        name: &Name,
        has_port: bool,
        speaks_http: bool,
    ) -> Option<ServiceProxy> {
        let usual = ServiceProxy {
            label: name.to_string(),
            host: HostHeader::default(),
            balance: LoadBalancing::default(),
            http2: false,
        };
        let Some(entry) = service.get("proxy") else { return speaks_http.then_some(usual) };
        let proxy = match &entry.node.value {
            RawValue::Boolean(false) => return None,
            RawValue::Boolean(true) => usual,
            RawValue::Table(table) => {
                self.check_keys(table, misplaced::SERVICE_PROXY, "`proxy`");
                let label = self.get(table, "name", Self::name);
                let host = self
                    .get(table, "host", |check, key, node| check.keyword(key, node, &HOST_HEADERS));
                let balance = self
                    .get(table, "balance", |check, key, node| check.keyword(key, node, &BALANCING));
                let http2 = self.get(table, "http2", Self::boolean);
                ServiceProxy {
                    label: label.map_or(usual.label, String::from),
                    host: host.unwrap_or_default(),
                    balance: balance.unwrap_or_default(),
                    http2: http2.unwrap_or(false),
                }
            }
            _ => return self.type_error("proxy", "a boolean or a table", &entry.node),
        };
        if !has_port {
            let text = format!("{name} has `proxy`, but no port to forward to");
            let help = "set `port = \"auto\"` or a number, and remove `kind = \"task\"`";
            return self.reject(entry.key, text, help);
        }
        Some(proxy)
    }
}

/// Whether a service answers HTTP on its main port: a probe asks it so, or its preset is a web
/// server or framework.
pub(in crate::config::check) fn speaks_http(
    main: &str,
    probes: &[ProbeSpec],
    preset: Option<&Preset>,
) -> bool {
    let by_probe = probes.iter().any(|probe| match probe {
        ProbeSpec::OwnAnswer(port) => port == main,
        ProbeSpec::Http(http) => {
            matches!(&http.target, HttpTarget::OwnPort { port, .. } if port == main) && !http.https
        }
        ProbeSpec::OwnTcp(_)
        | ProbeSpec::Tcp(_)
        | ProbeSpec::Log(_)
        | ProbeSpec::Exec(_)
        | ProbeSpec::Delay(_)
        | ProbeSpec::Notify
        | ProbeSpec::Healthcheck { .. } => false,
    });
    by_probe || preset.is_some_and(|preset| preset.facts().url.is_none())
}
