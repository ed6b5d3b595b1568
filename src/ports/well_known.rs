//! General knowledge about port numbers.

/// Ports that browsers block, from the WHATWG fetch standard ("port blocking"); sorted.
const REFUSED_BY_BROWSERS: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
];

/// Programs that usually have a port, as far as developers meet them; sorted by port.
const WELL_KNOWN: [(u16, &str); 52] = [
    (22, "SSH"),
    (53, "DNS"),
    (80, "a web server"),
    (443, "a web server"),
    (631, "CUPS (printing)"),
    (1025, "a mail catcher (SMTP)"),
    (1433, "Microsoft SQL Server"),
    (1521, "Oracle Database"),
    (1883, "MQTT"),
    (2181, "ZooKeeper"),
    (2375, "Docker"),
    (2379, "etcd"),
    (3000, "a Node, Rails or Grafana server"),
    (3306, "MySQL or MariaDB"),
    (4200, "Angular's development server"),
    (4222, "NATS"),
    (4317, "an OpenTelemetry collector"),
    (4318, "an OpenTelemetry collector"),
    (5000, "Flask's development server"),
    (5173, "Vite"),
    (5353, "multicast DNS"),
    (5432, "PostgreSQL"),
    (5672, "RabbitMQ"),
    (5900, "VNC"),
    (6006, "Storybook"),
    (6379, "Redis"),
    (6443, "Kubernetes"),
    (7000, "Cassandra"),
    (7687, "Neo4j"),
    (8000, "Django's or uvicorn's development server"),
    (8025, "a mail catcher's web UI"),
    (8080, "a proxy or Java web server"),
    (8081, "Metro (React Native)"),
    (8086, "InfluxDB"),
    (8123, "ClickHouse"),
    (8443, "a web server (TLS)"),
    (8500, "Consul"),
    (8888, "Jupyter"),
    (9000, "MinIO or PHP-FPM"),
    (9042, "Cassandra"),
    (9090, "Prometheus"),
    (9092, "Kafka"),
    (9200, "Elasticsearch or OpenSearch"),
    (9229, "Node's debugger"),
    (11211, "memcached"),
    (15672, "RabbitMQ's management UI"),
    (25565, "a Minecraft server"),
    (26257, "CockroachDB"),
    (27017, "MongoDB"),
    (28015, "RethinkDB"),
    (32400, "Plex"),
    (50051, "gRPC examples"),
];

/// Used by the AirPlay receiver on macOS.
const AIRPLAY: [u16; 2] = [5000, 7000];

/// Whether browsers refuse to open `http://…:port`.
pub fn blocked_by_browsers(port: u16) -> bool {
    REFUSED_BY_BROWSERS.binary_search(&port).is_ok()
}

/// Returns the program that usually has this port on this operating system.
pub fn usual_program(port: u16) -> Option<&'static str> {
    if cfg!(target_os = "macos") && AIRPLAY.contains(&port) {
        return Some("AirPlay (System Settings, AirDrop & Handoff, AirPlay Receiver)");
    }
    let at = WELL_KNOWN.binary_search_by_key(&port, |(number, _)| *number).ok()?;
    Some(WELL_KNOWN[at].1)
}

#[cfg(test)]
mod tests {
    use super::{REFUSED_BY_BROWSERS, WELL_KNOWN, blocked_by_browsers, usual_program};

    #[test]
    fn lists_are_sorted_so_that_they_can_be_searched() {
        assert!(REFUSED_BY_BROWSERS.is_sorted());
        assert!(WELL_KNOWN.is_sorted_by_key(|(port, _)| *port));
    }

    #[test]
    fn browsers_refuse_x11_and_irc_but_not_web_ports() {
        for port in [1, 6000, 6665, 6669, 4190, 6679, 10080] {
            assert!(blocked_by_browsers(port), "{port}");
        }
        for port in [80, 443, 3000, 5000, 6001, 8080, 20000] {
            assert!(!blocked_by_browsers(port), "{port}");
        }
    }

    #[test]
    fn usual_owners_are_found_by_port() {
        assert_eq!(usual_program(5432), Some("PostgreSQL"));
        assert_eq!(usual_program(6379), Some("Redis"));
        assert_eq!(usual_program(5433), None);
    }
}
